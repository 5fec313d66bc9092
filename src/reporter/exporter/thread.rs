//! A destination with a thread and a bounded queue of its own, for tracers with several destinations.
//!
//! The reporter's thread hands the same buffers to each of them, read-only, and never waits. So an
//! destination that is slow, hangs or fails costs its own spans alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Exporter;
use crate::buffers::{Buffer, Outcome, QueueLimits, ShardedBuffers};
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::reporter::counts::{Accounting, DestinationCounts};
use crate::reporter::worker::{give_back_shared, start_thread};
use crate::span::shared::SpanShared;

/// What all destinations of a tracer share.
#[derive(Clone)]
pub(crate) struct ThreadContext {
    pub(crate) core: Arc<SpanShared>,
    pub(crate) shards: Arc<ShardedBuffers>,
    /// Takes the memory of buffers back.
    pub(crate) spare: Sender<Vec<u8>>,
}

/// A destination as the reporter's thread holds it. Its thread ends when it is told to close, or when
/// this is dropped.
pub(crate) struct ExporterThread {
    work: Sender<ExporterCommand>,
    queue: Arc<Queue>,
    counts: Arc<DestinationCounts>,
    is_primary: bool,
}

impl fmt::Debug for ExporterThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterThread").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What a destination has not yet done.
#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    spans: AtomicUsize,
    /// Whether it is to flush. One that is late is told once, and not once more each interval.
    is_due: AtomicBool,
}

enum ExporterCommand {
    Buffer(Arc<Buffer>),
    Tick,
    Flush(Arc<Completion>),
    Close(Arc<Completion>),
}

/// Tells who asked for a flush or close when the last destination is done.
pub(crate) struct Completion {
    /// Who is not done: the destinations, and the reporter's thread.
    left: AtomicUsize,
    replies: Vec<Sender<()>>,
    metrics: Option<Arc<Publisher>>,
}

impl Completion {
    pub(crate) fn of(
        destinations: usize,
        replies: Vec<Sender<()>>,
        metrics: Option<Arc<Publisher>>,
    ) -> Arc<Self> {
        Arc::new(Self { left: (destinations + 1).into(), replies, metrics })
    }

    pub(crate) fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            if let Some(metrics) = &self.metrics {
                metrics.publish();
            }
            // Who asked may have stopped waiting.
            for reply in &self.replies {
                let _ = reply.try_send(());
            }
        }
    }
}

impl ExporterThread {
    /// Starts its thread, which holds on to `alive` until it ends.
    pub(crate) fn start(
        exporter: Exporter,
        context: ThreadContext,
        alive: Arc<()>,
    ) -> Result<Self, ConfigError> {
        let (work, commands) = unbounded();
        let queue = Arc::new(Queue::default());
        let (counts, is_primary) = (exporter.counts(), exporter.is_primary());
        // No system takes a name with a NUL in it.
        let name = format!("jaeger-client-{}", counts.name().replace(char::is_control, "-"));
        let own = Arc::clone(&queue);
        let work_off = move || {
            run(exporter, &commands, &own, &context);
            drop(alive);
        };
        start_thread(&name, work_off).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { work, queue, counts, is_primary })
    }

    /// Hands it the spans of a buffer, or counts them as dropped where its queue is full.
    pub(crate) fn take(
        &self,
        core: &SpanShared,
        shards: &ShardedBuffers,
        limits: QueueLimits,
        buffer: &Arc<Buffer>,
    ) {
        let Self { counts, is_primary, queue, .. } = self;
        let accounting = Accounting { core, shards, counts, is_primary: *is_primary };
        let (bytes, spans) = (buffer.bytes.capacity(), buffer.spans);
        accounting.take(spans);
        // This thread alone adds, so that nothing comes between the look and the addition.
        let waiting = queue.spans.load(Ordering::Acquire);
        let total = queue.bytes.load(Ordering::Acquire).saturating_add(bytes);
        let fits = waiting < limits.spans && total <= limits.bytes;
        if !fits && waiting > 0 {
            accounting.complete(spans, Outcome::QueueFull);
            core.diagnostics.error(Cause::QueueFull, || {
                let name = counts.name();
                format!("{spans} spans dropped because the queue to {name} was full")
            });
            return;
        }
        queue.bytes.fetch_add(bytes, Ordering::AcqRel);
        queue.spans.fetch_add(spans, Ordering::AcqRel);
        if self.work.send(ExporterCommand::Buffer(Arc::clone(buffer))).is_err() {
            accounting.complete(spans, Outcome::SendFailed);
        }
    }

    /// Has it send what it holds back, unless it has been told and did not come to it yet.
    pub(crate) fn tick(&self) {
        if !self.queue.is_due.swap(true, Ordering::AcqRel) {
            let _ = self.work.send(ExporterCommand::Tick);
        }
    }

    pub(crate) fn flush(&self, completion: &Arc<Completion>) {
        self.ask(ExporterCommand::Flush(Arc::clone(completion)), completion);
    }

    pub(crate) fn close(&self, completion: &Arc<Completion>) {
        self.ask(ExporterCommand::Close(Arc::clone(completion)), completion);
    }

    /// A thread that is gone has nothing left to do.
    fn ask(&self, work: ExporterCommand, completion: &Completion) {
        if self.work.send(work).is_err() {
            completion.done();
        }
    }
}

/// The thread of a destination.
fn run(
    mut exporter: Exporter,
    commands: &Receiver<ExporterCommand>,
    queue: &Queue,
    context: &ThreadContext,
) {
    let ThreadContext { core, shards, spare, .. } = context;
    let mut copy = Buffer::default();
    for work in commands {
        match work {
            ExporterCommand::Buffer(shared) => {
                let (bytes, spans) = (shared.bytes.capacity(), shared.spans);
                copy.copy_from(&shared);
                give_back_shared(shared, spare);
                exporter.give(core, shards, &mut copy);
                queue.bytes.fetch_sub(bytes, Ordering::AcqRel);
                queue.spans.fetch_sub(spans, Ordering::AcqRel);
            }
            ExporterCommand::Tick => {
                queue.is_due.store(false, Ordering::Release);
                exporter.flush(core, shards);
                exporter.tick();
            }
            ExporterCommand::Flush(completion) => {
                exporter.flush(core, shards);
                completion.done();
            }
            ExporterCommand::Close(completion) => {
                exporter.flush(core, shards);
                return completion.done();
            }
        }
    }
    exporter.flush(core, shards);
}
