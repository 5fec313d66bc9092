//! What a scrape shows: Jaeger's names in Prometheus' form, and the numbers of the span accounting.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use jaeger_client::metrics::{MetricKind, MetricsFactory};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{NullLogger, Tracer, TracerBuilder};
use jaeger_client_prometheus::PrometheusMetrics;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

fn builder(service: &str) -> TracerBuilder {
    Tracer::builder(service).logger(NullLogger).null_reporter()
}

fn scrape(registry: &Registry) -> String {
    let mut page = String::new();
    text::encode(&mut page, registry).unwrap();
    page
}

/// The samples of a page: what stands before the value, and the value.
fn samples(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.to_owned())
    };
    lines.map(sample).collect()
}

#[test]
fn a_scrape_has_every_metric_of_jaegers_under_its_name_in_prometheus() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry);
    let (_tracer, _closer) = builder("svc").metrics(metrics).build().unwrap();
    let page = scrape(&registry);
    let names: Vec<_> = samples(&page).into_keys().collect();
    // As Jaeger's clients in Go document them.
    let expected = [
        r#"jaeger_tracer_baggage_restrictions_updates_total{result="err"}"#,
        r#"jaeger_tracer_baggage_restrictions_updates_total{result="ok"}"#,
        "jaeger_tracer_baggage_truncations_total",
        r#"jaeger_tracer_baggage_updates_total{result="err"}"#,
        r#"jaeger_tracer_baggage_updates_total{result="ok"}"#,
        r#"jaeger_tracer_finished_spans_total{sampled="delayed"}"#,
        r#"jaeger_tracer_finished_spans_total{sampled="n"}"#,
        r#"jaeger_tracer_finished_spans_total{sampled="y"}"#,
        "jaeger_tracer_reporter_queue_length",
        "jaeger_tracer_reporter_receiver_drops_total",
        r#"jaeger_tracer_reporter_spans_total{result="dropped"}"#,
        r#"jaeger_tracer_reporter_spans_total{result="err"}"#,
        r#"jaeger_tracer_reporter_spans_total{result="ok"}"#,
        r#"jaeger_tracer_reporter_spans_total{result="saved"}"#,
        r#"jaeger_tracer_sampler_queries_total{result="err"}"#,
        r#"jaeger_tracer_sampler_queries_total{result="ok"}"#,
        r#"jaeger_tracer_sampler_updates_total{result="err"}"#,
        r#"jaeger_tracer_sampler_updates_total{result="ok"}"#,
        "jaeger_tracer_span_context_decoding_errors_total",
        r#"jaeger_tracer_started_spans_total{sampled="delayed"}"#,
        r#"jaeger_tracer_started_spans_total{sampled="n"}"#,
        r#"jaeger_tracer_started_spans_total{sampled="y"}"#,
        "jaeger_tracer_throttled_debug_spans_total",
        r#"jaeger_tracer_throttler_updates_total{result="err"}"#,
        r#"jaeger_tracer_throttler_updates_total{result="ok"}"#,
        r#"jaeger_tracer_traces_total{sampled="delayed",state="started"}"#,
        r#"jaeger_tracer_traces_total{sampled="n",state="joined"}"#,
        r#"jaeger_tracer_traces_total{sampled="n",state="started"}"#,
        r#"jaeger_tracer_traces_total{sampled="y",state="joined"}"#,
        r#"jaeger_tracer_traces_total{sampled="y",state="started"}"#,
    ];
    assert_eq!(names, expected);
    assert!(page.contains("# TYPE jaeger_tracer_traces counter\n"), "{page}");
    assert!(page.contains("# TYPE jaeger_tracer_reporter_queue_length gauge\n"), "{page}");
    let described = page.lines().filter(|line| line.starts_with("# HELP")).count();
    assert_eq!(described, page.lines().filter(|line| line.starts_with("# TYPE")).count());
}

