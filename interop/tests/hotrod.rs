//! Rides on demand, as the servers give their traces back.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests wait and read clocks; a step that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::demo::{self, Programs, Running};
use interop::span::tag;
use interop::zipkin::Zipkin;
use interop::{command, opt_in, query};
use serde_json::{Value, json};

#[test]
fn a_ride_is_one_trace_over_six_services_in_jaeger() {
    let Some((_turn, backend, hotrod)) = found("hotrod to Jaeger", Kind::JaegerV1) else { return };
    let ui = format!("http://{}/", backend.address("query"));
    // Queries are so long that those of rides at the same time meet on a busy machine too.
    let options = ["--agent", backend.address("compact"), "-j", &ui, "-D", "2s"];
    let mut all = all(&hotrod, &options);
    let frontend = all.wait_for_line("frontend: ").unwrap();
    let route = all.wait_for_line("route: ").unwrap();

    let ride = dispatch(&frontend, 392, "7-1");
    let trace = Trace::wait(&ride, |id| backend.query().spans(id).unwrap());
    trace.is_a_ride("7-1", GRPC);
    assert_eq!(trace.spans.len(), 51, "the first read of a driver and every fifth from it failed");
    trace.is_typed_as_it_was_sent();
    let metrics = query::get(&format!("{route}/metrics"), &[]).unwrap().body;
    for label in [r#"customer="Old Mill Theatre""#, r#"session="7""#] {
        assert!(metrics.contains(&format!("{{{label}}} ")), "{label}: {metrics}");
    }

    // Rides at the same time are separate traces, whose queries wait for one another.
    let rides: Vec<_> = thread::scope(|scope| {
        let ride = |request: usize| {
            let frontend = &frontend;
            scope.spawn(move || dispatch(frontend, 123, &format!("7-{request}")))
        };
        let rides: Vec<_> = (2..6).map(ride).collect();
        rides.into_iter().map(|ride| ride.join().unwrap()).collect()
    });
    let mut behind = BTreeSet::new();
    for (ride, request) in rides.iter().zip(2..) {
        let trace = Trace::wait(ride, |id| backend.query().spans(id).unwrap());
        trace.is_a_ride(&format!("7-{request}"), GRPC);
        let blockers = trace.log_field("SQL SELECT", "blockers");
        behind.insert(blockers.split(' ').filter(|blocker| !blocker.is_empty()).count());
    }
    assert_eq!(behind, BTreeSet::from([0, 1, 2, 3]), "each waits for those in front of it");

    // The page links to the trace.
    let config = query::get(&format!("{frontend}/config"), &[]).unwrap().body;
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["trace"], format!("{ui}trace/"));
    let reports = demo::sent(&all.end().unwrap());
    assert_eq!(reports.len(), 6, "{reports:?}");
}

