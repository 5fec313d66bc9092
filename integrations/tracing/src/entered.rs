//! The spans that a thread has entered, and the scopes that make them its active ones.

use std::cell::RefCell;

use jaeger_client::{Scope, Span};

/// A span that was entered through a layer. A registry's numbers mean something within a layer only.
struct Entered {
    layer: usize,
    id: u64,
    /// The scope; none only while it is activated anew.
    scope: Option<Scope>,
}

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// Notes that the thread has entered a span, whose scope it is, and which stays active until it is left.
/// On a thread that is being torn down it is left at once.
#[inline]
pub(crate) fn enter(layer: usize, id: u64, scope: Scope) {
    let entered = Entered { layer, id, scope: Some(scope) };
    let _ = ENTERED.try_with(|all| all.borrow_mut().push(entered));
}

/// Undoes the last [`enter`] of the span. Spans may be left in any order.
#[inline]
pub(crate) fn exit(layer: usize, id: u64) {
    // Dropped after the borrow: the end of a scope may end a span, and call what users wrote.
    let _left = ENTERED.try_with(|all| {
        let mut all = all.borrow_mut();
        let is_it = |entered: &Entered| entered.id == id && entered.layer == layer;
        if all.last().is_some_and(is_it) {
            return all.pop();
        }
        let at = all.iter().rposition(is_it);
        at.map(|at| all.remove(at))
    });
}

/// The span that the thread has entered last, if it is of that layer.
#[inline]
pub(crate) fn last(layer: usize) -> Option<u64> {
    let last = |all: &RefCell<Vec<Entered>>| {
        all.borrow().last().filter(|entered| entered.layer == layer).map(|entered| entered.id)
    };
    ENTERED.try_with(last).ok().flatten()
}

/// Activates anew the span, which is another one now, and those that the thread has entered since
/// through the layer: `live` tells what they are.
pub(crate) fn renew(layer: usize, id: u64, live: impl Fn(u64) -> Option<Span>) {
    let is_own = |entered: &&mut Entered| entered.layer == layer;
    let taken: Option<Vec<(u64, Option<Scope>)>> = ENTERED
        .try_with(|all| {
            let mut all = all.borrow_mut();
            let own = all.iter_mut().filter(is_own).skip_while(|entered| entered.id != id);
            own.map(|entered| (entered.id, entered.scope.take())).collect()
        })
        .ok();
    // Without the borrow, as the end of a scope may call what users wrote.
    let ids: Vec<u64> = taken.into_iter().flatten().map(|(id, _scope)| id).collect();
    let spans = ids.into_iter().map(|id| live(id).map(|span| span.activate()));
    let mut scopes: Vec<Option<Scope>> = spans.collect();
    let _ = ENTERED.try_with(|all| {
        let mut all = all.borrow_mut();
        let own = all.iter_mut().filter(is_own).skip_while(|entered| entered.id != id);
        own.zip(scopes.drain(..)).for_each(|(entered, scope)| entered.scope = scope);
    });
}
