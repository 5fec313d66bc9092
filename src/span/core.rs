//! What all spans of a tracer have in common: where they get ids, time and decisions, and where
//! they go when they are finished.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Anchor, Clock};
use crate::diag::{Cause, Diagnostics};
use crate::encoding::SpanView;
use crate::id::{self, IdGenerator};
use crate::sampler::Sampler;
use crate::stats::Stats;

/// Takes finished spans. The reporter is behind it; a span does not know which.
pub(crate) trait SpanSink: fmt::Debug + Send + Sync {
    /// Takes a finished, sampled span. `lane` is the number of the calling thread. False if it is
    /// closed; the span is counted all the same.
    fn accept(&self, lane: usize, span: &SpanView<'_>) -> bool;

    /// Adds what became of the spans taken so far, as one consistent reading.
    fn read(&self, stats: &mut Stats);
}

/// A tracer's parts that its spans use.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) anchor: Anchor,
    pub(crate) sampler: Box<dyn Sampler>,
    pub(crate) sink: Box<dyn SpanSink>,
    pub(crate) ids: Option<Box<dyn IdGenerator>>,
    pub(crate) trace_id_128bit: bool,
    pub(crate) max_tag_value_bytes: usize,
    pub(crate) max_baggage_value_bytes: usize,
    pub(crate) debug_tag: String,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) lanes: Lanes,
    pub(crate) misused: AtomicU64,
    pub(crate) baggage_limited: AtomicU64,
    pub(crate) decoding_errors: AtomicU64,
}

impl Core {
    /// A number that names a span.
    #[inline]
    pub(crate) fn next_id(&self) -> u64 {
        match &self.ids {
            None => id::random_id(),
            // A generator that knows nothing but zero must not hold the application for ever.
            Some(ids) => {
                let drawn = (0..8).map(|_| ids.next()).find(|id| *id != 0);
                drawn.unwrap_or_else(id::random_id)
            }
        }
    }

    /// The upper half of a new trace's id.
    #[inline]
    pub(crate) fn next_high(&self) -> u64 {
        if !self.trace_id_128bit {
            return 0;
        }
        self.ids.as_ref().map_or_else(id::random_63, |ids| ids.next())
    }

    /// Says that a span came after the close: a closer dropped early must not go unnoticed.
    #[cold]
    pub(crate) fn report_closed(&self) {
        self.diagnostics.error(Cause::Closed, || {
            "a span was finished after its tracer had been closed, and is lost; is the Closer \
             dropped too early?"
                .to_owned()
        });
    }

    /// The ledger, in which the sums hold: what is over is read before what was begun, so that no
    /// span is finished that was not started.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats {
            misused: self.misused.load(Ordering::Relaxed),
            baggage_limited: self.baggage_limited.load(Ordering::Relaxed),
            decoding_errors: self.decoding_errors.load(Ordering::Relaxed),
            not_sampled: self.lanes.sum(|lane| &lane.not_sampled),
            ..Stats::default()
        };
        self.sink.read(&mut stats);
        stats.finished = stats.not_sampled + stats.sent + stats.dropped.total() + stats.queued;
        stats.started = self.lanes.sum(|lane| &lane.started);
        stats.open = stats.started.saturating_sub(stats.finished);
        stats
    }
}

/// A way to the core whose count of users is not shared by all threads: with one count for all, two
/// threads that make spans spend more time on that count than on the spans.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct CoreRef {
    core: Arc<Core>,
}

impl CoreRef {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl Deref for CoreRef {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        &self.core
    }
}

/// As many ways to the core as there are lanes.
#[derive(Debug)]
pub(crate) struct CoreRefs {
    refs: Box<[Arc<CoreRef>]>,
}

impl CoreRefs {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        let one = |_: &Lane| Arc::new(CoreRef { core: Arc::clone(core) });
        Self { refs: core.lanes.lanes.iter().map(one).collect() }
    }

    /// The one of the calling thread's lane.
    #[inline]
    pub(crate) fn of(&self, lane: usize) -> &Arc<CoreRef> {
        &self.refs[lane & (self.refs.len() - 1)]
    }
}

/// Counters that each thread has for itself, as far as there are as many as threads.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Box<[Lane]>,
}

/// One thread's counters, on a cache line of their own (two, because CPUs fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lane {
    pub(crate) started: AtomicU64,
    pub(crate) not_sampled: AtomicU64,
}

impl Lanes {
    pub(crate) fn new(count: usize) -> Self {
        Self { lanes: (0..count.next_power_of_two()).map(|_| Lane::default()).collect() }
    }

    #[inline]
    pub(crate) fn of(&self, lane: usize) -> &Lane {
        &self.lanes[lane & (self.lanes.len() - 1)]
    }

    fn sum(&self, counter: impl Fn(&Lane) -> &AtomicU64) -> u64 {
        self.lanes.iter().map(|lane| counter(lane).load(Ordering::Acquire)).sum()
    }
}

impl Lane {
    #[inline]
    pub(crate) fn count_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count_not_sampled(&self) {
        self.not_sampled.fetch_add(1, Ordering::Release);
    }
}

impl<S: SpanSink + ?Sized> SpanSink for Arc<S> {
    #[inline]
    fn accept(&self, lane: usize, span: &SpanView<'_>) -> bool {
        (**self).accept(lane, span)
    }

    fn read(&self, stats: &mut Stats) {
        (**self).read(stats);
    }
}
