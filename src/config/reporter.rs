//! The configuration of the reporter.

use std::fmt;
use std::time::Duration;

use crate::http_client::ProxyConfig;
use crate::non_exhaustive::NonExhaustive;
use crate::redact::{self, HIDDEN};
use crate::reporter::SendOptions;
use crate::saved::SavedBatchesConfig;
use crate::tracer::defaults;
use crate::transport::{
    AgentProtocol, AgentSocketType, HttpConfig, MAX_PACKET_BYTES, OtlpConfig, PacingConfig,
};

/// Where spans are sent, and how: to a collector over HTTP if one is configured, and else to an
/// agent; as OTLP if [`Configuration::exporters`](crate::Configuration::exporters) names `otlp`.
///
/// # Source
///
/// `ReporterConfig` in jaeger-client-go, `config/config.go`; the token is jaeger-client-java's, the
/// timeout jaeger-client-node's.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::ReporterConfig;
/// let reporter = ReporterConfig {
///     local_agent_host_port: "jaeger-agent:6831".into(),
///     buffer_flush_interval: Duration::from_millis(200),
///     ..ReporterConfig::default()
/// };
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct ReporterConfig {
    /// How many finished spans may wait to be sent; see
    /// [`TracerBuilder::queue_size`](crate::TracerBuilder::queue_size). Default 65,536.
    pub queue_size: usize,
    /// How many bytes of memory they may take; by default 256 for each of them, at least 16 MiB. See
    /// [`TracerBuilder::queue_bytes`](crate::TracerBuilder::queue_bytes).
    pub queue_bytes: Option<usize>,
    /// How long a finished span waits at most before it is sent. Default 1 s, which 0 means too.
    pub buffer_flush_interval: Duration,
    /// The agent, as `host:port`, or its Unix socket, as `unix:/path/to/socket`. Default
    /// `localhost:6831`.
    pub local_agent_host_port: String,
    /// The protocol of the agent's port. Default compact.
    pub agent_protocol: AgentProtocol,
    /// The address family of the agent. Default any, IPv4 first.
    pub agent_socket_type: AgentSocketType,
    /// How fast datagrams are sent to the agent.
    pub pacing: PacingConfig,
    /// The largest datagram, in bytes. Default 65,000.
    pub max_packet_size: usize,
    /// Logs each finished span, besides sending it. Default off.
    pub log_spans: bool,
    /// Keeps the addresses that the agent's name first resolved to. Default off.
    pub disable_attempt_reconnecting: bool,
    /// How often the agent's name is resolved again. Default 30 s, which 0 means too.
    pub attempt_reconnect_interval: Duration,
    /// The URL of a collector, to send to instead of an agent: Thrift for
    /// `http://host:14268/api/traces`, Zipkin for `http://host:9411/api/v2/spans` (or `v1`).
    pub collector_endpoint: Option<String>,
    /// The user of basic authentication; requires a password.
    pub user: Option<String>,
    /// The password of basic authentication; requires a user.
    pub password: Option<String>,
    /// The token of bearer authentication; excludes a user.
    pub auth_token: Option<String>,
    /// More headers of requests to the collector.
    pub http_headers: Vec<(String, String)>,
    /// The trusted certificate authorities of the collector, in PEM; without them, those of
    /// browsers.
    pub ca_certificates: Option<String>,
    /// The client's own certificate, in PEM, for collectors that request one; requires a key.
    pub client_certificate: Option<String>,
    /// The private key of that certificate, in PEM; requires a certificate.
    pub client_key: Option<String>,
    /// The timeout of one request to the collector. Default 5 s.
    pub sender_timeout: Duration,
    /// The time limit of retries; see [`HttpConfig::retry_limit`]. Default 30 s.
    pub sender_retry_limit: Duration,
    /// The maximum number of attempts; see [`HttpConfig::max_attempts`]. Default 12.
    pub sender_max_attempts: u32,
    /// The URL of a collector for the spans that do not fit a datagram; without one, they are
    /// trimmed. Authentication and timeout are those of `collector_endpoint`.
    pub oversize_endpoint: Option<String>,
    /// The file for spans that could not be sent, or were not acknowledged, before the tracer is
    /// closed. None by default. Needs the feature `saved-batches`.
    pub saved_batches: Option<SavedBatchesConfig>,
    /// The server of the exporter `otlp`. Its [`proxy`](OtlpConfig::proxy) is
    /// [`Configuration::proxy`](crate::Configuration::proxy) unless another one is set.
    pub otlp: OtlpConfig,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Hides what is secret: configurations end up in logs.
impl fmt::Debug for ReporterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| HIDDEN);
        let url = |url: &Option<String>| url.as_ref().map(|url| redact::value(url));
        let headers: Vec<_> = self.http_headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ReporterConfig")
            .field("queue_size", &self.queue_size)
            .field("queue_bytes", &self.queue_bytes)
            .field("buffer_flush_interval", &self.buffer_flush_interval)
            .field("local_agent_host_port", &redact::value(&self.local_agent_host_port))
            .field("agent_protocol", &self.agent_protocol)
            .field("agent_socket_type", &self.agent_socket_type)
            .field("pacing", &self.pacing)
            .field("max_packet_size", &self.max_packet_size)
            .field("log_spans", &self.log_spans)
            .field("disable_attempt_reconnecting", &self.disable_attempt_reconnecting)
            .field("attempt_reconnect_interval", &self.attempt_reconnect_interval)
            .field("collector_endpoint", &url(&self.collector_endpoint))
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("auth_token", &hidden(&self.auth_token))
            .field("http_headers", &headers)
            .field("ca_certificates", &self.ca_certificates.as_ref().map(String::len))
            .field("client_certificate", &self.client_certificate.as_ref().map(String::len))
            .field("client_key", &hidden(&self.client_key))
            .field("sender_timeout", &self.sender_timeout)
            .field("sender_retry_limit", &self.sender_retry_limit)
            .field("sender_max_attempts", &self.sender_max_attempts)
            .field("oversize_endpoint", &url(&self.oversize_endpoint))
            .field("saved_batches", &self.saved_batches)
            .field("otlp", &self.otlp)
            .finish()
    }
}

