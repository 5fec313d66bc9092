//! What every carrier gets of a context, whatever the format: what was there before is replaced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, HashMap};

use jaeger_client::propagation::{
    CompositeFormat, ExtractCarrier, HeadersConfig, HttpHeaders, InjectCarrier, MEMBERS,
};
use jaeger_client::{Closer, NullLogger, SpanContext, SpanId, TraceId, Tracer};

type Pairs = Vec<(String, String)>;

/// Every format by itself, and all together.
fn choices() -> Vec<Vec<&'static str>> {
    let all: Vec<_> = MEMBERS.iter().map(|member| member.name).collect();
    let mut choices: Vec<_> = all.iter().map(|name| vec![*name]).collect();
    choices.push(all.iter().rev().copied().collect());
    choices.push(all);
    choices
}

fn format(names: &[&str]) -> CompositeFormat {
    let build = |name: &&str| {
        let member = MEMBERS.iter().find(|member| member.name == *name).unwrap();
        (member.build)(&HeadersConfig::default())
    };
    CompositeFormat::new(names.iter().map(build).collect())
}

fn tracer(names: &[&str]) -> (Tracer, Closer) {
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    builder.format(format(names)).build().unwrap()
}

fn context(items: &[(&str, &str)]) -> SpanContext {
    let ids = (TraceId::new(0, 1), SpanId::new(2), SpanId::new(3));
    let context = SpanContext::new(ids.0, ids.1, ids.2, 3);
    items.iter().fold(context, |context, (key, value)| context.with_baggage_item(key, value))
}

/// What a carrier holds, sorted.
fn pairs(carrier: &dyn ExtractCarrier) -> Pairs {
    let mut pairs = Pairs::new();
    carrier.visit(&mut |key, value| {
        pairs.push((key.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
    });
    pairs.sort();
    pairs
}

/// Gives each kind of carrier with these headers in it.
fn carriers(headers: &[(&str, &str)], mut with: impl FnMut(&str, &mut dyn Both)) {
    let owned = || headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    with("list", &mut owned().collect::<Pairs>());
    with("list of headers", &mut HttpHeaders(owned().collect::<Pairs>()));
    with("map", &mut owned().collect::<HashMap<_, _>>());
    with("map of headers", &mut HttpHeaders(owned().collect::<HashMap<_, _>>()));
    with("sorted map", &mut owned().collect::<BTreeMap<_, _>>());
    with("sorted map of headers", &mut HttpHeaders(owned().collect::<BTreeMap<_, _>>()));
    #[cfg(feature = "http")]
    {
        let mut map = http::HeaderMap::new();
        for (key, value) in headers {
            let name = http::HeaderName::from_bytes(key.as_bytes()).unwrap();
            map.append(name, http::HeaderValue::from_str(value).unwrap());
        }
        with("header map", &mut map);
    }
}

/// Something that can be written to and read from.
trait Both: InjectCarrier + ExtractCarrier {
    fn pairs(&self) -> Pairs;
}

impl<T: InjectCarrier + ExtractCarrier> Both for T {
    fn pairs(&self) -> Pairs {
        pairs(self)
    }
}

#[test]
fn a_context_takes_the_place_of_the_one_before_with_all_its_baggage() {
    let before = context(&[("k", "old"), ("gone", "old")]);
    let after = SpanContext::new(TraceId::new(7, 8), SpanId::new(9), SpanId::NONE, 0);
    for names in choices() {
        let (tracer, _closer) = tracer(&names);
        for after in [after.clone(), after.with_baggage_item("k", "new")] {
            carriers(&[("x-other", "stays")], |kind, carrier| {
                for context in [&before, &before, &after] {
                    tracer.inject(context, carrier);
                }
                let replaced = carrier.pairs();
                carriers(&[("x-other", "stays")], |same, fresh| {
                    if same == kind {
                        tracer.inject(&after, fresh);
                        assert_eq!(replaced, fresh.pairs(), "{names:?}, {kind}");
                    }
                });
            });
        }
    }
}

#[test]
fn headers_are_replaced_in_whatever_case_and_number_they_are_there() {
    let stale = [
        ("Uber-Trace-Id", "7:7:7:1"),
        ("UBER-TRACE-ID", "8:8:8:1"),
        ("UberCtx-Old", "v"),
        ("X-B3-TraceId", "7"),
        ("X-B3-SpanId", "7"),
        ("X-B3-ParentSpanId", "7"),
        ("X-B3-Sampled", "0"),
        ("X-B3-Flags", "1"),
        ("Baggage-Old", "v"),
        ("B3", "7-7-1"),
        ("TraceParent", "00-00000000000000000000000000000007-0000000000000007-01"),
        ("TraceState", "other=1"),
        ("Baggage", "old=v"),
        ("X-Other", "stays"),
        ("Jaeger-Debug-Id", "the caller's"),
    ];
    let all: Vec<_> = MEMBERS.iter().map(|member| member.name).collect();
    let (tracer, _closer) = tracer(&all);
    let written = SpanContext::new(TraceId::new(0, 1), SpanId::new(2), SpanId::NONE, 1);
    carriers(&stale, |kind, carrier| {
        tracer.inject(&written, carrier);
        let pairs: Vec<_> = carrier.pairs();
        let mut names: Vec<_> = pairs.iter().map(|(key, _)| key.to_ascii_lowercase()).collect();
        names.sort();
        let expected = [
            "b3",
            "jaeger-debug-id",
            "traceparent",
            "uber-trace-id",
            "x-b3-sampled",
            "x-b3-spanid",
            "x-b3-traceid",
            "x-other",
        ];
        assert_eq!(names, expected, "{kind}");
        let stale = |(_, value): &(String, String)| value.contains('7') || value.contains("old");
        assert!(!pairs.iter().any(stale), "{kind}: {pairs:?}");
    });
}
