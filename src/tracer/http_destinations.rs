//! The options that send spans over HTTP instead of to an agent.

use super::builder::{Target, TracerBuilder};
use crate::reporter::Destination;
use crate::transport::{HttpConfig, OtlpConfig};

impl TracerBuilder {
    /// Sends to a collector, or a Zipkin server, over HTTP, instead of to an agent. Needs the
    /// feature `collector-http`.
    pub fn collector(self, config: HttpConfig) -> Self {
        self.destination(Destination::collector(config))
    }

    /// Sends as OTLP over HTTP, to an OpenTelemetry Collector or Jaeger v2, instead of to an agent.
    /// Needs the feature `otlp`.
    pub fn otlp(self, config: OtlpConfig) -> Self {
        self.destination(Destination::otlp(config))
    }

    /// Returns whether new trace ids have 128 bits: as configured, or as the servers expect.
    pub(super) fn has_wide_trace_ids(&self) -> bool {
        self.trace_id_128bit.unwrap_or_else(|| self.has_otlp_destination())
    }

    pub(super) fn has_otlp_destination(&self) -> bool {
        let is_first =
            matches!(&self.target, Target::Destination(destination) if destination.is_otlp());
        is_first || self.others.iter().any(Destination::is_otlp)
    }
}
