//! OTLP: requests are read by `prost`, and equal an independent translation.

#![cfg(feature = "otlp")]

mod expected;
mod random;

use crate::support::canonical::{our_tags, ours};
use crate::support::otlp::{Detail, Failure, PartialSuccess, Request, Response};
use crate::support::otlp_json;
use crate::support::read::{Span, Tag, Value};
use expected::{any_value, span_with};
use jaeger_client::encoding::{
    BatchView, DecodeError, List, OtlpEncoder, OtlpResponse, OtlpStatus, ProcessView, SpanView,
    TagView, ValueView, put_tag,
};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{SpanId, TraceId, TracerBuilder};
use proptest::prelude::*;
use prost::Message;
use random::Random;

/// The batch in canonical bytes: its spans, and the tags of its process.
fn canonical(spans: &[Span], process: &[Tag]) -> (Vec<u8>, Vec<u8>) {
    (spans.iter().flat_map(ours).collect(), our_tags(process))
}

fn view<'b>(
    spans: &[Span],
    process: &[Tag],
    (bytes, tags): &'b (Vec<u8>, Vec<u8>),
) -> BatchView<'b> {
    let process = ProcessView::new(b"svc", Some(List::new(process.len(), tags)));
    BatchView::new(process, List::new(spans.len(), bytes))
}

#[test]
fn law_protobuf_and_json_of_10_000_spans_are_the_independent_translation() {
    for seed in 0..1_000 {
        let mut random = Random::new(seed);
        let spans: Vec<_> = (0..10).map(|_| random.span()).collect();
        let process = random.process_tags();
        let bytes = canonical(&spans, &process);
        let batch = view(&spans, &process, &bytes);
        let wanted = expected::request(b"svc", &process, &spans);
        let written = batch.to_otlp().unwrap();
        let read = Request::decode(&*written).unwrap();
        assert!(read == wanted, "seed {seed}: {}", difference(&read, &wanted));
        // Lengths in their shortest form, nothing that is the default, fields in their order.
        assert!(written == wanted.encode_to_vec(), "seed {seed}: prost writes other bytes");
        let read = otlp_json::read(&batch.to_otlp_json().unwrap());
        assert!(read == wanted, "seed {seed}, JSON: {}", difference(&read, &wanted));
    }
}

/// The first lines that differ, with those before them.
fn difference(read: &Request, wanted: &Request) -> String {
    let (read, wanted) = (format!("{read:#?}"), format!("{wanted:#?}"));
    let short = |line: &str| line.chars().take(100).collect::<String>();
    let mut before = Vec::new();
    for (read, wanted) in read.lines().zip(wanted.lines()) {
        if read != wanted {
            let before = before.split_off(before.len().saturating_sub(20)).join("\n");
            return format!("\n{before}\n{}\nin place of\n{}", short(read), short(wanted));
        }
        before.push(short(read));
    }
    "one is longer than the other".to_owned()
}

#[test]
fn law_requests_keep_to_their_limit_and_lose_nothing() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let spans: Vec<_> = (0..12).map(|_| random.span()).collect();
        let bytes = canonical(&spans, &[]);
        let batch = view(&spans, &[], &bytes);
        let whole = batch.to_otlp().unwrap().len();
        // With the exact length of the whole as its limit, it goes in one.
        let limit = if seed % 4 == 0 { whole } else { 200 + random.below(whole) };
        let mut encoder = OtlpEncoder::new(&batch.process);
        let (mut left, mut sent, mut too_large) = (batch.spans, Vec::new(), 0);
        while left.count > 0 {
            let request = encoder.encode(left, limit).unwrap();
            assert!(request.bytes.len() <= limit);
            assert_eq!(request.spans + request.invalid + request.left.count, left.count);
            let one_more = first(left, left.count.min(request.spans + 1));
            if request.left.count > 0 {
                let more = BatchView::new(batch.process, one_more).to_otlp().unwrap();
                assert!(more.len() > limit, "one more would have fitted");
            }
            sent.extend(spans_of(&Request::decode(request.bytes).unwrap()));
            assert_eq!(request.bytes.is_empty(), request.spans == 0);
            let alone_is_too_large = request.spans == 0;
            left = if alone_is_too_large { rest(left, 1) } else { request.left };
            too_large += usize::from(alone_is_too_large);
        }
        assert!(limit != whole || too_large == 0);
        assert_eq!(sent.len() + too_large, spans.len());
        let all = spans_of(&Request::decode(&*batch.to_otlp().unwrap()).unwrap());
        let mut all = all.iter();
        assert!(sent.iter().all(|span| all.any(|other| other == span)), "in their order");
    }
}

