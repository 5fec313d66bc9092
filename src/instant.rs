//! The system's monotonic clock, for waits and intervals off the hot path: its only reader.

use std::time::Instant;

#[inline]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
