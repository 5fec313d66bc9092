//! The active span where it is easily got wrong: held too long, looked at by user callbacks, without a
//! runtime, and where threads and tasks end.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Clock, CompactSpan, InMemoryReporter, ManualClock, NullLogger, NumberedScopes, Span, SpanId,
    TraceFutureExt, Tracer, wrap,
};

fn active() -> SpanId {
    Span::active().map_or(SpanId::NONE, |span| span.context().span_id())
}

fn id(span: &Span) -> SpanId {
    span.context().span_id()
}

/// A future that is ready the second time, and gives what was active each time.
async fn seen_twice() -> [SpanId; 2] {
    let first = active();
    let mut again = false;
    std::future::poll_fn(|_| {
        if again {
            return Poll::Ready(());
        }
        again = true;
        Poll::Pending
    })
    .await;
    [first, active()]
}

#[test]
#[expect(clippy::await_holding_invalid_type, reason = "what `clippy.toml` has the type for")]
fn a_scope_held_across_an_await_reaches_other_tasks_of_the_thread_and_clippy_says_so() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let span = tracer.start_span("buffered");
    let buffered = id(&span);
    let (during, after) = local.block_on(&runtime, async move {
        let holder = tokio::task::spawn_local(async move {
            let _scope = span.activate();
            tokio::task::yield_now().await;
        });
        // It runs first, and rests in the middle of its scope.
        let during = tokio::task::spawn_local(async { active() }).await.unwrap();
        holder.await.unwrap();
        (during, active())
    });
    assert_eq!((during, after), (buffered, SpanId::NONE), "so it is for as long as it is buffered");
}

#[test]
fn a_future_has_its_span_without_any_runtime_and_on_whichever_thread_polls_it() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let (ours, theirs) = (tracer.start_span("ours"), tracer.start_span("theirs"));
    let expected = [id(&ours); 2];
    let mut future = Box::pin(seen_twice().in_span(ours));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(active(), SpanId::NONE, "between two polls");
    let elsewhere = thread::spawn(move || {
        let _scope = theirs.activate();
        let before = active();
        let seen = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (seen, active() == before)
    });
    assert_eq!(elsewhere.join().unwrap(), (Poll::Ready(expected), true));
}

#[test]
fn a_future_that_panics_leaves_nothing_active() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let outer = tracer.start_span("outer");
    let _scope = outer.activate();
    {
        let failing = async { std::panic::resume_unwind(Box::new(())) };
        let mut failing = pin!(failing.in_span(tracer.start_span("inner")));
        let poll =
            || -> Poll<()> { failing.as_mut().poll(&mut Context::from_waker(Waker::noop())) };
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        assert_eq!(active(), id(&outer));
    }
    assert_eq!((active(), tracer.stats().open), (id(&outer), 1));
}

#[test]
fn scopes_of_two_tasks_that_are_dropped_as_they_come_disturb_no_other() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let spans: Vec<_> = (0..4).map(|n| tracer.start_span(format!("span {n}"))).collect();
    let mut scopes: Vec<_> = spans.iter().map(|span| Some(span.activate())).collect();
    // Whichever goes, the last one that is left is active.
    for (dropped, left) in [(1, 3), (3, 2), (0, 2)] {
        scopes[dropped] = None;
        assert_eq!(active(), id(&spans[left]), "after {dropped}");
    }
    scopes[2] = None;
    assert_eq!(active(), SpanId::NONE);
}

/// A clock that reads the active span, and activates it, whenever the clock is read: a user callback wherever
/// a span is started or finished.
#[derive(Debug)]
struct ActiveSpanClock {
    clock: ManualClock,
    looked: Arc<AtomicUsize>,
}

impl Clock for ActiveSpanClock {
    fn monotonic_nanos(&self) -> u64 {
        let active = Span::active();
        let _scope = active.as_ref().map(Span::activate);
        self.looked.fetch_add(1, Ordering::Relaxed);
        self.clock.monotonic_nanos()
    }

    fn wall_nanos(&self) -> i64 {
        self.clock.wall_nanos()
    }
}

#[test]
fn a_user_callback_run_by_the_end_of_a_scope_may_read_the_active_span() {
    let looked = Arc::<AtomicUsize>::default();
    let clock = ActiveSpanClock { clock: ManualClock::new(), looked: Arc::clone(&looked) };
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").logger(NullLogger).clock(clock).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let outer = tracer.start_span("outer");
    let _outer = outer.activate();
    let inner = tracer.start_span("inner").activate(); // which holds the last handle
    let before = looked.load(Ordering::Relaxed);
    drop(inner);
    assert_eq!((memory.len(), active()), (1, id(&outer)));
    assert!(looked.load(Ordering::Relaxed) > before, "the clock was read at the end");
    // And where a future is dropped that holds it.
    let mut future = Box::pin(seen_twice().in_span(tracer.start_span("future")));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert_eq!((memory.len(), active()), (2, id(&outer)));
}

