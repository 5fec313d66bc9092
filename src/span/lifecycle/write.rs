//! Writing to a live span: tags and logs.
//!
//! Step 4 in the life of a span. Usual tags and logs have fast paths without a call; all others are
//! calls.

use std::time::SystemTime;

use parking_lot::MutexGuard;

use super::priority::set_priority;
use super::{deferred, tail};
use crate::clock::Clock;
use crate::encoding::{TagBuffer, Timestamp};
use crate::span::record::{SpanData, SpanRecord};
use crate::span::shared::SpanShared;
use crate::span::{IntoTagValue, Span, TagValue, observer};
use crate::tags::SAMPLING_PRIORITY;

impl Span {
    /// Sets a tag. A key may be set more than once; all values are sent, and the last one counts.
    ///
    /// `sampling.priority` is not stored but takes effect: a number above 0 forces the trace to be
    /// recorded, 0 prevents it.
    #[inline]
    pub fn set_tag(&self, key: &str, value: impl IntoTagValue) -> &Self {
        value.set_with(
            #[inline(always)]
            |value| match value {
                TagValue::Str(text) => self.tag_of_text(key, text),
                TagValue::Bool(truth) => self.tag_of_bool(key, truth),
                TagValue::I64(number) => self.tag_of_long(key, number),
                value => self.tag_of_any(key, value),
            },
        );
        self
    }

