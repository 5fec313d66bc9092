//! What a span takes over from those it refers to, noted in its record before it starts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inner::SpanInner;
use super::ring::LogRing;
use crate::encoding::FollowsFrom;
use crate::id::{SpanId, TraceId};
use crate::span::TagValue;
use crate::span::context::SpanContext;
use crate::span::start::SamplingRequest;

/// What few spans are started with, or have. It lies in the record.
#[derive(Debug, Default)]
pub(in crate::span) struct Rare {
    pub(in crate::span) itself: Option<SpanContext>,
    pub(in crate::span) priority: Option<TagValue<'static>>,
    pub(in crate::span) request: SamplingRequest,
    log_ring: LogRing,
}

impl Rare {
    pub(in crate::span) fn log_ring(&mut self) -> &mut LogRing {
        &mut self.log_ring
    }
}

/// What is known of the parent so far. Its ids, state and baggage are in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::span) enum Candidate {
    None,
    /// Replaced by whatever comes.
    FollowsFrom,
    ChildOf,
}

/// A reference that a builder is about to note.
#[doc(hidden)]
pub struct NewReference<'b> {
    pub(in crate::span) follows_from: FollowsFrom,
    pub(in crate::span) inner: &'b mut SpanInner,
    pub(in crate::span) candidate: &'b mut Candidate,
    pub(in crate::span) joins: &'b mut bool,
    pub(in crate::span) rare: &'b mut bool,
}

impl fmt::Debug for NewReference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewReference").finish_non_exhaustive()
    }
}

impl NewReference<'_> {
    /// Lists a context that has ids, and makes it the parent so far, if it is to be.
    #[inline(always)]
    fn note(&mut self, context: Referred<'_>) {
        let inner = &mut *self.inner;
        let draft = &mut inner.body.get_mut().draft;
        if context.is_valid() {
            let before =
                (*self.candidate != Candidate::None).then_some((inner.ids.trace, inner.ids.parent));
            draft.add_reference(self.follows_from, context.ids(), before);
        }
        match *self.candidate {
            Candidate::None => {}
            Candidate::FollowsFrom => {
                // A context without a span takes the place of the one referred to.
                draft.spell_out_parent((inner.ids.trace, inner.ids.parent));
                inner.set_baggage(None);
                if let Some(rare) = &mut inner.body.get_mut().rare {
                    rare.request = SamplingRequest::default();
                }
            }
            Candidate::ChildOf => return,
        }
        *self.candidate =
            if self.follows_from { Candidate::FollowsFrom } else { Candidate::ChildOf };
        *self.joins = context.is_valid();
        context.adopt(inner);
    }

    #[inline(never)]
    pub(in crate::span) fn note_context(&mut self, context: SpanContext) {
        if context.is_empty() {
            return;
        }
        let is_parent = *self.candidate != Candidate::ChildOf;
        let request = is_parent.then(|| SamplingRequest::of(&context));
        self.note(Referred::Context(&context));
        if let Some(request) = request.filter(|request| !request.is_empty()) {
            *self.rare = true;
            rare_of(self.inner).request = request;
        }
    }

    #[inline(always)]
    pub(in crate::span) fn note_record(&mut self, record: &SpanInner) {
        if !record.has_baggage.load(Ordering::Acquire) {
            return self.note(Referred::Record(record));
        }
        // Copies, so that the builder's own need not lie in memory for the usual way.
        let (mut candidate, mut joins, mut rare) = (*self.candidate, *self.joins, *self.rare);
        NewReference {
            follows_from: self.follows_from,
            inner: self.inner,
            candidate: &mut candidate,
            joins: &mut joins,
            rare: &mut rare,
        }
        .note_record_with_baggage(record);
        (*self.candidate, *self.joins, *self.rare) = (candidate, joins, rare);
    }

    #[cold]
    #[inline(never)]
    fn note_record_with_baggage(&mut self, record: &SpanInner) {
        let baggage = record.baggage();
        if let Some(caller) = baggage.as_ref().and_then(|baggage| baggage.caller.as_ref()) {
            return self.note_context(caller.clone());
        }
        let is_parent = *self.candidate != Candidate::ChildOf;
        self.note(Referred::Record(record));
        if is_parent {
            self.inner.set_baggage(baggage);
        }
    }
}

/// What a reference is to.
#[derive(Clone, Copy)]
enum Referred<'r> {
    Context(&'r SpanContext),
    Record(&'r SpanInner),
}

impl Referred<'_> {
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

    /// Hands on to the record what a child has from its parent.
    #[inline(always)]
    fn adopt(self, inner: &mut SpanInner) {
        match self {
            Self::Record(record) => {
                inner.ids.adopt(&record.ids);
                inner.join_state(Arc::clone(&record.state));
            }
            Self::Context(context) => {
                inner.ids.set(context.trace_id, SpanId::NONE, context.span_id);
                inner.ids.grandparent = context.parent_id;
                if context.baggage.is_some() {
                    inner.set_baggage(context.baggage.clone());
                }
                match &context.state {
                    Some(state) => inner.join_state(Arc::clone(state)),
                    None => inner.begin_state(context.flags),
                }
            }
        }
    }
}

/// What few spans are started with, in a record that nobody else has.
pub(in crate::span) fn rare_of(inner: &mut SpanInner) -> &mut Rare {
    let body = inner.body.get_mut();
    body.draft.extras = true;
    body.rare.get_or_insert_default()
}
