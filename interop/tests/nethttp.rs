//! The trace of the demo `nethttp`, as servers return it: each field of each span.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests wait and read clocks; a step that fails is a test that fails"
)]

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use interop::backend::{Backend, Kind};
use interop::demo::{self, Programs, Running};
use interop::span::{ExpectedSpan, Input, Micros, Rule};
use interop::zipkin::Zipkin;
use interop::{command, conversions, opt_in};
use jaeger_client::{SpanId, TraceId};
use serde_json::Value;

#[test]
fn zipkin_shows_a_client_an_http_client_and_two_gets_with_annotations() {
    let Some((backend, programs)) = found("nethttp to Zipkin", Kind::Zipkin) else { return };
    let zipkin = Zipkin::new(backend.address("zipkin"));
    for (path, rules) in
        [("/api/v1/spans", conversions::ZIPKIN_V1), ("/api/v2/spans", conversions::ZIPKIN_V2)]
    {
        let url = format!("http://{}{path}", backend.address("zipkin"));
        for run in [in_one_process, in_two_processes] {
            run(&programs, "--url", &url).check(rules, |trace| zipkin.spans(trace).unwrap());
        }
    }
}

#[test]
fn jaeger_shows_a_client_an_http_client_and_two_gets_with_logs() {
    let Some((backend, programs)) = found("nethttp to Jaeger", Kind::JaegerV1) else { return };
    let query = backend.query();
    let collector = format!("http://{}/api/traces", backend.address("http"));
    for (route, address) in [("--agent", backend.address("compact")), ("--url", &collector)] {
        for run in [in_one_process, in_two_processes] {
            run(&programs, route, address).check(&[], |trace| query.spans(trace).unwrap());
        }
    }
}

fn found(test: &str, kind: Kind) -> Option<(Backend, Programs)> {
    opt_in::set_up(test, || Ok((Backend::start(kind)?, Programs::build()?)))
}

/// A finished run of the demo.
struct Run {
    /// The times of its start and end, in microseconds.
    during: (i64, i64),
    /// The output of the client.
    printed: String,
    /// All reports.
    sent: Vec<(String, u64)>,
}

fn in_one_process(programs: &Programs, route: &str, address: &str) -> Run {
    let began = now();
    let mut nethttp = Command::new(&programs.nethttp);
    nethttp.args(["--port", "0", route, address]);
    let printed = command::output(&mut nethttp, TIMEOUT).unwrap();
    Run { during: (began, now()), sent: demo::sent(&printed), printed }
}

/// With client and server in processes of their own.
fn in_two_processes(programs: &Programs, route: &str, address: &str) -> Run {
    let began = now();
    let args = ["--actor", "server", "--port", "0", route, address];
    let mut server = Running::start(&programs.nethttp, &args).unwrap();
    let url = server.wait_for_line("Serving http://localhost:").unwrap();
    let mut client = Command::new(&programs.nethttp);
    client.args(["--actor", "client", "--port", url.trim_end_matches('/'), route, address]);
    let printed = command::output(&mut client, TIMEOUT).unwrap();
    let sent = [demo::sent(&printed), demo::sent(&server.end().unwrap())].concat();
    Run { during: (began, now()), printed, sent }
}

impl Run {
    fn check(&self, rules: &[Rule], spans: impl Fn(&str) -> Vec<Value>) {
        let printed = &self.printed;
        assert_eq!(self.sent, [("client".into(), 4), ("server".into(), 2)], "{printed}");
        let trace = printed.lines().find_map(|line| line.strip_prefix("Trace: ")).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        let got = loop {
            let got = spans(trace);
            if got.len() >= 6 || Instant::now() > deadline {
                break got;
            }
            thread::sleep(command::INTERVAL);
        };
        assert_eq!(got.len(), 6, "{}", Value::from(got));
        let got: Vec<_> = got.into_iter().map(without_ipv6).collect();
        let result = printed.lines().next().unwrap().strip_prefix("Received result: ").unwrap();
        for (wanted, got) in self.wanted(&got, result) {
            wanted.check_by(rules, got.clone()).unwrap();
        }
    }

