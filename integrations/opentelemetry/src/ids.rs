//! Ids of OpenTelemetry and of Jaeger, which are the same numbers.

use jaeger_client::{SpanId, TraceId};
use opentelemetry::trace;

/// Converts a trace id to Jaeger's model.
pub(crate) fn trace_id(id: trace::TraceId) -> TraceId {
    TraceId::from_bytes(id.to_bytes())
}

/// Converts a span id to Jaeger's model.
pub(crate) fn span_id(id: trace::SpanId) -> SpanId {
    SpanId::from_bytes(id.to_bytes())
}

/// Converts a trace id to OpenTelemetry's model.
pub(crate) fn otel_trace_id(id: TraceId) -> trace::TraceId {
    trace::TraceId::from_bytes(id.to_bytes())
}

/// Converts a span id to OpenTelemetry's model.
pub(crate) fn otel_span_id(id: SpanId) -> trace::SpanId {
    trace::SpanId::from_bytes(id.to_bytes())
}
