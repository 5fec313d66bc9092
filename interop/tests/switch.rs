//! One service sends to both doors of one server at once, and then, by one variable, to one of them.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits with a bound")]

use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::doors::differences;
use interop::gate;
use jaeger_client::Configuration;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);
const TRACES: usize = 20;

/// Sends some traces of three spans by these exporters; their ids.
fn send(backend: &Backend, exporters: &str) -> Vec<String> {
    let (host, port) = backend.address("compact").rsplit_once(':').unwrap();
    let endpoint = format!("http://{}", backend.address("otlp_http"));
    let variables = |name: &str| match name {
        "JAEGER_SERVICE_NAME" => Some("switch".to_owned()),
        "JAEGER_TRACES_EXPORTER" => Some(exporters.to_owned()),
        "JAEGER_AGENT_HOST" => Some(host.to_owned()),
        "JAEGER_AGENT_PORT" => Some(port.to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    };
    let configuration = Configuration::default().with_variables(variables).unwrap();
    let (tracer, closer) = configuration.new_tracer().unwrap();
    let traces = (0..TRACES).map(|n| {
        let root = tracer.span("root").tag("span.kind", "server").tag("n", n).start();
        tracer.span("left").child_of(&root).start().log_event("here").finish();
        tracer.span("right").child_of(&root).tag("error", true).start().finish();
        let context = root.context();
        root.finish();
        format!("{:0>32}", context.trace_id().to_string())
    });
    let traces: Vec<_> = traces.collect();
    assert!(closer.close(PATIENCE).complete);
    let outputs = tracer.destination_stats();
    assert_eq!(outputs.len(), exporters.split(',').count());
    for output in outputs {
        let acknowledged = if output.name == "otlp" { 3 * TRACES as u64 } else { 0 };
        assert_eq!((output.sent, output.acknowledged), (3 * TRACES as u64, acknowledged));
    }
    traces
}

/// The spans of a trace, once there are so many.
fn spans(backend: &Backend, trace: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let spans = backend.query().spans(trace).unwrap();
        if spans.len() >= count || Instant::now() > until {
            return spans;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether it came by OTLP, which alone has a scope.
fn is_otlp(span: &Value) -> bool {
    span.to_string().contains("otel.scope.name")
}

#[test]
fn both_doors_get_the_same_spans_and_one_variable_leaves_one_of_them() {
    let Some(backend) = gate::enter("switch", || Backend::start(Kind::JaegerV2)) else { return };
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
    gate::say("20 traces by both doors, 20 by OTLP alone, 20 by Thrift alone: the same spans");
}
