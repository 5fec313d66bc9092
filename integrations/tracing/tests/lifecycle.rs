//! When spans begin and end, whatever is called in which order, on which thread.

#![allow(clippy::disallowed_methods, reason = "tests start threads")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jaeger_client::encoding::ValueView;
use jaeger_client::{Clock as _, ManualClock, Span, Tracer};
use jaeger_client_tracing::SpanExt as _;
use tracing::field::Empty;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::FilterId;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use self::support::Traced;

mod support;

#[test]
fn spans_entered_again_and_left_out_of_order_make_the_right_ones_active() {
    let traced = Traced::default();
    let active = || Span::active().map(|span| span.context().span_id());
    traced.run(|| {
        let (a, b) = (info_span!("a"), info_span!("b"));
        let [id_a, id_b] = [&a, &b].map(|span| Some(span.context().unwrap().span_id()));
        let first = a.enter();
        let again = a.enter();
        assert_eq!(active(), id_a);
        drop(again);
        assert_eq!(active(), id_a);
        let second = b.enter();
        drop(first);
        assert_eq!(active(), id_b, "the one below was left first");
        drop(second);
        assert_eq!(active(), None);
        for _ in 0..3 {
            b.in_scope(|| assert_eq!(active(), id_b));
        }
        drop((a, b));
    });
    assert_eq!(traced.tracer.stats().finished, 2);
}

#[test]
fn a_span_may_be_entered_on_several_threads_at_once_and_closed_on_another() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let span = info_span!("shared");
        thread::scope(|scope| {
            for _ in 0..8 {
                let (span, dispatch) = (span.clone(), traced.dispatch.clone());
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        span.in_scope(|| (0..50).for_each(|_| drop(info_span!("part"))));
                    });
                });
            }
        });
        thread::spawn(move || drop(span)).join().unwrap();
    });
    let shared = spans.named("shared");
    let parts: Vec<_> = spans.0.iter().filter(|span| span.name == "part").collect();
    assert_eq!(parts.len(), 400);
    assert!(parts.iter().all(|part| part.is_child_of(shared)));
}

#[test]
fn a_parent_may_close_before_its_children() {
    let spans = Traced::default().run(|| {
        let parent = info_span!("parent");
        let child = info_span!(parent: &parent, "child");
        let grandchild = info_span!(parent: &child, "grandchild");
        drop((parent, child));
        grandchild.in_scope(|| info!("still here"));
    });
    let [parent, child] = ["parent", "child"].map(|name| spans.named(name));
    assert!(child.is_child_of(parent));
    assert!(spans.named("grandchild").is_child_of(child));
    // A registry keeps a parent for as long as it has children.
    assert_eq!(spans.names(), ["grandchild", "child", "parent"]);
}

/// With a clock that stands still unless it is told.
fn with_clock(at_last_exit: bool) -> (Traced, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let tracer = Tracer::builder("svc").clock(Arc::clone(&clock));
    let own = Arc::clone(&clock);
    (Traced::with(tracer, |layer| layer.clock(own).end_at_last_exit(at_last_exit)), clock)
}

#[test]
fn a_span_lasts_from_when_it_was_made_to_its_close_or_its_last_exit() {
    for (at_last_exit, expected) in [(false, 7_000), (true, 3_000)] {
        let (traced, clock) = with_clock(at_last_exit);
        let step = |millis| clock.advance(Duration::from_millis(millis));
        let spans = traced.run(|| {
            let span = info_span!("op");
            step(1);
            span.in_scope(|| step(1));
            span.in_scope(|| step(1));
            step(4);
            drop(span);
            let never_entered = info_span!("never entered");
            step(2);
            drop(never_entered);
        });
        let op = spans.named("op");
        assert_eq!(op.duration, expected, "at last exit {at_last_exit}");
        assert_eq!(spans.named("never entered").duration, 2_000);
        assert_eq!(op.start, clock.wall_nanos() / 1_000 - 9_000);
    }
}

