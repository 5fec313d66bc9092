//! Reading the content of live spans, and of finished ones in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::SOON;
use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{InMemoryReporter, ManualClock, OwnedTagValue, Span, SpanContext, TagValue};

#[test]
fn a_live_span_has_its_name_its_start_and_its_tags_until_it_is_finished() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = crate::support::builder().in_memory(&memory).build().unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let span = tracer.span("first").tag("a", 1).start_time(start).start();
    span.set_tag("b", "x").set_tag("a", 2).set_tag("c", [1_u8, 2].as_slice());
    span.set_operation_name(String::from("second"));
    assert_eq!((span.operation_name().as_ref(), span.start_time()), ("second", Some(start)));
    assert_eq!(span.tag("a"), Some(OwnedTagValue::I64(2)));
    assert_eq!((span.tag("b"), span.tag("d")), (Some("x".into()), None));
    let of_span: Vec<_> = span.tags().into_iter().filter(|(key, _)| key.len() == 1).collect();
    let all = [("a", 1.into()), ("b", "x".into()), ("a", 2.into()), ("c", vec![1, 2].into())];
    assert_eq!(of_span, all.map(|(key, value): (&str, OwnedTagValue)| (key.to_owned(), value)));
    assert!(span.tag("sampler.type").is_some(), "the sampler's tags are among them");
    span.finish();
    assert_eq!((span.start_time(), span.tag("a"), span.tags()), (None, None, Vec::new()));

    let read = tracer.start_span("now");
    let now = read.start_time().unwrap().duration_since(SystemTime::now() - SOON).unwrap();
    assert!(now < 2 * SOON, "{now:?}");
    let before = tracer.stats().misused;
    let none = Span::none();
    assert_eq!(
        (none.operation_name().as_ref(), none.start_time(), none.tags()),
        ("", None, Vec::new())
    );
    assert_eq!(tracer.stats().misused, before, "reading is no misuse");
}

#[test]
fn a_span_that_is_not_recorded_has_its_name_alone() {
    let builder = crate::support::builder().sampler(ConstSampler::new(false)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    for span in [tracer.start_span("plain"), tracer.span("plain").tag("a", 1).start()] {
        assert_eq!(span.operation_name(), "plain");
        assert_eq!((span.start_time(), span.tag("a"), span.tags()), (None, None, Vec::new()));
    }
}

#[test]
fn values_of_views_can_be_given_to_other_spans() {
    let bytes = |view: ValueView<'static>| OwnedTagValue::from(view);
    assert_eq!(bytes(ValueView::Str(b"x")), "x".into());
    assert_eq!(bytes(ValueView::Str(b"\xff")), OwnedTagValue::Bytes(vec![0xff]));
    assert_eq!(TagValue::from(ValueView::Double(0.5)), TagValue::F64(0.5));
    assert_eq!(TagValue::from(ValueView::Binary(b"\xff")), TagValue::Bytes(b"\xff"));
}

fn names(memory: &InMemoryReporter) -> Vec<String> {
    memory.spans_by_start().iter().map(|span| span.operation_name().into_owned()).collect()
}

#[test]
fn spans_in_memory_keep_the_order_of_their_starts_whatever_order_they_end_in() {
    let memory = InMemoryReporter::new();
    let clock = Arc::new(ManualClock::new());
    let builder = crate::support::builder().in_memory(&memory).clock(Arc::clone(&clock));
    let (tracer, _closer) = builder.build().unwrap();
    let root = tracer.start_span("root");
    let numbers: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    let child = |number: &String| {
        clock.advance(Duration::from_nanos(700));
        root.child(number.clone())
    };
    let spans: Vec<_> = numbers.iter().map(child).collect();
    spans.iter().rev().for_each(Span::finish);
    root.finish();
    let expected: Vec<_> = std::iter::once("root".to_owned()).chain(numbers).collect();
    assert_eq!(names(&memory), expected);
    let tree = memory.span_tree();
    let listed: Vec<_> = tree.lines().map(|line| line.trim().split(' ').next().unwrap()).collect();
    assert_eq!(listed, expected);
    let micros = |span: &jaeger_client::FinishedSpan| span.view().start_time_micros;
    let spans = memory.take();
    for span in &spans {
        let since = span.start_time().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(i64::try_from(since.as_micros()).unwrap(), micros(span));
        assert_eq!(span.finish_time(), span.start_time() + span.duration());
    }
    assert_eq!((spans.len(), memory.len()), (1001, 0), "taken is forgotten");
}

#[test]
fn of_spans_that_start_together_parents_come_first_and_others_as_they_end() {
    let memory = InMemoryReporter::new();
    let clock = Arc::new(ManualClock::new());
    let builder = crate::support::builder().in_memory(&memory).clock(Arc::clone(&clock));
    let (tracer, _closer) = builder.build().unwrap();
    let root = tracer.start_span("root");
    let (left, right) = (root.child("left"), root.child("right"));
    left.child("leaf").finish();
    clock.advance(Duration::from_nanos(1));
    root.child("later").finish();
    right.finish();
    left.finish();
    root.finish();
    assert_eq!(names(&memory), ["root", "right", "left", "leaf", "later"]);
    let later = memory.find("later").unwrap();
    assert_eq!(later.tag("none"), None);
    assert_eq!(later.duration(), Duration::from_micros(1));
    // Spans that are each other's parents are listed as well, once.
    let context = |text: &str| text.parse::<SpanContext>().unwrap();
    memory.reset();
    for context in ["a:1:2:1", "a:2:1:1"].map(context) {
        tracer.span("circle").self_reference(&context).start().finish();
    }
    assert_eq!(names(&memory).len(), 2);
}
