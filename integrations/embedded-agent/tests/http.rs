//! The web page and its API, asked over a plain socket.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use jaeger_client::TraceId;
use jaeger_client::encoding::{BatchView, ProcessView, ValueView};
use jaeger_client_embedded_agent::{EmbeddedAgent, Protocol};
use serde_json::{Value, json};

use support::{Items, LONG, all_tags, compact, full_messages, span};

fn agent() -> EmbeddedAgent {
    EmbeddedAgent::builder().http_addr(([127, 0, 0, 1], 0)).start().unwrap()
}

/// Sends these bytes and gives the head and the body of what comes back.
fn exchange(agent: &EmbeddedAgent, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(agent.http_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(agent: &EmbeddedAgent, target: &str) -> (String, String) {
    exchange(agent, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

fn json_of(agent: &EmbeddedAgent, target: &str) -> Value {
    let (head, body) = get(agent, target);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
    assert!(head.contains("\r\nConnection: close"), "{head}");
    serde_json::from_str(&body).unwrap()
}

fn status(response: &(String, String)) -> u16 {
    response.0.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_trace_has_the_shape_of_jaegers_query_api() {
    let agent = agent();
    let tags = all_tags();
    let fields = Items::default().tag(b"event", ValueView::Str(b"e"));
    let logs = Items::default().log(1_700_000_000_000_001, &fields);
    let references = Items::default().reference(true, 9, 8);
    let mut view = span(7, 3, 1, "child");
    view.tags = Some(tags.view());
    view.logs = Some(logs.view());
    view.references = Some(references.view());
    let spans = Items::default().span(&span(7, 1, 0, "root")).span(&view);
    let host = Items::default().tag(b"hostname", ValueView::Str(b"h"));
    let process = ProcessView::new(b"shop", Some(host.view()));
    let message = BatchView::new(process, spans.view()).to_message(1);
    agent.store().receive(Protocol::Compact, &message).unwrap();
    let other = Items::default().span(&span(7, 4, 1, "other"));
    agent.store().receive(Protocol::Compact, &compact("stock", &other)).unwrap();

    let response = json_of(&agent, "/api/traces/0000000000000007");
    assert_eq!(response["errors"], Value::Null);
    assert_eq!(response["total"], 1);
    let trace = &response["data"][0];
    assert_eq!(trace["traceID"], "0000000000000007");
    assert_eq!(
        trace["processes"],
        json!({
            "p1": {
                "serviceName": "shop",
                "tags": [{ "key": "hostname", "type": "string", "value": "h" }],
            },
            "p2": { "serviceName": "stock", "tags": [] },
        })
    );
    let ids: Vec<_> = trace["spans"].as_array().unwrap().iter().map(|s| &s["processID"]).collect();
    assert_eq!(ids, ["p1", "p1", "p2"]);
    assert_eq!(
        trace["spans"][1],
        json!({
            "traceID": "0000000000000007",
            "spanID": "0000000000000003",
            "operationName": "child",
            "references": [
                {
                    "refType": "CHILD_OF",
                    "traceID": "0000000000000007",
                    "spanID": "0000000000000001",
                },
                {
                    "refType": "FOLLOWS_FROM",
                    "traceID": "0000000000000009",
                    "spanID": "0000000000000008",
                },
            ],
            "flags": 1,
            "startTime": 1_700_000_000_000_000_i64,
            "duration": 1_000,
            "tags": [
                { "key": "text", "type": "string", "value": "höher" },
                { "key": "not utf-8", "type": "string", "value": "\u{fffd}\u{fffd}" },
                { "key": "double", "type": "float64", "value": -0.25 },
                { "key": "yes", "type": "bool", "value": true },
                { "key": "no", "type": "bool", "value": false },
                { "key": "long", "type": "int64", "value": "-9223372036854775808" },
                { "key": "bytes", "type": "binary", "value": "AAH/" },
            ],
            "logs": [{
                "timestamp": 1_700_000_000_000_001_i64,
                "fields": [{ "key": "event", "type": "string", "value": "e" }],
            }],
            "processID": "p1",
            "warnings": null,
        })
    );
    assert_eq!(response, json_of(&agent, "/api/traces/7/"), "leading zeros are not needed");
}

#[test]
fn a_parent_that_is_also_a_reference_is_given_once() {
    let agent = agent();
    let references = Items::default().reference(false, 7, 1);
    let mut view = span(7, 3, 1, "child");
    view.references = Some(references.view());
    let spans = Items::default().span(&view);
    agent.store().receive(Protocol::Compact, &compact("svc", &spans)).unwrap();
    let response = json_of(&agent, "/api/traces/7");
    assert_eq!(response["data"][0]["spans"][0]["references"].as_array().unwrap().len(), 1);
}

#[test]
fn traces_are_listed_latest_first_by_service_and_limit() {
    let agent = agent();
    assert_eq!(json_of(&agent, "/api/traces")["data"], json!([]));
    for (trace, service) in [(1, "a b"), (2, "c"), (3, "a b")] {
        let spans = Items::default().span(&span(trace, trace, 0, "op"));
        agent.store().receive(Protocol::Compact, &compact(service, &spans)).unwrap();
    }
    let ids = |target: &str| -> Vec<u64> {
        let response = json_of(&agent, target);
        let data = response["data"].as_array().unwrap();
        assert_eq!(response["total"], data.len());
        let id = |trace: &Value| u64::from_str_radix(trace["traceID"].as_str().unwrap(), 16);
        data.iter().map(|trace| id(trace).unwrap()).collect()
    };
    for path in ["/api/traces", "/api/summaries"] {
        assert_eq!(ids(path), [3, 2, 1]);
        assert_eq!(ids(&format!("{path}?service=a+b")), [3, 1]);
        assert_eq!(ids(&format!("{path}?service=a%20b&limit=1")), [3]);
        assert_eq!(ids(&format!("{path}?service=&limit=2")), [3, 2]);
        assert_eq!(ids(&format!("{path}?service=none")), [0; 0]);
        assert_eq!(status(&get(&agent, &format!("{path}?limit=-1"))), 400);
    }
    assert_eq!(json_of(&agent, "/api/services")["data"], json!(["a b", "c"]));
    assert_eq!(
        json_of(&agent, "/api/summaries?service=c")["data"][0],
        json!({
            "traceID": "0000000000000002",
            "service": "c",
            "operation": "op",
            "hasRoot": true,
            "services": ["c"],
            "spanCount": 1,
            "errorCount": 0,
            "startTime": 1_700_000_000_000_000_i64,
            "duration": 1_000,
        })
    );
}

#[test]
fn what_was_sent_by_udp_is_seen_over_http() {
    let agent = agent();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(&full_messages()[1], agent.binary_addr()).unwrap();
    let trace = agent.wait_for_trace(TraceId::new(u64::MAX, 7), 1, LONG).unwrap();
    let response = json_of(&agent, &format!("/api/traces/{}", trace.trace_id()));
    assert_eq!(response["data"][0]["spans"][0]["operationName"], "everything");
}

#[test]
fn the_page_is_served_for_deep_links_and_allows_only_its_own_script() {
    let agent = agent();
    let mut nonces = Vec::new();
    for target in ["/", "/trace/7", "/search?service=x", "/?service=x"] {
        let (head, body) = get(&agent, target);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"), "{head}");
        let (_, policy) = head.split_once("script-src 'nonce-").unwrap();
        let (nonce, _) = policy.split_once('\'').unwrap();
        assert!(head.contains("default-src 'none'"), "{head}");
        assert!(body.contains(&format!("<script nonce=\"{nonce}\">")));
        assert!(body.ends_with("</html>\n"));
        nonces.push(nonce.to_owned());
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_makes_no_markup_of_text() {
    let page = include_str!("../src/page.html");
    for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!page.contains(banned), "{banned}");
    }
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http:") && !outside.contains("https:") && !outside.contains("\"//"));
}

#[test]
fn hostile_requests_are_refused() {
    let agent = agent();
    let fetch = |request: &[u8]| status(&exchange(&agent, request));
    assert_eq!(fetch(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
    assert_eq!(fetch(b"GET /api/services HTTP/1.1\r\nHost: evil.example:16686\r\n\r\n"), 421);
    assert_eq!(fetch(b"GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(fetch(b"\r\n\r\n"), 400);
    assert_eq!(fetch(b"\xff\xfe\r\n\r\n"), 400);
    let post = b"POST /api/services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
    let (head, body) = exchange(&agent, post);
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET"), "{head}");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["errors"][0]["code"], 405);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(9_000));
    assert_eq!(fetch(long.as_bytes()), 431);
    let endless = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_owned() + &"y".repeat(20_000);
    assert_eq!(fetch(endless.as_bytes()), 431);
    assert_eq!(status(&get(&agent, "/../../etc/passwd")), 404);
    assert_eq!(status(&get(&agent, "/api/traces/xyz")), 400);
    assert_eq!(status(&get(&agent, "/api/traces/1")), 404);
    assert_eq!(status(&get(&agent, "/favicon.ico")), 404);
    assert_eq!(status(&get(&agent, "/")), 200, "and it goes on answering");
}

#[test]
fn a_head_may_come_in_pieces() {
    let agent = agent();
    let mut stream = TcpStream::connect(agent.http_addr().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /api/services HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
}

#[test]
fn clients_beyond_the_limit_get_status_503() {
    let agent = agent();
    let addr = agent.http_addr().unwrap();
    let silent: Vec<_> = (0..32).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut one_more = TcpStream::connect(addr).unwrap();
    let mut response = String::new();
    one_more.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    drop(silent);
    // Their places are free as soon as their threads have seen that they are gone.
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let is_served = || {
        let mut stream = TcpStream::connect(addr).unwrap();
        let mut response = Vec::new();
        // One that is turned away may find its connection cut while it is still asking.
        let _ =
            stream.write_all(request).and_then(|()| stream.read_to_end(&mut response).map(drop));
        response.starts_with(b"HTTP/1.1 200 ")
    };
    let end = Instant::now() + LONG;
    while !is_served() {
        assert!(Instant::now() < end);
    }
}
