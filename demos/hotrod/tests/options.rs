//! The program with its options, as separate processes: what each of them changes in a trace.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "the helpers of tests are tests as well; they read clocks and start threads"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running `hotrod`. It is killed when this is dropped. One runs at a time, as some tests measure.
struct Hotrod {
    _turn: MutexGuard<'static, ()>,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// What it printed until it was ready.
    printed: String,
}

impl Hotrod {
    /// Starts it with all services on free ports.
    fn all(options: &[&str]) -> Self {
        let free = ["all", "-f", "0", "-c", "0", "-d", "0", "-r", "0"];
        Self::start(&[&free, options].concat())
    }

    fn start(args: &[&str]) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The default is too short on a busy machine.
        let mut command = hotrod(args);
        command.args(["--driver-timeout", "60s"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("Ctrl-C stops it.") {
            let read = stdout.read_line(&mut printed).unwrap();
            assert!(read > 0, "{args:?} ended: {printed}");
        }
        Self { _turn: turn, child, stdout, printed }
    }

    /// Returns what stands behind this word: an address without `http://`.
    fn address(&self, word: &str) -> &str {
        let mut lines = self.printed.lines();
        let found = lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(": http://"));
        found.unwrap_or_else(|| panic!("no {word}: {}", self.printed))
    }

    /// Has a customer fetched; gives the ride's trace.
    fn ride(&self, customer: u32, request: &str) -> String {
        let (status, body) = self.dispatch(customer, request);
        assert_eq!(status, 200, "{body}");
        let ride: Value = serde_json::from_str(&body).unwrap();
        ride["TraceID"].as_str().unwrap().to_owned()
    }

    fn dispatch(&self, customer: u32, request: &str) -> (u16, String) {
        get(self.address("frontend"), &format!("/dispatch?customer={customer}"), request)
    }

