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
use super::record::SharedState;
pub(crate) use super::sink::{Sink, SpanSink};
use super::tag::truncate_value;
use crate::clock::{Anchor, TracerClock, storable_nanos, system_time};
use crate::diag::{Cause, Diagnostics};
use crate::fork::ProcessOrigin;
use crate::id::IdSource;
use crate::panics::Callback;
use crate::policy::{BaggageRestriction, BaggageRestrictionManager, DebugThrottler, Updates};
use crate::sampler::{ConstantDecision, Rule, Sampler, SamplerStatus};
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
    pub(crate) id_source: IdSource,
    pub(crate) sampling: Sampling,
    pub(crate) start: StartPaths,
    pub(crate) options: SpanOptions,
    pub(crate) baggage: BaggageLimits,
    /// The observers, and the list of open spans.
    pub(crate) hooks: Hooks,
    pub(crate) output: Output,
    /// The empty baggage of spans without a caller, if the tracer is disabled: its spans are not
    /// recorded, and forward the caller's context.
    pub(crate) disabled: Option<Arc<SpanContext>>,
    /// The tracer, for code that has a span alone. Its type is not known here.
    pub(crate) tracer: OnceLock<Weak<dyn Any + Send + Sync>>,
    pub(crate) process: OwnProcess,
    /// Whether it may outlive the tracer and its spans for a while: it holds no value of the caller's with
    /// a destructor, which the caller may wait for.
    pub(crate) may_be_retained: bool,
    pub(crate) diagnostics: Arc<Diagnostics>,
    pub(crate) incidents: Incidents,
}

/// The parts that decide which traces are recorded.
#[derive(Debug)]
pub(crate) struct Sampling {
    pub(crate) sampler: Box<dyn Sampler>,
    /// Its decision, if that is always the same: without a call.
    pub(in crate::span) constant: ConstantDecision,
    /// Whether the sampler may defer a decision.
    pub(crate) may_defer: bool,
    /// Whether the sampler is called for traces that continue here.
    pub(crate) decides_on_join: bool,
    /// Whether the sampler may decide by the id alone: its tags are then not truncated, so they
    /// must fit.
    pub(crate) decides_by_id: bool,
    /// The tail sampler, if there is one.
    pub(crate) tail_sampler: Option<TailSampler<SharedState>>,
    /// The throttler; none if every request for debugging is granted.
    pub(crate) throttler: Option<Box<dyn DebugThrottler>>,
    /// The key of the tag with a caller's debug id.
    pub(crate) debug_tag: String,
}

impl Sampling {
    pub(crate) fn new(
        sampler: Box<dyn Sampler>,
        tail_sampler: Option<TailSampler<SharedState>>,
        throttler: Option<Box<dyn DebugThrottler>>,
        debug_tag: String,
        options: &SpanOptions,
    ) -> Self {
        Self {
            constant: ConstantDecision::of(&*sampler),
            may_defer: sampler.may_defer(),
            decides_on_join: sampler.decides_on_join(),
            decides_by_id: options.max_tag_value_length >= MAX_KIND_BYTES,
            sampler,
            tail_sampler,
            throttler,
            debug_tag,
        }
    }
}

/// How a span is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartPath {
    /// With the ids and the decision alone.
    Fast,
    /// As `Fast`; and observers are notified of the finished span.
    Observed,
    /// With everything else that the tracer may do at a start.
    Full,
    /// As `Full`; and each later call on the span takes the slow path, because there are callbacks
    /// for it.
    WithHooks,
}

/// The paths that spans of a tracer take at their start, worked out when it is built.
#[derive(Debug)]
pub(crate) struct StartPaths {
    /// The path of a span that has only a name. `Full` is the path of a builder.
    pub(crate) by_name: StartPath,
    /// The path of a span with a builder.
    pub(crate) by_builder: StartPath,
    /// Whether the start of a prepared span calls nothing of the application: no sampler but one whose every
    /// decision is by the id alone, no clock, generator of ids or observer.
    pub(crate) runs_no_callbacks: bool,
    /// Whether the first spans in this process are counted, which only metrics need.
    pub(crate) counts_first_spans: bool,
    /// The limit of what is stored of tags given before the start, which are not truncated for a sampler
    /// that defers and for observers: they are truncated at the start. A tag that is longer takes another path
    /// where observers are notified of the finished span alone.
    pub(crate) max_tag_value_bytes: usize,
}

