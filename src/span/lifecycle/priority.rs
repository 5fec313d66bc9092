//! The tag `sampling.priority`, which forces or stops the recording of a trace.

use super::tail;
use crate::clock::Clock;
use crate::span::record::{DEBUG, SAMPLED, SpanRecord, Start};
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// Parses a `sampling.priority` of any number; anything else is ignored.
fn priority_of(value: TagValue<'_>) -> Option<bool> {
    match value {
        TagValue::I64(number) => Some(number > 0),
        TagValue::U64(number) => Some(number > 0),
        TagValue::F64(number) if !number.is_nan() => Some(number > 0.0),
        _ => None,
    }
}

pub(super) fn set_priority(record: &SpanRecord, shared: &SpanShared, value: TagValue<'_>) {
    let Some(force) = priority_of(value).filter(|_| !shared.is_disabled()) else { return };
    if force && shared.sampling.throttler.is_some() && !may_force(record, shared) {
        return;
    }
    apply(record, shared, value, force);
}

/// Sets a priority of a span that continues as this one, and has forced its trace to be recorded. The throttler
/// allowed that before.
pub(super) fn continue_priority(record: &SpanRecord, shared: &SpanShared, value: TagValue<'_>) {
    apply(record, shared, value, true);
}

fn apply(record: &SpanRecord, shared: &SpanShared, value: TagValue<'_>, force: bool) {
    // Read without the lock, as a clock may be a user callback. 0 means not forced.
    let now = if force { shared.clock.monotonic_nanos().max(1) } else { 0 };
    let Some(mut data) = record.lock() else { return };
    if data.finished {
        drop(data);
        return shared.report_misuse("set_tag");
    }
    record.state.set_deferred(false);
    if !force {
        // Both bits: a trace with the debug bit would still be recorded downstream.
        record.state.remove(SAMPLED | DEBUG);
        return tail::decided(record, shared);
    }
    if matches!(data.start(), Start::Unknown) {
        data.start_at(shared, now);
    }
    record.state.force(
        if shared.options.no_debug_flag_on_forced_sampling { SAMPLED } else { SAMPLED | DEBUG },
        now,
    );
    tail::decided(record, shared);
    data.tag(SAMPLING_PRIORITY, value, shared, shared.options.max_tag_value_length);
}

/// Calls the throttler without the lock, as it may be a user callback and may poll a server. It is
/// not called for a finished span, nor if the debug flag is not set.
fn may_force(record: &SpanRecord, shared: &SpanShared) -> bool {
    if shared.options.no_debug_flag_on_forced_sampling {
        return true;
    }
    let name = {
        let data = record.lock().filter(|data| !data.finished);
        data.map(|data| data.draft.name().clone())
    };
    name.is_none_or(|name| shared.is_debug_allowed(&name))
}
