//! A tracer's configuration as data, and from the environment.

mod env;
mod grammar;

use std::fmt;
use std::time::Duration;

#[cfg(feature = "remote-sampler")]
use crate::control;
pub use crate::control::BaggageRestrictionsConfig;
use crate::error::ConfigError;
use crate::propagation::{self, HeadersConfig};
use crate::reporter::Output;
use crate::sampler;
use crate::span::OwnedTagValue;
use crate::tracer::{Closer, Tracer, TracerBuilder, defaults};
use crate::transport::{AgentProtocol, AgentSocketType, HttpConfig, MAX_PACKET_BYTES};

/// All that a tracer is configured by, in Jaeger's own words.
///
/// # Source
///
/// `Configuration` in jaeger-client-go, `config/config.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Configuration, ReporterConfig, SamplerConfig};
/// let configuration = Configuration {
///     service_name: "checkout".into(),
///     sampler: SamplerConfig { param: 0.01, ..SamplerConfig::new("probabilistic") },
///     reporter: ReporterConfig {
///         local_agent_host_port: "127.0.0.1:6831".into(),
///         ..ReporterConfig::default()
///     },
///     tags: vec![("region".into(), "eu".into())],
///     ..Configuration::default()
/// };
/// let (tracer, closer) = configuration.new_tracer()?;
/// tracer.start_span("charge").finish();
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct Configuration {
    /// The service's name; must not be empty.
    pub service_name: String,
    /// Makes a tracer that records nothing and sends nothing.
    pub disabled: bool,
    /// Counts and times the spans of servers as metrics. Refused in this version, which has none.
    pub rpc_metrics: bool,
    /// Gives new traces ids of 128 bits.
    pub trace_id_128bit: bool,
    /// Tags of the process.
    pub tags: Vec<(String, OwnedTagValue)>,
    /// Who decides which traces are recorded.
    pub sampler: SamplerConfig,
    /// Where spans go.
    pub reporter: ReporterConfig,
    /// The names of the headers that carry contexts.
    pub headers: HeadersConfig,
    /// The formats that contexts are carried in, `jaeger`, `b3`, `b3-single` or `w3c`, in the order
    /// in which they count; see [`CompositeFormat`](propagation::CompositeFormat).
    pub propagation: Vec<String>,
    /// Which agent tells what baggage may be set; without one, all may. Needs the feature
    /// `remote-sampler`.
    pub baggage_restrictions: Option<BaggageRestrictionsConfig>,
    /// Bytes after which a tag's text or bytes are cut.
    pub max_tag_value_length: usize,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            service_name: String::new(),
            disabled: false,
            rpc_metrics: false,
            trace_id_128bit: false,
            tags: Vec::new(),
            sampler: SamplerConfig::default(),
            reporter: ReporterConfig::default(),
            headers: HeadersConfig::default(),
            propagation: vec!["jaeger".to_owned()],
            baggage_restrictions: None,
            max_tag_value_length: defaults::MAX_TAG_VALUE_LENGTH,
        }
    }
}

/// Who decides which traces are recorded.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct SamplerConfig {
    /// `const`, `probabilistic`, `ratelimiting` or `remote`; the names in [`sampler::MEMBERS`].
    pub kind: String,
    /// For `const`, 0 for none and anything else for all; for `probabilistic`, a share of traces
    /// from 0 to 1; for `ratelimiting`, traces a second; for `remote`, the share until the server
    /// has answered.
    pub param: f64,
    /// Where `remote` asks; the service's name is added. Default
    /// `http://127.0.0.1:5778/sampling`.
    pub sampling_server_url: String,
    /// How often `remote` asks. Default one minute, which 0 means too.
    pub sampling_refresh_interval: Duration,
    /// How many operations `remote` keeps apart, beside those the server names. Default 2000, which
    /// 0 means too.
    pub max_operations: usize,
    /// Whether `remote` decides again about the first span of a trace when it gets another name, as
    /// it does when a framework learns the route late.
    pub operation_name_late_binding: bool,
}

impl SamplerConfig {
    /// A sampler of that kind, with the parameter that the kind has where none is given: every trace
    /// for `const`, 0.001 of them for `probabilistic` and `remote`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::SamplerConfig;
    /// assert_eq!(SamplerConfig::new("probabilistic").param, 0.001);
    /// ```
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self {
            param: sampler::default_param(&kind),
            kind,
            sampling_server_url: sampler::DEFAULT_SAMPLING_SERVER_URL.to_owned(),
            sampling_refresh_interval: sampler::DEFAULT_REFRESH_INTERVAL,
            max_operations: sampler::DEFAULT_MAX_OPERATIONS,
            operation_name_late_binding: false,
        }
    }

    /// The same for whoever builds the sampler.
    fn params<'a>(&'a self, service_name: &'a str) -> sampler::SamplerParams<'a> {
        let mut params = sampler::SamplerParams::new(service_name, self.param);
        params.sampling_server_url = &self.sampling_server_url;
        params.sampling_refresh_interval = self.sampling_refresh_interval;
        params.max_operations = self.max_operations;
        params.operation_name_late_binding = self.operation_name_late_binding;
        params
    }
}

