//! Which spans and events come to the layer, and who is whose parent when some do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaeger_client::{InMemoryReporter, Logger as _, Tracer};
use jaeger_client_tracing::{DefaultFilter, JaegerLayer, SpanExt as _, TracingLogger, layer};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing::{debug, debug_span, error, info, info_span, span::Id, warn_span};
use tracing_subscriber::filter::{EnvFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, fmt};

use self::support::{Lines, Traced, remote};

mod support;

fn memory() -> (Tracer, InMemoryReporter) {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = Tracer::builder("svc").in_memory(&reporter).build().unwrap();
    // Nothing is to be sent, and the tracer is used on.
    std::mem::forget(closer);
    (tracer, reporter)
}

fn names(reporter: &InMemoryReporter) -> Vec<String> {
    reporter.spans().iter().map(|span| span.view().operation_name().into_owned()).collect()
}

/// Counts the spans that come to it.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Count {
    fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn by_default_info_and_above_are_traced_but_for_the_network_and_our_own_crates() {
    let (tracer, reporter) = memory();
    let others = Count::default();
    let subscriber = Registry::default().with(layer(tracer)).with(others.clone());
    with_default(subscriber, || {
        drop(info_span!("info"));
        drop(warn_span!("warn"));
        drop(debug_span!("debug"));
        drop(warn_span!(target: "h2::codec", "h2"));
        drop(warn_span!(target: "hyper", "hyper"));
        drop(warn_span!(target: "hyper_util::client", "hyper_util"));
        drop(warn_span!(target: "tonic::transport", "tonic"));
        drop(warn_span!(target: "tower::buffer", "tower"));
        drop(warn_span!(target: "rustls::client", "rustls"));
        drop(warn_span!(target: "jaeger_client_http::server", "ours"));
        drop(warn_span!(target: "tower_http::trace", "tower_http"));
        drop(warn_span!(target: "h2o::oven", "h2o"));
    });
    assert_eq!(names(&reporter), ["info", "warn", "tower_http", "h2o"]);
    assert_eq!(others.0.load(Ordering::Relaxed), 12, "other layers have filters of their own");
}

#[test]
fn the_level_of_log_lines_does_not_decide_on_spans() {
    let (tracer, reporter) = memory();
    let lines = Lines::default();
    let writer = lines.clone();
    let printed = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let subscriber =
        Registry::default().with(layer(tracer)).with(printed.with_filter(EnvFilter::new("warn")));
    with_default(subscriber, || {
        info_span!("traced").in_scope(|| {
            info!("not printed");
            error!("printed");
        });
    });
    assert_eq!(names(&reporter), ["traced"]);
    assert_eq!(reporter.spans()[0].view().logs().count(), 2);
    let lines = lines.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("ERROR") && !lines[0].contains("traced"), "{lines:?}");
}

#[test]
fn a_filter_of_the_users_takes_the_place_of_the_default_one() {
    let (tracer, reporter) = memory();
    let filter: Targets = "off,chosen=debug,h2=info".parse().unwrap();
    let chosen = JaegerLayer::builder(tracer).filter(filter).build();
    with_default(Registry::default().with(chosen), || {
        drop(info_span!("off"));
        debug_span!(target: "chosen", "on").in_scope(|| debug!(target: "chosen", "on too"));
        drop(info_span!(target: "h2", "asked for"));
    });
    assert_eq!(names(&reporter), ["on", "asked for"]);
    assert_eq!(reporter.spans()[0].view().logs().count(), 1);
}

