//! A destination with a thread and a bounded queue of its own, for tracers with several outputs.
//!
//! The reporter's thread hands the same buffers to each of them, read-only, and never waits. So an
//! output that is slow, hangs or fails costs its own spans alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::output::{Books, Ledger, Outlet};
use super::worker::{give_back_shared, start_thread};
use crate::buffers::{Buffer, Outcome, QueueLimits, ShardedBuffers};
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::span::shared::SpanShared;

/// What all destinations of a tracer share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) core: Arc<SpanShared>,
    pub(super) shards: Arc<ShardedBuffers>,
    /// Takes the memory of buffers back.
    pub(super) spare: Sender<Vec<u8>>,
}

/// A destination as the reporter's thread holds it. Its thread ends when it is told to close, or when
/// this is dropped.
pub(super) struct Destination {
    work: Sender<Work>,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    is_primary: bool,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("queue", &self.queue).finish_non_exhaustive()
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

enum Work {
    Buffer(Arc<Buffer>),
    Tick,
    Flush(Arc<Completion>),
    Close(Arc<Completion>),
}

/// Tells who asked for a flush or close when the last destination is done.
pub(super) struct Completion {
    /// Who is not done: the destinations, and the reporter's thread.
    left: AtomicUsize,
    askers: Vec<Sender<()>>,
    metrics: Option<Arc<Publisher>>,
}

impl Completion {
    pub(super) fn of(
        destinations: usize,
        askers: Vec<Sender<()>>,
        metrics: Option<Arc<Publisher>>,
    ) -> Arc<Self> {
        Arc::new(Self { left: (destinations + 1).into(), askers, metrics })
    }

    pub(super) fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            if let Some(metrics) = &self.metrics {
                metrics.publish();
            }
            // Who asked may have stopped waiting.
            for asker in &self.askers {
                let _ = asker.try_send(());
            }
        }
    }
}

impl Destination {
    /// Starts its thread, which holds on to `life` until it ends.
    pub(super) fn start(
        outlet: Outlet,
        around: Surroundings,
        life: Arc<()>,
    ) -> Result<Self, ConfigError> {
        let (work, given) = unbounded();
        let queue = Arc::new(Queue::default());
        let (ledger, is_primary) = (outlet.ledger(), outlet.is_primary());
        // No system takes a name with a NUL in it.
        let name = format!("jaeger-client-{}", ledger.name().replace(char::is_control, "-"));
        let own = Arc::clone(&queue);
        let work_off = move || {
            run(outlet, &given, &own, &around);
            drop(life);
        };
        start_thread(&name, work_off).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { work, queue, ledger, is_primary })
    }

    /// Hands it the spans of a buffer, or counts them as dropped where its queue is full.
    pub(super) fn take(
        &self,
        core: &SpanShared,
        shards: &ShardedBuffers,
        limits: QueueLimits,
        buffer: &Arc<Buffer>,
    ) {
        let Self { ledger, is_primary, queue, .. } = self;
        let books = Books { core, shards, ledger, is_primary: *is_primary };
        let (bytes, spans) = (buffer.bytes.capacity(), buffer.spans);
        books.take(spans);
        // This thread alone adds, so that nothing comes between the look and the addition.
        let waiting = queue.spans.load(Ordering::Acquire);
        let total = queue.bytes.load(Ordering::Acquire).saturating_add(bytes);
        let fits = waiting < limits.spans && total <= limits.bytes;
        if !fits && waiting > 0 {
            books.complete(spans, Outcome::QueueFull);
            core.diagnostics.error(Cause::QueueFull, || {
                let name = ledger.name();
                format!("{spans} spans dropped because the queue to {name} was full")
            });
            return;
        }
        queue.bytes.fetch_add(bytes, Ordering::AcqRel);
        queue.spans.fetch_add(spans, Ordering::AcqRel);
        if self.work.send(Work::Buffer(Arc::clone(buffer))).is_err() {
            books.complete(spans, Outcome::SendFailed);
        }
    }

    /// Has it send what it holds back, unless it has been told and did not come to it yet.
    pub(super) fn tick(&self) {
        if !self.queue.is_due.swap(true, Ordering::AcqRel) {
            let _ = self.work.send(Work::Tick);
        }
    }

    pub(super) fn flush(&self, completion: &Arc<Completion>) {
        self.ask(Work::Flush(Arc::clone(completion)), completion);
    }

    pub(super) fn close(&self, completion: &Arc<Completion>) {
        self.ask(Work::Close(Arc::clone(completion)), completion);
    }

    /// A thread that is gone has nothing left to do.
    fn ask(&self, work: Work, completion: &Completion) {
        if self.work.send(work).is_err() {
            completion.done();
        }
    }
}

/// The thread of a destination.
fn run(mut outlet: Outlet, given: &Receiver<Work>, queue: &Queue, around: &Surroundings) {
    let Surroundings { core, shards, spare, .. } = around;
    let mut copy = Buffer::default();
    for work in given {
        match work {
            Work::Buffer(shared) => {
                let (bytes, spans) = (shared.bytes.capacity(), shared.spans);
                copy.copy_from(&shared);
                give_back_shared(shared, spare);
                outlet.give(core, shards, &mut copy);
                queue.bytes.fetch_sub(bytes, Ordering::AcqRel);
                queue.spans.fetch_sub(spans, Ordering::AcqRel);
            }
            Work::Tick => {
                queue.is_due.store(false, Ordering::Release);
                outlet.flush(core, shards);
                outlet.tick();
            }
            Work::Flush(completion) => {
                outlet.flush(core, shards);
                completion.done();
            }
            Work::Close(completion) => {
                outlet.flush(core, shards);
                return completion.done();
            }
        }
    }
    outlet.flush(core, shards);
}
