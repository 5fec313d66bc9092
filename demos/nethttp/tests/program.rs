//! The program as a user runs it: what it prints, and how it exits.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use jaeger_client_embedded_agent::EmbeddedAgent;

fn nethttp(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nethttp"));
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A port that nobody else can take while the listener lives, and where nobody answers after it.
fn listener() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

#[test]
fn alone_it_shows_the_result_the_trace_and_both_receipts() {
    let output = nethttp(&["--port", "0"]);
    let shown = printed(&output.stdout);
    assert!(output.status.success(), "{shown}{}", printed(&output.stderr));
    assert!(shown.starts_with("Received result: The time is "), "{shown}");
    assert!(shown.contains(": 6 spans, 2 services, "), "{shown}");
    for receipt in ["client: complete", "server: complete"] {
        assert_eq!(shown.lines().filter(|line| line.starts_with(receipt)).count(), 1, "{shown}");
    }
    assert_eq!(printed(&output.stderr), "");
}

#[test]
fn with_an_agent_its_spans_go_there() {
    let agent = EmbeddedAgent::start().unwrap();
    let output = nethttp(&["--port", "0", "--agent", &agent.compact_addr().to_string()]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let spans = agent.wait_for_spans(6, Duration::from_secs(10)).unwrap();
    let trace = agent.trace(spans[0].trace_id()).unwrap();
    assert_eq!(
        (trace.spans().len(), trace.services()),
        (6, vec!["client".into(), "server".into()])
    );
    let shown = printed(&output.stdout);
    assert_eq!(shown.lines().count(), 3, "the result and two receipts: {shown}");
}

#[test]
fn a_client_without_a_server_fails_and_shows_its_trace() {
    let (listener, port) = listener();
    drop(listener);
    let output = nethttp(&["--actor", "client", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let told = printed(&output.stderr);
    assert!(told.starts_with(&format!("nethttp: GET http://localhost:{port}/: ")), "{told}");
    let shown = printed(&output.stdout);
    assert!(shown.contains("error=true") && shown.contains("client: complete"), "{shown}");
}

#[test]
fn a_port_that_is_taken_is_said_to_be_so() {
    let (_taken, port) = listener();
    let output = nethttp(&["--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let told = printed(&output.stderr);
    assert!(told.contains(&format!("cannot listen on port {port}: ")), "{told}");
}

#[test]
fn spans_that_nobody_takes_make_it_fail() {
    let agent = EmbeddedAgent::start().unwrap();
    let nobody = agent.compact_addr().to_string();
    drop(agent);
    let output = nethttp(&["--port", "0", "--agent", &nobody]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output.stdout).contains("dropped = "), "{}", printed(&output.stdout));
}

#[test]
fn a_server_alone_stops_when_its_input_ends() {
    let output = nethttp(&["--actor", "server", "--port", "0"]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let shown = printed(&output.stdout);
    assert!(shown.starts_with("Serving http://localhost:"), "{shown}");
    assert!(shown.contains("server: complete"), "{shown}");
}
