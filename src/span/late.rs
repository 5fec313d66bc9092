//! Decisions that are put off: the sampler is asked again when a span changes, until one stands.
//!
//! None of it is in the way of a tracer whose sampler decides at once.

use std::sync::atomic::Ordering;

use super::core::Core;
use super::record::{FIREHOSE, SAMPLED, SpanInner};
use super::start::Begun;
use crate::encoding::{List, ValueView, tags_of};
use crate::sampler::{Decision, GivenTags, NewSpan};

/// Asks about a span that was started, and about each tag it was started with.
#[cold]
pub(super) fn started(inner: &SpanInner, core: &Core, begun: Begun) {
    if begun == Begun::Trace {
        inner.state.memory().store(0, Ordering::Relaxed);
        inner.state.set_undecided(true);
    }
    if !inner.state.is_undecided() {
        return;
    }
    ask(inner, core, true, |span| core.sampler.on_create_span(span));
    if !inner.state.is_undecided() {
        return;
    }
    let given = {
        let body = inner.body.lock();
        (body.draft.tag_count, body.draft.tags.bytes().to_vec())
    };
    for tag in tags_of(Some(List::new(given.0, &given.1))) {
        let key = String::from_utf8_lossy(tag.key);
        tag_set(inner, core, &key, tag.value);
    }
}

/// Asks about a tag that a span is about to be given.
#[cold]
pub(super) fn tag_set(inner: &SpanInner, core: &Core, key: &str, value: ValueView<'_>) {
    if inner.state.is_undecided() {
        ask(inner, core, false, |span| core.sampler.on_set_tag(span, key, value));
    }
}

/// Asks about a span that was given another name.
#[cold]
pub(super) fn renamed(inner: &SpanInner, core: &Core) {
    if inner.state.is_undecided() {
        ask(inner, core, false, |span| core.sampler.on_set_operation_name(span));
    }
}

/// Asks about a span that is about to be finished.
#[cold]
pub(super) fn finishing(inner: &SpanInner, core: &Core) {
    if inner.state.is_undecided() {
        ask(inner, core, false, |span| core.sampler.on_finish(span));
    }
}

/// Asks without the lock, as a sampler may be foreign code, and does what it says.
fn ask(
    inner: &SpanInner,
    core: &Core,
    before_others: bool,
    question: impl FnOnce(&mut NewSpan<'_>) -> Decision,
) {
    let name = inner.body.lock().draft.name.clone();
    let mut given = GivenTags::default();
    let max = core.max_tag_value_bytes;
    let mut span = NewSpan::new(inner.ids.trace, &name, &mut given, max, &core.clock)
        .with_memory(inner.state.memory());
    if !inner.is_local_root() {
        span = span.below_root();
    }
    let decision = question(&mut span);
    if decision.sample {
        let draft = &mut inner.body.lock().draft;
        let first = before_others && draft.tag_count > 0;
        let tags = if first { &mut draft.first_tags } else { &mut draft.tags };
        draft.tag_count += given.append_to(tags);
        draft.extras |= first;
        inner.state.add(if decision.firehose { SAMPLED | FIREHOSE } else { SAMPLED });
    }
    if !decision.retryable {
        inner.state.set_undecided(false);
    }
}
