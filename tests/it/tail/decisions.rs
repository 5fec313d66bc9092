//! Keeping on error: what is held of unsampled traces, when it is sent, and that all of it is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::support::StartObserver;
use jaeger_client::encoding::{SpanView, ValueView};
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, PrioritySampler, ProbabilisticSampler, TagMatchingSampler,
};
use jaeger_client::{
    Closer, Configuration, FinishOptions, FinishedSpan, InMemoryReporter, LogRecord, SamplerConfig,
    Span, SpanContext, SpanId, TailSamplingConfig, Tracer, TracerBuilder,
};

/// Makes a tracer that samples nothing at the start, and retains traces by its configuration.
fn with_tail_sampling(config: TailSamplingConfig) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = unsampled().tail_sampling(config).in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

fn unsampled() -> TracerBuilder {
    crate::support::builder().sampler(ConstSampler::new(false))
}

fn child(tracer: &Tracer, parent: &Span, name: &'static str) -> Span {
    tracer.span(name).child_of(parent).start()
}

fn names(memory: &InMemoryReporter) -> Vec<String> {
    memory.spans().iter().map(|span| span.view().operation_name().into_owned()).collect()
}

fn text<'s>(span: &SpanView<'s>, key: &str) -> Option<&'s str> {
    match span.tag(key) {
        Some(ValueView::Str(text)) => Some(std::str::from_utf8(text).unwrap()),
        _ => None,
    }
}

/// Returns the reason for which a trace was retained, from its span's tag.
fn reason(span: &FinishedSpan) -> Option<&str> {
    let view = span.view();
    text(&view, "sampler.type").filter(|kind| *kind == "tail")?;
    text(&view, "sampler.param")
}

#[test]
fn an_error_sends_all_spans_of_the_trace_with_what_they_had_before() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.span("root").tag("at start", 1).start();
    root.set_tag("before", 2).log_event("before").set_baggage_item("customer", "4711");
    let done = child(&tracer, &root, "done");
    done.set_tag("row", 3.5).log_event("read");
    done.finish();
    drop(child(&tracer, &root, "dropped"));
    let failing = child(&tracer, &root, "failing");
    assert!(memory.is_empty() && !root.is_sampled() && !failing.context().is_sampled());
    assert_eq!(tracer.stats().buffered, 2);
    failing.set_tag("error", true);
    assert!(root.is_sampled() && failing.context().is_sampled());
    assert_eq!(
        names(&memory),
        ["done", "dropped"],
        "what was buffered is sent at once, in its order"
    );
    child(&tracer, &root, "later").finish();
    failing.finish();
    root.finish();

    let spans = memory.spans();
    assert_eq!(names(&memory), ["done", "dropped", "later", "failing", "root"]);
    let root = &spans[4].view();
    assert_eq!(root.tag("at start"), Some(ValueView::Long(1)));
    assert_eq!(root.tag("before"), Some(ValueView::Long(2)));
    assert_eq!(root.logs().count(), 2, "the event and the baggage");
    let done = spans[0].view();
    assert_eq!((done.tag("row"), done.logs().count()), (Some(ValueView::Double(3.5)), 1));
    assert_eq!(done.parent_span_id, root.span_id);
    assert_eq!(done.references().next().unwrap().span_id, root.span_id);
    for span in &spans {
        assert_eq!((span.view().trace_id, span.view().flags), (root.trace_id, 1));
        let expected = (span.view().operation_name() == "failing").then_some("error");
        assert_eq!(reason(span), expected, "the span that is the reason has the tag");
    }
    let stats = tracer.stats();
    assert_eq!(
        (stats.sent, stats.not_sampled, stats.buffered, stats.open),
        (5, 0, 0, 0),
        "{stats}"
    );
}