impl Default for SamplerConfig {
    /// Every trace: a default that keeps one in a thousand has cost many people hours.
    fn default() -> Self {
        Self::new("const")
    }
}

/// Where spans go, and how: to a collector over HTTP if one is named, and else to an agent.
///
/// # Source
///
/// `ReporterConfig` in jaeger-client-go, `config/config.go`; the token is jaeger-client-java's, the
/// time limit jaeger-client-node's.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct ReporterConfig {
    /// How many finished spans may wait to be sent; see
    /// [`TracerBuilder::queue_size`](crate::TracerBuilder::queue_size).
    pub queue_size: usize,
    /// How long a finished span waits at most before it is sent.
    pub buffer_flush_interval: Duration,
    /// The agent, as `host:port`.
    pub local_agent_host_port: String,
    /// The protocol of that port.
    pub agent_protocol: AgentProtocol,
    /// Which of its addresses the agent is spoken to at.
    pub agent_socket_type: AgentSocketType,
    /// The largest datagram, in bytes.
    pub max_packet_size: usize,
    /// Tells the logger each finished span, besides sending it.
    pub log_spans: bool,
    /// Keeps the address that the agent's name first resolved to.
    pub disable_attempt_reconnecting: bool,
    /// How often the agent's name is resolved again.
    pub attempt_reconnect_interval: Duration,
    /// A collector's URL, to which spans go in place of an agent: Thrift for
    /// `http://host:14268/api/traces`, Zipkin for `http://host:9411/api/v2/spans` (or `v1`).
    pub collector_endpoint: Option<String>,
    /// The user of basic authentication; with a password, or not at all.
    pub user: Option<String>,
    /// The password of basic authentication; with a user, or not at all.
    pub password: Option<String>,
    /// The token of bearer authentication; not beside a user.
    pub auth_token: Option<String>,
    /// More headers of requests to the collector.
    pub http_headers: Vec<(String, String)>,
    /// The certificates, in PEM, of those who may vouch for the collector; without them, those that
    /// browsers trust.
    pub ca_certificates: Option<String>,
    /// How long one request to the collector may take.
    pub sender_timeout: Duration,
    /// A collector's URL for those spans alone that do not fit a datagram; without one, they are
    /// trimmed. Authentication and time limit are those of `collector_endpoint`.
    pub oversize_endpoint: Option<String>,
}

/// Without what is secret: configurations end up in logs.
impl fmt::Debug for ReporterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        let headers: Vec<_> = self.http_headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ReporterConfig")
            .field("queue_size", &self.queue_size)
            .field("buffer_flush_interval", &self.buffer_flush_interval)
            .field("local_agent_host_port", &self.local_agent_host_port)
            .field("agent_protocol", &self.agent_protocol)
            .field("agent_socket_type", &self.agent_socket_type)
            .field("max_packet_size", &self.max_packet_size)
            .field("log_spans", &self.log_spans)
            .field("disable_attempt_reconnecting", &self.disable_attempt_reconnecting)
            .field("attempt_reconnect_interval", &self.attempt_reconnect_interval)
            .field("collector_endpoint", &self.collector_endpoint)
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("auth_token", &hidden(&self.auth_token))
            .field("http_headers", &headers)
            .field("ca_certificates", &self.ca_certificates.as_ref().map(String::len))
            .field("sender_timeout", &self.sender_timeout)
            .field("oversize_endpoint", &self.oversize_endpoint)
            .finish()
    }
}

impl Default for ReporterConfig {
    fn default() -> Self {
        Self {
            queue_size: defaults::QUEUE_SIZE,
            buffer_flush_interval: defaults::FLUSH_INTERVAL,
            local_agent_host_port: defaults::AGENT.to_owned(),
            agent_protocol: AgentProtocol::Compact,
            agent_socket_type: AgentSocketType::Udp,
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
            sender_timeout: defaults::SENDER_TIMEOUT,
            oversize_endpoint: None,
        }
    }
}

impl ReporterConfig {
    fn reconnect_interval(&self) -> Option<Duration> {
        (!self.disable_attempt_reconnecting).then_some(self.attempt_reconnect_interval)
    }

    /// How to send to a collector at this URL.
    fn http(&self, endpoint: &str) -> HttpConfig {
        HttpConfig {
            user: self.user.clone(),
            password: self.password.clone(),
            auth_token: self.auth_token.clone(),
            headers: self.http_headers.clone(),
            ca_certificates: self.ca_certificates.clone(),
            timeout: self.sender_timeout,
            ..HttpConfig::new(endpoint)
        }
    }
}

