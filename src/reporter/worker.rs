//! The reporter's thread: takes buffers and gives them to the destination, or hands them to the thread of
//! each where there are several.
//!
//! Walk step 7. It needs no runtime. It renews the clock's anchor, and takes partly filled buffers at
//! each flush interval. A destination that panics loses one message, not the thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, select};

use super::exporter::{Completion, Exporter, ExporterThread, ThreadContext};
use super::service::ServiceOptions;
use crate::buffers::{Buffer, QueueLimits, ShardedBuffers};
use crate::clock;
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::span::shared::SpanShared;
use crate::stats::Dropped;
use crate::transport::MAX_PACKET_BYTES;

/// What the worker is asked for, and whom it tells when that is done.
pub(crate) enum Command {
    Flush(Sender<()>),
    Close(Sender<()>),
}

impl Command {
    fn reply(self) -> Sender<()> {
        let (Self::Flush(reply) | Self::Close(reply)) = self;
        reply
    }
}

/// Where buffers go.
#[derive(Debug)]
enum Exporters {
    /// To the only destination, on this thread.
    One(Exporter),
    /// To several that have no thread yet.
    Unstarted(Vec<Exporter>),
    Several(Vec<ExporterThread>),
}

pub(crate) struct Worker {
    shards: Arc<ShardedBuffers>,
    exporters: Exporters,
    /// Of the queue of each thread.
    limits: QueueLimits,
    flush_interval: Duration,
    /// Gets a message when there is something in the queue.
    woken: Receiver<()>,
    spare: Sender<Vec<u8>>,
    /// Gone when the worker is, however it ended, and before the commands: whoever is told by their
    /// end that nobody answers must find it gone.
    alive: Arc<()>,
    commands: Receiver<Command>,
    /// The losses that were reported.
    reported: Dropped,
    /// Told after each interval, flush and close.
    metrics: Option<Arc<Publisher>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("exporters", &self.exporters).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        shards: Arc<ShardedBuffers>,
        options: ServiceOptions,
        woken: Receiver<()>,
        spare: Sender<Vec<u8>>,
        commands: Receiver<Command>,
    ) -> Self {
        let mut exporters = options.exporters;
        let exporters = match exporters.pop() {
            Some(only) if exporters.is_empty() => Exporters::One(only),
            last => {
                exporters.extend(last);
                Exporters::Unstarted(exporters)
            }
        };
        Self {
            shards,
            exporters,
            limits: options.queue,
            flush_interval: options.flush_interval,
            woken,
            spare,
            commands,
            reported: Dropped::default(),
            metrics: None,
            alive: Arc::default(),
        }
    }

    /// What tells whether the worker still lives.
    pub(crate) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    pub(crate) fn spawn(
        mut self,
        core: Arc<SpanShared>,
        metrics: Option<Arc<Publisher>>,
    ) -> Result<(), ConfigError> {
        self.metrics = metrics;
        if let Exporters::Unstarted(exporters) = &mut self.exporters {
            let context = ThreadContext {
                core: Arc::clone(&core),
                shards: Arc::clone(&self.shards),
                spare: self.spare.clone(),
            };
            let start = |exporter| {
                ExporterThread::start(exporter, context.clone(), Arc::clone(&self.alive))
            };
            let several = exporters.drain(..).map(start).collect::<Result<_, _>>()?;
            self.exporters = Exporters::Several(several);
        }
        let run = move || self.run(&core);
        start_thread("jaeger-client-reporter", run).map_err(|source| ConfigError::Thread { source })
    }

    fn run(&mut self, core: &SpanShared) {
        let mut next_flush = clock::now() + self.flush_interval;
        loop {
            let command = match self.shards.next_queued() {
                Some(buffer) => {
                    self.send_buffer(core, buffer);
                    match self.commands.try_recv() {
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
                        Ok(command) => Some(Ok(command)),
                    }
                }
                None => {
                    let wait = next_flush.saturating_duration_since(clock::now());
                    select! {
                        recv(self.woken) -> _ => None,
                        recv(self.commands) -> command => Some(command),
                        default(wait) => None,
                    }
                }
            };
            match command {
                None => {}
                Some(Ok(Command::Flush(reply))) => self.flush(core, vec![reply]),
                Some(Ok(Command::Close(reply))) => return self.close(core, vec![reply]),
                // Nobody can ask for anything any more, so nobody will ever close it.
                Some(Err(RecvError)) => return self.close(core, Vec::new()),
            }
            // Also under load, when there is always a buffer to send and no wait ever ends.
            let now = clock::now();
            if now >= next_flush {
                next_flush = self.tick(core, now);
            }
        }
    }

    fn tick(&mut self, core: &SpanShared, now: Instant) -> Instant {
        // The clock may be foreign code, like the transport.
        let _ = catch_unwind(AssertUnwindSafe(|| core.renew_anchor()));
        self.send_all(core, false);
        match &mut self.exporters {
            Exporters::One(exporter) => {
                exporter.flush(core, &self.shards);
                exporter.tick();
            }
            Exporters::Several(threads) => threads.iter().for_each(ExporterThread::tick),
            Exporters::Unstarted(_) => {}
        }
        if let Some(metrics) = &self.metrics {
            metrics.publish();
        }
        self.report_losses(core);
        now + self.flush_interval
    }

    /// Has everything sent that was finished before, and tells who asked when that is done.
    fn flush(&mut self, core: &SpanShared, replies: Vec<Sender<()>>) {
        self.send_all(core, false);
        self.finish(core, replies, ExporterThread::flush);
    }

    /// The same for the last time.
    fn close(&mut self, core: &SpanShared, mut replies: Vec<Sender<()>>) {
        self.send_all(core, true);
        // Whoever asked meanwhile has what was asked for.
        replies.extend(self.commands.try_iter().map(Command::reply));
        self.finish(core, replies, ExporterThread::close);
    }

    /// Has all exporters send what they hold back. `ask` does so where they have threads of their own.
    fn finish(
        &mut self,
        core: &SpanShared,
        replies: Vec<Sender<()>>,
        ask: fn(&ExporterThread, &Arc<Completion>),
    ) {
        if let Exporters::One(exporter) = &mut self.exporters {
            exporter.flush(core, &self.shards);
        }
        self.report_losses(core);
        let threads = match &self.exporters {
            Exporters::Several(threads) => &threads[..],
            Exporters::One(_) | Exporters::Unstarted(_) => &[],
        };
        let completion = Completion::of(threads.len(), replies, self.metrics.clone());
        threads.iter().for_each(|thread| ask(thread, &completion));
        completion.done();
    }

    /// Sends what lies in the queue, then what lies in the buffers.
    fn send_all(&mut self, core: &SpanShared, close: bool) {
        let mut partial = Vec::new();
        self.shards.take_partial(close, |buffer| partial.push(buffer));
        // Only as many as there are now: under load the queue never gets empty.
        for _ in 0..self.shards.queued_buffers() {
            let Some(buffer) = self.shards.next_queued() else { break };
            self.send_buffer(core, buffer);
        }
        for buffer in partial {
            self.send_buffer(core, buffer);
        }
    }

    /// Gives a buffer to the destination, or shows it to each, and its memory back.
    fn send_buffer(&mut self, core: &SpanShared, mut buffer: Buffer) {
        match &mut self.exporters {
            Exporters::One(exporter) => {
                exporter.take(core, &self.shards, &mut buffer);
                give_back(buffer, &self.spare);
            }
            Exporters::Several(threads) => {
                let shared = Arc::new(buffer);
                for thread in threads {
                    thread.take(core, &self.shards, self.limits, &shared);
                }
                give_back_shared(shared, &self.spare);
            }
            Exporters::Unstarted(_) => {}
        }
    }

    fn report_losses(&mut self, core: &SpanShared) {
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

/// Keeps a buffer's memory for the next one.
fn give_back(buffer: Buffer, spare: &Sender<Vec<u8>>) {
    // One that grew for a large span must not stay as large for ever.
    if buffer.bytes.len() <= 2 * MAX_PACKET_BYTES {
        let _ = spare.try_send(buffer.bytes);
    }
}

/// The same once nobody reads it any more.
pub(crate) fn give_back_shared(shared: Arc<Buffer>, spare: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(shared) {
        give_back(buffer, spare);
    }
}

/// Runs `work` on a thread of its own: for waits that must not hold a runtime's thread.
#[cfg(feature = "tokio")]
pub(crate) fn wait_aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    start_thread("jaeger-client-wait", work)
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
pub(crate) fn start_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
