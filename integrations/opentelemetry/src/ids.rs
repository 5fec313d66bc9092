//! Ids of OpenTelemetry and of Jaeger, which are the same numbers.

use jaeger_client::{SpanId, TraceId};
use opentelemetry::trace;

/// The same trace id in Jaeger's model.
#[expect(clippy::cast_possible_truncation, reason = "each half is what is meant")]
pub(crate) fn trace_id(id: trace::TraceId) -> TraceId {
    let bits = u128::from_be_bytes(id.to_bytes());
    TraceId::new((bits >> 64) as u64, bits as u64)
}

/// The same span id in Jaeger's model.
pub(crate) fn span_id(id: trace::SpanId) -> SpanId {
    SpanId::new(u64::from_be_bytes(id.to_bytes()))
}

/// The same trace id in OpenTelemetry's model.
pub(crate) fn otel_trace_id(id: TraceId) -> trace::TraceId {
    trace::TraceId::from((u128::from(id.high()) << 64) | u128::from(id.low()))
}

/// The same span id in OpenTelemetry's model.
pub(crate) fn otel_span_id(id: SpanId) -> trace::SpanId {
    trace::SpanId::from(id.get())
}
