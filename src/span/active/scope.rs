//! The active span of a thread: the parent of spans that are started without one.
//!
//! The spans are in a thread-local stack, changed only by [`Scope`] in synchronous code and by
//! [`InSpan`](super::InSpan) around every poll. No user callback runs while it is borrowed. An allocator may,
//! where the stack grows: it finds no active span then, and cannot make one active.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::span::Span;
use crate::span::counters::Stripe;
use crate::span::repr::RecordHandle;

/// The active spans, the innermost last.
pub(super) struct Stack {
    pub(super) entries: Vec<Entry>,
    next: u64,
}

/// An active span.
pub(super) struct Entry {
    /// Whose number it is: 0 for that of a [`Scope`].
    pub(super) owner: usize,
    pub(super) number: u64,
    pub(super) span: RecordHandle,
}

impl Stack {
    #[inline(always)]
    pub(super) fn push(&mut self, entry: Entry) {
        let owner = entry.owner;
        self.entries.push(entry);
        // Behind the first growth of the list: an allocator may start spans itself.
        set_innermost_owner(Some(owner));
    }

    /// Removes the innermost span of this number.
    #[inline(always)]
    pub(super) fn remove(&mut self, owner: usize, number: u64) -> Option<RecordHandle> {
        let is_it = |entry: &Entry| entry.number == number && entry.owner == owner;
        if !self.entries.last().is_some_and(is_it) {
            return self.remove_within(owner, number);
        }
        let last = self.entries.pop();
        set_innermost_owner(self.entries.last().map(|entry| entry.owner));
        last.map(|entry| entry.span)
    }

    /// Removes a span that is not the innermost one.
    #[cold]
    #[inline(never)]
    fn remove_within(&mut self, owner: usize, number: u64) -> Option<RecordHandle> {
        let is_it = |entry: &Entry| entry.number == number && entry.owner == owner;
        let at = self.entries.iter().rposition(is_it)?;
        Some(self.entries.remove(at).span)
    }
}

#[inline(always)]
fn set_innermost_owner(owner: Option<usize>) {
    let _ = INNERMOST_OWNER.try_with(|innermost| innermost.set(owner.map_or(0, |owner| owner + 1)));
}

thread_local! {
    static STACK: RefCell<Stack> = const { RefCell::new(Stack { entries: Vec::new(), next: 0 }) };
    /// The owner of the last entry and 1; 0 if there are none. Without a destructor it is available at once,
    /// for every span that is started.
    static INNERMOST_OWNER: Cell<usize> = const { Cell::new(0) };
}

/// Reads the stack of this thread. `None` where the thread is being torn down, or an allocator reads it while it grows.
#[inline(always)]
pub(super) fn read_stack<T>(read: impl FnOnce(&Stack) -> Option<T>) -> Option<T> {
    STACK.try_with(|stack| read(&*stack.try_borrow().ok()?)).ok().flatten()
}

/// Changes the stack of this thread, where it can be read. What is removed must be returned: the end of its span may
/// run user callbacks.
#[inline(always)]
pub(super) fn change_stack<T>(change: impl FnOnce(&mut Stack) -> T) -> Option<T> {
    STACK.try_with(|stack| Some(change(&mut *stack.try_borrow_mut().ok()?))).ok().flatten()
}

/// Returns whether any span is active on this thread.
#[inline]
pub(in crate::span) fn is_any_active() -> bool {
    INNERMOST_OWNER.try_with(Cell::get).unwrap_or(0) > 0
}

/// Returns whether the innermost active span of this thread is one of this owner.
#[inline]
pub(super) fn is_innermost_of(owner: usize) -> bool {
    INNERMOST_OWNER.try_with(Cell::get).unwrap_or(0) == owner + 1
}

/// Keeps a span active on this thread until it is dropped; then the spans active before are so
/// again.
///
/// Scopes may be dropped in any order. A scope cannot leave its thread:
///
/// ```compile_fail
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build().unwrap();
/// let scope = tracer.start_span("op").activate();
/// std::thread::spawn(move || drop(scope)); // a scope is not `Send`
/// ```
///
/// A scope must not be held across an `.await`, or other tasks of the thread see its span as
/// theirs. A task that holds one is not `Send`, so that spawning it does not compile:
///
/// ```compile_fail
/// # async fn work() {}
/// # fn f(tracer: jaeger_client::Tracer) {
/// tokio::spawn(async move {
///     let scope = tracer.start_span("op").activate();
///     work().await; // use `work().in_span(span)`
/// });
/// # }
/// ```
///
/// Tasks that stay on their thread, as those of `block_on` and of a `LocalSet`, do compile. Clippy
/// finds them with these lines in `clippy.toml`:
///
/// ```toml
/// await-holding-invalid-types = [
///     { path = "jaeger_client::Scope", reason = "other tasks would see its span; use `in_span`" },
/// ]
/// ```
#[derive(Debug)]
#[must_use = "the span is active only as long as the scope lives"]
pub struct Scope {
    number: u64,
    /// Makes the type neither `Send` nor `Sync`.
    _here: PhantomData<*const ()>,
}

