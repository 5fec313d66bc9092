//! The OpenTelemetry SDK with this project's exporter and sampler, and a real server.
//!
//! `BURSTS=full` paces 100,000 spans a second for five seconds.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait and pace themselves; a step that fails is a test that fails"
)]

use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process, thread};

use interop::backend::{Backend, Kind};
use interop::opt_in::{print_line, set_up};
use interop::span;
use jaeger_client::HttpConfig;
use jaeger_client::sampler::{RemoteSampler, Rule};
use jaeger_client_opentelemetry::{
    ExporterStats, JaegerExporter, JaegerExporterBuilder, JaegerRemoteSampler,
};
use opentelemetry::trace::{
    Event, Link, Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, ShouldSample,
};
use serde_json::json;

const SPANS_PER_TRACE: u64 = 500;

fn provider(exporter: JaegerExporter) -> SdkTracerProvider {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(1 << 18)
        .with_scheduled_delay(Duration::from_millis(50))
        .build();
    SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("otel").build())
        .with_span_processor(
            BatchSpanProcessor::builder(exporter).with_batch_config(config).build(),
        )
        .build()
}

/// Makes a trace and returns its id.
fn make_trace(tracer: &SdkTracer, spans: u64) -> String {
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    for number in 1..spans {
        let mut child = tracer.start_with_context("GET /orders", &root);
        child.set_attribute(KeyValue::new("number", i64::try_from(number).unwrap()));
        child.end();
    }
    root.span().end();
    root.span().span_context().trace_id().to_string()
}

/// Makes traces at this rate, and compares the span accounting with what the server has stored.
fn arrive(builder: JaegerExporterBuilder, server: &Backend, spans: u64, per_second: f64) {
    let exporter = builder.build().unwrap();
    let account = exporter.account();
    let provider = provider(exporter);
    let tracer = provider.tracer("interop");
    let began = Instant::now();
    let mut traces = Vec::new();
    for trace in 0..spans / SPANS_PER_TRACE {
        #[expect(clippy::cast_precision_loss, reason = "a time")]
        let due = Duration::from_secs_f64((trace * SPANS_PER_TRACE) as f64 / per_second);
        thread::sleep(due.saturating_sub(began.elapsed()));
        traces.push(make_trace(&tracer, SPANS_PER_TRACE));
    }
    let made_in = began.elapsed();
    provider.shutdown_with_timeout(Duration::from_secs(60)).unwrap();
    let stats: ExporterStats = account.stats();
    let held = server.query().count_settled(&traces, stats.sent).unwrap();
    print_line(&format!(
        "{spans} spans made in {made_in:.1?}; {stats}; server holds {held}; {} messages, receiver drops {:?}",
        stats.messages, stats.receiver_drops
    ));
    assert!(stats.is_balanced(), "{stats}");
    assert_eq!((stats.exported, stats.sent, held), (spans, spans, spans), "{stats}");
    assert_eq!(stats.receiver_drops.unwrap_or_default(), 0);
}

#[test]
fn all_spans_of_the_sdk_reach_jaeger_v1_over_udp() {
    let test = "OpenTelemetry over UDP";
    let Some(server) = set_up(test, || Backend::start(Kind::JaegerV1)) else { return };
    let full = env::var("BURSTS").is_ok_and(|word| word == "full");
    let spans = if full { 500_000 } else { 20_000 };
    let builder = JaegerExporter::builder().agent(server.address("compact"));
    arrive(builder, &server, spans, 100_000.0);
}

#[test]
fn all_spans_of_the_sdk_reach_jaeger_v1_over_http() {
    let test = "OpenTelemetry over HTTP";
    let Some(server) = set_up(test, || Backend::start(Kind::JaegerV1)) else { return };
    let config = HttpConfig::new(format!("http://{}", server.address("http")));
    arrive(JaegerExporter::builder().collector(config), &server, 20_000, 100_000.0);
}

