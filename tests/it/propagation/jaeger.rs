//! Contexts between processes: what is carried, what is refused, and what is counted.

use std::collections::{BTreeMap, HashMap};

use jaeger_client::propagation::{
    B3Format, Format, HeadersConfig, HttpHeaders, JaegerFormat, W3cFormat,
};
use jaeger_client::{
    Closer, Configuration, ExtractError, NullLogger, SpanContext, SpanId, TraceId, Tracer,
};
use proptest::prelude::*;

type Pairs = Vec<(String, String)>;

fn tracer() -> (Tracer, Closer) {
    Tracer::builder("svc").logger(NullLogger).null_reporter().build().unwrap()
}

fn same(left: &SpanContext, right: &SpanContext) -> bool {
    let baggage = |context: &SpanContext| -> BTreeMap<String, String> {
        context.baggage().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    left.to_string() == right.to_string() && baggage(left) == baggage(right)
}

#[test]
fn the_headers_are_those_of_every_other_jaeger_client() {
    let (tracer, _closer) = tracer();
    let context = SpanContext::new(TraceId::new(0, 0xa), SpanId::new(0xb), SpanId::new(0xc), 11)
        .with_baggage_item("who", "a&b");
    let mut text = BTreeMap::new();
    tracer.inject(&context, &mut text);
    let mut http = HttpHeaders(BTreeMap::new());
    tracer.inject(&context, &mut http);
    let id = "000000000000000a:000000000000000b:000000000000000c:b".to_owned();
    assert_eq!(text["uber-trace-id"], id);
    assert_eq!((text["uberctx-who"].as_str(), http.0["uberctx-who"].as_str()), ("a&b", "a%26b"));
    assert_eq!(http.0["uber-trace-id"], id);
}

#[test]
fn an_empty_carrier_is_no_fault_and_a_broken_one_is_counted() {
    let (tracer, _closer) = tracer();
    let none = HashMap::<String, String>::new();
    assert_eq!(tracer.extract(&none).unwrap_err(), ExtractError::NotFound);
    assert_eq!(tracer.stats().decoding_errors, 0);
    let broken = [
        "",
        "1",
        "1:2:3",
        "1:2:3:4:5",
        "x:2:3:1",
        "1:y:3:1",
        "1:2:z:1",
        "1:2:3:w",
        "1:2:3:",
        " 1:2:3:1",
        "1:2:3:1 ",
        "+1:2:3:1",
        "0x1:2:3:1",
        "1:2:3:100",
        "1:11112222333344445:3:1",
        "111122223333444455556666777788889:2:3:1",
    ];
    for (n, value) in broken.into_iter().enumerate() {
        let error = tracer.extract(&HttpHeaders(vec![("uber-trace-id", value)])).unwrap_err();
        assert_ne!(error, ExtractError::NotFound, "{value:?}");
        assert!(!error.to_string().is_empty());
        assert_eq!(tracer.stats().decoding_errors, n as u64 + 1, "{value:?}");
    }
    tracer.extract_binary(b"short").unwrap_err();
    assert_eq!(tracer.stats().decoding_errors, broken.len() as u64 + 1);
}

#[test]
fn ids_of_zero_name_no_context_or_no_parent_and_are_not_counted() {
    let (tracer, _closer) = tracer();
    let extract = |value| tracer.extract(&HttpHeaders(vec![("uber-trace-id", value)]));
    assert_eq!(extract("0:0:0:0").unwrap_err(), ExtractError::NotFound);
    let no_span = extract("1:0:0:1").unwrap();
    assert!(no_span.trace_id().is_valid() && !no_span.is_valid());
    let span = tracer.span("serve").child_of(&no_span).start();
    assert_ne!(span.context().trace_id(), no_span.trace_id());
    assert_eq!(tracer.stats().decoding_errors, 0);
}

#[test]
fn a_context_that_is_there_several_times_is_one_if_it_is_the_same() {
    let (jaeger, _closer) = tracer();
    let built = Tracer::builder("svc").format(W3cFormat::default()).null_reporter().build();
    let (w3c, _closer_too) = built.unwrap();
    let parent = |span: u64| format!("00-0000000000000000000000000000000a-{span:016x}-01");
    for (tracer, name, same, like, other) in [
        (
            &jaeger,
            "uber-trace-id",
            "a:b:0:1".to_owned(),
            "0a:000b:00:01".to_owned(),
            "a:c:0:1".to_owned(),
        ),
        (&w3c, "traceparent", parent(11), parent(11), parent(12)),
    ] {
        let once = tracer.extract(&HttpHeaders(vec![(name, &same)])).unwrap().to_string();
        let joined =
            |second: &str, comma: &str| vec![(name.to_owned(), format!("{same}{comma}{second}"))];
        let upper = name.to_ascii_uppercase();
        let lines = |second: &str| {
            vec![(name.to_owned(), same.clone()), (upper.clone(), second.to_owned())]
        };
        for second in [&same, &like] {
            for headers in
                [joined(second, ","), joined(second, " , "), joined(second, ",,\t"), lines(second)]
            {
                let read = tracer.extract(&HttpHeaders(headers.clone())).unwrap();
                assert_eq!(read.to_string(), once, "{headers:?}");
            }
        }
        let before = tracer.stats().decoding_errors;
        for headers in [joined(&other, ","), lines(&other)] {
            let error = tracer.extract(&HttpHeaders(headers)).unwrap_err();
            assert!(matches!(error, ExtractError::Conflicting { .. }), "{error}");
            assert!(error.to_string().contains("different values"), "{error}");
        }
        for headers in [joined("x", ","), lines("x"), lines(""), vec![(upper, ",".to_owned())]] {
            let error = tracer.extract(&HttpHeaders(headers.clone())).unwrap_err();
            assert_ne!(error, ExtractError::NotFound, "{headers:?}");
        }
        assert_eq!(tracer.stats().decoding_errors - before, 6);
    }
}

#[test]
fn a_broken_context_begins_a_new_trace() {
    let (tracer, _closer) = tracer();
    let carrier = vec![("uber-trace-id", "broken"), ("uberctx-k", "v")];
    let span = tracer.span("op").child_of(tracer.extract(&carrier).ok()).start();
    assert_eq!(span.context().parent_id(), SpanId::NONE);
    assert!(span.context().is_valid() && span.is_sampled());
}

#[test]
fn the_sender_decides_on_sampling() {
    let (tracer, _closer) = tracer();
    for (flags, sampled) in [("0", false), ("1", true), ("3", true), ("2", false)] {
        let carrier = vec![("uber-trace-id".to_owned(), format!("1:2:0:{flags}"))];
        let context = tracer.extract(&carrier).unwrap();
        let child = tracer.span("op").child_of(&context).start();
        assert_eq!((child.is_sampled(), child.context().parent_id().get()), (sampled, 2));
        assert_eq!(child.context().flags(), context.flags(), "all flags are carried on");
    }
}

#[test]
fn baggage_by_hand_and_headers_in_any_case_are_read() {
    let (tracer, _closer) = tracer();
    let carrier = HttpHeaders(vec![
        ("Uber-Trace-Id", "1%3A2%3A0%3A1"),
        ("UBERCTX-Key", "a+b%2C"),
        ("Jaeger-Baggage", "k1=v1, k2 = v2,broken,k3=1=2"),
    ]);
    let context = tracer.extract(&carrier).unwrap();
    assert_eq!(context.to_string(), "0000000000000001:0000000000000002:0000000000000000:1");
    let baggage: Vec<_> = context.baggage().collect();
    assert_eq!(baggage, [("key", "a b,"), ("k1", "v1"), ("k2", " v2")]);
}

/// Node and Python take a `+` for itself, and every client reads `%20` as a space. What the clients in
/// Go and Java write, with `+` for a space, is read all the same.
#[test]
fn baggage_is_encoded_as_every_client_reads_it_and_read_as_each_of_them_writes_it() {
    let (tracer, _closer) = tracer();
    let ids = (TraceId::new(0, 1), SpanId::new(2), SpanId::NONE);
    for (value, written, elsewhere) in [
        ("a b", "a%20b", "a+b"),
        ("a+b", "a%2Bb", "a%2bb"),
        ("100%", "100%25", "100%"),
        ("\u{159}", "%C5%99", "\u{159}"),
        ("a b+c%d \u{159}", "a%20b%2Bc%25d%20%C5%99", "a+b%2Bc%25d+%C5%99"),
    ] {
        let context = SpanContext::new(ids.0, ids.1, ids.2, 1).with_baggage_item("k", value);
        let mut headers = HttpHeaders(BTreeMap::new());
        tracer.inject(&context, &mut headers);
        assert_eq!(headers.0["uberctx-k"], written);
        for text in [written, elsewhere] {
            let read = tracer.extract(&HttpHeaders(vec![("uberctx-k", text)])).unwrap();
            assert_eq!(read.baggage_item("k"), Some(value), "{text}");
        }
    }
}

#[test]
fn baggage_beyond_its_bounds_is_counted() {
    let (tracer, _closer) = tracer();
    let many: Pairs = (0..200).map(|n| (format!("uberctx-{n}"), String::new())).collect();
    assert_eq!(tracer.extract(&many).unwrap().baggage().count(), 180);
    assert_eq!(tracer.stats().baggage_limited, 20);
}

#[test]
fn configured_names_are_used_both_ways() {
    let headers = HeadersConfig {
        trace_context: "X-Trace".to_owned(),
        baggage_prefix: "X-Bag-".to_owned(),
        debug: "X-Debug".to_owned(),
        ..HeadersConfig::default()
    };
    let builder = Tracer::builder("svc").headers(headers).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    let span = tracer.start_span("op");
    span.set_baggage_item("k", "v");
    let mut carrier = HttpHeaders(Pairs::new());
    tracer.inject(&span.context(), &mut carrier);
    assert_eq!(carrier.0[1], ("X-Bag-k".to_owned(), "v".to_owned()));
    assert!(same(&tracer.extract(&carrier).unwrap(), &span.context()));
    let debug = tracer.extract(&vec![("x-debug", "me")]).unwrap();
    assert_eq!(debug.debug_id(), Some("me"));
}

type Change = fn(&mut HeadersConfig);

#[test]
fn names_that_no_header_can_have_or_that_mean_two_things_are_errors_when_the_tracer_is_built() {
    let cases: [(Change, &str, &str); 10] = [
        (|h| h.baggage_prefix.clear(), "headers.baggage_prefix", "\"\""),
        (|h| h.trace_context.clear(), "headers.trace_context", "\"\""),
        (|h| h.debug = "a b".into(), "headers.debug", "a b"),
        (|h| h.baggage = "x\r\ny".into(), "headers.baggage", "x\\r\\ny"),
        (|h| h.baggage_prefix = "\u{159}-".into(), "headers.baggage_prefix", "\u{159}-"),
        (|h| h.debug = "Uber-Trace-Id".into(), "headers.debug", "Uber-Trace-Id"),
        (|h| h.trace_context = "uberctx-trace".into(), "headers.baggage_prefix", "uberctx-"),
        (|h| h.baggage_prefix = "jaeger-".into(), "headers.debug", "jaeger-debug-id"),
        (|h| h.baggage_prefix = "X-".into(), "a header of B3", "x-b3-traceid"),
        (|h| h.debug = "traceparent".into(), "a header of W3C", "traceparent"),
    ];
    for (change, field, value) in cases {
        let mut headers = HeadersConfig::default();
        change(&mut headers);
        let propagation = ["jaeger", "b3", "b3-single", "w3c"].map(str::to_owned).to_vec();
        let configuration = Configuration { headers, propagation, ..Configuration::new("svc") };
        let built = configuration.new_tracer_with(|builder| builder.null_reporter());
        let error = built.map(drop).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains(value), "{error}");
    }
    for prefix in ["", "no prefix", "x-b3-"] {
        let builder = Tracer::builder("svc").format(B3Format::new(prefix)).null_reporter();
        assert!(builder.build().is_err(), "{prefix:?}");
    }
    let shared = HeadersConfig { baggage_prefix: "Baggage-".into(), ..HeadersConfig::default() };
    let propagation = vec!["jaeger".into(), "b3".into()];
    let configuration = Configuration { headers: shared, propagation, ..Configuration::new("svc") };
    assert!(configuration.new_tracer_with(|builder| builder.null_reporter()).is_ok());
}

