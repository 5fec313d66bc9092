//! Sending as OTLP over HTTP: what a server gets, and what becomes of spans whatever it answers.

#![cfg(feature = "otlp")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::http::{BRIEF, Late, Request, Server, ServerResponse, status};
use crate::support::otlp::{Failure, PartialSuccess, Request as Export, Response};
use crate::support::{MemoryLogger, SOON, builder, memory_logger};
#[cfg(not(feature = "otlp-gzip"))]
use jaeger_client::OtlpCompression;
use jaeger_client::propagation::{HttpHeaders, W3cFormat};
use jaeger_client::{
    Closer, Destination, FlushReport, InMemoryReporter, OtlpConfig, TailSamplingConfig, Tracer,
};
use prost::Message;

fn config(server: &Server) -> OtlpConfig {
    OtlpConfig::new(server.url())
}

fn sending_to(config: OtlpConfig) -> (Tracer, Closer, Arc<MemoryLogger>) {
    let logger = memory_logger();
    let built = builder().shards(1).logger(Arc::clone(&logger)).otlp(config).build();
    let (tracer, closer) = built.unwrap();
    (tracer, closer, logger)
}

fn finish_spans(tracer: &Tracer, count: usize) {
    for n in 0..count {
        tracer.span(format!("op-{n}")).tag("n", n).start().finish();
    }
}

/// The names of the spans in a request.
fn names(request: &Request) -> Vec<String> {
    let export = Export::decode(&*request.body).unwrap();
    let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
}

/// How often each span was in a request that the server took.
fn taken(server: &Server, took: impl Fn(usize) -> bool) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (number, request) in server.requests().iter().enumerate() {
        if took(number) {
            names(request).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        }
    }
    counts
}

fn partial(rejected: i64, message: &str) -> ServerResponse {
    let success = PartialSuccess { rejected_spans: rejected, error_message: message.into() };
    let body = Response { partial_success: Some(success) }.encode_to_vec();
    ServerResponse::Status(200, "content-type: application/x-protobuf\r\n", body)
}

fn retry_after(code: u16, value: &str) -> ServerResponse {
    let head = format!("HTTP/1.1 {code} x\r\nretry-after: {value}\r\ncontent-length: 0\r\n");
    ServerResponse::Raw(format!("{head}connection: close\r\n\r\n").into())
}

/// Sends one span; fails unless all is in balance.
fn send_one(config: OtlpConfig) -> (FlushReport, Arc<MemoryLogger>) {
    let (tracer, closer, logger) = sending_to(config);
    finish_spans(&tracer, 1);
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert!(closer.close(SOON).complete);
    (report, logger)
}

#[test]
fn a_server_gets_requests_of_protobuf_on_one_connection() {
    let server = Server::start(|_, _| partial(0, ""));
    let (tracer, closer, logger) =
        sending_to(OtlpConfig { max_body_bytes: 20_000, ..config(&server) });
    finish_spans(&tracer, 1_000);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.acknowledged), (1_000, 1_000), "{stats}");
    let requests = server.requests();
    assert!(requests.len() > 3 && requests.iter().all(|request| request.body.len() <= 20_000));
    assert_eq!(server.connections(), 1);
    for request in &requests {
        assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.header("content-encoding"), None);
    }
    let sent: Vec<_> = requests.iter().flat_map(names).collect();
    assert_eq!(sent, (0..1_000).map(|n| format!("op-{n}")).collect::<Vec<_>>());
    assert!(logger.all().is_empty(), "{:?}", logger.all());
}

#[test]
fn requests_name_exporter_language_and_version_behind_the_product() {
    let version = env!("CARGO_PKG_VERSION");
    let own = format!("OTel-OTLP-Exporter-Rust/{version}");
    for (product, expected) in [
        (None, format!("jaeger-client-rust/{version} {own}")),
        (Some("Shop/2.0"), format!("Shop/2.0 jaeger-client-rust/{version} {own}")),
    ] {
        let server = Server::start(|_, _| status(200));
        let mut headers = vec![("x-tenant".to_owned(), "shop".to_owned())];
        headers.extend(product.map(|product| ("User-Agent".to_owned(), product.to_owned())));
        let (report, _) = send_one(OtlpConfig { headers, ..config(&server) });
        assert_eq!(report.stats.acknowledged, 1);
        let request = &server.requests()[0];
        assert_eq!(request.header("user-agent"), Some(expected.as_str()));
        assert_eq!(request.header("x-tenant"), Some("shop"));
        let agents = request.headers.iter().filter(|(name, _)| name == "user-agent").count();
        assert_eq!(agents, 1);
    }
}