impl Scope {
    pub(in crate::span) fn enter(span: RecordHandle) -> Self {
        let number = change_stack(|stack| {
            let number = stack.next;
            stack.next += 1;
            stack.push(Entry { owner: 0, number, span });
            number
        });
        Self { number: number.unwrap_or(u64::MAX), _here: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ended = change_stack(|stack| stack.remove(0, self.number));
    }
}

/// Returns a handle on the active span.
pub(in crate::span) fn active() -> Option<Span> {
    with_nearest(|_| true, RecordHandle::to_span)
}

/// Returns a handle on the nearest active span of a tracer.
pub(crate) fn active_of(stripe: &Arc<Stripe>) -> Option<Span> {
    with_nearest(|span| span.belongs_to(stripe), RecordHandle::to_span)
}

/// Calls `read` with the innermost active span of which `is_wanted` is true, without making a
/// handle. Only the innermost [`MAX_DEPTH`] spans are searched.
#[inline]
pub(in crate::span) fn with_nearest<T>(
    is_wanted: impl Fn(&RecordHandle) -> bool,
    read: impl FnOnce(&RecordHandle) -> T,
) -> Option<T> {
    read_stack(|stack| {
        // Nearly always it is the last one.
        let Entry { span: last, .. } = stack.entries.last()?;
        if is_wanted(last) {
            return Some(read(last));
        }
        let mut innermost =
            stack.entries.iter().rev().take(MAX_DEPTH).skip(1).map(|entry| &entry.span);
        innermost.find(|span| is_wanted(span)).map(read)
    })
}

/// Returns the active spans of tracers other than the innermost one's, the nearest of each,
/// outermost first. There are hardly ever any.
pub(in crate::span) fn active_of_other_tracers() -> Vec<Span> {
    let collect = |stack: &Stack| {
        let mut innermost = stack.entries.iter().rev().take(MAX_DEPTH).map(|entry| &entry.span);
        let first = innermost.next()?;
        let is_of_same_tracer = |one: &RecordHandle, other: &RecordHandle| {
            let stripe = other.get().and_then(|record| record.stripe.as_ref());
            stripe.is_some_and(|stripe| one.belongs_to(stripe))
        };
        let mut others: Vec<&RecordHandle> = Vec::new();
        for span in innermost.filter(|span| !is_of_same_tracer(span, first)) {
            if !others.iter().any(|other| is_of_same_tracer(span, other)) {
                others.push(span);
            }
        }
        Some(others.into_iter().rev().map(RecordHandle::to_span).collect())
    };
    read_stack(collect).unwrap_or_default()
}

/// The maximum search depth: the stack is as deep as the application nests, and is searched for
/// every span that starts.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::STACK;
    use crate::Span;
    use crate::Tracer;

    #[test]
    fn a_span_is_started_while_the_list_of_active_ones_is_changed() {
        let (tracer, _closer) = Tracer::builder("s").null_reporter().build().unwrap();
        let active = tracer.start_span("active");
        let scope = active.activate();
        STACK.with(|stack| {
            // As by an allocator that starts spans, when the list grows.
            let _changed = stack.borrow_mut();
            assert!(Span::active().is_none());
            let built = tracer.span("of the allocator").tag("bytes", 8).start().context();
            for root in [built, tracer.start_span("of the allocator").context()] {
                assert_ne!(root.trace_id(), active.context().trace_id());
            }
        });
        drop((scope, active));
        assert_eq!(tracer.stats().open, 0);
    }

    #[test]
    fn scopes_nest_and_restore() {
        let (tracer, _closer) = Tracer::builder("s").null_reporter().build().unwrap();
        let (outer, inner) = (tracer.start_span("outer"), tracer.start_span("inner"));
        let id = |span: Option<Span>| span.map(|span| span.context().span_id());
        assert!(Span::active().is_none());
        {
            let _outer = outer.activate();
            {
                let _inner = inner.activate();
                assert_eq!(id(Span::active()), Some(inner.context().span_id()));
            }
            assert_eq!(id(Span::active()), Some(outer.context().span_id()));
        }
        assert!(Span::active().is_none());
    }

    #[test]
    fn a_scope_dropped_out_of_order_does_not_bring_back_its_predecessor() {
        let (tracer, _closer) = Tracer::builder("s").null_reporter().build().unwrap();
        let (a, b) = (tracer.start_span("a"), tracer.start_span("b"));
        let first = a.activate();
        let second = b.activate();
        drop(first);
        assert_eq!(Span::active().unwrap().context().span_id(), b.context().span_id());
        drop(second);
        assert!(Span::active().is_none());
        a.finish();
        b.finish();
        drop((a, b));
        assert_eq!(tracer.stats().open, 0);
    }

    #[test]
    fn the_active_span_is_the_parent_unless_another_is_given() {
        let (tracer, _closer) = Tracer::builder("s").null_reporter().build().unwrap();
        let parent = tracer.start_span("parent");
        let _scope = parent.activate();
        let child = tracer.start_span("child").context();
        assert_eq!(child.parent_id(), parent.context().span_id());
        assert_eq!(child.trace_id(), parent.context().trace_id());
        let root = tracer.span("root").ignore_active_span().start().context();
        assert_ne!(root.trace_id(), parent.context().trace_id());
    }
}
