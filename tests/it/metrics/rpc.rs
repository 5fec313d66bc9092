//! Spans that serve are counted and timed by endpoint, as Go's `rpcmetrics` does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::{builder, memory_logger};
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{ConstSampler, TagMatchingSampler};
use jaeger_client::{Closer, Configuration, Span, SpanContext, TagValue, Tracer};

fn counted(sample: bool) -> (Tracer, Closer, InMemoryMetrics) {
    let metrics = InMemoryMetrics::new();
    let builder = builder().metrics(metrics.clone()).rpc_metrics(true);
    let builder = builder.sampler(ConstSampler::new(sample)).null_reporter();
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, metrics)
}

fn serving(tracer: &Tracer, name: &'static str) -> Span {
    tracer.span(name).tag("span.kind", "server").start()
}

/// Counters of requests that are not zero, without what all have in common.
fn requests(metrics: &InMemoryMetrics) -> BTreeMap<String, u64> {
    let short = |(name, count): (String, u64)| {
        let name = name.strip_prefix("jaeger-rpc.")?.replacen("component=jaeger|endpoint=", "", 1);
        (count > 0).then_some((name, count))
    };
    metrics.counters().into_iter().filter_map(short).collect()
}

fn expected<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

#[test]
fn spans_that_serve_are_counted_and_timed_sampled_or_not() {
    for sample in [true, false] {
        let (tracer, _closer, metrics) = counted(sample);
        let start = SystemTime::now();
        let span = tracer.span("get").tag("span.kind", "server").start_time(start).start();
        assert_eq!(requests(&metrics), expected([]), "not before they are finished");
        span.finish_at(start + Duration::from_millis(30));
        drop(serving(&tracer, "get"));
        let later = tracer.start_span("get");
        later.set_tag("span.kind", "server");
        later.finish();
        assert_eq!(requests(&metrics), expected([("requests|get|error=false", 3)]));
        let timers = metrics.timers();
        let latency = |error| {
            let tags = format!("component=jaeger|endpoint=get|error={error}");
            &timers[&format!("jaeger-rpc.request_latency|{tags}")]
        };
        assert_eq!((latency(false).len(), latency(false)[0]), (3, Duration::from_millis(30)));
        assert!(latency(true).is_empty());
    }
}

#[test]
fn spans_that_do_not_serve_or_have_no_name_are_not_counted() {
    let (tracer, _closer, metrics) = counted(true);
    drop(tracer.start_span("no kind"));
    drop(tracer.span("client").tag("span.kind", "client").start());
    drop(tracer.span("kind of another type").tag("span.kind", true).start());
    drop(serving(&tracer, ""));
    let no_more = serving(&tracer, "get");
    no_more.set_tag("span.kind", "client");
    no_more.finish();
    assert_eq!(requests(&metrics), expected([]));
}

#[test]
fn the_name_at_the_end_is_the_endpoint_with_hyphens_for_what_is_not_safe() {
    let (tracer, _closer, metrics) = counted(true);
    let span = serving(&tracer, "early");
    span.set_operation_name("GET /orders/{id}?é_1.x");
    span.finish();
    assert_eq!(requests(&metrics), expected([("requests|GET-/orders/-id----_1.x|error=false", 1)]));
}

#[test]
fn error_tags_are_booleans_or_their_texts_and_the_last_one_counts() {
    let (tracer, _closer, metrics) = counted(true);
    let ends = |error: &[TagValue<'_>]| {
        let span = serving(&tracer, "get");
        error.iter().for_each(|error| drop(span.set_tag("error", *error).clone()));
        span.finish();
    };
    ends(&[true.into()]);
    ends(&["1".into()]);
    ends(&["T".into(), "perhaps".into()]);
    ends(&[true.into(), false.into()]);
    ends(&["perhaps".into()]);
    ends(&[1.into()]);
    let counts = expected([("requests|get|error=true", 3), ("requests|get|error=false", 3)]);
    assert_eq!(requests(&metrics), counts);
    let timers = metrics.timers();
    let failed = "jaeger-rpc.request_latency|component=jaeger|endpoint=get|error=true";
    assert_eq!(timers[failed].len(), 3);
}

#[test]
fn status_codes_are_numbers_or_their_texts_and_counted_by_class() {
    // OpenTracing's name, OpenTelemetry's, and both, which are one request.
    let keys: [&[&str]; 3] = [
        &["http.status_code"],
        &["http.response.status_code"],
        &["http.status_code", "http.response.status_code"],
    ];
    for keys in keys {
        count_status_codes(keys);
    }
}

fn count_status_codes(keys: &[&str]) {
    let (tracer, _closer, metrics) = counted(true);
    let codes: [TagValue<'_>; 14] = [
        200.into(),
        299_u64.into(),
        "204".into(),
        301.into(),
        404.into(),
        "499".into(),
        500.into(),
        // No status codes of HTTP's.
        0.into(),
        100.into(),
        600.into(),
        (-200).into(),
        (65_536 + 200).into(),
        "many".into(),
        200.5.into(),
    ];
    for code in codes {
        let builder = tracer.span("get").tag("span.kind", "server");
        drop(keys.iter().fold(builder, |builder, key| builder.tag(key, code)).start());
    }
    let counts = expected([
        ("requests|get|error=false", 14),
        ("http_requests|get|status_code=2xx", 3),
        ("http_requests|get|status_code=3xx", 1),
        ("http_requests|get|status_code=4xx", 2),
        ("http_requests|get|status_code=5xx", 1),
    ]);
    assert_eq!(requests(&metrics), counts);
}

