//! B3: decisions that nobody has made, either form where the other is configured, and baggage.

use std::collections::BTreeMap;

use jaeger_client::encoding::ValueView;
use jaeger_client::propagation::{
    B3Format, B3SingleFormat, CompositeFormat, Format, HttpHeaders, JaegerFormat, W3cFormat,
};
use jaeger_client::sampler::{ConstSampler, PrioritySampler, Sampler, TagMatchingSampler};
use jaeger_client::{
    Closer, ExtractError, InMemoryReporter, NullLogger, SpanContext, SpanId, TailSamplingConfig,
    TraceId, Tracer, TracerBuilder,
};

type Pairs = Vec<(String, String)>;

fn builder(format: impl Format + 'static) -> TracerBuilder {
    Tracer::builder("svc").logger(NullLogger).format(format)
}

fn tracer(format: impl Format + 'static) -> (Tracer, Closer) {
    builder(format).null_reporter().build().unwrap()
}

/// Both forms, the one first that is configured.
fn both() -> [(&'static str, Tracer, Closer); 2] {
    let ((multi, closer), (single, closer_too)) =
        (tracer(B3Format::default()), tracer(B3SingleFormat::default()));
    [("b3", multi, closer), ("b3-single", single, closer_too)]
}

fn injected(tracer: &Tracer, context: &SpanContext) -> BTreeMap<String, String> {
    let mut headers = HttpHeaders(BTreeMap::new());
    tracer.inject(context, &mut headers);
    headers.0
}

fn read(tracer: &Tracer, headers: &[(&str, &str)]) -> Result<SpanContext, ExtractError> {
    tracer.extract(&HttpHeaders(headers.to_vec()))
}

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";

/// Ids without a decision, in each form.
const WITHOUT_DECISION: [&[(&str, &str)]; 4] = [
    &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)],
    &[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "")],
    &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "0")],
    &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1")],
];

#[test]
fn ids_without_a_decision_leave_it_to_the_sampler_in_the_same_trace() {
    let always: fn() -> Box<dyn Sampler> = || Box::new(ConstSampler::new(true));
    let never: fn() -> Box<dyn Sampler> = || Box::new(ConstSampler::new(false));
    // It may put a decision off, and then samples for a tag.
    let defers: fn() -> Box<dyn Sampler> = || {
        let marked = TagMatchingSampler::new("tenant").matching("acme");
        Box::new(PrioritySampler::new().then(marked).build().unwrap())
    };
    for headers in WITHOUT_DECISION {
        for (sampler, sampled) in [(always, true), (never, false), (defers, true)] {
            for format in [
                Box::new(B3Format::default()) as Box<dyn Format>,
                Box::new(B3SingleFormat::default()),
            ] {
                let memory = InMemoryReporter::new();
                let builder = builder(format).sampler(sampler()).in_memory(&memory);
                let (tracer, _closer) = builder.build().unwrap();
                let context = read(&tracer, headers).unwrap();
                assert!(!context.is_sampled() && context.is_valid());
                let span = tracer.span("serve").child_of(&context).tag("tenant", "acme").start();
                let child = tracer.span("query").child_of(&span).start();
                for (span, parent) in [(&span, &context), (&child, &span.context())] {
                    assert_eq!(span.context().trace_id().to_string(), TRACE);
                    assert_eq!(span.context().parent_id(), parent.span_id());
                    assert_eq!(span.is_sampled(), sampled, "{headers:?}");
                }
                child.finish();
                span.finish();
                let spans = memory.spans();
                assert_eq!(spans.len(), if sampled { 2 } else { 0 });
                if let [child, span] = &spans[..] {
                    assert!(matches!(span.view().tag("sampler.type"), Some(ValueView::Str(_))));
                    assert!(child.view().tag("sampler.type").is_none(), "it was decided above");
                }
                assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
            }
        }
    }
}

#[test]
fn what_a_context_leaves_open_does_not_concern_a_span_with_another_parent() {
    let format = B3Format::default();
    let builder = builder(format).sampler(ConstSampler::new(true)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    let without_decision = read(&tracer, WITHOUT_DECISION[0]).unwrap();
    let refused = read(&tracer, &[("b3", "1-2-0")]).unwrap();
    let parent = tracer.span("parent").child_of(&refused).start();
    for span in [
        tracer.span("op").follows_from(&without_decision).child_of(&parent),
        tracer.span("op").follows_from(&without_decision).child_of(&refused),
        tracer.span("op").child_of(&refused).follows_from(&without_decision),
        tracer.span("op").child_of(&without_decision).self_reference(&refused),
    ] {
        let span = span.start();
        assert!(!span.is_sampled() && !parent.is_sampled());
        assert_eq!(span.context().trace_id(), refused.trace_id());
    }
}

#[test]
fn a_trace_without_a_decision_is_retained_if_it_errs() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder(B3Format::default())
        .sampler(ConstSampler::new(false))
        .tail_sampling(TailSamplingConfig::default())
        .in_memory(&memory)
        .build()
        .unwrap();
    let span = tracer.span("serve").child_of(read(&tracer, WITHOUT_DECISION[0]).ok()).start();
    tracer.span("query").child_of(&span).start().finish();
    span.set_tag("error", true).finish();
    assert_eq!(memory.len(), 2);
    assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
}

