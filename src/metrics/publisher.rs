//! Updates an application's instruments with the tracer's counts.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::guarded::Guarded;
use super::host::{MetricsHost, Publish};
use super::reading::{COUNTERS, COUNTERS_HELP, QUEUE_LENGTH, QUEUE_LENGTH_HELP, Reading};
use super::{Counter, Gauge, Instruments, MetricKind};
use crate::clock;
use crate::span::counters::Stripes;
use crate::span::shared::SpanShared;

/// A tracer's instruments, and their last reported values.
pub(crate) struct Publisher {
    shared: Arc<SpanShared>,
    stripes: Stripes,
    counters: [Guarded<dyn Counter>; COUNTERS.len()],
    queue_length: Guarded<dyn Gauge>,
    reported: Mutex<Reported>,
    /// Waits for reports of other threads.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Reported {
    totals: [u64; COUNTERS.len()],
    /// The number of threads that are reporting new values.
    reporting: usize,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("reported", &self.reported).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Requests the tracer's instruments from the factory.
    pub(crate) fn new(
        shared: &Arc<SpanShared>,
        stripes: &Stripes,
        factory: &Instruments,
    ) -> Arc<Self> {
        for (name, help) in COUNTERS_HELP {
            factory.describe(MetricKind::Counter, name, help);
        }
        factory.describe(MetricKind::Gauge, QUEUE_LENGTH, QUEUE_LENGTH_HELP);
        let publisher = Arc::new(Self {
            shared: Arc::clone(shared),
            stripes: stripes.clone(),
            counters: COUNTERS.map(|(name, tags, _)| factory.counter(name, tags)),
            queue_length: factory.gauge(QUEUE_LENGTH, &[]),
            reported: Mutex::default(),
            idle: Condvar::new(),
        });

        let weak: Weak<Self> = Arc::downgrade(&publisher);
        factory.start(&MetricsHost::new(weak));
        publisher
    }

    /// Reports new values to each instrument.
    pub(crate) fn publish(&self) {
        let now = Reading::of(&self.shared, &self.stripes);
        let deltas = self.reported.lock().take(&now);
        // No lock is held here, as instruments are user callbacks.
        for (counter, delta) in self.counters.iter().zip(deltas).filter(|(_, delta)| *delta > 0) {
            counter.inc(delta);
        }
        self.queue_length.update(i64::try_from(now.stats.queued).unwrap_or(i64::MAX));
        self.reported.lock().reporting -= 1;
        self.idle.notify_all();
    }
}

impl Reported {
    /// Returns the new part of a reading. A number that went down, as `sent` does after a late
    /// refusal, or one that another thread has read since, is not new: counters only grow.
    fn take(&mut self, now: &Reading) -> [u64; COUNTERS.len()] {
        self.reporting += 1;
        let mut deltas = [0; COUNTERS.len()];
        for ((deltas, reported), (_, _, value)) in
            deltas.iter_mut().zip(&mut self.totals).zip(COUNTERS)
        {
            let value = value(now);
            *deltas = value.saturating_sub(*reported);
            *reported = value.max(*reported);
        }
        deltas
    }
}

impl Publish for Publisher {
    /// Publishes, and waits for other threads that are still reporting, within a bound.
    fn publish_all(&self) {
        if self.shared.is_forked() {
            return;
        }
        self.publish();
        let until = clock::now() + PATIENCE;
        let mut reported = self.reported.lock();
        while reported.reporting > 0 && !self.idle.wait_until(&mut reported, until).timed_out() {}
    }
}

/// How long to wait for instruments that another thread calls.
const PATIENCE: Duration = Duration::from_secs(1);
