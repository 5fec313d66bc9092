//! A handle of the size of a pointer, for tables of live spans.

use std::fmt;
use std::time::SystemTime;

use super::active::Scope;
use super::owned::OwnedSpan;
use super::record::SharedRecord;
use super::repr::{RecordHandle, Repr, Span};

/// A handle on a live span that is as large as a pointer, where a [`Span`] may hold a whole span that is
/// not sampled: for tables of spans, and where handles are moved often.
///
/// It is converted from a [`Span`] or an [`OwnedSpan`], and [gives](Self::span) spans to work with.
///
/// # Cost
///
/// The conversion of a sampled span is free; that of the first span of a trace that is not sampled costs
/// as much as cloning it does.
///
/// # Source
///
/// None of the clients has it.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::CompactSpan;
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let mut calls = HashMap::new();
/// calls.insert(7, CompactSpan::from(tracer.start_span("call 7")));
/// // When the answer to call 7 is there:
/// if let Some(span) = calls.remove(&7) {
///     span.span().set_tag("bytes", 512);
///     span.finish();
/// }
/// assert_eq!(tracer.stats().finished, 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a span ends when its last handle is dropped"]
pub struct CompactSpan {
    handle: RecordHandle,
}

impl CompactSpan {
    #[inline(always)]
    pub(super) fn recorded(record: SharedRecord) -> Self {
        Self { handle: RecordHandle::new(record) }
    }

    /// Returns another handle on the span.
    #[inline]
    pub fn span(&self) -> Span {
        self.handle.to_span()
    }

    /// Makes the span the active one of this thread, as [`Span::activate`] does.
    #[inline]
    pub fn activate(&self) -> Scope {
        Scope::enter(self.handle.clone())
    }

    #[inline(always)]
    pub(super) fn handle(&self) -> &RecordHandle {
        &self.handle
    }

    #[inline(always)]
    pub(super) fn into_handle(self) -> RecordHandle {
        self.handle
    }

    /// Finishes the span now, though there may be other handles on it.
    #[inline]
    pub fn finish(mut self) {
        // Where it is the only handle, the drop finishes the span for less.
        if self.handle.is_last_of_live() {
            drop(self);
        } else {
            self.finish_shared();
        }
    }

    #[inline(never)]
    fn finish_shared(self) {
        self.into_span().finish();
    }

    /// Finishes the span at the given time, as [`Span::finish_at`] does.
    pub fn finish_at(self, time: SystemTime) {
        self.into_span().finish_at(time);
    }

    #[inline]
    fn into_span(self) -> Span {
        Span { repr: Repr::Recorded(self.handle) }
    }
}

impl From<Span> for CompactSpan {
    #[inline]
    fn from(span: Span) -> Self {
        Self { handle: span.into_record_handle() }
    }
}

impl From<OwnedSpan> for CompactSpan {
    #[inline]
    fn from(span: OwnedSpan) -> Self {
        span.into_shared().into()
    }
}

impl fmt::Debug for CompactSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompactSpan").field(&self.span()).finish()
    }
}
