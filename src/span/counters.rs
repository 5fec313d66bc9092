//! Counters of started and finished spans: a stripe for each thread, and reading them as one set of
//! numbers.

use std::array;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::record::Sampled;
use super::shared::SpanShared;
use crate::stats::Stats;
use crate::tail::TailSampler;
use crate::thread_index::{EXCLUSIVE, assigned_index, retaining_index, thread_index};

/// A thread's reference to the shared part of a tracer, with its own counters. The reference count is
/// not shared by all threads either: with one count for all, two threads that make spans spend more
/// time on it than on the spans. On its own cache line (two, because CPUs fetch them in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Stripe {
    shared: Arc<SpanShared>,
    /// The index of the thread that alone writes `own`, or [`NO_OWNER`].
    owner: usize,
    /// The index of the thread that may keep references to the stripe which no span needs: the owner, if
    /// [`SpanShared::may_be_retained`] allows it, as long as the tracer may start spans.
    retainer: AtomicUsize,
    /// Written without locked instructions.
    own: Counters,
    by_others: CountersByOthers,
}

/// The owner of a stripe of threads without an exclusive index. No thread has this index.
const NO_OWNER: usize = usize::MAX - 1;

/// Counts of spans that are read as one set of numbers.
#[derive(Debug, Default)]
struct Counters {
    not_sampled: AtomicU64,
    /// Started spans, by how they came into a trace and whether it is sampled. Each is counted once
    /// both are known, so that the distinction costs nothing.
    began: SampledCounters,
    joined: SampledCounters,
}

/// What threads count that do not own the stripe, as they have no exclusive index, or finish a span
/// of another thread. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CountersByOthers {
    counters: Counters,
    /// The part of `joined` that are the first of their process; counted for metrics alone.
    first: SampledCounters,
    /// Finished spans whose decision was still deferred.
    finished_deferred: SampledCounters,
}

/// Counts of spans by whether they are sampled.
#[derive(Debug, Default)]
struct SampledCounters {
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

impl Counters {
    /// Returns the counter of started spans like this.
    #[inline(always)]
    fn started(&self, span_origin: SpanOrigin, sampled: Sampled) -> &AtomicU64 {
        let counters = match span_origin {
            SpanOrigin::Trace => &self.began,
            SpanOrigin::Joined => &self.joined,
        };
        counters.of(sampled)
    }
}

impl SampledCounters {
    #[inline(always)]
    fn of(&self, sampled: Sampled) -> &AtomicU64 {
        match sampled {
            Sampled::Yes => &self.yes,
            Sampled::No => &self.no,
            Sampled::Deferred => &self.deferred,
        }
    }
}

impl Stripe {
    fn new(shared: &Arc<SpanShared>, owner: usize) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            owner,
            retainer: AtomicUsize::new(if shared.may_be_retained { owner } else { NO_OWNER }),
            own: Counters::default(),
            by_others: CountersByOthers::default(),
        })
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns whether the thread that owns the stripe may keep references to it which no span needs.
    pub(in crate::span) fn may_be_retained(&self) -> bool {
        self.retainer.load(Ordering::Relaxed) != NO_OWNER
    }

    /// Returns whether the calling thread may do that.
    #[inline(always)]
    pub(in crate::span) fn may_be_retained_here(&self) -> bool {
        self.retainer.load(Ordering::Relaxed) == retaining_index()
    }

    /// Adds to a counter. Who reads the sum sees all that was done before.
    #[inline(always)]
    fn add(&self, spans: u64, counter: impl Fn(&Counters) -> &AtomicU64) {
        if self.owner == assigned_index() {
            add_by_owner(spans, counter(&self.own));
        } else {
            add_by_other(spans, counter(&self.by_others.counters));
        }
    }

    /// Counts a started span.
    #[inline(always)]
    pub(super) fn count_started(&self, span_origin: SpanOrigin, sampled: Sampled) {
        self.add(1, |counters| counters.started(span_origin, sampled));
    }

    /// Counts a started span on the thread that owns the stripe.
    #[inline(always)]
    pub(super) fn count_started_by_owner(&self, span_origin: SpanOrigin, sampled: Sampled) {
        add_by_owner(1, self.own.started(span_origin, sampled));
    }

    /// Counts a span that joined as the first of its process, beside its count as started.
    pub(super) fn count_first(&self, sampled: Sampled) {
        add_by_other(1, self.by_others.first.of(sampled));
    }

    /// Counts a span that is about to be finished while the decision is deferred, by its outcome.
    pub(super) fn count_deferred(&self, sampled: bool) {
        let sampled = if sampled { Sampled::Yes } else { Sampled::No };
        add_by_other(1, self.by_others.finished_deferred.of(sampled));
    }

    #[inline]
    pub(crate) fn count_not_sampled(&self) {
        self.count_not_sampled_by(1);
    }

    /// Counts the same on a thread that may keep references, and so is the owner.
    #[inline(always)]
    pub(in crate::span) fn count_not_sampled_by_owner(&self) {
        add_by_owner(1, &self.own.not_sampled);
    }

    #[inline]
    pub(crate) fn count_not_sampled_by(&self, spans: u64) {
        self.add(spans, |counters| &counters.not_sampled);
    }
}

