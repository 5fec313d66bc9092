//! The reporter's thread: takes buffers and passes them to the destination, or to the threads of
//! several.
//!
//! Step 7 in the life of a span. The thread needs no runtime. It renews the clock's anchor, and
//! takes partly filled buffers at each flush interval. A destination that panics loses one message,
//! not the thread.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, select};

use super::command::{Command, Completion};
use super::exporter::{Exporter, ExporterThread, ThreadContext};
use super::options::SendOptions;
use crate::buffers::{Buffer, QueueLimits, ShardedBuffers, SpareMemory};
use crate::clock;
use crate::diag::{Cause, Diagnostics};
use crate::error::ConfigError;
use crate::fork::ProcessOrigin;
use crate::metrics::Publisher;
use crate::panics;
use crate::stats::Dropped;
use crate::threads::start_thread;
use crate::transport::CloseSignal;

/// The destinations of buffers.
#[derive(Debug)]
enum Exporters {
    /// The only destination, on this thread.
    One(Exporter),
    /// Several destinations without threads yet.
    Unstarted(Vec<Exporter>),
    Several(Vec<ExporterThread>),
}

/// The options of a worker.
pub(crate) struct WorkerOptions<'a> {
    /// The exporters, at least one; the tracer's counts follow the first.
    pub(crate) exporters: Vec<Exporter>,
    pub(crate) close_signal: CloseSignal,
    pub(crate) shards: usize,
    pub(crate) send: &'a SendOptions,
    /// The bytes of the process, which are sent with every message.
    pub(crate) process_bytes: usize,
    pub(crate) origin: ProcessOrigin,
    pub(crate) diagnostics: Arc<Diagnostics>,
}

pub(super) struct Worker {
    buffers: Arc<ShardedBuffers>,
    exporters: Exporters,
    /// The limits of each thread's queue, if there are several.
    limits: QueueLimits,
    flush_interval: Duration,
    /// Receives a message when the queue is not empty.
    woken: Receiver<()>,
    spare: SpareMemory,
    /// Dropped when the worker ends for any reason, and before the commands: a caller that learns
    /// from their end that the worker is gone must find this dropped.
    alive: Arc<()>,
    commands: Receiver<Command>,
    /// The losses that were logged.
    logged: Dropped,
    diagnostics: Arc<Diagnostics>,
    duties: WorkerDuties,
}

/// The worker's periodic duties.
#[derive(Default)]
pub(super) struct WorkerDuties {
    /// Renews the anchor of the tracer's clock.
    pub(super) renew_anchor: Option<Box<dyn Fn() + Send>>,
    /// Compares the tracer's clock with the system's, and returns when to do that again, if at all.
    pub(super) discipline_clock: Option<Box<dyn Fn() -> Option<Duration> + Send>>,
    /// Published after each interval, flush and close.
    pub(super) metrics: Option<Arc<Publisher>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("exporters", &self.exporters).finish_non_exhaustive()
    }
}

