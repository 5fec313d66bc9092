//! The part that all spans of a tracer share: ids, time, decisions, limits, and the sink of
//! finished spans.

use std::any::Any;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use super::context::SpanContext;
use super::observer::{Hooks, OpenList, OpenSpans};
use super::options::SpanOptions;
use super::record::TraceState;
pub(crate) use super::sink::{Sink, SpanSink};
use super::tag::shortened;
use crate::clock::{Anchor, TracerClock, storable_nanos, system_time};
use crate::diag::{Cause, Diagnostics};
use crate::fork::ProcessOrigin;
use crate::id::{self, IdGenerator};
use crate::panics::Callback;
use crate::policy::{BaggageRestriction, BaggageRestrictionManager, DebugThrottler, Updates};
use crate::sampler::{Rule, Sampler, SamplerStatus};
use crate::tail::TailSampler;

/// The counts of baggage items that were set or denied.
#[derive(Debug, Default)]
pub(crate) struct BaggageCounts {
    pub(crate) set: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) truncated: AtomicU64,
}

/// How often something was done to spans or contexts that was not taken as it came.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    pub(crate) misused: AtomicU64,
    pub(crate) truncated_tags: AtomicU64,
    pub(crate) clamped_times: AtomicU64,
    pub(crate) baggage_limited: AtomicU64,
    pub(crate) baggage: BaggageCounts,
    pub(crate) decoding_errors: AtomicU64,
}

/// The parts of a tracer that its spans use.
#[derive(Debug)]
pub(crate) struct SpanShared {
    pub(crate) clock: TracerClock,
    pub(crate) anchor: Anchor,
    pub(crate) sampler: Box<dyn Sampler>,
    /// Whether the sampler may defer a decision.
    pub(crate) may_defer: bool,
    /// Whether the sampler is called for traces that continue here.
    pub(crate) decides_on_join: bool,
    /// Whether the sampler may decide by the id alone: its tags are then not truncated, so they
    /// must fit.
    pub(crate) decides_by_id: bool,
    /// Whether spans take the slow path, because there are callbacks for calls on them.
    pub(crate) slow_path: bool,
    /// Whether spans of builders take the full start: on the slow path, for metrics, because they
    /// may be buffered, or to find the server's side of a call.
    pub(crate) full_start: bool,
    /// Whether the first spans in this process are counted, which only metrics need.
    pub(crate) counts_first: bool,
    /// Whether the start of a span takes the slow path.
    pub(crate) has_hooks: bool,
    /// The empty baggage of spans without a caller, if the tracer is disabled: its spans are not
    /// recorded, and forward the caller's context.
    pub(crate) disabled: Option<Arc<SpanContext>>,
    /// The observers, and the list of open spans.
    pub(crate) hooks: Hooks,
    /// The tail sampler, if there is one.
    pub(crate) tail_sampler: Option<TailSampler<Arc<TraceState>>>,
    /// The tracer, for code that has a span alone. Its type is not known here.
    pub(crate) tracer: OnceLock<Weak<dyn Any + Send + Sync>>,
    pub(crate) sink: Sink,
    pub(crate) ids: Option<Box<dyn IdGenerator>>,
    /// Makes the ids of this tracer differ from those of others that draw from the same state.
    pub(crate) salt: u64,
    /// The process in which the tracer was built.
    pub(crate) origin: ProcessOrigin,
    /// Whether a forked process has noticed the fork.
    pub(crate) is_closed_in_fork: AtomicBool,
    pub(crate) trace_id_128bit: bool,
    /// Whether the members of other vendors in `tracestate` are recorded as a tag, which OTLP has a
    /// place for.
    pub(crate) records_trace_state: bool,
    pub(crate) options: SpanOptions,
    /// The limit for tags given before the start, which are not truncated for a sampler that defers
    /// and for observers.
    pub(crate) max_start_tag_value_bytes: usize,
    pub(crate) max_baggage_value_bytes: usize,
    pub(crate) debug_tag: String,
    pub(crate) diagnostics: Arc<Diagnostics>,
    pub(crate) service_name: Box<str>,
    /// The restriction manager; none if all baggage may be set.
    pub(crate) restrictions: Option<Box<dyn BaggageRestrictionManager>>,
    /// The throttler; none if every request for debugging is granted.
    pub(crate) throttler: Option<Box<dyn DebugThrottler>>,
    pub(crate) incidents: Incidents,
}