#[test]
fn what_a_span_is_given_with_its_end_is_buffered_with_it_and_its_logs_are_limited() {
    let memory = InMemoryReporter::new();
    let builder = unsampled().max_logs_per_span(3).in_memory(&memory);
    let (tracer, _closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let root = tracer.start_span("root");
    assert!(root.is_recording() && !root.is_sampled());
    let done = child(&tracer, &root, "done");
    for _ in 0..10 {
        done.log_event("again");
    }
    let record = LogRecord { timestamp: UNIX_EPOCH, fields: &[("event", "given".into())] };
    done.finish_with(FinishOptions { log_records: &[record], ..FinishOptions::default() });
    root.set_tag("error", true).finish();
    let spans = memory.spans();
    assert_eq!((names(&memory)[0].as_str(), spans[0].view().logs().count()), ("done", 4));
    assert_eq!(spans[0].view().logs().last().unwrap().timestamp_micros, 0);
}

#[test]
fn buffered_spans_have_their_own_times() {
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    let early = tracer.span("early").child_of(&root).start_time(at(1)).start();
    early.finish_at(at(3));
    let real = child(&tracer, &root, "real");
    let began = Instant::now();
    crate::support::eventually(|| began.elapsed() > Duration::from_millis(2));
    real.finish();
    root.set_tag("error", true).finish();
    let spans = memory.spans();
    let early = spans[0].view();
    assert_eq!(early.start_time_micros, 1_000_001_000_000);
    assert_eq!(early.duration_micros, 2_000_000);
    assert!(spans[1].view().duration_micros >= 2_000, "it began when it did, not when it was kept");
}

#[test]
fn an_error_is_a_tag_error_that_is_true() {
    let tagged = |tag: fn(&Span) -> &Span| {
        let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
        let root = tracer.start_span("root");
        tag(&root);
        root.finish();
        memory.len()
    };
    assert_eq!(tagged(|span| span.set_tag("error", true)), 1);
    assert_eq!(tagged(|span| span.set_tag("error", "true")), 1);
    assert_eq!(tagged(|span| span.set_tag("error", false)), 0);
    assert_eq!(tagged(|span| span.set_tag("error", "false")), 0);
    assert_eq!(tagged(|span| span.set_tag("error", 1)), 0);
    assert_eq!(tagged(|span| span.set_tag("error.kind", true)), 0);
    assert_eq!(tagged(|span| span.log(&[("error", true.into())])), 0);
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    let failed = tracer.span("failed").child_of(&root).tag("a", 1).tag("error", true).start();
    assert!(root.is_sampled(), "a tag from the start on is one too");
    assert_eq!(names(&memory), ["done"]);
    failed.finish();
    assert_eq!(reason(&memory.spans()[1]), Some("error"));

    let config = TailSamplingConfig { on_error_tag: false, ..TailSamplingConfig::default() };
    let (tracer, _closer, memory) = with_tail_sampling(config);
    tracer.span("root").tag("error", true).start().set_tag("error", true).finish();
    assert!(memory.is_empty(), "unless errors are no reason");
}

/// Tracers that start spans on different paths.
fn observed(at: usize) -> TracerBuilder {
    match at {
        0 => unsampled(),
        1 => unsampled().observer(StartObserver),
        2 => unsampled().metrics(InMemoryMetrics::new()).rpc_metrics(true),
        3 => unsampled().track_open_spans(9),
        4 => unsampled().max_logs_per_span(9).observer(StartObserver),
        _ => {
            let by_tag = TagMatchingSampler::new("tenant").matching("acme");
            let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
            crate::support::builder().sampler(sampler.build().unwrap()).observer(StartObserver)
        }
    }
}

#[test]
fn an_error_that_a_span_is_started_with_retains_the_trace_whoever_observes_it() {
    type Start = fn(&Tracer) -> Span;
    let starts: [Start; 7] = [
        |tracer| tracer.span("x").tag("error", true).start(),
        |tracer| tracer.span("x").tag("a", 1).tag("error", "true").start_owned().into(),
        |tracer| tracer.span("x").tags(&[("error", true.into())]).start(),
        |tracer| {
            let mut prepared = tracer.prepare_span("x");
            prepared.set_tag("error", true);
            prepared.start()
        },
        |tracer| {
            let mut prepared = tracer.prepare_span("x");
            prepared.replace_tag("error", "true");
            prepared.start_retaining().0
        },
        |tracer| {
            let caller: SpanContext = "a:b:0:0".parse().unwrap();
            tracer.span("x").child_of(&caller).tag("error", true).start()
        },
        |tracer| {
            let own: SpanContext = "a:b:0:0".parse().unwrap();
            tracer.span("x").self_reference(&own).tag("error", true).start()
        },
    ];
    for path in 0..6 {
        for (number, start) in starts.iter().enumerate() {
            let memory = InMemoryReporter::new();
            let builder = observed(path).tail_sampling(TailSamplingConfig::default());
            let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
            let span = start(&tracer);
            assert!(span.is_sampled(), "path {path}, start {number}");
            span.finish();
            let spans = memory.spans();
            assert_eq!(spans.len(), 1, "path {path}, start {number}");
            assert_eq!(reason(&spans[0]), Some("error"), "path {path}, start {number}");
            let errors = spans[0].view().tags().filter(|tag| tag.key == b"error").count();
            assert_eq!(errors, 1, "path {path}, start {number}");
            let late = tracer.span("x").tag("error", true).tag("sampling.priority", 0).start();
            assert!(!late.is_sampled(), "a priority takes effect before");
        }
    }
}

#[test]
fn an_error_set_on_a_span_that_is_over_is_misuse_and_no_reason() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    let over = child(&tracer, &root, "over");
    over.finish();
    over.set_tag("error", true).retain_trace();
    assert!(!root.is_sampled() && memory.is_empty());
    assert_eq!((tracer.stats().misused, tracer.stats().buffered), (2, 1));
}

