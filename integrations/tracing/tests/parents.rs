//! Which span is whose parent: by tracing's rules, from other processes, and across to the tracer's
//! own spans.

use std::collections::HashMap;

use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{Span, SpanContext, SpanId, TraceFutureExt as _, Tracer};
use jaeger_client_tracing::SpanExt as _;
use tracing::field::Empty;
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info, info_span, instrument};

use self::support::{Traced, Value, remote};

mod support;

#[test]
fn the_parent_is_the_span_entered_or_named_or_none() {
    let spans = Traced::default().run(|| {
        let outer = info_span!("outer");
        let other = info_span!("other");
        let _entered = outer.enter();
        let contextual = info_span!("contextual");
        drop(info_span!(parent: &other, "explicit"));
        drop(info_span!(parent: None, "root"));
        contextual.in_scope(|| drop(info_span!("nested")));
    });
    let [outer, other] = ["outer", "other"].map(|name| spans.named(name));
    assert!(spans.named("contextual").is_child_of(outer));
    assert!(spans.named("explicit").is_child_of(other));
    assert!(spans.named("nested").is_child_of(spans.named("contextual")));
    for root in [outer, other, spans.named("root")] {
        assert!(root.is_root());
    }
    assert_ne!(outer.trace, other.trace);
    assert_ne!(outer.trace, spans.named("root").trace);
    let kinds: Vec<_> = spans.named("nested").references.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [false]);
}

#[test]
fn follows_from_is_a_reference_before_and_after_the_span_is_entered_and_never_a_parent() {
    let spans = Traced::default().run(|| {
        let (first, second) = (info_span!("first"), info_span!("second"));
        let parent = info_span!("parent");
        let root = info_span!("root");
        root.follows_from(&first);
        root.in_scope(|| {});
        root.follows_from(&second);
        let child = info_span!(parent: &parent, "child");
        child.follows_from(&first);
        child.in_scope(|| child.follows_from(&second));
        let closed = {
            let closed = info_span!("closed");
            closed.id()
        };
        child.follows_from(closed);
        child.follows_from(tracing::Span::none());
    });
    let ids = ["first", "second"].map(|name| (true, spans.named(name).id));
    assert_eq!(spans.named("root").references, ids);
    assert!(spans.named("root").is_root());
    assert_ne!(spans.named("root").trace, spans.named("first").trace);
    let child = spans.named("child");
    assert!(child.is_child_of(spans.named("parent")));
    assert_eq!(child.references[1..], ids);
    assert_eq!(child.references.len(), 3, "the closed one is not known to anybody");
}

#[test]
fn a_parent_from_elsewhere_can_be_given_at_every_stage_of_a_span() {
    type Stage = fn(&tracing::Span);
    let stages: [(&str, Stage); 6] = [
        ("new", |_| {}),
        ("entered", |span| span.in_scope(|| {})),
        ("recorded", |span| {
            span.in_scope(|| {});
            span.record("between", 3);
        }),
        ("logged", |span| span.in_scope(|| info!("first"))),
        ("asked", |span| drop(span.context())),
        ("with child", |span| span.in_scope(|| drop(info_span!("child")))),
    ];
    for sampled_here in [true, false] {
        for (stage, reach) in stages {
            for flags in [1, 0] {
                let tracer = Tracer::builder("svc").sampler(ConstSampler::new(sampled_here));
                let traced = Traced::with(tracer, |layer| layer);
                let spans = traced.run(|| {
                    let span = info_span!("serve", early = 1, between = Empty, late = Empty);
                    reach(&span);
                    span.set_parent(remote(9, flags));
                    span.record("late", 2);
                    span.in_scope(|| {
                        info!("last");
                        drop(info_span!("below"));
                    });
                });
                let case = format!("{stage}, sampled here {sampled_here}, there {flags}");
                let names = spans.names().into_iter().filter(|name| *name != "child");
                let names: Vec<_> = names.collect();
                if flags == 0 {
                    assert!(names.is_empty(), "{case}: {names:?}");
                    continue;
                }
                assert_eq!(names, ["below", "serve"], "{case}");
                let span = spans.named("serve");
                assert_eq!((span.trace, span.parent), (remote(9, 1).trace_id(), SpanId::new(77)));
                assert_eq!(span.tag("early"), Some(&Value::Long(1)), "{case}");
                assert_eq!(span.tag("late"), Some(&Value::Long(2)), "{case}");
                let between = (stage == "recorded").then_some(&Value::Long(3));
                assert_eq!(span.tag("between"), between, "{case}");
                assert!(spans.named("below").is_child_of(span), "{case}");
                assert_eq!(span.logs.len(), 1 + usize::from(stage == "logged" && sampled_here));
                let stats = traced.tracer.stats();
                assert_eq!(stats.open, 0);
                assert_eq!(stats.misused, 0, "{case}");
            }
        }
    }
}