#[test]
fn what_nobody_decided_about_is_handed_on_without_a_decision() {
    let all = CompositeFormat::new(vec![
        Box::new(JaegerFormat::default()),
        Box::new(B3Format::default()),
        Box::new(B3SingleFormat::default()),
        Box::new(W3cFormat::default()),
    ]);
    let (tracer, _closer) = tracer(all);
    for headers in WITHOUT_DECISION {
        let context = read(&tracer, headers).unwrap();
        let written = injected(&tracer, &context);
        let expected = [
            ("b3", format!("{TRACE}-{SPAN}")),
            ("x-b3-spanid", SPAN.to_owned()),
            ("x-b3-traceid", TRACE.to_owned()),
        ];
        let expected: BTreeMap<_, _> = expected.map(|(key, value)| (key.to_owned(), value)).into();
        // The other headers would mean that it is not sampled.
        assert_eq!(written, expected, "{headers:?}");
        let bytes = tracer.inject_binary(&context);
        assert!(!tracer.extract_binary(&bytes).unwrap().is_valid());
    }
}

#[test]
fn a_decision_stands_wherever_it_is() {
    for (_, tracer, _closer) in both() {
        for (decision, flags) in [
            (("x-b3-sampled", "1"), 1),
            (("x-b3-sampled", "true"), 1),
            (("x-b3-sampled", "0"), 0),
            (("x-b3-sampled", "false"), 0),
            (("x-b3-sampled", "d"), 3),
            (("x-b3-flags", "1"), 3),
            (("b3", "1"), 1),
            (("b3", "0"), 0),
            (("b3", "d"), 3),
        ] {
            let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), decision];
            let context = read(&tracer, &ids).unwrap();
            assert_eq!((context.flags(), context.is_valid()), (flags, true), "{decision:?}");
            let span = tracer.span("op").child_of(&context).start();
            assert_eq!(span.is_sampled(), flags != 0, "{decision:?}");
            let alone = read(&tracer, &[decision]).unwrap();
            assert_eq!((alone.flags(), alone.is_valid()), (flags, false), "{decision:?}");
            let span = tracer.span("op").child_of(&alone).start();
            assert_eq!(span.context().flags(), flags, "{decision:?}");
        }
    }
}

#[test]
fn either_form_is_read_and_the_configured_one_is_written() {
    let several = [("X-B3-TraceId", "A"), ("X-B3-SpanId", "B"), ("X-B3-Sampled", "1")];
    let one = [("B3", "a-b-1")];
    let wide = [("b3", "0000000000000001000000000000000A-000000000000000B-1-c")];
    for (name, tracer, _closer) in both() {
        for headers in [&several[..], &one, &wide] {
            let context = read(&tracer, headers).unwrap();
            assert_eq!((context.trace_id().low(), context.span_id().get()), (10, 11));
            assert!(context.is_sampled());
            let written = injected(&tracer, &context);
            assert_eq!(written.contains_key("b3"), name == "b3-single", "{written:?}");
            assert_eq!(written.contains_key("x-b3-traceid"), name == "b3", "{written:?}");
        }
    }
}

#[test]
fn where_both_forms_name_a_span_the_configured_one_counts() {
    let headers =
        [("b3", "1-2-1"), ("x-b3-traceid", "3"), ("x-b3-spanid", "4"), ("x-b3-sampled", "0")];
    let broken = [("b3", "x"), ("x-b3-traceid", "3"), ("x-b3-spanid", "4"), ("x-b3-sampled", "0")];
    let other = [("b3", "1-2-1"), ("x-b3-traceid", "z"), ("x-b3-spanid", "4")];
    for ((name, tracer, _closer), trace) in both().into_iter().zip([3, 1]) {
        assert_eq!(read(&tracer, &headers).unwrap().trace_id().low(), trace, "{name}");
        assert_eq!(tracer.stats().decoding_errors, 0);
        // One that is broken is counted, and the other is taken.
        assert_eq!(read(&tracer, &broken).unwrap().trace_id().low(), 3, "{name}");
        assert_eq!(read(&tracer, &other).unwrap().trace_id().low(), 1, "{name}");
        assert_eq!(tracer.stats().decoding_errors, 2, "{name}");
        let error = read(&tracer, &[("b3", "x"), ("x-b3-traceid", "z")]).unwrap_err();
        assert_ne!(error, ExtractError::NotFound, "{name}");
    }
}