#[test]
fn a_span_that_the_filter_turns_off_is_nobodys_parent() {
    let (tracer, reporter) = memory();
    let handle_of = JaegerLayer::builder(tracer).filter(DefaultFilter::default()).build();
    let handle = handle_of.inner().handle();
    // The other layer has all of them in the registry.
    let subscriber = Registry::default().with(handle_of).with(Count::default());
    with_default(subscriber, || {
        let outer = info_span!("outer");
        let off = outer.in_scope(|| debug_span!("off"));
        off.in_scope(|| drop(info_span!("contextual")));
        drop(info_span!(parent: &off, "explicit"));
        info!(parent: &off, "of a span that is off");
        outer.in_scope(|| off.in_scope(|| info!("event")));
        let lone = debug_span!(parent: None, "lone");
        drop(info_span!(parent: &lone, "root"));
        info!(parent: &lone, "nowhere");
        assert!(off.context().is_none());
        off.set_parent(remote(1, 1));
        assert_eq!(handle.stats().parents_refused, 1);
    });
    let spans = reporter.spans();
    let found = |name: &str| {
        let at = names(&reporter).iter().position(|known| known == name).unwrap();
        spans[at].view()
    };
    let outer = found("outer");
    for name in ["contextual", "explicit"] {
        assert_eq!(found(name).parent_span_id, outer.span_id, "{name}");
    }
    assert_eq!(found("root").parent_span_id, jaeger_client::SpanId::NONE);
    assert_eq!(outer.logs().count(), 1);
    assert_eq!(handle.stats().events_without_span, 2);
}

#[test]
fn a_filter_of_another_layer_takes_nothing_from_this_one() {
    let (tracer, reporter) = memory();
    let others = Count::default();
    let never = others.clone().with_filter(filter_fn(|_| false));
    with_default(Registry::default().with(never).with(layer(tracer)), || {
        info_span!("outer").in_scope(|| drop(info_span!("inner")));
    });
    assert_eq!(names(&reporter), ["inner", "outer"]);
    assert_eq!(others.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_layer_that_knows_more_spans_does_not_change_the_parents_of_another() {
    let parents = |is_beside_other: bool| {
        let ((tracer, reporter), (other, _)) = (memory(), memory());
        let known_less = JaegerLayer::builder(tracer).build();
        let all = DefaultFilter::new(LevelFilter::DEBUG);
        let known_more = is_beside_other.then(|| JaegerLayer::builder(other).filter(all).build());
        // In the registry alone, the spans are there too.
        let subscriber =
            Registry::default().with(known_less).with(known_more).with(Count::default());
        with_default(subscriber, || {
            let parent = info_span!("named parent");
            let _entered = info_span!("entered").entered();
            let _off = debug_span!(parent: &parent, "off").entered();
            drop(info_span!("child"));
        });
        let spans = reporter.spans();
        let id = |name: &str| {
            let found = spans.iter().find(|span| span.view().operation_name() == name);
            found.unwrap().view().span_id
        };
        let child = spans.iter().find(|span| span.view().operation_name() == "child").unwrap();
        let parent = child.view().parent_span_id;
        ["named parent", "entered"].into_iter().find(|name| id(name) == parent)
    };
    assert_eq!(parents(false), Some("named parent"));
    assert_eq!(parents(true), Some("named parent"));
}

#[test]
fn what_the_tracer_says_of_itself_is_printed_and_makes_no_spans() {
    let lines = Lines::default();
    let writer = lines.clone();
    let traced = Traced::default();
    // Everything is let through, so that the filter is not what prevents it.
    let all = JaegerLayer::builder(traced.tracer.clone()).filter(filter_fn(|_| true)).build();
    let printed = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    with_default(Registry::default().with(all).with(printed), || {
        info_span!("op").in_scope(|| {
            TracingLogger.error("cannot send");
            TracingLogger.info("sampling all");
        });
    });
    assert_eq!(traced.spans().named("op").logs.len(), 0);
    assert_eq!(traced.spans().named("op").tag("error"), None);
    let lines = lines.all();
    assert!(lines[0].contains("ERROR") && lines[0].ends_with("jaeger_client: cannot send"));
    assert!(lines[1].contains("INFO") && lines[1].ends_with("jaeger_client: sampling all"));
}

#[test]
fn a_tracer_that_logs_through_tracing_while_it_is_used_does_not_go_round_in_circles() {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) =
        Tracer::builder("svc").logger(TracingLogger).in_memory(&reporter).build().unwrap();
    let all = JaegerLayer::builder(tracer.clone()).filter(filter_fn(|_| true)).build();
    with_default(Registry::default().with(all), || {
        info_span!("op").in_scope(|| {
            let span = tracer.start_span("misused");
            span.finish();
            (0..100).for_each(|_| span.finish());
        });
    });
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.misused), (2, 100), "{stats}");
    let _ = closer.close(std::time::Duration::from_secs(1));
}
