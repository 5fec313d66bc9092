//! Keys and fields that are encoded beforehand: what they become is what it becomes if they are not.

use std::fmt::Write as _;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::support::builder;
use crate::support::read::{Log, Span as Read, Tag, finished};
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::{
    EncodedFields, InMemoryReporter, ManualClock, ObservedSpan, Observer, ObserverInterest,
    OwnedSpan, PreparedSpan, Span, SpanBuilder, SpanOptions, TagKey, TagValue, TailSamplingConfig,
    Tracer, TracerBuilder,
};

/// Keys of all lengths up to beyond that of short ones, and those that mean something.
fn keys() -> Vec<&'static str> {
    let text: &'static str = "k".repeat(40).leak();
    let lengths = (0..=text.len()).map(|length| &text[..length]);
    lengths.chain(["sampling.priority", "otherpriority.at.", "error"]).collect()
}

const VALUES: &[TagValue<'_>] = &[
    TagValue::Str(""),
    TagValue::Str("short"),
    TagValue::Str("a text that is longer than what is copied without a call"),
    TagValue::Bool(true),
    TagValue::Bool(false),
    TagValue::I64(0),
    TagValue::I64(-1),
    TagValue::I64(i64::MIN),
    TagValue::U64(u64::MAX),
    TagValue::F64(0.5),
    TagValue::F64(f64::NAN),
    TagValue::Bytes(&[0, 255]),
];

/// Notes the tags that it is given when spans are finished.
#[derive(Debug)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl Observer for Noting {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(keys())
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let tags = keys().into_iter().filter_map(|key| Some((key, span.tag(key)?)));
        self.0.lock().unwrap().push(format!("{:?}", tags.collect::<Vec<_>>()));
    }
}

/// Tracers that treat tags in different ways.
fn builders(noted: &Arc<Mutex<Vec<String>>>) -> Vec<TracerBuilder> {
    let noting = || Noting(Arc::clone(noted));
    let by_tag = PrioritySampler::new()
        .then(TagMatchingSampler::new("kkkk").matching("short"))
        .then(ConstSampler::new(false));
    let short = SpanOptions { max_tag_value_length: 8, ..SpanOptions::default() };
    vec![
        builder().sampler(ConstSampler::new(true)),
        builder().sampler(ConstSampler::new(false)),
        builder().sampler(by_tag.build().unwrap()),
        builder().sampler(ConstSampler::new(false)).tail_sampling(TailSamplingConfig::default()),
        builder().sampler(ConstSampler::new(true)).span_options(short),
        builder().sampler(ConstSampler::new(true)).max_logs_per_span(1),
        builder().sampler(ConstSampler::new(true)).observer(noting()),
        builder().sampler(ConstSampler::new(false)).observer(noting()),
    ]
}

fn tracer(builder: TracerBuilder) -> (Tracer, jaeger_client::Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = builder.in_memory(&memory).clock(ManualClock::new()).build().unwrap();
    (tracer, closer, memory)
}

/// The spans without their ids, and what an observer was given.
fn contents(memory: &InMemoryReporter, noted: &Mutex<Vec<String>>) -> (Vec<Contents>, Vec<String>) {
    let read = |span: Read| (span.name, span.flags, span.tags, span.logs);
    let spans = finished(memory).into_iter().map(read).collect();
    memory.reset();
    (spans, take(&mut *noted.lock().unwrap()))
}

type Contents = (String, i32, Vec<Tag>, Vec<Log>);

#[test]
fn a_tag_with_an_encoded_key_is_the_same_tag() {
    let noted = Arc::default();
    for builder in builders(&noted) {
        let (tracer, _closer, memory) = tracer(builder);
        for (key, value) in keys().into_iter().flat_map(|key| VALUES.iter().map(move |v| (key, *v)))
        {
            let encoded = TagKey::new(key);
            let owned = |set: &dyn Fn(&mut OwnedSpan)| {
                let mut span = tracer.start_owned_span("owned");
                set(&mut span);
                set(&mut span);
                // Written as a shared one.
                let shared = span.share();
                set(&mut span);
                drop((span, shared));
                contents(&memory, &noted)
            };
            let plain = owned(&|span| _ = span.set_tag(key, value));
            assert_eq!(owned(&|span| _ = span.set_keyed_tag(&encoded, value)), plain);
            let shared = |set: &dyn Fn(&Span)| {
                let span = tracer.start_span("shared");
                set(&span);
                set(&span);
                span.finish();
                // Misuse.
                set(&span);
                (contents(&memory, &noted), tracer.stats().misused)
            };
            let before = tracer.stats().misused;
            let plain = shared(&|span| _ = span.set_tag(key, value));
            let keyed = shared(&|span| _ = span.set_keyed_tag(&encoded, value));
            assert_eq!((keyed.0, keyed.1 - plain.1), (plain.0, plain.1 - before));
            let built = |set: &dyn for<'a> Fn(SpanBuilder<'a>) -> SpanBuilder<'a>| {
                set(tracer.span("built")).start().finish();
                contents(&memory, &noted)
            };
            let plain = built(&|span| span.tag(key, value));
            assert_eq!(built(&|span| span.keyed_tag(&encoded, value)), plain);
            let prepared = |set: &dyn Fn(&mut PreparedSpan)| {
                let mut span = tracer.prepare_span("prepared");
                set(&mut span);
                span.start().finish();
                contents(&memory, &noted)
            };
            let plain = prepared(&|span| _ = span.set_tag(key, value));
            assert_eq!(prepared(&|span| _ = span.set_keyed_tag(&encoded, value)), plain);
        }
    }
}

