//! A tracer's configuration as data.

use std::time::Duration;

use crate::error::ConfigError;
use crate::propagation::HeadersConfig;
use crate::sampler;
use crate::span::OwnedTagValue;
use crate::tracer::{Closer, Tracer, defaults};
use crate::transport::{AgentProtocol, MAX_PACKET_BYTES};

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
///     sampler: SamplerConfig { kind: "probabilistic".into(), param: 0.01 },
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
    /// Bytes after which a tag's text or bytes are cut.
    pub max_tag_value_length: usize,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            service_name: String::new(),
            disabled: false,
            trace_id_128bit: false,
            tags: Vec::new(),
            sampler: SamplerConfig::default(),
            reporter: ReporterConfig::default(),
            headers: HeadersConfig::default(),
            max_tag_value_length: defaults::MAX_TAG_VALUE_LENGTH,
        }
    }
}

/// Who decides which traces are recorded.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct SamplerConfig {
    /// `const` or `probabilistic`; the names in [`sampler::MEMBERS`].
    pub kind: String,
    /// For `const`, 0 for none and anything else for all; for `probabilistic`, a share of traces
    /// from 0 to 1.
    pub param: f64,
}

impl Default for SamplerConfig {
    /// Every trace: a default that keeps one in a thousand has cost many people hours.
    fn default() -> Self {
        Self { kind: "const".to_owned(), param: 1.0 }
    }
}

/// Where spans go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The largest datagram, in bytes.
    pub max_packet_size: usize,
}

impl Default for ReporterConfig {
    fn default() -> Self {
        Self {
            queue_size: defaults::QUEUE_SIZE,
            buffer_flush_interval: defaults::FLUSH_INTERVAL,
            local_agent_host_port: defaults::AGENT.to_owned(),
            agent_protocol: AgentProtocol::Compact,
            max_packet_size: MAX_PACKET_BYTES,
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
        let mut builder = Tracer::builder(&self.service_name)
            .sampler(sampler::from_name(&self.sampler.kind, self.sampler.param)?)
            .agent(&self.reporter.local_agent_host_port)
            .agent_protocol(self.reporter.agent_protocol)
            .queue_size(self.reporter.queue_size)
            .flush_interval(self.reporter.buffer_flush_interval)
            .max_packet_size(self.reporter.max_packet_size)
            .headers(self.headers.clone())
            .trace_id_128bit(self.trace_id_128bit)
            .max_tag_value_length(self.max_tag_value_length);
        for (key, value) in &self.tags {
            builder = builder.tag(key, value.clone());
        }
        builder.build()
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
        let cases: [Case; 7] = [
            (|c| c.service_name.clear(), &["service_name"]),
            (|c| c.sampler.kind = "maybe".into(), &["sampler.kind", "maybe", "probabilistic"]),
            (
                |c| c.sampler = SamplerConfig { kind: "probabilistic".into(), param: 50.0 },
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
    fn a_disabled_tracer_needs_nothing_and_records_nothing() {
        let configuration = Configuration { disabled: true, ..Configuration::default() };
        let (tracer, closer) = configuration.new_tracer().unwrap();
        tracer.start_span("op").finish();
        let receipt = closer.close(Duration::ZERO);
        assert_eq!((receipt.stats.not_sampled, receipt.stats.sent), (1, 0));
    }
}