impl Configuration {
    /// The defaults for the service of that name.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), ..Self::default() }
    }

    /// Builds the tracer, and the closer that ends it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the option, the value and what is allowed. An agent that is absent, or
    /// whose name does not resolve, is none.
    pub fn new_tracer(&self) -> Result<(Tracer, Closer), ConfigError> {
        if self.disabled {
            let never = sampler::ConstSampler::new(false);
            let name = if self.service_name.is_empty() { "disabled" } else { &self.service_name };
            return Tracer::builder(name).sampler(never).null_reporter().build();
        }
        if self.rpc_metrics {
            return Err(ConfigError::OutOfRange {
                field: "rpc_metrics",
                value: "true".to_owned(),
                allowed: "false: this version has no RPC metrics",
            });
        }
        let mut builder = Tracer::builder(&self.service_name)
            .sampler(sampler::from_name(
                &self.sampler.kind,
                &self.sampler.params(&self.service_name),
            )?)
            .agent(&self.reporter.local_agent_host_port)
            .agent_reconnect_interval(self.reporter.reconnect_interval())
            .agent_protocol(self.reporter.agent_protocol)
            .agent_socket_type(self.reporter.agent_socket_type)
            .queue_size(self.reporter.queue_size)
            .flush_interval(self.reporter.buffer_flush_interval)
            .max_packet_size(self.reporter.max_packet_size)
            .headers(self.headers.clone())
            .format(propagation::from_names(&self.propagation, &self.headers)?)
            .trace_id_128bit(self.trace_id_128bit)
            .max_tag_value_length(self.max_tag_value_length);
        if let Some(endpoint) = &self.reporter.collector_endpoint {
            builder = builder.collector(self.reporter.http(endpoint));
        }
        if let Some(endpoint) = &self.reporter.oversize_endpoint {
            builder = builder.oversize_to(self.reporter.http(endpoint));
        }
        if self.reporter.log_spans {
            builder = builder.also_report_to(Output::logging());
        }
        if let Some(restrictions) = &self.baggage_restrictions {
            builder = self.restrict_baggage(builder, restrictions)?;
        }
        for (key, value) in &self.tags {
            builder = builder.tag(key, value.clone());
        }
        builder.build()
    }

    #[cfg(feature = "remote-sampler")]
    fn restrict_baggage(
        &self,
        builder: TracerBuilder,
        by: &BaggageRestrictionsConfig,
    ) -> Result<TracerBuilder, ConfigError> {
        let manager = control::RemoteBaggageRestrictionManager::new(&self.service_name, by)?;
        Ok(builder.baggage_restriction_manager(manager))
    }

    #[cfg(not(feature = "remote-sampler"))]
    fn restrict_baggage(
        &self,
        _builder: TracerBuilder,
        _by: &BaggageRestrictionsConfig,
    ) -> Result<TracerBuilder, ConfigError> {
        let (field, feature) = ("baggage_restrictions", "remote-sampler");
        Err(ConfigError::FeatureOff { field, feature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (fn(&mut Configuration), &'static [&'static str]);

    #[test]
    fn errors_name_the_option_the_value_and_what_is_allowed() {
        let with = |change: fn(&mut Configuration)| {
            let mut configuration = Configuration::new("svc");
            change(&mut configuration);
            configuration.new_tracer().map(drop).unwrap_err().to_string()
        };
        let cases: [Case; 9] = [
            (|c| c.service_name.clear(), &["service_name"]),
            (|c| c.rpc_metrics = true, &["rpc_metrics", "true", "false"]),
            (|c| c.propagation = vec!["xray".into()], &["propagation", "xray", "jaeger, b3"]),
            (|c| c.sampler.kind = "maybe".into(), &["sampler.kind", "maybe", "probabilistic"]),
            (
                |c| {
                    c.sampler = SamplerConfig { param: 50.0, ..SamplerConfig::new("probabilistic") }
                },
                &["sampler.param", "50", "from 0 to 1"],
            ),
            (
                |c| c.reporter.local_agent_host_port = "agent".into(),
                &["local_agent_host_port", "agent", "host:port"],
            ),
            (|c| c.reporter.max_packet_size = 70_000, &["max_packet_size", "70000", "65000"]),
            (|c| c.reporter.max_packet_size = 100, &["max_packet_size", "100"]),
            (|c| c.reporter.queue_size = 0, &["queue_size", "0", "from 1"]),
        ];
        for (change, words) in cases {
            let error = with(change);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let reporter = ReporterConfig {
            user: Some("ann".into()),
            password: Some("hush".into()),
            auth_token: Some("hush".into()),
            http_headers: vec![("x-key".into(), "hush".into())],
            ..ReporterConfig::default()
        };
        let shown = format!("{reporter:?}");
        assert!(shown.contains("ann") && shown.contains("x-key"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_disabled_tracer_needs_nothing_and_records_nothing() {
        let configuration = Configuration { disabled: true, ..Configuration::default() };
        let (tracer, closer) = configuration.new_tracer().unwrap();
        tracer.start_span("op").finish();
        let receipt = closer.close(Duration::ZERO);
        assert_eq!((receipt.stats.not_sampled, receipt.stats.sent), (1, 0));
    }
}
