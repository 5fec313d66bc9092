//! Writing to a live span: logs, and tags off the fast path of `span/set_tag.rs`.
//!
//! Step 4 in the life of a span. Short logs of a sampled span are written without a call, on the fast path. A
//! function `…_cold` takes over where something is long, the buffer has to grow, or another thread has the
//! lock. A span whose trace is on the slow path ([`TraceState::is_on_slow_path`]) has callbacks, which are
//! called first.
//!
//! [`TraceState::is_on_slow_path`]: crate::span::record::TraceState::is_on_slow_path

use std::time::SystemTime;

use super::priority::set_priority;
use super::{deferred, tail};
use crate::clock::Clock;
use crate::encoding::Key;
use crate::lock::MutexGuard;
use crate::span::record::{FieldList, SpanData, SpanRecord, may_be_priority};
use crate::span::shared::SpanShared;
use crate::span::{EncodedFields, Span, TagValue, observer};
use crate::tags::SAMPLING_PRIORITY;

impl Span {
    /// Logs fields at the present time.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("get");
    /// span.log(&[("event", "retry".into()), ("attempt", 2.into())]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn log(&self, fields: &[(&str, TagValue<'_>)]) -> &Self {
        self.log_now(fields);
        self
    }

    /// Logs fields that were encoded before, at the present time.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{EncodedFields, TagKey};
    /// static EVENT: TagKey = TagKey::new("event");
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut fields = EncodedFields::new();
    /// fields.push(&EVENT, "retry");
    /// let span = tracer.start_span("get");
    /// span.log_encoded(&fields);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn log_encoded(&self, fields: &EncodedFields) -> &Self {
        self.log_now(fields);
        self
    }

    /// Logs fields at a past time. A time that servers do not store is clamped, as [at the
    /// start](crate::SpanBuilder::start_time).
    pub fn log_at(&self, time: SystemTime, fields: &[(&str, TagValue<'_>)]) -> &Self {
        self.log_with(Some(self.checked_nanos("log_at", time)), fields)
    }

    /// Logs the field `event`.
    pub fn log_event(&self, event: impl AsRef<str>) -> &Self {
        self.log_now(&[("event", TagValue::Str(event.as_ref()))][..]);
        self
    }

    #[inline(never)]
    pub(in crate::span) fn set_any_tag(&self, key: &str, value: TagValue<'_>) {
        if let Some(record) = self.existing_record()
            && let (true, Some(stripe)) = (record.state.has_slow_end(), &record.stripe)
        {
            return if record.state.is_on_slow_path() {
                self.set_tag_on_slow_path(record, stripe, key, value)
            } else {
                self.set_observed_tag(record, stripe, key, value)
            };
        }
        if key == SAMPLING_PRIORITY {
            return self.set_priority(value);
        }
        self.record_tag(key, value);
    }

    /// Sets a tag of a span that is not on the slow path, for observers of finished spans too.
    #[inline(never)]
    fn set_observed_tag(
        &self,
        record: &SpanRecord,
        shared: &SpanShared,
        key: &str,
        value: TagValue<'_>,
    ) {
        observer::tag_set_off_slow_path(record, shared, key, value);
        if key == SAMPLING_PRIORITY {
            return set_priority(record, shared, value);
        }
        self.record_tag(key, value);
    }

    /// Sets a tag of a span on the slow path: observers first, then the priority, or the sampler that
    /// defers and tail sampling.
    #[cold]
    #[inline(never)]
    fn set_tag_on_slow_path(
        &self,
        record: &SpanRecord,
        shared: &SpanShared,
        key: &str,
        value: TagValue<'_>,
    ) {
        if !shared.hooks.is_empty() {
            observer::tag_set(self, record, shared, key, value);
        }
        if key == SAMPLING_PRIORITY {
            return set_priority(record, shared, value);
        }
        decide_by_tag(record, shared, key, value);
        self.record_tag(key, value);
    }

    #[inline(always)]
    fn record_tag(&self, key: &str, value: TagValue<'_>) {
        self.with_recording_data("set_tag", |data, shared| {
            data.tag(key, value, shared, shared.options.max_tag_value_length)
        });
    }

    /// Sets a tag of a span that is not on the fast path: not sampled, or on the slow path.
    pub(in crate::span) fn set_tag_off_fast_path(&self, key: &str, value: TagValue<'_>) {
        let Some(record) = self.existing_record() else { return };
        if record.state.is_only_observed() {
            self.set_tag_for_observers(key, value);
        } else if record.state.wants_tags() {
            self.set_any_tag(key, value);
        }
    }

    /// Sets a tag of a span that is not sampled, for observers of finished spans.
    #[inline(never)]
    fn set_tag_for_observers(&self, key: &str, value: TagValue<'_>) {
        let Some(record) = self.existing_record() else { return };
        let Some(stripe) = &record.stripe else { return };
        if may_be_priority(key) {
            return self.set_observed_tag(record, stripe, key, value);
        }
        observer::store_tag(record, stripe, key, value);
    }

    #[cold]
    fn set_priority(&self, value: TagValue<'_>) {
        let Some((record, stripe)) = self.parts() else { return };
        set_priority(record, stripe, value);
    }

    /// Writes to the data of a span whose tags and logs are recorded.
    #[inline(always)]
    pub(in crate::span) fn with_recording_data(
        &self,
        call: &'static str,
        write: impl FnOnce(&mut SpanData, &SpanShared),
    ) {
        if let Some(record) = self.recording_record() {
            record.with_data(call, write);
        }
    }

    #[inline]
    fn log_now(&self, fields: impl FieldList) {
        let Some(record) = self.fast_path_record() else { return self.log_off_fast_path(fields) };
        let Some(stripe) = &record.stripe else { return };
        let now = stripe.clock.monotonic_nanos();
        let Some(mut data) = record.data.try_lock() else { return self.log_cold(fields, None) };
        let at = data.wall(stripe, now);
        if !data.try_log(at, fields) {
            self.log_cold(fields, Some(data));
        }
    }

    #[cold]
    #[inline(never)]
    fn log_cold(&self, fields: impl FieldList, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.log_with(None, fields);
    }

    /// Logs fields of a span that is not on the fast path.
    #[cold]
    #[inline(never)]
    fn log_off_fast_path(&self, fields: impl FieldList) {
        self.log_with(None, fields);
    }

    pub(in crate::span) fn log_with(&self, at: Option<i64>, fields: impl FieldList) -> &Self {
        let Some(record) = self.recording_record() else { return self };
        let Some(stripe) = &record.stripe else { return self };
        // Read without the lock, as a clock may be a user callback.
        let now = if at.is_none() { stripe.clock.monotonic_nanos() } else { 0 };
        record.with_data("log", |data, shared| {
            let at = at.unwrap_or_else(|| data.wall(shared, now));
            data.log(shared, at, fields);
        });
        self
    }
}

/// Calls all that may decide on a trace by a tag that is about to be set: the sampler that defers, and
/// tail sampling.
pub(super) fn decide_by_tag(
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: TagValue<'_>,
) {
    if record.state.may_be_sampled_later() {
        deferred::tag_set(record, shared, key, value.view(usize::MAX));
        tail::tag_set(record, shared, key, value.view(usize::MAX));
    }
}

impl SpanRecord {
    /// Writes to the data, unless the span is finished, which counts as misuse.
    #[inline(always)]
    fn with_data(&self, call: &'static str, write: impl FnOnce(&mut SpanData, &SpanShared)) {
        let Some(stripe) = &self.stripe else { return };
        let Some(mut data) = self.lock() else { return };
        if data.finished {
            drop(data);
            stripe.report_misuse(call);
        } else {
            write(&mut data, stripe);
        }
    }

    /// Sets a tag of a record that no other handle shares, if the span is sampled and not on the slow
    /// path, and the tag is usual. Otherwise returns false.
    #[inline(always)]
    pub(in crate::span) fn try_tag(&mut self, key: impl Key, value: TagValue<'_>) -> bool {
        let Self { truncates_short_text, state, data, .. } = self;
        // Long text is not usual.
        if matches!(value, TagValue::Str(_)) && *truncates_short_text {
            return false;
        }
        let data = data.get_mut();
        state.is_on_fast_path() && !data.finished && data.try_tag(key, value, usize::MAX)
    }

    /// Logs fields at the present time, in the same way.
    #[inline(always)]
    pub(in crate::span) fn try_log(&mut self, fields: impl FieldList) -> bool {
        let Self { stripe: Some(stripe), state, data, .. } = self else { return false };
        if !state.is_on_fast_path() {
            return false;
        }
        let now = stripe.clock.monotonic_nanos();
        let data = data.get_mut();
        data.try_log(data.wall(stripe, now), fields)
    }
}
