//! The active span of a thread: the parent of spans that are started without one.
//!
//! One thread-local slot, changed only by [`Scope`] in synchronous code and by
//! [`InSpan`](super::InSpan) around every poll. Foreign code never runs while it is borrowed.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::Span;

struct Slot {
    span: Option<Span>,
    /// Which scope put it there. A scope that ends restores only what it replaced itself.
    owner: u64,
    next: u64,
}

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot { span: None, owner: 0, next: 1 }) };
}

/// Keeps a span active on this thread; what was active before is so again when it is dropped.
///
/// It cannot leave its thread, and must not be held across an `.await`: a task that holds one is not
/// `Send`, so that spawning it does not compile.
///
/// ```compile_fail
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build().unwrap();
/// let scope = tracer.start_span("op").activate();
/// std::thread::spawn(move || drop(scope)); // a scope is not `Send`
/// ```
#[derive(Debug)]
#[must_use = "the span is active only as long as the scope lives"]
pub struct Scope {
    before: Option<Span>,
    before_owner: u64,
    owner: u64,
    /// Neither `Send` nor `Sync`.
    _here: PhantomData<*const ()>,
}

impl Scope {
    pub(super) fn enter(span: Span) -> Self {
        let entered = SLOT.try_with(|slot| {
            let mut slot = slot.borrow_mut();
            let owner = slot.next;
            slot.next += 1;
            let before_owner = std::mem::replace(&mut slot.owner, owner);
            (slot.span.replace(span), before_owner, owner)
        });
        let (before, before_owner, owner) = entered.unwrap_or((None, 0, 0));
        Self { before, before_owner, owner, _here: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // What is taken out is dropped after the borrow: its end may report, and run foreign code.
        let _ended = SLOT.try_with(|slot| {
            let mut slot = slot.borrow_mut();
            if slot.owner != self.owner {
                // A scope entered later is still on top; it holds this one's span as its "before"
                // and will put that back, which is as much order as there is to restore.
                return None;
            }
            slot.owner = self.before_owner;
            std::mem::replace(&mut slot.span, self.before.take())
        });
    }
}

/// A handle on the active span.
pub(super) fn active() -> Option<Span> {
    SLOT.try_with(|slot| slot.borrow().span.clone()).ok().flatten()
}

/// What is made of the active span without taking a handle on it.
#[inline]
pub(super) fn with_active<T>(read: impl FnOnce(&Span) -> Option<T>) -> Option<T> {
    SLOT.try_with(|slot| slot.borrow().span.as_ref().and_then(read)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::Span;
    use crate::Tracer;

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
    }

    #[test]
    fn the_active_span_is_the_parent_unless_told_otherwise() {
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