impl SpanShared {
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled.is_some()
    }

    /// Returns whether this process was forked from the one that built the tracer. It then has no
    /// thread that would send spans, and any lock may be locked for ever.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.origin.is_forked()
    }

    /// Ends the tracer in a forked process, and logs that, once.
    #[cold]
    pub(crate) fn close_in_fork(&self) {
        if !self.is_closed_in_fork.swap(true, Ordering::Relaxed) {
            if let Sink::ShardedBuffers(shards) = &self.sink {
                shards.close_in_fork();
            }
            self.diagnostics.say_fork();
        }
    }

    /// Returns the status of the sampler.
    pub(crate) fn sampler_status(&self) -> SamplerStatus {
        if self.is_forked() {
            return SamplerStatus::new(Rule::Const { sample: false });
        }
        self.sampler.status()
    }

    /// Returns a new id of a span.
    #[inline]
    pub(crate) fn next_id(&self) -> u64 {
        match &self.ids {
            None => id::random_id(self.salt),
            Some(ids) => self.generated_id(&**ids),
        }
    }

    /// Returns the upper half of a new trace id.
    #[inline]
    pub(crate) fn next_high(&self) -> u64 {
        if !self.trace_id_128bit {
            return 0;
        }
        self.ids
            .as_ref()
            .map_or_else(|| id::random_63(self.salt), |ids| self.generated_high(&**ids))
    }

    /// Draws again, but not for ever, if a generator returns zero.
    #[cold]
    fn generated_id(&self, ids: &dyn IdGenerator) -> u64 {
        let next = |_| self.diagnostics.call(Callback::IdGeneratorNext, || ids.next());
        let first = (0..MAX_ZEROS).map_while(next).find(|id| *id != 0);
        first.unwrap_or_else(id::system_63)
    }

    #[cold]
    fn generated_high(&self, ids: &dyn IdGenerator) -> u64 {
        let next = self.diagnostics.call(Callback::IdGeneratorNextHigh, || ids.next_high());
        next.unwrap_or_else(id::system_63)
    }

    /// Returns the text of a tag within the limit.
    pub(crate) fn within_limit<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.len() <= self.options.max_tag_value_bytes {
            return Cow::Borrowed(text);
        }
        self.count_cut_tag();
        shortened(text, self.options.max_tag_value_bytes, self.options.marks_truncated_tags)
    }

    #[cold]
    pub(crate) fn count_cut_tag(&self) {
        self.incidents.truncated_tags.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts baggage items that were left out when a context was written or read.
    #[cold]
    pub(crate) fn limit_baggage(&self, done: &str, left_out: u64) {
        self.incidents.baggage_limited.fetch_add(left_out, Ordering::Relaxed);
        self.diagnostics.error(Cause::BaggageLimited, || {
            format!(
                "{left_out} baggage items were left out when a context was {done}: a carrier has \
                 180 items and 8,192 bytes at most, and keys that can be names of headers"
            )
        });
    }

    /// Returns the restriction on a baggage item about to be set.
    pub(crate) fn restriction(&self, key: &str) -> BaggageRestriction {
        match &self.restrictions {
            None => BaggageRestriction::up_to(self.max_baggage_value_bytes),
            Some(manager) => {
                let call = || manager.restriction(&self.service_name, key);
                let restriction =
                    self.diagnostics.call(Callback::RestrictionManagerRestriction, call);
                restriction.unwrap_or(BaggageRestriction::DENIED)
            }
        }
    }

    /// Returns the counts of polls for baggage restrictions.
    pub(crate) fn restriction_updates(&self) -> Updates {
        let read = |manager: &dyn BaggageRestrictionManager| {
            self.diagnostics.call(Callback::RestrictionManagerUpdates, || manager.updates())
        };
        self.restrictions.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns the counts of polls for debugging credits.
    pub(crate) fn throttler_updates(&self) -> Updates {
        let read = |throttler: &dyn DebugThrottler| {
            self.diagnostics.call(Callback::ThrottlerUpdates, || throttler.updates())
        };
        self.throttler.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns how many requests for debugging were denied for want of credit.
    pub(crate) fn throttled(&self) -> u64 {
        let read = |throttler: &dyn DebugThrottler| {
            self.diagnostics.call(Callback::ThrottlerThrottled, || throttler.throttled())
        };
        self.throttler.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns whether a span of that operation may set the debug flag. No lock may be held: a
    /// throttler may wait for a server.
    #[cold]
    pub(crate) fn is_debug_allowed(&self, operation: &str) -> bool {
        let Some(throttler) = &self.throttler else { return true };
        let call = || throttler.is_allowed(operation);
        self.diagnostics.call(Callback::ThrottlerIsAllowed, call).unwrap_or(false)
    }

    /// Returns the storable time nearest to the one given in `call`, in nanoseconds since the Unix
    /// epoch. A difference is counted and logged.
    #[inline]
    pub(crate) fn checked_nanos(&self, call: &'static str, time: SystemTime) -> i64 {
        storable_nanos(time).unwrap_or_else(|nearest| {
            self.report_time(call, time);
            nearest
        })
    }

    /// Reads both clocks again.
    pub(crate) fn renew_anchor(&self) {
        if let Some(wall_nanos) = self.anchor.renew(&self.clock) {
            self.report_time("the clock", system_time(wall_nanos));
        }
    }

    /// Compares a clock that may drift with the system's. Returns when to do that again, if at all.
    pub(crate) fn discipline_clock(&self) -> Option<Duration> {
        let (again, change) = self.clock.discipline();
        if let Some(change) = change {
            self.diagnostics.info(&format!("the tracer's clock is {change}"));
        }
        if again.is_some() || change.is_some() {
            self.renew_anchor();
        }
        again
    }

    /// Counts a time that servers do not store, and logs where it comes from.
    #[cold]
    fn report_time(&self, source: &'static str, time: SystemTime) {
        self.incidents.clamped_times.fetch_add(1, Ordering::Relaxed);
        self.diagnostics.error(Cause::Time, || {
            let (distance, side) = match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => (after, "after"),
                Err(before) => (before.duration(), "before"),
            };
            let seconds = distance.as_secs_f64();
            format!(
                "{source}: {seconds} s {side} 1970-01-01 UTC is a time that servers do not store; \
                 the nearest that they do is sent"
            )
        });
    }

    /// Counts a call on a span after its end, and logs which it was.
    #[cold]
    pub(crate) fn report_misuse(&self, call: &'static str) {
        self.incidents.misused.fetch_add(1, Ordering::Relaxed);
        self.diagnostics
            .error(Cause::Misused, || format!("{call} on a span after it was finished"));
    }

    /// Returns the unfinished spans, if they are listed.
    pub(crate) fn open_spans(&self) -> OpenSpans {
        let read = |open: &OpenList| open.read(&self.clock, &self.anchor);
        self.hooks.open.as_ref().map(read).unwrap_or_default()
    }

    /// Logs that a span was finished after the close: a closer that was dropped early must not go
    /// unnoticed.
    #[cold]
    pub(crate) fn report_closed(&self) {
        self.diagnostics.error(Cause::Closed, || {
            "a span was finished after its tracer had been closed, and is lost; is the Closer \
             dropped too early?"
                .to_owned()
        });
    }
}

/// How often a generator is called for an id that is not zero.
const MAX_ZEROS: usize = 8;
