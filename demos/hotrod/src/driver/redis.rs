//! The cache of drivers, which times out now and then.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jaeger_client::{Span, Tracer};
use rand::RngExt;

use super::proto::DriverLocation;
use crate::{delay, log};

/// A cache of drivers, as quick as a real one.
#[derive(Debug)]
pub(crate) struct Redis {
    tracer: Tracer,
    reads: AtomicU64,
}

/// The cache did not answer in time.
#[derive(Debug)]
pub(crate) struct Timeout;

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis timeout")
    }
}

impl Redis {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Self { tracer, reads: AtomicU64::new(0) }
    }

    fn span(&self, operation: &'static str, key: &str, value: &str) -> Span {
        self.tracer
            .span(operation)
            .child_of(Span::active().as_ref())
            .tag("span.kind", "client")
            .tag("peer.service", "redis")
            .tag(key, value)
            .start()
    }

    /// The numbers of the ten drivers nearest to a place.
    pub(crate) async fn find_driver_ids(&self, location: &str) -> Vec<String> {
        let span = self.span("FindDriverIDs", "param.location", location);
        delay::about(FIND, 0.25).await;
        let ids: Vec<_> = (0..NEAREST)
            .map(|_| format!("T7{:05}C", rand::rng().random_range(0..100_000)))
            .collect();
        log::info(&span, "found drivers", &[("drivers", (&*ids.join(" ")).into())]);
        ids
    }

    /// A driver. The first read and every fifth from there on time out.
    pub(crate) async fn driver(&self, id: &str) -> Result<DriverLocation, Timeout> {
        let span = self.span("GetDriver", "param.driverID", id);
        delay::about(GET, 0.25).await;
        if self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(FAILS_EVERY) {
            delay::about(PATIENCE, 0.0).await;
            log::failed(&span, &Timeout.to_string());
            return Err(Timeout);
        }
        let axis = || rand::rng().random_range(0..1000);
        let location = format!("{},{}", axis(), axis());
        Ok(DriverLocation { driver_id: id.into(), location })
    }
}

/// How many drivers are looked for.
const NEAREST: usize = 10;

/// Of how many reads one fails.
const FAILS_EVERY: u64 = 5;

/// How long the look-up takes.
const FIND: Duration = Duration::from_millis(20);

/// How long a driver takes.
const GET: Duration = Duration::from_millis(10);

/// How much longer a read takes that times out.
const PATIENCE: Duration = Duration::from_millis(20);