#[test]
fn of_many_names_two_hundred_are_distinguished_and_all_requests_are_counted() {
    const NAMES: usize = 300;
    let (tracer, _closer, metrics) = counted(false);
    let serve = |name: usize| {
        let name = format!("endpoint-{name:03}");
        drop(tracer.span(name).tag("span.kind", "server").start());
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..NAMES).for_each(|n| serve((n + 75 * thread) % NAMES)));
        }
    });
    let counts = requests(&metrics);
    assert_eq!(counts.len(), 201, "{counts:?}");
    assert!(counts["requests|other|error=false"] >= 4 * 100);
    assert_eq!(counts.values().sum::<u64>(), 4 * NAMES as u64);
    // Names that were known stay so.
    let known = counts.keys().find(|name| name.contains("endpoint-")).unwrap();
    let number = known["requests|endpoint-".len()..][..3].parse().unwrap();
    serve(number);
    assert_eq!(requests(&metrics)[known], counts[known] + 1);
}

#[test]
fn rpc_metrics_of_a_configuration_are_counted_in_the_metrics_it_is_given() {
    let metrics = InMemoryMetrics::new();
    let with = |rpc_metrics| {
        let configuration = Configuration { rpc_metrics, ..Configuration::new("svc") };
        let given = metrics.clone();
        configuration.new_tracer_with(|builder| builder.metrics(given).null_reporter()).unwrap()
    };
    let (off, _closer) = with(false);
    drop(serving(&off, "get"));
    assert_eq!(requests(&metrics), expected([]));
    let (on, _closer) = with(true);
    drop(serving(&on, "get"));
    assert_eq!(requests(&metrics), expected([("requests|get|error=false", 1)]));
}

#[test]
fn rpc_metrics_without_metrics_are_logged_and_the_tracer_works() {
    let log = memory_logger();
    let configuration = Configuration { rpc_metrics: true, ..Configuration::new("svc") };
    let logger = Arc::clone(&log);
    let tracer = configuration.new_tracer_with(|builder| builder.logger(logger).null_reporter());
    let (tracer, _closer) = tracer.unwrap();
    drop(serving(&tracer, "get"));
    assert_eq!(tracer.stats().sent, 1);
    assert!(log.has("rpc_metrics"), "{:?}", log.all());
}

#[test]
fn the_tracers_own_metrics_are_the_same_whether_requests_are_counted_or_not() {
    let counted = |rpc_metrics| {
        let metrics = InMemoryMetrics::new();
        let sampler = TagMatchingSampler::new("tenant").matching("acme");
        let builder = builder().metrics(metrics.clone()).rpc_metrics(rpc_metrics).sampler(sampler);
        let (tracer, _closer) = builder.null_reporter().build().unwrap();
        let headers = HashMap::from([("uber-trace-id".to_owned(), "a:b:c:1".to_owned())]);
        let remote = tracer.extract(&headers).unwrap();
        drop(tracer.span("joins").child_of(&remote).tag("span.kind", "server").start());
        drop(tracer.span("does not").child_of(&remote).tag("span.kind", "client").start());
        drop(tracer.span("forced").tag("sampling.priority", 1).start());
        tracer.start_span("decided later").set_tag("tenant", "acme");
        drop(tracer.start_span("delayed"));
        let mut counters = metrics.counters();
        counters.retain(|name, count| *count > 0 && name.starts_with("jaeger.tracer."));
        counters
    };
    let counts = counted(true);
    assert_eq!(counts, counted(false));
    assert_eq!(counts["jaeger.tracer.traces|sampled=y|state=joined"], 1);
    assert_eq!(counts["jaeger.tracer.traces|sampled=y|state=started"], 1);
    assert_eq!(counts["jaeger.tracer.started_spans|sampled=delayed"], 2);
    assert_eq!(counts["jaeger.tracer.finished_spans|sampled=delayed"], 1);
}

#[test]
fn a_request_whose_span_is_restarted_is_counted_once() {
    for (sample, flags) in [(true, 0), (false, 1), (true, 1), (false, 0)] {
        let caller: SpanContext = format!("a:b:0:{flags}").parse().unwrap();
        let (tracer, _closer, metrics) = counted(sample);
        let span = serving(&tracer, "get").restart_as_child_of(&caller).unwrap();
        span.set_tag("http.status_code", 503);
        span.finish();
        let mut prepared = tracer.prepare_span("get");
        prepared.set_tag("span.kind", "server");
        let (first, retained) = prepared.start_retaining();
        first.set_tag("http.status_code", 503);
        let last = match retained {
            Some(mut retained) => {
                retained.set_parent(&caller);
                retained.start_in_place_of(&first).unwrap()
            }
            None => first.restart_as_child_of(&caller).unwrap(),
        };
        drop(first);
        last.finish();
        let expected =
            expected([("http_requests|get|status_code=5xx", 2), ("requests|get|error=false", 2)]);
        assert_eq!(requests(&metrics), expected, "{sample} {flags}");
        let stats = tracer.stats();
        assert_eq!((stats.started, stats.open, stats.misused), (4, 0, 0), "{stats}");
    }
}
