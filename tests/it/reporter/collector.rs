//! Sending over HTTP: what a collector gets, and what becomes of spans when it does not want them.

#![cfg(feature = "collector-http")]

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::http::{BRIEF, Late, Server, ServerResponse, nobody, status};
use crate::support::read::Value;
use crate::support::{SOON, Seeded, binary, builder, eventually, memory_logger, timed};
use jaeger_client::{
    Closer, CollectorFormat, Configuration, Destination, DestinationStats, Dropped, FlushReport,
    HttpConfig, ReporterConfig, SpanOptions, Tracer,
};

fn finish_spans(tracer: &Tracer, count: usize) {
    for n in 0..count {
        tracer.span(format!("op-{n}")).tag("n", n).start().finish();
    }
}

fn sending_to(config: HttpConfig) -> (Tracer, Closer) {
    builder().collector(config).build().unwrap()
}

/// Sent, and lost by cause; fails unless all is in balance.
fn outcome(report: &FlushReport) -> (u64, [u64; 4]) {
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    let Dropped { queue_full, too_large, send_failed, closed, .. } = report.stats.dropped;
    (report.stats.sent, [queue_full, too_large, send_failed, closed])
}

fn names(server: &Server, read: fn(&[u8]) -> Vec<String>) -> Vec<String> {
    server.requests().iter().flat_map(|request| read(&request.body)).collect()
}

fn own(tracer: &Tracer, name: &str) -> DestinationStats {
    tracer.destination_stats().into_iter().find(|stats| stats.name == name).unwrap()
}

#[test]
fn a_collector_gets_one_batch_in_the_binary_protocol_for_many_buffers() {
    let server = Server::start(|_, _| status(202));
    let (tracer, closer) =
        builder().shards(4).collector(HttpConfig::new(server.url())).build().unwrap();
    finish_spans(&tracer, 2_000);
    let other = tracer.clone();
    std::thread::spawn(move || finish_spans(&other, 10)).join().unwrap();
    assert_eq!(outcome(&closer.close(SOON)), (2_010, [0; 4]));
    let stats = tracer.stats();
    assert_eq!(stats.acknowledged, 2_010, "an answer is an acknowledgement: {stats}");
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "several buffers go into one request");
    assert_eq!(requests[0].line, "POST /api/traces?format=jaeger.thrift HTTP/1.1");
    assert_eq!(requests[0].header("content-type"), Some("application/x-thrift"));
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(names(&server, binary::body_names).len(), 2_010);
    let stats = own(&tracer, "collector");
    assert_eq!((stats.taken, stats.sent, stats.queued, stats.messages), (2_010, 2_010, 0, 1));
    assert_eq!(stats.acknowledged, 2_010);
}

#[test]
fn bodies_keep_to_their_limit_and_connections_are_reused() {
    for format in
        [CollectorFormat::Jaeger, CollectorFormat::ZipkinThrift, CollectorFormat::ZipkinJson]
    {
        let server = Server::start(|_, _| status(200));
        let config = HttpConfig {
            max_body_bytes: 20_000,
            format: Some(format),
            ..HttpConfig::new(server.url())
        };
        let (tracer, closer) = sending_to(config);
        finish_spans(&tracer, 1_000);
        assert_eq!(outcome(&closer.close(SOON)), (1_000, [0; 4]));
        let requests = server.requests();
        assert!(requests.len() > 3 && requests.iter().all(|r| r.body.len() <= 20_000));
        assert_eq!(server.connections(), 1);
        let wanted = match format {
            CollectorFormat::Jaeger => names(&server, binary::body_names),
            CollectorFormat::ZipkinThrift => names(&server, binary::zipkin_names),
            _ => names(&server, json_names),
        };
        assert_eq!(wanted, (0..1_000).map(|n| format!("op-{n}")).collect::<Vec<_>>());
    }
}