proptest! {
    #[test]
    fn law_any_bytes_as_text_become_a_request_that_is_read_and_all_ids_name_something(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 8),
        keys in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        const KEYS: [&[u8]; 5] =
            [b"w3c.tracestate", b"otel.scope.name", b"otel.status_description", b"error", b"event"];
        let of = |at: usize| &texts[at % texts.len()][..];
        let mut tags = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let key = match key.index(KEYS.len() + texts.len()) {
                known @ 0..5 => KEYS[known],
                any => of(any),
            };
            put_tag(&mut tags, TagView::new(key, ValueView::Str(of(at))));
        }
        put_tag(&mut tags, TagView::new(b"otel.status_code", ValueView::Str(b"ERROR")));
        let count = keys.len() + 1;
        let mut span = SpanView::default();
        (span.trace_id, span.span_id) = (TraceId::new(0, 1), SpanId::new(1));
        span.operation_name = of(0);
        span.tags = Some(List::new(count, &tags));
        let mut logs = Vec::new();
        let fields = List::new(count, &tags);
        jaeger_client::encoding::put_log(&mut logs, jaeger_client::encoding::LogView::new(1, fields));
        span.logs = Some(List::new(1, &logs));
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        let process = ProcessView::new(of(1), Some(List::new(count, &tags)));
        let batch = BatchView::new(process, List::new(1, &bytes));
        // `prost` refuses a string that is no UTF-8, and so does the reader of JSON.
        let read = Request::decode(&*batch.to_otlp().unwrap()).unwrap();
        prop_assert_eq!(otlp_json::read(&batch.to_otlp_json().unwrap()), read);
    }

    #[test]
    fn law_responses_may_be_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_responses(&bytes);
    }

    #[test]
    fn law_responses_may_have_any_damage(
        rejected in any::<i64>(),
        message in "\\PC{0,60}",
        code in any::<i32>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (partial, failure) = responses(rejected, code, &message);
        let response = OtlpResponse::parse(&partial).unwrap();
        prop_assert_eq!(response.rejected_spans, u64::try_from(rejected).unwrap_or(0));
        prop_assert_eq!(&*response.message, &message);
        let status = OtlpStatus::parse(&failure).unwrap();
        prop_assert_eq!((status.code, &*status.message), (code, &*message));
        for mut bytes in [partial, failure] {
            read_responses(&bytes[..cut.index(bytes.len() + 1)]);
            for (at, byte) in &damage {
                if let Some(at) = (!bytes.is_empty()).then(|| at.index(bytes.len())) {
                    bytes[at] = *byte;
                }
            }
            read_responses(&bytes);
        }
    }
}

/// A response that a part was taken, and one that the request failed; with a field that is not known.
fn responses(rejected: i64, code: i32, message: &str) -> (Vec<u8>, Vec<u8>) {
    let partial_success =
        PartialSuccess { rejected_spans: rejected, error_message: message.into() };
    let mut partial = Response { partial_success: Some(partial_success) }.encode_to_vec();
    let details = vec![Detail { type_url: "t".into(), value: vec![1] }];
    let mut failure = Failure { code, message: message.into(), details }.encode_to_vec();
    for bytes in [&mut partial, &mut failure] {
        bytes.extend([
            0xfa, 0x3f, 2, 9, 9, 0xfd, 0x3f, 1, 2, 3, 4, 0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8,
        ]);
    }
    (partial, failure)
}

fn read_responses(bytes: &[u8]) {
    if let Ok(response) = OtlpResponse::parse(bytes) {
        assert!(response.message.len() <= 3 * OtlpResponse::MAX_MESSAGE_BYTES);
    }
    if let Ok(status) = OtlpStatus::parse(bytes) {
        assert!(!status.message.contains(char::is_control));
    }
}

