//! What a newcomer writes first: values of any kind, errors, children without a tracer, ids as text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use jaeger_client::encoding::ValueView;
use jaeger_client::propagation::{ExtractCarrier, Extracted, HttpHeaders};
use jaeger_client::tags::{self, SpanKind};
use jaeger_client::{
    ExtractError, InMemoryReporter, OwnedTagValue, ParseIdError, Span, SpanContext, SpanId,
    TagValue, TraceId, Tracer,
};

fn tracer() -> (Tracer, jaeger_client::Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = crate::support::builder().in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

#[test]
fn a_tag_takes_every_kind_of_value_owned_or_borrowed_and_none_sets_none() {
    let (tracer, _closer, memory) = tracer();
    let span = tracer
        .span("s")
        .kind(SpanKind::Client)
        .tag("builder.string", String::from("a"))
        .tag("builder.none", None::<String>)
        .start();
    span.set_tag("string", String::from("b"))
        .set_tag("ref", String::from("c"))
        .set_tag("cow", Cow::Borrowed("d"))
        .set_tag("some", Some(3))
        .set_tag("none", None::<i64>)
        .set_tag("nested", Some(Some("e")))
        .set_tag("int_ref", 4_u16)
        .set_tag("wide", 5_u128)
        .set_tag("too_wide", u128::MAX)
        .set_tag("negative", i128::MIN)
        .set_tag("owned", OwnedTagValue::Bool(true))
        .set_tag("bytes", vec![1_u8])
        .set_tag("value", TagValue::F64(0.5))
        .set_tag("kind", SpanKind::Producer)
        .log_event(format!("event {}", 1));
    span.finish();
    let span = memory.find("s").unwrap();
    let tag = |key: &str| span.view().tag(key).unwrap_or_else(|| panic!("no tag {key}"));
    for (key, text) in [
        ("builder.string", "a"),
        ("string", "b"),
        ("ref", "c"),
        ("cow", "d"),
        ("nested", "e"),
        ("too_wide", "340282366920938463463374607431768211455"),
        ("negative", "-170141183460469231731687303715884105728"),
        ("kind", "producer"),
        (tags::SPAN_KIND, "client"),
    ] {
        assert_eq!(tag(key), text, "{key}");
    }
    assert_eq!((tag("some"), tag("int_ref")), (ValueView::Long(3), ValueView::Long(4)));
    assert_eq!(tag("wide"), 5_i64);
    assert_eq!(tag("owned"), true);
    assert_eq!(tag("value"), 0.5);
    assert_eq!(tag("bytes"), ValueView::Binary(&[1]));
    let has = |key: &str| span.view().tag(key).is_some();
    assert!(!has("none") && !has("builder.none"));
    let log = span.view().logs().next().unwrap();
    assert_eq!(log.fields().next().unwrap().value, "event 1");
}

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Self>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

#[test]
fn an_error_marks_the_span_and_is_logged_with_its_sources() {
    let (tracer, _closer, memory) = tracer();
    let root = Failure("root cause", None);
    let outer = Failure("outer", Some(Box::new(Failure("inner", Some(Box::new(root))))));
    tracer.start_span("with sources").record_error(&outer).finish();
    tracer.start_span("without").record_error(&Failure("alone", None)).finish();
    let fields = |name: &str| {
        let span = memory.find(name).unwrap();
        assert_eq!(span.view().tag(tags::ERROR).unwrap(), true);
        let logs: Vec<_> = span.view().logs().collect();
        assert_eq!(logs.len(), 1);
        let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        let fields = logs[0].fields();
        fields.map(|f| (text(f.key), f.value.as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let expected =
        [("event", "error"), ("message", "outer"), ("error.source", "inner: root cause")];
    assert_eq!(fields("with sources"), expected.map(pair));
    assert_eq!(fields("without"), [("event", "error"), ("message", "alone")].map(pair));

    // Of a cause that is its own, so many are logged and no more.
    #[derive(Debug)]
    struct Circle;
    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("o")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Self)
        }
    }
    tracer.start_span("circle").record_error(&Circle).finish();
    assert_eq!(fields("circle")[2].1, ["o"; 16].join(": "));
}

#[test]
fn a_child_needs_no_tracer_and_a_span_that_is_none_does_nothing() {
    let (tracer, closer, memory) = tracer();
    let root = tracer.start_span("root");
    let active = root.activate();
    let child = Span::active().unwrap().child("child");
    child.child("grandchild").set_tag("n", 1).finish();
    child.finish();
    drop(active);
    let mut carrier = HashMap::new();
    root.tracer().unwrap().inject(&root, &mut carrier);
    assert_eq!(carrier["uber-trace-id"], root.context().to_string());
    root.finish();
    assert!(Span::none().tracer().is_none());
    let (root, child) = (memory.find("root").unwrap(), memory.find("child").unwrap());
    let grandchild = memory.find("grandchild").unwrap();
    assert_eq!(child.view().parent_span_id, root.view().span_id);
    assert_eq!(grandchild.view().parent_span_id, child.view().span_id);
    let tree = memory.span_tree();
    let names: Vec<_> = tree.lines().map(|line| line.split(" n=").next().unwrap()).collect();
    assert!(names[0].starts_with("root"), "{tree}");
    assert!(names[1].starts_with("  child") && names[2].starts_with("    grandchild"), "{tree}");

    let none = Span::none();
    none.set_tag("a", 1).log_event("e").set_operation_name("n").set_baggage_item("k", "v");
    none.record_error(&Failure("x", None));
    assert!(!none.is_sampled() && !none.is_recording() && !none.context().is_valid());
    assert!(none.baggage_item("k").is_none());
    none.child("below").finish();
    drop(none.activate());
    none.finish();
    none.finish();
    drop(none.clone());
    assert_eq!(format!("{none:?}").len().min(1), 1);
    let unsampled = tracer.span("root").child_of(&none).start();
    assert!(!unsampled.context().parent_id().get() > 0);
    unsampled.finish();
    let stats = closer.close(crate::support::SOON).stats;
    assert_eq!((stats.started, stats.misused), (4, 0), "{stats}");
}

#[test]
fn ids_and_contexts_are_read_from_their_text_and_shown_as_it() {
    let trace = TraceId::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    assert_eq!(trace.to_string().parse(), Ok(trace));
    assert_eq!("ABC".parse(), Ok(TraceId::new(0, 0xabc)));
    assert_eq!(format!("{trace:?}"), "TraceId(0123456789abcdeffedcba9876543210)");
    assert_eq!(
        (TraceId::from_bytes(trace.to_bytes()), TraceId::from(u128::from(trace))),
        (trace, trace)
    );
    assert_eq!(trace.to_bytes()[0], 1);
    let span = SpanId::new(0x1f);
    assert_eq!((span.to_string().parse(), SpanId::from(u64::from(span))), (Ok(span), span));
    assert_eq!(
        (format!("{span:?}"), span.to_bytes()[7]),
        ("SpanId(000000000000001f)".to_owned(), 0x1f)
    );
    assert_eq!(SpanId::from_bytes(span.to_bytes()), span);
    let long = "0".repeat(33);
    for wrong in ["", "x", "+1", "-1", " 1", "0x1", "1 ", "1:2", &long, "\u{e9}"] {
        let error = wrong.parse::<TraceId>().unwrap_err();
        assert!(error.to_string().contains("hex digits"), "{error}");
        let _: ParseIdError = wrong.parse::<SpanId>().unwrap_err();
    }
    assert!("00000000000000001".parse::<SpanId>().is_err(), "17 digits");
    assert_eq!("x".repeat(100).parse::<SpanId>().unwrap_err().value.len(), 64);

    let context = SpanContext::new(trace, span, SpanId::NONE, 3);
    assert_eq!(context.to_string().parse::<SpanContext>().unwrap(), context);
    assert_ne!(context, SpanContext::new(trace, span, SpanId::NONE, 1));
    let baggage =
        |keys: [&str; 2]| context.with_baggage_item(keys[0], "1").with_baggage_item(keys[1], "1");
    assert_eq!(baggage(["a", "b"]), baggage(["b", "a"]), "the order does not matter");
    assert_ne!(baggage(["a", "b"]), context);
    assert_eq!("1:2:3".parse::<SpanContext>(), Err(ExtractError::Malformed { parts: 3 }));
}

#[test]
fn a_context_is_written_of_a_span_and_read_from_headers_of_messages() {
    let (tracer, _closer, _memory) = tracer();
    let span = tracer.start_span("s");
    let (mut of_span, mut of_context) = (HashMap::new(), HashMap::new());
    tracer.inject(&span, &mut of_span);
    tracer.inject(&span.context(), &mut of_context);
    assert_eq!(of_span, of_context);
    assert_eq!(of_span.len(), 1);
    let of_span = tracer.inject_binary(&span);
    assert_eq!(of_span, tracer.inject_binary(&span.context()));
    assert_eq!(tracer.extract_binary(&of_span).unwrap(), span.context());
    let mut message: Vec<(String, Vec<u8>)> = vec![("other".to_owned(), vec![0xff])];
    tracer.inject(&span, &mut message);
    tracer.inject(&span, &mut message);
    assert_eq!(message.len(), 2);
    assert_eq!(tracer.extract(&message).unwrap(), span.context());
    let slice: &[(&str, &[u8])] = &[("uber-trace-id", &message[1].1)];
    assert_eq!(tracer.extract(slice).unwrap(), span.context());

    let headers = HttpHeaders(vec![("X-Id", "1"), ("x-id", "2")]);
    let headers: &dyn ExtractCarrier = &headers;
    assert_eq!((headers.get("x-id"), headers.get("y")), (Some("1".to_owned()), None));
    let map = HashMap::from([("X-Id", vec![0xff])]);
    let map: &dyn ExtractCarrier = &map;
    assert_eq!((map.get("x-id"), map.get("X-Id")), (None, None), "another case, and no text");
    let read = Extracted::new(span.context());
    assert_eq!((read.context, read.baggage_dropped), (span.context(), 0));
}

#[test]
fn values_are_shown_as_text() {
    assert_eq!(format!("{:?}", ValueView::Str(b"abc")), "Str(\"abc\")");
    assert_eq!(format!("{:?}", ValueView::Long(1)), "Long(1)");
    assert_eq!(ValueView::Str(b"\xff").as_str(), None);
    assert_eq!(ValueView::Bool(true).as_str(), None);
    assert!(ValueView::Str(b"1") != 1_i64 && ValueView::Long(1) != "1");
}
