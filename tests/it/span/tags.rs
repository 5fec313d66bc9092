//! Several tags at once are those set one by one, whatever they are and wherever they are set.

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    InMemoryReporter, Span, SpanBuilder, SpanObserver, Stats, TagValue, TailSamplingConfig,
    TracerBuilder,
};

use crate::support::{FollowedBy, SOON, builder};

type Tag = (&'static str, TagValue<'static>);

/// Lists of tags: usual ones, and each kind that has a way of its own.
fn lists() -> Vec<(&'static str, Vec<Tag>)> {
    let usual = [("http.method", "GET".into()), ("http.status_code", 200.into())];
    let with = |tag: Tag| [&usual[..], &[tag], &usual].concat();
    let long: &'static str = "x".repeat(300).leak();
    let many: Vec<_> = usual.iter().cycle().take(100).copied().collect();
    vec![
        ("none", Vec::new()),
        ("usual", usual.to_vec()),
        ("a boolean", with(("error", true.into()))),
        ("a double", with(("rate", 0.25.into()))),
        ("an unsigned number", with(("hash", u64::MAX.into()))),
        ("bytes", with(("body", (&b"\0\xff"[..]).into()))),
        ("a long text", with(("statement", long.into()))),
        ("a long key", with((long, 1.into()))),
        ("a key as long as one that acts", with(("SAMPLING.PRIORITY", 1.into()))),
        ("a priority", with(("sampling.priority", 1.into()))),
        ("a priority of none", with(("sampling.priority", 0.into()))),
        ("a priority of text", with(("sampling.priority", "1".into()))),
        ("more than there is room for", many),
    ]
}

#[derive(Clone, Debug)]
struct Tagging;

impl SpanObserver for Tagging {
    fn on_set_tag(&self, span: &Span, key: &str, _value: TagValue<'_>) {
        span.set_tag("seen", key);
    }
}

/// A name, and a builder.
type Way = (&'static str, fn() -> TracerBuilder);

/// Tracers whose spans take tags by each of the ways there are.
const TRACERS: [Way; 5] = [
    ("sampled", builder),
    ("not sampled", || builder().sampler(ConstSampler::new(false))),
    ("observed", || builder().observer(FollowedBy(Tagging))),
    ("tail", || {
        builder().sampler(ConstSampler::new(false)).tail_sampling(TailSamplingConfig::default())
    }),
    ("short values", || builder().max_tag_value_length(3)),
];

/// The tags of a span, and the tracer's counts.
fn outcome(of: TracerBuilder, build: impl Fn(SpanBuilder<'_>) -> Span) -> (Vec<String>, Stats) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = of.in_memory(&memory).build().unwrap();
    drop(build(tracer.span("op")));
    let tags = memory
        .spans()
        .into_iter()
        .flat_map(|span| span.view().tags().map(|tag| format!("{tag:?}")).collect::<Vec<_>>());
    (tags.collect(), closer.close(SOON).stats)
}

#[test]
fn several_tags_at_once_are_those_set_one_by_one() {
    for (way, tracer) in TRACERS {
        for (name, tags) in lists() {
            let one_by_one = outcome(tracer(), |span| {
                let span = span.start();
                tags.iter().for_each(|(key, value)| {
                    span.set_tag(key, *value);
                });
                span
            });
            let at_once = outcome(tracer(), |span| {
                let span = span.start();
                span.set_tags(&tags);
                span
            });
            assert_eq!(at_once, one_by_one, "{way}: {name}");
            let one_by_one = outcome(tracer(), |span| {
                tags.iter().fold(span, |span, (key, value)| span.tag(key, *value)).start()
            });
            assert_eq!(outcome(tracer(), |span| span.tags(&tags).start()), one_by_one, "{name}");
            let is_sent = way == "sampled" && !tags.is_empty() && name != "a priority of none";
            assert!(!is_sent || !one_by_one.0.is_empty(), "{way}: {name}");
        }
    }
}

#[test]
fn tags_set_after_the_end_have_no_effect_and_are_counted_each() {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = builder().in_memory(&memory).build().unwrap();
    let span = tracer.start_span("op");
    span.finish();
    span.set_tags(&[("a", 1.into()), ("b", 2.into())]);
    assert_eq!(closer.close(SOON).stats.misused, 2);
    assert!(memory.spans()[0].view().tags().all(|tag| tag.key != b"a" && tag.key != b"b"));
}
