//! Debugging output: short, on one line, useful, and without what applications and callers put in.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaeger_client::encoding::ValueView;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, Decision, GuaranteedThroughputSampler, ManualSpan, OperationStrategies,
    PerOperationSampler, PrioritySampler, ProbabilisticSampler, RateLimitingSampler, Sampler,
    SamplingParameters, TagMatchingSampler, TokenBucket,
};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{
    InMemoryReporter, Observer, Span, SpanContext, SpanId, SpanObserver, StartSpanOptions,
    TailSamplingConfig, TraceId, Tracer,
};

/// Stands in tags, logs, baggage and debug ids.
const SECRET: &str = "s3cr3t";

/// The output, held to what holds for all of it.
fn shown(value: &dyn Debug, words: &[&str]) -> String {
    let text = format!("{value:?}");
    assert!(text.len() < 300, "{} bytes: {text:.400}", text.len());
    assert!(!text.contains(SECRET) && !text.contains(['\n', '\r', '\u{1b}', '\u{202e}']), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
    text
}

/// The same of something that has more than it shows.
fn brief(value: &dyn Debug, words: &[&str]) {
    let text = shown(value, words);
    assert!(text.ends_with(", .. }") || text.ends_with("{ .. }"), "{text}");
}

const NASTY: &str = "name\r\n\u{1b}[2J\u{202e}";

#[test]
fn a_tracer_shows_its_service_and_its_rule_whatever_it_is_made_of() {
    let long = "x".repeat(100_000);
    let strategies =
        (0..1_000).fold(OperationStrategies::new(0.5, 1.0), |s, n| s.operation(n.to_string(), 0.1));
    let names = [("checkout", "\"checkout\""), (NASTY, "[2J\\u{202e}"), (&long, "xxxxxx…\"")];
    for (name, expected) in names {
        let builder = Tracer::builder(name)
            .sampler(PerOperationSampler::new(&strategies))
            .tag("password", SECRET)
            .tail_sampling(TailSamplingConfig::default())
            .metrics(InMemoryMetrics::new())
            .null_reporter();
        brief(&builder, &["TracerBuilder", "service", expected, "per operation: 1000 known"]);
        let (tracer, closer) = builder.build().unwrap();
        brief(&tracer, &["Tracer", "service", expected, "sampler", "per operation: 1000 known"]);
        brief(&closer, &["Closer", expected]);
        assert!(format!("{tracer:#?}").len() < 300);
    }
}

#[test]
fn spans_and_contexts_show_names_and_ids_and_nothing_they_were_given() {
    for sampled in [true, false] {
        let builder = crate::support::builder().sampler(ConstSampler::new(sampled)).null_reporter();
        let (tracer, _closer) = builder.build().unwrap();
        let span = tracer.start_span("op");
        let before = format!("{span:?}");
        let ids = span.context().to_string();
        brief(&span, &["Span", "\"op\"", &ids]);
        assert_eq!(before, format!("{span:?}"), "with a record and without one");
        span.set_tag("password", SECRET).log_event(SECRET).set_baggage_item("token", SECRET);
        brief(&span, &["\"op\"", &ids]);
        let context = span.context();
        brief(&context, &["SpanContext", &ids, "baggage_items: 1"]);
        let child = tracer.span(NASTY).child_of(&context).tag("password", SECRET);
        brief(&child, &["SpanBuilder", "name\\r\\n"]);
        let child = child.start();
        brief(&child, &["name\\r\\n", &child.context().to_string()]);
        let scope = child.activate();
        shown(&scope, &["Scope"]);
        drop(scope);
        child.finish();
        brief(&child, &["name\\r\\n"]);
        shown(&span.context().log_fields(), &["LogFields"]);
    }
    let by_hand = SpanContext::new(TraceId::new(1, 2), SpanId::new(3), SpanId::NONE, 1);
    brief(&by_hand, &["00000000000000010000000000000002:0000000000000003:0000000000000000:1"]);
}

#[test]
fn samplers_show_their_rule() {
    let rate = ProbabilisticSampler::new(0.25).unwrap();
    let tag = (0..100).fold(TagMatchingSampler::new("tenant"), |s, n| s.matching(n.to_string()));
    let list = PrioritySampler::new().then(tag.clone()).then(rate.clone());
    brief(&list, &["samplers: 2"]);
    brief(&list.build().unwrap(), &["PrioritySampler", "priority: [tag tenant"]);
    brief(&tag, &["TagMatchingSampler", "tag tenant is 0 or 1 or"]);
    brief(&rate, &["ProbabilisticSampler", "0.25"]);
    brief(&ConstSampler::new(true), &["ConstSampler", "const: every trace"]);
    brief(&RateLimitingSampler::new(2.0).unwrap(), &["RateLimitingSampler", "2 traces/s"]);
    brief(&GuaranteedThroughputSampler::new(3.0, 0.5), &["lowerbound: 0.5 of traces"]);
    let strategies = OperationStrategies::new(0.5, 1.0).operation(SECRET, 0.1);
    brief(&strategies, &["operations: 1"]);
    brief(&PerOperationSampler::new(&strategies), &["PerOperationSampler", "1 known"]);
    shown(&TokenBucket::new(1.0, 2.0), &["balance: 2.0"]);
    let mut span = ManualSpan::new(TraceId::new(0, 1), NASTY);
    span.start(&ConstSampler::new(true));
    brief(&span, &["ManualSpan", "name\\r\\n", "is_sampled: true"]);
    #[cfg(feature = "remote-sampler")]
    {
        let builder = jaeger_client::sampler::RemoteSampler::builder("svc").initial_rate(0.5);
        brief(&builder, &["RemoteSamplerBuilder", "\"svc\""]);
        brief(&builder.build().unwrap(), &["RemoteSampler", "probabilistic: 0.5"]);
    }
}

#[test]
fn what_keeps_spans_in_memory_shows_how_many() {
    let (memory, transport) = (InMemoryReporter::new(), MemoryTransport::new());
    for builder in [
        crate::support::builder().in_memory(&memory),
        crate::support::builder().transport(transport.clone()),
    ] {
        let (tracer, closer) = builder.build().unwrap();
        for _ in 0..100 {
            tracer.span("op").tag("password", SECRET).start().finish();
        }
        assert!(closer.close(Duration::from_secs(20)).complete);
    }
    brief(&memory, &["InMemoryReporter", "spans: 100"]);
    brief(&memory.spans()[0], &["FinishedSpan", "\"op\"", "trace_id"]);
    brief(&transport, &["MemoryTransport", "messages: 1"]);
    brief(&InMemoryMetrics::new(), &["InMemoryMetrics"]);
}

/// Writes down how what it is shown looks.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl Observer for Shown {
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        self.0.lock().unwrap().push(format!("{options:?}"));
        None
    }
}

impl Sampler for Shown {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        span.set_tag("password", SECRET);
        self.0.lock().unwrap().push(format!("{span:?}"));
        Decision::new(true)
    }

    fn on_set_tag(&self, _: &mut SamplingParameters<'_>, _: &str, _: ValueView<'_>) -> Decision {
        Decision::retryable(false)
    }
}

#[test]
fn arguments_of_callbacks_show_no_more_than_their_accessors() {
    let shown_to = Shown::default();
    let builder = crate::support::builder().observer(shown_to.clone()).sampler(shown_to.clone());
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    tracer.span(NASTY).tag("password", SECRET).start().finish();
    let texts = shown_to.0.lock().unwrap().clone();
    assert_eq!(texts.len(), 2);
    for (text, word) in texts.iter().zip(["name\\r\\n", "tags: 1"]) {
        brief(&format_args!("{text}"), &[word]);
    }
}
