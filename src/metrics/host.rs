//! The view that a metrics system has of its tracer.

use std::fmt;
use std::sync::Weak;

/// Publishes the numbers of a tracer.
pub(super) trait Publish: Send + Sync {
    /// Updates all instruments.
    fn publish_all(&self);
}

/// A handle to the tracer for its metrics; it does not keep the tracer alive.
#[derive(Clone)]
pub struct MetricsHost {
    publisher: Weak<dyn Publish>,
}

impl fmt::Debug for MetricsHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsHost").finish_non_exhaustive()
    }
}

impl MetricsHost {
    pub(super) fn new(publisher: Weak<dyn Publish>) -> Self {
        Self { publisher }
    }

    /// Returns whether the tracer is alive. Once it is not, its instruments do not change any more.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.publisher.strong_count() > 0
    }

    /// Updates the tracer's instruments. Returns false if the tracer is gone: they are then up to
    /// date for good.
    ///
    /// # Cost
    ///
    /// That of [`Tracer::stats`](crate::Tracer::stats), and a call of each instrument with a new
    /// value. Call it without a lock that the instruments need.
    pub fn publish(&self) -> bool {
        match self.publisher.upgrade() {
            Some(publisher) => {
                publisher.publish_all();
                true
            }
            None => false,
        }
    }
}