#[test]
fn only_the_statuses_that_otlp_names_are_retried() {
    for code in (400..=417).chain([421, 425, 429, 431]).chain(500..=511) {
        let server = Server::start(move |n, _| status(if n == 0 { code } else { 200 }));
        let (report, logger) = send_one(config(&server));
        let (stats, requests) = (report.stats, server.requests().len());
        let is_retried = [429, 502, 503, 504].contains(&code);
        if is_retried {
            assert_eq!((stats.acknowledged, requests), (1, 2), "{code}: {stats}");
            let may_be_there = u64::from([502, 504].contains(&code));
            assert_eq!(stats.possible_duplicates, may_be_there, "{code}");
        } else if code == 413 {
            // The span is made smaller, and then it fits.
            assert_eq!(stats.dropped.total() + stats.acknowledged, 1, "{stats}");
        } else {
            assert_eq!((stats.dropped.send_failed, requests), (1, 1), "{code}: {stats}");
            assert!(logger.has(&format!("responded with {code}")), "{:?}", logger.all());
        }
    }
}

#[test]
fn a_partial_success_is_counted_by_cause_reported_and_never_sent_again() {
    for (rejected, expected) in [(0, 0), (3, 3), (10, 10), (i64::MAX, 10), (-1, 0)] {
        let server = Server::start(move |_, _| partial(rejected, "too\nold, says s3cret"));
        let headers = vec![("x-key".to_owned(), "s3cret".to_owned())];
        let (tracer, closer, logger) = sending_to(OtlpConfig { headers, ..config(&server) });
        finish_spans(&tracer, 10);
        let report = closer.close(SOON);
        let stats = report.stats;
        assert!(report.complete && stats.is_balanced(), "{report}");
        assert_eq!((stats.acknowledged, stats.sent), (10 - expected, 10 - expected), "{stats}");
        assert_eq!((stats.dropped.rejected, stats.dropped.total()), (expected, expected));
        assert_eq!(server.requests().len(), 1, "{rejected}");
        let messages = logger.all().join("\n");
        assert!(
            messages.contains("too old, says (hidden)") && !messages.contains("s3cret"),
            "{messages}"
        );
    }
}

#[test]
fn retry_after_is_respected_in_both_forms_and_beyond_the_bound_the_message_is_given_up() {
    for (value, retried) in [
        ("0", true),
        ("1", true),
        ("Thu, 01 Jan 1970 00:00:00 GMT", true),
        ("Sunday, 06-Nov-94 08:49:37 GMT", true),
        ("3600", false),
        ("Fri, 31 Dec 9999 23:59:59 GMT", false),
    ] {
        for code in [429, 503] {
            let server = Server::start(move |n, _| match n {
                0 => retry_after(code, value),
                _ => status(200),
            });
            let began = std::time::Instant::now();
            let (report, _) = send_one(config(&server));
            let stats = report.stats;
            let expected = if retried { (1, 0) } else { (0, 1) };
            assert_eq!((stats.acknowledged, stats.dropped.send_failed), expected, "{value}");
            assert_eq!(server.requests().len(), 1 + usize::from(retried), "{value}");
            assert!(value != "1" || began.elapsed() >= Duration::from_secs(1), "{value}");
        }
    }
}

#[test]
fn what_a_server_finds_too_large_is_sent_in_parts_and_nothing_is_lost() {
    // The responses of Jaeger 2.13 and of the specification to a request that is too large.
    for code in [400, 413] {
        let server = Server::start(move |_, request| {
            status(if request.body.len() > 9_000 { code } else { 200 })
        });
        let (tracer, closer, _) = sending_to(config(&server));
        finish_spans(&tracer, 500);
        let report = closer.close(SOON);
        assert_eq!(report.stats.acknowledged, 500, "{code}: {report}");
        let limit = server.requests();
        let taken = taken(&server, |n| limit[n].body.len() <= 9_000);
        assert_eq!((taken.len(), taken.values().sum::<u64>()), (500, 500), "{code}");
    }
}