#[test]
fn what_is_scraped_is_the_accounting_at_that_moment_without_a_flush() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry);
    let (tracer, closer) = builder("svc").metrics(metrics).build().unwrap();
    let value = |name: &str| samples(&scrape(&registry))[name].parse::<u64>().unwrap();
    let open = tracer.start_span("open");
    for finished in 1..=3 {
        tracer.start_span("op").finish();
        let stats = tracer.stats();
        assert_eq!(value(r#"jaeger_tracer_started_spans_total{sampled="y"}"#), stats.started);
        assert_eq!(value(r#"jaeger_tracer_finished_spans_total{sampled="y"}"#), finished);
        assert_eq!(value(r#"jaeger_tracer_reporter_spans_total{result="ok"}"#), stats.sent);
    }
    open.finish();
    let _ = closer.close(Duration::from_secs(5));
    drop(tracer);
    assert_eq!(value(r#"jaeger_tracer_finished_spans_total{sampled="y"}"#), 4);
    assert_eq!(value(r#"jaeger_tracer_finished_spans_total{sampled="y"}"#), 4, "it stays");
}

#[test]
fn tracers_share_their_metrics_or_are_separated_by_a_label_of_the_registry() {
    let mut registry = Registry::default();
    let shared = PrometheusMetrics::register(&mut registry);
    let part = registry.sub_registry_with_label(("service".into(), "other".into()));
    let apart = PrometheusMetrics::register(part);
    let build = |sampled, metrics: &PrometheusMetrics| {
        let builder = builder("svc").sampler(ConstSampler::new(sampled));
        builder.metrics(metrics.clone()).build().unwrap()
    };
    let tracers = [build(true, &shared), build(true, &shared), build(false, &apart)];
    tracers.iter().for_each(|(tracer, _)| tracer.start_span("op").finish());
    let samples = samples(&scrape(&registry));
    assert_eq!(samples[r#"jaeger_tracer_started_spans_total{sampled="y"}"#], "2");
    assert_eq!(samples[r#"jaeger_tracer_started_spans_total{sampled="n"}"#], "0");
    assert_eq!(samples[r#"jaeger_tracer_started_spans_total{service="other",sampled="n"}"#], "1");
}

#[test]
fn timers_are_histograms_of_seconds_and_names_have_what_prometheus_allows() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry);
    metrics.describe(MetricKind::Timer, "jaeger-rpc.request_latency", "How long");
    let tags = [("endpoint", "GET \"/\""), ("2nd key", "x")];
    metrics.timer("jaeger-rpc.request_latency", &tags).record(Duration::from_millis(30));
    let same = [("2nd key", "x"), ("endpoint", "GET \"/\"")];
    metrics.timer("jaeger-rpc.request_latency", &same).record(Duration::from_secs(2));
    let page = scrape(&registry);
    let labels = r#"_2nd_key="x",endpoint="GET \"/\"""#;
    assert!(page.contains("# TYPE jaeger_rpc_request_latency histogram\n"), "{page}");
    assert!(page.contains("# HELP jaeger_rpc_request_latency How long"), "{page}");
    let samples = samples(&page);
    let value = |name: &str| samples[&format!("jaeger_rpc_request_latency_{name}")].as_str();
    assert_eq!(value(&format!("count{{{labels}}}")), "2");
    assert_eq!(value(&format!("sum{{{labels}}}")), "2.03");
    assert_eq!(value(&format!(r#"bucket{{le="0.025",{labels}}}"#)), "0");
    assert_eq!(value(&format!(r#"bucket{{le="0.05",{labels}}}"#)), "1");
    assert_eq!(value(&format!(r#"bucket{{le="+Inf",{labels}}}"#)), "2");
}

#[test]
fn requests_served_are_scraped_by_endpoint() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry);
    let builder = builder("svc").metrics(metrics).rpc_metrics(true);
    let (tracer, _closer) = builder.build().unwrap();
    let served = tracer.span("GET /orders").tag("span.kind", "server");
    served.tag("http.status_code", 503).tag("error", true).start().finish();
    let samples = samples(&scrape(&registry));
    let of = |key: &str| samples[&format!("jaeger_rpc_{key}")].as_str();
    let common = r#"component="jaeger",endpoint="GET-/orders""#;
    assert_eq!(of(&format!(r#"requests_total{{{common},error="true"}}"#)), "1");
    assert_eq!(of(&format!(r#"requests_total{{{common},error="false"}}"#)), "0");
    assert_eq!(of(&format!(r#"http_requests_total{{{common},status_code="5xx"}}"#)), "1");
    assert_eq!(of(&format!(r#"request_latency_count{{{common},error="true"}}"#)), "1");
}
