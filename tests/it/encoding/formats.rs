//! Every propagation format by itself, with every other, and against anything.

use std::collections::BTreeMap;

use jaeger_client::propagation::{
    CompositeFormat, Extracted, FORMATS, Format, HeadersConfig, HttpHeaders,
};
use jaeger_client::{Closer, NullLogger, SpanContext, SpanId, TraceId, Tracer};
use proptest::prelude::*;

type Pairs = Vec<(String, String)>;

fn format(name: &str) -> Box<dyn Format> {
    let member = FORMATS.iter().find(|member| member.name == name).unwrap();
    (member.build)(&HeadersConfig::default())
}

fn composite(names: &[&str]) -> CompositeFormat {
    CompositeFormat::new(names.iter().map(|name| format(name)).collect())
}

/// Every choice of formats in every order.
fn choices() -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    for _ in FORMATS {
        let longer = all.iter().flat_map(|choice: &Vec<&'static str>| {
            let others = FORMATS.iter().map(|member| member.name);
            let others = others.filter(|name| !choice.contains(name));
            others.map(|name| [choice.as_slice(), &[name]].concat()).collect::<Vec<_>>()
        });
        let longer: Vec<_> = longer.collect();
        all.extend(longer);
        all.sort();
        all.dedup();
    }
    all.retain(|choice| !choice.is_empty());
    all
}

/// The flags that B3 has no place for are lost on its way.
fn retained(name: &str, flags: u8) -> u8 {
    match (name, flags & 3) {
        ("b3" | "b3-single", 3) => 3,
        ("b3" | "b3-single", flags) => flags & 1,
        _ => flags,
    }
}

fn baggage(context: &SpanContext) -> BTreeMap<&str, &str> {
    context.baggage().collect()
}

fn ids(context: &SpanContext) -> (TraceId, SpanId, SpanId) {
    (context.trace_id(), context.span_id(), context.parent_id())
}

fn injected(format: &dyn Format, context: &SpanContext) -> Pairs {
    let mut pairs = HttpHeaders(Pairs::new());
    assert_eq!(format.inject(context, &mut pairs), 0, "nothing is refused");
    pairs.0
}

fn extracted(format: &dyn Format, pairs: &Pairs) -> SpanContext {
    let Extracted { context, baggage_dropped, broken, .. } =
        format.extract(&HttpHeaders(pairs.clone())).unwrap();
    assert_eq!((baggage_dropped, broken), (0, 0));
    context
}

fn tracer(format: impl Format + 'static) -> (Tracer, Closer) {
    Tracer::builder("svc").logger(NullLogger).null_reporter().format(format).build().unwrap()
}

prop_compose! {
    fn context()(
        high: u64, low in 1..=u64::MAX, span in 1..=u64::MAX,
        parent in prop_oneof![Just(0), any::<u64>()], flags: u8,
        baggage in prop::collection::btree_map("[a-z0-9-]{1,8}", "[ -~é☃]{1,20}", 0..6),
    ) -> SpanContext {
        let trace = TraceId::new(high, low);
        let context = SpanContext::new(trace, SpanId::new(span), SpanId::new(parent), flags);
        baggage.iter().fold(context, |context, (key, value)| context.with_baggage_item(key, value))
    }
}

/// Headers of every format, mostly nearly right.
fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = "uber-trace-id|uberctx-.|jaeger-debug-id|jaeger-baggage|traceparent|tracestate\
        |baggage|baggage-.|b3|x-b3-(traceid|spanid|parentspanid|sampled|flags)|\\PC{0,8}";
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[0-9a-fA-F]{0,3}(-[0-9a-f]{0,33}){0,4}".prop_map(String::into_bytes),
        "0[01]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}-?".prop_map(String::into_bytes),
        "[0-9a-f]{0,33}(:[0-9a-f]{0,17}){0,4}".prop_map(String::into_bytes),
        "(jaeger|[a-z]{0,3})=[0-9a-f:;%]{0,50}(,[a-z]=\\PC{0,9}){0,40}"
            .prop_map(String::into_bytes),
        "[01d]".prop_map(String::into_bytes),
    ];
    prop::collection::vec((name, value), 0..10)
}

