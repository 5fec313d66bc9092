//! What is sent again over HTTP, how often, and what is counted; what servers may ask for.

#![cfg(feature = "collector-http")]

use std::time::Duration;

use crate::support::http::{Late, Server, ServerResponse, nobody, send_one, status};
use crate::support::{SOON, builder, timed};
use jaeger_client::{Destination, DestinationStats, HttpConfig, Tracer};

fn retry_after(value: &str) -> ServerResponse {
    let length = "content-length: 0\r\nconnection: close";
    let head = format!("HTTP/1.1 503 x\r\nretry-after: {value}\r\n{length}\r\n\r\n");
    ServerResponse::Raw(head.into())
}

fn own(tracer: &Tracer, name: &str) -> DestinationStats {
    tracer.destination_stats().into_iter().find(|stats| stats.name == name).unwrap()
}

#[test]
fn a_server_cannot_switch_the_pauses_off() {
    for value in ["0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", ""] {
        let server = Server::start(move |_, _| retry_after(value));
        let config = HttpConfig { max_attempts: 4, ..HttpConfig::new(server.url()) };
        let ((report, _), took) = timed(|| send_one(config));
        assert_eq!(report.stats.dropped.send_failed, 1);
        assert_eq!(server.requests().len(), 4, "{value:?}");
        // Pauses of at least 75, 112 and 168 ms.
        assert!(took >= Duration::from_millis(75 + 112 + 168), "{value:?}: {took:?}");
    }
}

#[test]
fn retry_after_beyond_the_bound_gives_a_message_up_at_once_and_harms_nothing() {
    for value in [
        "18446744073709551615",
        "99999999999999999999999999999999",
        "31",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Tuesday, 31-Dec-69 23:59:59 GMT",
        "Fri Dec 31 23:59:59 9999",
    ] {
        let server =
            Server::start(move |n, _| if n == 0 { retry_after(value) } else { status(202) });
        let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
        for (sent, lost) in [(0, 1), (1, 1)] {
            tracer.start_span("op").finish();
            let stats = tracer.flush(SOON).stats;
            assert_eq!((stats.sent, stats.dropped.send_failed), (sent, lost), "{value}: {stats}");
        }
        assert!(closer.close(SOON).complete);
        assert_eq!(server.requests().len(), 2, "{value}");
    }
}

#[test]
fn the_longest_retry_after_overflows_nothing() {
    let server = Server::start(|_, _| {
        // With that second, the time spent and the wish are more than any duration.
        std::thread::sleep(Duration::from_millis(1_100));
        retry_after("18446744073709551615")
    });
    let (report, logger) = send_one(HttpConfig::new(server.url()));
    assert_eq!((report.stats.dropped.send_failed, server.requests().len()), (1, 1));
    assert!(logger.has("responded with 503"), "{:?}", logger.all());
}

#[test]
fn attempts_are_bounded_in_number() {
    for (max_attempts, expected) in [(0, 1), (1, 1), (3, 3)] {
        let server = Server::start(|_, _| status(503));
        let (report, _) = send_one(HttpConfig { max_attempts, ..HttpConfig::new(server.url()) });
        assert_eq!(report.stats.dropped.send_failed, 1);
        assert_eq!(server.requests().len(), expected);
    }
}

#[test]
fn only_statuses_that_may_change_are_tried_again() {
    for code in [404, 408, 429, 401, 500, 501, 502, 503, 504, 505, 507, 599, 204, 226] {
        let server = Server::start(move |n, _| status(if n == 0 { code } else { 202 }));
        let (report, _) = send_one(HttpConfig::new(server.url()));
        let is_retried = [408, 429, 500, 502, 503, 504].contains(&code);
        let is_taken = is_retried || code < 300;
        assert_eq!(report.stats.sent, u64::from(is_taken), "{code}");
        assert_eq!(server.requests().len(), 1 + usize::from(is_retried), "{code}");
        let is_perhaps_twice = [500, 502, 504].contains(&code);
        assert_eq!(report.stats.possible_duplicates, u64::from(is_perhaps_twice), "{code}");
    }
}

