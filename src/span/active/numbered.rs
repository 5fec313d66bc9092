//! Active spans by numbers, for facades that get the number of a span with each entry and exit.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::scope::{Entry, change_stack, is_innermost_of, read_stack};
use crate::span::compact::CompactSpan;
use crate::span::context::SpanContext;
use crate::span::reference::{Parent, ReferenceSink};
use crate::span::repr::{RecordHandle, Span};

/// Makes spans active, and inactive again, by numbers that the caller gives them.
///
/// For instrumentation facades, which get the number of a span with each entry and exit, and would have to
/// store a [`Scope`](crate::Scope) in between. Each entry needs an exit on the same thread: until then the
/// span stays active there, and unfinished. Two `NumberedScopes` do not share numbers. On a thread that is
/// being torn down nothing becomes active.
///
/// # Source
///
/// None of the clients has it.
///
/// # Examples
///
/// ```
/// use jaeger_client::{CompactSpan, NumberedScopes, Span};
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let scopes = NumberedScopes::new();
/// let span = CompactSpan::from(tracer.start_span("op"));
/// scopes.enter(7, &span);
/// assert_eq!(scopes.innermost(), Some(7));
/// scopes.exit(7);
/// assert!(Span::active().is_none());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct NumberedScopes {
    owner: usize,
}

impl Default for NumberedScopes {
    fn default() -> Self {
        Self::new()
    }
}

impl NumberedScopes {
    /// Creates scopes; no number is entered.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        Self { owner: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Makes a span the active one of this thread, until the number [exits](Self::exit). A number may be
    /// entered several times.
    #[inline(always)]
    pub fn enter(&self, number: u64, span: &CompactSpan) {
        let span = span.handle().clone();
        change_stack(|stack| stack.push(Entry { owner: self.owner, number, span }));
    }

    /// Does the same with a handle that is given away.
    #[inline(never)]
    pub fn enter_owned(&self, number: u64, span: CompactSpan) {
        let span = span.into_handle();
        change_stack(|stack| stack.push(Entry { owner: self.owner, number, span }));
    }

    /// Undoes the last [`enter`](Self::enter) of a number on this thread. Numbers may exit in any order.
    #[inline]
    pub fn exit(&self, number: u64) {
        let ended = change_stack(|stack| stack.remove(self.owner, number));
        if let Some(span) = ended.flatten() {
            span.drop_shared();
        }
    }

    /// Returns the number that this thread has entered last, of those that have not exited.
    #[inline]
    #[must_use]
    pub fn innermost(&self) -> Option<u64> {
        read_stack(|stack| {
            let last = stack.entries.iter().rfind(|entry| entry.owner == self.owner)?;
            Some(last.number)
        })
    }

    /// Returns whether the span of the number that was entered last is the active one of this thread: none
    /// was made active later by other means. It costs less than to ask for the span.
    #[inline]
    #[must_use]
    pub fn is_innermost(&self) -> bool {
        is_innermost_of(self.owner)
    }

    /// Returns the active span of this thread, if it is [that](Self::is_innermost) of the number entered
    /// last.
    #[inline]
    #[must_use]
    pub fn active_span(&self) -> Option<Span> {
        self.with_active(RecordHandle::to_span)
    }

    #[inline(always)]
    fn with_active<T>(&self, read: impl FnOnce(&RecordHandle) -> T) -> Option<T> {
        read_stack(|stack| {
            let last = stack.entries.last().filter(|last| last.owner == self.owner)?;
            Some(read(&last.span))
        })
    }

    /// Makes another span the active one wherever this thread has entered a number.
    pub fn replace(&self, number: u64, span: &CompactSpan) {
        let _before = change_stack(|stack| {
            let entered = stack.entries.iter_mut();
            let own = entered.filter(|entry| entry.owner == self.owner && entry.number == number);
            let replace =
                |entry: &mut Entry| std::mem::replace(&mut entry.span, span.handle().clone());
            own.map(replace).collect::<Vec<_>>()
        });
    }
}

/// The [active span](NumberedScopes::active_span) as a parent, for which no handle is made.
impl Parent for &NumberedScopes {
    fn context(self) -> Option<SpanContext> {
        self.active_span().map(|span| span.context())
    }

    #[inline(always)]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        self.with_active(
            #[inline(always)]
            |span| {
                if let Some(record) = span.get() {
                    sink.add_record(record);
                }
            },
        );
    }
}
