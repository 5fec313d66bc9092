//! Decisions that are deferred until a span has its tag or its name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use jaeger_client::encoding::{TagView, ValueView};
use jaeger_client::sampler::{
    ConstSampler, Decision, OperationStrategies, PerOperationSampler, PrioritySampler, Rule,
    Sampler, SamplerStatus, SamplingParameters, TagMatchingSampler,
};
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, Span, TailSamplingConfig, Tracer};

fn sampled_by(sampler: impl Sampler + 'static) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) =
        crate::support::builder().sampler(sampler).in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

fn by_tag() -> PrioritySampler {
    let marked = TagMatchingSampler::new("tenant").matching("acme").matching_firehose(42);
    PrioritySampler::new().then(marked).then(ConstSampler::new(false)).build().unwrap()
}

/// Keys of tags, and texts of those that are.
fn tags(span: &FinishedSpan) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = |tag: TagView<'_>| match tag.value {
        ValueView::Str(value) => format!("{}={}", text(tag.key), text(value)),
        _ => text(tag.key),
    };
    span.view().tags().map(shown).collect()
}

#[test]
fn a_tag_that_decides_saves_what_was_tagged_and_logged_before_it() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    let root = tracer.start_span("root");
    root.set_tag("early", 1).log_event("before");
    let child = tracer.span("child").child_of(&root).start();
    child.set_tag("early", 2).log_event("before");
    assert!(!root.is_sampled() && !child.is_sampled());
    child.set_tag("tenant", "acme");
    assert!(root.is_sampled() && child.is_sampled(), "they share the decision");
    child.finish();
    root.finish();
    let spans = memory.spans();
    let expected = ["early", "sampler.type=TagMatchingSampler", "sampler.param=tenant=acme"];
    assert_eq!(tags(&spans[0])[..3], expected);
    assert_eq!(tags(&spans[0])[3], "tenant=acme");
    assert_eq!(tags(&spans[1]), ["early"]);
    assert!(spans.iter().all(|span| span.view().logs().count() == 1));
}

#[test]
fn a_trace_without_the_tag_is_not_recorded() {
    let (tracer, closer, memory) = sampled_by(by_tag());
    let span = tracer.start_span("root");
    span.set_tag("tenant", "other").log_event("x");
    span.finish();
    assert!(memory.spans().is_empty());
    drop(span);
    let report = closer.close(crate::support::SOON);
    assert_eq!((report.stats.not_sampled, report.stats.open), (1, 0), "{report}");
}

#[test]
fn a_tag_that_a_span_is_started_with_decides_too() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    tracer.span("root").tag("first", 1).tag("tenant", 42).start().finish();
    let spans = memory.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].view().flags, 9, "sampled, and not to be indexed");
}

#[test]
fn the_samplers_tags_come_before_the_start_tag_that_made_it_decide() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    let start = |context| {
        tracer.span("root").child_of(context).tag("first", "1").tag("tenant", "acme").tag("z", "2")
    };
    start(None).start().finish();
    let requested = HashMap::from([("jaeger-debug-id", "ticket")]);
    start(Some(tracer.extract(&requested).unwrap())).start().finish();
    let sampler = ["sampler.type=TagMatchingSampler", "sampler.param=tenant=acme"];
    let given = [&["first=1"], &sampler[..], &["tenant=acme", "z=2"]].concat();
    let spans = memory.spans();
    assert_eq!(tags(&spans[0]), given);
    assert_eq!(tags(&spans[1]), [&["jaeger-debug-id=ticket"], &given[..]].concat());
}

#[test]
fn the_samplers_tags_come_before_a_debug_ids() {
    let requested = HashMap::from([("jaeger-debug-id", "ticket")]);
    let strategies = OperationStrategies::new(1.0, 0.0);
    let late = PerOperationSampler::new(&strategies).late_binding(true);
    let samplers: [Box<dyn Sampler>; 2] = [Box::new(ConstSampler::new(true)), Box::new(late)];
    for sampler in samplers {
        let (tracer, _closer, memory) = sampled_by(sampler);
        let context = || tracer.extract(&requested).unwrap();
        tracer.span("root").child_of(context()).start().finish();
        tracer.span("root").child_of(context()).tag("k", "v").start().finish();
        for (span, own) in memory.spans().iter().zip([&[][..], &["k=v"]]) {
            let tags = tags(span);
            assert!(tags[0].starts_with("sampler.type=") && tags[1] == "sampler.param", "{tags:?}");
            assert_eq!(tags[2..], [&["jaeger-debug-id=ticket"], own].concat());
        }
    }
}

#[test]
fn a_deferring_sampler_sees_whole_start_tags_and_the_span_stores_truncated_ones() {
    let long = "ž".repeat(300);
    let marked = TagMatchingSampler::new("tenant").matching(long.as_str());
    let (tracer, _closer, memory) = sampled_by(marked);
    tracer.span("root").tag("tenant", &long).tag("bytes", &[7; 300]).start().finish();
    let child = tracer.start_span("root");
    child.set_tag("tenant", &long);
    tracer.span("child").child_of(&child).tag("tenant", &long).start().finish();
    let spans = memory.spans();
    let retained = format!("tenant={}", &long[..256]);
    assert_eq!(tags(&spans[0])[2..], [retained.clone(), "bytes".to_owned()]);
    assert!(spans[0].view().tags().any(|tag| tag.value == ValueView::Binary(&[7; 256])));
    assert_eq!(tags(&spans[1]), [retained], "decided before, and cut all the same");
}

