//! Baggage that is set on a live span.

use std::sync::atomic::Ordering;

use crate::clock::Clock;
use crate::encoding::truncate;
use crate::span::baggage::Baggage;
use crate::span::record::{SpanData, SpanRecord};
use crate::span::shared::SpanShared;
use crate::span::{Span, TagValue};

impl Span {
    /// Sets a baggage item, which is propagated with the trace from here on; an empty value removes
    /// it.
    ///
    /// A value longer than the limit is truncated: 2,048 bytes, or the limit of the tracer's
    /// [restriction manager](crate::policy::BaggageRestrictionManager), which may also deny the
    /// key. A sampled span logs the change, or that it was denied.
    pub fn set_baggage_item(&self, key: &str, value: &str) -> &Self {
        let Some((record, stripe)) = self.parts() else { return self.misused("set_baggage_item") };
        set_baggage_item(record, stripe, key, value);
        self
    }
}

/// Sets a baggage item, within its restriction.
fn set_baggage_item(record: &SpanRecord, shared: &SpanShared, key: &str, value: &str) {
    if shared.is_disabled() {
        return;
    }
    // Called without the lock: a manager may be a user callback, and so may a clock.
    let restriction = shared.restriction(key);
    let now = record.state.is_recording().then(|| shared.clock.monotonic_nanos());
    let Some(mut data) = record.lock() else { return };
    if data.finished {
        drop(data);
        return shared.report_misuse("set_baggage_item");
    }
    if !restriction.is_allowed {
        shared.incidents.baggage_limited.fetch_add(1, Ordering::Relaxed);
        shared.incidents.baggage.denied.fetch_add(1, Ordering::Relaxed);
        let shown = truncate(value, shared.baggage.max_value_bytes);
        return data.log_baggage(shared, now, (key, shown), [false, false, true]);
    }
    let stored = truncate(value, restriction.max_value_length);
    let truncated = stored.len() < value.len();
    if truncated {
        shared.incidents.baggage_limited.fetch_add(1, Ordering::Relaxed);
        shared.incidents.baggage.truncated.fetch_add(1, Ordering::Relaxed);
    }
    shared.incidents.baggage.set.fetch_add(1, Ordering::Relaxed);
    let before = data.baggage().and_then(|baggage| baggage.get(key));
    let overrides = before.is_some_and(|value| !value.is_empty());
    Baggage::change(data.baggage_mut(), key, stored);
    record.has_baggage.store(data.baggage().is_some(), Ordering::Release);
    data.log_baggage(shared, now, (key, stored), [overrides, truncated, false]);
}

impl SpanData {
    /// Logs that a baggage item was set, or denied, if the span was recorded `now`: whether it
    /// overrides another, is truncated, is invalid.
    fn log_baggage(
        &mut self,
        shared: &SpanShared,
        now: Option<u64>,
        (key, value): (&str, &str),
        marks: [bool; 3],
    ) {
        let Some(now) = now else { return };
        let mut fields = [("", TagValue::Str("true")); 6];
        fields[0] = ("event", TagValue::Str("baggage"));
        fields[1] = ("key", TagValue::Str(key));
        fields[2] = ("value", TagValue::Str(value));
        let mut count = 3;
        for (name, _) in ["override", "truncated", "invalid"].into_iter().zip(marks).filter(|m| m.1)
        {
            fields[count].0 = name;
            count += 1;
        }
        self.log(shared, self.wall(shared, now), &fields[..count]);
    }
}
