//! The way from an application's metrics system back to a tracer.

use std::fmt;
use std::sync::Weak;

/// What a tracer's numbers are published by.
pub(super) trait Publish: Send + Sync {
    /// Brings all instruments up to date.
    fn publish_all(&self);
}

/// A tracer, as far as its metrics see it. It does not keep the tracer.
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

    /// Whether the tracer is there. Once it is not, its instruments are as they were left.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.publisher.strong_count() > 0
    }

    /// Brings the tracer's instruments up to date. False if the tracer is gone: they then are, for
    /// good.
    ///
    /// # Cost
    ///
    /// That of [`Tracer::stats`](crate::Tracer::stats), and a call of each instrument of which there
    /// is something new. Call it without a lock that the instruments need.
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