#[test]
fn services_in_processes_of_their_own_make_one_trace() {
    let Some((_turn, backend, hotrod)) = found("hotrod in parts", Kind::JaegerV1) else { return };
    let agent = ["--agent", backend.address("compact")];
    let start = |args: &[&str]| Running::start(&hotrod, &[args, &agent].concat()).unwrap();
    let mut parts = ["customer", "driver", "route"].map(|service| {
        let part = start(&[service, &format!("-{}", &service[..1]), "0", "-D", "50ms"]);
        (service, part)
    });
    let urls = parts
        .each_mut()
        .map(|(service, part)| part.wait_for_line(&format!("{service}: ")).unwrap());
    let ports = urls.each_ref().map(|url| url.rsplit(':').next().unwrap());
    let others = ["-c", ports[0], "-d", ports[1], "-r", ports[2]];
    let own = ["frontend", "-f", "0", "--driver-timeout", "60s"];
    let mut frontend = start(&[&own[..], &others].concat());
    let page = frontend.wait_for_line("frontend: ").unwrap();

    let ride = dispatch(&page, 731, "8-1");
    let trace = Trace::wait(&ride, |id| backend.query().spans(id).unwrap());
    trace.is_a_ride("8-1", GRPC);
    // The customer is baggage, which the third process knows, too.
    let metrics = query::get(&format!("{}/metrics", urls[2]), &[]).unwrap().body;
    assert!(metrics.contains(r#"{customer="Glasshouse Gardens"} "#), "{metrics}");

    // Without one of the services a ride fails, and its trace has the error.
    let [customer, driver, route] = parts;
    let mut reports = demo::sent(&customer.1.end().unwrap());
    let url = format!("{page}/dispatch?customer=731");
    assert_eq!(query::get(&url, &[]).unwrap().status, 502);
    let failed = || {
        let found = format!("http://{}/api/traces?service=frontend", backend.address("query"));
        let traces = query::get(&found, &[]).unwrap().body;
        traces.contains("502") && traces.contains("/customer: ")
    };
    wait("the trace of the ride that failed", || failed().then_some(()));

    for part in [driver.1, route.1, frontend] {
        reports.extend(demo::sent(&part.end().unwrap()));
    }
    let sent: BTreeMap<_, _> = reports.into_iter().collect();
    // The failed ride has three spans: the ride, the request, and its only attempt.
    let wanted = [("customer", 1), ("driver", 1), ("frontend", 27), ("mysql", 1), ("redis", 14)];
    let wanted = wanted.into_iter().chain([("route", 10)]);
    assert_eq!(sent, wanted.map(|(service, spans)| (service.into(), spans)).collect());
}

#[test]
fn a_ride_is_one_trace_over_six_services_in_zipkin() {
    let Some((_turn, backend, hotrod)) = found("hotrod to Zipkin", Kind::Zipkin) else { return };
    let address = backend.address("zipkin");
    let zipkin = Zipkin::new(address);
    for path in ["", "/api/v1/spans", "/api/v2/spans"] {
        let url = format!("http://{address}{path}");
        let mut all = all(&hotrod, &["--zipkin", &url, "-D", "50ms"]);
        let frontend = all.wait_for_line("frontend: ").unwrap();
        let ride = dispatch(&frontend, 567, "9-1");
        let mut trace = Trace::wait(&ride, |id| zipkin.spans(id).unwrap());
        trace.has_boolean_errors = path != "/api/v1/spans";
        trace.is_a_ride("9-1", &GRPC.to_lowercase());
        assert_eq!(trace.spans.len(), 51);

        // The page links to this Zipkin.
        let config = query::get(&format!("{frontend}/config"), &[]).unwrap().body;
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["trace"], format!("http://{address}/zipkin/traces/"));
        let link = format!("{}{ride}", config["trace"].as_str().unwrap());
        let shown = query::get(&link, &[]).unwrap();
        assert_eq!((shown.status, shown.body.contains("<title>Zipkin")), (200, true), "{link}");
        let sent: u64 = demo::sent(&all.end().unwrap()).into_iter().map(|(_, spans)| spans).sum();
        assert_eq!(sent, 51, "{path}");
    }
}

/// Starts a server, for one test at a time.
fn found(test: &str, kind: Kind) -> Option<(MutexGuard<'static, ()>, Backend, PathBuf)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    opt_in::set_up(test, || Ok((turn, Backend::start(kind)?, Programs::build()?.hotrod)))
}

/// Starts all services in one process on free ports, and waits until they listen.
fn all(hotrod: &Path, options: &[&str]) -> Running {
    let free = ["all", "-f", "0", "-c", "0", "-d", "0", "-r", "0", "--driver-timeout", "60s"];
    let mut all = Running::start(hotrod, &[&free, options].concat()).unwrap();
    all.wait_for_line("Ctrl-C stops it.").unwrap();
    all
}

/// Requests a ride, as the page does, and returns its trace id.
fn dispatch(frontend: &str, customer: u32, request: &str) -> String {
    let session = request.split('-').next().unwrap();
    let baggage = format!("session={session}, request={request}");
    let url = format!("{frontend}/dispatch?customer={customer}");
    let response = query::get(&url, &[("jaeger-baggage".into(), baggage)]).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    let ride: Value = serde_json::from_str(&response.body).unwrap();
    ride["TraceID"].as_str().unwrap().to_owned()
}

/// The trace of a ride.
struct Trace {
    spans: Vec<Value>,
    /// Whether boolean tags are stored, which Zipkin v1 does not do.
    has_boolean_errors: bool,
}

impl Trace {
    /// Waits until the trace is complete. The number of its reads depends on how many of them failed.
    fn wait(id: &str, spans: impl Fn(&str) -> Vec<Value>) -> Self {
        wait("all spans of a ride", || {
            let trace = Self { spans: spans(id), has_boolean_errors: true };
            let reads = trace.named("GetDriver");
            let good = reads.iter().filter(|read| !timed_out(read)).count();
            (good == 10 && trace.spans.len() == 38 + reads.len()).then_some(trace)
        })
    }

    /// Returns all spans with this name, which Zipkin converts to lower case.
    fn named(&self, operation: &str) -> Vec<&Value> {
        let is_it =
            |span: &&Value| span["operation"].as_str().unwrap().eq_ignore_ascii_case(operation);
        self.spans.iter().filter(is_it).collect()
    }

    fn one(&self, operation: &str) -> &Value {
        let [span] = self.named(operation)[..] else { panic!("one {operation}: {:?}", self.spans) };
        span
    }

    fn is_a_ride(&self, request: &str, grpc: &str) {
        let reads = self.named("GetDriver").len();
        let mut count = BTreeMap::<(&str, String), usize>::new();
        let mut by_id = BTreeMap::new();
        for span in &self.spans {
            let name = span["operation"].as_str().unwrap().to_lowercase();
            *count.entry((span["service"].as_str().unwrap(), name)).or_default() += 1;
            by_id.insert(span["span"].as_str().unwrap(), span);
        }
        let wanted = [
            ("customer", "http get /customer", 1),
            ("driver", "/driver.driverservice/findnearest", 1),
            ("frontend", "/driver.driverservice/findnearest", 1),
            ("frontend", "http get", 11),
            ("frontend", "http get /dispatch", 1),
            ("frontend", "http get: /customer", 1),
            ("frontend", "http get: /route", 10),
            ("mysql", "sql select", 1),
            ("redis", "finddriverids", 1),
            ("redis", "getdriver", reads),
            ("route", "http get /route", 10),
        ];
        let wanted = wanted.map(|(service, name, count)| ((service, name.to_owned()), count));
        assert_eq!(count, BTreeMap::from(wanted));

        // One root, and each other span below its caller's.
        for span in &self.spans {
            let parent = span["references"][0][2].as_str().map(|id| by_id[id]);
            let below = parent.map_or(String::new(), |parent| {
                assert!(parent["start"].as_i64() <= span["start"].as_i64().map(|at| at + 1_000));
                format!("{} {}", parent["service"], parent["operation"]).to_lowercase()
            });
            let name = span["operation"].as_str().unwrap().to_lowercase();
            let wanted = match (span["service"].as_str().unwrap(), &*name) {
                (_, "http get /dispatch") => "",
                ("frontend", "http get") => {
                    assert!(below.starts_with(r#""frontend" "http get: /"#), "{below}");
                    continue;
                }
                ("frontend", _) => r#""frontend" "http get /dispatch""#,
                ("customer" | "route", _) => r#""frontend" "http get""#,
                ("driver", _) => r#""frontend" "/driver.driverservice/findnearest""#,
                ("mysql", _) => r#""customer" "http get /customer""#,
                (_, _) => r#""driver" "/driver.driverservice/findnearest""#,
            };
            assert_eq!(below, wanted, "{span}");
        }

        // Only reads of the cache failed, and were retried.
        for span in &self.spans {
            let failed = span["service"] == "redis" && timed_out(span);
            let error = tag(span, "error");
            assert_eq!(
                error == true || error == "true",
                failed && self.has_boolean_errors,
                "{span}"
            );
        }
        let failed = reads - 10;
        let reported = self.spans.iter().find(|span| span["service"] == "driver").unwrap();
        assert_eq!(reported["operation"], grpc);
        assert_eq!(
            reported["logs"].to_string().matches("driver not read").count(),
            failed,
            "{reported}"
        );

        // The database, two services on, knows the baggage of the browser.
        let query = self.one("SQL SELECT");
        assert_eq!(tag(query, "request"), request);
        assert!(tag(query, "sql.query").as_str().unwrap().contains("customer_id="), "{query}");
    }

    /// Asserts that numbers and booleans have their types, if the server stores types.
    fn is_typed_as_it_was_sent(&self) {
        let failed = self.named("GetDriver").into_iter().find(|span| timed_out(span)).unwrap();
        let id = tag(failed, "param.driverID");
        assert_eq!(
            failed["tags"],
            json!([
                ["span.kind", "string", "client"],
                ["peer.service", "string", "redis"],
                ["param.driverID", "string", id],
                ["error", "bool", true],
            ])
        );
        let logs = &failed["logs"];
        let fields = json!([["event", "string", "redis timeout"], ["level", "string", "error"]]);
        assert_eq!((logs.as_array().unwrap().len(), &logs[0][1]), (1, &fields), "{failed}");
        let dispatched = self.one("HTTP GET /dispatch");
        assert_eq!(tag(dispatched, "http.status_code"), "200");
        let last = &dispatched["logs"].as_array().unwrap().last().unwrap()[1];
        assert_eq!(last[0], json!(["event", "string", "ride dispatched"]));
        assert_eq!((&last[3][0], &last[3][1]), (&json!("eta.sec"), &json!("int64")), "{last}");
    }

    /// Returns the field of this name in the logs of a span; empty if there is none.
    fn log_field(&self, operation: &str, key: &str) -> String {
        let span = self.one(operation);
        let logs = span["logs"].as_array().unwrap();
        let mut fields = logs.iter().flat_map(|log| log[1].as_array().unwrap());
        let found = fields.find(|field| field[0] == key);
        found.map_or(String::new(), |field| field[2].as_str().unwrap().into())
    }
}

fn timed_out(span: &Value) -> bool {
    span["logs"].to_string().contains("redis timeout")
}

fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {TIMEOUT:?} for {what}");
        thread::sleep(command::INTERVAL);
    }
}

/// The operation name of the request for drivers.
const GRPC: &str = "/driver.DriverService/FindNearest";

const TIMEOUT: Duration = Duration::from_secs(60);
