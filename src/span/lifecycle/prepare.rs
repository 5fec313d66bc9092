//! The start of a prepared span, and of one in the place of another.

use std::sync::Arc;

use super::start::{UnstartedSpan, begin_or_join, mark_started};
use crate::span::counters::Stripe;
use crate::span::observer::Place;
use crate::span::record::{self, OwnedRecord, ParentKind, SharedRecord};
use crate::span::repr::Span;

impl<'a> UnstartedSpan<'a> {
    /// Continues with a record that options were written to before. An active span is not the parent.
    #[inline(always)]
    pub(in crate::span) fn prepared(
        stripe: &'a Arc<Stripe>,
        record: OwnedRecord,
        has_extras: bool,
        (parent_kind, joins): (ParentKind, bool),
    ) -> Self {
        Self { stripe, record, parent_kind, joins, ignores_active: true, has_extras }
    }

    /// Starts a prepared span, and returns a copy of its options if the span is not recorded. Not a part
    /// of [`start`](Self::start), which would take more instructions then.
    pub(in crate::span) fn start_retaining(self) -> (Span, Option<OwnedRecord>) {
        if self.is_slow() {
            return self.start_slow_retaining(Place::New);
        }
        let (record, retained) = self.start_fast_retaining();
        (Span::recorded(record), retained)
    }

    /// Does the same for a span that is on the fast path.
    #[inline]
    pub(in crate::span) fn start_fast_retaining(self) -> (SharedRecord, Option<OwnedRecord>) {
        let Self { stripe, record: mut owned, joins, .. } = self;
        let record = &mut *owned;
        record.set_tracer(stripe);
        let span_origin = begin_or_join(record, stripe, joins);
        let is_recording = record.state.is_recording();
        let retained = (!is_recording).then(|| record::copy_of(record));
        mark_started(record, stripe, span_origin, is_recording);
        (owned.into_shared(), retained)
    }

    /// Does the same in the place of another span, whose observers continue with it.
    pub(in crate::span) fn start_in_place_retaining(self) -> (Span, Option<OwnedRecord>) {
        if self.stripe.hooks.follow_spans() {
            self.start_slow_retaining(Place::OfAnother)
        } else {
            self.start_retaining()
        }
    }

    /// Starts a span in the place of another. Observers that follow spans are not notified of the start: they
    /// continue with it. Those of finished spans alone are not notified of starts anyway.
    pub(in crate::span) fn start_in_place(self) -> Span {
        if self.stripe.hooks.follow_spans() {
            self.start_slow_in(Place::OfAnother, &mut false)
        } else {
            self.start()
        }
    }

    #[cold]
    #[inline(never)]
    fn start_slow_retaining(mut self, place: Place) -> (Span, Option<OwnedRecord>) {
        let copy = record::copy_of(&mut self.record);
        let mut is_recorded = false;
        let span = self.start_slow_in(place, &mut is_recorded);
        if !is_recorded {
            return (span, Some(copy));
        }
        record::recycle_unstarted(copy);
        (span, None)
    }
}
