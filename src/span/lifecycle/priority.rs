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

pub(super) fn set_priority(inner: &SpanRecord, core: &SpanShared, value: TagValue<'_>) {
    let Some(force) = priority_of(value).filter(|_| !core.is_disabled()) else { return };
    if force && core.throttler.is_some() && !may_force(inner, core) {
        return;
    }
    // Read without the lock, as a clock may be a user callback. 0 means not forced.
    let now = if force { core.clock.monotonic_nanos().max(1) } else { 0 };
    let Some(mut data) = inner.lock() else { return };
    if data.finished {
        drop(data);
        return core.report_misuse("set_tag");
    }
    inner.state.set_undecided(false);
    if !force {
        // Both bits: a trace with the debug bit would still be recorded downstream.
        inner.state.remove(SAMPLED | DEBUG);
        return tail::decided(inner, core);
    }
    if matches!(data.start, Start::Unknown) {
        data.start_at(core, now);
    }
    inner.state.force(if core.options.no_debug_flag { SAMPLED } else { SAMPLED | DEBUG }, now);
    tail::decided(inner, core);
    data.tag(SAMPLING_PRIORITY, value, core, core.options.max_tag_value_bytes);
}

/// Calls the throttler without the lock, as it may be a user callback and may poll a server. It is
/// not called for a finished span, nor if the debug flag is not set.
fn may_force(inner: &SpanRecord, core: &SpanShared) -> bool {
    if core.options.no_debug_flag {
        return true;
    }
    let name = {
        let data = inner.lock().filter(|data| !data.finished);
        data.map(|data| data.draft.name.clone())
    };
    name.is_none_or(|name| core.is_debug_allowed(&name))
}
