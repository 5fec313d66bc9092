//! The start of a prepared span, and of one in the place of another.

use std::sync::Arc;

use super::start::{UnstartedSpan, begin_or_join, mark_started};
use crate::span::counters::Stripe;
use crate::span::observer::Place;
use crate::span::record::{self, OwnedRecord, ParentKind, Sampled, SharedRecord};
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
        let Self { stripe, record, joins, .. } = self;
        let (record, retained) = start_fast_retaining(record, Arc::clone(stripe), joins);
        (Span::recorded(record), retained)
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
        let copy = record::copy_of(self.record.data.get_mut(), self.stripe);
        let mut is_recorded = false;
        let span = self.start_slow_in(place, &mut is_recorded);
        if !is_recorded {
            return (span, Some(copy));
        }
        record::recycle_unstarted(copy);
        (span, None)
    }
}

/// Starts a prepared span that is on the fast path, and returns a copy of its options if it is not recorded. The
/// tracer is passed beside the record, as that is written to.
#[inline]
pub(in crate::span) fn start_fast_retaining(
    mut owned: OwnedRecord,
    stripe: Arc<Stripe>,
    joins: bool,
) -> (SharedRecord, Option<OwnedRecord>) {
    let record = &mut *owned;
    let span_origin = begin_or_join(record, &stripe, joins);
    let is_recording = record.state.is_recording();
    let retained = (!is_recording).then(|| record::copy_of(record.data.get_mut(), &stripe));
    mark_started(record, &stripe, span_origin, is_recording);
    record.stripe = Some(stripe);
    (owned.into_shared(), retained)
}

/// Starts a prepared span that is on the fast path, and returns whether it is recorded. If it is not, its options stay
/// in the record.
#[inline]
pub(in crate::span) fn start_fast_storing(
    mut owned: OwnedRecord,
    stripe: Arc<Stripe>,
    joins: bool,
) -> (SharedRecord, bool) {
    let record = &mut *owned;
    let span_origin = begin_or_join(record, &stripe, joins);
    let is_recording = record.state.is_recording();
    if is_recording {
        mark_started(record, &stripe, span_origin, true);
    } else {
        record.ids.clear_fields();
        record.data.get_mut().mark_started(&stripe, span_origin, Sampled::No);
    }
    record.stripe = Some(stripe);
    (owned.into_shared(), is_recording)
}
