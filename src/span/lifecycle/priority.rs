//! The tag `sampling.priority`, which forces or stops the recording of a trace.

use super::tail;
use crate::clock::Clock;
use crate::span::record::{DEBUG, SAMPLED, SpanRecord, Start};
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// A `sampling.priority` of any number; anything else is ignored.
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
    // Read without the lock, as a clock may be foreign code. 0 would mean that nobody forced it.
    let now = if force { core.clock.monotonic_nanos().max(1) } else { 0 };
    let Some(mut data) = inner.lock() else { return };
    if data.finished {
        drop(data);
        return core.report_misuse("set_tag");
    }
    inner.state.set_undecided(false);
    if !force {
        // Both bits: a trace that keeps the debug bit would still be kept downstream.
        inner.state.remove(SAMPLED | DEBUG);
        return tail::decided(inner, core);
    }
    if matches!(data.start, Start::Unknown) {
        data.start_at(core, now);
    }
    inner.state.force(if core.no_debug_flag { SAMPLED } else { SAMPLED | DEBUG }, now);
    tail::decided(inner, core);
    data.tag(SAMPLING_PRIORITY, value, core, core.max_tag_value_bytes);
}

/// Asks without the lock, as a throttler may be foreign code and may ask a server. Nobody is asked
/// for a span that is over, nor where forcing does not make it a debugging one.
fn may_force(inner: &SpanRecord, core: &SpanShared) -> bool {
    if core.no_debug_flag {
        return true;
    }
    let name = {
        let data = inner.lock().filter(|data| !data.finished);
        data.map(|data| data.draft.name.clone())
    };
    name.is_none_or(|name| core.is_debug_allowed(&name))
}
