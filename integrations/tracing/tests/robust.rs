//! Code of users that does what it should not, several layers at once, and threads: no deadlock, and
//! nothing lost uncounted.

#![allow(clippy::disallowed_methods, reason = "tests start threads")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jaeger_client::sampler::{
    ConstSampler, Decision, Rule, Sampler, SamplerStatus, SamplingParameters,
};
use jaeger_client::{InMemoryReporter, Tracer};
use jaeger_client_tracing::SpanExt as _;
use tracing::field::{Empty, debug};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::with_default;
use tracing::{Dispatch, info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use self::support::{Shown, Traced, remote};

mod support;

/// Runs something that must not take for ever, and fails if it does.
fn within_bounds(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => thread.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
    }
}

/// An error all of whose methods panic, or that is its own source for ever.
#[derive(Debug)]
struct Bad {
    panics: bool,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.panics, "a Display");
        f.write_str("bad")
    }
}

impl Error for Bad {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        assert!(!self.panics, "a source");
        Some(&Self { panics: false })
    }
}

#[test]
fn a_field_that_panics_costs_its_own_value_and_is_counted() {
    within_bounds(|| {
        let traced = Traced::default();
        let spans = traced.run(|| {
            let bad = Bad { panics: true };
            let error: &(dyn Error + 'static) = &bad;
            let span =
                info_span!("op", a = 1, b = ?Shown(|| panic!("a Debug")), error, c = 2, late = Empty);
            span.record("late", debug(Shown(|| panic!("late"))));
            span.in_scope(|| info!(a = 1, b = ?Shown(|| panic!("in an event")), "still logged"));
        });
        let span = spans.named("op");
        for key in ["b", "late", "error.message"] {
            assert_eq!(span.text(key), "<panicked>");
        }
        assert!(span.tag("a").is_some() && span.tag("c").is_some());
        assert_eq!(span.log(0, "event"), Some(&"still logged".into()));
        assert_eq!(span.log(0, "b"), Some(&"<panicked>".into()));
        assert_eq!(traced.handle.stats().field_panics, 5, "a source counts too");
    });
}

#[test]
fn a_value_without_end_and_an_error_that_is_its_own_source_are_cut() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("é and so on, ")?;
            }
        }
    }
    within_bounds(|| {
        let traced = Traced::default();
        let spans = traced.run(|| {
            let error: &(dyn Error + 'static) = &Bad { panics: false };
            info_span!("op", endless = ?Endless, error).in_scope(|| info!(endless = ?Endless));
        });
        let span = spans.named("op");
        assert!(span.text("endless").len() <= 256, "a tracer's limit");
        assert!(span.text("error.chain").starts_with("bad: bad"));
        let Some(support::Value::Text(text)) = span.log(0, "endless") else { panic!("{span:?}") };
        assert!((60_000..=65_536).contains(&text.len()), "{}", text.len());
        assert_eq!(traced.handle.stats().field_panics, 0);
    });
}

/// A sampler that uses tracing while it is asked, and the span that it is asked about.
#[derive(Debug)]
struct Tracing {
    dispatch: Arc<std::sync::OnceLock<Dispatch>>,
    requested: AtomicBool,
}

impl Sampler for Tracing {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        if !self.requested.swap(true, Ordering::SeqCst)
            && let Some(dispatch) = self.dispatch.get()
        {
            tracing::dispatcher::with_default(dispatch, || {
                (0..64).for_each(|_| info_span!("of the sampler").in_scope(|| info!("asked")));
            });
        }
        Decision::new(true)
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Const { sample: true })
    }
}

#[test]
fn a_sampler_that_uses_tracing_deadlocks_nothing() {
    within_bounds(|| {
        let own = Arc::new(std::sync::OnceLock::new());
        let sampler = Tracing { dispatch: Arc::clone(&own), requested: AtomicBool::new(false) };
        let traced = Traced::with(Tracer::builder("svc").sampler(sampler), |layer| layer);
        own.set(traced.dispatch.clone()).unwrap();
        let spans = traced.run(|| info_span!("op").in_scope(|| {}));
        assert_eq!(spans.0.len(), 65);
        assert_eq!(traced.tracer.stats().open, 0);
    });
}

