//! Each example runs, and prints and sends what it says.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use jaeger_client::{TraceId, Tracer};
use jaeger_client_embedded_agent::{EmbeddedAgent, ReceivedSpan, Trace};

const SOON: Duration = Duration::from_secs(30);

/// A program beside an agent in this process.
struct Example {
    agent: EmbeddedAgent,
    command: Command,
}

/// What became of it.
struct Ended {
    agent: EmbeddedAgent,
    status: ExitStatus,
    printed: String,
}

impl Example {
    fn new(program: &str) -> Self {
        let agent = EmbeddedAgent::start().unwrap();
        let mut command = Command::new(program);
        let address = agent.compact_addr().to_string();
        // As on a machine where nothing else is configured.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JAEGER_")) {
            command.env_remove(name);
        }
        command.env("JAEGER_AGENT_HOST", address);
        command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::piped());
        Self { agent, command }
    }

    fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    fn run(mut self) -> Ended {
        let output = self.command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        Ended { agent: self.agent, status: output.status, printed }
    }

    /// Starts a server, which prints its URL first.
    fn serve(self) -> Serving {
        self.serve_with(&[])
    }

    /// The same with arguments after that of its port.
    fn serve_with(mut self, arguments: &[&str]) -> Serving {
        let mut child = self.command.arg("0").args(arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        let address = url.trim().trim_start_matches("http://").to_owned();
        Serving { agent: self.agent, child, stdout, address }
    }
}

/// A server that runs.
struct Serving {
    agent: EmbeddedAgent,
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Serving {
    /// The response to a request, all of it.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").unwrap();
        stream.write_all(b"uber-trace-id: a1b2:c3d4:0:1\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Sends a signal by its name, and waits for the end.
    #[cfg(unix)]
    fn signal(mut self, name: &str) -> Ended {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        Ended { agent: self.agent, status: self.child.wait().unwrap(), printed }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}", self.status, self.printed);
        }
    }
}

impl Ended {
    #[track_caller]
    fn prints(&self, text: &str) -> &Self {
        assert!(self.printed.contains(text), "no {text:?} in:\n{}", self.printed);
        self
    }

    /// Service and operation of the one trace's spans, each below its parent, once all have come.
    #[track_caller]
    fn sends(&self, expected: &[&str]) -> Trace {
        self.agent.wait_for_spans(expected.len(), SOON).unwrap();
        let [trace] = <[Trace; 1]>::try_from(self.agent.traces()).unwrap();
        let mut listed = Vec::new();
        if let Some(root) = trace.root() {
            list(&trace, root, 0, &mut listed);
        }
        assert_eq!(listed, expected, "{trace}");
        trace
    }
}

/// Lists spans below their parents, children in the order of their starts.
fn list(trace: &Trace, span: &ReceivedSpan, depth: usize, listed: &mut Vec<String>) {
    listed.push(format!("{}{}: {}", " ".repeat(depth), span.service(), span.operation_name()));
    let mut children = trace.children(span);
    children.sort_by_key(|child| child.start());
    children.into_iter().for_each(|child| list(trace, child, depth + 1, listed));
}

#[test]
fn a_command_sends_its_spans_whatever_its_exit_code_is() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let ended = Example::new(env!("CARGO_BIN_EXE_cli")).arguments(&[manifest, "/no/file"]).run();
    assert_eq!(ended.status.code(), Some(1));
    ended.prints("failed /no/file").prints("spans: complete").prints("sent 3");
    let trace = ended.sends(&["count: count", " count: count lines", " count: count lines"]);
    assert_eq!(trace.error_count(), 1, "{trace}");
}

#[test]
fn a_message_carries_the_trace_to_whoever_receives_it() {
    let ended = Example::new(env!("CARGO_BIN_EXE_message_headers")).run();
    ended.prints("shop: complete").prints("stock: complete");
    let trace = ended.sends(&["shop: send order", " stock: handle order"]);
    let consumer = trace.span("handle order").unwrap();
    assert_eq!(consumer.tag("span.kind").unwrap(), "consumer");
    assert!(consumer.view().references().next().unwrap().follows_from);
}

#[test]
fn a_custom_sampler_decides_by_operation() {
    let ended = Example::new(env!("CARGO_BIN_EXE_custom_sampler")).run();
    ended.prints("paid: 1000 of 1000, others: ").prints("started 2000 = open 0 + finished 2000");
    let others = ended.printed.split("others: ").nth(1).unwrap().split(' ').next().unwrap();
    // One in a hundred of 1000: beyond these by chance once in many billions.
    assert!((1..=60).contains(&others.parse::<u32>().unwrap()), "{others}");
}