/// Adds to a counter that the calling thread alone writes.
#[inline(always)]
fn add_by_owner(spans: u64, counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(spans), Ordering::Release);
}

/// Adds to a counter that several threads write.
#[inline(always)]
fn add_by_other(spans: u64, counter: &AtomicU64) {
    counter.fetch_add(spans, Ordering::Release);
}

impl Deref for Stripe {
    type Target = SpanShared;

    #[inline]
    fn deref(&self) -> &SpanShared {
        &self.shared
    }
}

/// The stripes of a tracer.
#[derive(Clone, Debug)]
pub(crate) struct Stripes(Arc<StripeTable>);

#[derive(Debug)]
struct StripeTable {
    /// By the exclusive index of their threads, which make them.
    owned: [OnceLock<Arc<Stripe>>; EXCLUSIVE],
    /// Those of all other threads.
    shared: Box<[Arc<Stripe>]>,
}

impl Stripes {
    /// Makes the stripes, `count` of them for threads without an exclusive index.
    pub(crate) fn new(shared: &Arc<SpanShared>, count: usize) -> Self {
        Self(Arc::new(StripeTable {
            owned: array::from_fn(|_| OnceLock::new()),
            shared: (0..count.max(1)).map(|_| Stripe::new(shared, NO_OWNER)).collect(),
        }))
    }

    /// Returns the stripe of the calling thread.
    #[inline]
    pub(crate) fn of_thread(&self, shared: &Arc<SpanShared>) -> &Arc<Stripe> {
        self.owned_by_thread().unwrap_or_else(|| self.other_of_thread(shared))
    }

    /// Returns the stripe that the calling thread owns, if it has made that before.
    #[inline(always)]
    pub(crate) fn owned_by_thread(&self) -> Option<&Arc<Stripe>> {
        self.0.owned.get(assigned_index()).and_then(OnceLock::get)
    }

    #[cold]
    #[inline(never)]
    fn other_of_thread(&self, shared: &Arc<SpanShared>) -> &Arc<Stripe> {
        let index = thread_index();
        match self.0.owned.get(index) {
            // No other thread makes it, so that none of a forked process may be about to.
            Some(owned) => {
                // Before the cell is initialized: an allocator may start spans itself.
                let made = Stripe::new(shared, index);
                owned.get_or_init(|| made)
            }
            None => &self.0.shared[index % self.0.shared.len()],
        }
    }