    /// The queries of two rides at the same time, whatever becomes of the rides.
    fn two_queries(&self) -> Vec<Value> {
        thread::scope(|scope| {
            for (customer, request) in [(123, "1-1"), (731, "1-2")] {
                scope.spawn(move || self.dispatch(customer, request));
            }
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, body) = get(self.address("traces"), "/api/traces?service=mysql", "");
            let body: Value = serde_json::from_str(&body).unwrap();
            let traces = body["data"].as_array().unwrap();
            let spans = traces.iter().flat_map(|trace| trace["spans"].as_array().unwrap());
            let is_query = |span: &&Value| span["operationName"] == "SQL SELECT";
            let queries: Vec<_> = spans.filter(is_query).cloned().collect();
            if queries.len() == 2 {
                return queries;
            }
            assert!(Instant::now() < deadline, "there are no two queries: {queries:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The spans of a ride, when all of them have reached the agent of the process.
    fn spans(&self, trace: &str) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = get(self.address("traces"), &format!("/api/traces/{trace}"), "");
            if status == 200 {
                let mut body: Value = serde_json::from_str(&body).unwrap();
                let spans = body["data"][0]["spans"].take();
                let Value::Array(spans) = spans else { panic!("{body}") };
                // How many reads fail depends on those of other rides.
                let reads = named(&spans, "GetDriver");
                let good = reads.iter().filter(|read| !says(read, "redis timeout")).count();
                if good == 10 && spans.len() == 38 + reads.len() {
                    return spans;
                }
            }
            assert!(Instant::now() < deadline, "the trace {trace} is not complete: {body}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end; gives how it ended and what it printed since it was ready.
    #[cfg(unix)]
    fn end(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let requested = Command::new("sh").args(["-c", "kill -TERM $0", &pid]).status().unwrap();
        assert!(requested.success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Hotrod {
    fn drop(&mut self) {
        // It has ended, or need not end well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hotrod(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotrod"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end, which must come soon and by itself.
fn refused(args: &[&str]) -> String {
    let mut child = hotrod(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
        }
    };
    let mut reported = String::new();
    child.stderr.take().unwrap().read_to_string(&mut reported).unwrap();
    assert_eq!(status.code().map(|code| code != 0), Some(true), "{args:?}: {status}: {reported}");
    reported
}

/// Status and body of what is at `path`, for a request of this number.
fn get(at: &str, path: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let baggage = format!("jaeger-baggage: session=1, request={request}");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\n{baggage}\r\nconnection: close\r\n");
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    (status, response.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn named<'s>(spans: &'s [Value], operation: &str) -> Vec<&'s Value> {
    spans.iter().filter(|span| span["operationName"] == operation).collect()
}

fn duration(span: &Value) -> Duration {
    Duration::from_micros(span["duration"].as_u64().unwrap())
}

/// The query of a ride.
fn select(spans: &[Value]) -> &Value {
    let [select] = named(spans, "SQL SELECT")[..] else { panic!("one query: {spans:?}") };
    select
}

/// Returns whether a tag or a log of a span has this text.
fn says(span: &Value, text: &str) -> bool {
    format!("{}{}", span["tags"], span["logs"]).contains(text)
}

/// How many of the spans are under way at the same time at most.
fn at_once(spans: &[&Value]) -> usize {
    let ends = |span: &Value| {
        let start = span["startTime"].as_u64().unwrap();
        (start, start + span["duration"].as_u64().unwrap())
    };
    let during = |at: u64| {
        let is_under_way = |span: &&&Value| ends(span).0 <= at && at < ends(span).1;
        spans.iter().filter(is_under_way).count()
    };
    spans.iter().map(|span| during(ends(span).0)).max().unwrap()
}

#[test]
fn d_says_how_long_a_query_takes() {
    let takes = |option: &str, time: &str| {
        let hotrod = Hotrod::all(&[option, time]);
        let ride = |n| duration(select(&hotrod.spans(&hotrod.ride(392, &format!("1-{n}")))));
        (0..5).map(ride).min().unwrap()
    };
    // A busy machine delays some of them.
    let quick = takes("-D", "0");
    assert!(quick < Duration::from_millis(200), "{quick:?}");
    // Each is below 0.7 s once in 10 billion times: a deviation is a tenth of the time.
    let slow = takes("--fix-db-query-delay", "2s");
    assert!(slow > Duration::from_millis(700), "{slow:?}");
}

#[test]
fn m_lets_queries_run_at_the_same_time() {
    // Long enough that they overlap however late the second begins on a busy machine.
    for (options, one_waits) in [(&["-D", "3000"][..], true), (&["-D", "3000ms", "-M"], false)] {
        let hotrod = Hotrod::all(options);
        let queries = hotrod.two_queries();
        if one_waits {
            // It begins when the other has ended, and takes 3 s with a deviation of 0.3 s.
            let ends = [0, 1].map(|n| {
                let start = Duration::from_micros(queries[n]["startTime"].as_u64().unwrap());
                start + duration(&queries[n])
            });
            assert!(ends[0].abs_diff(ends[1]) > Duration::from_secs(1), "{ends:?}");
        } else {
            let longest = queries.iter().map(duration).max().unwrap();
            assert!(longest < Duration::from_secs(5), "{longest:?}");
        }
        for query in &queries {
            assert_eq!(says(query, "Acquired lock with "), one_waits, "{query}");
        }
        let waited = queries.iter().filter(|query| says(query, "Waiting for lock behind 1"));
        assert_eq!(waited.count(), usize::from(one_waits), "{queries:?}");
    }
}

#[test]
fn w_sets_how_many_routes_are_requested_at_a_time() {
    let at_once_with = |options: &[&str]| {
        let hotrod = Hotrod::all(&[&["-D", "0"], options].concat());
        let spans = hotrod.spans(&hotrod.ride(392, "1-1"));
        let routes = named(&spans, "HTTP GET: /route");
        assert_eq!(routes.len(), 10);
        at_once(&routes)
    };
    assert_eq!(at_once_with(&["-W", "1"]), 1);
    assert_eq!(at_once_with(&[]), 3);
    let all = at_once_with(&["--fix-route-worker-pool-size", "100"]);
    assert!(all > 3, "{all} of 10");
}

#[test]
fn services_listen_where_they_are_configured_to() {
    // Below those that the system gives to programs which ask for a free one.
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    let mut free = (first..).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports = [(); 4].map(|()| free.next().unwrap().to_string());
    let [f, c, d, r] = &ports;
    let hotrod = Hotrod::start(&["-f", f, "-c", c, "-d", d, "--route-port", r, "-D", "0"]);
    for (service, port) in ["frontend", "customer", "driver", "route"].iter().zip(&ports) {
        assert_eq!(hotrod.address(service), format!("127.0.0.1:{port}"));
    }
    let _whole = hotrod.spans(&hotrod.ride(123, "1-1"));

    let reported = refused(&["route", "-r", r]);
    assert!(
        reported.starts_with(&format!("hotrod: route cannot listen on port {r}: ")),
        "{reported}"
    );
}

#[test]
fn j_says_where_the_page_finds_traces() {
    let hotrod = Hotrod::all(&["-j", "http://ui.example:16686/"]);
    let (_, config) = get(hotrod.address("frontend"), "/config", "");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["jaeger"], "http://ui.example:16686");
    assert_eq!(config["trace"], "http://ui.example:16686/trace/");
}

#[test]
fn what_cannot_be_is_refused_and_reported() {
    for (args, wanted) in [
        (&["-W", "0"][..], "0 is not in 1..=1000"),
        (&["-D", "61s"], "61s is too long; 60s is allowed"),
        (&["--agent", "a:1", "--zipkin", "http://z"], "cannot be used with"),
        (&["backend"], "possible values: all, frontend, customer, driver, route"),
        (&["frontend", "-c", "0", "--agent", "a:1"], "the port of customer is 0"),
        (&["--zipkin", "z:9411"], "z:9411"),
    ] {
        let reported = refused(args);
        assert!(reported.contains(wanted), "{args:?}: {reported}");
    }
}

#[cfg(unix)]
#[test]
fn at_a_signal_it_prints_what_became_of_every_span() {
    let hotrod = Hotrod::all(&["-D", "0"]);
    let _trace = hotrod.ride(392, "1-1");
    let (code, reported) = hotrod.end();
    assert_eq!(code, Some(0), "{reported}");
    let sent = |line: &str| {
        let (_, rest) = line.split_once("+ sent ").unwrap();
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let reports: Vec<_> =
        reported.lines().filter(|line| line.contains(": complete after ")).collect();
    assert_eq!(reports.len(), 6, "{reported}");
    assert!(reports.iter().all(|line| line.ends_with("+ dropped 0 + queued 0")), "{reported}");
    assert!(reports.into_iter().map(sent).sum::<u64>() >= 51, "{reported}");
}

#[cfg(unix)]
#[test]
fn spans_that_nobody_takes_make_it_fail_in_the_end() {
    // No system gives this port to a program that asks for a free one.
    let hotrod = Hotrod::all(&["-D", "0", "--agent", "127.0.0.1:1"]);
    let _trace = hotrod.ride(392, "1-1");
    let (code, reported) = hotrod.end();
    assert!(reported.contains("send failed"), "{reported}");
    assert_eq!(code, Some(1), "{reported}");
}

const PATIENCE: Duration = Duration::from_secs(60);
