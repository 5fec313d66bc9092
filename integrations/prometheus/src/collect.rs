//! The stored metrics, and reading them for a scrape.

use std::collections::BTreeMap;
use std::fmt;

use jaeger_client::metrics::{MetricKind, MetricsHost};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::instrument::Instrument;

/// All metrics, and the tracers that have them.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    families: Mutex<Families>,
    tracers: Mutex<Vec<MetricsHost>>,
}

#[derive(Debug, Default)]
struct Families {
    counters: BTreeMap<String, Family<Counter>>,
    gauges: BTreeMap<String, Family<Gauge>>,
    timers: BTreeMap<String, Family<Histogram>>,
}

/// The metrics of one name.
#[derive(Debug)]
struct Family<T> {
    help: String,
    metrics: BTreeMap<Vec<(String, String)>, T>,
}

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self { help: String::new(), metrics: BTreeMap::new() }
    }
}

impl Collected {
    pub(crate) fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Instrument<Counter> {
        find(&mut self.families.lock().counters, name, tags, Counter::default)
    }

    pub(crate) fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Instrument<Gauge> {
        find(&mut self.families.lock().gauges, name, tags, Gauge::default)
    }

    pub(crate) fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Instrument<Histogram> {
        find(&mut self.families.lock().timers, name, tags, || Histogram::new(BOUNDS_SECONDS))
    }

    pub(crate) fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        let (name, help) = (allowed(name), help.to_owned());
        let families = &mut *self.families.lock();
        match kind {
            MetricKind::Gauge => families.gauges.entry(name).or_default().help = help,
            MetricKind::Timer => families.timers.entry(name).or_default().help = help,
            _ => families.counters.entry(name).or_default().help = help,
        }
    }

    pub(crate) fn add(&self, tracer: MetricsHost) {
        self.tracers.lock().push(tracer);
    }

    /// Has every tracer tell what is new, with no lock held, and forgets those that are gone.
    fn refresh(&self) {
        let tracers = self.tracers.lock().clone();
        if tracers.iter().filter(|tracer| !tracer.publish()).count() > 0 {
            self.tracers.lock().retain(MetricsHost::is_there);
        }
    }
}

/// The metric of that name and those tags, made if there is none.
fn find<T: Clone>(
    families: &mut BTreeMap<String, Family<T>>,
    name: &str,
    tags: &[(&str, &str)],
    make: impl FnOnce() -> T,
) -> Instrument<T> {
    let label = |(key, value): &(&str, &str)| (allowed(key), (*value).to_owned());
    let mut labels: Vec<_> = tags.iter().map(label).collect();
    labels.sort_unstable();
    let family = families.entry(allowed(name)).or_default();
    Instrument(family.metrics.entry(labels).or_insert_with(make).clone())
}

/// The name with underscores for what Prometheus does not allow in one.
fn allowed(name: &str) -> String {
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    let allowed = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    digit.then_some('_').into_iter().chain(allowed).collect()
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.refresh();
        let families = self.families.lock();
        encode(&mut encoder, &families.counters)?;
        encode(&mut encoder, &families.gauges)?;
        encode(&mut encoder, &families.timers)
    }
}

fn encode<T: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    families: &BTreeMap<String, Family<T>>,
) -> fmt::Result {
    for (name, Family { help, metrics }) in families {
        let Some(kind) = metrics.values().next().map(EncodeMetric::metric_type) else { continue };
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in metrics {
            metric.encode(family.encode_family(labels)?)?;
        }
    }
    Ok(())
}

/// The buckets of Prometheus' Go client, `DefBuckets`.
const BOUNDS_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
