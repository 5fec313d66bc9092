//! Metrics in memory, for the tests of applications.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Counter, Gauge, MetricsFactory, MetricsHost, Timer};

/// Stores metrics for tests, exact at the time they are read. Clones share them.
///
/// A metric is identified by its name and its tags: `jaeger.tracer.traces|sampled=y|state=started`.
///
/// # Source
///
/// `metricstest.Factory` of jaeger-client-go, from jaeger-lib.
///
/// # Examples
///
/// ```
/// use jaeger_client::metrics::InMemoryMetrics;
/// use jaeger_client::Tracer;
/// let metrics = InMemoryMetrics::new();
/// let (tracer, _closer) =
///     Tracer::builder("svc").metrics(metrics.clone()).null_reporter().build()?;
/// tracer.start_span("op").finish();
/// assert_eq!(metrics.counters()["jaeger.tracer.finished_spans|sampled=y"], 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct InMemoryMetrics {
    shared: Arc<Instruments>,
}

impl fmt::Debug for InMemoryMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryMetrics")
            .field("counters", &self.shared.counters.lock().len())
            .finish_non_exhaustive()
    }
}

type Named<T> = Mutex<BTreeMap<String, Arc<T>>>;

#[derive(Debug, Default)]
struct Instruments {
    counters: Named<AtomicU64>,
    gauges: Named<AtomicI64>,
    timers: Named<Mutex<Vec<Duration>>>,
    tracers: Mutex<Vec<MetricsHost>>,
}

impl InMemoryMetrics {
    /// Returns an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all counters, also those that are zero.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.refresh();
        read(&self.shared.counters, |counter| counter.load(Ordering::Relaxed))
    }

    /// Returns all gauges.
    #[must_use]
    pub fn gauges(&self) -> BTreeMap<String, i64> {
        self.refresh();
        read(&self.shared.gauges, |gauge| gauge.load(Ordering::Relaxed))
    }

    /// Returns all durations, in the order in which they were recorded.
    #[must_use]
    pub fn timers(&self) -> BTreeMap<String, Vec<Duration>> {
        read(&self.shared.timers, |timer| timer.lock().clone())
    }

    /// Updates the instruments of every tracer, without the lock, which the instruments need.
    fn refresh(&self) {
        let tracers = self.shared.tracers.lock().clone();
        let gone = tracers.iter().filter(|tracer| !tracer.publish()).count();
        if gone > 0 {
            self.shared.tracers.lock().retain(MetricsHost::is_there);
        }
    }
}

fn read<T, V>(named: &Named<T>, value: impl Fn(&T) -> V) -> BTreeMap<String, V> {
    named.lock().iter().map(|(name, shared)| (name.clone(), value(shared))).collect()
}

/// Returns the instrument with that name and those tags, made if there is none.
fn find<T: Default>(named: &Named<T>, name: &str, tags: &[(&str, &str)]) -> Arc<T> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    let mut key = name.to_owned();
    for (tag, value) in tags {
        key.extend(["|", tag, "=", value]);
    }
    Arc::clone(named.lock().entry(key).or_default())
}

impl MetricsFactory for InMemoryMetrics {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        Box::new(Instrument(find(&self.shared.counters, name, tags)))
    }

    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        Box::new(Instrument(find(&self.shared.gauges, name, tags)))
    }

    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        Box::new(Instrument(find(&self.shared.timers, name, tags)))
    }

    fn start(&self, host: &MetricsHost) {
        self.shared.tracers.lock().push(host.clone());
    }
}

struct Instrument<T>(Arc<T>);

impl Counter for Instrument<AtomicU64> {
    fn inc(&self, delta: u64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }
}

impl Gauge for Instrument<AtomicI64> {
    fn update(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Timer for Instrument<Mutex<Vec<Duration>>> {
    fn record(&self, duration: Duration) {
        self.0.lock().push(duration);
    }
}
