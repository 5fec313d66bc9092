//! A tracer for each service, as if each ran alone.

use std::time::Duration;

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{Closer, CollectorFormat, ConfigError, FlushReport, HttpConfig, Tracer};

/// Makes tracers that send to one place, and closes them.
#[derive(Debug)]
pub(crate) struct Tracers {
    backend: Backend,
    closers: Vec<(&'static str, Closer)>,
}

/// Where tracers send.
#[derive(Debug)]
pub(crate) enum Backend {
    Agent(String),
    Zipkin(String),
}

impl Tracers {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, closers: Vec::new() }
    }

    /// The tracer of a service. It samples everything: this is to be looked at.
    pub(crate) fn tracer(&mut self, service: &'static str) -> Result<Tracer, ConfigError> {
        let builder = Tracer::builder(service)
            .sampler(ConstSampler::new(true))
            // Whoever follows the link of a ride wants to see its trace.
            .flush_interval(Duration::from_millis(100));
        let builder = match &self.backend {
            Backend::Agent(agent) => builder.agent(agent),
            Backend::Zipkin(url) => builder.collector(HttpConfig {
                format: (!url.contains("/api/")).then_some(CollectorFormat::ZipkinJson),
                ..HttpConfig::new(url)
            }),
        };
        let (tracer, closer) = builder.build()?;
        self.closers.push((service, closer));
        Ok(tracer)
    }

    /// Sends what is left, and says what became of each service's spans.
    pub(crate) fn close(self, timeout: Duration) -> Vec<(&'static str, FlushReport)> {
        self.closers.into_iter().map(|(service, closer)| (service, closer.close(timeout))).collect()
    }
}
