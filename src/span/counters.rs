//! Counters of started and finished spans: a stripe for each thread, and reading them as one set of
//! numbers.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::record::Sampled;
use super::shared::SpanShared;
use crate::stats::Stats;
use crate::tail::TailSampler;

/// A thread's reference to the shared part of a tracer, with its own counters if there are
/// enough stripes. The reference count is not shared by all threads either: with one count for all,
/// two threads that make spans spend more time on it than on the spans. On its own cache line
/// (two, because CPUs fetch them in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Stripe {
    shared: Arc<SpanShared>,
    not_sampled: AtomicU64,
    /// Started spans, by how they came into a trace and whether it is sampled. Each is counted once
    /// both are known, so that the distinction costs nothing.
    began: SampledCounters,
    joined: SampledCounters,
    /// The part of `joined` that are the first of their process; counted for metrics alone.
    first: SampledCounters,
    /// Finished spans whose decision was still deferred.
    finished_deferred: SampledCounters,
}

/// Counts of spans by whether they are sampled.
#[derive(Debug, Default)]
pub(super) struct SampledCounters {
    yes: AtomicU64,
    no: AtomicU64,
    deferred: AtomicU64,
}

/// How a span came into its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanOrigin {
    /// The span began the trace.
    Trace,
    /// The span joined a trace of this process or from another.
    Joined,
}

