//! The view that a sampler has of its tracer.

use std::fmt;
use std::sync::Weak;

use crate::diag::Cause;
use crate::panics::Callback;

/// The services of a tracer for its sampler.
pub(crate) trait Host: fmt::Debug + Send + Sync {
    fn monotonic_nanos(&self) -> u64;

    fn report(&self, cause: Cause, message: &dyn Fn() -> String);

    fn info(&self, message: &str);

    /// Counts and reports that a callback panicked.
    fn panicked(&self, callback: Callback, message: &str);
}

/// A handle to the tracer that a sampler works for; it does not keep the tracer alive.
///
/// # Cost
///
/// Meant for a sampler's own thread. On the application's thread, read the clock from the span.
#[derive(Clone, Debug)]
pub struct SamplerHost {
    host: Weak<dyn Host>,
}

impl SamplerHost {
    pub(crate) fn new(host: Weak<dyn Host>) -> Self {
        Self { host }
    }

    /// Returns the tracer's monotonic clock, the one that
    /// [`SamplingParameters`](super::SamplingParameters) reads, or `None` when the tracer is gone.
    #[must_use]
    pub fn monotonic_nanos(&self) -> Option<u64> {
        self.host.upgrade().map(|host| host.monotonic_nanos())
    }

    /// Logs that the sampler could not do its work: at most once a minute, with the number of
    /// suppressed messages.
    pub fn report(&self, message: &str) {
        self.report_as(Cause::Sampler, || message.to_owned());
    }

    /// Logs an error as [`report`](Self::report) does, for a cause with its own rate limit.
    pub(super) fn report_as(&self, cause: Cause, message: impl Fn() -> String) {
        if let Some(host) = self.host.upgrade() {
            host.report(cause, &message);
        }
    }

    /// Logs something worth knowing, such as a new sampling strategy.
    pub fn info(&self, message: &str) {
        if let Some(host) = self.host.upgrade() {
            host.info(message);
        }
    }

    pub(super) fn panicked(&self, callback: Callback, message: &str) {
        if let Some(host) = self.host.upgrade() {
            host.panicked(callback, message);
        }
    }
}
