//! Observers that are notified of finished spans alone.
//!
//! A span that they observe is started, changed and finished on the fast path as long as its tags can be
//! read from its draft when it is finished. All others are stored beside it, by [`store_tag`].

use std::cell::Cell;

use super::hooks::FinishObservers;
use super::interest::WantedTags;
use super::observed_span::{ObservedSpan, Parts};
use super::observed_tags::ObservedTags;
use super::span_observers::{call_observer, is_within_observer};
use crate::encoding::TagBuffer;
use crate::panics::Callback;
use crate::span::record::{End, SpanData, SpanRecord, TraceState};
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// Notifies all observers of a span.
#[inline]
fn notify(observers: &FinishObservers, shared: &SpanShared, parts: Parts<'_>) {
    for (observer, wanted) in &observers.observers {
        let span = ObservedSpan::new(parts, wanted);
        call_observer(shared, Callback::ObserverOnSpanFinished, || {
            observer.on_span_finished(&span);
        });
    }
}

/// Has observers notified when the span is finished, unless it is started by an observer. Done when the
/// state of its trace is known, and its draft has the tags of its sampler alone.
#[inline]
pub(in crate::span) fn observe_finish(record: &mut SpanRecord, shared: &SpanShared) {
    if shared.hooks.finish_observers.is_some() {
        // A tracked trace is found by its id.
        if record.shares_state() || record.state.is_tracked() {
            record.state.observe();
        } else {
            record.state.observe_new();
        }
        let data = record.data.get_mut();
        data.is_observed = !is_within_observer();
        if let Some(extras) = &mut data.extras {
            extras.observed_tags.clear();
        }
        data.observed_from = u32::try_from(data.draft.tags.len()).unwrap_or(u32::MAX);
    }
}

/// Does the same for a span that may have tags of its builder, whose sampler's tags are stored elsewhere
/// then. They are stored if it is not recorded.
#[inline]
pub(in crate::span) fn observe_built(
    record: &mut SpanRecord,
    shared: &SpanShared,
    has_tags: bool,
    is_recording: bool,
) {
    observe_finish(record, shared);
    let data = record.data.get_mut();
    if has_tags && let Some(observers) = &shared.hooks.finish_observers {
        data.observed_from = 0;
        if data.is_observed && !is_recording {
            stored_tags(data, &observers.wanted);
        }
    }
}

/// Returns the stored tags, to which those of the draft are moved.
#[inline]
fn stored_tags<'d>(data: &'d mut SpanData, wanted: &WantedTags) -> &'d mut ObservedTags {
    let SpanData { draft, extras, observed_from, .. } = data;
    let tags = &mut extras.get_or_insert_default().observed_tags;
    if tags.are_here() {
        return tags;
    }
    let of_draft = draft.tags.bytes().get(*observed_from as usize..);
    tags.take_over(of_draft.unwrap_or_default(), wanted);
    tags
}

/// Stores the tags so far of a live span, whose draft is about to get tags of a sampler too.
#[cold]
pub(in crate::span) fn store_tags_so_far(data: &mut SpanData, shared: &SpanShared) {
    if let Some(observers) = &shared.hooks.finish_observers
        && data.is_observed
        && !data.finished
    {
        stored_tags(data, &observers.wanted);
    }
}

/// Returns the observers of finished spans, if any of them wants tags with this key.
#[inline]
fn observers_of_tag<'s>(shared: &'s SpanShared, key: &str) -> Option<&'s FinishObservers> {
    let observers = shared.hooks.finish_observers.as_ref();
    observers.filter(|observers| observers.wanted.contains(key.as_bytes()))
}

/// Returns whether an observer of finished spans wants tags with this key.
pub(in crate::span) fn is_wanted_at_finish(shared: &SpanShared, key: &str) -> bool {
    observers_of_tag(shared, key).is_some()
}

/// Stores a tag that is about to be set, if it is wanted.
#[inline]
pub(in crate::span) fn store_tag(
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: TagValue<'_>,
) {
    let Some(observers) = observers_of_tag(shared, key) else { return };
    let Some(mut data) = record.lock() else { return };
    if data.is_observed && !data.finished {
        let tags = stored_tags(&mut data, &observers.wanted);
        tags.add(key, value, shared.options.max_tag_value_length);
    }
}

/// Stores a tag of a span that is not on the slow path, unless it is stored in the draft as it was given.
#[inline]
pub(in crate::span) fn tag_set_off_slow_path(
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: TagValue<'_>,
) {
    let is_recording = record.state.is_recording();
    let is_in_draft = is_recording
        && value.byte_len() <= shared.options.max_tag_value_length
        && key != SAMPLING_PRIORITY;
    if is_in_draft {
        return;
    }
    if is_recording && is_wanted_at_finish(shared, key) {
        // Later tags are stored too, so that they are in order.
        record.state.require_slow_path();
    }
    store_tag(record, shared, key, value);
}

