//! What a server refuses: one bad span costs one span, and a server that refuses everything little.

#![cfg(feature = "collector-http")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::support::http::{Request, Server, ServerResponse, status};
use crate::support::transport::{By, Taken};
use crate::support::{SOON, binary, builder, memory_logger};
use jaeger_client::transport::Sent;
use jaeger_client::{CollectorFormat, Destination, HttpConfig, Tracer, TransportError};

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// Refuses a list with a span that is bad.
fn refusing_bad_spans(request: &Request) -> ServerResponse {
    match contains(&request.body, "bad op") {
        true => ServerResponse::Status(400, "", b"one of these is bad".to_vec()),
        false => status(202),
    }
}

fn finish(tracer: &Tracer, count: usize, bad: &[usize]) {
    for n in 0..count {
        let name = if bad.contains(&n) { format!("bad op-{n}") } else { format!("op-{n}") };
        tracer.start_span(name).finish();
    }
}

/// The names of spans in lists that were taken.
fn taken(server: &Server, read: fn(&[u8]) -> Vec<String>) -> Vec<String> {
    let requests = server.requests();
    let good = requests.iter().filter(|request| !contains(&request.body, "bad op"));
    good.flat_map(|request| read(&request.body)).collect()
}

fn json_names(body: &[u8]) -> Vec<String> {
    let spans: Vec<serde_json::Value> = serde_json::from_slice(body).unwrap();
    spans.iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_bad_span_costs_one_span_in_every_format_and_is_named() {
    for (format, read) in [
        (CollectorFormat::Jaeger, binary::body_names as fn(&[u8]) -> Vec<String>),
        (CollectorFormat::ZipkinThrift, binary::zipkin_names),
        (CollectorFormat::ZipkinJson, json_names),
    ] {
        for bad in [&[0][..], &[299], &[150], &[17, 18, 200], &[0, 299]] {
            let (server, logger) =
                (Server::start(|_, request| refusing_bad_spans(request)), memory_logger());
            let config = HttpConfig { format: Some(format), ..HttpConfig::new(server.url()) };
            let builder = builder().logger(Arc::clone(&logger)).collector(config);
            let (tracer, closer) = builder.build().unwrap();
            finish(&tracer, 300, bad);
            let report = closer.close(SOON);
            let stats = report.stats;
            assert!(report.complete && stats.is_balanced(), "{report}");
            let lost = bad.len() as u64;
            assert_eq!((stats.sent, stats.dropped.send_failed), (300 - lost, lost), "{report}");
            let names: BTreeSet<_> = taken(&server, read).into_iter().collect();
            assert_eq!(names.len() as u64, 300 - lost, "each good span arrived once");
            let requests = server.requests().len();
            assert!(requests <= 2 + 18 * bad.len(), "{format:?} {bad:?}: {requests}");
            let lines = logger.all();
            let refused: Vec<_> =
                lines.iter().filter(|line| line.contains("was refused")).collect();
            assert_eq!(refused.len(), 1, "once a minute: {lines:?}");
            assert!(refused[0].contains(&format!("\"bad op-{}\"", bad[0])), "{lines:?}");
            assert!(refused[0].contains("one of these is bad"), "{lines:?}");
        }
    }
}

#[test]
fn a_server_that_refuses_everything_costs_few_requests_and_gets_another_chance() {
    let refuses = Arc::new(Mutex::new(true));
    let still = Arc::clone(&refuses);
    let server = Server::start(move |_, _| status(if *still.lock().unwrap() { 400 } else { 202 }));
    let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
    for _ in 0..20 {
        finish(&tracer, 500, &[]);
        let stats = tracer.flush(SOON).stats;
        assert!(stats.is_balanced() && stats.sent == 0, "{stats}");
    }
    let requests = server.requests().len();
    assert!(requests < 64 + 20 + 20, "{requests} for 20 messages");
    *refuses.lock().unwrap() = false;
    finish(&tracer, 500, &[]);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.send_failed), (500, 10_000), "{stats}");
}

#[test]
fn what_is_no_matter_of_the_list_is_not_halved() {
    for code in [401, 403, 404, 405, 415, 501] {
        let server = Server::start(move |_, _| status(code));
        let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
        finish(&tracer, 100, &[]);
        let stats = closer.close(SOON).stats;
        assert_eq!((stats.dropped.send_failed, server.requests().len()), (100, 1), "{code}");
    }
}

#[test]
fn a_second_destination_halves_its_own_lists_alone() {
    let (first, second) = (
        Server::start(|_, _| status(202)),
        Server::start(|_, request| refusing_bad_spans(request)),
    );
    let (tracer, closer) = builder()
        .collector(HttpConfig::new(first.url()))
        .add_destination(Destination::collector(HttpConfig::new(second.url())).named("second"))
        .build()
        .unwrap();
    finish(&tracer, 300, &[100]);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.total()), (300, 0), "{stats}");
    assert_eq!(first.requests().len(), 1);
    let own = tracer.destination_stats();
    assert_eq!((own[1].sent, own[1].dropped.send_failed), (299, 1), "{own:?}");
}

#[test]
fn a_custom_transport_may_refuse_lists_too() {
    let taken = Taken::default();
    let retained = taken.clone();
    let transport = By(move |message: &[u8]| {
        if contains(message, "bad op") {
            let (address, body) = ("here".to_owned(), "no".to_owned());
            return Err(TransportError::Status { address, status: 400, body });
        }
        retained.push(message);
        Ok(Sent::OK)
    });
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    finish(&tracer, 400, &[3]);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.send_failed), (399, 1), "{stats}");
    let names: BTreeSet<_> = taken.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names.len(), 399);
}
