//! The reporter's thread: takes buffers and gives them to each output in turn.
//!
//! Walk step 7. It is the only thread the core starts for spans, and it needs no runtime. It renews
//! the clock's anchor, and takes partly filled buffers at each flush interval. An output that
//! panics loses one message, not the thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, select};

use super::output::Outlet;
use super::remote::RemoteOptions;
use crate::clock;
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::ledger::{Buffer, Shards};
use crate::metrics::Publisher;
use crate::span::core::Core;
use crate::stats::Dropped;
use crate::transport::MAX_PACKET_BYTES;

/// What the worker is asked for, and whom it tells when that is done.
pub(crate) enum Control {
    Flush(Sender<()>),
    Close(Sender<()>),
}

impl Control {
    fn done(self) {
        let (Self::Flush(asker) | Self::Close(asker)) = self;
        // Who asked may have stopped waiting.
        let _ = asker.send(());
    }
}

pub(crate) struct Worker {
    shards: Arc<Shards>,
    outlets: Vec<Outlet>,
    flush_interval: Duration,
    /// Gets a message when there is something in the queue.
    woken: Receiver<()>,
    spare: Sender<Vec<u8>>,
    /// Gone when the worker is, however it ended, and before the requests: whoever is told by their
    /// end that nobody answers must find it gone.
    life: Arc<()>,
    requests: Receiver<Control>,
    /// The losses that were reported.
    reported: Dropped,
    /// Told after each interval, flush and close.
    metrics: Option<Arc<Publisher>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("outlets", &self.outlets).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        shards: Arc<Shards>,
        options: RemoteOptions,
        woken: Receiver<()>,
        spare: Sender<Vec<u8>>,
        requests: Receiver<Control>,
    ) -> Self {
        Self {
            shards,
            outlets: options.outlets,
            flush_interval: options.flush_interval,
            woken,
            spare,
            requests,
            reported: Dropped::default(),
            metrics: None,
            life: Arc::default(),
        }
    }

    /// What tells whether the worker still lives.
    pub(crate) fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }

    pub(crate) fn spawn(
        mut self,
        core: Arc<Core>,
        metrics: Option<Arc<Publisher>>,
    ) -> Result<(), ConfigError> {
        self.metrics = metrics;
        let run = move || self.run(&core);
        start_thread("jaeger-client-reporter", run).map_err(|source| ConfigError::Thread { source })
    }

    fn run(&mut self, core: &Core) {
        let mut next_flush = clock::now() + self.flush_interval;
        loop {
            let request = match self.shards.next_queued() {
                Some(buffer) => {
                    self.send_buffer(core, buffer);
                    match self.requests.try_recv() {
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
                        Ok(request) => Some(Ok(request)),
                    }
                }
                None => {
                    let wait = next_flush.saturating_duration_since(clock::now());
                    select! {
                        recv(self.woken) -> _ => None,
                        recv(self.requests) -> request => Some(request),
                        default(wait) => None,
                    }
                }
            };
            match request {
                None => {}
                Some(Ok(request @ Control::Flush(_))) => {
                    self.flush(core, false);
                    request.done();
                }
                Some(Ok(request @ Control::Close(_))) => {
                    self.flush(core, true);
                    request.done();
                    // Whoever asked meanwhile has what was asked for.
                    self.requests.try_iter().for_each(Control::done);
                    return;
                }
                // Nobody can ask for anything any more, so nobody will ever close it.
                Some(Err(RecvError)) => return self.flush(core, true),
            }
            // Also under load, when there is always a buffer to send and no wait ever ends.
            let now = clock::now();
            if now >= next_flush {
                next_flush = self.tick(core, now);
            }
        }
    }

    fn tick(&mut self, core: &Core, now: Instant) -> Instant {
        // The clock may be foreign code, like the transport.
        let _ = catch_unwind(AssertUnwindSafe(|| core.renew_anchor()));
        self.flush(core, false);
        self.outlets.iter_mut().for_each(Outlet::tick);
        self.report_losses(core);
        now + self.flush_interval
    }

    /// Sends all that was finished before: what lies in the queue, then what lies in the buffers.
    fn flush(&mut self, core: &Core, close: bool) {
        let mut stolen = Vec::new();
        self.shards.steal(close, |buffer| stolen.push(buffer));
        // Only as many as there are now: under load the queue never gets empty.
        for _ in 0..self.shards.queued_buffers() {
            let Some(buffer) = self.shards.next_queued() else { break };
            self.send_buffer(core, buffer);
        }
        for buffer in stolen {
            self.send_buffer(core, buffer);
        }
        for outlet in &mut self.outlets {
            outlet.flush(core, &self.shards);
        }
        if close {
            self.report_losses(core);
        }
        if let Some(metrics) = &self.metrics {
            metrics.publish();
        }
    }

    /// Gives a buffer to each output in turn, and its memory back.
    fn send_buffer(&mut self, core: &Core, mut buffer: Buffer) {
        for outlet in &mut self.outlets {
            outlet.take(core, &self.shards, &mut buffer);
        }
        // One that grew for a large span must not stay as large for ever.
        if buffer.bytes.len() <= 2 * MAX_PACKET_BYTES {
            let _ = self.spare.try_send(buffer.bytes);
        }
    }

    fn report_losses(&mut self, core: &Core) {
        let dropped = self.shards.dropped();
        let before = std::mem::replace(&mut self.reported, dropped);
        if dropped.queue_full > before.queue_full {
            core.diagnostics.error(Cause::QueueFull, || {
                format!("{} spans dropped so far because the queue was full", dropped.queue_full)
            });
        }
        if dropped.too_large > before.too_large {
            let last = self.shards.take_too_large();
            core.diagnostics.error(Cause::TooLarge, || {
                let last =
                    last.map_or_else(String::new, |span| format!(", the last of them: {span}"));
                format!("{} spans dropped so far as too large{last}", dropped.too_large)
            });
        }
    }
}

/// Runs `work` on a thread of its own: for waits that must not hold a runtime's thread.
#[cfg(feature = "tokio")]
pub(crate) fn wait_aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    start_thread("jaeger-client-wait", work)
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