#[test]
fn a_span_that_wants_no_tags_drops_them() {
    let noted = Arc::default();
    for builder in builders(&noted) {
        let (tracer, _closer, memory) = tracer(builder);
        let mut span = tracer.start_owned_span("op");
        let wants_tags = span.wants_tags();
        span.set_tag("kkkk", "a");
        drop(span);
        let (spans, noted) = contents(&memory, &noted);
        let has_tag = spans.iter().any(|(_, _, tags, _)| tags.iter().any(|(key, _)| key == "kkkk"));
        let is_noted = noted.iter().any(|tags| tags.contains("kkkk"));
        assert!(wants_tags || !has_tag && !is_noted);
        assert!(!wants_tags || has_tag || is_noted || !tracer_samples(&tracer), "{spans:?}");
    }
}

fn tracer_samples(tracer: &Tracer) -> bool {
    tracer.start_span("op").is_sampled()
}

/// Logs some fields in both ways.
fn assert_same_log(fields: &[(&str, TagValue<'_>)]) {
    let noted = Arc::default();
    for builder in builders(&noted) {
        let (tracer, _closer, memory) = tracer(builder);
        let logged = |log: &dyn Fn(&Span)| {
            let span = tracer.start_span("op");
            log(&span);
            log(&span);
            drop(span);
            contents(&memory, &noted)
        };
        let mut encoded = EncodedFields::new();
        for (key, value) in fields {
            encoded.push_named(key, *value);
        }
        assert_eq!((encoded.len(), encoded.is_empty()), (fields.len(), fields.is_empty()));
        let owned = |log: &dyn Fn(&mut OwnedSpan)| {
            let mut span = tracer.start_owned_span("op");
            log(&mut span);
            let shared = span.share();
            log(&mut span);
            drop((span, shared));
            contents(&memory, &noted)
        };
        let plain = logged(&|span| _ = span.log(fields));
        assert_eq!(logged(&|span| _ = span.log_encoded(&encoded)), plain);
        assert_eq!(owned(&|span| _ = span.log_encoded(&encoded)), plain);
        encoded.clear();
        let mut others = EncodedFields::new();
        for (key, value) in fields {
            others.clear();
            others.push(&TagKey::new(key.to_string().leak()), *value);
            encoded.extend(&others);
        }
        assert_eq!(logged(&|span| _ = span.log_encoded(&encoded)), plain);
    }
}

#[test]
fn a_log_of_encoded_fields_is_the_same_log() {
    let keys = keys();
    for count in [0, 1, 2, 14, 15, 16, 200] {
        let fields: Vec<_> =
            (0..count).map(|n| (keys[n % keys.len()], VALUES[n % VALUES.len()])).collect();
        assert_same_log(&fields);
    }
}

#[test]
fn text_that_is_written_in_place_is_the_same_text() {
    let lengths = [0, 1, 126, 127, 128, 129, 16_382, 16_383, 16_384, 16_385, 100_000];
    for key in [TagKey::new("key"), TagKey::new("a key that is longer than any short one")] {
        for length in lengths {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let (tracer, _closer, memory) = tracer(builder());
            let span = tracer.start_span("op");
            let mut fields = EncodedFields::new();
            fields.push_text(&key, usize::MAX, |to| {
                to.write_str("what was cleared").unwrap();
                to.clear();
                text.split_inclusive('x').for_each(|part| to.write_str(part).unwrap());
            });
            fields.push(&key, true);
            span.log_encoded(&fields);
            span.log(&[(key.as_str(), text.as_str().into()), (key.as_str(), true.into())]);
            drop(span);
            let logs = finished(&memory).remove(0).logs;
            assert_eq!(logs[0], logs[1], "{length}");
        }
    }
}

#[test]
fn text_beyond_its_limit_is_truncated_between_characters_with_an_error() {
    let (tracer, _closer, memory) = tracer(builder());
    let span = tracer.start_span("op");
    let mut fields = EncodedFields::new();
    fields.push_text(&TagKey::new("text"), 4, |to| {
        assert!(to.write_str("abc").is_ok());
        assert!(to.write_str("é").is_err());
        assert!(to.write_str("d").is_err(), "it does not follow what is there");
    });
    fields.push_text(&TagKey::new("again"), 4, |to| {
        assert!(to.write_str("abcde").is_err());
        to.clear();
        assert!(to.write_str("fg").is_ok());
    });
    span.log_encoded(&fields);
    drop(span);
    let logs = finished(&memory).remove(0).logs;
    let expected = [("text".to_owned(), "abc".into()), ("again".to_owned(), "fg".into())];
    assert_eq!(logs[0].fields, expected);
}

#[test]
fn a_text_whose_writer_panics_leaves_nothing() {
    let (tracer, _closer, memory) = tracer(builder());
    let span = tracer.start_span("op");
    let mut fields = EncodedFields::new();
    fields.push_named("before", 1);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        fields.push_text(&TagKey::new("text"), 100, |to| {
            to.write_str("half of it").unwrap();
            panic!("as intended");
        });
    }));
    assert!(outcome.is_err());
    fields.push_named("after", 2);
    span.log_encoded(&fields);
    span.log(&[("before", 1.into()), ("after", 2.into())]);
    drop(span);
    let logs = finished(&memory).remove(0).logs;
    assert_eq!(logs[0], logs[1]);
}