#[test]
fn a_message_accepted_without_a_response_is_sent_twice_and_the_report_says_so() {
    let server = Server::start(|_, _| ServerResponse::Close);
    let (report, logger) = send_one(HttpConfig::new(server.url()));
    assert_eq!(server.requests().len(), 2);
    let stats = report.stats;
    assert_eq!((stats.sent, stats.dropped.send_failed, stats.unconfirmed), (0, 1, 1), "{report}");
    assert!(report.to_string().ends_with("1 lost may have arrived"), "{report}");
    let message = "given up after 2 attempts, but the server may have processed it all the same";
    assert!(logger.has(message), "{:?}", logger.all());
}

#[test]
fn a_message_accepted_at_the_second_attempt_may_be_a_duplicate_and_the_report_says_so() {
    let server = Server::start(|n, _| if n == 0 { ServerResponse::Close } else { status(202) });
    let (report, _) = send_one(HttpConfig::new(server.url()));
    let stats = report.stats;
    assert_eq!((stats.sent, stats.possible_duplicates, stats.unconfirmed), (1, 1, 0), "{report}");
    assert!(report.to_string().ends_with("1 sent may be duplicates"), "{report}");
}

#[test]
fn what_cannot_have_been_processed_is_no_possible_duplicate() {
    let late = Late::new();
    let (tracer, closer) = builder().collector(HttpConfig::new(late.url())).build().unwrap();
    tracer.start_span("op").finish();
    assert!(!tracer.flush(Duration::from_millis(300)).complete);
    let server = late.start(|_, _| status(200));
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.possible_duplicates), (1, 0), "{stats}");
    assert_eq!(server.requests().len(), 1);
    let (report, _) =
        send_one(HttpConfig { retry_limit: Duration::ZERO, ..HttpConfig::new(nobody()) });
    assert_eq!((report.stats.dropped.send_failed, report.stats.unconfirmed), (1, 0));
}

#[test]
fn a_reused_connection_that_the_server_closed_costs_no_span() {
    // Node and others close what is idle: the client finds out with the next message.
    let server = Server::start(|n, _| match n % 2 {
        0 => ServerResponse::Raw(b"HTTP/1.1 202 x\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => status(202),
    });
    let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
    for _ in 0..10 {
        tracer.start_span("op").finish();
        assert!(tracer.flush(SOON).complete);
    }
    tracer.start_span("op").finish();
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.total()), (11, 0), "{stats}");
}

#[test]
fn a_close_waits_for_no_server_but_tries_a_broken_connection_once_more() {
    for (first, requests, sent) in [(ServerResponse::Close, 2, 1), (status(503), 1, 0)] {
        let response = first.clone();
        let server = Server::start(move |n, _| if n == 0 { response.clone() } else { status(202) });
        let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
        tracer.start_span("op").finish();
        assert_eq!(closer.close(SOON).stats.sent, sent, "{first:?}");
        assert_eq!(server.requests().len(), requests, "{first:?}");
    }
}

#[test]
fn each_destination_has_its_own_counts_of_what_is_uncertain() {
    let (good, lost) =
        (Server::start(|_, _| status(202)), Server::start(|_, _| ServerResponse::Close));
    let (tracer, closer) = builder()
        .collector(HttpConfig::new(good.url()))
        .add_destination(Destination::collector(HttpConfig::new(lost.url())).named("other"))
        .build()
        .unwrap();
    (0..3).for_each(|_| tracer.start_span("op").finish());
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.unconfirmed, stats.possible_duplicates), (3, 0, 0), "{stats}");
    let other = own(&tracer, "other");
    assert_eq!((other.sent, other.dropped.send_failed, other.unconfirmed), (0, 3, 3));
    assert_eq!(lost.requests().len(), 2, "what is not answered is sent twice by any destination");
}
