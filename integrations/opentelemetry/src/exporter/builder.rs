//! The builder of an exporter.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jaeger_client::encoding::EncodingKind;
use jaeger_client::transport::{Transport, UdpTransport};
use jaeger_client::{AgentProtocol, ConfigError};
#[cfg(feature = "collector-http")]
use jaeger_client::{HttpConfig, transport::HttpTransport};
use opentelemetry_sdk::Resource;

use super::account::ExporterAccount;
use super::sender::{MIN_MESSAGE_BYTES, Sender};
use super::worker::{MAX_WAIT, Queue};
use super::{JaegerExporter, convert};

/// The builder of a [`JaegerExporter`].
#[must_use = "the exporter is made by `build`"]
pub struct JaegerExporterBuilder {
    destination: Destination,
    max_message_bytes: Option<usize>,
    export_timeout: Duration,
}

enum Destination {
    Agent(String, AgentProtocol),
    Transport(Box<dyn Transport>, AgentProtocol),
    #[cfg(feature = "collector-http")]
    Collector(Box<HttpConfig>),
}

/// Without what is secret in a collector's configuration.
impl fmt::Debug for JaegerExporterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination: &dyn fmt::Debug = match &self.destination {
            Destination::Agent(address, _) => address,
            Destination::Transport(transport, _) => transport,
            #[cfg(feature = "collector-http")]
            Destination::Collector(config) => config,
        };
        f.debug_struct("JaegerExporterBuilder")
            .field("destination", destination)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("export_timeout", &self.export_timeout)
            .finish()
    }
}

impl Default for JaegerExporterBuilder {
    fn default() -> Self {
        Self {
            destination: Destination::Agent(DEFAULT_AGENT.to_owned(), AgentProtocol::Compact),
            max_message_bytes: None,
            export_timeout: DEFAULT_EXPORT_TIMEOUT,
        }
    }
}

impl JaegerExporterBuilder {
    /// Sends to an agent at `host:port` over UDP, in Thrift's compact protocol. Default
    /// `127.0.0.1:6831`.
    pub fn agent(mut self, host_port: impl Into<String>) -> Self {
        self.destination = Destination::Agent(host_port.into(), AgentProtocol::Compact);
        self
    }

    /// Sends by this transport, in a protocol that its receiver takes: a `UdpTransport` with a pace of
    /// its own, a `UnixTransport`, a `MemoryTransport` in tests, or one of the caller's own.
    pub fn transport(
        mut self,
        transport: impl Transport + 'static,
        protocol: AgentProtocol,
    ) -> Self {
        self.destination = Destination::Transport(Box::new(transport), protocol);
        self
    }

    /// Posts to a collector, or to a Zipkin server, over HTTP. Further attempts to send a message begin
    /// within the export's time at most.
    #[cfg(feature = "collector-http")]
    pub fn collector(mut self, config: HttpConfig) -> Self {
        self.destination = Destination::Collector(Box::new(config));
        self
    }

    /// The largest message, in bytes; 1,024 at least. By default, and at most, what the destination
    /// takes: 65,000 bytes for datagrams.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// Sets the timeout of an export; 0 means the default, 10 s. No message is begun after that:
    /// spans that are left are dropped as `timed_out`.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.export_timeout = if timeout.is_zero() { DEFAULT_EXPORT_TIMEOUT } else { timeout };
        self
    }

    /// Makes the exporter, and starts its thread.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for an invalid address, URL or other option of the destination, and if no
    /// thread can be started. A server that cannot be reached is no error.
    pub fn build(self) -> Result<JaegerExporter, ConfigError> {
        let export_timeout = self.export_timeout.min(MAX_WAIT);
        let (transport, encoding): (Box<dyn Transport>, _) = match self.destination {
            Destination::Agent(address, protocol) => {
                (Box::new(UdpTransport::new(address)?), protocol.encoding())
            }
            Destination::Transport(transport, protocol) => (transport, protocol.encoding()),
            #[cfg(feature = "collector-http")]
            Destination::Collector(mut config) => {
                config.retry_limit = config.retry_limit.min(export_timeout);
                let transport = HttpTransport::new(&config)?;
                let encoding = transport.encoding();
                (Box::new(transport), encoding)
            }
        };
        let encoding = EncodingKind::named(encoding).ok_or_else(|| ConfigError::Invalid {
            field: "encoding",
            value: encoding.to_owned(),
            allowed: "the name of one of jaeger_client::encoding::ENCODINGS",
        })?;
        let most = transport.max_message_bytes();
        let max_message_bytes =
            self.max_message_bytes.unwrap_or(most).min(most).max(MIN_MESSAGE_BYTES);
        let account = ExporterAccount::default();
        let sender = Sender::new(transport, encoding, max_message_bytes, account.clone());
        let queue =
            Queue::start(sender, account).map_err(|source| ConfigError::Thread { source })?;
        Ok(JaegerExporter {
            queue: Arc::new(queue),
            process: convert::process(&Resource::builder_empty().build(), max_message_bytes).into(),
            max_message_bytes,
            export_timeout,
            is_shut_down: AtomicBool::new(false),
        })
    }
}

const DEFAULT_AGENT: &str = "127.0.0.1:6831";

/// The default of OpenTelemetry's own exporters.
const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
