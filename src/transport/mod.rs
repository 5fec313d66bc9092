//! How bytes leave the process: a transport knows addresses and sizes, and nothing of spans.
//!
//! Walk step 8. Used by the reporter's thread alone, so it may block, but must not block for ever.
//!
//! To add a kind: write `src/transport/<kind>.rs` and export its type. Whoever wants it passes a value,
//! to [`Destination::transport`](crate::Destination::transport) for instance.

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

/// The Thrift protocol that a transport's receiver speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentProtocol {
    /// The compact protocol, which agents take on port 6831.
    #[default]
    Compact,
    /// The binary protocol, which agents take on port 6832.
    Binary,
    /// Zipkin v1 spans in the compact protocol, which old agents take on port 5775.
    ZipkinCompact,
}

/// Which of its addresses an agent is spoken to at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentSocketType {
    /// Any, those of IPv4 first.
    #[default]
    Udp,
    /// Those of IPv4 alone.
    Udp4,
    /// Those of IPv6 alone.
    Udp6,
}

impl AgentProtocol {
    /// The name of the encoding it is written in, which is a row of
    /// [`ENCODINGS`](crate::encoding::ENCODINGS).
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Compact => "thrift-compact",
            Self::Binary => "thrift-binary",
            Self::ZipkinCompact => "zipkin-compact",
        }
    }
}

/// Takes messages out of the process.
///
/// # Cost
///
/// Called by the reporter's thread only, once for about 480 spans.
///
/// # Source
///
/// `Transport` in jaeger-client-go, `transport.go`, of which this is the part below the batching.
pub trait Transport: fmt::Debug + Send {
    /// Sends one message. `Ok` means that the operating system took it, or a server if it says that it
    /// is [`acknowledged`](Sent::acknowledged).
    ///
    /// # Errors
    ///
    /// [`TransportError::TooLarge`] makes the reporter learn a smaller size and send the same spans
    /// in smaller messages. [`TransportError::Answered`] with the status 400 or 422 says that there
    /// is something wrong in the message, and makes it send them in halves. Any other error counts
    /// the message's spans as `send_failed`.
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError>;

    /// The largest message it takes, in bytes.
    fn max_message_bytes(&self) -> usize {
        MAX_PACKET_BYTES
    }

    /// Whether the message that was sent last turned out to be refused after `send` had returned, and
    /// that was not told yet. Asked after a message that failed, and at each flush, so that it need
    /// not wait for a next message. Never by default.
    fn take_late_refusal(&mut self) -> bool {
        false
    }

    /// How many messages the receiver's socket has dropped for want of room since the first one was
    /// sent to it, those of all senders. Asked at each flush; none, the default, where that is not
    /// known.
    fn receiver_drops(&mut self) -> Option<u64> {
        None
    }

    /// Called about once a second, for work that is due without any message.
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

/// A message was handed to the operating system, or taken by a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Whether it came to light that the message *before* was refused by the receiver's host.
    pub previous_refused: bool,
    /// Whether the message was sent before, and the receiver may have processed it then too.
    pub possible_duplicate: bool,
    /// Whether the receiver answered that it took the message.
    pub acknowledged: bool,
    /// How many of the message's spans the receiver answered that it rejected, though it took the
    /// message. They are not sent again, and counted as
    /// [`rejected`](crate::Dropped::rejected).
    pub rejected_spans: u64,
    /// What the receiver said of that, or a warning of its; for the logger.
    pub said: Option<Box<str>>,
}

impl Sent {
    /// Handed over, and nothing else came to light.
    pub const OK: Self = Self {
        previous_refused: false,
        possible_duplicate: false,
        acknowledged: false,
        rejected_spans: 0,
        said: None,
    };

    /// Handed over; the message before was refused.
    pub const PREVIOUS_REFUSED: Self = Self { previous_refused: true, ..Self::OK };

    /// The receiver answered that it took the message.
    pub const ACKNOWLEDGED: Self = Self { acknowledged: true, ..Self::OK };

    /// The same of a message that the receiver may have processed before, or not.
    #[must_use]
    pub const fn with_possible_duplicate(mut self, is_possible: bool) -> Self {
        self.possible_duplicate = is_possible;
        self
    }

    /// The same of a message of which the receiver rejected so many spans, 0 for a warning alone, and
    /// what it said.
    #[must_use]
    pub fn with_rejected(mut self, spans: u64, said: impl Into<Box<str>>) -> Self {
        (self.rejected_spans, self.said) = (spans, Some(said.into()));
        self
    }
}

/// What begins the address of a Unix socket.
const UNIX_SCHEME: &str = "unix:";

/// Whether an agent's address names a Unix socket. A host may be called `unix` too: what follows is
/// then a port.
pub(crate) fn is_unix_socket(address: &str) -> bool {
    address.strip_prefix(UNIX_SCHEME).is_some_and(|name| name.starts_with(['/', '@']))
}

/// What sends to an agent, by the kind of its address.
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

/// What posts as a configuration says, and in which encoding. On a thread of its own it waits for a
/// collector to come back; where it shares another's it must not hold that up.
#[cfg(feature = "collector-http")]
pub(crate) fn http(
    config: &HttpConfig,
    has_thread: bool,
    close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    Ok(posting(HttpTransport::new(config)?, has_thread, close_signal))
}

/// The same of OTLP.
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

/// What says that this build cannot post.
#[cfg(not(feature = "collector-http"))]
pub(crate) fn http(
    _config: &HttpConfig,
    _has_thread: bool,
    _close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    let field = "reporter.collector_endpoint";
    Err(ConfigError::FeatureOff { field, feature: "collector-http" })
}

/// The same of OTLP.
#[cfg(not(feature = "otlp"))]
pub(crate) fn otlp(
    _config: &OtlpConfig,
    _close_signal: &CloseSignal,
) -> Result<Encoded, ConfigError> {
    Err(ConfigError::FeatureOff { field: "reporter.otlp", feature: "otlp" })
}

/// The largest datagram we send, in bytes. The value of jaeger-client-go's `UDPPacketMaxLength`,
/// and the largest an agent takes.
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
