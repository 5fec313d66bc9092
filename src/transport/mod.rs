//! Transports: send bytes out of the process; they know addresses and sizes, but no spans.
//!
//! Step 8 in the life of a span. Called on the destination's sending thread only, the reporter's if there
//! is one destination, so a transport may block, but not for ever.
//!
//! To add a kind: write `src/transport/<kind>.rs` and export its type. Applications pass a value of
//! it, for instance to [`Destination::transport`](crate::Destination::transport).

mod close_signal;
mod endpoint;
#[cfg(feature = "otlp-gzip")]
mod gzip;
#[cfg(feature = "collector-http")]
mod http;
mod memory;
mod otlp;
#[cfg(feature = "collector-http")]
mod receiver;
mod udp;
#[cfg(unix)]
mod unix;

use std::fmt;
use std::time::Duration;

pub(crate) use self::close_signal::CloseSignal;
pub use self::endpoint::{CollectorFormat, HttpConfig};
#[cfg(feature = "collector-http")]
pub use self::http::HttpTransport;
pub use self::memory::MemoryTransport;
pub use self::otlp::{OtlpCompression, OtlpConfig};
pub use self::udp::{PacingConfig, UdpTransport};
#[cfg(unix)]
pub use self::unix::UnixTransport;
use crate::error::{ConfigError, TransportError};

/// The Thrift protocol of an agent's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentProtocol {
    /// The compact protocol, on port 6831.
    #[default]
    Compact,
    /// The binary protocol, on port 6832.
    Binary,
    /// Zipkin v1 spans in the compact protocol, on port 5775 of old agents.
    ZipkinCompact,
}

/// The address family of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentSocketType {
    /// Any, IPv4 first.
    #[default]
    Udp,
    /// IPv4 only.
    Udp4,
    /// IPv6 only.
    Udp6,
}

impl AgentProtocol {
    /// Returns the name of the encoding, an entry of [`ENCODINGS`](crate::encoding::ENCODINGS).
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Compact => "thrift-compact",
            Self::Binary => "thrift-binary",
            Self::ZipkinCompact => "zipkin-compact",
        }
    }
}

/// Sends messages out of the process.
///
/// # Cost
///
/// Called on the destination's sending thread only, once for about 480 spans.
///
/// # Source
///
/// `Transport` in jaeger-client-go, `transport.go`, of which this is the part below the batching.
///
/// # Examples
///
/// ```
/// use std::io::Write as _;
/// use std::time::Duration;
/// use jaeger_client::{Tracer, TransportError, transport::{Sent, Transport}};
///
/// /// Writes each message to a stream, behind its length.
/// #[derive(Debug)]
/// struct Stream(Vec<u8>);
///
/// impl Transport for Stream {
///     fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
///         self.0.write_all(&message.len().to_be_bytes())?;
///         self.0.write_all(message)?;
///         Ok(Sent::OK)
///     }
/// }
///
/// let (tracer, closer) = Tracer::builder("svc").transport(Stream(Vec::new())).build()?;
/// tracer.start_span("work").finish();
/// assert_eq!(closer.close(Duration::from_secs(2)).stats.sent, 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Transport: fmt::Debug + Send {
    /// Sends one message. `Ok` means that the operating system accepted it, or a server if it is
    /// [`acknowledged`](Sent::acknowledged).
    ///
    /// # Errors
    ///
    /// [`TransportError::TooLarge`] makes the reporter learn a smaller size and send the same spans
    /// in smaller messages. [`TransportError::Status`] with the status 400 or 422 says that some
    /// of the content is invalid, and makes the reporter send the spans in halves. Any other error
    /// counts the message's spans as `send_failed`.
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError>;

    /// Returns the maximum size of a message, in bytes.
    fn max_message_bytes(&self) -> usize {
        MAX_PACKET_BYTES
    }

    /// Returns whether the last message turned out to be refused after `send` had returned, once.
    /// Called after a failed message, and at each flush, so that no further message is needed to
    /// learn of it. False by default.
    fn take_late_refusal(&mut self) -> bool {
        false
    }

    /// Returns how many messages of all senders the receiver's socket has dropped for want of room
    /// since the first one was sent to it. Called at each flush; `None`, the default, if that is
    /// not known.
    fn receiver_drops(&mut self) -> Option<u64> {
        None
    }

    /// Called about once a second, for work that does not depend on messages.
    fn tick(&mut self) {}
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        (**self).send(message)
    }

    fn max_message_bytes(&self) -> usize {
        (**self).max_message_bytes()
    }

    fn take_late_refusal(&mut self) -> bool {
        (**self).take_late_refusal()
    }

    fn receiver_drops(&mut self) -> Option<u64> {
        (**self).receiver_drops()
    }

    fn tick(&mut self) {
        (**self).tick();
    }
}

/// The result of a message that the operating system or a server accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Whether the message *before* turned out to be refused by the receiver's host.
    pub previous_refused: bool,
    /// Whether the message was sent before, and the receiver may have processed it then too.
    pub possible_duplicate: bool,
    /// Whether the receiver confirmed the message.
    pub acknowledged: bool,
    /// How many spans of the accepted message the receiver rejected. They are not sent again, and
    /// counted as [`rejected`](crate::Dropped::rejected).
    pub rejected_spans: u64,
    /// The receiver's reason, or a warning; for the log.
    pub message: Option<Box<str>>,
}

