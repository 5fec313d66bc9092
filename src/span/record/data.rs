//! The mutable part of a record, behind its lock, and what appends tags and logs to it.

use std::sync::Arc;

use super::extras::{SpanExtras, StartExtras};
use super::times::{End, Start, StoredStart};
use super::trace_state::{Sampled, TraceState};
use crate::clock::Clock;
use crate::encoding::{Appender, Key, SpanDraft, TagBuffer, Timestamp};
use crate::span::baggage::Baggage;
use crate::span::context::SpanContext;
use crate::span::counters::{SpanOrigin, Stripe};
use crate::span::observer::SpanObservers;
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// The mutable part of a span.
#[derive(Debug, Default)]
pub(crate) struct SpanData {
    pub(crate) draft: SpanDraft,
    /// The start of the span.
    start: StoredStart,
    pub(crate) finished: bool,
    /// Whether observers are notified of the finished span. Set at each start of a tracer that has
    /// such observers, and of no meaning to others.
    pub(in crate::span) is_observed: bool,
    /// The offset in the draft's tags from which on they are those of an observed span, and not of its
    /// sampler.
    pub(in crate::span) observed_from: u32,
    /// The fields that few spans use.
    pub(in crate::span) extras: Option<Box<SpanExtras>>,
}

impl SpanData {
    /// Counts the span and marks it as started. Done last, as a sampler, a clock or a generator of ids may
    /// panic before: then there was no span, and dropping the record does not finish one.
    #[inline]
    pub(in crate::span) fn mark_started(
        &mut self,
        stripe: &Stripe,
        span_origin: SpanOrigin,
        sampled: Sampled,
    ) {
        self.mark_started_by::<false>(stripe, span_origin, sampled);
    }

    /// Does the same on a thread of which it is known whether it owns the stripe.
    #[inline(always)]
    pub(in crate::span) fn mark_started_by<const IS_OWNER: bool>(
        &mut self,
        stripe: &Stripe,
        span_origin: SpanOrigin,
        sampled: Sampled,
    ) {
        if IS_OWNER {
            stripe.count_started_by_owner(span_origin, sampled);
        } else {
            stripe.count_started(span_origin, sampled);
        }
        self.finished = false;
    }

    /// Discards the tags of a span that is not recorded, or no longer.
    #[inline]
    pub(in crate::span) fn clear_tags(&mut self) {
        self.draft.clear_tags();
        self.observed_from = 0;
    }

    /// Returns the end that was set in advance, in nanoseconds since the Unix epoch.
    pub(in crate::span) fn finish_wall(&self) -> Option<i64> {
        self.extras.as_ref()?.finish_wall
    }

    /// Returns the start.
    #[inline(always)]
    pub(in crate::span) fn start(&self) -> Start {
        self.start.into()
    }

    /// Returns whether the start is unknown so far.
    #[inline(always)]
    pub(in crate::span) fn is_start_unknown(&self) -> bool {
        self.start.is_unknown()
    }

    /// Sets the start.
    #[inline(always)]
    pub(in crate::span) fn set_start(&mut self, start: Start) {
        self.start = start.into();
    }

    /// Takes the rare options of the builder.
    pub(in crate::span) fn take_start_extras(&mut self) -> StartExtras {
        let start = self.extras.as_mut().and_then(|extras| extras.start.take());
        start.map(|start| *start).unwrap_or_default()
    }

    /// Returns the baggage.
    pub(in crate::span) fn baggage(&self) -> Option<&Arc<Baggage>> {
        self.extras.as_ref()?.baggage.as_ref()
    }

    /// Returns the baggage, to be set.
    pub(in crate::span) fn baggage_mut(&mut self) -> &mut Option<Arc<Baggage>> {
        self.draft.has_rare_fields = true;
        &mut self.extras.get_or_insert_default().baggage
    }

    /// Returns the observers of the span, if there are any until it is finished.
    pub(in crate::span) fn observers(&self) -> Option<&Arc<SpanObservers>> {
        self.extras.as_ref()?.observers.as_ref()
    }

    /// Takes the observers of the span.
    pub(in crate::span) fn take_observers(&mut self) -> Option<Arc<SpanObservers>> {
        self.extras.as_mut()?.observers.take()
    }

    /// Returns the observers of the span, to be set.
    pub(in crate::span) fn observers_mut(&mut self) -> &mut Option<Arc<SpanObservers>> {
        self.draft.has_rare_fields = true;
        &mut self.extras.get_or_insert_default().observers
    }

    /// Returns the context that a span of a disabled tracer forwards.
    pub(super) fn caller(&self) -> Option<Arc<SpanContext>> {
        self.extras.as_ref()?.caller.clone()
    }

    /// Sets the end in advance. Only the slow path of an end reads it.
    pub(in crate::span) fn set_finish_wall(&mut self, wall: i64) {
        self.draft.has_rare_fields = true;
        self.extras.get_or_insert_default().finish_wall = Some(wall);
    }

