//! Rides through the real services on free ports, read back from the agent they send to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "the helpers of tests are tests as well"
)]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use hotrod::{Running, Settings, Which};
use jaeger_client::TraceId;
use jaeger_client::encoding::ValueView;
use jaeger_client_embedded_agent::{ReceivedSpan, Trace};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Starts all services on free ports.
async fn all(db_query_delay: Duration) -> Running {
    let (frontend_port, customer_port, driver_port, route_port) = (0, 0, 0, 0);
    let ports =
        Settings { frontend_port, customer_port, driver_port, route_port, ..Settings::default() };
    // The default is too short on a busy machine.
    let driver_timeout = PATIENCE;
    hotrod::start(Which::All, Settings { db_query_delay, driver_timeout, ..ports }).await.unwrap()
}

/// Status and body of what is at `path`.
async fn get(at: SocketAddr, path: &str, baggage: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {at}\r\njaeger-baggage: {baggage}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    (status, response.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn ride(running: &Running, customer: u32, request: &str) -> Value {
    let at = running.address("frontend").unwrap();
    let baggage = format!("session=77, request={request}");
    let (status, body) = get(at, &format!("/dispatch?customer={customer}&nonse=1"), &baggage).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The trace of a ride, once it has this many spans.
fn trace(running: &Running, ride: &Value, spans: usize) -> Trace {
    let id = u64::from_str_radix(ride["TraceID"].as_str().unwrap(), 16).unwrap();
    let id = TraceId::new(0, id);
    running.agent().unwrap().wait_for_trace(id, spans, PATIENCE).unwrap()
}

fn named<'t>(trace: &'t Trace, operation: &str) -> Vec<&'t ReceivedSpan> {
    trace.spans().iter().filter(|span| span.operation_name() == operation).collect()
}

fn text(span: &ReceivedSpan, tag: &str) -> Option<String> {
    match span.tag(tag) {
        Some(ValueView::Str(text)) => Some(String::from_utf8_lossy(text).into()),
        _ => None,
    }
}

/// Returns what the logs of a span say under this key.
fn logged(span: &ReceivedSpan, wanted: &str) -> Vec<String> {
    let view = span.view();
    let mut found = Vec::new();
    for log in view.logs() {
        for field in log.fields() {
            if let (true, ValueView::Str(text)) = (field.key == wanted.as_bytes(), field.value) {
                found.push(String::from_utf8_lossy(text).into());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ride_is_one_trace_over_six_services() {
    let running = all(Duration::from_millis(20)).await;
    let ride = ride(&running, 392, "77-1").await;
    assert!(ride["ETA"].as_u64().unwrap() >= 120_000_000_000, "{ride}");
    let driver = ride["Driver"].as_str().unwrap();
    assert!(driver.len() == 8 && driver.starts_with("T7") && driver.ends_with('C'), "{ride}");

    let trace = trace(&running, &ride, 51);
    let mut count = BTreeMap::<(String, String), usize>::new();
    for span in trace.spans() {
        *count.entry((span.service().into(), span.operation_name().into())).or_default() += 1;
    }
    let grpc = "/driver.DriverService/FindNearest";
    let expected = [
        ("customer", "HTTP GET /customer", 1),
        ("driver", grpc, 1),
        ("frontend", grpc, 1),
        ("frontend", "HTTP GET", 11),
        ("frontend", "HTTP GET /dispatch", 1),
        ("frontend", "HTTP GET: /customer", 1),
        ("frontend", "HTTP GET: /route", 10),
        ("mysql", "SQL SELECT", 1),
        ("redis", "FindDriverIDs", 1),
        ("redis", "GetDriver", 13),
        ("route", "HTTP GET /route", 10),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(service, operation, count)| ((service.into(), operation.into()), count))
        .collect();
    assert_eq!(count, expected, "{trace}");

    // Each span's parent is the one that caused it, over all borders between services.
    let by_id: HashMap<_, _> = trace.spans().iter().map(|span| (span.span_id(), span)).collect();
    for span in trace.spans() {
        let parent = by_id.get(&span.parent_span_id()).map(|parent| parent.operation_name());
        let expected = match (&*span.service(), &*span.operation_name()) {
            (_, "HTTP GET /dispatch") => None,
            ("customer" | "route", _) => Some("HTTP GET"),
            ("mysql", _) => Some("HTTP GET /customer"),
            ("redis" | "driver", _) => Some(grpc),
            ("frontend", "HTTP GET") => {
                assert!(parent.as_ref().unwrap().starts_with("HTTP GET: /"), "{trace}");
                continue;
            }
            _ => Some("HTTP GET /dispatch"),
        };
        assert_eq!(parent.as_deref(), expected, "{span:?}\n{trace}");
    }

    // The first read of a driver and every fifth from there on failed, and only those.
    let reads = named(&trace, "GetDriver");
    let mut reads = reads;
    reads.sort_by_key(|span| span.start());
    let failed: Vec<_> =
        reads.iter().enumerate().filter(|(_, span)| span.is_error()).map(|(at, _)| at).collect();
    assert_eq!(failed, [0, 5, 10]);
    assert!(logged(reads[0], "event").contains(&"redis timeout".into()));
    assert_eq!(trace.error_count(), 3, "{trace}");

    let select = trace.span("SQL SELECT").unwrap();
    assert_eq!(text(select, "peer.service").as_deref(), Some("mysql"));
    assert_eq!(text(select, "span.kind").as_deref(), Some("client"));
    assert!(text(select, "sql.query").unwrap().ends_with("customer_id=392"));
    assert_eq!(text(select, "request").as_deref(), Some("77-1"));

    // The route service, two borders on, counts for the customer and the session of the baggage.
    let (_, metrics) = get(running.address("route").unwrap(), "/metrics", "").await;
    for label in [r#"by_customer_sec_total{customer="Old Mill Theatre"}"#, r#"{session="77"}"#] {
        let line = metrics.lines().find(|line| line.contains(label));
        let seconds: f64 = line.expect(&metrics).rsplit(' ').next().unwrap().parse().unwrap();
        assert!(seconds > 0.1 && seconds < 60.0, "{metrics}");
    }
    let routes = r#"requests_total{service="route",endpoint="/route",status="200"} 10"#;
    assert!(metrics.contains(routes), "{metrics}");

    let sent: u64 = running
        .close(PATIENCE)
        .into_iter()
        .map(|(service, report)| {
            assert!(report.complete && report.stats.dropped.total() == 0, "{service}: {report}");
            report.stats.sent
        })
        .sum();
    assert_eq!(sent, 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_stay_few_and_short_whatever_sessions_there_are() {
    let running = all(Duration::from_millis(20)).await;
    let at = running.address("route").unwrap();
    let mut requested = tokio::task::JoinSet::new();
    for session in 0..400 {
        // Some of them as long as baggage may be.
        let session =
            if session % 8 == 0 { "x".repeat(2000 - session) } else { session.to_string() };
        let baggage = format!("session={session}, customer={session}");
        requested.spawn(async move { get(at, "/route?pickup=1,1&dropoff=2,2", &baggage).await });
    }
    assert!(requested.join_all().await.iter().all(|(status, _)| *status == 200));
    let (_, metrics) = get(at, "/metrics", "").await;
    for label in ["{session=", "{customer="] {
        let series: Vec<_> = metrics.lines().filter(|line| line.contains(label)).collect();
        assert_eq!(series.len(), 201, "200 and all the others");
        assert!(series.iter().all(|line| line.len() < 200), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_somebody_makes_up_is_no_name_of_a_span() {
    let running = all(Duration::from_millis(20)).await;
    let mut stream = TcpStream::connect(running.address("route").unwrap()).await.unwrap();
    let head =
        "XyZ123 /route HTTP/1.1\r\nhost: x\r\nuber-trace-id: 7:1:0:1\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
    let trace = running.agent().unwrap().wait_for_trace(TraceId::new(0, 7), 1, PATIENCE).unwrap();
    assert_eq!(trace.spans()[0].operation_name(), "HTTP /route");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_waits_names_the_requests_it_waits_for() {
    // Long enough that they overlap however late the second begins on a busy machine.
    let running = all(Duration::from_secs(3)).await;
    let (one, two) = tokio::join!(ride(&running, 123, "77-1"), ride(&running, 731, "77-2"));
    // Which one came first is theirs: each names the other, or is named.
    let mut waited = Vec::new();
    for (ride, other) in [(one, "77-2"), (two, "77-1")] {
        // The second ride's first read of a driver need not fail: 49 spans at least.
        let trace = trace(&running, &ride, 49);
        let select = trace.span("SQL SELECT").unwrap();
        let events = logged(select, "event");
        assert!(events.iter().any(|event| event.starts_with("Acquired lock with ")), "{events:?}");
        if events.contains(&"Waiting for lock behind 1 transactions".into()) {
            assert_eq!(logged(select, "blockers"), [format!("[{other}]")]);
            assert!(select.duration() > Duration::from_millis(250), "{trace}");
            waited.push(events);
        } else {
            assert_eq!(logged(select, "blockers"), [""; 0]);
        }
    }
    assert_eq!(waited.len(), 1, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_client_or_server_errors_and_the_page_links_to_the_traces() {
    let running = all(Duration::ZERO).await;
    let at = running.address("frontend").unwrap();
    let (status, body) = get(at, "/dispatch?customer=1", "").await;
    assert_eq!((status, &*body), (404, "no customer 1"));
    assert_eq!(get(at, "/dispatch?customer=x", "").await.0, 400);
    assert_eq!(get(at, "/dispatch", "").await.0, 400);
    assert_eq!(get(at, "/elsewhere", "").await.0, 404);

    let (_, page) = get(at, "/", "").await;
    assert!(page.starts_with("<!doctype html>"), "{page}");
    let (_, config) = get(at, "/config", "").await;
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["jaeger"], running.ui());
    let ui = running.agent().unwrap().http_addr().unwrap();
    assert_eq!(config["trace"], format!("http://{ui}/trace/"));
    assert_eq!(config["customers"].as_array().unwrap().len(), 4);

    let ride = ride(&running, 567, "77-1").await;
    trace(&running, &ride, 51);
    let path = format!("/api/traces/{}", ride["TraceID"].as_str().unwrap());
    assert_eq!(get(ui, &path, "").await.0, 200);
}

const PATIENCE: Duration = Duration::from_secs(60);
