//! `uber-trace-id` and what goes with it, between OpenTelemetry and Jaeger's clients.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::collections::HashMap;

use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{HeadersConfig, Tracer as JaegerTracer};
use jaeger_client_opentelemetry::JaegerPropagator;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracerProvider;

type Headers = HashMap<String, String>;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn extract(pairs: &[(&str, &str)]) -> Context {
    JaegerPropagator::new().extract_with_context(&Context::new(), &headers(pairs))
}

fn inject(cx: &Context) -> Headers {
    let mut headers = Headers::new();
    JaegerPropagator::new().inject_context(cx, &mut headers);
    headers
}

fn span_context(trace_id: u128, span_id: u64, flags: u8) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, TraceState::NONE)
}

#[test]
fn ids_of_64_and_128_bits_and_all_flags_are_read_as_remote() {
    for (value, trace_id, span_id, flags) in [
        ("1:2:0:1", 1, 2, 1),
        ("00000000000000010000000000000002:3:4:0", (1 << 64) | 2, 3, 0),
        ("5af7183fb1d4cf5f:6b221d5bc9e6496c:0:3", 0x5af7_183f_b1d4_cf5f, 0x6b22_1d5b_c9e6_496c, 3),
        ("ffffffffffffffffffffffffffffffff:ffffffffffffffff:0:b", u128::MAX, u64::MAX, 0xb),
        ("1:2:0:ff", 1, 2, 255),
        ("1%3A2%3A0%3A1", 1, 2, 1),
    ] {
        let cx = extract(&[("uber-trace-id", value)]);
        let span = cx.span();
        assert_eq!(span.span_context(), &span_context(trace_id, span_id, flags), "{value}");
        assert!(span.span_context().is_remote());
    }
}

#[test]
fn a_context_is_written_with_padded_ids_and_read_back() {
    for (trace_id, span_id, flags, value) in [
        (1, 2, 1, "0000000000000001:0000000000000002:0000000000000000:1"),
        (
            (1 << 64) | 2,
            3,
            0xb,
            "00000000000000010000000000000002:0000000000000003:0000000000000000:b",
        ),
        (7, 8, 0, "0000000000000007:0000000000000008:0000000000000000:0"),
    ] {
        let context = span_context(trace_id, span_id, flags);
        let written = inject(&Context::new().with_remote_span_context(context.clone()));
        assert_eq!(written, headers(&[("uber-trace-id", value)]));
        assert_eq!(extract(&[("uber-trace-id", value)]).span().span_context(), &context);
    }
}

#[test]
fn invalid_contexts_leave_the_context_as_it_is() {
    let before = Context::new()
        .with_baggage([KeyValue::new("kept", "yes")])
        .with_remote_span_context(span_context(9, 9, 1));
    for value in ["", "x", "1:2:3", "1:2:3:4:5", "g:1:0:1", "1:2:0:100", "0:0:0:1", "1:0:0:1"] {
        let cx = JaegerPropagator::new()
            .extract_with_context(&before, &headers(&[("uber-trace-id", value)]));
        assert_eq!(cx.span().span_context(), before.span().span_context(), "{value:?}");
        assert_eq!(cx.baggage().get("kept").unwrap().as_str(), "yes");
        assert_eq!(cx.baggage().len(), 1);
    }
    assert!(!extract(&[("uber-trace-id", "x")]).has_active_span());
    assert!(!extract(&[]).has_active_span());
}

