//! OTLP: the requests that an OpenTelemetry collector, or Jaeger v2, takes over HTTP on port 4318.

mod attributes;
mod span;

/// The scope of the spans, and the SDK of the resource.
const NAME: &str = "jaeger-client";
const VERSION: &str = env!("CARGO_PKG_VERSION");