#[test]
fn what_is_open_when_the_layer_goes_is_ended() {
    let traced = Traced::default();
    let Traced { tracer, reporter, .. } = &traced;
    let layer = jaeger_client_tracing::layer(tracer.clone());
    let own = layer.inner().handle();
    let subscriber = tracing_subscriber::registry().with(layer);
    let spans = tracing::subscriber::with_default(subscriber, || {
        let (entered, pending) = (info_span!("entered"), info_span!("pending"));
        entered.in_scope(|| {});
        // Their handles outlive the subscriber's scope.
        (entered, pending)
    });
    assert_eq!(tracer.stats().open, 1);
    assert_eq!(own.stats().pending, 1);
    drop(spans);
    assert_eq!((tracer.stats().open, reporter.spans().len()), (0, 2));
}

#[test]
fn a_span_dropped_by_the_end_of_a_thread_is_finished() {
    use std::cell::RefCell;
    thread_local! {
        static HELD: RefCell<Vec<tracing::Span>> = const { RefCell::new(Vec::new()) };
    }
    let traced = Traced::default();
    let dispatch = traced.dispatch.clone();
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        // Known before what the layer and the tracer have for the thread, so dropped after it.
        HELD.with(|held| {
            tracing::dispatcher::with_default(&dispatch, || {
                let (pending, entered) = (info_span!("pending"), info_span!("entered"));
                entered.in_scope(|| info!("in a thread"));
                held.borrow_mut().extend([pending, entered]);
            });
        });
        done.send(()).unwrap();
    });
    wait.recv().unwrap();
    thread.join().unwrap();
    let mut names: Vec<_> = traced.spans().names().into_iter().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["entered", "pending"]);
    assert_eq!(traced.tracer.stats().open, 0);
}

/// A registry that gives another number to each handle on a span.
struct Renaming {
    registry: Registry,
    handles: AtomicU64,
}

impl Renaming {
    fn known(id: &Id) -> Id {
        Id::from_u64(id.into_u64() & (u64::MAX >> BITS_OF_HANDLES))
    }
}

const BITS_OF_HANDLES: u32 = 8;

impl Subscriber for Renaming {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.registry.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.registry.enabled(metadata)
    }

    fn new_span(&self, attrs: &Attributes<'_>) -> Id {
        self.registry.new_span(attrs)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.registry.record(&Self::known(id), values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.registry.record_follows_from(&Self::known(id), &Self::known(follows));
    }

    fn event(&self, event: &Event<'_>) {
        self.registry.event(event);
    }

    fn enter(&self, id: &Id) {
        self.registry.enter(&Self::known(id));
    }

    fn exit(&self, id: &Id) {
        self.registry.exit(&Self::known(id));
    }

    fn clone_span(&self, id: &Id) -> Id {
        let known = self.registry.clone_span(&Self::known(id)).into_u64();
        let handle = self.handles.fetch_add(1, Ordering::Relaxed) + 1;
        Id::from_u64(known | handle << (u64::BITS - BITS_OF_HANDLES))
    }

    fn try_close(&self, id: Id) -> bool {
        self.registry.try_close(Self::known(&id))
    }
}

impl<'a> LookupSpan<'a> for Renaming {
    type Data = <Registry as LookupSpan<'a>>::Data;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        self.registry.span_data(&Self::known(id))
    }

    fn register_filter(&mut self) -> FilterId {
        self.registry.register_filter()
    }
}

#[test]
fn a_span_whose_number_changes_is_the_same_span() {
    let Traced { tracer, reporter, .. } = &Traced::default();
    let registry = Renaming { registry: Registry::default(), handles: AtomicU64::new(0) };
    let subscriber = registry.with(jaeger_client_tracing::layer(tracer.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("op", late = Empty);
        let twin = span.clone();
        assert_ne!(span.id(), twin.id());
        drop(span);
        twin.record("late", 1);
        twin.in_scope(|| {});
        drop(twin);
        assert_eq!(tracer.stats().finished, 1);
        assert_eq!(reporter.spans()[0].view().tag("late"), Some(ValueView::Long(1)));
    });
}