fn json_names(body: &[u8]) -> Vec<String> {
    let spans: Vec<serde_json::Value> = serde_json::from_slice(body).unwrap();
    spans.iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_zipkin_server_gets_what_its_path_says() {
    for (path, content_type) in
        [("/api/v1/spans", "application/x-thrift"), ("/api/v2/spans", "application/json")]
    {
        let server = Server::start(|_, _| status(202));
        let (tracer, closer) = sending_to(HttpConfig::new(server.url() + path));
        finish_spans(&tracer, 2);
        assert_eq!(outcome(&closer.close(SOON)), (2, [0; 4]));
        let request = &server.requests()[0];
        assert_eq!(request.line, format!("POST {path} HTTP/1.1"));
        assert_eq!(request.header("content-type"), Some(content_type));
    }
}

#[test]
fn a_configuration_sends_to_its_collector_and_not_to_its_agent() {
    let server = Server::start(|_, _| status(200));
    let reporter = ReporterConfig {
        local_agent_host_port: "no address".into(),
        collector_endpoint: Some(server.url()),
        user: Some("ann".into()),
        password: Some("söme:thing".into()),
        http_headers: vec![("x-scope".into(), "team".into())],
        ..ReporterConfig::default()
    };
    let configuration = Configuration { reporter, ..Configuration::new("svc") };
    let (tracer, closer) = configuration.new_tracer().unwrap();
    finish_spans(&tracer, 1);
    assert_eq!(outcome(&closer.close(SOON)), (1, [0; 4]));
    let request = &server.requests()[0];
    assert_eq!(request.header("authorization"), Some("Basic YW5uOnPDtm1lOnRoaW5n"));
    assert_eq!(request.header("x-scope"), Some("team"));
}

#[test]
fn an_auth_token_is_sent_as_a_bearer_token() {
    let server = Server::start(|_, _| status(200));
    let config = HttpConfig { auth_token: Some("t0ken".into()), ..HttpConfig::new(server.url()) };
    let (tracer, closer) = sending_to(config);
    finish_spans(&tracer, 1);
    assert_eq!(outcome(&closer.close(SOON)), (1, [0; 4]));
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer t0ken"));
}

#[test]
fn unusable_options_are_errors_that_show_no_secret() {
    type Change = fn(&mut HttpConfig);
    let cases: [(Change, &str); 10] = [
        (|c| c.endpoint = "collector:14268".into(), "collector_endpoint is \"collector:14268\""),
        (|c| c.user = Some("ann".into()), "reporter.password is empty"),
        (|c| c.password = Some("hush".into()), "reporter.user is empty"),
        (|c| (c.user, c.auth_token) = (Some("a".into()), Some("hush".into())), "auth_token"),
        (|c| c.auth_token = Some("hush\n".into()), "auth_token"),
        (|c| c.headers = vec![("a b".into(), "hush".into())], "http_headers is \"a b\""),
        (|c| c.headers = vec![("Content-Length".into(), "hush".into())], "\"Content-Length\""),
        (|c| c.headers = vec![("content-encoding".into(), "hush".into())], "\"content-encoding\""),
        (|c| c.ca_certificates = Some("hush".into()), "https:// endpoint only"),
        (|c| c.max_body_bytes = 10, "max_body_bytes is \"10\""),
    ];
    for (change, words) in cases {
        let mut config = HttpConfig::new("http://127.0.0.1:1");
        change(&mut config);
        let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("hush"), "{error}");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_is_lost() {
    // Each of these once, and then the request is taken.
    let troubles = [status(500), status(503), status(429), status(408), ServerResponse::Close];
    for trouble in troubles {
        let first = trouble.clone();
        let server = Server::start(move |n, _| if n == 0 { first.clone() } else { status(200) });
        let (tracer, closer) = sending_to(HttpConfig::new(server.url()));
        finish_spans(&tracer, 3);
        assert_eq!(outcome(&tracer.flush(SOON)), (3, [0; 4]), "{trouble:?}");
        assert!(closer.close(SOON).complete);
        assert_eq!(server.requests().len(), 2, "{trouble:?}");
        assert_eq!(server.requests()[0].body, server.requests()[1].body);
    }
}

#[test]
fn what_cannot_pass_is_tried_once_and_counted() {
    let troubles = [
        (
            ServerResponse::Status(401, "", b"bad\r\ntoken".to_vec()),
            "responded with 401 \"bad  token\"",
        ),
        (
            ServerResponse::Status(302, "location: /elsewhere\r\n", Vec::new()),
            "a redirect to /elsewhere",
        ),
        (ServerResponse::Endless(404), "responded with 404 \"xxx"),
        (ServerResponse::Hang, "took longer than 2s"),
        (ServerResponse::Nonsense, "127.0.0.1"),
    ];
    for (trouble, words) in troubles {
        let logger = memory_logger();
        let response = trouble.clone();
        let server = Server::start(move |_, _| response.clone());
        let timeout = if words.contains("2s") { Duration::from_secs(2) } else { SOON };
        let config = HttpConfig { timeout, ..HttpConfig::new(server.url()) };
        let builder = builder().logger(Arc::clone(&logger)).collector(config);
        let (tracer, closer) = builder.build().unwrap();
        finish_spans(&tracer, 3);
        let (report, took) = timed(|| tracer.flush(SOON));
        assert_eq!(outcome(&report), (0, [0, 0, 3, 0]), "{trouble:?}");
        assert!(took < SOON / 2, "{trouble:?}: {took:?}");
        assert!(closer.close(SOON).complete);
        assert_eq!(server.requests().len(), 1, "{trouble:?}");
        assert!(logger.has(words), "{:?}", logger.all());
    }
}

#[test]
fn an_endless_response_to_an_accepted_message_blocks_nothing() {
    let server = Server::start(|_, _| ServerResponse::Endless(200));
    let (tracer, closer) = sending_to(HttpConfig::new(server.url()));
    for sent in [1, 2] {
        finish_spans(&tracer, 1);
        assert_eq!(outcome(&tracer.flush(SOON)), (sent, [0; 4]));
    }
    assert!(closer.close(SOON).complete);
}

#[test]
fn a_body_that_is_too_large_for_the_server_goes_in_parts() {
    let server =
        Server::start(|_, request| status(if request.body.len() > 150_000 { 413 } else { 200 }));
    let (tracer, closer) = sending_to(HttpConfig::new(server.url()));
    finish_spans(&tracer, 6_000);
    assert_eq!(outcome(&closer.close(SOON)), (6_000, [0; 4]));
    let taken = server.requests().into_iter().filter(|request| request.body.len() <= 150_000);
    let names: Vec<_> = taken.flat_map(|request| binary::body_names(&request.body)).collect();
    assert_eq!(names, (0..6_000).map(|n| format!("op-{n}")).collect::<Vec<_>>());
}

#[test]
fn a_collector_that_starts_late_gets_what_waited_for_it() {
    let late = Late::new();
    let (tracer, closer) = sending_to(HttpConfig::new(late.url()));
    finish_spans(&tracer, 5);
    let report = tracer.flush(BRIEF);
    assert!(!report.complete && report.stats.queued == 5, "{report}");
    let server = late.start(|_, _| status(200));
    assert_eq!(outcome(&tracer.flush(SOON)), (5, [0; 4]));
    assert!(closer.close(SOON).complete);
    assert_eq!(names(&server, binary::body_names).len(), 5);
}

#[test]
fn while_it_is_tried_again_the_queue_may_fill_and_that_is_counted() {
    let (tracer, closer) =
        builder().queue_size(1).collector(HttpConfig::new(nobody())).build().unwrap();
    finish_spans(&tracer, 1);
    assert!(!tracer.flush(BRIEF).complete, "it is tried again");
    finish_spans(&tracer, 20_000);
    let stats = tracer.stats();
    assert!(stats.is_balanced() && stats.sent == 0, "{stats}");
    assert!(stats.dropped.queue_full > 10_000, "{stats}");
    let (report, took) = timed(|| closer.close(SOON));
    let (sent, [queue_full, _, send_failed, _]) = outcome(&report);
    assert_eq!((sent, queue_full + send_failed), (0, 20_001), "{report}");
    assert!(took < SOON / 2, "a close ends the waiting: {took:?}");
}

#[test]
fn once_given_up_each_message_is_tried_once_until_one_gets_through() {
    let server = Server::start(|n, _| status(if n < 4 { 503 } else { 200 }));
    let config = HttpConfig { max_attempts: 2, ..HttpConfig::new(server.url()) };
    let (tracer, closer) = sending_to(config);
    for (requests, sent, failed) in [(2, 0, 1), (3, 0, 2), (4, 0, 3), (5, 1, 3)] {
        finish_spans(&tracer, 1);
        assert_eq!(outcome(&tracer.flush(SOON)), (sent, [0, 0, failed, 0]));
        assert_eq!(server.requests().len(), requests);
    }
    assert!(closer.close(SOON).complete);
}

#[test]
fn retry_after_sets_when_a_message_is_sent_again() {
    let server = Server::start(|n, _| match n {
        0 => ServerResponse::Status(429, "retry-after: 1\r\n", Vec::new()),
        _ => status(200),
    });
    let (tracer, closer) = sending_to(HttpConfig::new(server.url()));
    finish_spans(&tracer, 1);
    let (report, took) = timed(|| tracer.flush(SOON));
    assert_eq!(outcome(&report), (1, [0; 4]));
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(closer.close(SOON).complete);
}

#[test]
fn a_close_is_bounded_when_a_collector_hangs() {
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let server = Server::start(move |_, _| {
        let _ = held.lock().unwrap().recv();
        status(400)
    });
    let (tracer, closer) =
        sending_to(HttpConfig { timeout: SOON, ..HttpConfig::new(server.url()) });
    finish_spans(&tracer, 5);
    let (report, took) = timed(|| closer.close(BRIEF));
    assert!(!report.complete && report.stats.is_balanced(), "{report}");
    assert!(took >= BRIEF && took < SOON / 2, "{took:?}");
    drop(release);
    eventually(|| tracer.stats().dropped.send_failed == 5);
}

#[test]
fn a_collector_beside_an_agent_neither_holds_it_up_nor_touches_its_accounting() {
    let agent = Agent::start();
    let server = Server::start(|_, _| ServerResponse::Hang);
    let config = HttpConfig { timeout: BRIEF, ..HttpConfig::new(server.url()) };
    let (tracer, closer) = builder()
        .agent(agent.address())
        .add_destination(Destination::collector(config))
        .add_destination(Destination::collector(HttpConfig::new(nobody())).named("nobody"))
        .build()
        .unwrap();
    finish_spans(&tracer, 10);
    // Whoever hangs or is not there is waited for by a flush, and by no span of the agent's.
    assert!(!tracer.flush(BRIEF / 10).complete);
    assert_eq!(agent.spans(10).len(), 10);
    finish_spans(&tracer, 1);
    assert_eq!(outcome(&closer.close(SOON)), (11, [0; 4]));
    assert_eq!(agent.spans(1).len(), 1);
    let stats = own(&tracer, "agent");
    assert_eq!((stats.taken, stats.sent, stats.dropped.total()), (11, 11, 0));
    for name in ["collector", "nobody"] {
        let stats = own(&tracer, name);
        assert_eq!((stats.taken, stats.sent, stats.queued), (11, 0, 0), "{name}");
        assert_eq!(stats.dropped.send_failed, 11, "{name}");
    }
}

#[test]
fn a_span_too_large_for_a_datagram_goes_to_the_collector_whole() {
    let agent = Agent::start();
    let server = Server::start(|_, _| status(200));
    let reporter = ReporterConfig {
        local_agent_host_port: agent.address(),
        oversize_endpoint: Some(server.url()),
        ..ReporterConfig::default()
    };
    let spans = SpanOptions { max_tag_value_length: 300_000, ..SpanOptions::default() };
    let configuration = Configuration { reporter, spans, ..Configuration::new("svc") };
    let (tracer, closer) = configuration.new_tracer().unwrap();
    let text = "x".repeat(200_000);
    tracer.span("small").tag("t", "s").start().finish();
    tracer.span("large").tag("t", &text).start().finish();
    tracer.span("also small").tag("t", "s").start().finish();
    let report = closer.close(SOON);
    assert_eq!((outcome(&report), report.stats.trimmed), ((3, [0; 4]), 0));
    assert_eq!(agent.spans(2).len(), 2);
    assert_eq!(names(&server, binary::body_names), ["large"]);
    assert!(server.requests()[0].body.len() > text.len());
}

#[test]
fn a_span_that_the_collector_does_not_take_is_trimmed_for_the_agent() {
    let agent = Agent::start();
    let server = Server::start(|_, _| status(500));
    let (tracer, closer) = builder()
        .agent(agent.address())
        .oversize_to(HttpConfig::new(server.url()))
        .max_tag_value_length(300_000)
        .build()
        .unwrap();
    tracer.span("large").tag("t", "x".repeat(200_000)).start().finish();
    let report = closer.close(SOON);
    assert_eq!((outcome(&report), report.stats.trimmed), ((1, [0; 4]), 1));
    let span = &agent.spans(1)[0];
    assert!(matches!(span.tag("jaeger.trimmed"), Some(Value::Str(_))), "{span:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_span_too_large_for_any_body_is_trimmed_and_sent() {
    let server = Server::start(|_, _| status(200));
    let (tracer, closer) = builder()
        .collector(HttpConfig::new(server.url()))
        .max_tag_value_length(5_000_000)
        .build()
        .unwrap();
    tracer.span("whole").tag("t", "x".repeat(900_000)).start().finish();
    tracer.span("cut").tag("t", "x".repeat(3_000_000)).start().finish();
    let report = closer.close(SOON);
    assert_eq!((outcome(&report), report.stats.trimmed), ((2, [0; 4]), 1));
    let mut names = names(&server, binary::body_names);
    names.sort();
    assert_eq!(names, ["cut", "whole"]);
    assert!(server.requests().iter().all(|request| request.body.len() <= 1 << 20));
}

#[test]
fn the_accounting_is_exact_whatever_the_collector_does() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let retained = Arc::clone(&taken);
    let server = Server::start(move |n, request| {
        let mut random = Seeded::new(n as u64 + 1);
        match random.below(8) {
            0 => status(500),
            1 => ServerResponse::Close,
            2 => status(400),
            3 => ServerResponse::Status(429, "retry-after: 0\r\n", Vec::new()),
            4 if request.body.len() > 20_000 => status(413),
            _ => {
                retained.lock().unwrap().extend(binary::body_names(&request.body));
                status(202)
            }
        }
    });
    let config = HttpConfig {
        max_body_bytes: 100_000,
        retry_limit: Duration::from_millis(150),
        ..HttpConfig::new(server.url())
    };
    let (tracer, closer) = builder().shards(4).queue_size(4_000).collector(config).build().unwrap();
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..3)
            .map(|maker| {
                let tracer = tracer.clone();
                scope.spawn(move || {
                    for n in 0..2_000 {
                        tracer.span(format!("{maker}-{n}")).tag("n", n).start().finish();
                        if n % 500 == 0 {
                            let _ = tracer.flush(SOON);
                        }
                    }
                })
            })
            .collect();
        while !makers.iter().all(|maker| maker.is_finished()) {
            let stats = tracer.stats();
            assert!(stats.is_balanced(), "{stats}");
        }
    });
    let report = closer.close(SOON);
    let (sent, [_, too_large, failed, _]) = outcome(&report);
    assert!((report.stats.finished, too_large) == (6_000, 0) && failed > 0 && sent > 0, "{report}");
    let own = own(&tracer, "collector");
    assert_eq!((own.sent, own.dropped.send_failed, own.queued), (sent, failed, 0));
    let taken: BTreeSet<_> = taken.lock().unwrap().iter().cloned().collect();
    assert_eq!(taken.len() as u64, sent, "what was taken is what was counted as sent");
}

#[test]
fn a_body_and_a_packet_without_a_limit_are_possible() {
    let server = Server::start(|_, _| status(202));
    let config = HttpConfig { max_body_bytes: usize::MAX, ..HttpConfig::new(server.url()) };
    let (tracer, closer) = builder().max_packet_size(usize::MAX).collector(config).build().unwrap();
    finish_spans(&tracer, 2_000);
    assert!(tracer.flush(SOON).complete);
    finish_spans(&tracer, 10);
    assert_eq!(outcome(&closer.close(SOON)), (2_010, [0; 4]));
    assert_eq!(names(&server, binary::body_names).len(), 2_010);
}