#[test]
fn what_is_done_to_a_span_after_its_end_does_not_decide_about_its_trace() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    let root = tracer.start_span("root");
    let child = tracer.span("child").child_of(&root).start();
    child.finish();
    child.set_tag("tenant", "acme");
    assert!(!root.is_sampled());
    assert_eq!((memory.len(), tracer.stats().misused), (0, 1));
}

#[test]
fn a_decision_that_stands_is_not_changed_by_a_tag() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    let span = tracer.start_span("root");
    span.set_tag("sampling.priority", 0).set_tag("tenant", "acme");
    assert!(!span.is_sampled());
    span.finish();
    assert!(memory.spans().is_empty());
}

#[test]
fn a_name_set_after_the_start_is_decided_about_with_late_binding() {
    let strategies = OperationStrategies::new(0.0, 0.0).operation("GET /orders", 1.0);
    for (late, recorded) in [(true, 1), (false, 0)] {
        let sampler = PerOperationSampler::new(&strategies).late_binding(late);
        let (tracer, _closer, memory) = sampled_by(sampler);
        let span = tracer.start_span("GET");
        span.log_event("routed");
        span.set_operation_name("GET /orders");
        assert_eq!(usize::from(span.is_sampled()), recorded);
        span.finish();
        assert_eq!(memory.spans().len(), recorded);
        assert!(memory.spans().iter().all(|span| span.view().logs().count() == 1));
    }
}

#[test]
fn a_span_that_refers_to_itself_is_decided_about_as_the_first_of_its_trace() {
    let strategies = OperationStrategies::new(0.0, 0.0).operation("GET /orders", 1.0);
    let sampler = PerOperationSampler::new(&strategies).late_binding(true);
    let (tracer, _closer, memory) = sampled_by(sampler);
    let root = tracer.start_span("GET");
    let child = tracer.span("child").child_of(&root).start();
    let again = tracer.span("GET /orders").self_reference(&root).start();
    assert!(again.is_sampled() && root.is_sampled() && child.is_sampled());
    drop((child, root, again));
    assert_eq!(memory.spans().len(), 3);
}

#[test]
fn two_traces_on_the_same_records_do_not_remember_one_another() {
    let (tracer, _closer, memory) = sampled_by(by_tag());
    for turn in 0..100 {
        let span = tracer.start_span("root");
        if turn % 2 == 0 {
            span.set_tag("tenant", "acme");
        }
        assert_eq!(span.is_sampled(), turn % 2 == 0);
    }
    assert_eq!(memory.spans().len(), 50);
}

/// Samples for any tag; before it says so, another part of the application uses the span.
struct Interrupted<F>(Arc<Mutex<Option<Span>>>, F);

impl<F> fmt::Debug for Interrupted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl<F: Fn(&Span) + Send + Sync> Sampler for Interrupted<F> {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::retryable(false)
    }

    fn may_defer(&self) -> bool {
        true
    }

    fn on_set_tag(
        &self,
        parameters: &mut SamplingParameters<'_>,
        _key: &str,
        _value: ValueView<'_>,
    ) -> Decision {
        let span = self.0.lock().unwrap().take();
        if let Some(span) = span {
            (self.1)(&span);
        }
        parameters.set_tag("sampler.type", "interrupted");
        Decision::new(true)
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Const { sample: false })
    }
}

#[test]
fn a_final_decision_is_not_overridden_by_a_sampler_that_was_called_before() {
    type Decide = fn(&Span);
    let decisions: [(Decide, bool, &str); 3] = [
        (|span| _ = span.set_tag("sampling.priority", 0), false, ""),
        (|span| _ = span.retain_trace(), true, "sampler.type=tail"),
        (|_| {}, true, "sampler.type=interrupted"),
    ];
    for tail in [false, true] {
        for (decide, is_sampled, by) in decisions {
            let interrupted = Arc::default();
            let memory = InMemoryReporter::new();
            let mut builder = crate::support::builder();
            if tail {
                builder = builder.tail_sampling(TailSamplingConfig::default());
            }
            let (tracer, _closer) = builder
                .sampler(Interrupted(Arc::clone(&interrupted), decide))
                .in_memory(&memory)
                .build()
                .unwrap();
            let span = tracer.start_span("root");
            *interrupted.lock().unwrap() = Some(span.clone());
            span.set_tag("a", 1);
            assert_eq!(span.is_sampled(), is_sampled, "{by} {tail}");
            span.finish();
            let spans = memory.spans();
            assert_eq!(spans.len(), usize::from(is_sampled), "{by} {tail}");
            for span in &spans {
                let tags = tags(span);
                let kinds: Vec<_> =
                    tags.iter().filter(|tag| tag.starts_with("sampler.type")).collect();
                assert_eq!(kinds, [by], "{tail}");
            }
            assert_eq!((tracer.stats().open, tracer.stats().buffered), (0, 0));
        }
    }
}
