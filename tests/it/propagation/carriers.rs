//! What every carrier gets of a context, whatever the format: what was there before is replaced, what
//! no header can hold is left out, and what is written is within the limits of reading.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use jaeger_client::propagation::{
    CarrierKind, CompositeFormat, ExtractCarrier, Extracted, FORMATS, Format, FormatKey,
    HeadersConfig, HttpHeaders, InjectCarrier, W3cFormat,
};
use jaeger_client::{
    Closer, ExtractError, Logger, NullLogger, SpanContext, SpanId, TraceId, Tracer,
};
use proptest::prelude::*;

type Pairs = Vec<(String, String)>;

/// Every format by itself, and all together.
fn choices() -> Vec<Vec<&'static str>> {
    let all: Vec<_> = FORMATS.iter().map(|member| member.name).collect();
    let mut choices: Vec<_> = all.iter().map(|name| vec![*name]).collect();
    choices.push(all.iter().rev().copied().collect());
    choices.push(all);
    choices
}

fn format(names: &[&str]) -> CompositeFormat {
    let build = |name: &&str| {
        let member = FORMATS.iter().find(|member| member.name == *name).unwrap();
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

/// Returns what a carrier holds, sorted.
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
fn a_context_replaces_the_one_before_with_all_its_baggage() {
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
    let all: Vec<_> = FORMATS.iter().map(|member| member.name).collect();
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

/// Returns whether a text can break out of its header.
fn breaks_out(text: &str) -> bool {
    text.contains(['\r', '\n', '\0'])
}

const BAD_KEYS: [&str; 8] =
    ["a\r\nset-cookie: x", "a\0", "a b", "a:b", "\u{e9}", "a\u{7f}", "a,b=c", "a\t"];

#[test]
fn keys_that_can_be_no_header_are_left_out_and_counted_once() {
    let mut items: Vec<_> = BAD_KEYS.iter().map(|key| (*key, "v")).collect();
    items.push(("fine", "v"));
    for names in choices() {
        let (tracer, _closer) = tracer(&names);
        let mut count = 0;
        carriers(&[], |kind, carrier| {
            tracer.inject(&context(&items), carrier);
            for (key, value) in carrier.pairs() {
                let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                assert!(key.bytes().all(token), "{names:?}, {kind}: {key:?}");
                assert!(!breaks_out(&value) && !value.contains("set-cookie"), "{value:?}");
            }
            let read = tracer.extract(&carrier.pairs()).unwrap();
            assert_eq!(read.baggage().collect::<Vec<_>>(), [("fine", "v")], "{names:?}, {kind}");
            count += BAD_KEYS.len() as u64;
            assert_eq!(tracer.stats().baggage_limited, count, "{names:?}, {kind}");
        });
    }
}

#[test]
fn a_key_in_the_header_for_baggage_by_hand_becomes_no_header() {
    let (tracer, _closer) = tracer(&["jaeger"]);
    let request = vec![("jaeger-baggage", "a%0D%0Aset-cookie: s=v,b=%0D%0Ax"), ("x", "y")];
    let span = tracer.span("op").child_of(tracer.extract(&request).ok()).start();
    assert_eq!(span.context().baggage().count(), 2);
    let mut onward = Pairs::new();
    tracer.inject(&span.context(), &mut onward);
    let broken = onward.iter().find(|(key, value)| breaks_out(key) || breaks_out(value));
    assert_eq!((broken, onward.len()), (None, 1));
    assert_eq!(tracer.stats().baggage_limited, 2);
}

#[test]
fn values_pass_headers_unharmed_and_never_break_out_of_them() {
    let values =
        ["a\r\nset-cookie: x", "a\0b", "\u{7f}", " edges ", "100%", "a+b", "\u{159}", "\t"];
    for names in choices() {
        let (tracer, _closer) = tracer(&names);
        for value in values {
            let given = context(&[("k", value)]);
            carriers(&[], |kind, carrier| {
                tracer.inject(&given, carrier);
                let pairs = carrier.pairs();
                assert!(pairs.iter().all(|(_, value)| !breaks_out(value)), "{pairs:?}");
                if InjectCarrier::kind(carrier) != CarrierKind::TextMap {
                    // What HTTP does to a header's value on its way.
                    let trim = |(k, v): (String, String)| (k, v.trim_matches([' ', '\t']).into());
                    let received: Pairs = pairs.into_iter().map(trim).collect();
                    let read = tracer.extract(&HttpHeaders(received)).unwrap();
                    let item = read.baggage_item("k");
                    assert_eq!(item, Some(value), "{names:?}, {kind}");
                }
            });
        }
    }
}

#[test]
fn of_keys_that_differ_in_case_alone_headers_have_the_last_one() {
    let given = context(&[("Key", "first"), ("other", "v"), ("KEY", "second"), ("key", "last")]);
    for name in ["jaeger", "b3", "b3-single"] {
        let (tracer, _closer) = tracer(&[name]);
        carriers(&[], |kind, carrier| {
            let before = tracer.stats().baggage_limited;
            tracer.inject(&given, carrier);
            let limited = tracer.stats().baggage_limited - before;
            let is_item = |(key, _): &(String, String)| key.to_ascii_lowercase().ends_with("-key");
            let pairs: Pairs = carrier.pairs().into_iter().filter(is_item).collect();
            if InjectCarrier::kind(carrier) == CarrierKind::TextMap {
                assert_eq!((pairs.len(), limited), (3, 0), "{name}, {kind}: keys keep their case");
            } else {
                assert_eq!((pairs.len(), limited), (1, 2), "{name}, {kind}");
                assert_eq!(pairs[0].1, "last", "{name}, {kind}");
            }
        });
    }
}

#[test]
fn what_is_written_is_within_the_limits_of_reading() {
    let large: Vec<_> = (0..300).map(|n| (format!("key-{n}"), "x".repeat(3_000))).collect();
    let many: Vec<_> = (0..300).map(|n| (format!("key-{n}"), "v".to_owned())).collect();
    let accents: Vec<_> = (0..9).map(|n| (format!("key-{n}"), "\u{e9}".repeat(1_000))).collect();
    for items in [large, many, accents] {
        let refs: Vec<_> = items.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let given = context(&refs);
        for names in choices() {
            let (writer, _closer) = tracer(&names);
            let (reader, _closer_too) = tracer(&names);
            let mut count = 0;
            carriers(&[], |kind, carrier| {
                writer.inject(&given, carrier);
                let read = if InjectCarrier::kind(carrier) == CarrierKind::TextMap {
                    reader.extract(&carrier.pairs())
                } else {
                    reader.extract(&HttpHeaders(carrier.pairs()))
                };
                let read = read.unwrap();
                assert_eq!(reader.stats().baggage_limited, 0, "{names:?}, {kind}: too much");
                let got = read.baggage().count();
                let bytes: usize = read.baggage().map(|(key, value)| key.len() + value.len()).sum();
                assert!(
                    got > 0 && got <= 180 && bytes <= 8_192,
                    "{names:?}, {kind}: {got}, {bytes}"
                );
                let limited = writer.stats().baggage_limited - count;
                assert!(limited >= (items.len() - got) as u64, "{names:?}, {kind}: {limited}");
                count += limited;
            });
        }
    }
}

#[test]
fn the_binary_carrier_has_the_limits_of_reading_too() {
    let (tracer, _closer) = tracer(&["jaeger"]);
    let long = "x".repeat(4_097);
    let mut items: Vec<_> = (0..200).map(|n| (n.to_string(), "v".to_owned())).collect();
    items.insert(0, ("long".to_owned(), long));
    items.insert(1, ("any key\r\n".to_owned(), "any value\0".to_owned()));
    let refs: Vec<_> = items.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let bytes = tracer.inject_binary(&context(&refs));
    assert_eq!(tracer.stats().baggage_limited, 22);
    let read = tracer.extract_binary(&bytes).unwrap();
    assert_eq!((read.baggage().count(), tracer.stats().baggage_limited), (180, 22));
    assert_eq!(read.baggage_item("any key\r\n"), Some("any value\0"));
    let large: Vec<_> = (0..9).map(|n| (n.to_string(), "x".repeat(2_000))).collect();
    let refs: Vec<_> = large.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert!(tracer.inject_binary(&context(&refs)).len() < 8_500);
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Logger for Lines {
    fn error(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn baggage_that_is_left_out_is_logged_once_a_minute() {
    let lines = Arc::new(Lines::default());
    let builder = Tracer::builder("svc").logger(Arc::clone(&lines)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    for _ in 0..3 {
        tracer.inject(&context(&[("a\r\nb", "v")]), &mut Pairs::new());
    }
    let lines = lines.0.lock().unwrap();
    assert_eq!((lines.len(), tracer.stats().baggage_limited), (1, 3), "{lines:?}");
    assert!(lines[0].contains("1 baggage item"), "{lines:?}");
}

/// A format of a user's own, which looks at nothing it writes.
#[derive(Debug)]
struct Own;

impl Format for Own {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        carrier.set("x-own", &context.to_string());
        let refused = context.baggage().filter(|(key, value)| !carrier.set(key, value));
        refused.count()
    }

    fn extract(&self, _carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        Err(ExtractError::NotFound)
    }
}

/// A carrier of a user's own, which takes everything.
#[derive(Default)]
struct Everything(Pairs);

impl InjectCarrier for Everything {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.0.push((key.to_owned(), value.to_owned()));
        true
    }
}

#[test]
fn a_custom_format_and_a_custom_carrier_obey_the_same_rules() {
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    let (tracer, _closer) = builder.format(Own).build().unwrap();
    let mut items = vec![("fine", "v"), ("a\r\nb", "v"), ("b", "v\r\nc: d"), ("c d", "v")];
    let many: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    items.extend(many.iter().map(|key| (key.as_str(), "v")));
    let mut carrier = Everything::default();
    tracer.inject(&context(&items), &mut carrier);
    let out: Vec<_> = carrier.0.iter().flat_map(|(key, value)| [key, value]).collect();
    assert!(!out.iter().any(|text| breaks_out(text)), "{out:?}");
    assert_eq!((carrier.0.len(), tracer.stats().baggage_limited), (181, 24));
}

/// A carrier of a user's own that appends, and refuses `tracestate`.
#[derive(Default)]
struct WithoutTracestate(Everything);

impl InjectCarrier for WithoutTracestate {
    fn set(&mut self, key: &str, value: &str) -> bool {
        key != "tracestate" && self.0.set(key, value)
    }
}

#[test]
fn a_header_that_a_custom_carrier_refuses_has_no_other_written_twice() {
    let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
    let (tracer, _closer) = builder.format(W3cFormat::default()).build().unwrap();
    let (root, mut carrier) = (tracer.start_span("root"), WithoutTracestate::default());
    let child = root.child("child");
    tracer.inject(&child.context(), &mut carrier);
    let keys: Vec<_> = carrier.0.0.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!((keys, tracer.stats().baggage_limited), (vec!["traceparent"], 1));
}

/// A format of a user's own around a built-in one, which writes sampled contexts alone.
#[derive(Debug)]
struct Sampled(Box<dyn Format>);

impl Format for Sampled {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        if context.is_sampled() { self.0.inject(context, carrier) } else { 0 }
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        self.0.extract(carrier)
    }

    fn keys(&self) -> &[FormatKey] {
        self.0.keys()
    }
}

#[test]
fn a_format_around_a_built_in_one_leaves_nothing_of_an_earlier_context() {
    let before = context(&[("k", "v")]);
    let after = SpanContext::new(TraceId::new(7, 8), SpanId::new(9), SpanId::NONE, 0);
    for names in choices() {
        let alone = Sampled(Box::new(format(&names)));
        let among = CompositeFormat::new(vec![Box::new(Sampled(Box::new(format(&names))))]);
        for format in [Box::new(alone) as Box<dyn Format>, Box::new(among)] {
            let builder = Tracer::builder("svc").logger(NullLogger).null_reporter();
            let (tracer, _closer) = builder.format(format).build().unwrap();
            carriers(&[("x-other", "stays")], |kind, carrier| {
                for context in [&before, &after, &after.with_baggage_item("k", "new")] {
                    tracer.inject(context, carrier);
                }
                let held = carrier.pairs();
                assert_eq!(held, [("x-other".into(), "stays".into())], "{names:?}, {kind}");
            });
        }
    }
}

/// A map that refuses values that are not ASCII.
struct Ascii(HashMap<String, String>);

impl InjectCarrier for Ascii {
    fn set(&mut self, key: &str, value: &str) -> bool {
        value.is_ascii() && self.0.set(key, value)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.remove_if(is_stale);
    }
}

#[test]
fn a_value_that_a_carrier_refuses_leaves_nothing_of_an_earlier_context() {
    let (tracer, _closer) = tracer(&["jaeger"]);
    let mut carrier = Ascii(HashMap::new());
    tracer.inject(&context(&[("user", "ann")]), &mut carrier);
    assert_eq!(carrier.0.get("uberctx-user").map(String::as_str), Some("ann"));
    tracer.inject(&context(&[("user", "Jürgen")]), &mut carrier);
    assert_eq!(carrier.0.get("uberctx-user"), None);
    assert!(carrier.0.contains_key("uber-trace-id"));
}

#[test]
fn items_that_differ_in_case_are_two_in_a_map_for_formats_with_the_same_keys() {
    let (tracer, _closer) = tracer(&["b3", "b3-single"]);
    let mut carrier = HashMap::from([("baggage-K".to_owned(), "old".to_owned())]);
    tracer.inject(&context(&[("k", "1"), ("K", "2")]), &mut carrier);
    let item = |key: &str| carrier.get(key).map(String::as_str);
    assert_eq!((item("baggage-k"), item("baggage-K")), (Some("1"), Some("2")));
}

proptest! {
    #[test]
    fn law_whatever_the_baggage_is_a_carrier_gets_headers(
        items in prop::collection::vec(("\\PC{0,5}|[\\x00-\\xff]{0,9}", "\\PC{0,9}|[\\x00-\\x7f]{0,9}"), 0..9),
        names in prop::sample::select(choices()),
    ) {
        let refs: Vec<_> = items.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let given = context(&refs);
        let (tracer, _closer) = tracer(&names);
        carriers(&[], |kind, carrier| {
            tracer.inject(&given, carrier);
            for (key, value) in carrier.pairs() {
                let token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
                assert!(!key.is_empty() && key.bytes().all(token), "{kind}: {key:?}");
                assert!(!value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f), "{value:?}");
            }
        });
    }
}
