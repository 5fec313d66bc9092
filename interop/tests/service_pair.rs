//! A service of axum and one of tonic, both traced by `tracing`, in processes of their own: the programs
//! `service_web` and `service_greeter` of the examples.

#![expect(clippy::disallowed_methods, reason = "tests wait and start threads")]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::demo::{self, Running};
use interop::opt_in;
use interop::query;
use interop::span::tag;
use serde_json::{Value, json};

/// Both services, which send to a Jaeger v2 server.
struct Pair {
    greeter: Running,
    web: Running,
    url: String,
    backend: Backend,
}

fn pair(test: &str) -> Option<Pair> {
    let (greeter, web, backend) = opt_in::set_up(test, || {
        let programs = demo::programs(["service_greeter", "service_web"])?;
        let backend = Backend::start(Kind::JaegerV2)?;
        let agent = [("JAEGER_AGENT_HOST", backend.address("compact"))];
        let mut greeter = Running::start_with(&programs[0], &["0"], &agent)?;
        let address = format!("http://{}", greeter.wait_for_line("http://")?);
        let web = Running::start_with(&programs[1], &["0", &address], &agent)?;
        Ok((greeter, web, backend))
    })?;
    let mut pair = Pair { greeter, web, url: String::new(), backend };
    pair.url = format!("http://{}/hello/", pair.web.wait_for_line("http://").unwrap());
    Some(pair)
}

impl Pair {
    /// Sends a request in the trace `trace`, and returns the response.
    fn request(&self, trace: &str, customer: &str) -> Result<query::HttpResponse, String> {
        let header = ("uber-trace-id".to_owned(), format!("{trace}:{CALLER}:0:1"));
        query::get(&format!("{}{customer}", self.url), &[header])
    }

    /// Ends both, and returns their output and the numbers of sent spans in their flush reports.
    fn end(self) -> ([String; 2], [u64; 2], Backend) {
        self.web.terminate().unwrap();
        self.greeter.terminate().unwrap();
        let printed = [self.web.end().unwrap(), self.greeter.end().unwrap()];
        let sent = ["web", "greeter"].map(|service| {
            let at = usize::from(service == "greeter");
            let report = printed[at].lines().last().unwrap();
            assert!(report.contains("= open 0 +") && report.contains("+ dropped 0 +"), "{report}");
            let [(name, sent)] = <[_; 1]>::try_from(demo::sent(&printed[at])).unwrap();
            assert_eq!(name, service);
            let started = report.split("started ").nth(1).unwrap().split(' ').next().unwrap();
            assert_eq!(started.parse(), Ok(sent), "{report}");
            sent
        });
        (printed, sent, self.backend)
    }
}

/// The spans of a request: service, operation, and the index of the parent.
const REQUEST: [(&str, &str, Option<usize>); 7] = [
    ("web", "GET /hello/{number}", None),
    ("web", "hello", Some(0)),
    ("web", "customer", Some(1)),
    ("web", "/hello.Greeter/Greet", Some(1)),
    ("greeter", "/hello.Greeter/Greet", Some(3)),
    ("greeter", "greet", Some(4)),
    ("greeter", "phrase", Some(5)),
];

