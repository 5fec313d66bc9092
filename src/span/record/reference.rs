//! The references of a span, stored in its record before it starts.

use std::fmt;
use std::sync::atomic::Ordering;

use super::extras::SamplingRequest;
use super::span_record::SpanRecord;
use super::trace_state::SharedState;
use crate::encoding::ReferenceKind;
use crate::id::{SpanId, TraceId};
use crate::span::context::SpanContext;

/// The kind of the parent so far. Its ids, state and baggage are in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::span) enum ParentKind {
    None,
    /// Replaced by any later reference.
    FollowsFrom,
    ChildOf,
}

/// A reference that a builder is about to store.
#[doc(hidden)]
pub struct ReferenceSink<'b> {
    pub(in crate::span) kind: ReferenceKind,
    pub(in crate::span) record: &'b mut SpanRecord,
    pub(in crate::span) parent_kind: &'b mut ParentKind,
    pub(in crate::span) joins: &'b mut bool,
    pub(in crate::span) extras: &'b mut bool,
}

impl fmt::Debug for ReferenceSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceSink").finish_non_exhaustive()
    }
}

impl ReferenceSink<'_> {
    /// Adds a reference, if its target is valid, and makes the target the parent unless there is a `ChildOf`
    /// parent.
    #[inline(always)]
    fn add(&mut self, target: ParentRef<'_>) {
        let record = &mut *self.record;
        let draft = &mut record.data.get_mut().draft;
        if target.is_valid() {
            let before = (*self.parent_kind != ParentKind::None)
                .then_some((record.ids.trace, record.ids.parent));
            draft.add_reference(self.kind, target.ids(), before);
        }
        match *self.parent_kind {
            ParentKind::None => {}
            ParentKind::FollowsFrom => {
                // Only needed for a target that is not valid: `add_reference` has done it otherwise.
                draft.encode_parent_reference((record.ids.trace, record.ids.parent));
                record.set_baggage(None);
                let extras = record.data.get_mut().extras.as_mut();
                if let Some(start) = extras.and_then(|extras| extras.start.as_mut()) {
                    start.request = SamplingRequest::default();
                }
            }
            ParentKind::ChildOf => return,
        }
        *self.parent_kind = match self.kind {
            ReferenceKind::ChildOf => ParentKind::ChildOf,
            ReferenceKind::FollowsFrom => ParentKind::FollowsFrom,
        };
        *self.joins = target.is_valid();
        target.pass_on_to(record);
    }

    #[inline(never)]
    pub(in crate::span) fn add_context(&mut self, context: SpanContext) {
        if context.is_empty() {
            return;
        }
        let is_parent = *self.parent_kind != ParentKind::ChildOf;
        let request = is_parent.then(|| SamplingRequest::of(&context));
        self.add(ParentRef::Context(&context));
        *self.extras |= is_parent && context.trace_state().is_some();
        if let Some(request) = request.filter(|request| !request.is_empty()) {
            *self.extras = true;
            self.record.extras().request = request;
        }
    }

    #[inline(always)]
    pub(in crate::span) fn add_record(&mut self, record: &SpanRecord) {
        if !record.has_baggage.load(Ordering::Acquire) {
            return self.add(ParentRef::Record(record));
        }
        self.off_fast_path(|sink| sink.add_record_with_baggage(record));
    }

    /// Adds a reference by a function that is not inlined. The builder's fields are copied for it, so that they
    /// need not be in memory on the fast path.
    #[inline(always)]
    pub(in crate::span) fn off_fast_path(&mut self, add: impl FnOnce(&mut ReferenceSink<'_>)) {
        let (mut parent_kind, mut joins, mut extras) =
            (*self.parent_kind, *self.joins, *self.extras);
        add(&mut ReferenceSink {
            kind: self.kind,
            record: self.record,
            parent_kind: &mut parent_kind,
            joins: &mut joins,
            extras: &mut extras,
        });
        (*self.parent_kind, *self.joins, *self.extras) = (parent_kind, joins, extras);
    }

    #[cold]
    #[inline(never)]
    fn add_record_with_baggage(&mut self, record: &SpanRecord) {
        if let Some(caller) = record.caller() {
            return self.add_context(SpanContext::clone(&caller));
        }
        let baggage = record.baggage();
        let is_parent = *self.parent_kind != ParentKind::ChildOf;
        self.add(ParentRef::Record(record));
        if is_parent {
            *self.extras |= baggage.as_ref().is_some_and(|baggage| baggage.tracestate.is_some());
            self.record.set_baggage(baggage);
        }
    }
}

/// The target of a reference.
#[derive(Clone, Copy)]
enum ParentRef<'r> {
    Context(&'r SpanContext),
    Record(&'r SpanRecord),
}

impl ParentRef<'_> {
    #[inline(always)]
    fn is_valid(self) -> bool {
        match self {
            Self::Context(context) => context.is_valid(),
            Self::Record(_) => true,
        }
    }

    #[inline(always)]
    fn ids(self) -> (TraceId, SpanId) {
        match self {
            Self::Context(context) => (context.trace_id, context.span_id),
            Self::Record(record) => (record.ids.trace, record.ids.span),
        }
    }

    /// Passes on to a child's record what it inherits from this parent.
    #[inline(always)]
    fn pass_on_to(self, record: &mut SpanRecord) {
        match self {
            Self::Record(parent) => {
                record.ids.adopt(&parent.ids);
                record.join_state(SharedState::clone(&parent.state));
            }
            Self::Context(context) => {
                record.ids.set(context.trace_id, context.parent_id, context.span_id);
                if context.baggage.is_some() {
                    record.set_baggage(context.baggage.clone());
                }
                match &context.state {
                    Some(state) => record.join_state(SharedState::clone(state)),
                    None => record.reset_state(context.flags),
                }
            }
        }
    }
}