/// Without a tracer nobody checks the names.
#[test]
fn an_empty_prefix_makes_no_baggage_of_every_header() {
    let headers = HeadersConfig { baggage_prefix: String::new(), ..HeadersConfig::default() };
    let formats: [Box<dyn Format>; 2] =
        [Box::new(JaegerFormat::new(headers)), Box::new(B3Format::new(""))];
    let request = HttpHeaders(vec![
        ("uber-trace-id", "1:2:0:1"),
        ("x-b3-traceid", "1"),
        ("x-b3-spanid", "2"),
        ("authorization", "Bearer secret"),
    ]);
    for format in formats {
        assert_eq!(format.extract(&request).unwrap().context.baggage().count(), 0, "{format:?}");
    }
}

#[test]
fn b3_headers_carry_a_trace_between_services() {
    let build = || Tracer::builder("svc").format(B3Format::default()).null_reporter().build();
    let ((first, _closer), (second, _closer_too)) = (build().unwrap(), build().unwrap());
    let span = first.start_span("op");
    span.set_baggage_item("k", "v");
    let mut carrier = HashMap::new();
    first.inject(&span.context(), &mut carrier);
    assert_eq!(carrier["x-b3-sampled"], "1");
    let child = second.span("next").child_of(second.extract(&carrier).ok()).start();
    assert_eq!(child.context().trace_id(), span.context().trace_id());
    assert_eq!(child.context().parent_id(), span.context().span_id());
    assert_eq!(child.baggage_item("k").as_deref(), Some("v"));
}