#[test]
fn a_request_is_one_trace_over_both_processes_and_their_log_lines() {
    let Some(pair) = pair("service pair") else { return };
    let response = pair.request("a1b2", "4711").unwrap();
    assert_eq!((response.status, response.body.as_str()), (200, "good morning, Ada"));
    assert_eq!(pair.request("a1b3", "4712").unwrap().status, 502, "the greeter does not know them");
    assert_eq!(pair.request("a1b4", "9").unwrap().status, 404, "nor does the web");
    let (printed, sent, backend) = pair.end();
    assert_eq!(sent, [4 + 4 + 3, 3 + 3]);

    let wait = |trace, count| backend.query().wait(trace, count, Instant::now() + TIMEOUT);
    for (trace, errors) in [("a1b2", &[][..]), ("a1b3", &[0, 3, 6])] {
        let spans = wait(trace, REQUEST.len()).unwrap();
        let spans = in_tree(&spans, trace);
        let failed = (0..spans.len()).filter(|&at| tag(&spans[at], "error") == json!(true));
        assert_eq!(failed.collect::<Vec<_>>(), errors, "{spans:?}");
        for (at, printed) in [(1, &printed[0]), (6, &printed[1])] {
            if at == 1 || !errors.is_empty() {
                let ids =
                    format!("traceId=000000000000{trace} spanId={}", text(&spans[at]["span"]));
                assert!(printed.contains(&ids), "no {ids} in {printed}");
            }
        }
        for at in [2, 6] {
            let logs = spans[at]["logs"].to_string();
            assert!(logs.contains("sqlx::query") && logs.contains("SELECT"), "{logs}");
            assert_eq!(tag(&spans[at], "db.system"), json!("postgresql"));
        }
    }
    assert_eq!(wait("a1b4", 3).unwrap().len(), 3);
    for (printed, message) in printed.iter().zip(["a customer to greet", "greeted"]) {
        let mut lines = printed.lines().filter(|line| line.contains(message));
        assert!(lines.all(|line| line.contains("traceId=000000000000a1b")), "{printed}");
    }
}

#[test]
fn nothing_is_lost_when_both_are_terminated_under_load() {
    const TRACE: &str = "c0ffee";
    let Some(pair) = pair("service pair under load") else { return };
    let responded = AtomicUsize::new(0);
    let (printed, sent, backend) = thread::scope(|scope| {
        let (url, responded) = (pair.url.clone(), &responded);
        for _ in 0..4 {
            let url = url.clone();
            scope.spawn(move || {
                let header = [("uber-trace-id".to_owned(), format!("{TRACE}:{CALLER}:0:1"))];
                // Until the service no longer listens.
                while query::get(&format!("{url}4711"), &header).is_ok() {
                    responded.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let deadline = Instant::now() + TIMEOUT;
        while responded.load(Ordering::Relaxed) < 300 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        pair.end()
    });
    let responded = responded.into_inner();
    assert!(responded >= 300, "{responded} responses");
    assert!(sent[0] >= 4 * 300 && sent[1] >= 3 * 300, "{sent:?}");

    let count = usize::try_from(sent.iter().sum::<u64>()).unwrap();
    let spans = backend.query().wait(TRACE, count, Instant::now() + TIMEOUT).unwrap();
    let held = ["web", "greeter"]
        .map(|service| spans.iter().filter(|span| span["service"] == service).count() as u64);
    assert_eq!(
        held,
        sent,
        "{}",
        printed.map(|text| text.lines().last().unwrap().to_owned()).join("\n")
    );
    let ids: HashSet<_> = spans.iter().map(|span| text(&span["span"])).collect();
    assert_eq!(ids.len(), count);
    for span in &spans {
        let parent = text(&span["references"][0][2]);
        let is_first = span["operation"] == "GET /hello/{number}";
        assert_eq!(parent == CALLER, is_first, "{span}");
        assert!(is_first || ids.contains(parent), "{span}");
    }
    opt_in::print_line(&format!("{responded} responses under load, sent {sent:?}, held {held:?}"));
}

/// Returns the spans of a request in the order of [`REQUEST`], and asserts their parents.
fn in_tree(spans: &[Value], trace: &str) -> Vec<Value> {
    let mut tree: Vec<Value> = Vec::new();
    for (service, operation, parent) in REQUEST {
        let parent = parent.map_or(CALLER, |at| text(&tree[at]["span"])).to_owned();
        let found = spans.iter().find(|span| {
            span["service"] == service
                && span["operation"] == operation
                && text(&span["references"][0][2]) == parent
        });
        assert!(found.is_some(), "{service} {operation} in {trace}: {}", json!(spans));
        tree.extend(found.cloned());
    }
    assert_eq!(spans.len(), tree.len(), "{}", json!(spans));
    tree
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The id of the caller's span, which is not stored.
const CALLER: &str = "000000000000c3d4";

const TIMEOUT: Duration = Duration::from_secs(60);
