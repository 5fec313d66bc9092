//! A Jaeger tracer's metrics for a registry of [`prometheus_client`].
//!
//! [`PrometheusMetrics`] is registered once and given to a tracer's builder. When the registry is
//! scraped it has the tracer bring its metrics up to date first, so that what is scraped is exact.
//! Names are those that Jaeger's clients have in Prometheus: `jaeger_tracer_started_spans_total`.
//!
//! # Examples
//!
//! ```
//! use jaeger_client::Tracer;
//! use jaeger_client_prometheus::PrometheusMetrics;
//! use jaeger_client_prometheus::prometheus_client::{encoding::text, registry::Registry};
//!
//! let mut registry = Registry::default();
//! let metrics = PrometheusMetrics::register(&mut registry);
//! let (tracer, _closer) =
//!     Tracer::builder("checkout").metrics(metrics).null_reporter().build()?;
//! tracer.start_span("charge").finish();
//!
//! let mut page = String::new();
//! text::encode(&mut page, &registry)?;
//! assert!(page.contains(r#"jaeger_tracer_finished_spans_total{sampled="y"} 1"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod collect;
mod instrument;

/// The version of it that the registry must be of; another one's is another type.
pub use prometheus_client;

use std::sync::Arc;

use jaeger_client::metrics::{Counter, Gauge, MetricKind, MetricsFactory, MetricsHost, Timer};
use prometheus_client::registry::Registry;

use self::collect::Collected;

/// Stores the metrics of one or several tracers for a registry; several count together. Clones
/// share the metrics.
///
/// Timers are histograms of seconds, with the bounds of Prometheus' Go client: from 5 ms to 10 s.
///
/// # Source
///
/// `prometheus.Factory` of jaeger-client-go, from jaeger-lib: dots and hyphens become underscores,
/// counters end in `_total`.
#[derive(Clone, Debug, Default)]
pub struct PrometheusMetrics {
    collected: Arc<Collected>,
}

impl PrometheusMetrics {
    /// Makes metrics for this registry, which may be a part of another, with a prefix and labels of
    /// its own.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(Arc::clone(&metrics.collected)));
        metrics
    }
}

impl MetricsFactory for PrometheusMetrics {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        Box::new(self.collected.counter(name, tags))
    }

    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        Box::new(self.collected.gauge(name, tags))
    }

    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        Box::new(self.collected.timer(name, tags))
    }

    fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        self.collected.describe(kind, name, help);
    }

    fn start(&self, host: &MetricsHost) {
        self.collected.add(host.clone());
    }
}
