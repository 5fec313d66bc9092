//! The program with servers that respond as Jaeger does, and with others.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(clippy::disallowed_methods, reason = "a server has a thread")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

/// Returns the response for a path with its query: status, headers, body.
type HttpResponse = (u16, &'static str, Vec<u8>);

/// Starts a server on a free port until the end of the process, and returns its URL.
fn serve(response: impl Fn(&str) -> HttpResponse + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may have closed the connection after it had what it needed.
            let _ = respond_one(&stream.unwrap(), &response);
        }
    });
    url
}

fn respond_one(
    mut stream: &TcpStream,
    response: &impl Fn(&str) -> HttpResponse,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap()?;
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut is_allowed = true;
    for line in lines {
        let line = line?;
        is_allowed &= !line.to_ascii_lowercase().starts_with("authorization: wrong");
        if line.is_empty() {
            break;
        }
    }
    let (status, headers, body) = if is_allowed { response(&path) } else { (401, "", Vec::new()) };
    write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n")?;
    stream.write_all(&body)
}

fn data(data: &Value) -> HttpResponse {
    (200, "", json!({"data": data, "errors": null}).to_string().into_bytes())
}

fn compare(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jaeger-client-compare"));
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

/// Runs the program, and returns its exit code, stdout and stderr.
fn outcome(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = compare(args);
    let text = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Returns a span of `shop`, as the copy by a protocol.
fn span(id: &str, protocol: &str, tags: &Value) -> Value {
    let operation = format!("GET /{}", id.len());
    json!({"spanID": id, "operationName": operation, "startTime": 1, "duration": 5,
        "processID": protocol, "tags": tags, "references": [], "logs": [], "warnings": null})
}

/// Returns a trace with these spans.
fn trace(spans: &[Value]) -> Value {
    let sdk = json!([{"key": "telemetry.sdk.name", "type": "string", "value": "jaeger-client"}]);
    json!([{"traceID": "0a", "spans": spans, "processes": {
        "thrift": {"serviceName": "shop", "tags": []},
        "otlp": {"serviceName": "shop", "tags": sdk},
    }}])
}

/// Responds as a Jaeger server with one trace of the service `shop`.
fn jaeger(trace: Value) -> impl Fn(&str) -> HttpResponse {
    move |path| match path.split('?').next().unwrap() {
        "/api/services" => data(&json!(["shop"])),
        "/api/services/shop/operations" => data(&json!(["GET /1"])),
        "/api/traces" => data(&json!([{"traceID": "0a", "spans": []}])),
        "/api/traces/0a" => data(&trace),
        _ => {
            (404, "", br#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#.to_vec())
        }
    }
}

fn both_protocols(count: usize) -> Vec<Value> {
    let ids = (1..=count).map(|n| format!("{n:016x}"));
    ids.flat_map(|id| ["thrift", "otlp"].map(|protocol| span(&id, protocol, &json!([])))).collect()
}

#[test]
fn equal_copies_are_safe_and_the_report_is_there_as_json_too() {
    let url = serve(jaeger(trace(&both_protocols(20))));
    let (code, text) = outcome(&["--query", &url]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("shop: safe: 20 spans") && text.contains("SAFE to stop"), "{text}");
    let (code, text) = outcome(&["--query", &url, "--json", "--service", "shop"]);
    assert_eq!(code, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["safe"], &report["traces"]), (&json!(true), &json!(1)));
    let shop = &report["services"][0];
    assert_eq!((&shop["verdict"], &shop["operations"][0]["pairs"]), (&json!("safe"), &json!(20)));
}

#[test]
fn a_difference_is_shown_with_an_example_and_is_not_safe_unless_ignored() {
    let mut spans = both_protocols(20);
    spans[0]["tags"] = json!([{"key": "error", "type": "string", "value": "true"}]);
    let url = serve(jaeger(trace(&spans)));
    let (code, text) = outcome(&["--query", &url]);
    assert_eq!(code, 1, "{text}");
    let line = "tag error: 1 spans, such as 0a:0000000000000001: Thrift \"true\", OTLP nothing";
    assert!(text.contains(line) && text.contains("NOT SAFE"), "{text}");
    let (code, text) = outcome(&["--query", &url, "--ignore", "tag error"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_copy_that_is_on_its_way_is_waited_for_and_one_that_never_comes_is_missing() {
    let complete = both_protocols(20);
    let requested = std::sync::atomic::AtomicUsize::new(0);
    // The last one's copy by OTLP follows it.
    let [incomplete, complete] = [&complete[..39], &complete].map(trace);
    let missing = serve(jaeger(incomplete.clone()));
    let [whole, part] = [jaeger(complete), jaeger(incomplete)];
    let url = serve(move |path| {
        let is_trace = path.starts_with("/api/traces/0a");
        let requested =
            requested.fetch_add(usize::from(is_trace), std::sync::atomic::Ordering::Relaxed);
        if requested == 0 { part(path) } else { whole(path) }
    });
    let (code, text) = outcome(&["--query", &url, "--wait", "60s"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = outcome(&["--query", &missing, "--wait", "1s"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("not safe: 1 of 20 spans were received over Thrift alone"), "{text}");
}

#[test]
fn two_servers_are_one_for_each_protocol_whatever_their_spans_say() {
    let [thrift, otlp] = [0, 1].map(|first| {
        let of_one = both_protocols(20).into_iter().skip(first).step_by(2);
        serve(jaeger(trace(
            &of_one
                .map(|mut span| {
                    span["processID"] = json!("thrift");
                    span
                })
                .collect::<Vec<_>>(),
        )))
    });
    let (code, text) = outcome(&["--query", &thrift, "--query", &otlp]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = outcome(&["--query", &thrift, "--query", &otlp, "--query", &otlp]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("given 3 times"), "{text}");
}

#[test]
fn a_service_that_is_not_there_is_an_error_that_names_those_that_are() {
    let url = serve(jaeger(trace(&[])));
    let (code, text) = outcome(&["--query", &url, "--service", "shpo"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no service \"shpo\"") && text.contains("\"shop\""), "{text}");
    // A service without spans is no error, and has no result.
    let (code, text) = outcome(&["--query", &url, "--service", "shop", "--wait", "0s"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no spans were found"), "{text}");
}

#[test]
fn servers_other_than_jaeger_are_errors_that_show_their_response() {
    let html = || (200, "", b"<!DOCTYPE html>".to_vec());
    let deep = "[".repeat(100_000).into_bytes();
    let of_other_form = || data(&json!({"services": []}));
    let cut = || (200, "content-length: 900\r\n", br#"{"data":["shop","#.to_vec());
    let body = br#"{"data":null,"errors":[{"code":503,"msg":"no \u001b[31m storage"}]}"#;
    for (url, words) in [
        (serve(move |_| html()), "base path"),
        (serve(move |_| (200, "", deep.clone())), "did not answer as a Jaeger"),
        (serve(move |_| of_other_form()), "did not answer as a Jaeger"),
        (serve(move |_| cut()), "/api/services"),
        (serve(|_| (404, "", b"nothing here".to_vec())), "answered 404"),
        (serve(|_| (503, "", body.to_vec())), "answered 503: no \\u{1b}[31m storage"),
        (serve(|_| (200, "", body.to_vec())), "answered 200: no"),
        (serve(|_| (302, "location: http://elsewhere/\r\n", Vec::new())), "\"http://elsewhere/\""),
        (serve(|_| (200, "", b"\xff\xfe".to_vec())), "did not answer as a Jaeger"),
    ] {
        let (code, text) = outcome(&["--query", &url]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(words) && !text.contains('\u{1b}'), "{words}: {text}");
        let Output { status, stdout, .. } = compare(&["--query", &url, "--json"]);
        assert_eq!(status.code(), Some(2));
        let report: Value = serde_json::from_slice(&stdout).unwrap();
        assert!(report["safe"].is_null() && report["error"].is_string(), "{report}");
    }
}

#[test]
fn a_response_is_read_up_to_a_bound() {
    let endless = |_: &str| {
        let mut body = br#"{"data":["#.to_vec();
        body.extend(br#""shop","#.repeat(400_000));
        (200, "", body)
    };
    let url = serve(endless);
    let (code, text) = outcome(&["--query", &url, "--max-response", "1"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("more than 1 MiB") && text.contains("--max-response"), "{text}");
}

#[test]
fn nobody_who_listens_and_wrong_arguments_are_errors() {
    for (args, words) in [
        // No system gives this port to a program that asks for a free one.
        (&["--query", "http://127.0.0.1:1"][..], "refused"),
        (&["--query", "localhost"], "http://localhost:16686"),
        (&[], "--query"),
        (&["--query", "http://localhost:1", "--ignore", "tags"], "process tag KEY"),
        (&["--query", "http://localhost:1", "--lookback", "yesterday"], "30m"),
    ] {
        let (code, text) = outcome(args);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_header_goes_with_every_request_and_is_not_shown() {
    let url = serve(jaeger(trace(&both_protocols(20))));
    let (code, text) = outcome(&["--query", &url, "--header", "authorization: wrong hush"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("answered 401") && !text.contains("hush"), "{text}");
    let (code, text) = outcome(&["--query", &url, "--header", "Authorization: Bearer right"]);
    assert_eq!(code, 0, "{text}");
}