#[test]
fn one_bad_span_costs_one_span() {
    let is_bad = |request: &Request| names(request).iter().any(|name| name == "op-77");
    let server = Server::start(move |_, request| {
        let body = Failure { code: 3, message: "a bad span".into(), details: Vec::new() };
        let bad = ServerResponse::Status(400, "", body.encode_to_vec());
        if is_bad(request) { bad } else { status(200) }
    });
    let (tracer, closer, logger) = sending_to(config(&server));
    finish_spans(&tracer, 200);
    let report = closer.close(SOON);
    let stats = report.stats;
    assert_eq!((stats.acknowledged, stats.dropped.send_failed), (199, 1), "{report}");
    assert!(logger.has("op-77") && logger.has("a bad span"), "{:?}", logger.all());
}

#[test]
fn an_unreadable_response_takes_nothing_back_and_is_not_retried() {
    let cut = b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n\x0a\x02".to_vec();
    for (response, words) in [
        (ServerResponse::Endless(200), "too long"),
        (ServerResponse::Raw(cut), "ended early"),
        (ServerResponse::Status(200, "", b"<html>login</html>".to_vec()), "not OTLP: <html>"),
        (ServerResponse::Status(202, "", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), "not OTLP"),
    ] {
        let own = response.clone();
        let server = Server::start(move |_, _| own.clone());
        let max_response_bytes = 100_000;
        let (report, logger) = send_one(OtlpConfig { max_response_bytes, ..config(&server) });
        assert_eq!((report.stats.acknowledged, server.requests().len()), (1, 1), "{report}");
        assert!(logger.has(words), "{words}: {:?}", logger.all());
    }
}

#[test]
fn a_message_whose_response_never_ends_is_over_in_time() {
    let server = Server::start(|_, _| ServerResponse::Hang);
    let timeout = Duration::from_secs(2);
    let (report, logger) = send_one(OtlpConfig { timeout, ..config(&server) });
    let stats = report.stats;
    assert_eq!((stats.dropped.send_failed, stats.unconfirmed), (1, 1), "{stats}");
    assert_eq!(server.requests().len(), 1, "the server is no faster for it");
    assert!(logger.has("took longer"), "{:?}", logger.all());
}

#[test]
fn after_a_lost_connection_the_same_request_is_sent_again() {
    let server = Server::start(|n, _| if n == 0 { ServerResponse::Close } else { status(200) });
    let (report, _) = send_one(config(&server));
    let stats = report.stats;
    assert_eq!((stats.acknowledged, stats.possible_duplicates), (1, 1), "{stats}");
    let requests = server.requests();
    assert!(requests.len() == 2 && requests[0].body == requests[1].body);
}

#[test]
fn a_server_that_comes_late_gets_everything() {
    let late = Late::new();
    let (tracer, closer, _) = sending_to(OtlpConfig::new(late.url()));
    finish_spans(&tracer, 3);
    assert!(!tracer.flush(BRIEF).complete, "it is tried again");
    let server = late.start(|_, _| status(200));
    let report = tracer.flush(SOON);
    assert_eq!(report.stats.acknowledged, 3, "{report}");
    assert_eq!(names(&server.requests()[0]).len(), 3);
    assert!(closer.close(SOON).complete);
}

