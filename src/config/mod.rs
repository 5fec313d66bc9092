//! A tracer's configuration as data, and from the environment.

mod env;
mod exporter;
mod reporter;
mod sampling;

use std::fmt;

pub use self::reporter::ReporterConfig;
pub use self::sampling::SamplerConfig;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::non_exhaustive::NonExhaustive;
#[cfg(feature = "remote-sampler")]
use crate::policy;
pub use crate::policy::{BaggageRestrictionsConfig, ThrottlerConfig};
use crate::propagation::{self, HeadersConfig};
use crate::redact;
use crate::reporter::Destination;
use crate::sampler;
use crate::span::{OwnedTagValue, SpanOptions};
use crate::tail::TailSamplingConfig;
use crate::tracer::{Closer, Tracer, TracerBuilder};

/// The configuration of a tracer, in Jaeger's own words.
///
/// # Compatibility
///
/// A minor version may add fields to this and to what it is made of, all of which have defaults. So a
/// literal ends with `..Configuration::new(name)`, or with `..Default::default()`, which it does not
/// compile without; what is written so today compiles then too, and means the same. So it is with every
/// configuration of this crate that is written as a literal.
///
/// ```compile_fail
/// let all = jaeger_client::PacingConfig {
///     watch_receive_queue: true, bytes_per_second: 0, burst_bytes: 0, // and no `..`
/// };
/// ```
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
#[derive(Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct Configuration {
    /// The service's name; must not be empty.
    pub service_name: String,
    /// Makes a tracer that records nothing and sends nothing.
    ///
    /// Contexts of callers are forwarded: a span below an extracted context has the caller's
    /// context unchanged, and it is injected unchanged in the configured formats. A span without a
    /// caller has an empty context, of which nothing is injected. Nothing that is done to a span,
    /// baggage included, changes that.
    pub disabled: bool,
    /// Counts and times server spans in the metrics that [`new_tracer_with`](Self::new_tracer_with)
    /// sets; see [`TracerBuilder::rpc_metrics`]. Without metrics, a warning is logged.
    pub rpc_metrics: bool,
    /// Whether new trace ids have 128 bits or 64. By default, they have 64, and 128 where spans are
    /// sent as OTLP or contexts in the format `w3c`, which both expect.
    pub trace_id_128bit: Option<bool>,
    /// Tags of the process.
    pub tags: Vec<(String, OwnedTagValue)>,
    /// The sampler.
    pub sampler: SamplerConfig,
    /// The exporters, all of which get the same spans: `jaeger`, which is Thrift to the collector
    /// or the agent of [`reporter`](Self::reporter), and `otlp`, to the server of
    /// `ReporterConfig::otlp` (feature `otlp`). With both, the tracer's own counts follow the
    /// first. Or `none`, by which spans are discarded, and counted as sent; a sampler is called all
    /// the same. Default `jaeger`.
    pub exporters: Vec<String>,
    /// The reporter: where spans are sent, and how.
    pub reporter: ReporterConfig,
    /// The names of the headers that carry contexts.
    pub headers: HeadersConfig,
    /// The propagation formats, `jaeger`, `b3`, `b3-single` or `w3c`, in order of priority; see
    /// [`CompositeFormat`](propagation::CompositeFormat). The last three are also
    /// called `b3multi`, `b3single` and `tracecontext`. Default `jaeger`.
    pub propagation: Vec<String>,
    /// The proxy of requests over HTTP: to a collector, and polls of samplers, restrictions and
    /// throttlers. By default, the environment names it.
    pub proxy: ProxyConfig,
    /// The agent that is polled for baggage restrictions; without one, all baggage may be set.
    /// Needs the feature `remote-sampler`.
    pub baggage_restrictions: Option<BaggageRestrictionsConfig>,
    /// The agent that is polled for debugging credits; without one, all requests are granted. Needs
    /// the feature `remote-sampler`.
    pub throttler: Option<ThrottlerConfig>,
    /// Tail sampling: retains unsampled traces with an error or a slow span. Default off.
    pub tail_sampling: Option<TailSamplingConfig>,
    /// What spans record, and how.
    pub spans: SpanOptions,
    /// Warnings about the environment, such as variables that are set but not read. Logged once,
    /// when the tracer is built.
    pub warnings: Vec<String>,
    /// Information about the variables of OpenTelemetry that were used. Logged once, when the
    /// tracer is built.
    pub notes: Vec<String>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Hides what is secret: configurations end up in logs.
impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value): &(String, OwnedTagValue)| match value {
            OwnedTagValue::Str(text) => (key.clone(), OwnedTagValue::Str(redact::value(text))),
            other => (key.clone(), other.clone()),
        };
        f.debug_struct("Configuration")
            .field("service_name", &self.service_name)
            .field("disabled", &self.disabled)
            .field("rpc_metrics", &self.rpc_metrics)
            .field("trace_id_128bit", &self.trace_id_128bit)
            .field("tags", &self.tags.iter().map(shown).collect::<Vec<_>>())
            .field("sampler", &self.sampler)
            .field("exporters", &self.exporters)
            .field("reporter", &self.reporter)
            .field("headers", &self.headers)
            .field("propagation", &self.propagation)
            .field("proxy", &self.proxy)
            .field("baggage_restrictions", &self.baggage_restrictions)
            .field("throttler", &self.throttler)
            .field("tail_sampling", &self.tail_sampling)
            .field("spans", &self.spans)
            .field("warnings", &self.warnings)
            .field("notes", &self.notes)
            .finish()
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            service_name: String::new(),
            disabled: false,
            rpc_metrics: false,
            trace_id_128bit: None,
            tags: Vec::new(),
            sampler: SamplerConfig::default(),
            exporters: vec!["jaeger".to_owned()],
            reporter: ReporterConfig::default(),
            headers: HeadersConfig::default(),
            propagation: vec!["jaeger".to_owned()],
            proxy: ProxyConfig::default(),
            baggage_restrictions: None,
            throttler: None,
            tail_sampling: None,
            spans: SpanOptions::default(),
            warnings: Vec::new(),
            notes: Vec::new(),
            __non_exhaustive: NonExhaustive,
        }
    }
}