#[cfg(feature = "http")]
#[test]
fn what_no_http_header_can_hold_is_left_out_and_counted() {
    let (tracer, _closer) = tracer();
    let context = SpanContext::new(TraceId::new(0, 1), SpanId::new(2), SpanId::NONE, 1)
        .with_baggage_item("not a name", "v")
        .with_baggage_item("ok", "any\r\nžvalue");
    let mut headers = http::HeaderMap::new();
    tracer.inject(&context, &mut headers);
    assert_eq!((headers.len(), tracer.stats().baggage_limited), (2, 1));
    let read = tracer.extract(&headers).unwrap();
    assert_eq!(read.baggage_item("ok"), Some("any\r\nžvalue"));
}

prop_compose! {
    fn context()(
        ids in (any::<u64>(), 1..=u64::MAX, 1..=u64::MAX, any::<u64>()),
        flags: u8,
        baggage in prop::collection::btree_map("[a-z0-9-]{1,8}", "\\PC{1,20}", 0..6),
    ) -> SpanContext {
        let trace = TraceId::new(ids.0, ids.1);
        let context = SpanContext::new(trace, SpanId::new(ids.2), SpanId::new(ids.3), flags);
        baggage.iter().fold(context, |context, (key, value)| context.with_baggage_item(key, value))
    }
}

proptest! {
    #[test]
    fn law_extracting_gives_back_what_was_injected(context in context()) {
        let (tracer, _closer) = tracer();
        let mut map = HashMap::new();
        tracer.inject(&context, &mut map);
        prop_assert!(same(&tracer.extract(&map).unwrap(), &context));
        let mut list = HttpHeaders(Pairs::new());
        tracer.inject(&context, &mut list);
        prop_assert!(same(&tracer.extract(&list).unwrap(), &context));
        let bytes = tracer.inject_binary(&context);
        prop_assert!(same(&tracer.extract_binary(&bytes).unwrap(), &context));
        prop_assert_eq!(tracer.stats().baggage_limited + tracer.stats().decoding_errors, 0);
    }

    #[test]
    fn law_extraction_takes_any_headers(
        pairs in prop::collection::vec(("[a-z-]{0,16}|uber-trace-id|uberctx-.|jaeger-baggage",
            prop::collection::vec(any::<u8>(), 0..60)), 0..8),
    ) {
        let (tracer, _closer) = tracer();
        let _ = tracer.extract(&pairs);
        let _ = tracer.extract(&HttpHeaders(pairs));
    }
}
