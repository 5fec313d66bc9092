//! What a span can refer to.

use super::Span;
use super::context::SpanContext;
use super::record::NewReference;

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