#[test]
fn rpc_metrics_count_a_request_once_at_whatever_stage_it_is_given_a_parent() {
    type Stage = fn(&tracing::Span);
    let stages: [(&str, Stage); 4] = [
        ("new", |_| {}),
        ("entered", |span| span.in_scope(|| {})),
        ("asked", |span| drop(span.context())),
        ("with parent", |span| span.set_parent(remote(5, 0))),
    ];
    for (sampled_here, flags) in [(true, 0), (false, 1), (true, 1), (false, 0)] {
        for (stage, reach) in stages {
            for parent in [None, Some("outer")] {
                let metrics = InMemoryMetrics::new();
                let tracer = Tracer::builder("svc").sampler(ConstSampler::new(sampled_here));
                let tracer = tracer.metrics(metrics.clone()).rpc_metrics(true);
                let traced = Traced::with(tracer, |layer| layer);
                traced.run(|| {
                    let outer = parent.map(|_| info_span!("outer"));
                    let id = outer.as_ref().and_then(tracing::Span::id);
                    let span = info_span!(parent: id, "serve", otel.kind = "server", http.status_code = Empty);
                    span.record("http.status_code", 200);
                    reach(&span);
                    span.set_parent(remote(9, flags));
                    span.in_scope(|| drop(info_span!("below")));
                });
                let case = format!("{stage}, {parent:?}, sampled {sampled_here}, there {flags}");
                let requests: u64 = metrics
                    .counters()
                    .iter()
                    .filter(|(name, _)| name.starts_with("jaeger-rpc.requests"))
                    .map(|(_, count)| count)
                    .sum();
                assert_eq!(requests, 1, "{case}");
                let stats = traced.tracer.stats();
                assert_eq!((stats.open, stats.misused), (0, 0), "{case}");
            }
        }
    }
}

#[test]
fn a_parent_given_before_the_span_is_used_costs_no_decision_of_the_sampler() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let span = info_span!("serve");
        assert_eq!(traced.handle.stats().pending, 1);
        assert_eq!(traced.tracer.stats().started, 0);
        span.set_parent(remote(1, 1));
        span.set_parent(remote(2, 1));
        span.in_scope(|| {});
        assert_eq!(traced.handle.stats().pending, 0);
    });
    assert_eq!(spans.named("serve").trace, remote(2, 1).trace_id(), "the last one counts");
    let stats = traced.tracer.stats();
    assert_eq!((stats.started, stats.not_sampled), (1, 0));
}

#[test]
fn a_parent_given_inside_an_instrumented_function_takes_effect_while_it_is_entered() {
    #[instrument]
    fn serve(user: u64) {
        tracing::Span::current().set_parent(remote(5, 1));
        info!("working");
        query();
        let active = Span::active().unwrap().context();
        assert_eq!(active.trace_id(), remote(5, 1).trace_id());
    }
    #[instrument]
    fn query() {}

    let traced = Traced::default();
    let spans = traced.run(|| {
        info_span!("around").in_scope(|| serve(7));
        assert!(Span::active().is_none());
    });
    let serve = spans.named("serve");
    assert_eq!((serve.trace, serve.parent), (remote(5, 1).trace_id(), SpanId::new(77)));
    assert_eq!(serve.tag("user"), Some(&Value::Long(7)));
    assert_eq!(serve.logs.len(), 1);
    assert!(spans.named("query").is_child_of(serve));
    assert!(spans.named("around").is_root());
}

#[test]
fn a_parent_for_a_span_that_is_not_there_is_counted() {
    let traced = Traced::default();
    traced.run(|| {
        let span = info_span!("over");
        let finished = span.jaeger_span().unwrap();
        finished.finish();
        span.set_parent(remote(1, 1));
        span.set_parent(None::<SpanContext>);
        tracing::Span::none().set_parent(remote(1, 1));
        assert!(tracing::Span::none().context().is_none());
        traced.handle.set_parent(&span, remote(1, 1));
    });
    assert_eq!(traced.handle.stats().parents_refused, 2);
}

#[test]
fn contexts_go_out_through_the_tracer() {
    let traced = Traced::default();
    let mut headers = HashMap::<String, String>::new();
    let spans = traced.run(|| {
        let span = info_span!("call");
        let context = span.context().unwrap();
        traced.tracer.inject(&context, &mut headers);
        assert_eq!(traced.handle.context(&span).unwrap().to_string(), context.to_string());
        span.jaeger_span().unwrap().set_baggage_item("user", "4711");
        assert_eq!(span.context().unwrap().baggage_item("user"), Some("4711"));
    });
    let context = traced.tracer.extract(&headers).unwrap();
    assert_eq!(context.span_id(), spans.named("call").id);
    assert_eq!(context.trace_id(), spans.named("call").trace);
}

