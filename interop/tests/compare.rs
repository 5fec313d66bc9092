//! `jaeger-client-compare` reports whether a service that sends both Thrift and OTLP can stop sending Thrift.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interop::backend::{Backend, Kind};
use interop::demo;
use interop::opt_in::{self, StepResult};
use jaeger_client::Configuration;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);
const TRACES: usize = 20;

/// Sends traces of three spans as a service by these exporters; `error` is a tag of the third span.
fn send(backend: &Backend, service: &str, exporters: &str, error: &str) {
    let (host, port) = backend.address("compact").rsplit_once(':').unwrap();
    let endpoint = format!("http://{}", backend.address("otlp_http"));
    let variables = |name: &str| match name {
        "JAEGER_SERVICE_NAME" => Some(service.to_owned()),
        "JAEGER_TRACES_EXPORTER" => Some(exporters.to_owned()),
        "JAEGER_AGENT_HOST" => Some(host.to_owned()),
        "JAEGER_AGENT_PORT" => Some(port.to_owned()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    };
    let configuration = Configuration::default().with_variables(variables).unwrap();
    let (tracer, closer) = configuration.new_tracer().unwrap();
    for n in 0..TRACES {
        let root = tracer.span("root").tag("span.kind", "server").tag("n", n).start();
        tracer.span("left").child_of(&root).start().log_event("here").finish();
        let right = tracer.span("right").child_of(&root).start();
        match error {
            "true" => right.set_tag("error", true),
            text => right.set_tag("error", text.trim_matches('"')),
        };
    }
    assert!(closer.close(TIMEOUT).complete);
}

/// Runs the program for a service, and returns its exit code and report.
fn compare(
    program: &Path,
    backend: &Backend,
    service: &str,
    wait: &str,
    ignored: &[&str],
) -> (i32, Value) {
    let query = format!("http://{}", backend.address("query"));
    let mut command = Command::new(program);
    command.args(["--query", &query, "--service", service, "--wait", wait, "--json"]);
    command.args(ignored.iter().flat_map(|field| ["--ignore", field]));
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), report)
}

/// Checks the counts and verdicts with a server where these fields always differ.
fn check(kind: Kind, always: &[&str]) {
    let found = || -> StepResult<_> {
        let [program] = demo::programs(["jaeger-client-compare"])?;
        Ok((program, Backend::start(kind)?))
    };
    let Some((program, backend)) = opt_in::set_up(&format!("compare {kind:?}"), found) else {
        return;
    };
    send(&backend, "equal", "jaeger,otlp", "true");
    send(&backend, "different", "jaeger,otlp", "\"true\"");
    send(&backend, "thrift", "jaeger", "true");
    send(&backend, "otlp", "otlp", "true");

    let (code, report) = compare(&program, &backend, "equal", "20s", always);
    assert_eq!((code, &report["safe"]), (0, &json!(true)), "{report:#}");
    let equal = &report["services"][0];
    assert_eq!((&equal["verdict"], &equal["differences"]), (&json!("safe"), &json!([])));
    let spans = 3 * TRACES;
    assert_eq!([&equal["total"]["pairs"], &equal["total"]["otlp"]], [&json!(spans); 2]);
    for operation in equal["operations"].as_array().unwrap() {
        assert_eq!(operation["pairs"], TRACES, "{operation}");
    }

    // A tag `error` with a text is an error in OTLP, and none in Thrift.
    let (code, report) = compare(&program, &backend, "different", "20s", always);
    assert_eq!((code, &report["safe"]), (1, &json!(false)), "{report:#}");
    let different = &report["services"][0];
    assert_eq!(different["verdict"], "different");
    assert_eq!(different["total"]["different"], TRACES, "{different:#}");
    let differences = different["differences"].as_array().unwrap();
    let of_error = differences.iter().find(|found| found["field"] == "tag error").unwrap();
    assert_eq!((&of_error["operation"], &of_error["spans"]), (&json!("right"), &json!(TRACES)));
    assert_eq!((&of_error["thrift"], &of_error["otlp"]), (&json!(["\"true\""]), &json!(["true"])));

    for (service, verdict, expected) in [("thrift", "thrift_alone", 1), ("otlp", "otlp_alone", 2)] {
        let (code, report) = compare(&program, &backend, service, "1s", always);
        assert_eq!(code, expected, "{report:#}");
        assert_eq!(report["services"][0]["verdict"], verdict, "{report:#}");
    }
    opt_in::print_line(&format!(
        "compare {kind:?}: {spans} equal pairs are safe, {TRACES} differences are not"
    ));
}

#[test]
fn jaeger_v2_is_compared_by_what_it_shows_of_thrift_and_otlp() {
    check(Kind::JaegerV2, &[]);
}

#[test]
fn jaeger_v1_is_compared_by_what_it_shows_of_thrift_and_otlp() {
    check(Kind::JaegerV1, &V1_ALWAYS);
}

/// Jaeger v1 stores Thrift unchanged, and OTLP with OTLP's names for the same tags.
const V1_ALWAYS: [&str; 5] = [
    "process tag host.name",
    "process tag hostname",
    "process tag jaeger.version",
    "process tag opencensus.exporterversion",
    "tag otel.status_code",
];