/// Removes all values of a tag that is about to be replaced, unless the draft alone has them.
#[cold]
pub(in crate::span) fn tag_replaced(record: &SpanRecord, shared: &SpanShared, key: &str) {
    let Some(observers) = observers_of_tag(shared, key) else { return };
    let is_recording = record.state.is_recording();
    let Some(mut data) = record.lock() else { return };
    let are_stored = data.extras.as_ref().is_some_and(|extras| extras.observed_tags.are_here());
    if data.is_observed && !data.finished && (are_stored || !is_recording) {
        stored_tags(&mut data, &observers.wanted).remove(key.as_bytes());
    }
}

/// Returns the encoded tags of a span, among others those that are wanted.
#[inline]
pub(super) fn observed_tags(data: &SpanData) -> &[u8] {
    let of_draft = || data.draft.tags.bytes().get(data.observed_from as usize..);
    let stored = data.extras.as_ref().and_then(|extras| extras.observed_tags.bytes());
    stored.or_else(of_draft).unwrap_or_default()
}

/// Returns the parts of a span that is finished at this moment, if it is observed. Then it no longer is.
fn finished<'d>(
    data: &'d mut SpanData,
    shared: &'d SpanShared,
    state: &TraceState,
    end: End,
) -> Option<(&'d FinishObservers, Parts<'d>)> {
    let observers = shared.hooks.finish_observers.as_ref()?;
    if !std::mem::take(&mut data.is_observed) {
        return None;
    }
    let parts = Parts {
        name: data.draft.name(),
        tags: observed_tags(data),
        times: data.times(shared, state, end),
        is_sampled: state.is_sampled(),
    };
    Some((observers, parts))
}

/// Notifies observers of a span that ends with its last handle.
#[inline]
pub(in crate::span) fn last_finished(
    data: &mut SpanData,
    shared: &SpanShared,
    state: &TraceState,
    end: End,
) {
    if let Some((observers, parts)) = finished(data, shared, state, end) {
        notify(observers, shared, parts);
        release_large(data);
    }
}

/// Does the same where an end is slow.
#[cold]
#[inline(never)]
pub(in crate::span) fn last_finished_slowly(
    data: &mut SpanData,
    shared: &SpanShared,
    state: &TraceState,
    end: End,
) {
    last_finished(data, shared, state, end);
}

/// Releases the memory of stored tags if it is too large to be kept for the next span.
#[inline]
fn release_large(data: &mut SpanData) {
    if let Some(extras) = data.extras.as_mut().filter(|extras| extras.observed_tags.is_large()) {
        extras.observed_tags = ObservedTags::default();
    }
}

/// A copy of a finished span, of which observers are notified once it is no longer locked.
#[derive(Debug, Default)]
pub(in crate::span) struct CopiedSpan {
    name: String,
    tags: TagBuffer,
    times: (i64, u64),
    is_sampled: bool,
}

thread_local! {
    /// Memory that this thread reuses.
    static UNUSED: Cell<Option<Box<CopiedSpan>>> = const { Cell::new(None) };
}

impl CopiedSpan {
    /// Copies a span that is finished at this moment, if it is observed.
    #[inline]
    pub(in crate::span) fn take(
        data: &mut SpanData,
        shared: &SpanShared,
        state: &TraceState,
        end: End,
    ) -> Option<Box<Self>> {
        if data.is_observed { Self::of(data, shared, state, end) } else { None }
    }

    #[inline(never)]
    fn of(
        data: &mut SpanData,
        shared: &SpanShared,
        state: &TraceState,
        end: End,
    ) -> Option<Box<Self>> {
        let (observers, parts) = finished(data, shared, state, end)?;
        let mut copy = UNUSED.try_with(Cell::take).ok().flatten().unwrap_or_default();
        copy.name.push_str(parts.name);
        if parts.tags.len() <= MAX_UNUSED_BYTES {
            copy.tags.extend(parts.tags);
        } else {
            copy.tags.extend_tags(parts.tags, |key| observers.wanted.contains(key));
        }
        (copy.times, copy.is_sampled) = (parts.times, parts.is_sampled);
        release_large(data);
        Some(copy)
    }

    /// Notifies observers. No lock may be held.
    pub(in crate::span) fn notify(mut self: Box<Self>, shared: &SpanShared) {
        if let Some(observers) = &shared.hooks.finish_observers {
            let (name, tags) = (self.name.as_str(), self.tags.bytes());
            let (times, is_sampled) = (self.times, self.is_sampled);
            notify(observers, shared, Parts { name, tags, times, is_sampled });
        }
        if self.name.capacity() + self.tags.capacity() <= MAX_UNUSED_BYTES {
            self.name.clear();
            self.tags.clear();
            let _ = UNUSED.try_with(|unused| unused.set(Some(self)));
        }
    }
}

/// The memory that a thread keeps.
const MAX_UNUSED_BYTES: usize = 4096;
