//! The destinations of finished spans, as data.
//!
//! A [`Destination`] is a description; an exporter sends to it. To add a kind of destination,
//! implement [`Reporter`]; to add a way of sending bytes, a transport.

use super::{InMemoryReporter, Reporter};
use crate::transport::{AgentProtocol, HttpConfig, OtlpConfig, Transport};

/// A destination of finished spans, with a name for its counts.
///
/// # Examples
///
/// ```
/// use jaeger_client::{AgentProtocol, Destination, InMemoryReporter, Tracer};
/// let memory = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc")
///     .destination(Destination::agent("localhost:6831", AgentProtocol::Compact))
///     .add_destination(Destination::in_memory(&memory).named("copy"))
///     .build()?;
/// assert_eq!(tracer.destination_stats()[1].name, "copy");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use = "a destination is given to a tracer's builder"]
pub struct Destination {
    pub(super) name: String,
    pub(super) kind: DestinationKind,
}

#[derive(Debug)]
pub(super) enum DestinationKind {
    Agent { address: String, protocol: AgentProtocol },
    Collector(Box<HttpConfig>),
    Otlp(Box<OtlpConfig>),
    Transport(Box<dyn Transport>, AgentProtocol),
    Reporter(Box<dyn Reporter>),
    Logging,
    Null,
}

impl Destination {
    /// Returns an agent at `host:port`, or at `unix:/path/to/socket`, with the protocol of that
    /// port.
    pub fn agent(host_port: impl Into<String>, protocol: AgentProtocol) -> Self {
        Self::of("agent", DestinationKind::Agent { address: host_port.into(), protocol })
    }

    /// Returns a collector, or a Zipkin server, over HTTP. Needs the feature `collector-http`.
    pub fn collector(config: HttpConfig) -> Self {
        Self::of("collector", DestinationKind::Collector(Box::new(config)))
    }

    /// Returns a server of OTLP over HTTP, such as an OpenTelemetry Collector or Jaeger v2. Needs
    /// the feature `otlp`.
    pub fn otlp(config: OtlpConfig) -> Self {
        Self::of("otlp", DestinationKind::Otlp(Box::new(config)))
    }

    /// Returns a custom transport, for an agent's messages.
    pub fn transport(transport: impl Transport + 'static, protocol: AgentProtocol) -> Self {
        Self::boxed_transport(Box::new(transport), protocol)
    }

    pub(crate) fn boxed_transport(transport: Box<dyn Transport>, protocol: AgentProtocol) -> Self {
        Self::of("transport", DestinationKind::Transport(transport, protocol))
    }

    /// Returns the tracer's logger: it logs the context and the name of each span as information.
    /// The default logger ignores information.
    pub fn logging() -> Self {
        Self::of("logging", DestinationKind::Logging)
    }

    /// Returns a store of spans in memory, for tests.
    pub fn in_memory(reporter: &InMemoryReporter) -> Self {
        Self::of("memory", DestinationKind::Reporter(Box::new(reporter.clone())))
    }

    /// Returns a destination that discards spans, and counts them as sent.
    pub fn null() -> Self {
        Self::of("null", DestinationKind::Null)
    }

    /// Returns a custom reporter.
    pub fn reporter(reporter: impl Reporter + 'static) -> Self {
        Self::of("reporter", DestinationKind::Reporter(Box::new(reporter)))
    }

    pub(crate) fn is_otlp(&self) -> bool {
        matches!(self.kind, DestinationKind::Otlp(_))
    }

    fn of(name: &str, kind: DestinationKind) -> Self {
        Self { name: name.to_owned(), kind }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the name for the counts in
    /// [`Tracer::destination_stats`](crate::Tracer::destination_stats).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<R: Reporter + 'static> From<R> for Destination {
    fn from(reporter: R) -> Self {
        Self::reporter(reporter)
    }
}