#[test]
fn two_layers_of_one_subscriber_and_two_subscribers_are_separate() {
    let (first, second) = (InMemoryReporter::new(), InMemoryReporter::new());
    let build =
        |reporter: &InMemoryReporter| Tracer::builder("svc").in_memory(reporter).build().unwrap();
    let ((a, _closer_a), (b, _closer_b)) = (build(&first), build(&second));
    let (layer_a, layer_b) =
        (jaeger_client_tracing::layer(a.clone()), jaeger_client_tracing::layer(b.clone()));
    let (handle_a, handle_b) = (layer_a.inner().handle(), layer_b.inner().handle());
    with_default(Registry::default().with(layer_a).with(layer_b), || {
        let span = info_span!("serve");
        handle_a.set_parent(&span, remote(10, 1));
        handle_b.set_parent(&span, remote(11, 1));
        span.in_scope(|| {
            a.start_span("of a").finish();
            b.start_span("of b").finish();
            info_span!("child").in_scope(|| info!("to both"));
        });
        // The outermost one.
        assert_eq!(span.context().unwrap().trace_id(), remote(11, 1).trace_id());
    });
    for (reporter, trace, own) in [(&first, 10, "of a"), (&second, 11, "of b")] {
        let spans = reporter.spans();
        let views: Vec<_> = spans.iter().map(|span| span.view()).collect();
        let names: Vec<_> = views.iter().map(|view| view.operation_name()).collect();
        assert_eq!(names, [own, "child", "serve"]);
        assert!(views.iter().all(|view| view.trace_id == remote(trace, 1).trace_id()));
        assert!(views[..2].iter().all(|view| view.parent_span_id == views[2].span_id));
        assert_eq!(views[1].logs().count(), 1);
    }
}

#[tokio::test]
async fn a_scoped_subscriber_traces_its_own_work_alone() {
    let (outer, inner) = (Traced::default(), Traced::default());
    let work = async {
        let span = info_span!("outer");
        let task = async {
            tokio::task::yield_now().await;
            info_span!("inner").in_scope(|| info!("scoped"));
        };
        let task = task.with_subscriber(inner.dispatch.clone());
        tracing::Instrument::instrument(task, span).await;
    };
    work.with_subscriber(outer.dispatch.clone()).await;
    assert_eq!(outer.spans().names(), ["outer"]);
    assert_eq!(inner.spans().names(), ["inner"]);
    assert!(inner.spans().named("inner").is_root(), "another tracer's span is no parent");
}

#[test]
fn threads_that_do_everything_at_once_to_the_same_spans_lose_nothing() {
    within_bounds(|| {
        for sampled in [true, false] {
            let tracer = Tracer::builder("svc").sampler(ConstSampler::new(sampled));
            let traced = Traced::with(tracer, |layer| layer);
            tracing::dispatcher::with_default(&traced.dispatch, || {
                for round in 0..200 {
                    let span = info_span!("shared", value = 0, otel.name = Empty, error = Empty);
                    thread::scope(|scope| {
                        for number in 0..4_u64 {
                            let (span, dispatch) = (&span, traced.dispatch.clone());
                            scope.spawn(move || {
                                let _default = tracing::dispatcher::set_default(&dispatch);
                                match (round + number) % 4 {
                                    0 => span.in_scope(|| info!("entered")),
                                    1 => {
                                        span.record("value", number).record("otel.name", "renamed");
                                    }
                                    2 => span.set_parent(remote(round + 1, 1)),
                                    _ => drop(info_span!(parent: span, "child")),
                                }
                            });
                        }
                    });
                }
            });
            let stats = traced.tracer.stats();
            assert!(stats.is_balanced(), "{stats}");
            assert_eq!(stats.open, 0, "{stats}");
            let (lost, sent) = (traced.handle.stats(), traced.reporter.spans().len() as u64);
            assert_eq!((lost.pending, lost.not_started_in_time), (0, 0), "{lost:?}");
            assert_eq!(stats.sent, sent);
            let shared = traced.spans().0.iter().filter(|span| span.name != "child").count();
            assert_eq!(shared, 200, "all of them have got a parent that is sampled");
        }
    });
}