    /// Returns the expected content of each span, with the span that is in its place.
    fn wanted<'g>(&self, got: &'g [Value], result: &str) -> Vec<(ExpectedSpan, &'g Value)> {
        let [root] = children(got, None)[..] else { panic!("one root: {got:?}") };
        let [request] = children(got, Some(root))[..] else { panic!("one request: {got:?}") };
        let hops = children(got, Some(request));
        assert_eq!(hops.len(), 2, "{got:?}");
        assert!(end(hops[0]) <= start(hops[1]), "one hop after the other: {got:?}");

        let port = tag(hops[0], "peer.address").strip_prefix("localhost:").unwrap().to_owned();
        let base = format!("http://localhost:{port}");
        let redirect = format!("<a href=\"{base}/gettime\">Moved Permanently</a>.\n\n");
        let own = [text("sampler.type", "const"), boolean("sampler.param", true)];
        let own = [&own[..], &[text("component", "client")]].concat();
        let mut wanted = vec![
            (self.span(root, None, "client", "client", own), root),
            (self.span(request, Some(root), "client", "HTTP Client", Vec::new()), request),
        ];
        for (hop, (path, status, body)) in
            hops.into_iter().zip([("/", 301, &*redirect), ("/gettime", 200, result)])
        {
            let reused = status == 200;
            let tags = vec![
                text("span.kind", "client"),
                text("component", "net/http"),
                text("http.method", "GET"),
                text("http.url", &format!("{base}{path}")),
                text("peer.address", &base["http://".len()..]),
                boolean("net/http.reused", reused),
                boolean("net/http.was_idle", reused),
                number("http.status_code", status),
            ];
            let mut span = self.span(hop, Some(request), "client", "HTTP GET", tags);
            let within = Micros::Between(start(hop), last_micros(hop));
            let events = if reused { reused_connection(&port) } else { new_connection(&port) };
            come_in_order(hop, &events);
            span.logs = events.into_iter().map(|fields| (within, fields)).collect();
            wanted.push((span, hop));

            let [served] = children(got, Some(hop))[..] else { panic!("served once: {got:?}") };
            // The clocks of two tracers agree, unless the system's clock is set in between.
            let early = start(hop) - 1_000 <= start(served);
            assert!(early && end(served) <= end(hop) + 1_000, "{hop} {served}");
            let tags = vec![
                text("span.kind", "server"),
                text("http.method", "GET"),
                text("http.url", path),
                text("component", "net/http"),
                number("http.status_code", status),
                number("http.response_size", i64::try_from(body.len()).unwrap()),
            ];
            wanted.push((self.span(served, Some(hop), "server", "HTTP GET", tags), served));
        }
        wanted
    }

    fn span(
        &self,
        got: &Value,
        parent: Option<&Value>,
        service: &str,
        operation: &str,
        tags: Vec<(String, Input)>,
    ) -> ExpectedSpan {
        // On one clock, a child's time is within its parent's.
        if let Some(parent) = parent.filter(|parent| parent["service"] == got["service"]) {
            assert!(
                start(parent) <= start(got) && end(got) <= last_micros(parent),
                "{parent} {got}"
            );
        }
        let trace_id = TraceId::new(0, id(&got["trace"]));
        let (began, ended) = self.during;
        ExpectedSpan {
            trace_id,
            span_id: SpanId::new(id(&got["span"])),
            flags: 1,
            operation: operation.into(),
            references: parent
                .map(|parent| (false, trace_id, SpanId::new(id(&parent["span"]))))
                .into_iter()
                .collect(),
            start: Micros::Between(began, ended),
            duration: Micros::Between(0, ended - began),
            tags,
            logs: Vec::new(),
            service: service.into(),
            process_tags: Vec::new(),
        }
    }
}

