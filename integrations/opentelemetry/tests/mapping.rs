//! Spans of the OpenTelemetry SDK as Jaeger's: the rules of OpenTelemetry's specification.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod support;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jaeger_client::AgentProtocol;
use jaeger_client::encoding::{BatchView, SpanView};
use jaeger_client::transport::MemoryTransport;
use jaeger_client_opentelemetry::JaegerExporter;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use self::support::{START, shown, span, tags, wait};

/// Exports spans, and gives the one message that they became.
fn exported(resource: &Resource, batch: Vec<SpanData>) -> Vec<u8> {
    let memory = MemoryTransport::new();
    let builder = JaegerExporter::builder().transport(memory.clone(), AgentProtocol::Compact);
    let mut exporter = builder.build().unwrap();
    exporter.set_resource(resource);
    wait(exporter.export(batch)).unwrap();
    let [message] = memory.messages().try_into().unwrap();
    message
}

fn look(span: SpanData, look: impl FnOnce(SpanView<'_>)) {
    let message = exported(&Resource::builder_empty().build(), vec![span]);
    let (_, batch) = BatchView::parse_message(&message).unwrap();
    look(batch.spans().next().unwrap());
}

fn tags_of(span: SpanData) -> Vec<(String, String)> {
    let mut read = Vec::new();
    look(span, |span| read = tags(&span));
    read
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn ids_times_name_and_flags() {
    let mut given = span("op");
    given.span_context = SpanContext::new(
        TraceId::from((5 << 64) | 6),
        SpanId::from(u64::MAX),
        TraceFlags::new(0xb),
        false,
        TraceState::NONE,
    );
    look(given, |span| {
        assert_eq!((span.trace_id.high(), span.trace_id.low()), (5, 6));
        assert_eq!((span.span_id.get(), span.parent_span_id.get()), (u64::MAX, 4));
        assert_eq!((span.operation_name(), span.flags), (Cow::Borrowed("op"), 0xb));
        assert_eq!(span.start_time_micros as u128, START.as_micros());
        assert_eq!(span.duration_micros, 250);
    });
}

#[test]
fn times_that_no_server_stores_are_moved_to_the_nearest() {
    let mut given = span("op");
    given.start_time = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
    given.end_time = SystemTime::UNIX_EPOCH - Duration::from_secs(20);
    look(given, |span| assert_eq!((span.start_time_micros, span.duration_micros), (0, 1)));
    let mut given = span("op");
    given.start_time = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    look(given, |span| assert_eq!(span.start_time_micros, i64::MAX / 1_000));
}

#[test]
fn attributes_are_tags_of_their_types() {
    let mut given = span("op");
    given.attributes = vec![
        KeyValue::new("s", "text"),
        KeyValue::new("b", true),
        KeyValue::new("i", i64::MIN),
        KeyValue::new("d", 1.5),
        KeyValue::new("nan", f64::NAN),
        KeyValue::new("inf", f64::INFINITY),
        KeyValue::new("-inf", f64::NEG_INFINITY),
        KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("ints", Value::Array(Array::I64(vec![1, -2]))),
        KeyValue::new("doubles", Value::Array(Array::F64(vec![0.5, f64::NAN]))),
        KeyValue::new("texts", Value::Array(Array::String(vec!["a\"b".into(), "\n".into()]))),
    ];
    let expected = pairs(&[
        ("s", "text"),
        ("b", "Bool(true)"),
        ("i", "Long(-9223372036854775808)"),
        ("d", "Double(1.5)"),
        ("nan", "NaN"),
        ("inf", "+Inf"),
        ("-inf", "-Inf"),
        ("bools", "[true,false]"),
        ("ints", "[1,-2]"),
        ("doubles", "[0.5,\"NaN\"]"),
        ("texts", "[\"a\\\"b\",\"\\n\"]"),
    ]);
    assert_eq!(tags_of(given), expected);
}

#[test]
fn kinds_are_tags_but_for_internal() {
    for (kind, expected) in [
        (SpanKind::Client, Some("client")),
        (SpanKind::Server, Some("server")),
        (SpanKind::Producer, Some("producer")),
        (SpanKind::Consumer, Some("consumer")),
        (SpanKind::Internal, None),
    ] {
        let mut given = span("op");
        given.span_kind = kind;
        let expected: Vec<_> = expected.into_iter().map(|kind| ("span.kind", kind)).collect();
        assert_eq!(tags_of(given), pairs(&expected));
    }
}

#[test]
fn a_status_is_tags_and_an_error_is_marked_once() {
    let with = |status| {
        let mut given = span("op");
        given.attributes = vec![KeyValue::new("error", false)];
        given.status = status;
        tags_of(given)
    };
    assert_eq!(with(Status::Unset), pairs(&[("error", "Bool(false)")]));
    let ok = pairs(&[("error", "Bool(false)"), ("otel.status_code", "OK")]);
    assert_eq!(with(Status::Ok), ok);
    let error = pairs(&[
        ("otel.status_code", "ERROR"),
        ("otel.status_description", "no money"),
        ("error", "Bool(true)"),
    ]);
    assert_eq!(with(Status::error("no money")), error);
    let silent = pairs(&[("otel.status_code", "ERROR"), ("error", "Bool(true)")]);
    assert_eq!(with(Status::error("")), silent);
}

#[test]
fn no_key_is_there_twice() {
    let mut given = span("op");
    given.attributes = vec![
        KeyValue::new("a", 1),
        KeyValue::new("span.kind", "server"),
        KeyValue::new("otel.status_code", "OK"),
        KeyValue::new("otel.status_description", "mine"),
        KeyValue::new("a", "last"),
    ];
    let as_they_are = pairs(&[
        ("span.kind", "server"),
        ("otel.status_code", "OK"),
        ("otel.status_description", "mine"),
        ("a", "last"),
    ]);
    assert_eq!(tags_of(given.clone()), as_they_are, "where the span says nothing of it");
    given.span_kind = SpanKind::Client;
    given.status = Status::error("theirs");
    let expected = pairs(&[
        ("a", "last"),
        ("span.kind", "client"),
        ("otel.status_code", "ERROR"),
        ("otel.status_description", "theirs"),
        ("error", "Bool(true)"),
    ]);
    assert_eq!(tags_of(given), expected);
}

#[test]
fn attributes_of_a_scope_are_tags_unless_the_span_has_the_key() {
    let mut given = span("op");
    given.attributes = vec![KeyValue::new("own", "span")];
    let attributes = [KeyValue::new("tier", 1), KeyValue::new("own", "scope")];
    given.instrumentation_scope =
        InstrumentationScope::builder("").with_attributes(attributes).build();
    assert_eq!(tags_of(given), pairs(&[("own", "span"), ("tier", "Long(1)")]));
}

#[test]
fn scope_trace_state_and_dropped_counts_are_tags() {
    let mut given = span("op");
    let scope = InstrumentationScope::builder("db").with_version("1.2").build();
    given.instrumentation_scope = scope;
    let trace_state = TraceState::from_key_value([("a", "1"), ("b", "2")]).unwrap();
    let context = &given.span_context;
    given.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags(),
        false,
        trace_state,
    );
    given.dropped_attributes_count = 1;
    given.events.dropped_count = 2;
    given.links.dropped_count = 3;
    let expected = pairs(&[
        ("otel.scope.name", "db"),
        ("otel.library.name", "db"),
        ("otel.scope.version", "1.2"),
        ("otel.library.version", "1.2"),
        ("w3c.tracestate", "a=1,b=2"),
        ("otel.dropped_attributes_count", "Long(1)"),
        ("otel.dropped_events_count", "Long(2)"),
        ("otel.dropped_links_count", "Long(3)"),
    ]);
    assert_eq!(tags_of(given), expected);
}

#[test]
fn events_are_logs() {
    let at = SystemTime::UNIX_EPOCH + START + Duration::from_micros(9);
    let mut given = span("op");
    given.events.events = vec![
        Event::new("paid", at, vec![KeyValue::new("amount", 3)], 4),
        Event::new("name", at, vec![KeyValue::new("event", "attribute")], 0),
        Event::new("", at, Vec::new(), 0),
    ];
    look(given, |span| {
        let logs: Vec<_> = span
            .logs()
            .map(|log| {
                assert_eq!(log.timestamp_micros as u128, START.as_micros() + 9);
                let key = |key| String::from_utf8_lossy(key).into_owned();
                log.fields().map(|tag| (key(tag.key), shown(tag.value))).collect::<Vec<_>>()
            })
            .collect();
        let first = pairs(&[
            ("event", "paid"),
            ("amount", "Long(3)"),
            ("otel.event.dropped_attributes_count", "Long(4)"),
        ]);
        assert_eq!(logs, [first, pairs(&[("event", "attribute")]), Vec::new()]);
    });
}

#[test]
fn links_are_references() {
    let link = |id: u64, attributes| {
        let (trace_id, span_id) = (TraceId::from((7 << 64) | 8), SpanId::from(id));
        let flags = TraceFlags::SAMPLED;
        Link::new(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE), attributes, 0)
    };
    let mut given = span("op");
    let child_of = vec![KeyValue::new("opentracing.ref_type", "child_of")];
    given.links.links = vec![link(1, Vec::new()), link(2, child_of)];
    look(given, |span| {
        let read: Vec<_> = span
            .references()
            .map(|r| (r.follows_from, r.trace_id.high(), r.trace_id.low(), r.span_id.get()))
            .collect();
        assert_eq!(read, [(true, 7, 8, 1), (false, 7, 8, 2)]);
    });
}

