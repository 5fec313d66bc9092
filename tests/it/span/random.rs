//! Random parts of the steps that the laws of spans take.

use std::time::{Duration, SystemTime};

use crate::support::Seeded;
use jaeger_client::{SpanContext, SpanId, TraceId};

/// Returns a time of the first two seconds after the epoch, to the microsecond.
pub(super) fn moment(random: &mut Seeded) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(random.below(2_000_000))
}

/// Returns the context of a caller.
pub(super) fn remote(random: &mut Seeded) -> SpanContext {
    let flags = random.pick([0, 1, 3, 9]);
    let context = SpanContext::new(TraceId::new(0, 77), SpanId::new(78), SpanId::new(79), flags);
    match random.below(3) {
        0 => context.with_baggage_item("who", "me"),
        _ => context,
    }
}
