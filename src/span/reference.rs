//! The targets of references.

use super::Span;
use super::context::SpanContext;
use super::record::ReferenceSink;

/// A target of a reference: a context, a span, or perhaps nothing.
pub trait Parent: Sized {
    /// Returns the context of the target, if there is one.
    fn context(self) -> Option<SpanContext>;

    /// Adds the reference to a span about to be started. A span can do so without making a context.
    #[doc(hidden)]
    #[inline]
    fn refer(self, span: &mut ReferenceSink<'_>) {
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
    fn refer(self, span: &mut ReferenceSink<'_>) {
        if let Some(record) = self.record_or_promote() {
            span.note_record(record);
        }
    }
}

impl<P: Parent> Parent for Option<P> {
    fn context(self) -> Option<SpanContext> {
        self.and_then(Parent::context)
    }

    #[inline]
    fn refer(self, span: &mut ReferenceSink<'_>) {
        if let Some(parent) = self {
            parent.refer(span);
        }
    }
}
