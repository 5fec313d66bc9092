//! Spans without a tracer, for tests of samplers.

use std::fmt;
use std::sync::atomic::AtomicU64;

use super::parameters::DEFAULT_MAX_VALUE_BYTES;
use super::{Decision, ParentDecision, SamplingParameters, SpanTags};
use crate::clock::{Clock, ManualClock};
use crate::diag::Brief;
use crate::encoding::{List, TagBuffer, TagView, ValueView, tags_of};
use crate::id::TraceId;
use crate::sampler::Sampler;

/// A span without a tracer, for tests of samplers.
///
/// The span behaves as a tracer's span does: the sampler is called until its decision is final, and
/// its tags stay only if it samples.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// use jaeger_client::sampler::{ManualSpan, ProbabilisticSampler};
/// let sampler = ProbabilisticSampler::new(0.5)?;
/// let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
/// span.start(&sampler);
/// assert!(span.is_sampled() && span.is_final());
/// assert_eq!(span.tags().count(), 2);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct ManualSpan {
    trace_id: TraceId,
    operation_name: String,
    tags: TagBuffer,
    count: usize,
    clock: Box<dyn Clock>,
    memory: AtomicU64,
    child: bool,
    sampled: bool,
    decided: bool,
    firehose: bool,
}

impl fmt::Debug for ManualSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualSpan")
            .field("operation_name", &Brief(&self.operation_name))
            .field("is_sampled", &self.sampled)
            .field("is_final", &self.decided)
            .finish_non_exhaustive()
    }
}

impl ManualSpan {
    /// Returns the first span of a trace, at a time that stands still at 0.
    #[must_use]
    pub fn new(trace_id: TraceId, operation_name: impl Into<String>) -> Self {
        Self {
            trace_id,
            operation_name: operation_name.into(),
            tags: TagBuffer::default(),
            count: 0,
            clock: Box::new(ManualClock::new()),
            memory: AtomicU64::new(0),
            child: false,
            sampled: false,
            decided: false,
            firehose: false,
        }
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Marks the span as a later one: its trace began in another span of the process.
    #[must_use]
    pub fn below_root(self) -> Self {
        Self { child: true, ..self }
    }

    /// Calls the sampler for the start and returns its decision.
    pub fn start(&mut self, sampler: &(impl Sampler + ?Sized)) -> Decision {
        self.call(|span| sampler.on_create_span(span))
    }

    /// Calls the sampler for the first span here of a trace that began elsewhere and returns its
    /// decision, or `None` if the caller's decision stands.
    pub fn join(
        &mut self,
        sampler: &(impl Sampler + ?Sized),
        parent: ParentDecision,
    ) -> Option<Decision> {
        let mut decision = None;
        self.call(|span| {
            decision = sampler.on_join(span, parent);
            decision.unwrap_or_else(|| Decision::new(parent.is_sampled))
        });
        decision
    }

    /// Renames the span and calls the sampler. Returns `None` if the decision is final already.
    pub fn set_operation_name(
        &mut self,
        sampler: &(impl Sampler + ?Sized),
        name: impl Into<String>,
    ) -> Option<Decision> {
        self.operation_name = name.into();
        (!self.decided).then(|| self.call(|span| sampler.on_set_operation_name(span)))
    }

    /// Calls the sampler for a tag, which is not stored. Returns `None` if the decision is final
    /// already.
    pub fn set_tag(
        &mut self,
        sampler: &(impl Sampler + ?Sized),
        key: &str,
        value: ValueView<'_>,
    ) -> Option<Decision> {
        (!self.decided).then(|| self.call(|span| sampler.on_set_tag(span, key, value)))
    }

    /// Calls the sampler for the end. Returns `None` if the decision is final already.
    pub fn finish(&mut self, sampler: &(impl Sampler + ?Sized)) -> Option<Decision> {
        (!self.decided).then(|| self.call(|span| sampler.on_finish(span)))
    }

    /// Returns whether the trace is recorded.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Returns whether the decision is final.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.decided
    }

    /// Returns whether the trace is kept out of the index.
    #[must_use]
    pub const fn is_firehose(&self) -> bool {
        self.firehose
    }

    /// Returns the tags that samplers have set.
    pub fn tags(&self) -> impl Iterator<Item = TagView<'_>> {
        tags_of(Some(List::new(self.count, self.tags.bytes())))
    }

    fn call(&mut self, callback: impl FnOnce(&mut SamplingParameters<'_>) -> Decision) -> Decision {
        let mut sampler_tags = SpanTags::default();
        let mut span = SamplingParameters::new(
            self.trace_id,
            &self.operation_name,
            &mut sampler_tags,
            DEFAULT_MAX_VALUE_BYTES,
            &*self.clock,
        )
        .with_memory(&self.memory);
        if self.child {
            span = span.below_root();
        }
        let decision = callback(&mut span);
        if decision.sample {
            self.sampled = true;
            self.firehose |= decision.firehose;
            self.count += sampler_tags.append_to(&mut self.tags);
        }
        self.decided |= !decision.retryable;
        decision
    }
}