    /// Sets several tags, as [`set_tag`](Self::set_tag) does each of them.
    ///
    /// # Cost
    ///
    /// The span is locked once for all tags before the first that is a double, an unsigned number or bytes, or
    /// is long; from then on, and where there are observers, as by [`set_tag`](Self::set_tag).
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("get");
    /// span.set_tags(&[("http.method", "GET".into()), ("http.status_code", 200.into())]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn set_tags(&self, tags: &[(&str, TagValue<'_>)]) -> &Self {
        self.tags_of_slice(tags);
        self
    }

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

    /// Logs fields at a past time. A time that servers do not store is clamped, as [at the
    /// start](crate::SpanBuilder::start_time).
    pub fn log_at(&self, time: SystemTime, fields: &[(&str, TagValue<'_>)]) -> &Self {
        self.log_with(Some(self.checked_nanos("log_at", time)), fields)
    }

    /// Logs the field `event`.
    pub fn log_event(&self, event: impl AsRef<str>) -> &Self {
        self.log_now(&[("event", TagValue::Str(event.as_ref()))]);
        self
    }

    // One function for each usual type, inlined where a tag is set: of a literal key then only a
    // few moves are left. The slow path is a tail call, so that the fast path needs no registers
    // for it.

    #[inline]
    fn tag_of_text(&self, key: &str, text: &str) {
        let Some(record) = self.sampled_record() else {
            return self.unsampled_tag(key, TagValue::Str(text));
        };
        let Some(stripe) = &record.stripe else { return };
        if key.len() == SAMPLING_PRIORITY.len() || text.len() > stripe.options.max_tag_value_length
        {
            return self.slow_tag_of_text(key, text, None);
        }
        let Some(mut data) = record.data.try_lock() else {
            return self.slow_tag_of_text(key, text, None);
        };
        if !data.try_text(key, text) {
            self.slow_tag_of_text(key, text, Some(data));
        }
    }

    #[inline]
    fn tag_of_bool(&self, key: &str, truth: bool) {
        let Some(record) = self.sampled_record() else {
            return self.unsampled_tag(key, TagValue::Bool(truth));
        };
        if key.len() == SAMPLING_PRIORITY.len() {
            return self.slow_tag_of_bool(key, truth, None);
        }
        let Some(mut data) = record.data.try_lock() else {
            return self.slow_tag_of_bool(key, truth, None);
        };
        if !data.try_bool(key, truth) {
            self.slow_tag_of_bool(key, truth, Some(data));
        }
    }

    #[inline]
    fn tag_of_long(&self, key: &str, number: i64) {
        if key.len() == SAMPLING_PRIORITY.len() {
            // The tag may take effect, and then on any span.
            return self.slow_tag_of_long(key, number, None);
        }
        let Some(record) = self.sampled_record() else {
            return self.unsampled_tag(key, TagValue::I64(number));
        };
        let Some(mut data) = record.data.try_lock() else {
            return self.slow_tag_of_long(key, number, None);
        };
        if !data.try_long(key, number) {
            self.slow_tag_of_long(key, number, Some(data));
        }
    }

    // The slow paths take the lock guard: unlocking before the call would cost the fast paths
    // registers.

    #[cold]
    #[inline(never)]
    fn slow_tag_of_text(&self, key: &str, text: &str, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.tag_of_any(key, TagValue::Str(text));
    }

    #[cold]
    #[inline(never)]
    fn slow_tag_of_bool(&self, key: &str, truth: bool, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.tag_of_any(key, TagValue::Bool(truth));
    }

    #[cold]
    #[inline(never)]
    fn slow_tag_of_long(&self, key: &str, number: i64, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.tag_of_any(key, TagValue::I64(number));
    }

    /// Sets tags under one lock, as far as all are usual.
    #[inline]
    fn tags_of_slice(&self, tags: &[(&str, TagValue<'_>)]) {
        let Some(record) = self.sampled_record() else { return self.slow_tags(tags, None) };
        let Some(stripe) = &record.stripe else { return };
        let Some(mut data) = record.data.try_lock() else { return self.slow_tags(tags, None) };
        let max_bytes = stripe.options.max_tag_value_length;
        let mut rest = tags;
        while let Some(((key, value), others)) = rest.split_first() {
            if data.finished || !data.try_tag(key, *value, max_bytes) {
                return self.slow_tags(rest, Some(data));
            }
            rest = others;
        }
    }

    /// Sets tags one by one.
    #[cold]
    #[inline(never)]
    fn slow_tags(&self, tags: &[(&str, TagValue<'_>)], locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        for (key, value) in tags {
            self.set_tag(key, *value);
        }
    }

    #[inline(never)]
    pub(in crate::span) fn tag_of_any(&self, key: &str, value: TagValue<'_>) {
        if let Some(record) = self.existing_record()
            && let (true, Some(stripe)) = (record.state.has_slow_end(), &record.stripe)
        {
            return if record.state.is_on_slow_path() {
                self.slow_tag(record, stripe, key, value)
            } else {
                self.observed_tag(record, stripe, key, value)
            };
        }
        if key == SAMPLING_PRIORITY {
            return self.priority(value);
        }
        self.keep_tag(key, value);
    }

    /// A tag of a span that is not on the slow path, for observers of finished spans too.
    #[inline(never)]
    fn observed_tag(
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
        self.keep_tag(key, value);
    }

    /// A tag of a span on the slow path.
    #[cold]
    #[inline(never)]
    fn slow_tag(&self, record: &SpanRecord, shared: &SpanShared, key: &str, value: TagValue<'_>) {
        if !shared.hooks.is_empty() {
            observer::tag_set(self, record, shared, key, value);
        }
        if key == SAMPLING_PRIORITY {
            return set_priority(record, shared, value);
        }
        if record.state.is_recording() {
            deferred::tag_set(record, shared, key, value.view(usize::MAX));
            tail::tag_set(record, shared, key, value.view(usize::MAX));
        }
        self.keep_tag(key, value);
    }

    #[inline(always)]
    fn keep_tag(&self, key: &str, value: TagValue<'_>) {
        self.recording("set_tag", |data, shared| {
            data.tag(key, value, shared, shared.options.max_tag_value_length)
        });
    }

    /// A tag of a span that is not surely sampled, or on the slow path.
    fn unsampled_tag(&self, key: &str, value: TagValue<'_>) {
        let Some(record) = self.existing_record() else { return };
        if record.state.is_only_observed() {
            self.only_observed_tag(key, value);
        } else if record.state.wants_tags() {
            self.tag_of_any(key, value);
        }
    }

    /// A tag of a span that is not sampled, for observers of finished spans.
    #[inline(never)]
    fn only_observed_tag(&self, key: &str, value: TagValue<'_>) {
        let Some(record) = self.existing_record() else { return };
        let Some(stripe) = &record.stripe else { return };
        if key.len() == SAMPLING_PRIORITY.len() {
            return self.observed_tag(record, stripe, key, value);
        }
        observer::store_tag(record, stripe, key, value);
    }

    /// Returns the record of a span that is sampled, and whose sampler is not called again.
    #[inline(always)]
    fn sampled_record(&self) -> Option<&SpanRecord> {
        self.existing_record()
            .filter(|record| record.state.is_surely_sampled())
            .map(|record| &**record)
    }

    #[cold]
    fn priority(&self, value: TagValue<'_>) {
        let Some((record, stripe)) = self.parts() else { return };
        set_priority(record, stripe, value);
    }

    /// Writes to the body of a span whose tags and logs are recorded.
    #[inline(always)]
    pub(in crate::span) fn recording(
        &self,
        call: &'static str,
        write: impl FnOnce(&mut SpanData, &SpanShared),
    ) {
        let Some(record) = self.recording_record() else { return };
        let Some(stripe) = &record.stripe else { return };
        let Some(mut data) = record.lock() else { return };
        if data.finished {
            drop(data);
            stripe.report_misuse(call);
        } else {
            write(&mut data, stripe);
        }
    }

    #[inline]
    fn log_now(&self, fields: &[(&str, TagValue<'_>)]) {
        let Some(record) = self.sampled_record() else { return self.unsampled_log(fields) };
        let Some(stripe) = &record.stripe else { return };
        let now = stripe.clock.monotonic_nanos();
        let Some(mut data) = record.data.try_lock() else { return self.slow_log(fields, None) };
        let at = data.wall(stripe, now);
        if !data.try_log(at, fields) {
            self.slow_log(fields, Some(data));
        }
    }

    #[cold]
    #[inline(never)]
    fn slow_log(&self, fields: &[(&str, TagValue<'_>)], locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.log_with(None, fields);
    }

    /// Fields of a span that is not surely sampled, or on the slow path.
    #[cold]
    #[inline(never)]
    fn unsampled_log(&self, fields: &[(&str, TagValue<'_>)]) {
        self.log_with(None, fields);
    }

    pub(in crate::span) fn log_with(
        &self,
        at: Option<i64>,
        fields: &[(&str, TagValue<'_>)],
    ) -> &Self {
        // Read without the lock, as a clock may be a user callback.
        let stripe = self.recording_record().and_then(|record| record.stripe.as_ref());
        let now =
            stripe.filter(|_| at.is_none()).map_or(0, |stripe| stripe.clock.monotonic_nanos());
        self.recording("log", |data, shared| {
            let at = at.unwrap_or_else(|| data.wall(shared, now));
            data.log(shared, at, fields);
        });
        self
    }
}

impl SpanRecord {
    /// Sets a tag of a record that no other handle shares, if the span is sampled and not on the slow
    /// path, and the tag is usual. Otherwise returns false.
    #[inline(always)]
    pub(in crate::span) fn try_tag(&mut self, key: &str, value: TagValue<'_>) -> bool {
        let Self { stripe, state, data, .. } = self;
        if let TagValue::Str(text) = value
            && stripe.as_ref().is_none_or(|stripe| text.len() > stripe.options.max_tag_value_length)
        {
            return false;
        }
        let data = data.get_mut();
        state.is_surely_sampled() && !data.finished && data.try_tag(key, value, usize::MAX)
    }

    /// Logs fields at the present time, in the same way.
    #[inline(always)]
    pub(in crate::span) fn try_log(&mut self, fields: &[(&str, TagValue<'_>)]) -> bool {
        let Self { stripe: Some(stripe), state, data, .. } = self else { return false };
        if !state.is_surely_sampled() {
            return false;
        }
        let now = stripe.clock.monotonic_nanos();
        let data = data.get_mut();
        data.try_log(data.wall(stripe, now), fields)
    }
}

/// Appends a tag or a field of a usual type if it is short and there is room for it. Otherwise returns
/// false.
#[inline(always)]
fn try_write(to: &mut TagBuffer, key: &str, value: TagValue<'_>) -> bool {
    let key = key.as_bytes();
    match value {
        TagValue::Str(text) => to.try_tag_text(key, text.as_bytes()),
        TagValue::I64(number) => to.try_tag_long(key, number),
        TagValue::Bool(truth) => to.try_tag_bool(key, truth),
        _ => false,
    }
}

impl SpanData {
    #[inline(always)]
    fn try_text(&mut self, key: &str, text: &str) -> bool {
        self.append_tag(|tags| tags.try_tag_text(key.as_bytes(), text.as_bytes()))
    }

    #[inline(always)]
    fn try_bool(&mut self, key: &str, truth: bool) -> bool {
        self.append_tag(|tags| tags.try_tag_bool(key.as_bytes(), truth))
    }

    #[inline(always)]
    fn try_long(&mut self, key: &str, number: i64) -> bool {
        self.append_tag(|tags| tags.try_tag_long(key.as_bytes(), number))
    }

    /// Appends a tag, if the span is not finished, the tag is short, and there is room for it. Otherwise
    /// returns false.
    #[inline(always)]
    fn append_tag(&mut self, append: impl FnOnce(&mut TagBuffer) -> bool) -> bool {
        if self.finished || !append(&mut self.draft.tags) {
            return false;
        }
        self.draft.add_tags(1);
        true
    }

    /// Appends a tag of a span that has not begun or is not finished, if the tag is usual and short, there
    /// is room for it, and its key is not one that takes effect. Otherwise returns false.
    #[inline(always)]
    pub(super) fn try_tag(&mut self, key: &str, value: TagValue<'_>, max_bytes: usize) -> bool {
        let may_be_written = key.len() != SAMPLING_PRIORITY.len()
            && !matches!(value, TagValue::Str(text) if text.len() > max_bytes);
        let written = may_be_written && try_write(&mut self.draft.tags, key, value);
        if written {
            self.draft.add_tags(1);
        }
        written
    }

    /// Appends a log, if the span is not finished, the log's fields are short and few, and there is room
    /// for them. Otherwise returns false.
    #[inline(always)]
    fn try_log(&mut self, at: i64, fields: &[(&str, TagValue<'_>)]) -> bool {
        if self.finished {
            return false;
        }
        let lists = self.draft.lists_mut();
        let logs = &mut lists.logs;
        let before = logs.len();
        let mut written = logs.try_log_head(Timestamp::of_nanos(at), fields.len());
        // By hand, as `all` is a call where logs are written in more than one place.
        for (key, value) in fields {
            written = written && try_write(logs, key, *value);
        }
        let written = written && logs.try_stop();
        if !written {
            logs.truncate(before);
            return false;
        }
        lists.log_count += 1;
        self.draft.extras = true;
        true
    }

    /// Appends a log. Fields are never truncated, as in Go; a span that becomes too large is
    /// trimmed as a whole.
    pub(in crate::span) fn log(
        &mut self,
        shared: &SpanShared,
        at: i64,
        fields: &[(&str, TagValue<'_>)],
    ) {
        let before = self.draft.logs().bytes.len();
        self.append_log(at, fields);
        if shared.options.max_logs_per_span > 0 {
            self.limit_logs(
                before,
                Timestamp::of_nanos(at).micros(),
                shared.options.max_logs_per_span,
            );
        }
    }

    /// Appends a log without a limit to their number.
    pub(super) fn append_log(&mut self, at: i64, fields: &[(&str, TagValue<'_>)]) {
        let lists = self.draft.lists_mut();
        let logs = &mut lists.logs;
        logs.log_head(Timestamp::of_nanos(at).micros(), fields.len());
        for (key, value) in fields {
            logs.tag(key.as_bytes(), value.view(usize::MAX));
        }
        logs.push(0);
        lists.log_count += 1;
        self.draft.extras = true;
    }
}
