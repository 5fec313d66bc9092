//! Deferred decisions: the sampler is called again when a span changes, until its decision is
//! final.
//!
//! A tracer whose sampler decides at once never gets here.

use std::sync::atomic::Ordering;

use super::join::flags_of;
use super::tail;
use crate::encoding::{List, ValueView, tags_of};
use crate::sampler::{Decision, SamplingParameters, SpanTags};
use crate::span::observer;
use crate::span::record::SpanRecord;
use crate::span::shared::SpanShared;

/// Calls the sampler for a started span, if it `needs_decision` or one is deferred, and for
/// each tag it was started with. The tags are stored, and truncated, after the calls, so that a
/// sampler's own tags come before the one that made it decide. They were counted as truncated when they
/// were set.
#[cold]
pub(in crate::span) fn started(record: &mut SpanRecord, shared: &SpanShared, needs_decision: bool) {
    if needs_decision {
        record.state.memory().store(0, Ordering::Relaxed);
        record.state.set_deferred(true);
    }
    let draft = &mut record.data.get_mut().draft;
    let is_too_large = draft.is_too_large();
    let first_tags = &mut draft.lists_mut().first_tags;
    let internal = first_tags.bytes().to_vec();
    // Swapped, so that the memory of both is reused.
    first_tags.clear();
    let before = std::mem::take(first_tags);
    let mut start_tags = std::mem::replace(&mut draft.tags, before);
    let count = draft.tag_count();
    draft.set_tag_count(0);
    let internal_count = tags_of(Some(List::new(count, &internal))).count();
    if record.state.is_deferred() {
        call_sampler(record, shared, |span| shared.sampling.sampler.on_create_span(span));
    }
    let draft = &mut record.data.get_mut().draft;
    draft.tags.extend(&internal);
    draft.add_tags(internal_count);
    for tag in tags_of(Some(List::new(count, start_tags.bytes()))) {
        if record.state.is_deferred() {
            let key = String::from_utf8_lossy(tag.key);
            call_sampler(record, shared, |span| {
                shared.sampling.sampler.on_set_tag(span, &key, tag.value)
            });
        }
        let draft = &mut record.data.get_mut().draft;
        match tag.value {
            ValueView::Str(text) => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                draft.tags.tag_text(tag.key, shared.truncate_to_limit(text).as_bytes());
            }
            ValueView::Binary(bytes) if bytes.len() > shared.options.max_tag_value_length => {
                draft.tags.tag_bytes(tag.key, &bytes[..shared.options.max_tag_value_length]);
            }
            value => draft.tags.tag(tag.key, value),
        }
        draft.add_tags(1);
    }
    // Whether the memory is kept is decided at the end of the span.
    start_tags.clear();
    let draft = &mut record.data.get_mut().draft;
    draft.lists_mut().first_tags = start_tags;
    draft.has_rare_fields = true;
    if is_too_large {
        draft.become_too_large();
    }
}

/// Calls the sampler for a tag that is about to be set.
#[cold]
pub(in crate::span) fn tag_set(
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: ValueView<'_>,
) {
    if record.state.is_deferred() {
        call_sampler(record, shared, |span| shared.sampling.sampler.on_set_tag(span, key, value));
    }
}

/// Calls the sampler for a span that was renamed.
#[cold]
pub(in crate::span) fn renamed(record: &SpanRecord, shared: &SpanShared) {
    if record.state.is_deferred() {
        call_sampler(record, shared, |span| shared.sampling.sampler.on_set_operation_name(span));
    }
}

/// Calls the sampler for a span that is about to be finished.
#[cold]
pub(in crate::span) fn finishing(record: &SpanRecord, shared: &SpanShared) {
    if record.state.is_deferred() {
        call_sampler(record, shared, |span| shared.sampling.sampler.on_finish(span));
    }
}

/// Calls the sampler without the lock, as it may be a user callback, and applies its decision.
fn call_sampler(
    record: &SpanRecord,
    shared: &SpanShared,
    call: impl FnOnce(&mut SamplingParameters<'_>) -> Decision,
) {
    if !shared.sampling.may_defer || shared.is_forked() {
        // The trace is another tracer's, whose sampler decides about it; or a sampler's locks may
        // have been left locked.
        return;
    }
    let name = {
        // Calls after the end of a span do not decide about its trace.
        let Some(data) = record.lock().filter(|data| !data.finished) else { return };
        data.draft.name().clone()
    };
    let mut sampler_tags = SpanTags::default();
    let max = shared.options.max_tag_value_length;
    let mut span =
        SamplingParameters::new(record.ids.trace, &name, &mut sampler_tags, max, &shared.clock)
            .with_memory(record.state.memory());
    if !record.is_local_root() {
        span = span.below_root();
    }
    let decision = call(&mut span);
    let Some(mut data) = record.lock() else { return };
    if !record.state.decide(flags_of(decision), !decision.retryable) || !decision.sample {
        return;
    }
    observer::store_tags_so_far(&mut data, shared);
    let draft = &mut data.draft;
    let count = sampler_tags.append_to(&mut draft.tags);
    draft.add_tags(count);
    drop(data);
    if record.state.is_buffered() {
        tail::decided(record, shared);
    }
}