    /// Disallows threads to retain references to the stripes: their tracer was dropped.
    pub(crate) fn evict_from_pools(&self) {
        self.each().for_each(|stripe| stripe.retainer.store(NO_OWNER, Ordering::Relaxed));
    }

    fn each(&self) -> impl Iterator<Item = &Arc<Stripe>> {
        self.0.owned.iter().filter_map(OnceLock::get).chain(&self.0.shared)
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

fn by_sampled(count: impl Fn(Sampled) -> u64) -> BySampled {
    BySampled {
        yes: count(Sampled::Yes),
        no: count(Sampled::No),
        deferred: count(Sampled::Deferred),
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

impl Stripes {
    /// Returns the sum of a counter that is written by others than the owner alone.
    fn sum_by_others(&self, counter: impl Fn(&CountersByOthers) -> &AtomicU64) -> u64 {
        let read = |stripe: &Arc<Stripe>| counter(&stripe.by_others).load(Ordering::Acquire);
        self.each().map(read).sum()
    }

    fn sum(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let own = |stripe: &Arc<Stripe>| counter(&stripe.own).load(Ordering::Acquire);
        self.each().map(own).sum::<u64>() + self.sum_by_others(|others| counter(&others.counters))
    }

    fn not_sampled(&self) -> u64 {
        self.sum(|counters| &counters.not_sampled)
    }

    fn started(&self, span_origin: SpanOrigin) -> BySampled {
        by_sampled(|sampled| self.sum(|counters| counters.started(span_origin, sampled)))
    }

    /// Returns the counts, with `stats` read just before. A span that was finished while its
    /// decision was deferred is counted as such before it is counted as finished, and read after it, so
    /// that no decision is taken for final.
    pub(crate) fn span_counts(&self, stats: &Stats) -> SpanCounts {
        let deferred =
            by_sampled(|sampled| self.sum_by_others(|others| others.finished_deferred.of(sampled)));
        let finished = BySampled {
            // Buffered spans are neither yet.
            yes: (stats.finished - stats.not_sampled - stats.buffered).saturating_sub(deferred.yes),
            no: stats.not_sampled.saturating_sub(deferred.no),
            deferred: deferred.yes + deferred.no,
        };
        let (traces, joined) = (self.started(SpanOrigin::Trace), self.started(SpanOrigin::Joined));
        let started = BySampled {
            yes: traces.yes + joined.yes,
            no: traces.no + joined.no,
            deferred: traces.deferred + joined.deferred,
        };
        let first = |sampled| self.sum_by_others(|others| others.first.of(sampled));
        SpanCounts { traces, joined: by_sampled(first), started, finished }
    }
}

impl SpanShared {
    /// Returns the span accounting, whose sums hold: finished spans are read before started ones,
    /// so that no span is finished that was not started.
    pub(crate) fn stats(&self, stripes: &Stripes) -> Stats {
        let buffered = self.sampling.tail_sampler.as_ref().map(TailSampler::lock);
        let mut stats = Stats {
            misused: self.incidents.misused.load(Ordering::Relaxed),
            truncated_tags: self.incidents.truncated_tags.load(Ordering::Relaxed),
            clamped_times: self.incidents.clamped_times.load(Ordering::Relaxed),
            baggage_limited: self.incidents.baggage_limited.load(Ordering::Relaxed),
            decoding_errors: self.incidents.decoding_errors.load(Ordering::Relaxed),
            observer_panics: self.hooks.panics.load(Ordering::Relaxed),
            callback_panics: self.diagnostics.panics(),
            not_sampled: stripes.not_sampled(),
            ..Stats::default()
        };
        self.output.sink.read(&mut stats);
        if let Some(buffered) = buffered {
            buffered.read(&mut stats);
        }
        stats.finished = stats.all_places();
        stats.started = stripes.started(SpanOrigin::Trace).total()
            + stripes.started(SpanOrigin::Joined).total();
        stats.open = stats.started.saturating_sub(stats.finished);
        stats
    }
}
