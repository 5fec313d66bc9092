//! What an application's metrics system looks like to a tracer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::host::MetricsHost;

/// Makes instruments of an application's metrics system.
///
/// Names are Jaeger's, with dots: `jaeger.tracer.started_spans`. What the system does not allow in a
/// name is the factory's to replace; in Prometheus' form this one is
/// `jaeger_tracer_started_spans_total`. An instrument that is asked for twice is one: both count
/// together.
///
/// # Cost
///
/// A tracer asks for its instruments once, when it is built. They are then called on the reporter's
/// thread at each flush interval, and where a tracer is flushed or closed; only those of which there
/// is something new.
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
    /// A number that grows. Tags are pairs of a key and a value, in the order of their keys.
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter>;

    /// A number that goes up and down. One that forgets it by default.
    fn gauge(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        let _ = (name, tags);
        Box::new(Forgets)
    }

    /// How long things take. One that forgets it by default.
    fn timer(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Timer> {
        let _ = (name, tags);
        Box::new(Forgets)
    }

    /// What instruments of that name tell, for systems that show it. Called before the first of them
    /// is asked for. Nothing by default.
    fn describe(&self, kind: MetricKind, name: &str, help: &str) {
        let _ = (kind, name, help);
    }

    /// Called when a tracer has its instruments, with a way to have them brought up to date at any
    /// moment, for systems that are read from outside. Nothing by default.
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

/// What kind of instrument a metric has.
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

/// A number that grows.
pub trait Counter: Send + Sync {
    /// Adds to it.
    fn inc(&self, delta: u64);
}

/// A number that goes up and down.
pub trait Gauge: Send + Sync {
    /// Replaces it.
    fn update(&self, value: i64);
}

/// How long things take.
pub trait Timer: Send + Sync {
    /// Adds one that took so long.
    fn record(&self, duration: Duration);
}

pub(super) struct Forgets;

impl Counter for Forgets {
    fn inc(&self, _delta: u64) {}
}

impl Gauge for Forgets {
    fn update(&self, _value: i64) {}
}

impl Timer for Forgets {
    fn record(&self, _duration: Duration) {}
}
