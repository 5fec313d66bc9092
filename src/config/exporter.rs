//! The exporters: the switch between Jaeger's own protocols and OTLP.

use super::Configuration;
use crate::error::ConfigError;
use crate::reporter::Destination;
use crate::tracer::TracerBuilder;

/// An exporter that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exporter {
    /// Thrift: to a collector if one is configured, and else to an agent.
    Jaeger,
    Otlp,
    /// No exporter.
    None,
}

impl Exporter {
    fn of(name: &str) -> Option<Self> {
        let all = [Self::Jaeger, Self::Otlp, Self::None];
        all.into_iter()
            .zip(NAMES)
            .find(|(_, own)| own.eq_ignore_ascii_case(name.trim()))
            .map(|x| x.0)
    }
}

/// Returns the exporters with those names, each once, in order.
pub(super) fn exporters(names: &[String]) -> Result<Vec<Exporter>, ConfigError> {
    let field = "exporters";
    let mut exporters = Vec::new();
    for name in names {
        let exporter = Exporter::of(name)
            .ok_or_else(|| ConfigError::unknown(field, name, NAMES.into_iter()))?;
        if !exporters.contains(&exporter) {
            exporters.push(exporter);
        }
    }
    if exporters.is_empty() {
        return Err(ConfigError::Empty { field });
    }
    if exporters.len() > 1 && exporters.contains(&Exporter::None) {
        return Err(ConfigError::invalid(field, names.join(","), "\"none\" alone, or without it"));
    }
    if exporters.contains(&Exporter::Otlp) && cfg!(not(feature = "otlp")) {
        return Err(ConfigError::FeatureOff { field, feature: "otlp" });
    }
    Ok(exporters)
}

impl Configuration {
    /// Returns whether spans go to that exporter.
    pub(super) fn exports(&self, exporter: Exporter) -> bool {
        self.exporters.iter().any(|name| Exporter::of(name) == Some(exporter))
    }

    /// Returns whether spans are sent as OTLP.
    pub(super) fn exports_otlp(&self) -> bool {
        self.exports(Exporter::Otlp)
    }

    /// Returns whether new trace ids have 128 bits, if anything determines it: this configuration,
    /// or its protocols and formats.
    pub(super) fn has_wide_trace_ids(&self) -> bool {
        let is_w3c = |name: &String| name.trim().eq_ignore_ascii_case("w3c");
        self.trace_id_128bit
            .unwrap_or_else(|| self.exports_otlp() || self.propagation.iter().any(is_w3c))
    }

    /// Returns the destinations of the tracer, in order: for programs that send spans without a
    /// tracer, such as a [replay](crate::SavedBatchesConfig).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for unknown exporters.
    pub fn destinations(&self) -> Result<Vec<Destination>, ConfigError> {
        Ok(exporters(&self.exporters)?.into_iter().map(|one| self.destination(one)).collect())
    }

    fn destination(&self, exporter: Exporter) -> Destination {
        match (exporter, &self.reporter.collector_endpoint) {
            (Exporter::Jaeger, Some(endpoint)) => {
                Destination::collector(self.reporter.http(endpoint, &self.proxy))
            }
            (Exporter::Jaeger, None) => {
                let agent = &self.reporter.local_agent_host_port;
                Destination::agent(agent, self.reporter.agent_protocol)
            }
            (Exporter::Otlp, _) => Destination::otlp(self.reporter.otlp_by(&self.proxy)),
            (Exporter::None, _) => Destination::null(),
        }
    }

    /// Adds the destinations to the builder.
    pub(super) fn send_with(
        &self,
        mut builder: TracerBuilder,
    ) -> Result<TracerBuilder, ConfigError> {
        for (number, exporter) in exporters(&self.exporters)?.into_iter().enumerate() {
            if let Exporter::None = exporter {
                return Ok(builder.null_reporter());
            }
            let has_collector = self.reporter.collector_endpoint.is_some();
            builder = match (exporter, number) {
                // The builder's default.
                (Exporter::Jaeger, 0) if !has_collector => continue,
                (_, 0) => builder.destination(self.destination(exporter)),
                _ => builder.add_destination(self.destination(exporter)),
            };
        }
        Ok(builder)
    }
}

/// The names in configuration.
pub(super) const NAMES: [&str; 3] = ["jaeger", "otlp", "none"];