/// Returns the logs of a request that opens a connection.
fn new_connection(port: &str) -> Vec<Vec<(String, Input)>> {
    let addresses = ("localhost", 0).to_socket_addrs().unwrap();
    let mut found = vec![text("event", "DNSDone")];
    found.extend(
        addresses
            .filter(|address| address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST))
            .take(1)
            .map(|address| text("addr", &address.ip().to_string())),
    );
    let addr = format!("127.0.0.1:{port}");
    let connect =
        |event: &str| vec![text("event", event), text("network", "tcp"), text("addr", &addr)];
    let mut events = reused_connection(port);
    let resolve = vec![text("event", "DNSStart"), text("host", "localhost")];
    events.splice(1..1, [resolve, found, connect("ConnectStart"), connect("ConnectDone")]);
    events
}

/// Returns the logs of a request that reuses a connection.
fn reused_connection(port: &str) -> Vec<Vec<(String, Input)>> {
    let mut events: Vec<_> = [
        "GetConn",
        "GotConn",
        "WroteHeaders",
        "WroteRequest",
        "GotFirstResponseByte",
        "PutIdleConn",
        "ClosedBody",
    ]
    .map(|event| vec![text("event", event)])
    .into();
    events[0].push(text("hostPort", &format!("localhost:{port}")));
    events
}

/// Asserts that each event occurs once, and in this order by time. Zipkin sorts annotations of the same time
/// by their text, so that only times are compared.
fn come_in_order(hop: &Value, events: &[Vec<(String, Input)>]) {
    let logs = hop["logs"].as_array().unwrap();
    let mut before = start(hop);
    for fields in events {
        let Input::Str(event) = &fields[0].1 else { panic!("an event is text") };
        let of: Vec<_> = logs.iter().filter(|log| log[1].to_string().contains(event)).collect();
        let [log] = of[..] else { panic!("{event} once: {hop}") };
        let at = log[0].as_i64().unwrap();
        assert!(before <= at, "{event} came too early: {hop}");
        before = at;
    }
}

/// Returns a span without the attempts to connect to the other addresses of `localhost`.
fn without_ipv6(mut span: Value) -> Value {
    let logs = span["logs"].as_array_mut().unwrap();
    logs.retain(|log| !log[1].to_string().contains("[::1]"));
    for log in logs {
        log[1].as_array_mut().unwrap().retain(|field| field[2] != "::1");
    }
    span
}

/// Returns the children of a span, or the roots, in order of time.
fn children<'g>(got: &'g [Value], of: Option<&Value>) -> Vec<&'g Value> {
    let parent = of.map_or(&Value::Null, |parent| &parent["span"]);
    let mut found: Vec<_> = got.iter().filter(|span| span["references"][0][2] == *parent).collect();
    found.sort_by_key(|span| start(span));
    found
}

fn start(span: &Value) -> i64 {
    span["start"].as_i64().unwrap()
}

/// Returns the last microsecond of a span: start and duration are both truncated to microseconds, so that
/// their sum may be one less than the time of its last log.
fn last_micros(span: &Value) -> i64 {
    end(span) + 1
}

fn end(span: &Value) -> i64 {
    start(span) + span["duration"].as_i64().unwrap()
}

fn tag(span: &Value, key: &str) -> String {
    interop::span::tag(span, key).as_str().unwrap().to_owned()
}

fn id(hex: &Value) -> u64 {
    u64::from_str_radix(hex.as_str().unwrap(), 16).unwrap()
}

fn text(key: &str, value: &str) -> (String, Input) {
    (key.into(), Input::Str(value.into()))
}

fn boolean(key: &str, value: bool) -> (String, Input) {
    (key.into(), Input::Bool(value))
}

fn number(key: &str, value: i64) -> (String, Input) {
    (key.into(), Input::I64(value))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

const TIMEOUT: Duration = Duration::from_secs(60);