#[test]
fn a_thread_that_is_being_torn_down_has_no_active_span_and_does_no_harm() {
    struct AtTheEnd {
        tracer: Tracer,
        seen: std::sync::mpsc::Sender<(SpanId, SpanId)>,
    }

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let span = self.tracer.start_span("at the end");
            let within = {
                let _scope = span.activate();
                self.tracer.start_span("child").context().parent_id()
            };
            self.seen.send((active(), within)).unwrap();
        }
    }

    thread_local! {
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let (seen, reported) = std::sync::mpsc::channel();
    let ending = tracer.clone();
    thread::spawn(move || {
        LAST.with_borrow_mut(|last| *last = Some(AtTheEnd { tracer: ending.clone(), seen }));
        // What is used later is gone sooner: the scopes' stack, before `LAST`.
        let span = ending.start_span("op");
        let _scope = span.activate();
    })
    .join()
    .unwrap();
    let (active, _within) = reported.recv().unwrap();
    assert_eq!((active, tracer.stats().open), (SpanId::NONE, 0));
}

#[test]
fn what_is_done_to_an_active_span_after_its_end_does_nothing_and_is_counted() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let span = tracer.start_span("op");
    let _scope = span.activate();
    span.finish();
    // It is still the parent of what is started: what comes late belongs to its trace.
    let late = tracer.start_span("late");
    assert_eq!(late.context().parent_id(), id(&span));
    drop(late);
    Span::active().unwrap().set_tag("late", true).log_event("late");
    assert_eq!((tracer.stats().misused, tracer.stats().open), (2, 0));
}

/// Two tracers, each with an active span, the second one's within the first one's.
fn nested() -> (Tracer, Tracer, [Span; 2]) {
    let build = || crate::support::builder().null_reporter().build().unwrap();
    let ((outer, keep), (inner, keep_too)) = (build(), build());
    std::mem::forget((keep, keep_too));
    let spans = [outer.start_span("outer"), inner.start_span("inner")];
    (outer, inner, spans)
}

#[test]
fn the_parent_is_the_nearest_active_span_of_the_tracers_own() {
    let (outer, inner, [a, b]) = nested();
    let _a = a.activate();
    let _b = b.activate();
    let _more: Vec<_> = (0..20).map(|_| b.activate()).collect();
    let third = crate::support::builder().null_reporter().build().unwrap().0;
    for (tracer, parent) in [(&outer, id(&a)), (&inner, id(&b)), (&third, SpanId::NONE)] {
        assert_eq!(tracer.start_span("plain").context().parent_id(), parent);
        assert_eq!(tracer.span("built").tag("k", 1).start().context().parent_id(), parent);
        assert_eq!(tracer.active_span().map_or(SpanId::NONE, |span| id(&span)), parent);
    }
    assert_eq!(active(), id(&b), "of whichever tracer");
}

#[test]
fn a_stack_that_is_deep_is_searched_within_a_bound() {
    let (outer, inner, [a, b]) = nested();
    let _a = a.activate();
    let _deep: Vec<_> = (0..10_000).map(|_| b.activate()).collect();
    assert_eq!(outer.start_span("far").context().parent_id(), SpanId::NONE);
    assert_eq!(inner.start_span("near").context().parent_id(), id(&b));
}

#[test]
fn work_that_is_handed_on_takes_the_active_span_of_each_tracer_along() {
    let (outer, inner, [a, b]) = nested();
    let parents =
        move || [&outer, &inner].map(|tracer| tracer.start_span("c").context().parent_id());
    let expected = [id(&a), id(&b)];
    let (wrapped, future) = {
        let (_a, _b, _again) = (a.activate(), b.activate(), a.activate());
        let parents = parents.clone();
        (wrap(parents.clone()), async move { (parents(), active()) }.in_active_span())
    };
    assert_eq!(parents(), [SpanId::NONE; 2]);
    assert_eq!(thread::spawn(wrapped).join().unwrap(), expected);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(future), (expected, id(&a)));
    assert_eq!(parents(), [SpanId::NONE; 2], "nothing is left behind");
}