#[test]
fn a_custom_destination_gets_what_the_agent_gets() {
    let example = Example::new(env!("CARGO_BIN_EXE_custom_destination"));
    let agent = example.agent.compact_addr().to_string();
    let ended = example.arguments(&[&agent]).run();
    ended
        .prints(" \"charge\" ")
        .prints(" \"order\" ")
        .prints("agent: 2 sent")
        .prints("lines: 2 sent");
    let trace = ended.sends(&["shop: order", " shop: charge"]);
    ended.prints(&trace.trace_id().to_string());
}

#[test]
fn a_library_without_a_tracer_traces_below_its_caller_and_works_without_one() {
    let ended = Example::new(env!("CARGO_BIN_EXE_library")).run();
    ended.prints("without a caller's span: Ok(3)").prints("with one: Ok(3), Err(");
    let lines: Vec<_> = ended.printed.lines().skip(2).collect();
    assert!(lines[0].starts_with("page "), "{lines:?}");
    assert!(lines[1].starts_with("  query span.kind=\"client\""), "{lines:?}");
    assert!(lines[2].starts_with("  query ") && lines[2].contains("error=true"), "{lines:?}");
}

#[test]
fn spans_in_memory_are_a_tree() {
    let ended = Example::new(env!("CARGO_BIN_EXE_assert_spans")).run();
    ended.prints("[Ok(()), Err(Declined)]").prints("\n  reserve").prints("  charge error=true");
}