#[test]
fn spans_of_the_tracer_and_of_tracing_nest_in_each_other_both_ways() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let ours = traced.tracer.start_span("a");
        let _active = ours.activate();
        info_span!("b").in_scope(|| {
            let inner = traced.tracer.start_span("c");
            let _active = inner.activate();
            info!("to the innermost, whoever made it");
            let span = info_span!("d");
            let _entered = span.enter();
            traced.tracer.start_span("e").finish();
        });
        ours.finish();
    });
    for (child, parent) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")] {
        assert!(spans.named(child).is_child_of(spans.named(parent)), "{child}: {spans:?}");
    }
    assert_eq!(spans.named("c").logs.len(), 1);
}

#[test]
fn spans_of_the_tracer_and_of_tracing_that_are_left_out_of_order_leave_the_right_one_active() {
    let traced = Traced::default();
    let spans = traced.run(|| {
        let tracer = &traced.tracer;
        let first = info_span!("first").entered();
        let scope = tracer.start_span("second").activate();
        let third = info_span!("third").entered();
        drop(scope);
        drop(info_span!("below third"));
        let scope = tracer.start_span("fourth").activate();
        third.exit();
        info!("to the tracer's");
        drop(info_span!("below fourth"));
        first.exit();
        drop(info_span!("below fourth alone"));
        let fifth = info_span!("fifth").entered();
        drop(scope);
        tracer.start_span("below fifth").finish();
        info!("to tracing's");
        fifth.exit();
        assert!(!Span::is_any_active());
        drop(info_span!("root"));
        info!("to nobody");
    });
    for (child, parent) in [
        ("second", "first"),
        ("third", "second"),
        ("below third", "third"),
        ("fourth", "third"),
        ("below fourth", "fourth"),
        ("below fourth alone", "fourth"),
        ("fifth", "fourth"),
        ("below fifth", "fifth"),
    ] {
        assert!(spans.named(child).is_child_of(spans.named(parent)), "{child}: {spans:?}");
    }
    assert!(spans.named("first").is_root() && spans.named("root").is_root());
    assert_eq!(["fourth", "fifth", "first"].map(|name| spans.named(name).logs.len()), [1, 1, 0]);
    assert_eq!(traced.handle.stats().events_without_span, 1);
}

#[test]
fn each_of_two_subscribers_finds_its_own_spans_among_those_of_the_other() {
    let (outer, inner) = (Traced::default(), Traced::default());
    let of_inner = |work: &dyn Fn()| {
        tracing::dispatcher::with_default(&inner.dispatch, work);
    };
    let of_outer = outer.run(|| {
        let a = info_span!("a").entered();
        of_inner(&|| {
            drop(info_span!("root of inner"));
            info_span!("x").in_scope(|| {
                tracing::dispatcher::with_default(&outer.dispatch, || {
                    info!("to a");
                    info_span!("b").in_scope(|| of_inner(&|| drop(info_span!("y"))));
                });
                info!("to x");
            });
        });
        a.exit();
        of_inner(&|| drop(info_span!("second root of inner")));
    });
    let of_inner = inner.spans();
    assert!(of_outer.named("b").is_child_of(of_outer.named("a")));
    assert!(of_inner.named("y").is_child_of(of_inner.named("x")));
    for root in ["root of inner", "x", "second root of inner"] {
        assert!(of_inner.named(root).is_root(), "{root}");
    }
    assert_eq!((of_outer.named("a").logs.len(), of_inner.named("x").logs.len()), (1, 1));
}

#[tokio::test]
async fn tasks_and_futures_keep_their_parents_on_any_thread() {
    let traced = Traced::default();
    let ours = traced.tracer.start_span("ours");
    async {
        async {
            tokio::task::yield_now().await;
            let work = async { info_span!("work").in_scope(|| {}) };
            let task = async move {
                tokio::task::yield_now().await;
                work.await;
            };
            let task = task.in_current_span().with_current_subscriber();
            tokio::spawn(task).await.unwrap();
        }
        .instrument(info_span!("handler"))
        .await;
    }
    .in_span(ours)
    .with_subscriber(traced.dispatch.clone())
    .await;
    let spans = traced.spans();
    assert!(spans.named("handler").is_child_of(spans.named("ours")));
    assert!(spans.named("work").is_child_of(spans.named("handler")));
}
