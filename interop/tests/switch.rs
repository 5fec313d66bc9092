//! A service sends Thrift and OTLP at once, and then, by one environment variable, one of them.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits with a bound")]

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::both_protocols::differences;
use interop::opt_in::{self, StepResult};
use interop::peer::{self, Peer, in_query};
use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{Closer, Configuration, HttpConfig, Span, Tracer};
use jaeger_client_opentelemetry::JaegerExporter;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, Tracer as _, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);
const TRACES: usize = 20;

/// Makes the tracer of the service with these exporters; it uses both formats of contexts.
fn service(backend: &Backend, exporters: &str) -> (Tracer, Closer) {
    let (host, port) = backend.address("compact").rsplit_once(':').unwrap();
    let endpoint = format!("http://{}", backend.address("otlp_http"));
    let variables = |name: &str| match name {
        "JAEGER_SERVICE_NAME" => Some("switch".to_owned()),
        "JAEGER_TRACES_EXPORTER" => Some(exporters.to_owned()),
        "JAEGER_PROPAGATION" => Some("jaeger,w3c".to_owned()),
        "JAEGER_AGENT_HOST" => Some(host.to_owned()),
        "JAEGER_AGENT_PORT" => Some(port.to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    };
    Configuration::default().with_variables(variables).unwrap().new_tracer().unwrap()
}

/// Sends traces of three spans by these exporters, and returns their ids.
fn send(backend: &Backend, exporters: &str) -> Vec<String> {
    let (tracer, closer) = service(backend, exporters);
    let traces = (0..TRACES).map(|n| {
        let root = tracer.span("root").tag("span.kind", "server").tag("n", n).start();
        tracer.span("left").child_of(&root).start().log_event("here").finish();
        tracer.span("right").child_of(&root).tag("error", true).start().finish();
        let context = root.context();
        root.finish();
        format!("{:0>32}", context.trace_id().to_string())
    });
    let traces: Vec<_> = traces.collect();
    assert!(closer.close(TIMEOUT).complete);
    let outputs = tracer.destination_stats();
    assert_eq!(outputs.len(), exporters.split(',').count());
    for output in outputs {
        let acknowledged = if output.name == "otlp" { 3 * TRACES as u64 } else { 0 };
        assert_eq!((output.sent, output.acknowledged), (3 * TRACES as u64, acknowledged));
    }
    traces
}

/// Waits until a trace has `count` spans, and returns them.
fn spans(backend: &Backend, trace: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + TIMEOUT;
    loop {
        let spans = backend.query().spans(trace).unwrap();
        if spans.len() >= count || Instant::now() > until {
            return spans;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns whether a span was sent as OTLP, which alone has a scope.
fn is_otlp(span: &Value) -> bool {
    span.to_string().contains("otel.scope.name")
}

#[test]
fn thrift_and_otlp_have_the_same_spans_and_one_variable_selects_one_of_them() {
    let Some(backend) = opt_in::set_up("switch", || Backend::start(Kind::JaegerV2)) else { return };
    for trace in send(&backend, "jaeger,otlp") {
        let both = spans(&backend, &trace, 6);
        assert_eq!(both.len(), 6, "{trace}");
        let (otlp, thrift): (Vec<_>, Vec<_>) = both.into_iter().partition(is_otlp);
        assert_eq!((otlp.len(), thrift.len()), (3, 3), "{trace}");
        for thrift in thrift {
            let same = otlp.iter().find(|span| span["span"] == thrift["span"]).unwrap();
            let differ = differences(&[thrift, same.clone()]);
            let is_listed = |line: &String| {
                line.contains("otlp: [\"telemetry.sdk.") || line.contains("otlp: [\"otel.scope.")
            };
            assert!(differ.iter().all(is_listed), "{differ:#?}");
        }
    }
    for (exporters, by_otlp) in [("otlp", true), ("jaeger", false)] {
        for trace in send(&backend, exporters) {
            let one = spans(&backend, &trace, 3);
            assert_eq!(one.len(), 3, "{exporters} {trace}");
            assert!(one.iter().all(|span| is_otlp(span) == by_otlp), "{exporters}");
        }
    }
    opt_in::print_line(
        "20 traces by both protocols, 20 by OTLP alone, 20 by Thrift alone: the same spans",
    );
}

/// Returns the headers of a request by the service.
fn headers(tracer: &Tracer, span: &Span) -> Vec<(String, String)> {
    let mut headers = HttpHeaders(Vec::new());
    tracer.inject(&span.context(), &mut headers);
    let names: Vec<_> = headers.0.iter().map(|(name, _): &(String, _)| &**name).collect();
    assert!(names.contains(&"uber-trace-id") && names.contains(&"traceparent"), "{names:?}");
    headers.0
}

/// Makes a span of the service below the context in these headers.
fn go_on(tracer: &Tracer, operation: &'static str, headers: Vec<(String, String)>) {
    let parent = tracer.extract(&HttpHeaders(headers)).unwrap();
    tracer.span(operation).child_of(parent).tag("span.kind", "server").start().finish();
}

/// Makes a span by the OpenTelemetry SDK below the context in `headers`, of which the SDK reads only W3C's,
/// and returns the headers of its next request.
fn through_open_telemetry(
    provider: &SdkTracerProvider,
    headers: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let w3c = TraceContextPropagator::new();
    let headers: HashMap<_, _> = headers.into_iter().collect();
    let parent = w3c.extract_with_context(&Context::new(), &headers);
    assert!(parent.span().span_context().is_valid(), "{headers:?}");
    let span = provider.tracer("w3c").start_with_context("sdk-server", &parent);
    let context = parent.with_span(span);
    let mut sent = HashMap::new();
    w3c.inject_context(&context, &mut sent);
    context.span().end();
    sent.into_iter().collect()
}

/// Describes the spans of a trace, those of the service by one protocol only, with their parents.
fn places(spans: &[Value], by_otlp: bool) -> Vec<String> {
    let by_protocol =
        spans.iter().filter(|span| span["service"] != "switch" || is_otlp(span) == by_otlp);
    let mut places: Vec<_> = by_protocol
        .map(|span| {
            let above = &span["references"][0][2];
            let above = spans.iter().find(|other| other["span"] == *above);
            let above = above.map_or("nothing", |span| span["operation"].as_str().unwrap());
            let [service, operation] =
                ["service", "operation"].map(|key| span[key].as_str().unwrap());
            format!("{service}, {operation}, below {above}")
        })
        .collect();
    places.sort();
    places
}

/// Before and after the change, a trace continues through a Go client that uses only `uber-trace-id`, and an
/// OpenTelemetry SDK that uses only W3C's headers, and back from both.
#[test]
fn one_variable_switches_a_service_between_old_and_new_ones() {
    let found = || -> StepResult<_> {
        let program = peer::build_go(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let backend = Backend::start(Kind::JaegerV2)?;
        Ok((Peer::start(&program, backend.address("compact"), "go", false)?, backend))
    };
    let Some((go, backend)) = opt_in::set_up("switch between old and new services", found) else {
        return;
    };
    let collector = HttpConfig::new(format!("http://{}", backend.address("http")));
    let exporter = JaegerExporter::builder().collector(collector).build().unwrap();
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("sdk").build())
        .with_simple_exporter(exporter)
        .build();
    for (exporters, protocols) in [("jaeger,otlp", &[true, false][..]), ("otlp", &[true])] {
        let (tracer, closer) = service(&backend, exporters);
        let root = tracer.start_span("root");
        let next = in_query(&go.url("/continue"));
        let response = go.get(&format!("/continue?next={next}"), &headers(&tracer, &root));
        let trace = format!("{:0>32}", root.context().trace_id().to_string());
        assert_eq!(response["trace_id"], *trace, "{response}");
        let sent = response["sent"].as_object().unwrap();
        assert!(!sent.contains_key("traceparent"), "{response}");
        let of_go = |(name, value): (&String, &Value)| {
            (name.to_ascii_lowercase(), value.as_str().unwrap().to_owned())
        };
        go_on(&tracer, "after Go", sent.iter().map(of_go).collect());
        let sent = through_open_telemetry(&provider, headers(&tracer, &root));
        assert!(sent.iter().all(|(name, _)| name != "uber-trace-id"), "{sent:?}");
        go_on(&tracer, "after the SDK", sent);
        root.finish();
        assert!(closer.close(TIMEOUT).complete);
        provider.force_flush().unwrap();

        // Three of the service by each protocol, three of Go, one of the SDK.
        let stored = spans(&backend, &trace, 3 * protocols.len() + 4);
        assert_eq!(stored.len(), 3 * protocols.len() + 4, "{exporters} {}", Value::from(stored));
        for by_otlp in protocols {
            let expected = [
                "go, go-client, below go-server",
                "go, go-server, below go-client", // Go calls itself.
                "go, go-server, below root",
                "sdk, sdk-server, below root",
                "switch, after Go, below go-client",
                "switch, after the SDK, below sdk-server",
                "switch, root, below nothing",
            ];
            assert_eq!(places(&stored, *by_otlp), expected, "{exporters}");
        }
        opt_in::print_line(&format!(
            "{exporters}: one trace through Go and the OpenTelemetry SDK and back"
        ));
    }
    provider.shutdown().unwrap();
}