#[test]
fn numbers_enter_and_exit_in_any_order_among_scopes_and_those_of_others() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let start = || CompactSpan::from(tracer.start_span("op"));
    let of = |span: &CompactSpan| id(&span.span());
    let (one, other) = (NumberedScopes::new(), NumberedScopes::default());
    let spans = [start(), start(), start(), start()];
    let [first, second, third, fourth] = &spans;

    one.enter(0, first);
    assert_eq!((active(), one.innermost(), other.innermost()), (of(first), Some(0), None));
    // The same number of another owner is another one, and so is that of a scope.
    other.enter(0, second);
    assert_eq!((active(), one.innermost(), other.innermost()), (of(second), Some(0), Some(0)));
    let scope = third.activate();
    assert_eq!((active(), other.innermost()), (of(third), Some(0)));
    one.enter(u64::MAX, fourth);
    one.enter(0, fourth);
    one.exit(0);
    assert_eq!((active(), one.innermost()), (of(fourth), Some(u64::MAX)));
    one.exit(0);
    one.exit(7);
    assert_eq!((active(), one.innermost()), (of(fourth), Some(u64::MAX)));
    one.exit(u64::MAX);
    assert_eq!((active(), one.innermost()), (of(third), None));
    drop(scope);
    assert_eq!(active(), of(second));
    other.exit(0);
    assert_eq!((active(), other.innermost()), (SpanId::NONE, None));
    drop(spans);
    assert_eq!(tracer.stats().open, 0);
}

#[test]
fn a_span_replaces_another_wherever_the_thread_has_entered_its_number() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let start = || CompactSpan::from(tracer.start_span("op"));
    let (before, between, after) = (start(), start(), start());
    let (scopes, others) = (NumberedScopes::new(), NumberedScopes::new());
    others.enter(1, &between);
    scopes.enter(1, &before);
    scopes.enter(2, &between);
    scopes.enter(1, &before);
    drop(before);
    assert_eq!(tracer.stats().open, 3);
    scopes.replace(1, &after);
    assert_eq!(tracer.stats().open, 2, "the span that was replaced has no handle any more");
    for span in [&after, &between, &after, &between] {
        assert_eq!(active(), id(&span.span()));
        if let Some(number) = scopes.innermost() {
            scopes.exit(number);
        }
    }
    others.exit(1);
    assert!(Span::active().is_none());
}

#[test]
fn a_span_entered_by_number_is_the_active_one_until_another_is_by_whatever_means() {
    let (tracer, _closer) = crate::support::builder().null_reporter().build().unwrap();
    let start = || CompactSpan::from(tracer.start_span("op"));
    let (outer, within, inner) = (start(), start(), start());
    let (scopes, others) = (NumberedScopes::new(), NumberedScopes::new());
    let active_of = |scopes: &NumberedScopes| {
        let span = scopes.active_span();
        assert_eq!(scopes.is_innermost(), span.is_some());
        let parent = tracer.span("child").child_of(scopes).start().context().parent_id();
        assert_eq!(parent, span.as_ref().map_or_else(active, id), "else the active one is");
        span.as_ref().map(id)
    };
    let id_of = |span: &CompactSpan| Some(id(&span.span()));

    assert!(!Span::is_any_active());
    assert_eq!([active_of(&scopes), active_of(&others)], [None, None]);
    scopes.enter(1, &outer);
    assert!(Span::is_any_active());
    assert_eq!([active_of(&scopes), active_of(&others)], [id_of(&outer), None]);
    let scope = within.activate();
    assert_eq!([active_of(&scopes), active_of(&others)], [None, None]);
    others.enter_owned(1, inner.clone());
    assert_eq!([active_of(&scopes), active_of(&others)], [None, id_of(&inner)]);
    // The one between is left first, and then the outermost.
    drop(scope);
    assert_eq!([active_of(&scopes), active_of(&others)], [None, id_of(&inner)]);
    scopes.exit(1);
    assert_eq!([active_of(&scopes), active_of(&others)], [None, id_of(&inner)]);
    let scope = within.activate();
    others.exit(1);
    assert_eq!([active_of(&scopes), active_of(&others)], [None, None]);
    assert_eq!(Some(active()), id_of(&within));
    drop(scope);
    assert!(!Span::is_any_active());
    drop([outer, within, inner]);
    assert_eq!(tracer.stats().open, 0);
}

#[test]
fn a_handle_that_is_dropped_as_shared_ends_its_span_if_it_is_the_last() {
    for sampled in [true, false] {
        let builder = crate::support::builder().sampler(ConstSampler::new(sampled));
        let (tracer, _closer) = builder.null_reporter().build().unwrap();
        let span = tracer.start_span("op");
        span.clone().drop_shared();
        assert_eq!(tracer.stats().open, 1);
        span.drop_shared();
        tracer.start_span("never shared").drop_shared();
        Span::none().drop_shared();
        assert_eq!((tracer.stats().started, tracer.stats().open), (2, 0));
        // The last handle is that of the scope.
        let scopes = NumberedScopes::new();
        scopes.enter_owned(1, tracer.start_span("entered").into());
        assert_eq!(tracer.stats().open, 1);
        scopes.exit(1);
        assert_eq!((tracer.stats().open, tracer.stats().misused), (0, 0));
    }
}
