//! The guard around an application's metrics system: its panics are caught.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::factory::NoOp;
use super::{Counter, Gauge, MetricKind, MetricsFactory, MetricsHost, Timer};
use crate::diag::Diagnostics;
use crate::panics::Callback;

/// A factory that catches the panics of the application's factory and instruments.
#[derive(Clone)]
pub(crate) struct Instruments {
    factory: Arc<dyn MetricsFactory>,
    diagnostics: Arc<Diagnostics>,
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").finish_non_exhaustive()
    }
}

impl Instruments {
    pub(crate) fn new(factory: Arc<dyn MetricsFactory>, diagnostics: Arc<Diagnostics>) -> Self {
        Self { factory, diagnostics }
    }

    pub(super) fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Guarded<dyn Counter> {
        let make = || self.factory.counter(name, tags);
        let made = self.diagnostics.call(Callback::MetricsFactoryCounter, make);
        self.guarded(made.unwrap_or_else(|| Box::new(NoOp)))
    }

    pub(super) fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Guarded<dyn Gauge> {
        let make = || self.factory.gauge(name, tags);
        let made = self.diagnostics.call(Callback::MetricsFactoryGauge, make);
        self.guarded(made.unwrap_or_else(|| Box::new(NoOp)))
    }

    pub(super) fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Guarded<dyn Timer> {
        let make = || self.factory.timer(name, tags);
        let made = self.diagnostics.call(Callback::MetricsFactoryTimer, make);
        self.guarded(made.unwrap_or_else(|| Box::new(NoOp)))
    }

    pub(super) fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        let describe = || self.factory.describe(kind, name, help);
        let _ = self.diagnostics.call(Callback::MetricsFactoryDescribe, describe);
    }

    pub(super) fn start(&self, host: &MetricsHost) {
        let _ = self.diagnostics.call(Callback::MetricsFactoryStart, || self.factory.start(host));
    }

    fn guarded<I: ?Sized>(&self, instrument: Box<I>) -> Guarded<I> {
        Guarded { instrument, diagnostics: Arc::clone(&self.diagnostics) }
    }
}

/// An application's instrument, whose panics are caught.
pub(super) struct Guarded<I: ?Sized> {
    instrument: Box<I>,
    diagnostics: Arc<Diagnostics>,
}

impl Guarded<dyn Counter> {
    pub(super) fn inc(&self, delta: u64) {
        let _ = self.diagnostics.call(Callback::CounterInc, || self.instrument.inc(delta));
    }
}

impl Guarded<dyn Gauge> {
    pub(super) fn update(&self, value: i64) {
        let _ = self.diagnostics.call(Callback::GaugeUpdate, || self.instrument.update(value));
    }
}

impl Guarded<dyn Timer> {
    pub(super) fn record(&self, duration: Duration) {
        let _ = self.diagnostics.call(Callback::TimerRecord, || self.instrument.record(duration));
    }
}