#[test]
fn a_function_that_is_frozen_between_requests_flushes_after_each() {
    let mut example = Example::new(env!("CARGO_BIN_EXE_frozen"));
    let mut child = example.command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for (number, request) in [(1, "a"), (2, "bc")] {
        writeln!(child.stdin.as_mut().unwrap(), "{request}").unwrap();
        assert_eq!(stdout.next().unwrap(), format!("answer: {}000 bytes", request.len()));
        assert_eq!(stdout.next().unwrap(), format!("flushed: {number} sent, 0 queued"));
        // It is frozen here, for ever perhaps: its span has arrived.
        let spans = example.agent.wait_for_spans(number, SOON).unwrap();
        assert_eq!(spans[number - 1].tag("request").unwrap(), request);
    }
    drop(child.stdin.take());
    assert!(stdout.next().unwrap().starts_with("closed: complete"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn threads_and_pools_work_for_the_span_that_they_were_given() {
    let ended = Example::new(env!("CARGO_BIN_EXE_threads")).run();
    ended.prints("55 bytes; complete");
    let resized = [" gallery: resize"; 5];
    ended.sends(&[&["gallery: page"][..], &resized].concat());
}

#[test]
fn tasks_of_a_job_belong_to_it_and_one_that_is_given_up_says_so() {
    let ended = Example::new(env!("CARGO_BIN_EXE_tokio_job")).run();
    ended.prints("60 rows; complete");
    let fetched = [" import: fetch"; 3];
    let trace = ended
        .sends(&[&["import: job"][..], &fetched, &[" import: parse", " import: slow"]].concat());
    assert!(trace.span("slow").unwrap().is_error() && trace.error_count() == 1, "{trace}");
}

#[cfg(unix)]
#[test]
fn a_server_sends_all_its_spans_at_each_signal_that_ends_it() {
    for signal in ["TERM", "INT"] {
        let serving = Example::new(env!("CARGO_BIN_EXE_signals")).serve();
        for _ in 0..10 {
            assert!(serving.get("/").ends_with("one of each"));
        }
        let ended = serving.signal(signal);
        assert!(ended.status.success(), "{signal}: {}", ended.status);
        ended.prints("sent 10 +");
        assert_eq!(ended.agent.wait_for_spans(10, SOON).unwrap().len(), 10, "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn a_service_that_speaks_tracing_is_one_trace_with_ids_in_its_log_lines() {
    let serving = Example::new(env!("CARGO_BIN_EXE_axum_tracing")).serve();
    assert!(serving.get("/orders/1").ends_with("two books"));
    let ended = serving.signal("INT");
    ended.prints("traceId=000000000000a1b2 spanId=").prints("asked for an order");
    let trace = ended.agent.wait_for_trace(TraceId::new(0, 0xa1b2), 2, SOON).unwrap();
    let query = trace.span("find").unwrap();
    assert_eq!(query.tag("db.system").unwrap(), "postgresql");
    let request = trace.spans().iter().find(|span| span.parent_span_id().get() == 0xc3d4).unwrap();
    assert_eq!(query.parent_span_id(), request.span_id(), "{trace}");
    assert_eq!(request.operation_name(), "GET /orders/{number}", "{trace}");
}

#[cfg(unix)]
#[test]
fn two_services_are_one_trace_from_the_request_to_the_queries() {
    let greeter = Example::new(env!("CARGO_BIN_EXE_service_greeter")).serve();
    let mut web = Example::new(env!("CARGO_BIN_EXE_service_web"));
    web.command.env("JAEGER_AGENT_HOST", greeter.agent.compact_addr().to_string());
    let web = web.serve_with(&[&format!("http://{}", greeter.address)]);
    assert!(web.get("/hello/4711").ends_with("good morning, Ada"));
    let ids = "traceId=000000000000a1b2 spanId=";
    web.signal("TERM").prints("sent 4 +").prints(ids);
    let ended = greeter.signal("TERM");
    ended.prints("sent 3 +").prints(ids);
    let trace = ended.agent.wait_for_trace(TraceId::new(0, 0xa1b2), 7, SOON).unwrap();
    let query = trace.span("phrase").unwrap();
    assert!(query.view().logs().count() == 1 && trace.error_count() == 0, "{trace}");
}

#[test]
fn a_call_over_grpc_is_a_span_at_both_sides_and_says_how_it_ended() {
    let ended = Example::new(env!("CARGO_BIN_EXE_tonic_pair")).run();
    ended.prints("hello, you").prints("client: complete").prints("greeter: complete");
    let call = [" client: /hello.Greeter/Greet", "  greeter: /hello.Greeter/Greet"];
    let call = [&call[..], &["   greeter: look up"]].concat();
    let trace = ended.sends(&[&["client: greet"][..], &call, &call].concat());
    let codes: Vec<_> =
        trace.spans().iter().filter_map(|s| s.tag("rpc.grpc.status_code")).collect();
    let failed = codes.iter().filter(|code| **code == 3_i64).count();
    // A wrong argument is the client's error, and none of the server's.
    assert_eq!((codes.len(), failed, trace.error_count()), (4, 2, 1), "{trace}");
}

#[cfg(unix)]
#[test]
fn requests_of_reqwest_are_spans_and_the_server_goes_on_with_their_trace() {
    let serving = Example::new(env!("CARGO_BIN_EXE_signals")).serve();
    let urls = [format!("http://{}/", serving.address), "http://127.0.0.1:1/".to_owned()];
    let mut example = Example::new(env!("CARGO_BIN_EXE_reqwest_client"));
    example.command.env("JAEGER_AGENT_HOST", serving.agent.compact_addr().to_string());
    let client = example.arguments(&urls.each_ref().map(String::as_str)).run();
    client.prints(": 200 OK, 11 bytes").prints("127.0.0.1:1/: failed").prints("sent 3");
    let ended = serving.signal("TERM");
    let trace = ended.sends(&[
        "crawler: crawl",
        " crawler: HTTP GET",
        "  shop: GET /",
        " crawler: HTTP GET",
    ]);
    assert_eq!(trace.error_count(), 2, "the request that failed, and the crawl: {trace}");
}

#[test]
fn metadata_of_grpc_is_a_carrier() {
    let (tracer, _closer) = Tracer::builder("svc").null_reporter().build().unwrap();
    let (span, mut request) = (tracer.start_span("call"), tonic::Request::new(()));
    tracer.inject(&span, request.metadata_mut().as_mut());
    assert_eq!(tracer.extract(request.metadata().as_ref()).unwrap(), span.context());
}

#[test]
fn metrics_are_exact_when_they_are_read() {
    let ended = Example::new(env!("CARGO_BIN_EXE_prometheus")).run();
    ended.prints("jaeger_tracer_finished_spans_total{sampled=\"y\"} 3").prints("error=\"true\"} 1");
    assert_eq!(ended.agent.wait_for_spans(3, SOON).unwrap().len(), 3);
}

#[test]
fn log_lines_have_the_ids_of_their_trace() {
    let ended = Example::new(env!("CARGO_BIN_EXE_log_ids")).run();
    let trace = ended.sends(&["shop: checkout"]);
    let (root, id) = (trace.root().unwrap(), trace.trace_id());
    let ids = format!("traceId={id} spanId={} sampled=true", root.span_id());
    ended.prints("INFO ready\n").prints(&format!("INFO {ids} paying\n"));
    ended.prints(&format!("WARN {ids} amount 120 is unusual\n"));
    assert_eq!(root.view().logs().count(), 1);
}

#[test]
fn examples_are_short_and_each_is_run_here() {
    let own = include_str!("examples.rs");
    let folders = ["src/bin", "../../examples"];
    let mut names = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        {
            let path = entry.unwrap().path();
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 80, "{} has {lines} lines", path.display());
            names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(own.contains(&format!("CARGO_BIN_EXE_{name}\"")), "{name} is not run");
    }
}
