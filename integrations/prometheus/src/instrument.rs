//! The instruments that a tracer is given.

use std::time::Duration;

use jaeger_client::metrics::{Counter, Gauge, Timer};
use prometheus_client::metrics::counter;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram::Histogram;

pub(crate) struct Instrument<T>(pub(crate) T);

impl Counter for Instrument<counter::Counter> {
    fn inc(&self, delta: u64) {
        self.0.inc_by(delta);
    }
}

impl Gauge for Instrument<gauge::Gauge> {
    fn update(&self, value: i64) {
        self.0.set(value);
    }
}

impl Timer for Instrument<Histogram> {
    fn record(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}
