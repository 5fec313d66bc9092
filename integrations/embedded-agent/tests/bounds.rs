//! What is evicted when there is no more room, and that it is counted.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod support;

use jaeger_client::encoding::{BatchView, ProcessView, ValueView};
use jaeger_client::{SpanId, TraceId};
use jaeger_client_embedded_agent::{Protocol, Store};

use support::{Items, compact, span};

fn receive(store: &Store, trace: u64, id: u64) {
    let spans = Items::default().span(&span(trace, id, 0, "op"));
    store.receive(Protocol::Compact, &compact("svc", &spans)).unwrap();
}

fn traces(store: &Store) -> Vec<u64> {
    store.traces().iter().map(|trace| trace.trace_id().low()).collect()
}

#[test]
fn the_oldest_trace_is_evicted_as_a_whole() {
    let store = Store::with_limits(1 << 20, 4);
    for (trace, id) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
        receive(&store, trace, id);
    }
    assert_eq!(traces(&store), [1, 2, 3]);
    receive(&store, 4, 5);
    assert_eq!(traces(&store), [2, 3, 4]);
    let stats = store.stats();
    assert_eq!((stats.spans, stats.evicted_traces, stats.evicted_spans), (5, 1, 2));
    // A later span of it begins it again.
    receive(&store, 1, 6);
    assert_eq!(traces(&store), [2, 3, 4, 1]);
}

#[test]
fn a_trace_alone_loses_its_oldest_spans() {
    let store = Store::with_limits(1 << 20, 3);
    (1..=5).for_each(|id| receive(&store, 1, id));
    let ids: Vec<_> = store.spans().iter().map(|span| span.span_id().get()).collect();
    assert_eq!(ids, [3, 4, 5]);
    let stats = store.stats();
    assert_eq!((stats.evicted_traces, stats.evicted_spans), (0, 2));
    let store = Store::with_limits(1 << 20, 0);
    (1..=5).for_each(|id| receive(&store, 1, id));
    assert_eq!(store.spans()[0].span_id(), SpanId::new(5), "no room is room for one");
    assert_eq!((store.span_count(), store.stats().evicted_spans), (1, 4));
}

#[test]
fn bytes_are_bounded_whatever_the_shape_of_spans() {
    const MAX: usize = 100_000;
    let large = "x".repeat(30_000);
    for (operation, traces) in [("", 1), ("", u64::MAX), ("op", 7), (large.as_str(), u64::MAX)] {
        let store = Store::with_limits(MAX, usize::MAX);
        for id in 1..=3_000_u64 {
            let spans = Items::default().span(&span(id % traces, id, 0, operation));
            // Every span from its own process, which takes room too.
            let message = compact(&format!("svc-{id}"), &spans);
            store.receive(Protocol::Compact, &message).unwrap();
            assert!(store.bytes() <= MAX, "{} bytes at span {id}", store.bytes());
        }
        let stats = store.stats();
        assert_eq!(stats.spans, store.span_count() as u64 + stats.evicted_spans);
        assert_eq!(stats.refused_spans, 0);
        assert_eq!(store.services().len(), store.span_count());
        let last = store.spans().last().unwrap().span_id();
        assert_eq!(last, SpanId::new(3_000), "the newest is there");
    }
}

#[test]
fn what_is_evicted_leaves_nothing_behind() {
    let store = Store::with_limits(10_000, usize::MAX);
    receive(&store, 1, 1);
    let one = store.bytes();
    (2..=1_000).for_each(|id| receive(&store, id, id));
    assert!(store.stats().evicted_traces > 900);
    store.reset();
    assert_eq!(store.bytes(), 0);
    receive(&store, 1, 1);
    assert_eq!(store.bytes(), one);
}

#[test]
fn a_span_larger_than_the_store_is_refused_and_counted() {
    let store = Store::with_limits(10_000, usize::MAX);
    receive(&store, 1, 1);
    let large = "x".repeat(20_000);
    let spans = Items::default().span(&span(2, 2, 0, &large)).span(&span(2, 3, 0, "small"));
    store.receive(Protocol::Compact, &compact("svc", &spans)).unwrap();
    let stats = store.stats();
    assert_eq!((stats.spans, stats.refused_spans, stats.evicted_spans), (3, 1, 0));
    assert_eq!(store.span_count(), 2);
    // The same for a process that is too large, and for no room at all.
    let small = Items::default().span(&span(4, 4, 0, "op"));
    store.receive(Protocol::Compact, &compact(&large, &small)).unwrap();
    assert_eq!((store.stats().refused_spans, store.span_count()), (2, 2));
    let store = Store::with_limits(0, 0);
    receive(&store, 1, 1);
    assert_eq!((store.stats().refused_spans, store.bytes()), (1, 0));
}

#[test]
fn clients_are_bounded_too() {
    let store = Store::with_limits(64 << 20, usize::MAX);
    let none = Items::default();
    for id in 0..1_000 {
        store.receive(Protocol::Compact, &compact(&format!("svc-{id}"), &none)).unwrap();
    }
    let clients = store.batches();
    assert_eq!(clients.len(), 256);
    assert_eq!(clients[255].service, "svc-999");
    // With long names, fewer of them.
    let store = Store::with_limits(800_000, usize::MAX);
    let long = "x".repeat(30_000);
    for id in 0..20_i64 {
        let tags = Items::default().tag(b"id", ValueView::Long(id));
        let process = ProcessView::new(long.as_bytes(), Some(tags.view()));
        let message = BatchView::new(process, none.view()).to_message(1);
        store.receive(Protocol::Compact, &message).unwrap();
    }
    assert_eq!(store.batches().len(), 3);
    assert_eq!(store.bytes(), 0, "a batch without spans keeps no process");
}

#[test]
fn the_latest_traces_come_first_and_by_service() {
    let store = Store::default();
    for (trace, service) in [(1, "a"), (2, "b"), (3, "a")] {
        let spans = Items::default().span(&span(trace, trace, 0, "op"));
        store.receive(Protocol::Compact, &compact(service, &spans)).unwrap();
    }
    let ids = |service, limit| -> Vec<TraceId> {
        store.latest_traces(service, limit).iter().map(|trace| trace.trace_id()).collect()
    };
    let [one, two, three] = [1, 2, 3].map(|low| TraceId::new(0, low));
    assert_eq!(ids(None, 2), [three, two]);
    assert_eq!(ids(Some("a"), 9), [three, one]);
    assert!(ids(Some("c"), 9).is_empty());
}