impl Configuration {
    /// Returns the defaults for the service with that name.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), ..Self::default() }
    }

    /// Builds the tracer, and the closer that ends it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] has the option, the value and what is allowed. An agent that is absent, or
    /// whose name does not resolve, is no error.
    pub fn new_tracer(&self) -> Result<(Tracer, Closer), ConfigError> {
        self.new_tracer_with(|builder| builder)
    }

    /// Builds the tracer with options that cannot be given as data: metrics, a logger, observers.
    /// `options` is called with the builder when the configuration is applied, and may change it.
    /// It is not called if the tracer is disabled.
    ///
    /// # Errors
    ///
    /// As for [`new_tracer`](Self::new_tracer).
    ///
    /// # Source
    ///
    /// The options of `Configuration.NewTracer` in jaeger-client-go, such as `config.Metrics`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Configuration;
    /// use jaeger_client::metrics::InMemoryMetrics;
    /// let metrics = InMemoryMetrics::new();
    /// let configuration = Configuration { rpc_metrics: true, ..Configuration::new("checkout") };
    /// let (tracer, _closer) = configuration
    ///     .new_tracer_with(|builder| builder.metrics(metrics.clone()).null_reporter())?;
    /// tracer.span("charge").tag("span.kind", "server").start().finish();
    /// let counters = metrics.counters();
    /// assert_eq!(counters["jaeger-rpc.requests|component=jaeger|endpoint=charge|error=false"], 1);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn new_tracer_with(
        &self,
        options: impl FnOnce(TracerBuilder) -> TracerBuilder,
    ) -> Result<(Tracer, Closer), ConfigError> {
        if self.disabled {
            let name = if self.service_name.is_empty() { "disabled" } else { &self.service_name };
            return Tracer::builder(name)
                .headers(self.headers.clone())
                .format(propagation::from_names(&self.propagation, &self.headers)?)
                .disabled()
                .build();
        }
        if self.service_name.trim().is_empty() {
            return Err(ConfigError::NoServiceName { noticed: self.warnings.clone() });
        }
        let mut builder = Tracer::builder(&self.service_name)
            .sampler(sampler::from_name(
                &self.sampler.kind,
                &self.sampler.params(&self.service_name, &self.proxy),
            )?)
            .agent(&self.reporter.local_agent_host_port)
            .send_options(self.reporter.send_options(&self.proxy))
            .headers(self.headers.clone())
            .format(propagation::from_names(&self.propagation, &self.headers)?)
            .rpc_metrics(self.rpc_metrics)
            .trace_id_128bit(self.has_wide_trace_ids())
            .span_options(self.spans.clone());
        builder = self.send_with(builder)?;
        if self.reporter.log_spans {
            builder = builder.add_destination(Destination::logging());
        }
        if let Some(restrictions) = &self.baggage_restrictions {
            builder = self.restrict_baggage(builder, restrictions)?;
        }
        if let Some(throttler) = &self.throttler {
            builder = self.throttle_debugging(builder, throttler)?;
        }
        if let Some(keep) = &self.tail_sampling {
            builder = builder.tail_sampling(keep.clone());
        }
        for (key, value) in &self.tags {
            builder = builder.tag(key, value.clone());
        }
        let (tracer, closer) = options(builder).build()?;
        tracer.warn(&self.warnings);
        tracer.note(&self.notes);
        Ok((tracer, closer))
    }

    #[cfg(feature = "remote-sampler")]
    fn restrict_baggage(
        &self,
        builder: TracerBuilder,
        by: &BaggageRestrictionsConfig,
    ) -> Result<TracerBuilder, ConfigError> {
        let (name, proxy) = (&self.service_name, &self.proxy);
        let manager = policy::RemoteBaggageRestrictionManager::with_proxy(name, by, proxy)?;
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

    #[cfg(feature = "remote-sampler")]
    fn throttle_debugging(
        &self,
        builder: TracerBuilder,
        by: &ThrottlerConfig,
    ) -> Result<TracerBuilder, ConfigError> {
        let (name, proxy) = (&self.service_name, &self.proxy);
        Ok(builder.debug_throttler(policy::RemoteThrottler::with_proxy(name, by, proxy)?))
    }

    #[cfg(not(feature = "remote-sampler"))]
    fn throttle_debugging(
        &self,
        _builder: TracerBuilder,
        _by: &ThrottlerConfig,
    ) -> Result<TracerBuilder, ConfigError> {
        Err(ConfigError::FeatureOff { field: "throttler", feature: "remote-sampler" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Case = (fn(&mut Configuration), &'static [&'static str]);

    #[test]
    fn errors_name_the_option_the_value_and_what_is_allowed() {
        let with = |change: fn(&mut Configuration)| {
            let mut configuration = Configuration::new("svc");
            change(&mut configuration);
            configuration.new_tracer().map(drop).unwrap_err().to_string()
        };
        let cases: [Case; 15] = [
            (|c| c.service_name.clear(), &["service_name"]),
            (
                |c| c.exporters = vec!["zipkin".into()],
                &["exporters", "zipkin", "jaeger, otlp, none"],
            ),
            (|c| c.exporters.clear(), &["exporters", "is empty"]),
            (|c| c.exporters = vec!["jaeger".into(), "none".into()], &["exporters", "alone"]),
            #[cfg(not(feature = "otlp"))]
            (|c| c.exporters = vec!["otlp".into()], &["exporters", "feature `otlp`"]),
            #[cfg(feature = "otlp")]
            (
                |c| {
                    c.exporters = vec!["otlp".into()];
                    c.reporter.otlp.endpoint = "c:4318".into();
                },
                &["reporter.otlp.endpoint", "c:4318", "http://collector:4318"],
            ),
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
            (
                |c| {
                    c.tail_sampling =
                        Some(TailSamplingConfig { max_bytes: 100, ..TailSamplingConfig::default() })
                },
                &["tail_sampling.max_bytes", "100", "at least 4096"],
            ),
            (|c| c.reporter.queue_size = 0, &["queue_size", "0", "from 1"]),
            (
                |c| c.reporter.pacing.bytes_per_second = 64_999,
                &["pacing.bytes_per_second", "64999", "65000"],
            ),
            (|c| c.reporter.queue_bytes = Some(64_999), &["queue_bytes", "64999", "65000"]),
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
        let report = closer.close(Duration::ZERO);
        assert_eq!((report.stats.not_sampled, report.stats.sent), (1, 0));
    }
}
