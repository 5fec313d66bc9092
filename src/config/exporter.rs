//! Which exporters spans go to: the switch from Jaeger's own ways to OTLP.

use super::Configuration;
use crate::error::ConfigError;
use crate::reporter::Destination;
use crate::tracer::TracerBuilder;

/// A way out that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exporter {
    /// Thrift: to a collector if one is named, and else to an agent.
    Jaeger,
    Otlp,
    /// Nowhere.
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

/// The exporters of those names, each once, in their order.
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
    /// Whether spans go to that exporter.
    pub(super) fn exports(&self, exporter: Exporter) -> bool {
        self.exporters.iter().any(|name| Exporter::of(name) == Some(exporter))
    }

    /// Whether spans are sent as OTLP.
    pub(super) fn exports_otlp(&self) -> bool {
        self.exports(Exporter::Otlp)
    }

    /// Whether new traces get ids of 128 bits, if anything says so: this configuration, or what it
    /// speaks to servers and other processes.
    pub(super) fn has_wide_trace_ids(&self) -> bool {
        let is_w3c = |name: &String| name.trim().eq_ignore_ascii_case("w3c");
        self.trace_id_128bit
            .unwrap_or_else(|| self.exports_otlp() || self.propagation.iter().any(is_w3c))
    }

    /// The destinations that its tracer sends to, the first one first: for what sends spans without a
    /// tracer, such as a [replay](crate::SavedBatchesConfig).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for exporters that are none.
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

    /// Gives the builder its destinations.
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
                // What the builder does unless it is told otherwise.
                (Exporter::Jaeger, 0) if !has_collector => continue,
                (_, 0) => builder.destination(self.destination(exporter)),
                _ => builder.add_destination(self.destination(exporter)),
            };
        }
        Ok(builder)
    }
}

/// The names, as configuration has them.
pub(super) const NAMES: [&str; 3] = ["jaeger", "otlp", "none"];