impl StartPaths {
    /// Works out the paths, of a tracer that is not disabled.
    pub(crate) fn new(
        sampling: &Sampling,
        id_source: &IdSource,
        hooks: &Hooks,
        options: &SpanOptions,
        has_metrics: bool,
        has_own_clock: bool,
    ) -> Self {
        let full_if = |is_full| if is_full { StartPath::Full } else { StartPath::Fast };
        let may_buffer = sampling.tail_sampler.is_some();
        let may_change_joined =
            sampling.decides_on_join || may_buffer || options.zipkin_shared_rpc_span;
        let needs_slow_path = sampling.may_defer
            || options.max_logs_per_span > 0
            || hooks.follow_spans()
            || (hooks.finish_observers.is_some() && may_change_joined);
        let by_builder = if needs_slow_path {
            StartPath::WithHooks
        } else if hooks.finish_observers.is_some() {
            StartPath::Observed
        } else {
            full_if(may_change_joined || has_metrics || id_source.generator.is_some())
        };
        let has_later_tags =
            sampling.may_defer || (hooks.want_tags() && by_builder == StartPath::WithHooks);
        Self {
            by_name: if needs_slow_path
                || may_buffer
                || id_source.generator.is_some()
                || !sampling.decides_by_id
            {
                StartPath::Full
            } else if hooks.finish_observers.is_some() {
                StartPath::Observed
            } else {
                StartPath::Fast
            },
            by_builder,
            runs_no_callbacks: by_builder == StartPath::Fast
                && sampling.sampler.built_in().is_some_and(|built_in| built_in.decides_by_id_alone)
                && id_source.generator.is_none()
                && !has_own_clock,
            counts_first_spans: has_metrics,
            max_tag_value_bytes: if has_later_tags {
                usize::MAX
            } else {
                options.max_tag_value_length
            },
        }
    }

    /// Makes every start take the full path, for a disabled tracer.
    pub(crate) fn all_full(self) -> Self {
        let by_builder = match self.by_builder {
            StartPath::Fast | StartPath::Observed => StartPath::Full,
            other => other,
        };
        Self { by_name: StartPath::Full, by_builder, runs_no_callbacks: false, ..self }
    }
}

/// The limits on baggage that spans set.
#[derive(Debug)]
pub(crate) struct BaggageLimits {
    /// The restriction manager; none if all baggage may be set.
    pub(crate) restrictions: Option<Box<dyn BaggageRestrictionManager>>,
    pub(crate) max_value_bytes: usize,
}

/// The destination of finished spans.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) sink: Sink,
    /// Whether the members of other vendors in `tracestate` are recorded as a tag, which OTLP has a
    /// place for.
    pub(crate) records_tracestate: bool,
}

/// The process in which the tracer was built.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    pub(crate) service_name: Box<str>,
    pub(crate) origin: ProcessOrigin,
    /// Whether a forked process has noticed the fork.
    pub(crate) is_closed_in_fork: AtomicBool,
}

impl SpanShared {
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled.is_some()
    }

    /// Returns whether this process was forked from the one that built the tracer. It then has no
    /// thread that would send spans, and any lock may be locked for ever.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.process.origin.is_forked()
    }

    /// Ends the tracer in a forked process, and logs that, once.
    #[cold]
    pub(crate) fn close_in_fork(&self) {
        if !self.process.is_closed_in_fork.swap(true, Ordering::Relaxed) {
            if let Sink::ShardedBuffers(shards) = &self.output.sink {
                shards.close_in_fork();
            }
            self.diagnostics.log_fork();
        }
    }

    /// Returns the status of the sampler.
    pub(crate) fn sampler_status(&self) -> SamplerStatus {
        if self.is_forked() {
            return SamplerStatus::new(Rule::Const { sample: false });
        }
        self.sampling.sampler.status()
    }

    /// Returns the text of a tag within the limit. What is truncated is not counted here, as a tag may be
    /// copied several times.
    pub(crate) fn truncate_to_limit<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.len() <= self.options.max_tag_value_length {
            return Cow::Borrowed(text);
        }
        truncate_value(text, self.options.max_tag_value_length, self.options.mark_truncated_tags)
    }

    /// Counts a tag's value of so many bytes if that is beyond the limit.
    pub(crate) fn count_if_truncated(&self, bytes: usize) {
        if bytes > self.options.max_tag_value_length {
            self.count_truncated_tag();
        }
    }

    #[cold]
    pub(crate) fn count_truncated_tag(&self) {
        self.incidents.truncated_tags.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts baggage items that were left out when a context was written or read.
    #[cold]
    pub(crate) fn report_baggage_left_out(&self, done: &str, left_out: u64) {
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
        match &self.baggage.restrictions {
            None => BaggageRestriction::up_to(self.baggage.max_value_bytes),
            Some(manager) => {
                let call = || manager.restriction(&self.process.service_name, key);
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
        self.baggage.restrictions.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns the counts of polls for debugging credits.
    pub(crate) fn throttler_updates(&self) -> Updates {
        let read = |throttler: &dyn DebugThrottler| {
            self.diagnostics.call(Callback::ThrottlerUpdates, || throttler.updates())
        };
        self.sampling.throttler.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns how many requests for debugging were denied for want of credit.
    pub(crate) fn throttled(&self) -> u64 {
        let read = |throttler: &dyn DebugThrottler| {
            self.diagnostics.call(Callback::ThrottlerThrottled, || throttler.throttled())
        };
        self.sampling.throttler.as_deref().and_then(read).unwrap_or_default()
    }

    /// Returns whether a span of that operation may set the debug flag. No lock may be held: a
    /// throttler may wait for a server.
    #[cold]
    pub(crate) fn is_debug_allowed(&self, operation: &str) -> bool {
        let Some(throttler) = &self.sampling.throttler else { return true };
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

/// The longest type name of a sampler, which a smaller limit of tags would truncate.
const MAX_KIND_BYTES: usize = 32;