impl Sent {
    /// The message was accepted.
    pub const OK: Self = Self {
        previous_refused: false,
        possible_duplicate: false,
        acknowledged: false,
        rejected_spans: 0,
        message: None,
    };

    /// The message was accepted; the one before was refused.
    pub const PREVIOUS_REFUSED: Self = Self { previous_refused: true, ..Self::OK };

    /// The receiver confirmed the message.
    pub const ACKNOWLEDGED: Self = Self { acknowledged: true, ..Self::OK };

    /// Marks the message as a possible duplicate.
    #[must_use]
    pub const fn with_possible_duplicate(mut self, is_possible: bool) -> Self {
        self.possible_duplicate = is_possible;
        self
    }

    /// Sets the number of rejected spans, 0 for a warning alone, and the reason.
    #[must_use]
    pub fn with_rejected(mut self, spans: u64, message: impl Into<Box<str>>) -> Self {
        (self.rejected_spans, self.message) = (spans, Some(message.into()));
        self
    }
}

/// The prefix of a Unix socket's address.
const UNIX_SCHEME: &str = "unix:";

/// Returns whether an agent's address names a Unix socket. A host may be called `unix` too: it is
/// followed by a port.
pub(crate) fn is_unix_socket(address: &str) -> bool {
    address.strip_prefix(UNIX_SCHEME).is_some_and(|name| name.starts_with(['/', '@']))
}

/// Returns the transport to an agent, by the kind of its address.
pub(crate) fn agent(
    address: String,
    socket_type: AgentSocketType,
    reconnect_interval: Option<Duration>,
    pacing: PacingConfig,
) -> Result<Box<dyn Transport>, ConfigError> {
    if is_unix_socket(&address) {
        return unix_socket(address);
    }
    let udp = UdpTransport::new(address)?;
    Ok(Box::new(udp.socket_type(socket_type).reconnecting(reconnect_interval).pacing(pacing)))
}

#[cfg(unix)]
fn unix_socket(address: String) -> Result<Box<dyn Transport>, ConfigError> {
    Ok(Box::new(UnixTransport::new(address)?))
}

#[cfg(not(unix))]
fn unix_socket(address: String) -> Result<Box<dyn Transport>, ConfigError> {
    Err(ConfigError::invalid(
        "reporter.local_agent_host_port",
        address,
        "host:port: there are no Unix sockets on this system",
    ))
}

/// Returns the transport to a collector, and its encoding. On its own thread the transport
/// waits for the collector to come back; on a shared thread it does not.
#[cfg(feature = "collector-http")]
pub(crate) fn http(
    config: &HttpConfig,
    has_thread: bool,
    close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    Ok(posting(HttpTransport::new(config)?, has_thread, close_signal))
}

/// Returns the transport to a server of OTLP, and its encoding.
#[cfg(feature = "otlp")]
pub(crate) fn otlp(
    config: &OtlpConfig,
    close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    Ok(posting(HttpTransport::otlp(config)?, true, close_signal))
}

#[cfg(feature = "collector-http")]
fn posting(http: HttpTransport, has_thread: bool, close_signal: &CloseSignal) -> Encoded {
    let http = http.with_close_signal(close_signal);
    let encoding = http.encoding();
    (Box::new(if has_thread { http } else { http.sharing_a_thread() }), encoding)
}

/// A transport, and the encoding of its messages.
pub(crate) type Encoded = (Box<dyn Transport>, &'static str);

/// Returns the error of a build without the feature.
#[cfg(not(feature = "collector-http"))]
pub(crate) fn http(
    _config: &HttpConfig,
    _has_thread: bool,
    _close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    let field = "reporter.collector_endpoint";
    Err(ConfigError::FeatureOff { field, feature: "collector-http" })
}

/// Returns the error of a build without the feature.
#[cfg(not(feature = "otlp"))]
pub(crate) fn otlp(
    _config: &OtlpConfig,
    _close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    Err(ConfigError::FeatureOff { field: "reporter.otlp", feature: "otlp" })
}

/// The largest datagram that is sent, in bytes. The value of jaeger-client-go's
/// `UDPPacketMaxLength`, and the largest that an agent accepts.
pub const MAX_PACKET_BYTES: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::EncodingKind;

    #[test]
    fn every_protocol_and_format_names_an_encoding() {
        let agent = [AgentProtocol::Compact, AgentProtocol::Binary, AgentProtocol::ZipkinCompact];
        for name in agent.map(AgentProtocol::encoding) {
            assert!(EncodingKind::named(name).is_some_and(|kind| kind.is_message), "{name}");
        }
        let collector =
            [CollectorFormat::Jaeger, CollectorFormat::ZipkinThrift, CollectorFormat::ZipkinJson];
        for name in collector.map(CollectorFormat::encoding) {
            assert!(EncodingKind::named(name).is_some_and(|kind| !kind.is_message), "{name}");
        }
        assert!(EncodingKind::named("thrift").is_none(), "a name that is none");
    }
}
