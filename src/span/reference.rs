//! The references of a span: what a builder or a prepared span refers to, stored in the record before it starts.

use std::fmt;
use std::sync::atomic::Ordering;

use super::builder::SpanBuilder;
use super::context::SpanContext;
use super::lifecycle::start::UnstartedSpan;
use super::record::{ParentKind, SamplingRequest, SharedState, SpanRecord};
use super::repr::Span;
use crate::encoding::ReferenceKind;
use crate::id::{SpanId, TraceId};

impl SpanBuilder<'_> {
    /// Adds a `CHILD_OF` reference: the parent waits for the span. The first such reference is the
    /// parent.
    #[inline(always)]
    pub fn child_of(mut self, parent: impl Parent) -> Self {
        parent.add_to(&mut self.span.reference(ReferenceKind::ChildOf));
        self
    }

    /// Adds a `FOLLOWS_FROM` reference to a span that does not wait for this one. It is the parent
    /// if there is no `CHILD_OF` reference; of several, the last one.
    pub fn follows_from(mut self, parent: impl Parent) -> Self {
        parent.add_to(&mut self.span.reference(ReferenceKind::FollowsFrom));
        self
    }

    /// Uses the context as the span's own: ids, flags and baggage are as given, no id is generated
    /// and no sampler is called. For spans that were begun elsewhere.
    ///
    /// # Source
    ///
    /// `SelfRef` in jaeger-client-go, reference type 99.
    pub fn self_reference(mut self, context: impl Parent) -> Self {
        self.span.set_itself(context.context());
        self
    }
}

impl UnstartedSpan<'_> {
    /// Returns what a reference is added to.
    #[inline(always)]
    pub(in crate::span) fn reference(&mut self, kind: ReferenceKind) -> ReferenceSink<'_> {
        let Self { record, parent_kind, joins, has_extras: extras, .. } = self;
        ReferenceSink { kind, record: &mut *record, parent_kind, joins, extras }
    }
}

/// A target of a reference: a context, a span, or perhaps nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parent of a span",
    note = "a parent is a `&Span`, a `&OwnedSpan`, a `SpanContext`, a `&SpanContext`, or an `Option` of one of them",
    note = "pass a context that was extracted as `tracer.extract(&headers).ok()`"
)]
pub trait Parent: Sized {
    /// Returns the context of the target, if there is one.
    fn context(self) -> Option<SpanContext>;

    /// Adds the reference to a span about to be started. Implemented for `&Span` too, so that no context is
    /// built for it.
    #[doc(hidden)]
    #[inline]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        if let Some(context) = self.context() {
            sink.add_context(context);
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
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        match self.record_or_promote() {
            Some(record) => sink.add_record(record),
            None => sink.off_fast_path(|sink| add_without_record(self, sink)),
        }
    }
}

/// Adds a reference to a span that cannot get a record.
#[cold]
#[inline(never)]
fn add_without_record(span: &Span, sink: &mut ReferenceSink<'_>) {
    sink.add_context(span.context_or_empty());
}

impl<P: Parent> Parent for Option<P> {
    fn context(self) -> Option<SpanContext> {
        self.and_then(Parent::context)
    }

    #[inline]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        if let Some(parent) = self {
            parent.add_to(sink);
        }
    }
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
            if *self.parent_kind == ParentKind::None {
                draft.refer_to_parent(self.kind);
            } else {
                let parent = (record.ids.trace, record.ids.parent);
                draft.add_reference(self.kind, target.ids(), parent);
            }
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
