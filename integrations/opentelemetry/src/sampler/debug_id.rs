//! The sampler of traces with a debug id.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::propagator::debug_id;

/// Records each trace whose caller sets the header `jaeger-debug-id`, and calls another sampler for
/// all others.
///
/// The span has the id as its tag `jaeger-debug-id`, by which it is found. The id is read by
/// [`JaegerPropagator`](crate::JaegerPropagator). [`JaegerRemoteSampler`](crate::JaegerRemoteSampler) does
/// the same by itself.
///
/// # Cost
///
/// One look-up in the parent's context.
///
/// # Source
///
/// `startSpanWithOptions` in jaeger-client-go, `tracer.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client_opentelemetry::DebugIdSampler;
/// use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
/// let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01)));
/// let provider = SdkTracerProvider::builder().with_sampler(DebugIdSampler::new(sampler)).build();
/// # let _ = provider;
/// ```
#[derive(Clone, Debug)]
pub struct DebugIdSampler<S> {
    others: S,
}

impl<S> DebugIdSampler<S> {
    /// Calls `others` for traces without a debug id.
    #[must_use]
    pub const fn new(others: S) -> Self {
        Self { others }
    }
}

impl<S: ShouldSample + Clone + 'static> ShouldSample for DebugIdSampler<S> {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        requested(parent_context).unwrap_or_else(|| {
            self.others.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
        })
    }
}

/// Returns the decision for the first local span of a request for debugging.
pub(super) fn requested(parent: Option<&Context>) -> Option<SamplingResult> {
    let parent = parent?;
    let id = debug_id(parent)?;
    let span = parent.span();
    let context = span.span_context();
    if context.is_valid() && !context.is_remote() {
        return None;
    }
    let attributes = vec![KeyValue::new("jaeger-debug-id", id.to_owned())];
    Some(result(true, attributes, context.trace_state().clone()))
}

pub(super) fn result(
    sample: bool,
    attributes: Vec<KeyValue>,
    trace_state: TraceState,
) -> SamplingResult {
    let decision = if sample { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
    SamplingResult { decision, attributes, trace_state }
}