    /// Returns start and duration in nanoseconds. The duration is never negative.
    #[inline]
    pub(in crate::span) fn times(
        &self,
        shared: &SpanShared,
        state: &TraceState,
        end: End,
    ) -> (i64, u64) {
        match (self.start(), end) {
            (Start::Read { monotonic_nanos, wall }, End::Now) => {
                (wall, shared.clock.monotonic_nanos().saturating_sub(monotonic_nanos))
            }
            (Start::Read { monotonic_nanos, wall }, End::Read { monotonic_nanos: end }) => {
                (wall, end.saturating_sub(monotonic_nanos))
            }
            _ => self.other_times(shared, state, end),
        }
    }

    #[cold]
    fn other_times(&self, shared: &SpanShared, state: &TraceState, end: End) -> (i64, u64) {
        let end = match end {
            End::Now => shared.anchor.wall(shared.clock.monotonic_nanos()),
            End::Read { monotonic_nanos } => shared.anchor.wall(monotonic_nanos),
            End::Explicit { wall } => wall,
        };
        let start = match self.start() {
            Start::Read { wall, .. } | Start::Explicit { wall } => wall,
            // Only the time at which recording was forced is known.
            Start::Unknown => match state.forced_at() {
                0 => end,
                forced => shared.anchor.wall(forced),
            },
        };
        // A clock that ran backwards may give a start before the epoch, which is not sent.
        let start = start.max(0);
        (start, end.saturating_sub(start).max(0).cast_unsigned())
    }

    /// Sets the start to now.
    #[inline]
    pub(crate) fn start_now(&mut self, shared: &SpanShared) {
        let monotonic_nanos = shared.clock.monotonic_nanos();
        self.start_at(shared, monotonic_nanos);
    }

    /// Sets the start to a reading of the monotonic clock.
    #[inline]
    pub(crate) fn start_at(&mut self, shared: &SpanShared, monotonic_nanos: u64) {
        self.set_start(Start::Read { monotonic_nanos, wall: shared.anchor.wall(monotonic_nanos) });
    }

    /// Returns the wall time at a reading of the monotonic clock, consistent with the span's start: the
    /// same anchor, so that logs lie within the span even if the wall clock was stepped meanwhile.
    #[inline]
    pub(crate) fn wall(&self, shared: &SpanShared, now: u64) -> i64 {
        match self.start() {
            Start::Read { monotonic_nanos, wall } => {
                wall.wrapping_add(now.saturating_sub(monotonic_nanos).cast_signed())
            }
            _ => shared.anchor.wall(now),
        }
    }

    /// Appends a tag. Text or bytes of more than `max_bytes`, which is the tracer's limit or none,
    /// are truncated, and counted.
    #[inline]
    pub(crate) fn tag(
        &mut self,
        key: &str,
        value: TagValue<'_>,
        shared: &SpanShared,
        max_bytes: usize,
    ) {
        if value.byte_len() > max_bytes {
            shared.count_truncated_tag();
        }
        self.append_tag(key, value, shared, max_bytes);
    }

    /// Does the same, but for the count of truncated tags: it was counted before.
    #[inline]
    pub(crate) fn append_tag(
        &mut self,
        key: &str,
        value: TagValue<'_>,
        shared: &SpanShared,
        max_bytes: usize,
    ) {
        let (key, draft) = (key.as_bytes(), &mut self.draft);
        match value {
            TagValue::Str(text) if text.len() > max_bytes => tag_too_long(draft, key, text, shared),
            TagValue::Str(text) => draft.tags.tag_text(key, text.as_bytes()),
            TagValue::Bool(value) => draft.tags.tag_bool(key, value),
            TagValue::I64(number) => draft.tags.tag_long(key, number),
            TagValue::U64(number) => draft.tags.tag_long(key, number.cast_signed()),
            TagValue::F64(_) => draft.tags.tag(key, value.view(max_bytes)),
            TagValue::Bytes(bytes) => {
                draft.tags.tag_bytes(key, &bytes[..bytes.len().min(max_bytes)]);
            }
        }
        draft.add_tags(1);
    }

    /// Clears everything but keeps the memory, of `held` bytes. Returns false if it may not be kept.
    #[cold]
    #[inline(never)]
    pub(super) fn clear_large(&mut self, held: usize) -> bool {
        let used = self.draft.used_bytes();
        if !self.extras.get_or_insert_default().large.may_reuse(held, used) {
            return false;
        }
        self.clear();
        // All of the memory is looked at again when the next span has ended.
        self.draft.has_rare_fields = true;
        true
    }

    /// Clears everything but keeps the memory.
    #[inline]
    pub(in crate::span) fn clear(&mut self) {
        if self.draft.has_rare_fields {
            self.draft.clear_rare_fields();
            if let Some(extras) = &mut self.extras {
                extras.clear();
            }
        }
        self.draft.clear();
        self.set_start(Start::Unknown);
    }
}

#[cold]
#[inline(never)]
fn tag_too_long(draft: &mut SpanDraft, key: &[u8], text: &str, shared: &SpanShared) {
    draft.tags.tag_text(key, shared.truncate_to_limit(text).as_bytes());
}