impl Default for ReporterConfig {
    fn default() -> Self {
        Self {
            queue_size: defaults::QUEUE_SIZE,
            queue_bytes: None,
            buffer_flush_interval: defaults::FLUSH_INTERVAL,
            local_agent_host_port: defaults::AGENT.to_owned(),
            agent_protocol: AgentProtocol::Compact,
            agent_socket_type: AgentSocketType::Udp,
            pacing: PacingConfig::default(),
            max_packet_size: MAX_PACKET_BYTES,
            log_spans: false,
            disable_attempt_reconnecting: false,
            attempt_reconnect_interval: defaults::RECONNECT_INTERVAL,
            collector_endpoint: None,
            user: None,
            password: None,
            auth_token: None,
            http_headers: Vec::new(),
            ca_certificates: None,
            client_certificate: None,
            client_key: None,
            sender_timeout: defaults::SENDER_TIMEOUT,
            sender_retry_limit: HttpConfig::RETRY_LIMIT,
            sender_max_attempts: HttpConfig::MAX_ATTEMPTS,
            oversize_endpoint: None,
            saved_batches: None,
            otlp: OtlpConfig::default(),
            __non_exhaustive: NonExhaustive,
        }
    }
}

impl ReporterConfig {
    /// Returns the options that do not depend on where spans are sent.
    pub(super) fn send_options(&self, proxy: &ProxyConfig) -> SendOptions {
        let interval = self.attempt_reconnect_interval;
        let oversize = self.oversize_endpoint.as_ref();
        SendOptions {
            queue_size: self.queue_size,
            queue_bytes: self.queue_bytes,
            flush_interval: self.buffer_flush_interval,
            max_packet_size: self.max_packet_size,
            agent_protocol: self.agent_protocol,
            agent_socket_type: self.agent_socket_type,
            reconnect_interval: (!self.disable_attempt_reconnecting).then_some(interval),
            pacing: self.pacing,
            oversize: oversize.map(|endpoint| self.http(endpoint, proxy)),
            saved_batches: self.saved_batches.clone(),
        }
    }

    /// Returns the options of an OTLP server.
    pub(super) fn otlp_by(&self, proxy: &ProxyConfig) -> OtlpConfig {
        let mut otlp = self.otlp.clone();
        if otlp.proxy == ProxyConfig::default() {
            otlp.proxy = proxy.clone();
        }
        otlp
    }

    /// Returns the options of a collector at this URL.
    pub(super) fn http(&self, endpoint: &str, proxy: &ProxyConfig) -> HttpConfig {
        HttpConfig {
            user: self.user.clone(),
            password: self.password.clone(),
            auth_token: self.auth_token.clone(),
            headers: self.http_headers.clone(),
            ca_certificates: self.ca_certificates.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            proxy: proxy.clone(),
            timeout: self.sender_timeout,
            retry_limit: self.sender_retry_limit,
            max_attempts: self.sender_max_attempts,
            ..HttpConfig::new(endpoint)
        }
    }
}
