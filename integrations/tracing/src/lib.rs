//! Makes spans of a Jaeger tracer of the spans and events of `tracing`.