#[test]
fn a_span_that_takes_longer_than_the_limit_keeps_its_trace() {
    let at = |millis: u64| UNIX_EPOCH + Duration::from_millis(1_000_000 + millis);
    let limit = Some(Duration::from_millis(100));
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig {
        slower_than: limit,
        ..TailSamplingConfig::default()
    });
    for (took, retained) in [(100, 0), (101, 3)] {
        let root = tracer.start_span("root");
        child(&tracer, &root, "quick").finish();
        let slow = tracer.span("slow").child_of(&root).start_time(at(0)).start();
        slow.finish_at(at(took));
        assert_eq!(root.is_sampled(), retained > 0, "{took} ms");
        root.finish();
        assert_eq!(memory.len(), retained, "{took} ms");
    }
    assert_eq!(names(&memory), ["quick", "slow", "root"]);
    let reasons: Vec<_> = memory.spans().iter().map(|span| reason(span).is_some()).collect();
    assert_eq!(reasons, [false, true, false]);
    assert_eq!(reason(&memory.spans()[1]), Some("slow"));

    // The last span of a trace, which holds nothing, is measured like the others.
    tracer.span("alone").start_time(at(0)).start().finish_at(at(500));
    assert_eq!(names(&memory)[3], "alone");
}

#[test]
fn an_application_can_have_the_trace_retained() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    root.retain_trace().retain_trace();
    root.finish();
    assert_eq!(names(&memory), ["done", "root"]);
    assert_eq!(reason(&memory.spans()[1]), Some("forced"));
    let kinds = memory.spans()[1].view().tags().filter(|tag| tag.key == b"sampler.type").count();
    assert_eq!(kinds, 1, "the second time there is nothing to do");
}

#[test]
fn a_forced_trace_is_complete_and_has_the_flags_of_the_moment_it_is_sent() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").set_tag("k", 1).finish();
    root.set_tag("sampling.priority", 1).finish();
    assert_eq!(names(&memory), ["done", "root"]);
    assert!(memory.spans().iter().all(|span| span.view().flags == 3), "sampled and debug");
    assert!(memory.spans().iter().all(|span| reason(span).is_none()));
}

