//! The calls of a recorder: Jaeger's names and tags, and the numbers of the span accounting.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaeger_client::metrics::{MetricKind, MetricsFactory};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{NullLogger, Tracer, TracerBuilder};
use jaeger_client_metrics::RecorderMetrics;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// A recorder that stores values by kind, name and labels.
#[derive(Clone, Debug, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, f64>>>);

struct One(Recorded, String);

impl One {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut reported = self.0.0.lock().unwrap();
        let value = reported.entry(self.1.clone()).or_default();
        *value = change(*value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "the tests count to ten")]
impl CounterFn for One {
    fn increment(&self, delta: u64) {
        self.change(|value| value + delta as f64);
    }

    fn absolute(&self, total: u64) {
        self.change(|value| value.max(total as f64));
    }
}

impl GaugeFn for One {
    fn increment(&self, delta: f64) {
        self.change(|value| value + delta);
    }

    fn decrement(&self, delta: f64) {
        self.change(|value| value - delta);
    }

    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl HistogramFn for One {
    fn record(&self, seconds: f64) {
        self.change(|sum| sum + seconds);
    }
}

impl Recorded {
    fn one(&self, kind: &str, key: &Key) -> Arc<One> {
        let label = |label: &metrics::Label| format!(" {}={}", label.key(), label.value());
        let labels: String = key.labels().map(label).collect();
        Arc::new(One(self.clone(), format!("{kind} {}{labels}", key.name())))
    }

    fn describe(&self, kind: &str, name: &KeyName, help: &str) {
        assert!(!help.is_empty());
        self.0.lock().unwrap().insert(format!("help of {kind} {}", name.as_str()), 1.0);
    }

    fn of(&self, key: &str) -> Option<f64> {
        self.0.lock().unwrap().get(key).copied()
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe("counter", &name, &help);
    }

    fn describe_gauge(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe("gauge", &name, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        assert_eq!(unit, Some(Unit::Seconds));
        self.describe("histogram", &name, &help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one("counter", key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one("histogram", key))
    }
}

const SOON: Duration = Duration::from_secs(60);

fn builder() -> TracerBuilder {
    let builder = Tracer::builder("svc").logger(NullLogger).flush_interval(SOON);
    builder.transport(MemoryTransport::new())
}

#[test]
fn a_recorder_gets_jaegers_names_with_their_tags_as_labels_and_the_numbers_of_the_accounting() {
    let reported = Recorded::default();
    let metrics = RecorderMetrics::with_recorder(reported.clone());
    let (tracer, closer) = builder().metrics(metrics).build().unwrap();
    (0..3).for_each(|_| tracer.start_span("op").finish());
    let open = tracer.start_span("open");
    assert_eq!(tracer.flush(SOON).stats.sent, 3);
    let started = "counter jaeger.tracer.started_spans sampled=y";
    let finished = "counter jaeger.tracer.finished_spans sampled=y";
    let traces = "counter jaeger.tracer.traces sampled=y state=started";
    let queued = "gauge jaeger.tracer.reporter_queue_length";
    let all = || [started, finished, traces, queued].map(|key| reported.of(key));
    assert_eq!(all(), [Some(4.0), Some(3.0), Some(4.0), Some(0.0)]);
    open.finish();
    let report = closer.close(SOON);
    assert!(report.complete, "{report}");
    assert_eq!(all(), [Some(4.0), Some(4.0), Some(4.0), Some(0.0)]);
    assert_eq!(reported.of("counter jaeger.tracer.reporter_spans result=ok"), Some(4.0));
    assert_eq!(reported.of("help of counter jaeger.tracer.reporter_spans"), Some(1.0));
    assert_eq!(reported.of("help of gauge jaeger.tracer.reporter_queue_length"), Some(1.0));
}

#[test]
fn timers_are_histograms_of_seconds() {
    let reported = Recorded::default();
    let metrics = RecorderMetrics::with_recorder(reported.clone());
    metrics.describe(MetricKind::Timer, "jaeger-rpc.request_latency", "How long");
    let timer = metrics.timer("jaeger-rpc.request_latency", &[("endpoint", "GET")]);
    timer.record(Duration::from_millis(1500));
    timer.record(Duration::from_millis(500));
    assert_eq!(reported.of("histogram jaeger-rpc.request_latency endpoint=GET"), Some(2.0));
    assert_eq!(reported.of("help of histogram jaeger-rpc.request_latency"), Some(1.0));
}

#[test]
fn the_global_recorder_may_come_after_the_tracer() {
    let (tracer, _closer) = builder().metrics(RecorderMetrics::new()).build().unwrap();
    tracer.start_span("lost to the recorder").finish();
    let _ = tracer.flush(SOON);
    let reported = Recorded::default();
    metrics::set_global_recorder(reported.clone()).unwrap();
    tracer.start_span("op").finish();
    let _ = tracer.flush(SOON);
    assert_eq!(reported.of("counter jaeger.tracer.finished_spans sampled=y"), Some(1.0));
}
