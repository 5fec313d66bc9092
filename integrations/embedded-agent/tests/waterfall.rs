//! What people see of a trace in a terminal.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod support;

use std::time::Duration;

use jaeger_client::encoding::{SpanView, ValueView};
use jaeger_client::{SpanId, TraceId};
use jaeger_client_embedded_agent::{Protocol, Store, Trace, WaterfallOptions};

use support::{Items, at, compact, span};

fn trace(services: &[(&str, Items)]) -> Trace {
    let store = Store::default();
    for (service, spans) in services {
        store.receive(Protocol::Compact, &compact(service, spans)).unwrap();
    }
    store.traces().remove(0)
}

fn one_service(spans: &[SpanView<'_>]) -> Trace {
    trace(&[("svc", spans.iter().fold(Items::default(), Items::span))])
}

/// A request through three services, with a failure, a log, and a span of no duration.
fn hot_rod() -> Trace {
    let tags = Items::default()
        .tag(b"http.method", ValueView::Str(b"GET"))
        .tag(b"error", ValueView::Bool(true));
    let fields = Items::default()
        .tag(b"event", ValueView::Str(b"timeout"))
        .tag(b"attempt", ValueView::Long(2));
    let logs = Items::default().log(1_700_000_000_012_500, &fields);
    let frontend = Items::default()
        .span(&at(span(7, 1, 0, "GET /dispatch"), 0, 40_000))
        .span(&at(span(7, 2, 1, "find drivers"), 2_000, 20_000))
        .span(&at(span(7, 5, 1, "answer"), 40_000, 0));
    let mut redis = at(span(7, 3, 2, "GetDriver"), 10_000, 5_500);
    redis.tags = Some(tags.view());
    redis.logs = Some(logs.view());
    let redis = Items::default().span(&redis);
    let route = Items::default().span(&at(span(7, 4, 1, "FindRoute"), 25_000, 14_000));
    trace(&[("frontend", frontend), ("redis", redis), ("route", route)])
}

#[test]
fn a_trace_is_drawn_as_a_tree_with_bars() {
    assert_eq!(
        hot_rod().waterfall(90),
        "\
trace 0000000000000007: 5 spans, 3 services, 40ms, 1 failed
frontend: GET /dispatch      40ms ████████████████████████████████████████████████████████
├╴frontend: find drivers     20ms   █████████████████████████████
│ └╴redis: GetDriver     ✗  5.5ms               ████████
├╴route: FindRoute           14ms                                    ████████████████████
└╴frontend: answer            0µs                                                        ▏
"
    );
    assert_eq!(hot_rod().to_string(), hot_rod().waterfall(100));
}

#[test]
fn tags_and_logs_lie_under_their_span() {
    let options = WaterfallOptions::new(60).tags(true).logs(true);
    assert_eq!(
        hot_rod().waterfall_with(options),
        "\
trace 0000000000000007: 5 spans, 3 services, 40ms, 1 failed
frontend: GET /dispatch      40ms ██████████████████████████
├╴frontend: find drivers     20ms  ██████████████
│ └╴redis: GetDriver     ✗  5.5ms       █████
│       http.method=GET
│       error=true
│       • +2.5ms event=timeout attempt=2
├╴route: FindRoute           14ms                 ██████████
└╴frontend: answer            0µs                          ▏
"
    );
}

#[test]
fn suspicious_times_and_parents_are_marked() {
    let spans = [
        at(span(1, 1, 0, "root"), 0, 10),
        at(span(1, 2, 1, "early"), -5, 5),
        at(span(1, 3, 99, "orphan"), 2, 3),
        at(span(1, 4, 3, "its child"), 2, 1),
        at(span(1, 5, 6, "hen"), 4, 1),
        at(span(1, 6, 5, "egg"), 5, 1),
        at(span(1, 7, 7, "self"), 6, -1),
    ];
    assert_eq!(
        one_service(&spans).waterfall(60),
        "\
trace 0000000000000001: 7 spans, 1 service, 15µs
svc: root            10µs            ███████████████████████
└╴svc: early          5µs ████████████
      ! starts 5µs before its parent
svc: orphan           3µs                ████████
│   ! its parent 0000000000000063 has not been received
└╴svc: its child      1µs                ████
svc: self            -1µs                         ▏
    ! its parents form a cycle
svc: hen              1µs                     ███
│   ! its parents form a cycle
└╴svc: egg            1µs                       ███
"
    );
}

#[test]
fn hostile_text_does_not_command_the_terminal() {
    let tags = Items::default().tag(b"k\x1b]0;x\x07", ValueView::Str(b"\xff\r\nline"));
    let mut view = span(1, 1, 0, "a\u{1b}[2Jb\u{202e}c");
    view.tags = Some(tags.view());
    let trace = trace(&[("s\nvc", Items::default().span(&view))]);
    let drawn = trace.waterfall_with(WaterfallOptions::new(90).tags(true));
    assert!(drawn.contains(r"s\nvc: a\u{1b}[2Jb\u{202e}c "), "{drawn}");
    assert!(drawn.contains("k\\u{1b}]0;x\\u{7}=\u{fffd}\\r\\nline"), "{drawn}");
    assert!(!drawn.chars().any(|letter| letter.is_control() && letter != '\n'), "{drawn:?}");
    assert_eq!(drawn.lines().count(), 3);
}

#[test]
fn deep_trees_stay_within_the_width() {
    let chain: Vec<_> = (1..=1_000).map(|id| span(1, id, id - 1, "deep")).collect();
    // Too many for one datagram, so in two.
    let half = |spans: &[SpanView<'static>]| spans.iter().fold(Items::default(), Items::span);
    let (first, second) = chain.split_at(500);
    let trace = trace(&[("svc", half(first)), ("svc", half(second))]);
    let drawn = trace.waterfall(60);
    assert_eq!(drawn.lines().count(), 1_001);
    assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    assert!(drawn.lines().last().unwrap().starts_with('…'), "{drawn}");
    for width in [0, 1, 40, usize::MAX] {
        assert_eq!(trace.waterfall(width).lines().count(), 1_001);
    }
}

#[test]
fn a_trace_is_accounted_with_its_tree() {
    let trace = hot_rod();
    assert_eq!(trace.trace_id(), TraceId::new(0, 7));
    assert_eq!(trace.services(), ["frontend", "redis", "route"]);
    assert_eq!(trace.duration(), Duration::from_millis(40));
    assert_eq!(trace.error_count(), 1);
    let root = trace.root().unwrap();
    assert_eq!(root.operation_name(), "GET /dispatch");
    let children: Vec<_> = trace.children(root).iter().map(|span| span.operation_name()).collect();
    assert_eq!(children, ["find drivers", "FindRoute", "answer"]);
    assert!(trace.span("GetDriver").unwrap().is_error());
    assert_eq!(trace.span("absent"), None);
    let rootless = one_service(&[span(1, 2, 1, "op")]);
    assert_eq!(rootless.root(), None);
    assert_eq!(rootless.spans()[0].span_id(), SpanId::new(2));
}

#[test]
fn a_reference_stands_in_for_a_parent_that_is_absent() {
    let references = Items::default().reference(true, 1, 1);
    let mut follower = at(span(1, 2, 0, "follower"), 1, 1);
    follower.references = Some(references.view());
    let trace = one_service(&[at(span(1, 1, 0, "first"), 0, 1), follower]);
    let children = trace.children(trace.root().unwrap());
    assert_eq!(children[0].operation_name(), "follower");
}