impl Worker {
    pub(super) fn new(
        buffers: Arc<ShardedBuffers>,
        options: WorkerOptions<'_>,
        woken: Receiver<()>,
        spare: SpareMemory,
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
            buffers,
            exporters,
            limits: options.send.queue(),
            flush_interval: options.send.flush_interval,
            woken,
            spare,
            commands,
            logged: Dropped::default(),
            diagnostics: options.diagnostics,
            duties: WorkerDuties::default(),
            alive: Arc::default(),
        }
    }

    /// Returns a reference that is dangling once the worker, and with it all threads, has ended.
    pub(super) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    /// Starts the thread, and those of several destinations.
    pub(super) fn start(mut self, duties: WorkerDuties) -> Result<(), ConfigError> {
        self.duties = duties;
        if let Exporters::Unstarted(exporters) = &mut self.exporters {
            let context = ThreadContext {
                diagnostics: Arc::clone(&self.diagnostics),
                buffers: Arc::clone(&self.buffers),
                spare: self.spare.clone(),
                limits: self.limits,
            };
            let start = |exporter| {
                ExporterThread::start(exporter, context.clone(), Arc::clone(&self.alive))
            };
            let several = exporters.drain(..).map(start).collect::<Result<_, _>>()?;
            self.exporters = Exporters::Several(several);
        }
        let run = move || self.run();
        start_thread("jaeger-client-reporter", run).map_err(|source| ConfigError::Thread { source })
    }

    fn run(&mut self) {
        let mut next_comparison = self.discipline_clock();
        let mut next_flush = clock::now() + self.flush_interval;
        loop {
            let command = match self.buffers.next_queued() {
                Some(buffer) => {
                    self.send_buffer(buffer);
                    match self.commands.try_recv() {
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
                        Ok(command) => Some(Ok(command)),
                    }
                }
                None => {
                    let next = next_comparison.map_or(next_flush, |next| next.min(next_flush));
                    let wait = next.saturating_duration_since(clock::now());
                    select! {
                        recv(self.woken) -> _ => None,
                        recv(self.commands) -> command => Some(command),
                        default(wait) => None,
                    }
                }
            };
            match command {
                None => {}
                Some(Ok(Command::Flush(reply))) => self.flush(reply),
                Some(Ok(Command::Close(reply))) => return self.close(vec![reply]),
                // All handles are gone, so that no close command will ever come.
                Some(Err(RecvError)) => return self.close(Vec::new()),
            }
            // Checked under load, too, when there is always a buffer to send and no wait times out.
            let now = clock::now();
            if next_comparison.is_some_and(|next| now >= next) {
                next_comparison = self.discipline_clock();
            }
            if now >= next_flush {
                next_flush = self.tick(now);
            }
        }
    }

    /// Passes a buffer to the destination, or to each of several, and reuses its memory.
    fn send_buffer(&mut self, mut buffer: Buffer) {
        match &mut self.exporters {
            Exporters::One(exporter) => {
                exporter.receive(&self.buffers, &mut buffer);
                self.spare.recycle(buffer);
            }
            Exporters::Several(threads) => {
                // A partial buffer may wait long for a slow destination.
                if let Some(unused) = buffer.compact() {
                    self.spare.recycle_bytes(unused);
                }
                let shared = Arc::new(buffer);
                for thread in threads {
                    thread.enqueue(&shared);
                }
                self.spare.recycle_shared(shared);
            }
            Exporters::Unstarted(_) => {}
        }
    }

    /// Compares the tracer's clock with the system's. Returns when to do that again.
    fn discipline_clock(&self) -> Option<Instant> {
        let again = self.duties.discipline_clock.as_ref()?()?;
        Some(clock::now() + again)
    }

    fn tick(&mut self, now: Instant) -> Instant {
        // The clock may be a user callback.
        if let Some(renew) = &self.duties.renew_anchor {
            let _ = panics::catch(renew);
        }
        self.send_all(false);
        match &mut self.exporters {
            Exporters::One(exporter) => {
                exporter.flush(&self.buffers);
                exporter.tick();
            }
            Exporters::Several(threads) => threads.iter().for_each(ExporterThread::tick),
            Exporters::Unstarted(_) => {}
        }
        if let Some(metrics) = &self.duties.metrics {
            metrics.publish();
        }
        self.log_losses();
        now + self.flush_interval
    }

    /// Sends all spans that were finished before, then notifies.
    fn flush(&mut self, reply: Sender<()>) {
        self.send_all(false);
        self.flush_exporters(vec![reply], ExporterThread::flush);
    }

    /// Sends all spans, for the last time.
    fn close(&mut self, mut replies: Vec<Sender<()>>) {
        self.send_all(true);
        // Commands that came meanwhile are done, too.
        replies.extend(self.commands.try_iter().map(Command::reply));
        self.flush_exporters(replies, ExporterThread::close);
    }

    /// Makes all exporters send waiting spans, by `command` if they have their own threads.
    fn flush_exporters(
        &mut self,
        replies: Vec<Sender<()>>,
        command: fn(&ExporterThread, &Arc<Completion>),
    ) {
        if let Exporters::One(exporter) = &mut self.exporters {
            exporter.flush(&self.buffers);
        }
        self.log_losses();
        let completion = Completion::new(replies, self.duties.metrics.clone());
        if let Exporters::Several(threads) = &self.exporters {
            threads.iter().for_each(|thread| command(thread, &completion));
        }
    }

    /// Sends the buffers in the queue, then the partial ones.
    fn send_all(&mut self, close: bool) {
        let mut partial = Vec::new();
        self.buffers.take_partial(close, |buffer| partial.push(buffer));
        // Only as many as there are now: under load the queue never becomes empty.
        for _ in 0..self.buffers.queued_buffers() {
            let Some(buffer) = self.buffers.next_queued() else { break };
            self.send_buffer(buffer);
        }
        for buffer in partial {
            self.send_buffer(buffer);
        }
    }

    fn log_losses(&mut self) {
        let dropped = self.buffers.dropped();
        let before = std::mem::replace(&mut self.logged, dropped);
        if dropped.queue_full > before.queue_full {
            self.diagnostics.error(Cause::QueueFull, || {
                format!("{} spans dropped so far because the queue was full", dropped.queue_full)
            });
        }
        if dropped.too_large > before.too_large {
            let last = self.buffers.take_too_large();
            self.diagnostics.error(Cause::TooLarge, || {
                let last =
                    last.map_or_else(String::new, |span| format!(", the last of them: {span}"));
                format!("{} spans dropped so far as too large{last}", dropped.too_large)
            });
        }
    }
}
