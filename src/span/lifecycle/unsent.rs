//! The start of spans that are never sent: those of a disabled tracer, and those in a forked process.

use super::start::{UnstartedSpan, mark_started};
use super::{join, tail};
use crate::span::counters::SpanOrigin;
use crate::span::record::{ParentKind, Sampled};
use crate::span::repr::Span;

impl UnstartedSpan<'_> {
    /// Starts a span of a disabled tracer, which forwards its caller's context.
    pub(super) fn start_disabled(self) -> Span {
        let Self { stripe, record: mut owned, parent_kind, .. } = self;
        let record = &mut *owned;
        let extras = record.data.get_mut().take_start_extras();
        record.set_tracer(stripe);
        let is_below = parent_kind != ParentKind::None;
        let parent = is_below.then(|| join::parent_context(record, extras.request));
        if let Some(without_caller) = &stripe.disabled {
            join::disabled(record, without_caller, extras.itself.or(parent));
        }
        let span_origin = if is_below { SpanOrigin::Joined } else { SpanOrigin::Trace };
        record.data.get_mut().mark_started(stripe, span_origin, Sampled::No);
        Span::recorded(owned.into_shared())
    }

    /// Starts a span in a forked process.
    pub(super) fn start_in_fork(self, is_recorded: &mut bool) -> Span {
        let Self { stripe, record: mut owned, joins, .. } = self;
        let record = &mut *owned;
        let extras = record.data.get_mut().take_start_extras();
        stripe.close_in_fork();
        record.set_tracer(stripe);
        let span_origin = match extras.itself {
            Some(itself) => join::as_itself(record, itself),
            None => join::in_fork(record, stripe, joins),
        };
        tail::track_in_fork(record, stripe);
        let is_recording = record.state.is_recording();
        mark_started(record, stripe, span_origin, is_recording);
        *is_recorded = is_recording;
        Span::recorded(owned.into_shared())
    }
}