#[test]
fn attributes_of_a_link_are_a_log_at_the_start_of_the_span() {
    let (trace_id, span_id) = (TraceId::from(7), SpanId::from(8));
    let context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::NONE);
    let mut given = span("op");
    let why = vec![KeyValue::new("why", "batch")];
    given.links.links = vec![Link::new(context.clone(), why, 3), Link::with_context(context)];
    look(given, |span| {
        assert_eq!(span.references().count(), 2);
        let logs: Vec<_> = span.logs().collect();
        assert_eq!(logs.len(), 1, "a link without attributes is the reference alone");
        assert_eq!(logs[0].timestamp_micros, span.start_time_micros);
        let key = |key| String::from_utf8_lossy(key).into_owned();
        let fields = logs[0].fields().map(|tag| (key(tag.key), shown(tag.value)));
        let expected = pairs(&[
            ("event", "link"),
            ("trace_id", "00000000000000000000000000000007"),
            ("span_id", "0000000000000008"),
            ("why", "batch"),
            ("otel.dropped_attributes_count", "Long(3)"),
        ]);
        assert_eq!(fields.collect::<Vec<_>>(), expected);
    });
}

#[test]
fn a_resource_is_the_process() {
    let attributes = [KeyValue::new("host.name", "h"), KeyValue::new("process.pid", 5)];
    let resource = Resource::builder_empty().with_service_name("checkout");
    let message = exported(&resource.with_attributes(attributes).build(), vec![span("op")]);
    let process = BatchView::parse_message(&message).unwrap().1.process;
    assert_eq!(process.service_name, b"checkout");
    let mut tags: Vec<_> = process
        .tags()
        .map(|tag| (String::from_utf8_lossy(tag.key).into_owned(), shown(tag.value)))
        .collect();
    tags.sort();
    assert_eq!(tags, pairs(&[("host.name", "h"), ("process.pid", "Long(5)")]));

    let message = exported(&Resource::builder_empty().build(), vec![span("op")]);
    let process = BatchView::parse_message(&message).unwrap().1.process;
    assert_eq!(process.service_name, b"unknown_service");
}

#[test]
fn a_resource_too_large_for_a_message_leaves_room_for_spans() {
    let large = KeyValue::new("large", "x".repeat(100_000));
    let attributes = [large, KeyValue::new("small", "y")];
    let resource = Resource::builder_empty().with_service_name("s".repeat(100_000));
    let message = exported(&resource.with_attributes(attributes).build(), vec![span("op")]);
    let process = BatchView::parse_message(&message).unwrap().1.process;
    assert_eq!(process.tags().map(|tag| tag.key.to_vec()).collect::<Vec<_>>(), [b"small"]);
    assert!(process.service_name.len() > 1_000);
}