fn first(list: List<'_>, count: usize) -> List<'_> {
    List::new(count, &list.bytes[..list.bytes.len() - rest(list, count).bytes.len()])
}

fn rest(list: List<'_>, count: usize) -> List<'_> {
    let mut bytes = list.bytes;
    for _ in 0..count {
        bytes = &bytes[SpanView::parse(bytes).unwrap().1..];
    }
    List::new(list.count - count, bytes)
}

fn spans_of(request: &Request) -> Vec<crate::support::otlp::Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

#[test]
fn a_span_whose_ids_are_zero_is_left_out_and_counted_and_refused_where_nothing_counts() {
    let mut spans = Vec::new();
    for (trace, id) in [(7, 1), (0, 2), (7, 0), (7, 4)] {
        let mut span = SpanView::default();
        (span.trace_id, span.span_id) = (TraceId::new(0, trace), SpanId::new(id));
        span.encode(&mut spans);
    }
    let batch = BatchView::new(ProcessView::new(b"svc", None), List::new(4, &spans));
    let mut encoder = OtlpEncoder::new(&batch.process);
    let request = encoder.encode(batch.spans, usize::MAX).unwrap();
    assert_eq!((request.spans, request.invalid, request.left.count), (2, 2, 0));
    let ids = spans_of(&Request::decode(request.bytes).unwrap()).into_iter().map(|s| s.span_id[7]);
    assert_eq!(ids.collect::<Vec<_>>(), [1, 4]);
    for refused in [batch.to_otlp(), batch.to_otlp_json()] {
        assert!(matches!(refused, Err(DecodeError::Unwritable { .. })), "{refused:?}");
    }
}

#[test]
fn no_spans_make_no_envelope() {
    let batch = BatchView::new(ProcessView::new(b"svc", None), List::default());
    assert_eq!(batch.to_otlp().unwrap(), b"");
    assert_eq!(batch.to_otlp_json().unwrap(), br#"{"resourceSpans":[]}"#);
    let mut encoder = OtlpEncoder::new(&batch.process);
    assert_eq!(encoder.encode(List::default(), 1 << 20).unwrap().bytes, b"");
}

#[test]
fn spans_that_name_a_scope_have_it_and_the_others_the_library_s() {
    let of = |scope: &str| {
        let mut span = span_with("op", &[]);
        if !scope.is_empty() {
            span.tags.push(("otel.scope.name".into(), scope.into()));
            span.tags.push(("otel.scope.version".into(), "2".into()));
        }
        span
    };
    let spans = ["", "", "a", "a", "b", ""].map(of);
    let bytes = canonical(&spans, &[]);
    let written = view(&spans, &[], &bytes).to_otlp().unwrap();
    let request = Request::decode(&*written).unwrap();
    let scopes: Vec<_> = request.resource_spans[0]
        .scope_spans
        .iter()
        .map(|of| (of.scope.as_ref().unwrap().name.as_str(), of.spans.len()))
        .collect();
    let own = "jaeger-client";
    assert_eq!(scopes, [(own, 2), ("a", 2), ("b", 1), (own, 1)]);
    assert!(spans_of(&request).iter().all(|span| span.attributes.is_empty()));
}

/// Returns the only span of a tracer with these limits, as OTLP.
fn sent(
    limit: impl FnOnce(TracerBuilder) -> TracerBuilder,
    work: impl FnOnce(&jaeger_client::Span),
) -> crate::support::otlp::Span {
    let memory = MemoryTransport::new();
    let (tracer, closer) =
        limit(crate::support::builder()).transport(memory.clone()).build().unwrap();
    let span = tracer.start_span("op");
    work(&span);
    drop((span, tracer));
    assert!(closer.close(crate::support::SOON).complete);
    let messages = memory.messages();
    let (_, batch) = BatchView::parse_message(&messages[0]).unwrap();
    let request = Request::decode(&*batch.to_otlp().unwrap()).unwrap();
    spans_of(&request).remove(0)
}

#[test]
fn logs_that_were_dropped_are_counted_as_events_that_were() {
    let log = |n: i32| {
        move |span: &jaeger_client::Span| {
            for number in 0..n {
                span.log(&[("event", "tick".into()), ("number", number.into())]);
            }
        }
    };
    // Nine of ten are left, one of which has the number of dropped ones: two.
    let span = sent(|builder| builder.max_logs_per_span(9), log(10));
    assert_eq!((span.events.len(), span.dropped_events_count), (9, 2));
    // A span larger than a datagram loses its oldest logs.
    let span = sent(|builder| builder, log(10_000));
    let left = u32::try_from(span.events.len()).unwrap();
    assert!(left > 100, "{left}");
    assert_eq!(left + span.dropped_events_count, 10_000);
}

#[test]
fn a_span_cut_short_is_an_error_and_not_a_part_of_it() {
    let spans = [span_with("op", &[("k", Value::Long(1))])];
    let (bytes, _) = canonical(&spans, &[]);
    let process = ProcessView::new(b"svc", None);
    for end in 0..bytes.len() {
        let batch = BatchView::new(process, List::new(1, &bytes[..end]));
        assert!(batch.to_otlp().is_err() && batch.to_otlp_json().is_err(), "{end} bytes");
    }
}

#[test]
fn the_messages_of_responses_fit_a_log_line() {
    let (partial, failure) = responses(3, 7, &"a\nb\u{1b}[2J".repeat(1_000));
    let response = OtlpResponse::parse(&partial).unwrap();
    assert!(response.message.starts_with("a b [2Ja b"), "{}", response.message);
    assert_eq!(response.message.len(), OtlpResponse::MAX_MESSAGE_BYTES);
    assert_eq!(OtlpStatus::parse(&failure).unwrap().message, response.message);
    // What a real server answers where all was taken.
    assert!(OtlpResponse::parse(b"\n\x00").unwrap().is_full_success());
    assert!(OtlpResponse::parse(b"404 page not found\n").is_err());
    assert_eq!(OtlpStatus::parse(b"\x08\x03\x12\x03bad").unwrap().code, 3);
}

#[test]
fn nan_infinity_and_bytes_have_types_that_servers_can_show() {
    for (given, wanted) in [
        (Value::Double(f64::NAN), Value::from("NaN")),
        (Value::Double(f64::INFINITY), Value::from("+Inf")),
        (Value::Double(f64::NEG_INFINITY), Value::from("-Inf")),
        (Value::Double(1e300), Value::Double(1e300)),
        (Value::Binary(vec![]), Value::Binary(vec![])),
    ] {
        let spans = [span_with("op", &[("k", given)])];
        let bytes = canonical(&spans, &[]);
        let written = view(&spans, &[], &bytes).to_otlp().unwrap();
        let read = spans_of(&Request::decode(&*written).unwrap());
        assert_eq!(read[0].attributes[0].value, Some(any_value(&wanted)));
    }
}