/// Several values of one header.
struct Several(Vec<&'static str>);

impl Extractor for Several {
    fn get(&self, _key: &str) -> Option<&str> {
        self.0.first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["uber-trace-id"]
    }

    fn get_all(&self, _key: &str) -> Option<Vec<&str>> {
        Some(self.0.clone())
    }
}

#[test]
fn of_contexts_that_differ_none_is_taken() {
    let propagator = JaegerPropagator::new();
    let extract = |values| propagator.extract_with_context(&Context::new(), &Several(values));
    assert!(extract(vec!["1:2:0:1", "1:2:0:1"]).has_active_span());
    assert!(!extract(vec!["1:2:0:1", "3:4:0:1"]).has_active_span());
}

#[test]
fn baggage_is_merged_encoded_and_decoded() {
    let cx = Context::new().with_baggage([KeyValue::new("a", "old"), KeyValue::new("own", "1")]);
    let read = headers(&[
        ("uber-trace-id", "1:2:0:1"),
        ("uberctx-a", "b%20c%25"),
        ("jaeger-baggage", "k1=v1, k2=v2"),
    ]);
    let cx = JaegerPropagator::new().extract_with_context(&cx, &read);
    let value = |key| cx.baggage().get(key).map(|value| value.as_str().to_owned());
    let values = ["a", "own", "k1", "k2"].map(|key| value(key).unwrap());
    assert_eq!(values, ["b c%", "1", "v1", "v2"]);

    let written = inject(&cx);
    assert_eq!(written["uberctx-a"], "b%20c%25");
    assert_eq!((written["uberctx-own"].as_str(), written.len()), ("1", 5));

    let mut map = Headers::new();
    JaegerPropagator::new().text_map().inject_context(&cx, &mut map);
    assert_eq!(map["uberctx-a"], "b c%");
}

#[test]
fn baggage_without_a_span_is_read_and_handed_on_without_a_context() {
    let cx = extract(&[("uberctx-user", "ann")]);
    assert!(!cx.has_active_span());
    assert_eq!(inject(&cx), headers(&[("uberctx-user", "ann")]));
    assert!(inject(&Context::new()).is_empty());
}

#[test]
fn baggage_beyond_the_limits_of_opentelemetry_is_left_out() {
    let many: Headers = (0..200).map(|n| (format!("uberctx-{n}"), "v".to_owned())).collect();
    let cx = JaegerPropagator::new().extract_with_context(&Context::new(), &many);
    assert_eq!(cx.baggage().len(), 64);
}

#[test]
fn a_debug_id_is_handed_on_where_nothing_is_traced() {
    let cx = extract(&[("jaeger-debug-id", "find%20me")]);
    assert!(!cx.has_active_span());
    let with_baggage = cx.with_baggage([KeyValue::new("k", "v")]);
    let written = inject(&with_baggage);
    assert_eq!(written, headers(&[("jaeger-debug-id", "find%20me"), ("uberctx-k", "v")]));
}

#[test]
fn a_sampled_span_below_a_debug_id_is_a_debug_span_to_others() {
    let cx = extract(&[("jaeger-debug-id", "find me")]);
    let of = |flags| {
        let (ids, flags) = ((TraceId::from(1), SpanId::from(2)), TraceFlags::new(flags));
        let local = SpanContext::new(ids.0, ids.1, flags, false, TraceState::NONE);
        inject(&cx.with_remote_span_context(local))
    };
    assert!(of(1)["uber-trace-id"].ends_with(":3"));
    assert!(of(0)["uber-trace-id"].ends_with(":0"));
    assert_eq!(of(1).len(), 1, "the id itself has done its work");
}

#[test]
fn spans_of_the_sdk_inherit_the_flags() {
    let provider = SdkTracerProvider::builder().build();
    let parent = extract(&[("uber-trace-id", "1:2:0:b")]);
    let mut span = provider.tracer("test").start_with_context("child", &parent);
    assert_eq!(span.span_context().trace_flags().to_u8(), 0xb);
    let written = inject(&parent.with_remote_span_context(span.span_context().clone()));
    assert!(written["uber-trace-id"].ends_with(":b"), "{written:?}");
    span.end();
}

#[test]
fn a_tracer_of_the_client_reads_what_is_written_and_the_other_way_round() {
    let (tracer, _closer) = JaegerTracer::builder("svc").null_reporter().build().unwrap();
    let cx = Context::new()
        .with_baggage([KeyValue::new("who", "a b")])
        .with_remote_span_context(span_context((5 << 64) | 6, 7, 3));
    let written: Vec<_> = inject(&cx).into_iter().collect();
    let read = tracer.extract(&HttpHeaders(written)).unwrap();
    assert_eq!(
        read.to_string(),
        "00000000000000050000000000000006:0000000000000007:0000000000000000:3"
    );
    assert_eq!(read.baggage_item("who"), Some("a b"));

    let span = tracer.start_span("op");
    span.set_baggage_item("who", "c d");
    let mut carrier = HttpHeaders(Vec::<(String, String)>::new());
    tracer.inject(&span.context(), &mut carrier);
    let headers: Headers = carrier.0.into_iter().collect();
    let cx = JaegerPropagator::new().extract_with_context(&Context::new(), &headers);
    assert_eq!(
        cx.span().span_context().span_id().to_string(),
        span.context().span_id().to_string()
    );
    assert_eq!(cx.baggage().get("who").unwrap().as_str(), "c d");
}

#[test]
fn fields_are_the_headers_as_configured() {
    let default = JaegerPropagator::new();
    assert_eq!(default.fields().collect::<Vec<_>>(), ["uber-trace-id", "jaeger-debug-id"]);
    let named = HeadersConfig { trace_context: "x-trace".to_owned(), ..HeadersConfig::default() };
    let propagator = JaegerPropagator::with_headers(named).unwrap();
    assert_eq!(propagator.fields().next(), Some("x-trace"));
    let mut written = Headers::new();
    let cx = Context::new().with_remote_span_context(span_context(1, 2, 1));
    propagator.inject_context(&cx, &mut written);
    assert!(written.contains_key("x-trace"));
    assert!(propagator.extract_with_context(&Context::new(), &written).has_active_span());
}

#[test]
fn a_debug_id_is_handed_on_beside_a_context_until_a_span_begins() {
    for flags in ["0", "1", "8"] {
        let ids = format!("{:016x}:{:016x}:{:016x}:{flags}", 1, 2, 0);
        let sent = [("uber-trace-id", &*ids), ("jaeger-debug-id", "4711"), ("uberctx-who", "me")];
        assert_eq!(inject(&extract(&sent)), headers(&sent));
    }
    let caller = extract(&[("uber-trace-id", "1:2:0:1"), ("jaeger-debug-id", "4711")]);
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let child = caller.with_span(tracer.start_with_context("child", &caller));
    let sent = inject(&child);
    assert!(!sent.contains_key("jaeger-debug-id"), "{sent:?}");
    assert!(sent["uber-trace-id"].ends_with(":3"), "{sent:?}");
}

#[test]
fn what_is_not_carried_is_counted() {
    let propagator = JaegerPropagator::new();
    let counts = || {
        let stats = propagator.clone().stats();
        (stats.decoding_errors, stats.baggage_limited)
    };
    let read =
        |pairs: &[(&str, &str)]| propagator.extract_with_context(&Context::new(), &headers(pairs));
    read(&[]);
    read(&[("uber-trace-id", "1:2:0:1"), ("uberctx-k", "v")]);
    assert_eq!(counts(), (0, 0));
    read(&[("uber-trace-id", "nonsense")]);
    read(&[("uber-trace-id", "nonsense"), ("jaeger-debug-id", "4711")]);
    assert_eq!(counts(), (2, 0));
    read(&[("uberctx-no token", "v"), ("uberctx-k", "v")]);
    assert_eq!(counts(), (2, 1));
    let many: Headers = (0..70).map(|n| (format!("uberctx-{n}"), "v".to_owned())).collect();
    propagator.extract_with_context(&Context::new(), &many);
    assert_eq!(counts(), (2, 7));
}

#[test]
fn a_name_that_no_header_can_have_is_refused() {
    let named = |trace_context: &str, debug: &str| {
        JaegerPropagator::with_headers(HeadersConfig {
            trace_context: trace_context.to_owned(),
            debug: debug.to_owned(),
            ..HeadersConfig::default()
        })
    };
    assert!(named("x-trace", "x-debug").is_ok());
    for (trace_context, debug) in [("", "x-debug"), ("no name", "x-debug"), ("x", "x")] {
        assert!(named(trace_context, debug).is_err(), "{trace_context:?} {debug:?}");
    }
}
