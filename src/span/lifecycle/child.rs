//! The start of a child that has only a name, as most of a span's own children: for a builder, its parts would have to
//! be in memory.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::start::start_joined;
use crate::encoding::ReferenceKind;
use crate::span::builder::SpanBuilder;
use crate::span::counters::Stripe;
use crate::span::record::{self, SharedState, SpanRecord};
use crate::span::repr::Span;
use crate::span::shared::StartPath;

/// Starts a child of the span, and wraps it where it is made.
#[inline(always)]
pub(in crate::span) fn start_child<T>(
    parent: &Span,
    name: Cow<'static, str>,
    wrap: impl FnOnce(Span) -> T,
) -> T {
    if let Some(record) = parent.existing_record()
        && let Some(stripe) = &record.stripe
        && is_on_fast_path(stripe, record)
    {
        return start_as(stripe, name, record, wrap);
    }
    start_by_builder(parent, name, wrap)
}

/// Starts a child that the fast path cannot start.
#[inline(never)]
fn start_by_builder<T>(parent: &Span, name: Cow<'static, str>, wrap: impl FnOnce(Span) -> T) -> T {
    match parent.stripe() {
        Some(stripe) => SpanBuilder::new(stripe, name).child_of(parent).start_as(wrap),
        None => wrap(Span::none()),
    }
}

/// Returns whether a child of the span can be started by [`start_as`].
#[inline(always)]
fn is_on_fast_path(stripe: &Stripe, parent: &SpanRecord) -> bool {
    stripe.start.by_builder == StartPath::Fast
        && !stripe.is_forked()
        && !parent.has_baggage.load(Ordering::Acquire)
}

/// Starts a child, and wraps it where it is made.
#[inline(always)]
fn start_as<T>(
    stripe: &Arc<Stripe>,
    name: Cow<'static, str>,
    parent: &SpanRecord,
    wrap: impl FnOnce(Span) -> T,
) -> T {
    let mut owned = record::take();
    let record = &mut *owned;
    let draft = &mut record.data.get_mut().draft;
    draft.set_first_name(name);
    draft.refer_to_parent(ReferenceKind::ChildOf);
    record.ids.adopt(&parent.ids);
    record.join_state(SharedState::clone(&parent.state));
    start_joined(owned, stripe, wrap)
}