#[test]
fn a_trace_whose_recording_stops_is_discarded() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    root.set_tag("sampling.priority", 0);
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (0, 1));
    child(&tracer, &root, "failed").set_tag("error", true).finish();
    root.finish();
    tracer.span("root").tag("error", true).tag("sampling.priority", 0).start().finish();
    assert!(memory.is_empty());
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (0, 4));
}

#[test]
fn a_healthy_trace_is_discarded_with_its_last_span_though_the_root_was_over_before() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    let (first, second) = (child(&tracer, &root, "first"), child(&tracer, &root, "second"));
    root.finish();
    first.finish();
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (2, 0));
    second.finish();
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (0, 3));

    // One that goes on in the background is held again, from there on.
    let late = tracer.span("late").follows_from(&root).start();
    child(&tracer, &late, "later").finish();
    assert_eq!(tracer.stats().buffered, 1);
    late.set_tag("error", true).finish();
    assert_eq!(names(&memory), ["later", "late"]);

    let root = tracer.start_span("root");
    let outlives = child(&tracer, &root, "outlives");
    root.finish();
    outlives.set_tag("error", true).finish();
    assert_eq!(names(&memory)[2..], ["root", "outlives"]);
}

#[test]
fn sampled_traces_and_others_are_left_alone() {
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().sampler(ConstSampler::new(true)).in_memory(&memory);
    let (tracer, _closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let root = tracer.start_span("root");
    child(&tracer, &root, "failed").set_tag("error", true).retain_trace().finish();
    root.finish();
    assert_eq!(names(&memory), ["failed", "root"]);
    assert!(memory.spans().iter().all(|span| reason(span).is_none()));

    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let healthy = tracer.start_span("healthy");
    child(&tracer, &healthy, "healthy").finish();
    let root = tracer.start_span("root");
    child(&tracer, &root, "child").finish();
    root.set_tag("error", true).finish();
    assert_eq!(names(&memory), ["child", "root"]);
    assert_eq!(tracer.stats().buffered, 1, "the other one's");
}

#[test]
fn others_get_it_as_not_sampled_until_it_is_retained() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let root = tracer.start_span("root");
    let header = |span: &Span| {
        let mut carrier = HashMap::new();
        tracer.inject(&span.context(), &mut carrier);
        carrier.remove("uber-trace-id").unwrap()
    };
    let context = root.context();
    assert!(header(&root).ends_with(":0") && !context.is_sampled());
    child(&tracer, &root, "failed").set_tag("error", true);
    assert!(header(&root).ends_with(":1") && context.is_sampled());
    root.finish();
    assert_eq!(memory.len(), 2);
}

#[test]
fn the_local_part_of_a_callers_unsampled_trace_is_retained_too() {
    let (tracer, _closer, memory) = with_tail_sampling(TailSamplingConfig::default());
    let caller = HashMap::from([("uber-trace-id".to_owned(), "abc:def:0:0".to_owned())]);
    let (first, second) = (tracer.extract(&caller).unwrap(), tracer.extract(&caller).unwrap());
    let serve = tracer.span("serve").child_of(&first).start();
    let other = tracer.span("other").child_of(&second).start();
    child(&tracer, &serve, "query").finish();
    child(&tracer, &other, "query of the other").finish();
    serve.set_tag("error", "true").finish();
    assert_eq!(names(&memory), ["query", "serve"]);
    assert_eq!(memory.spans()[1].view().parent_span_id, SpanId::new(0xdef));
    assert!(!other.is_sampled(), "two requests of one trace are decided about apart");

    let itself = SpanContext::new(first.trace_id(), SpanId::new(7), SpanId::NONE, 0);
    let elsewhere = tracer.span("begun elsewhere").self_reference(&itself).start();
    child(&tracer, &elsewhere, "part").finish();
    elsewhere.set_tag("error", true).finish();
    assert_eq!(names(&memory)[2..], ["part", "begun elsewhere"]);
}

