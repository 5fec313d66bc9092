//! What a span refers to, and what it has from there: the trace, the parent, baggage.

use std::fmt;
use std::sync::Arc;

use super::Span;
use super::builder::{WithoutTrace, rare_of};
use super::context::SpanContext;
use super::record::SpanInner;
use crate::encoding::FollowsFrom;
use crate::id::{SpanId, TraceId};

/// What a span can refer to: a context, a span, or perhaps nothing.
pub trait Parent: Sized {
    /// The context referred to, if there is one.
    fn context(self) -> Option<SpanContext>;

    /// Notes it in the span about to be started. A span can do so without making a context.
    #[doc(hidden)]
    #[inline]
    fn refer(self, span: &mut NewReference<'_>) {
        if let Some(context) = self.context() {
            span.note_context(context);
        }
    }
}

impl Parent for SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self)
    }
}

impl Parent for &SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self.clone())
    }
}

impl Parent for &Span {
    fn context(self) -> Option<SpanContext> {
        Some(Span::context(self))
    }

    #[inline(always)]
    fn refer(self, span: &mut NewReference<'_>) {
        if let Some(record) = self.any_record() {
            span.note_record(record);
        }
    }
}

impl<P: Parent> Parent for Option<P> {
    fn context(self) -> Option<SpanContext> {
        self.and_then(Parent::context)
    }

    #[inline]
    fn refer(self, span: &mut NewReference<'_>) {
        if let Some(parent) = self {
            parent.refer(span);
        }
    }
}

/// What is known of the parent so far. Its ids, state and baggage are in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    None,
    /// Replaced by whatever comes.
    FollowsFrom,
    ChildOf,
}

/// A reference that a builder is about to note.
#[doc(hidden)]
pub struct NewReference<'b> {
    pub(super) follows_from: FollowsFrom,
    pub(super) record: &'b mut Arc<SpanInner>,
    pub(super) candidate: &'b mut Candidate,
    pub(super) joins: &'b mut bool,
    pub(super) rare: &'b mut bool,
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
        let Some(inner) = Arc::get_mut(self.record) else { return };
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
            }
            Candidate::ChildOf => return,
        }
        *self.candidate =
            if self.follows_from { Candidate::FollowsFrom } else { Candidate::ChildOf };
        *self.joins = context.is_valid();
        context.adopt(inner);
    }

    #[inline(never)]
    fn note_context(&mut self, context: SpanContext) {
        if context.is_empty() {
            return;
        }
        if *self.candidate != Candidate::ChildOf {
            let debug_id = context.debug_id.clone();
            let decided = context.decided.then_some(context.flags);
            if *self.rare || debug_id.is_some() || decided.is_some() {
                *self.rare = true;
                if let Some(rare) = rare_of(self.record) {
                    rare.without_trace = WithoutTrace { debug_id, decided };
                }
            }
        }
        self.note(Referred::Context(&context));
    }

    #[inline(always)]
    fn note_record(&mut self, record: &SpanInner) {
        self.note(Referred::Record(record));
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
                if let Some(baggage) = record.baggage() {
                    inner.set_baggage(Some(baggage));
                }
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
