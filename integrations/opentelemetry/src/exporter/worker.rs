//! The exporter's thread, and the queue of exports that lead to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;

use super::account::ExporterAccount;
use super::completion::Completer;
use super::now;
use super::sender::Sender;

/// One export.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) process: Arc<[u8]>,
    pub(super) batch: Vec<SpanData>,
    pub(super) deadline: Instant,
    pub(super) completer: Completer,
}

#[derive(Debug)]
enum Request {
    Export(Job),
    Flush(SyncSender<()>),
}

/// Leads to the exporter's thread, which ends when the last exporter is dropped.
#[derive(Debug)]
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    /// Exports that wait. Those of one exporter wait for each other, unless a processor gives up.
    waiting: Arc<AtomicUsize>,
    account: ExporterAccount,
}

impl Queue {
    /// Starts the thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that starts a thread"
    )]
    pub(super) fn start(sender: Sender, account: ExporterAccount) -> std::io::Result<Self> {
        let (requests, received) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        thread::Builder::new()
            .name("jaeger-exporter".to_owned())
            .spawn(move || run(sender, &received, &counter))?;
        Ok(Self { requests, waiting, account })
    }

    pub(super) const fn account(&self) -> &ExporterAccount {
        &self.account
    }

    /// Queues an export whose spans are counted as queued.
    pub(super) fn export(&self, job: Job) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.account.settle(job.batch.len(), |stats| &mut stats.dropped.queue_full);
            let error = format!("{MAX_WAITING} exports wait already");
            return job.completer.complete(Err(OTelSdkError::InternalFailure(error)));
        }
        if let Err(mpsc::SendError(Request::Export(job))) = self.requests.send(Request::Export(job))
        {
            // Dropping the job completes it with an error.
            self.account.settle(job.batch.len(), |stats| &mut stats.dropped.send_failed);
        }
    }

    /// Waits until what was queued before is done.
    pub(super) fn flush(&self, timeout: Duration) -> OTelSdkResult {
        let (done, wait) = mpsc::sync_channel(1);
        if self.requests.send(Request::Flush(done)).is_err() {
            return Err(OTelSdkError::InternalFailure(
                "the exporter's thread has ended".to_owned(),
            ));
        }
        wait.recv_timeout(timeout.min(MAX_WAIT)).map_err(|error| match error {
            RecvTimeoutError::Timeout => OTelSdkError::Timeout(timeout),
            RecvTimeoutError::Disconnected => {
                OTelSdkError::InternalFailure("the exporter's thread has ended".to_owned())
            }
        })
    }
}

fn run(mut sender: Sender, requests: &Receiver<Request>, waiting: &AtomicUsize) {
    // Spans of a transport or its libraries must not be exported in turn.
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    let mut next_tick = now() + TICK;
    loop {
        let until_tick = next_tick.saturating_duration_since(now());
        match requests.recv_timeout(until_tick) {
            Ok(Request::Export(Job { process, batch, deadline, completer })) => {
                let result = sender.export(&process, &batch, deadline);
                waiting.fetch_sub(1, Ordering::AcqRel);
                completer.complete(result);
            }
            Ok(Request::Flush(done)) => {
                sender.look_after();
                // The caller may have given up.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if now() >= next_tick {
            sender.tick();
            next_tick = now() + TICK;
        }
    }
}

/// The maximum number of waiting exports: processors wait for each, so that it takes many
/// exporters, or a processor that gives up waiting, to have so many.
const MAX_WAITING: usize = 16;

/// The interval of the transport's ticks.
const TICK: Duration = Duration::from_secs(1);

/// Waits that are longer than this are cut to it: deadlines beyond it overflow on some systems.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