#[test]
fn whatever_a_server_does_each_span_is_counted_once_and_what_it_took_is_acknowledged() {
    // (what it answers, whether it took the spans)
    type Fault = (fn() -> ServerResponse, bool);
    let faults: [Fault; 11] = [
        (|| status(200), true),
        (|| status(202), true),
        (|| status(500), false),
        (|| status(503), false),
        (|| retry_after(503, "0"), false),
        (|| retry_after(429, "Thu, 01 Jan 1970 00:00:00 GMT"), false),
        (|| ServerResponse::Close, false),
        (|| ServerResponse::Nonsense, false),
        (|| ServerResponse::Endless(200), true),
        (|| ServerResponse::Raw(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n".to_vec()), true),
        (|| ServerResponse::Raw(b"HTTP/1.1 50".to_vec()), false),
    ];
    let mut random = crate::support::Seeded::new(7);
    let script: Vec<usize> = (0..400)
        .map(|_| if random.below(2) == 0 { 0 } else { usize::try_from(random.below(11)).unwrap() })
        .collect();
    let responses = script.clone();
    let server = Server::start(move |n, _| faults[responses[n % responses.len()]].0());
    let (tracer, closer, _) = sending_to(OtlpConfig {
        timeout: SOON,
        max_body_bytes: 3_000,
        max_response_bytes: 10_000,
        max_attempts: 3,
        ..config(&server)
    });
    for n in 0..40 {
        (0..25).for_each(|i| tracer.start_span(format!("op-{}", n * 25 + i)).finish());
        let report = tracer.flush(SOON);
        assert!(report.stats.is_balanced(), "{report}");
    }
    let report = closer.close(SOON);
    let stats = report.stats;
    assert!(report.complete && stats.is_balanced(), "{report}");
    assert_eq!(stats.acknowledged + stats.dropped.total(), 1_000, "{report}");
    assert_eq!(stats.sent, stats.acknowledged);
    assert!(stats.acknowledged > 500 && stats.dropped.total() > 0, "{report}");
    let taken = taken(&server, |n| faults[script[n % script.len()]].1);
    assert_eq!(taken.len() as u64, stats.acknowledged, "{report}");
    assert!(taken.values().all(|times| *times == 1), "what was taken is not sent again");
}

#[test]
fn likely_mistakes_in_the_url_are_logged_once_and_where_spans_go_is_information() {
    let server = Server::start(|_, _| status(200));
    let traces_endpoint = Some(format!("{}/traces", server.url()));
    let (report, logger) = send_one(OtlpConfig { traces_endpoint, ..OtlpConfig::default() });
    assert_eq!(report.stats.acknowledged, 1);
    assert_eq!(server.requests()[0].line, "POST /traces HTTP/1.1");
    assert!(logger.has("at the path /v1/traces"), "{:?}", logger.all());
    let grpc = OtlpConfig::new("http://127.0.0.1:4317");
    let (_tracer, _closer, logger) = sending_to(grpc);
    assert!(logger.has("this looks like an OTLP/gRPC port"), "{:?}", logger.all());
}

#[test]
fn what_cannot_be_used_is_an_error_that_says_what_to_write() {
    let refused = |config: OtlpConfig| builder().otlp(config).build().map(drop).unwrap_err();
    let default = OtlpConfig::default;
    let header = |name: &str| vec![(name.to_owned(), "a\nb s3cret".to_owned())];
    for (config, words) in [
        (OtlpConfig::new("c:4318"), ["reporter.otlp.endpoint", "http://collector:4318"]),
        (OtlpConfig { max_body_bytes: 1_000, ..default() }, ["otlp.max_body_bytes", "1024"]),
        (OtlpConfig { max_body_bytes: (64 << 20) + 1, ..default() }, ["67108865", "64 MiB"]),
        (OtlpConfig { headers: header("x"), ..default() }, ["reporter.otlp.headers", "\"x\""]),
        (OtlpConfig { headers: header("user-agent"), ..default() }, ["otlp.headers", "user-agent"]),
        (
            OtlpConfig { ca_certificates: Some("pem".into()), ..default() },
            ["reporter.otlp.ca_certificates", "https://"],
        ),
        #[cfg(not(feature = "otlp-gzip"))]
        (
            OtlpConfig { compression: OtlpCompression::Gzip, ..default() },
            ["reporter.otlp.compression", "feature `otlp-gzip`"],
        ),
        #[cfg(not(feature = "tls"))]
        (OtlpConfig::new("https://c:4318"), ["reporter.otlp.endpoint", "feature `tls`"]),
    ] {
        let error = refused(config).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn both_destinations_get_the_same_spans_with_the_same_ids() {
    let agent = Agent::start();
    let server = Server::start(|_, _| status(200));
    let (tracer, closer) = builder()
        .agent(agent.address())
        .add_destination(Destination::otlp(config(&server)))
        .build()
        .unwrap();
    finish_spans(&tracer, 100);
    assert!(closer.close(SOON).complete);
    let by_otlp: BTreeSet<(Vec<u8>, Vec<u8>)> = server
        .requests()
        .iter()
        .flat_map(|request| Export::decode(&*request.body).unwrap().resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .map(|span| (span.trace_id, span.span_id))
        .collect();
    let id = |(high, low): (u64, u64)| [high.to_be_bytes(), low.to_be_bytes()].concat();
    let spans = agent.spans(100);
    let by_thrift: BTreeSet<_> =
        spans.iter().map(|span| (id(span.trace), span.id.to_be_bytes().to_vec())).collect();
    assert_eq!(by_otlp, by_thrift);
    assert!(spans.iter().all(|span| span.trace.0 != 0), "128 bits by default");
}

/// The `trace_state` of each span that a server got, by name; and which have the tag for it besides.
fn trace_states(server: &Server) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    for request in server.requests() {
        let export = Export::decode(&*request.body).unwrap();
        let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            assert!(span.attributes.iter().all(|attribute| attribute.key != "w3c.tracestate"));
            assert_eq!(span.flags, 1);
            states.insert(span.name, span.trace_state);
        }
    }
    states
}

#[test]
fn what_others_carry_in_tracestate_is_that_of_every_span_of_the_trace() {
    for tail_sampling in [false, true] {
        let server = Server::start(|_, _| status(200));
        let mut to_otlp = builder().shards(1).format(W3cFormat::default());
        if tail_sampling {
            to_otlp = to_otlp.tail_sampling(TailSamplingConfig::default());
        }
        let (tracer, closer) = to_otlp.otlp(config(&server)).build().unwrap();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = |state: &str| {
            HttpHeaders(vec![
                ("traceparent".to_owned(), parent.to_owned()),
                ("tracestate".to_owned(), state.to_owned()),
            ])
        };
        let remote = tracer.extract(&headers("jaeger=0:0:0:1,a=1,b=2")).unwrap();
        let server_span = tracer.span("server").child_of(&remote).start();
        let child = tracer.span("child").child_of(&server_span).tag("n", 1).start();
        {
            let _scope = child.activate();
            tracer.start_span("active").finish();
        }
        server_span.set_baggage_item("user", "7");
        drop(server_span.child("with baggage"));
        let own = tracer.span("own tag").child_of(&child).start();
        own.set_tag("w3c.tracestate", "c=3");
        drop((own, child, server_span));
        tracer.start_span("other trace").finish();
        let without = tracer.extract(&headers("jaeger=0:0:0:1")).unwrap();
        tracer.span("nothing carried").child_of(&without).start().finish();
        tracer.span("linked").follows_from(&without).child_of(&remote).start().finish();

        let stats = closer.close(SOON).stats;
        assert_eq!((stats.acknowledged, stats.is_balanced()), (8, true), "{stats}");
        let states = trace_states(&server);
        let states: Vec<_> = states.iter().map(|(name, state)| (&**name, &**state)).collect();
        let expected = [
            ("active", "a=1,b=2"),
            ("child", "a=1,b=2"),
            ("linked", "a=1,b=2"),
            ("nothing carried", ""),
            ("other trace", ""),
            ("own tag", "c=3"),
            ("server", "a=1,b=2"),
            ("with baggage", "a=1,b=2"),
        ];
        assert_eq!(states, expected, "tail sampling: {tail_sampling}");
    }
}

#[test]
fn tracestate_is_no_tag_where_no_destination_is_otlp() {
    let reporter = InMemoryReporter::new();
    let (tracer, _closer) =
        builder().format(W3cFormat::default()).in_memory(&reporter).build().unwrap();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", parent), ("tracestate", "a=1")];
    let headers = HttpHeaders(headers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
    let remote = tracer.extract(&headers).unwrap();
    assert_eq!(remote.trace_state(), Some("a=1"));
    tracer.span("server").child_of(&remote).start().finish();
    let span = reporter.find("server").unwrap();
    assert!(span.view().tags().all(|tag| tag.key != b"w3c.tracestate"), "{span:?}");
}
