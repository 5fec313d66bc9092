//! The interface of an application's metrics system.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::host::MetricsHost;

/// Makes instruments of an application's metrics system.
///
/// Names are Jaeger's, with dots: `jaeger.tracer.started_spans`. The factory replaces characters
/// that the system does not allow in names; in Prometheus' form this one is
/// `jaeger_tracer_started_spans_total`. An instrument that is requested twice is one: both count
/// together.
///
/// # Cost
///
/// A tracer requests its instruments once, when it is built. They are then called on the reporter's
/// thread at each flush interval, and where a tracer is flushed or closed; only those with a new
/// value.
///
/// # Source
///
/// `metrics.Factory` of jaeger-client-go, from jaeger-lib.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use std::time::Duration;
/// use jaeger_client::Tracer;
/// use jaeger_client::metrics::{Counter, MetricsFactory};
///
/// /// Counts all spans started.
/// #[derive(Clone, Debug, Default)]
/// struct Started(Arc<AtomicU64>);
/// struct Other;
///
/// impl Counter for Started {
///     fn inc(&self, delta: u64) {
///         self.0.fetch_add(delta, Ordering::Relaxed);
///     }
/// }
/// impl Counter for Other {
///     fn inc(&self, _delta: u64) {}
/// }
/// impl MetricsFactory for Started {
///     fn counter(&self, name: &str, _tags: &[(&str, &str)]) -> Box<dyn Counter> {
///         if name == "jaeger.tracer.started_spans" {
///             Box::new(self.clone())
///         } else {
///             Box::new(Other)
///         }
///     }
/// }
///
/// let started = Started::default();
/// let (tracer, closer) =
///     Tracer::builder("svc").metrics(started.clone()).null_reporter().build()?;
/// tracer.start_span("op").finish();
/// let _ = closer.close(Duration::from_secs(1));
/// assert_eq!(started.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait MetricsFactory: fmt::Debug + Send + Sync {
    /// Returns a counter. Tags are pairs of a key and a value, sorted by key.
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter>;

    /// Returns a gauge. By default, one that does nothing.
    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        let _ = (name, tags);
        Box::new(NoOp)
    }

    /// Returns a timer. By default, one that does nothing.
    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        let _ = (name, tags);
        Box::new(NoOp)
    }

    /// Describes instruments with that name, for systems that show it. Called before the first of
    /// them is requested. Does nothing by default.
    fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        let _ = (kind, name, help);
    }

    /// Called when a tracer has its instruments, with a handle to update them at any time, for
    /// systems that are read from outside. Does nothing by default.
    fn start(&self, host: &MetricsHost) {
        let _ = host;
    }
}

impl<M: MetricsFactory + ?Sized> MetricsFactory for Arc<M> {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        (**self).counter(name, tags)
    }

    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        (**self).gauge(name, tags)
    }

    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        (**self).timer(name, tags)
    }

    fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        (**self).describe(kind, name, help);
    }

    fn start(&self, host: &MetricsHost) {
        (**self).start(host);
    }
}

/// The type of a metric's instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MetricKind {
    /// A [`Counter`].
    Counter,
    /// A [`Gauge`].
    Gauge,
    /// A [`Timer`].
    Timer,
}

/// A number that only grows.
pub trait Counter: Send + Sync {
    /// Increments the counter.
    fn inc(&self, delta: u64);
}

/// A number that goes up and down.
pub trait Gauge: Send + Sync {
    /// Sets the gauge.
    fn update(&self, value: i64);
}

/// A distribution of durations.
pub trait Timer: Send + Sync {
    /// Records a duration.
    fn record(&self, duration: Duration);
}

pub(super) struct NoOp;

impl Counter for NoOp {
    fn inc(&self, _delta: u64) {}
}

impl Gauge for NoOp {
    fn update(&self, _value: i64) {}
}

impl Timer for NoOp {
    fn record(&self, _duration: Duration) {}
}
