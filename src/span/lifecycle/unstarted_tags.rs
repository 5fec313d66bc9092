//! Tags of spans that are not started.

use crate::encoding::Key;
use crate::span::observer;
use crate::span::record::SpanRecord;
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// Sets a usual tag of a prepared span. Returns false for any other.
#[inline(always)]
pub(in crate::span) fn try_tag(
    record: &mut SpanRecord,
    key: impl Key,
    value: TagValue<'_>,
) -> bool {
    let SpanRecord { stripe: Some(stripe), data, .. } = record else { return false };
    data.get_mut().try_tag(key, value, stripe.options.max_tag_value_length)
}

/// Sets an unusual tag of a prepared span. Returns whether it is an extra.
#[cold]
#[inline(never)]
pub(in crate::span) fn set_prepared_cold(
    record: &mut SpanRecord,
    key: &str,
    value: TagValue<'_>,
) -> bool {
    let stripe = record.stripe.clone();
    stripe.is_some_and(|stripe| set_tag_cold(record, &stripe, key, value))
}

/// Sets an unusual tag. Returns whether it is an extra.
#[cold]
#[inline(never)]
pub(in crate::span) fn set_tag_cold(
    record: &mut SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: TagValue<'_>,
) -> bool {
    let is_wanted = observer::is_wanted_at_finish(shared, key);
    if key != SAMPLING_PRIORITY {
        let mut max_bytes = shared.start.max_tag_value_bytes;
        // Truncated once it was stored for observers.
        let is_extra = is_wanted && value.byte_len() > max_bytes;
        if is_extra {
            max_bytes = usize::MAX;
        }
        // Here, as a prepared span may be started several times, or not at all.
        shared.count_if_truncated(value.byte_len());
        record.data.get_mut().append_tag(key, value, shared, max_bytes);
        return is_extra;
    }
    // Stored for observers alone: the full path of a start takes it out of the draft.
    let is_stored = is_wanted || !shared.hooks.observers.is_empty();
    if is_stored {
        record.data.get_mut().tag(SAMPLING_PRIORITY, value, shared, usize::MAX);
    }
    // Values of other types are ignored.
    let number = match value {
        TagValue::I64(number) => TagValue::I64(number),
        TagValue::U64(number) => TagValue::U64(number),
        TagValue::F64(number) => TagValue::F64(number),
        _ => return is_stored,
    };
    record.extras().priority = Some(number);
    true
}
