//! A Jaeger tracer's metrics for the recorder of the [`metrics`] crate.
//!
//! [`RecorderMetrics`] is given to a tracer's builder. The tracer's thread then tells the recorder
//! what is new at each flush interval. Names are Jaeger's own, `jaeger.tracer.started_spans` and so
//! on, with their tags as labels; an exporter makes of them what its system allows, for Prometheus
//! usually `jaeger_tracer_started_spans`.
//!
//! # Examples
//!
//! ```
//! use jaeger_client::Tracer;
//! use jaeger_client_metrics::RecorderMetrics;
//! let (tracer, _closer) =
//!     Tracer::builder("checkout").metrics(RecorderMetrics::new()).null_reporter().build()?;
//! # drop(tracer);
//! # Ok::<(), jaeger_client::ConfigError>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaeger_client::metrics::{Counter, Gauge, MetricKind, MetricsFactory, Timer};
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// Publishes a tracer's metrics to a recorder: counters as counters, gauges as gauges, timers as
/// histograms of seconds.
///
/// # Cost
///
/// The recorder is asked for its instrument at each update, which for a tracer's own metrics is
/// once in a flush interval. So it may be installed after the tracer was built; earlier updates are
/// lost.
#[derive(Clone, Default)]
pub struct RecorderMetrics {
    /// The recorder; none for the global one.
    own: Option<Arc<dyn Recorder + Send + Sync>>,
}

impl RecorderMetrics {
    /// The global recorder, which `metrics::set_global_recorder` installs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses a custom recorder.
    #[must_use]
    pub fn with_recorder(recorder: impl Recorder + Send + Sync + 'static) -> Self {
        Self { own: Some(Arc::new(recorder)) }
    }

    fn with<T>(&self, work: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.own {
            Some(own) => work(&**own),
            None => metrics::with_recorder(work),
        }
    }

    fn instrument(&self, name: &str, tags: &[(&str, &str)]) -> Instrument {
        let label =
            |(key, value): &(&str, &str)| Label::new((*key).to_owned(), (*value).to_owned());
        let labels: Vec<_> = tags.iter().map(label).collect();
        Instrument { recorder: self.clone(), key: Key::from_parts(name.to_owned(), labels) }
    }
}

impl fmt::Debug for RecorderMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.own.is_some() { "own" } else { "global" };
        f.debug_tuple("RecorderMetrics").field(&which).finish()
    }
}

impl MetricsFactory for RecorderMetrics {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        Box::new(self.instrument(name, tags))
    }

    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        Box::new(self.instrument(name, tags))
    }

    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        Box::new(self.instrument(name, tags))
    }

    /// Describes a metric to the recorder, if it is there by then.
    fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        let (name, help) = (KeyName::from(name.to_owned()), SharedString::from(help.to_owned()));
        self.with(|recorder| match kind {
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Timer => recorder.describe_histogram(name, Some(Unit::Seconds), help),
            _ => recorder.describe_counter(name, None, help),
        });
    }
}

/// An instrument of a recorder, looked up by this key.
struct Instrument {
    recorder: RecorderMetrics,
    key: Key,
}

const METADATA: Metadata<'static> =
    Metadata::new("jaeger_client", Level::INFO, Some("jaeger_client_metrics"));

impl Counter for Instrument {
    fn inc(&self, delta: u64) {
        let counter = |recorder: &dyn Recorder| recorder.register_counter(&self.key, &METADATA);
        self.recorder.with(counter).increment(delta);
    }
}

impl Gauge for Instrument {
    #[expect(clippy::cast_precision_loss, reason = "the recorder's gauges are floats")]
    fn update(&self, value: i64) {
        let gauge = |recorder: &dyn Recorder| recorder.register_gauge(&self.key, &METADATA);
        self.recorder.with(gauge).set(value as f64);
    }
}

impl Timer for Instrument {
    fn record(&self, duration: Duration) {
        let histogram = |recorder: &dyn Recorder| recorder.register_histogram(&self.key, &METADATA);
        self.recorder.with(histogram).record(duration.as_secs_f64());
    }
}