impl SpanData {
    /// Limits the logs to `max`, after one was appended where they ended `before`.
    #[cold]
    pub(in crate::span) fn limit_logs(&mut self, before: usize, micros: i64, max: usize) {
        let ring = self.extras.get_or_insert_default().log_ring.get_or_insert_default();
        let lists = self.draft.lists_mut();
        if ring.added(&mut lists.logs, before, micros, max) {
            lists.log_count -= 1;
        }
    }

    /// Puts the logs in order, if there is a limit, which no longer applies then.
    pub(in crate::span) fn close_logs(&mut self) {
        if let Some(ring) = self.extras.as_mut().and_then(|extras| extras.log_ring.as_mut()) {
            ring.close(&mut self.draft.lists_mut().logs);
        }
    }
}

impl SpanData {
    /// Appends a tag of a span that has not begun or is not finished, if the tag is usual and short, there
    /// is room for it, and its key is not one that takes effect. Otherwise returns false.
    #[inline(always)]
    pub(in crate::span) fn try_tag(
        &mut self,
        key: impl Key,
        value: TagValue<'_>,
        max_bytes: usize,
    ) -> bool {
        let may_be_written = !may_be_priority(key)
            && !matches!(value, TagValue::Str(text) if text.len() > max_bytes);
        let written = may_be_written && self.draft.tags.try_append(|to| try_write(to, key, value));
        if written {
            self.draft.add_tags(1);
        }
        written
    }

    /// Appends a log, if the span is not finished, the log's fields are short and few, and there is room
    /// for them. Otherwise returns false.
    #[inline(always)]
    pub(in crate::span) fn try_log(&mut self, at: i64, fields: impl FieldList) -> bool {
        if self.finished {
            return false;
        }
        let lists = self.draft.lists_mut();
        let written = lists.logs.try_append(
            #[inline(always)]
            |to| to.log_head(at, fields.count()) && fields.try_append_to(to) && to.stop(),
        );
        if !written {
            return false;
        }
        lists.log_count += 1;
        self.draft.has_rare_fields = true;
        true
    }

    /// Appends a log. Fields are never truncated, as in Go; a span that becomes too large is
    /// trimmed as a whole.
    pub(in crate::span) fn log(&mut self, shared: &SpanShared, at: i64, fields: impl FieldList) {
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
    pub(in crate::span) fn append_log(&mut self, at: i64, fields: impl FieldList) {
        let lists = self.draft.lists_mut();
        let logs = &mut lists.logs;
        logs.log_head(Timestamp::of_nanos(at).micros(), fields.count());
        fields.append_to(logs);
        logs.push(0);
        lists.log_count += 1;
        self.draft.has_rare_fields = true;
    }
}

/// Returns whether the key may be `sampling.priority`, which takes effect. Only lengths are compared:
/// the few other keys of that length are recognized off the fast path.
#[inline(always)]
pub(in crate::span) fn may_be_priority(key: impl Key) -> bool {
    key.text_len() == SAMPLING_PRIORITY.len()
}

/// Appends a tag or a field of a usual type if it is short and there is room for it. Otherwise returns
/// false.
#[inline(always)]
pub(in crate::span) fn try_write(
    to: &mut Appender<'_>,
    key: impl Key,
    value: TagValue<'_>,
) -> bool {
    match value {
        TagValue::Str(text) => to.text_tag(key, text.as_bytes()),
        TagValue::I64(number) => to.long_tag(key, number),
        TagValue::Bool(value) => to.bool_tag(key, value),
        _ => false,
    }
}

/// The fields of a log as they are given: to be encoded, or encoded before.
pub(in crate::span) trait FieldList: Copy {
    fn count(self) -> usize;

    /// Appends the fields, if they are short and there is room for them.
    fn try_append_to(self, logs: &mut Appender<'_>) -> bool;

    /// Appends the fields.
    fn append_to(self, logs: &mut TagBuffer);
}

/// Calls a function that is not inlined with a copy of fields, if there are two at most. Where their number is known,
/// the fields themselves need not be in memory then.
#[inline(always)]
pub(in crate::span) fn with_copy_of_few(
    fields: &[(&str, TagValue<'_>)],
    call: impl FnOnce(&[(&str, TagValue<'_>)]),
) {
    match fields {
        [only] => call(&[*only]),
        [first, second] => call(&[*first, *second]),
        _ => call(fields),
    }
}

impl FieldList for &[(&str, TagValue<'_>)] {
    #[inline(always)]
    fn count(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn try_append_to(self, logs: &mut Appender<'_>) -> bool {
        // The first two without a loop: of literals where a span is logged to, a few moves are left then.
        let Some(((key, value), rest)) = self.split_first() else { return true };
        if !try_write(logs, *key, *value) {
            return false;
        }
        let Some(((key, value), rest)) = rest.split_first() else { return true };
        if !try_write(logs, *key, *value) {
            return false;
        }
        // By hand, as `all` is a call where logs are written in more than one place.
        for (key, value) in rest {
            if !try_write(logs, *key, *value) {
                return false;
            }
        }
        true
    }

    fn append_to(self, logs: &mut TagBuffer) {
        for (key, value) in self {
            logs.tag(key.as_bytes(), value.view(usize::MAX));
        }
    }
}