#[test]
fn headers_that_are_there_twice_are_one_if_they_are_the_same() {
    let ids = [("x-b3-traceid", "a"), ("x-b3-spanid", "b"), ("x-b3-sampled", "1")];
    for (name, tracer, _closer) in both() {
        for (key, same, other) in [
            ("x-b3-traceid", "a,0A", "c"),
            ("X-B3-SpanId", "b , b", "c"),
            ("x-b3-sampled", "1,true", "0"),
        ] {
            let with = |value| [&ids[..], &[(key, value)]].concat();
            let context = read(&tracer, &with(same)).unwrap();
            assert_eq!((context.trace_id().low(), context.flags()), (10, 1), "{name}: {key}");
            let error = read(&tracer, &with(other)).unwrap_err();
            assert!(matches!(error, ExtractError::Conflicting { .. }), "{name}: {key}: {error}");
        }
        assert!(read(&tracer, &[("b3", "a-b-1,a-b-1")]).is_ok(), "{name}");
        let error = read(&tracer, &[("b3", "a-b-1,a-c-1")]).unwrap_err();
        assert!(matches!(error, ExtractError::Conflicting { .. }), "{name}: {error}");
    }
}

#[test]
fn baggage_that_is_not_ascii_is_encoded_and_most_other_is_not() {
    let context = |value: &str| {
        let ids = (TraceId::new(0, 1), SpanId::new(2), SpanId::NONE);
        SpanContext::new(ids.0, ids.1, ids.2, 1).with_baggage_item("k", value)
    };
    for (name, tracer, _closer) in both() {
        for (value, written) in [
            ("a b,c", "a b,c"),
            ("a+b", "a+b"),
            ("J\u{fc}rgen M", "J%C3%BCrgen%20M"),
            ("100%", "100%25"),
            ("%41", "%2541"),
            (" edges ", "%20edges%20"),
            ("a\r\nb: c", "a%0D%0Ab%3A%20c"),
        ] {
            let headers = injected(&tracer, &context(value));
            assert_eq!(headers["baggage-k"], written, "{name}");
            assert!(headers.values().all(|value| value.is_ascii()));
            let back = tracer.extract(&HttpHeaders(headers)).unwrap();
            assert_eq!(back.baggage_item("k"), Some(value), "{name}");
            let mut map = Pairs::new();
            tracer.inject(&context("a \u{159}%"), &mut map);
            assert!(map.contains(&("baggage-k".to_owned(), "a \u{159}%".to_owned())), "{map:?}");
        }
        assert_eq!(tracer.stats().baggage_limited, 0, "{name}");
    }
}

#[test]
#[cfg(feature = "http")]
fn a_context_replaces_one_whose_headers_are_in_any_order_and_repeated() {
    let earlier =
        ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"];
    let context = |parent, flags| {
        SpanContext::new(TraceId::new(1, 2), SpanId::new(3), SpanId::new(parent), flags)
    };
    for (name, tracer, _closer) in both() {
        for context in [context(4, 1), context(0, 0), context(4, 3)] {
            let mut expected = http::HeaderMap::new();
            tracer.inject(&context, &mut expected);
            expected.insert("x-request-id", "stays".parse().unwrap());
            for first in 0..earlier.len() {
                for repeated in 0..earlier.len() {
                    for is_reversed in [false, true] {
                        let mut order: Vec<_> = (0..earlier.len()).collect();
                        order.rotate_left(first);
                        if is_reversed {
                            order.reverse();
                        }
                        let mut headers = http::HeaderMap::new();
                        headers.insert("x-request-id", "stays".parse().unwrap());
                        for part in order {
                            for _ in 0..=usize::from(part == repeated) {
                                headers.append(earlier[part], "7".parse().unwrap());
                            }
                        }
                        tracer.inject(&context, &mut headers);
                        assert_eq!(headers, expected, "{name}: {first}, {repeated}");
                    }
                }
            }
        }
    }
}

#[test]
#[cfg(feature = "http")]
fn values_of_a_context_that_is_held_do_not_change_with_the_next_one() {
    let context = |n| SpanContext::new(TraceId::new(n, n), SpanId::new(n), SpanId::new(n), 3);
    for (name, tracer, _closer) in both() {
        let mut headers = http::HeaderMap::new();
        let mut held = Vec::new();
        for n in 1..100 {
            tracer.inject(&context(n), &mut headers);
            held.push((n, headers.clone()));
        }
        for (n, headers) in held {
            let read = tracer.extract(&headers).unwrap();
            assert_eq!(read.to_string(), context(n).to_string(), "{name}");
        }
    }
}
