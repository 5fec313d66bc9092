//! The names of Jaeger's own headers.

use crate::non_exhaustive::NonExhaustive;

/// The names of the headers, all configurable. Case does not matter in reading.
///
/// The names must be valid for headers, and differ: a tracer is not built if one is empty, if two
/// are the same, or if one begins with the prefix of baggage.
///
/// # Source
///
/// `HeadersConfig` in jaeger-client-go, `config/config.go`, which never finds names that were
/// configured with upper-case letters.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::{Configuration, HeadersConfig};
/// let headers =
///     HeadersConfig { trace_context: "x-trace".to_owned(), ..HeadersConfig::default() };
/// let (tracer, _closer) = Configuration { headers, ..Configuration::new("checkout") }.new_tracer()?;
/// let mut carrier = HashMap::new();
/// tracer.inject(&tracer.start_span("call"), &mut carrier);
/// assert!(carrier.contains_key("x-trace"));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a configuration, written with struct update syntax")]
pub struct HeadersConfig {
    /// The trace context.
    pub trace_context: String,
    /// The prefix of the header of a baggage item.
    pub baggage_prefix: String,
    /// A caller's debug id, which forces the request to be traced from here on, whatever was decided
    /// about its trace before.
    pub debug: String,
    /// Baggage written by hand: `key1=value1, key2=value2`.
    pub baggage: String,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for HeadersConfig {
    fn default() -> Self {
        Self {
            trace_context: "uber-trace-id".to_owned(),
            baggage_prefix: "uberctx-".to_owned(),
            debug: "jaeger-debug-id".to_owned(),
            baggage: "jaeger-baggage".to_owned(),
            __non_exhaustive: NonExhaustive,
        }
    }
}