#[test]
fn a_span_of_the_sdk_comes_back_as_the_specification_says() {
    let test = "OpenTelemetry's mapping";
    let Some(server) = set_up(test, || Backend::start(Kind::JaegerV1)) else { return };
    let exporter = JaegerExporter::builder().agent(server.address("compact")).build().unwrap();
    let provider = provider(exporter);
    let tracer = provider.tracer("shop");
    let linked = SpanContext::new(
        TraceId::from((7 << 64) | 8),
        SpanId::from(9),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let parent = Context::new().with_span(tracer.start_with_context("parent", &Context::new()));
    let mut span = tracer
        .span_builder("GET /cart")
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("nan", f64::NAN), KeyValue::new("items", 3)])
        .with_events(vec![Event::with_name("paid")])
        .with_links(vec![Link::with_context(linked)])
        .start_with_context(&tracer, &parent);
    span.set_status(Status::error("declined"));
    span.end();
    parent.span().end();
    provider.shutdown().unwrap();

    let trace_id = span.span_context().trace_id().to_string();
    let deadline = Instant::now() + Duration::from_secs(30);
    let spans = server.query().wait(&trace_id, 2, deadline).unwrap();
    let read = spans.iter().find(|span| span["operation"] == "GET /cart").unwrap();
    let expected = [
        ("nan", json!("NaN")),
        ("items", json!("3")),
        ("span.kind", json!("server")),
        ("otel.status_code", json!("ERROR")),
        ("otel.status_description", json!("declined")),
        ("error", json!(true)),
        ("otel.scope.name", json!("shop")),
    ];
    for (key, value) in expected {
        assert_eq!(span::tag(read, key), value, "{key}: {read}");
    }
    assert_eq!(read["service"], "otel");
    let field = &read["logs"][0][1][0];
    assert_eq!((&field[0], &field[2]), (&json!("event"), &json!("paid")), "{read}");
    let parent_id = parent.span().span_context().span_id().to_string();
    let expected = [
        json!(["CHILD_OF", trace_id, parent_id]),
        json!(["FOLLOWS_FROM", "00000000000000070000000000000008", "0000000000000009"]),
    ];
    let references = read["references"].as_array().unwrap();
    assert!(expected.iter().all(|wanted| references.contains(wanted)), "{read}");
    assert_eq!(references.len(), 2);
}

#[test]
fn the_sampler_follows_a_strategy_of_jaeger_v1() {
    follows_the_strategy("OpenTelemetry's sampler v1", Kind::JaegerV1);
}

#[test]
fn the_sampler_follows_a_strategy_of_jaeger_v2() {
    follows_the_strategy("OpenTelemetry's sampler v2", Kind::JaegerV2);
}

fn follows_the_strategy(test: &str, kind: Kind) {
    let file = env::temp_dir().join(format!("jaeger-client-otel-{kind:?}-{}.json", process::id()));
    let strategy = json!({"service_strategies": [{
        "service": "otel",
        "type": "probabilistic",
        "param": 0.25,
        "operation_strategies": [{"operation": "always", "type": "probabilistic", "param": 1}],
    }]});
    fs::write(&file, strategy.to_string()).unwrap();
    let option = format!("strategies={}", file.display());
    let Some(server) = set_up(test, || Backend::start_with(kind, &[&option])) else { return };
    let remote = RemoteSampler::builder("otel")
        .sampling_server_url(format!("http://{}/sampling", server.address("sampling")))
        .refresh_interval(Duration::from_millis(200))
        .initial_rate(0.0);
    let sampler = JaegerRemoteSampler::new(remote.build().unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !matches!(sampler.status().rule, Rule::PerOperation { .. }) {
        assert!(Instant::now() < deadline, "{}", sampler.status().rule);
        thread::sleep(Duration::from_millis(50));
    }
    let mut seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() | 1;
    let mut share = |operation: &str| {
        let sampled = (0..20_000).filter(|_| {
            seed = seed.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            let id = TraceId::from(seed ^ (seed >> 64));
            let result = sampler.should_sample(None, id, operation, &SpanKind::Server, &[], &[]);
            !result.attributes.is_empty()
        });
        f64::from(u32::try_from(sampled.count()).unwrap()) / 20_000.0
    };
    let (always, other) = (share("always"), share("other"));
    print_line(&format!("{test}: {:?}; always {always}, other {other}", sampler.status().rule));
    assert!((always - 1.0).abs() < f64::EPSILON && (other - 0.25).abs() < 0.02, "{always} {other}");
    let _ = fs::remove_file(file);
}
