//! No span of a burst is lost on the way to an agent, and spans that do not fit the queue are counted.
//!
//! `BURSTS=full` runs what takes too long for CI: bursts of up to 300,000 spans, ten times each, and floods
//! of five seconds.

#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a test stops where it fails")]

use std::env;
use std::time::Duration;

use interop::backend::{Backend, Kind};
use interop::burst::{LoadTest, Outcome};
use interop::opt_in::{print_line, set_up};

fn is_full() -> bool {
    env::var("BURSTS").is_ok_and(|word| word == "full")
}

fn assert_accounted(outcome: &Outcome) {
    let stats = outcome.report.stats;
    assert!(outcome.report.complete && stats.is_balanced(), "{outcome}");
    assert_eq!(stats.sent + stats.dropped.queue_full, stats.started, "{outcome}");
    assert_eq!(outcome.socket_drops, Some(0), "{outcome}");
    assert_eq!(stats.receiver_drops, Some(0), "{outcome}");
}

fn bursts_arrive(kind: Kind) {
    let test = format!("bursts to {kind:?}");
    if set_up(&test, || Backend::start(kind)).is_none() {
        return;
    }
    let sizes: &[u64] =
        if is_full() { &[2_000, 10_000, 50_000, 300_000] } else { &[2_000, 20_000] };
    for spans in sizes {
        for _ in 0..if is_full() { 10 } else { 1 } {
            // A new server for each, as it keeps all spans in memory.
            let server = Backend::start(kind).expect("it could be started just now");
            let load = LoadTest::new(server.address("compact"));
            let outcome = load.burst(*spans, &server.query()).expect("the server answers");
            print_line(&format!("{kind:?}, {spans} spans: {outcome}"));
            assert_accounted(&outcome);
            assert_eq!(outcome.report.stats.started, *spans);
            assert_eq!(outcome.lost(), 0, "{outcome}");
        }
    }
}

#[test]
fn bursts_reach_jaeger_v1_whole() {
    bursts_arrive(Kind::JaegerV1);
}

#[test]
fn bursts_reach_jaeger_v2_whole() {
    bursts_arrive(Kind::JaegerV2);
}

#[test]
fn a_flood_of_jaeger_v1_is_sent_at_its_pace() {
    if !is_full() {
        print_line("skipped: a flood of Jaeger v1: BURSTS=full runs it");
        return;
    }
    let Some(server) = set_up("a flood of Jaeger v1", Backend::jaeger_v1) else { return };
    let load = LoadTest::new(server.address("compact"));
    let flood = load.flood(Duration::from_secs(5), 2, server.address("admin"));
    let outcome = flood.expect("the server answers");
    print_line(&format!("flood: {outcome}"));
    assert_accounted(&outcome);
    assert!(outcome.lost() * 1_000 <= outcome.report.stats.sent, "{outcome}");
}
