//! Well-known tag keys, as OpenTracing and Jaeger define them.
//!
//! # Source
//!
//! `ext` of opentracing-go, `ext/tags.go`.
//!
//! # Examples
//!
//! ```
//! use jaeger_client::{Tracer, tags};
//! use jaeger_client::tags::SpanKind;
//! let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
//! let span = tracer.span("select").kind(SpanKind::Client).tag(tags::DB_TYPE, "sql").start();
//! # Ok::<(), jaeger_client::ConfigError>(())
//! ```

use std::fmt;

/// The failure of the operation: a boolean.
pub const ERROR: &str = "error";
/// The role of the span in a call, see [`SpanKind`].
pub const SPAN_KIND: &str = "span.kind";
/// The sampling priority: above 0 the trace is recorded, 0 prevents it.
pub const SAMPLING_PRIORITY: &str = "sampling.priority";
/// The library or framework that made the span.
pub const COMPONENT: &str = "component";
/// The address of the peer, as `host:port` or in any other form.
pub const PEER_ADDRESS: &str = "peer.address";
/// The host name of the peer.
pub const PEER_HOSTNAME: &str = "peer.hostname";
/// The IPv4 address of the peer, as text.
pub const PEER_IPV4: &str = "peer.ipv4";
/// The IPv6 address of the peer, as text.
pub const PEER_IPV6: &str = "peer.ipv6";
/// The port of the peer, a number.
pub const PEER_PORT: &str = "peer.port";
/// The service name of the peer.
pub const PEER_SERVICE: &str = "peer.service";
/// The method of a request, such as `GET`.
pub const HTTP_METHOD: &str = "http.method";
/// The status code of a response, a number.
pub const HTTP_STATUS_CODE: &str = "http.status_code";
/// The URL of a request.
pub const HTTP_URL: &str = "http.url";
/// The name of a database.
pub const DB_INSTANCE: &str = "db.instance";
/// A database statement.
pub const DB_STATEMENT: &str = "db.statement";
/// The kind of a database: `sql`, `redis`.
pub const DB_TYPE: &str = "db.type";
/// The user of a database.
pub const DB_USER: &str = "db.user";
/// The destination or source of messages: a topic, a queue.
pub const MESSAGE_BUS_DESTINATION: &str = "message_bus.destination";

/// The role of a span in a call, the value of [`SPAN_KIND`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// The span calls another service, and waits for the response.
    Client,
    /// The span serves a call.
    Server,
    /// The span sends a message.
    Producer,
    /// The span handles a message.
    Consumer,
    /// The span is within the service.
    Internal,
}

impl SpanKind {
    /// Returns the value of the tag.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for SpanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
