//! The program as a user runs it: what it prints, and how it exits.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]
#![allow(clippy::disallowed_methods, reason = "a server of the test runs on a thread of its own")]

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

/// A port that nobody else can take while the listener lives.
fn listener() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

/// A port that no system gives to a program that asks for a free one, and at which nobody listens.
const NOBODYS: &str = "1";

#[test]
fn alone_it_shows_the_result_the_trace_and_both_report() {
    let output = nethttp(&["--port", "0"]);
    let shown = printed(&output.stdout);
    assert!(output.status.success(), "{shown}{}", printed(&output.stderr));
    assert!(shown.starts_with("Received result: The time is "), "{shown}");
    assert!(shown.contains(": 6 spans, 2 services, "), "{shown}");
    for report in ["client: complete", "server: complete"] {
        assert_eq!(shown.lines().filter(|line| line.starts_with(report)).count(), 1, "{shown}");
    }
    assert_eq!(printed(&output.stderr), "");
}

#[test]
fn with_an_agent_its_spans_go_there() {
    let agent = EmbeddedAgent::start().unwrap();
    let output = nethttp(&["--port", "0", "--agent", &agent.compact_addr().to_string()]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let spans = agent.wait_for_spans(6, Duration::from_secs(60)).unwrap();
    let trace = agent.trace(spans[0].trace_id()).unwrap();
    assert_eq!(
        (trace.spans().len(), trace.services()),
        (6, vec!["client".into(), "server".into()])
    );
    let shown = printed(&output.stdout);
    assert_eq!(shown.lines().count(), 4, "the result, where its trace is, two reports: {shown}");
    assert_eq!(shown.lines().nth(1), Some(&*format!("Trace: {}", trace.trace_id())), "{shown}");
}

/// Takes posts until none came for a while after the first; gives their heads and sizes.
fn zipkin(listener: std::net::TcpListener) -> std::thread::JoinHandle<Vec<(String, usize)>> {
    use std::io::{BufRead, BufReader, Read, Write};
    std::thread::spawn(move || {
        let mut posts = Vec::new();
        // One connection for each of the two tracers.
        for _ in 0..2 {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            loop {
                let (mut head, mut line) = (String::new(), String::new());
                while stream.read_line(&mut line).unwrap() > 2 {
                    head.push_str(&std::mem::take(&mut line).to_lowercase());
                }
                let Some(length) = head.split("content-length: ").nth(1) else { break };
                let length = length.lines().next().unwrap().trim().parse().unwrap();
                stream.read_exact(&mut vec![0; length]).unwrap();
                let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
                stream.get_mut().write_all(accepted).unwrap();
                posts.push((head, length));
            }
        }
        posts
    })
}

#[test]
fn with_a_url_its_spans_are_posted_there() {
    let (listener, port) = listener();
    let server = zipkin(listener);
    let url = format!("http://127.0.0.1:{port}/api/v1/spans");
    let output = nethttp(&["--port", "0", "--url", &url]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let shown = printed(&output.stdout);
    assert!(shown.contains("sent 4 +") && shown.contains("sent 2 +"), "{shown}");
    let id = shown.lines().find_map(|line| line.strip_prefix("Trace: ")).unwrap();
    let link = format!("Shown at http://127.0.0.1:{port}/zipkin/traces/{id}\n");
    assert!(shown.contains(&link), "{shown}");
    let posts = server.join().unwrap();
    assert!(posts.len() >= 2, "{posts:?}");
    for (head, length) in posts {
        assert!(head.starts_with("post /api/v1/spans ") && length > 100, "{head}");
        assert!(head.contains("content-type: application/x-thrift"), "{head}");
    }
}

#[test]
fn a_client_without_a_server_fails_and_shows_its_trace() {
    let port = NOBODYS;
    let output = nethttp(&["--actor", "client", "--port", port]);
    assert_eq!(output.status.code(), Some(1));
    let reported = printed(&output.stderr);
    assert!(
        reported.starts_with(&format!("nethttp: GET http://localhost:{port}/: ")),
        "{reported}"
    );
    let shown = printed(&output.stdout);
    assert!(shown.contains("error=true") && shown.contains("client: complete"), "{shown}");
}

#[test]
fn a_port_in_use_is_reported() {
    let (_taken, port) = listener();
    let output = nethttp(&["--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let reported = printed(&output.stderr);
    assert!(reported.contains(&format!("cannot listen on port {port}: ")), "{reported}");
}

#[test]
fn spans_that_nobody_takes_make_it_fail() {
    let nobody = format!("127.0.0.1:{NOBODYS}");
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