proptest! {
    #[test]
    fn law_extracting_gives_back_what_was_injected(context in context()) {
        for member in FORMATS {
            let format = format(member.name);
            let read = extracted(&*format, &injected(&*format, &context));
            prop_assert_eq!(ids(&read), ids(&context), "{}", member.name);
            prop_assert_eq!(read.flags(), retained(member.name, context.flags()), "{}", member.name);
            prop_assert_eq!(baggage(&read), baggage(&context), "{}", member.name);
        }
    }

    #[test]
    fn law_a_composite_is_read_by_each_of_its_formats_and_by_any_composite(
        context in context(), writer in prop::sample::select(choices()),
        reader in prop::sample::select(choices()),
    ) {
        let pairs = injected(&composite(&writer), &context);
        for name in &writer {
            let read = extracted(&*format(name), &pairs);
            prop_assert_eq!(ids(&read), ids(&context), "{}", name);
            prop_assert_eq!(read.flags(), retained(name, context.flags()), "{}", name);
            prop_assert_eq!(baggage(&read), baggage(&context), "{}", name);
        }
        if reader.iter().any(|name| writer.contains(name)) {
            let read = extracted(&composite(&reader), &pairs);
            prop_assert_eq!(ids(&read), ids(&context));
            prop_assert_eq!(baggage(&read), baggage(&context));
            let whole = |name: &&str| writer.contains(name) && ["jaeger", "w3c"].contains(name);
            if reader.iter().any(whole) && context.flags() & 3 != 2 {
                prop_assert_eq!(read.flags(), context.flags());
            }
        }
    }

    #[test]
    fn law_extraction_takes_any_headers_and_what_it_gives_can_be_handed_on(pairs in headers()) {
        let all: Vec<_> = FORMATS.iter().map(|member| member.name).collect();
        let (tracer, _closer) = tracer(composite(&all));
        for member in FORMATS {
            let _ = format(member.name).extract(&HttpHeaders(pairs.clone()));
            let _ = format(member.name).extract(&pairs);
        }
        if let Ok(context) = tracer.extract(&HttpHeaders(pairs)) {
            let mut onward = HttpHeaders(Pairs::new());
            tracer.inject(&context, &mut onward);
            if context.is_valid() {
                let again = tracer.extract(&onward).unwrap();
                prop_assert_eq!(ids(&again), ids(&context));
                prop_assert_eq!(again.trace_state(), context.trace_state());
            }
            let child = tracer.span("op").child_of(&context).start();
            prop_assert!(child.context().is_valid());
        }
    }
}

#[test]
fn the_headers_of_each_format_are_those_that_others_read() {
    let context = SpanContext::new(TraceId::new(0, 10), SpanId::new(11), SpanId::new(12), 3)
        .with_baggage_item("who", "a b,c");
    let pairs = injected(&composite(&["jaeger", "b3", "b3-single", "w3c"]), &context);
    let pairs: BTreeMap<_, _> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("uber-trace-id", "000000000000000a:000000000000000b:000000000000000c:3"),
        ("uberctx-who", "a%20b%2Cc"),
        ("x-b3-traceid", "000000000000000a"),
        ("x-b3-spanid", "000000000000000b"),
        ("x-b3-parentspanid", "000000000000000c"),
        ("x-b3-sampled", "1"),
        ("x-b3-flags", "1"),
        ("b3", "000000000000000a-000000000000000b-d-000000000000000c"),
        ("baggage-who", "a b,c"),
        ("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01"),
        ("tracestate", "jaeger=000000000000000b:000000000000000c:3"),
        ("baggage", "who=a%20b%2Cc"),
    ];
    assert_eq!(pairs, BTreeMap::from(expected));
}

#[test]
fn the_state_of_other_vendors_goes_from_header_to_header_through_spans() {
    let (tracer, _closer) = tracer(format("w3c"));
    let headers = HttpHeaders(vec![
        ("TraceParent", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-will-be"),
        ("tracestate", "congo=t61rcWkgMzE , jaeger=1:2:9"),
        ("Tracestate", "rojo=00f067aa0ba902b7"),
    ]);
    let span = tracer.span("serve").child_of(tracer.extract(&headers).ok()).start();
    let inner = tracer.span("query").child_of(&span).start();
    inner.set_baggage_item("k", "v").set_baggage_item("k", "");
    let mut onward = BTreeMap::new();
    tracer.inject(&inner.context(), &mut onward);
    let (id, parent) = (inner.context().span_id(), span.context().span_id());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(onward["traceparent"], format!("00-{trace}-{id}-03"), "known version, random kept");
    let state = format!("jaeger={id}:{parent}:9,congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
    assert_eq!(onward["tracestate"], state);
    assert!(!onward.contains_key("baggage"));
}

#[test]
fn a_decision_without_ids_is_the_new_traces() {
    let always = || Tracer::builder("svc").logger(NullLogger).null_reporter();
    for (name, header, flags) in [
        ("b3-single", ("b3", "0"), 0),
        ("b3-single", ("b3", "1"), 1),
        ("b3-single", ("b3", "d"), 3),
        ("b3", ("x-b3-sampled", "0"), 0),
        ("b3", ("x-b3-flags", "1"), 3),
    ] {
        for rate in [0.0, 1.0] {
            let sampler = jaeger_client::sampler::ConstSampler::new(rate > 0.0);
            let builder = always().sampler(sampler).format(format(name));
            let (tracer, _closer) = builder.build().unwrap();
            let span = tracer.span("op").child_of(tracer.extract(&vec![header]).ok()).start();
            let context = span.context();
            assert!(context.is_valid() && context.parent_id() == SpanId::NONE);
            assert_eq!(context.flags(), flags, "{header:?} with {rate}");
        }
    }
}

#[test]
fn a_broken_context_beside_a_whole_one_is_counted() {
    let (tracer, _closer) = tracer(composite(&["jaeger", "w3c"]));
    let headers = vec![
        ("uber-trace-id", "broken"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    assert!(tracer.extract(&headers).unwrap().is_sampled());
    assert_eq!(tracer.stats().decoding_errors, 1);
}