impl SampledCounters {
    /// Counts one span.
    #[inline(always)]
    pub(super) fn add(&self, sampled: Sampled) {
        let counter = match sampled {
            Sampled::Yes => &self.yes,
            Sampled::No => &self.no,
            Sampled::Deferred => &self.deferred,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stripe {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns the counts for spans that came into a trace like this.
    #[inline(always)]
    pub(super) fn started(&self, span_origin: SpanOrigin) -> &SampledCounters {
        match span_origin {
            SpanOrigin::Trace => &self.began,
            SpanOrigin::Joined => &self.joined,
        }
    }

    /// Counts a span that joined as the first of its process, beside its count as started.
    pub(super) fn count_first(&self, sampled: Sampled) {
        self.first.add(sampled);
    }

    /// Counts a span that is about to be finished while the decision is deferred, by its outcome.
    pub(super) fn count_deferred(&self, sampled: bool) {
        let sampled = if sampled { Sampled::Yes } else { Sampled::No };
        self.finished_deferred.add(sampled);
    }

    #[inline]
    pub(crate) fn count_not_sampled(&self) {
        self.not_sampled.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn count_not_sampled_by(&self, spans: u64) {
        self.not_sampled.fetch_add(spans, Ordering::Release);
    }
}

impl Deref for Stripe {
    type Target = SpanShared;

    #[inline]
    fn deref(&self) -> &SpanShared {
        &self.shared
    }
}

thread_local! {
    static THREAD_INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Returns the number of the calling thread, which determines its counters and its buffer.
#[inline]
pub(crate) fn thread_index() -> usize {
    let index = THREAD_INDEX.try_with(Cell::get).unwrap_or(0);
    if index == usize::MAX { next_thread_index() } else { index }
}

#[cold]
fn next_thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let index = NEXT.fetch_add(1, Ordering::Relaxed);
    let _ = THREAD_INDEX.try_with(|cell| cell.set(index));
    index
}

/// The maximum number of stripes.
const STRIPES: usize = 64;

/// The stripes: as many as shards; each thread uses one of them.
#[derive(Debug)]
pub(crate) struct Stripes {
    /// An array of fixed size, so that indexing it takes no bounds check.
    by_index: [Arc<Stripe>; STRIPES],
    all_stripes: AllStripes,
}

/// All stripes, for reading the counts.
#[derive(Clone, Debug)]
pub(crate) struct AllStripes(Arc<[Arc<Stripe>]>);

impl Stripes {
    /// Makes `count` stripes, up to the maximum.
    pub(crate) fn new(shared: &Arc<SpanShared>, count: usize) -> Self {
        let one = |_| {
            Arc::new(Stripe {
                shared: Arc::clone(shared),
                not_sampled: AtomicU64::new(0),
                began: SampledCounters::default(),
                joined: SampledCounters::default(),
                first: SampledCounters::default(),
                finished_deferred: SampledCounters::default(),
            })
        };
        let refs: Arc<[_]> = (0..count.clamp(1, STRIPES)).map(one).collect();
        let by_index = std::array::from_fn(|index| Arc::clone(&refs[index % refs.len()]));
        Self { by_index, all_stripes: AllStripes(refs) }
    }

    /// Returns the stripe of a thread, by its index.
    #[inline]
    pub(crate) fn of(&self, thread_index: usize) -> &Arc<Stripe> {
        &self.by_index[thread_index & (STRIPES - 1)]
    }

    pub(crate) fn all_stripes(&self) -> &AllStripes {
        &self.all_stripes
    }
}

/// Numbers of spans by whether they are sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BySampled {
    pub(crate) yes: u64,
    pub(crate) no: u64,
    pub(crate) deferred: u64,
}

impl BySampled {
    fn total(self) -> u64 {
        self.yes + self.no + self.deferred
    }
}

/// Counts that metrics distinguish and [`Stats`] does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    /// Traces that began here.
    pub(crate) traces: BySampled,
    /// Spans that joined a trace as the first of this process; counted for metrics alone.
    pub(crate) joined: BySampled,
    pub(crate) started: BySampled,
    pub(crate) finished: BySampled,
}

impl AllStripes {
    fn sum(&self, counter: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.0.iter().map(|stripe| counter(stripe).load(Ordering::Acquire)).sum()
    }

    fn sum_apart(&self, counts: impl Fn(&Stripe) -> &SampledCounters) -> BySampled {
        BySampled {
            yes: self.sum(|stripe| &counts(stripe).yes),
            no: self.sum(|stripe| &counts(stripe).no),
            deferred: self.sum(|stripe| &counts(stripe).deferred),
        }
    }

    /// Returns the counts, with `stats` read just before. A span that was finished while its
    /// decision was deferred is counted as such before it is counted as finished, and read after it, so
    /// that no decision is taken for final.
    pub(crate) fn span_counts(&self, stats: &Stats) -> SpanCounts {
        let deferred = self.sum_apart(|stripe| &stripe.finished_deferred);
        let finished = BySampled {
            // Buffered spans are neither yet.
            yes: (stats.finished - stats.not_sampled - stats.buffered).saturating_sub(deferred.yes),
            no: stats.not_sampled.saturating_sub(deferred.no),
            deferred: deferred.yes + deferred.no,
        };
        let traces = self.sum_apart(|stripe| &stripe.began);
        let joined = self.sum_apart(|stripe| &stripe.joined);
        let started = BySampled {
            yes: traces.yes + joined.yes,
            no: traces.no + joined.no,
            deferred: traces.deferred + joined.deferred,
        };
        SpanCounts { traces, joined: self.sum_apart(|stripe| &stripe.first), started, finished }
    }
}

impl SpanShared {
    /// Returns the span accounting, whose sums hold: finished spans are read before started ones,
    /// so that no span is finished that was not started.
    pub(crate) fn stats(&self, all_stripes: &AllStripes) -> Stats {
        let buffered = self.sampling.tail_sampler.as_ref().map(TailSampler::lock);
        let mut stats = Stats {
            misused: self.incidents.misused.load(Ordering::Relaxed),
            truncated_tags: self.incidents.truncated_tags.load(Ordering::Relaxed),
            clamped_times: self.incidents.clamped_times.load(Ordering::Relaxed),
            baggage_limited: self.incidents.baggage_limited.load(Ordering::Relaxed),
            decoding_errors: self.incidents.decoding_errors.load(Ordering::Relaxed),
            observer_panics: self.hooks.panics.load(Ordering::Relaxed),
            callback_panics: self.diagnostics.panics(),
            not_sampled: all_stripes.sum(|stripe| &stripe.not_sampled),
            ..Stats::default()
        };
        self.output.sink.read(&mut stats);
        if let Some(buffered) = buffered {
            buffered.read(&mut stats);
        }
        stats.finished = stats.all_places();
        stats.started = all_stripes.sum_apart(|stripe| &stripe.began).total()
            + all_stripes.sum_apart(|stripe| &stripe.joined).total();
        stats.open = stats.started.saturating_sub(stats.finished);
        stats
    }
}
