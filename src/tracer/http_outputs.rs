//! The options that send spans over HTTP in place of an agent.

use super::builder::{Target, TracerBuilder};
use crate::reporter::Output;
use crate::transport::{HttpConfig, OtlpConfig};

impl TracerBuilder {
    /// Sends to a collector, or a Zipkin server, over HTTP, in place of an agent. Needs the feature
    /// `collector-http`.
    pub fn collector(self, config: HttpConfig) -> Self {
        self.reporter(Output::collector(config))
    }

    /// Sends as OTLP over HTTP, to an OpenTelemetry Collector or Jaeger v2, in place of an agent. Needs
    /// the feature `otlp`.
    pub fn otlp(self, config: OtlpConfig) -> Self {
        self.reporter(Output::otlp(config))
    }

    /// Whether new traces get ids of 128 bits. Who asks for nothing gets what its servers expect.
    pub(super) fn has_wide_trace_ids(&self) -> bool {
        self.trace_id_128bit.unwrap_or_else(|| {
            let is_first = matches!(&self.target, Target::Output(output) if output.is_otlp());
            is_first || self.others.iter().any(Output::is_otlp)
        })
    }
}