#[test]
fn a_deferred_decision_sends_the_buffered_spans_or_leaves_them_buffered() {
    let marked = TagMatchingSampler::new("tenant").matching("acme");
    let sampler = PrioritySampler::new().then(marked).then(ConstSampler::new(false));
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().sampler(sampler.build().unwrap()).in_memory(&memory);
    let (tracer, _closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    for (tag, kind) in [("tenant", "TagMatchingSampler"), ("error", "tail")] {
        memory.reset();
        let root = tracer.start_span("root");
        root.set_tag("early", 1);
        child(&tracer, &root, "done").finish();
        root.set_tag("tenant", "other");
        assert!(!root.is_sampled());
        root.set_tag(tag, if tag == "error" { "true" } else { "acme" });
        assert!(root.is_sampled());
        root.finish();
        assert_eq!(names(&memory), ["done", "root"]);
        assert_eq!(text(&memory.spans()[1].view(), "sampler.type"), Some(kind));
        assert_eq!(memory.spans()[1].view().tag("early"), Some(ValueView::Long(1)));
    }
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    root.finish();
    assert_eq!((memory.len(), tracer.stats().buffered), (2, 0));
}

#[test]
fn a_trace_that_two_tracers_share_belongs_to_the_one_it_began_in() {
    let (one, _closer, ones) = with_tail_sampling(TailSamplingConfig::default());
    let (two, _closer_two, twos) = with_tail_sampling(TailSamplingConfig::default());
    let root = one.start_span("root");
    child(&one, &root, "of one").finish();
    child(&two, &root, "of two").set_tag("error", true).finish();
    assert!(!root.is_sampled() && twos.is_empty());
    assert_eq!((one.stats().buffered, two.stats().buffered, two.stats().not_sampled), (1, 0, 1));
    // Whoever forces it has it sampled everywhere; the first one's spans come when it notices.
    child(&two, &root, "forced").set_tag("sampling.priority", 1).finish();
    assert_eq!((names(&twos), root.is_sampled()), (vec!["forced".to_owned()], true));
    root.finish();
    assert_eq!(names(&ones), ["of one", "root"]);
    assert!([one.stats(), two.stats()].iter().all(|stats| stats.buffered + stats.open == 0));
}

#[test]
fn without_the_option_nothing_is_buffered_and_retaining_records_from_there_on() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = unsampled().in_memory(&memory).build().unwrap();
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    root.set_tag("error", true).set_tag("before", 1);
    assert!(!root.is_sampled());
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (0, 1));
    root.retain_trace().set_tag("after", 1).finish();
    let spans = memory.spans();
    assert_eq!((names(&memory), reason(&spans[0])), (vec!["root".to_owned()], Some("forced")));
    assert_eq!((spans[0].view().tag("before"), spans[0].view().flags), (None, 1));
    assert!(spans[0].view().tag("after").is_some());
    tracer.start_span("alone").retain_trace();
    assert_eq!(names(&memory), ["root", "alone"]);
}

#[test]
fn a_configuration_keeps_on_error_too() {
    let transport_never_used = Configuration {
        sampler: SamplerConfig { param: 0.0, ..SamplerConfig::new("const") },
        tail_sampling: Some(TailSamplingConfig::default()),
        ..Configuration::new("svc")
    };
    let (tracer, _closer) = transport_never_used.new_tracer().unwrap();
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    assert_eq!(tracer.stats().buffered, 1);
}

#[test]
fn the_fraction_of_sampled_traces_is_the_samplers_probability() {
    let memory = InMemoryReporter::new();
    let sampler = ProbabilisticSampler::new(0.3).unwrap();
    let builder = crate::support::builder().sampler(sampler).in_memory(&memory);
    let (tracer, _closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let sampled = (0..2_000).filter(|_| tracer.start_span("root").is_sampled()).count();
    assert!((400..800).contains(&sampled), "{sampled}");
    assert_eq!((memory.len(), tracer.stats().not_sampled), (sampled, 2_000 - sampled as u64));
}
