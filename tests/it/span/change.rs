//! What is changed about a span after it was started: tags replaced, references added, its parent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::FollowedBy;
use jaeger_client::encoding::{SpanView, ValueView};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Clock, Closer, InMemoryReporter, ManualClock, ObservedSpan, Observer, ObserverInterest, Span,
    SpanContext, SpanFinish, SpanId, SpanObserver, StartSpanOptions, TagValue, TailSamplingConfig,
    TraceId, Tracer, TracerBuilder,
};

fn built(builder: TracerBuilder) -> (Tracer, Closer, InMemoryReporter) {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = builder.in_memory(&reporter).build().unwrap();
    (tracer, closer, reporter)
}

fn remote(flags: u8) -> SpanContext {
    SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::NONE, flags)
}

fn keys(span: &SpanView<'_>) -> Vec<String> {
    span.tags().map(|tag| String::from_utf8_lossy(tag.key).into_owned()).collect()
}

#[test]
fn a_tag_that_is_replaced_is_there_once_whatever_it_was_and_the_others_stay() {
    let (tracer, _closer, reporter) = built(Tracer::builder("svc"));
    let span = tracer.span("op").tag("a", 1).tag("b", "é".repeat(99).as_str()).start();
    span.set_tag("c", true).set_tag("a", 2.5).replace_tag("a", "last").replace_tag("new", 1);
    span.replace_tag("b", None::<i64>)
        .replace_tag("a", Some("some"))
        .replace_tag("a", String::from("last"));
    span.replace_tag("b", 3).finish();
    span.replace_tag("a", "late");
    assert_eq!(tracer.stats().misused, 1);
    let spans = reporter.spans();
    let view = spans[0].view();
    assert_eq!(keys(&view)[2..], ["c", "new", "a", "b"]);
    assert_eq!(view.tag("a"), Some(ValueView::Str(b"last")));
    assert_eq!(view.tag("b"), Some(ValueView::Long(3)));
    assert_eq!(view.tag("c"), Some(ValueView::Bool(true)));
}

#[test]
fn a_reference_added_later_leaves_the_parent_as_it_is() {
    let (tracer, _closer, reporter) = built(Tracer::builder("svc"));
    let (root, other) = (tracer.start_span("root"), tracer.start_span("other"));
    let child = tracer.span("child").child_of(&root).start();
    child.add_follows_from(&other).finish();
    root.add_follows_from(&other).add_follows_from(None::<SpanContext>).finish();
    let spans = reporter.spans();
    let (child, root_view) = (spans[0].view(), spans[1].view());
    let references: Vec<_> = child.references().collect();
    let shown = references.iter().map(|to| (to.follows_from, to.span_id)).collect::<Vec<_>>();
    assert_eq!(shown, [(false, root.context().span_id()), (true, other.context().span_id())]);
    assert_eq!(child.parent_span_id, root.context().span_id());
    assert_eq!(root_view.parent_span_id, SpanId::NONE);
    assert_eq!(root_view.trace_id, root.context().trace_id());
    assert_eq!(root_view.references().count(), 1);
}

#[test]
fn a_span_that_is_put_below_another_parent_takes_all_along_and_is_counted() {
    let (tracer, _closer, reporter) = built(Tracer::builder("svc"));
    let other = tracer.start_span("other").context();
    let span = tracer.start_span("op");
    let id = span.context().span_id();
    span.set_tag("a", 1).log_event("before").add_follows_from(&other);
    let moved = span.restart_as_child_of(remote(1)).unwrap();
    assert!(span.restart_as_child_of(remote(1)).is_none(), "it is over");
    span.set_tag("lost", 1);
    moved.set_tag("b", 2).log_event("after").finish();
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.open, stats.not_sampled, stats.misused), (3, 0, 1, 2));
    assert!(stats.is_balanced(), "{stats}");

    let spans = reporter.spans();
    let view = spans[1].view();
    assert_eq!((view.trace_id, view.parent_span_id), (TraceId::new(0, 7), SpanId::new(8)));
    assert_eq!((view.span_id, view.operation_name), (id, &b"op"[..]));
    assert_eq!(keys(&view), ["a", "b"], "the sampler was not asked about this trace");
    assert_eq!(view.logs().count(), 2);
    let kinds: Vec<_> = view.references().map(|to| to.follows_from).collect();
    assert_eq!(kinds, [false, true]);
}

#[test]
fn a_span_takes_the_decision_of_the_parent_it_is_put_below() {
    for (here, there) in [(true, 0), (false, 1), (true, 1), (false, 0)] {
        let (tracer, _closer, reporter) =
            built(Tracer::builder("svc").sampler(ConstSampler::new(here)));
        let span = tracer.start_span("op").restart_as_child_of(remote(there)).unwrap();
        assert_eq!(span.is_sampled(), there == 1);
        span.finish();
        assert_eq!(reporter.spans().len(), usize::from(there));
        let stats = tracer.stats();
        assert_eq!((stats.started, stats.finished), (2, 2));
        assert!(stats.is_balanced(), "{stats}");
    }
}

#[test]
fn a_priority_goes_along_to_another_parent_and_so_do_the_tags_before_it() {
    for (there, last, is_sampled) in [(0, 1, true), (1, 1, true), (0, 0, false), (1, 0, true)] {
        let (tracer, _closer, reporter) = built(Tracer::builder("svc"));
        let span = tracer.start_span("op");
        span.set_tag("a", 1).set_tag("sampling.priority", 1).set_tag("b", 2);
        span.set_tag("sampling.priority", last).set_tag("c", 3);
        let moved = span.restart_as_child_of(remote(there)).unwrap();
        let case = format!("{there} {last}");
        assert_eq!(moved.is_sampled(), is_sampled, "{case}");
        assert_eq!(moved.context().is_debug(), last == 1, "{case}");
        moved.finish();
        for span in reporter.spans() {
            let keys = keys(&span.view());
            let own: Vec<_> = keys.iter().filter(|key| key.len() == 1).collect();
            assert_eq!(
                own.iter().map(|key| key.as_str()).collect::<String>(),
                if last == 1 { "abc" } else { "ab" },
                "{case}"
            );
            let priorities = keys.iter().filter(|key| *key == "sampling.priority").count();
            assert_eq!(priorities, if last == 1 { 2 } else { 0 }, "{case}");
        }
        assert_eq!(reporter.spans().len(), usize::from(is_sampled), "{case}");
    }
}

#[test]
fn a_span_that_is_buffered_can_be_put_below_another_parent() {
    let builder = Tracer::builder("svc").sampler(ConstSampler::new(false));
    let (tracer, _closer, reporter) = built(builder.tail_sampling(TailSamplingConfig::default()));
    let span = tracer.start_span("op");
    span.set_tag("a", 1);
    let moved = span.restart_as_child_of(remote(0)).unwrap();
    moved.set_tag("error", true).finish();
    let spans = reporter.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].view().trace_id, TraceId::new(0, 7));
    assert_eq!(spans[0].view().tag("a"), Some(ValueView::Long(1)));
    assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
    assert_eq!(tracer.stats().buffered, 0);
}

#[test]
fn a_span_that_was_restarted_is_sent_once_and_counted_as_not_sampled_whatever_became_of_its_trace()
{
    // Whether other spans of the trace that is left are open, and what happens to it before and after.
    for (has_child, has_late_child) in [(false, false), (true, false), (false, true), (true, true)]
    {
        for (before, after) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
            let case = format!("{has_child} {has_late_child} {before} {after}");
            let builder = Tracer::builder("svc").sampler(ConstSampler::new(false));
            let (tracer, _closer, reporter) =
                built(builder.tail_sampling(TailSamplingConfig::default()));
            let span = tracer.start_span("op");
            if has_child {
                span.child("child").finish();
            }
            let late = has_late_child.then(|| span.child("late child"));
            match before {
                0 => {}
                1 => _ = span.set_tag("error", true),
                _ => _ = span.set_tag("sampling.priority", 0),
            }
            let moved = span.restart_as_child_of(remote(1)).unwrap();
            let stats = tracer.stats();
            let buffered = u64::from(has_child && late.is_some() && before == 0);
            assert_eq!(
                (stats.buffered, stats.open),
                (buffered, 1 + u64::from(has_late_child)),
                "{case}"
            );
            moved.finish();
            if let Some(late) = late {
                if after == 1 {
                    late.retain_trace();
                }
                late.finish();
            }
            let names: Vec<_> =
                reporter.spans().iter().map(|span| span.operation_name().into_owned()).collect();
            let sent = |name: &str| names.iter().filter(|sent| *sent == name).count();
            assert_eq!(sent("op"), 1, "{case}: {names:?}");
            let retained = before == 1 || (before == 0 && after == 1 && has_late_child);
            assert_eq!(sent("child"), usize::from(has_child && retained), "{case}");
            let stats = tracer.stats();
            assert_eq!((stats.open, stats.buffered, stats.misused), (0, 0, 0), "{case}: {stats}");
            assert_eq!((stats.sent, stats.is_balanced()), (names.len() as u64, true), "{case}");
        }
    }
}

#[test]
fn a_span_that_was_finished_while_it_was_restarted_is_sent_once() {
    // The clock is read for the span that is to go on, and the first one is finished meanwhile.
    #[derive(Debug)]
    struct Finishes(Arc<Mutex<Option<Span>>>);

    impl Clock for Finishes {
        fn monotonic_nanos(&self) -> u64 {
            let span = self.0.lock().unwrap().take();
            span.inspect(Span::finish);
            1_000
        }

        fn wall_nanos(&self) -> i64 {
            1_000
        }
    }

    let first = Arc::default();
    let builder = Tracer::builder("svc").sampler(ConstSampler::new(false));
    let builder = builder.clock(Finishes(Arc::clone(&first)));
    let (tracer, _closer, reporter) = built(builder.tail_sampling(TailSamplingConfig::default()));
    let (span, other) = (tracer.start_span("op"), tracer.start_span("other"));
    *first.lock().unwrap() = Some(span.clone());
    assert!(span.restart_as_child_of(&other).is_none());
    let stats = tracer.stats();
    assert_eq!((stats.not_sampled, stats.buffered, stats.open), (2, 0, 1), "{stats}");
    other.retain_trace().finish();
    assert_eq!(reporter.spans().len(), 1, "it is not in the trace that it was not put into");
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.sent, stats.open, stats.misused), (3, 1, 0, 1), "{stats}");
}

/// An observer that writes down what it is notified of, one line a notification.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Notes {
    fn on_start_span(
        &self,
        _span: &Span,
        operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        self.add(format!("start {operation}"));
        Some(Box::new(self.clone()))
    }
}

impl SpanObserver for Notes {
    fn on_set_tag(&self, _span: &Span, key: &str, _value: TagValue<'_>) {
        self.add(format!("tag {key}"));
    }

    fn on_finish(&self, span: &Span, finish: &SpanFinish) {
        let (trace_id, duration) = (span.context().trace_id(), finish.duration);
        self.add(format!("finish {trace_id} {duration:?}"));
    }
}

/// An observer of finished spans alone.
#[derive(Clone, Debug, Default)]
struct Ends(Notes);

impl Observer for Ends {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(["a", "b", "long"])
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let keys: Vec<_> = span.tags().map(|(key, _)| key.to_owned()).collect();
        let name = span.operation_name();
        self.0.add(format!("{name} {} {:?}", keys.join(","), span.duration()));
    }
}

#[test]
fn observers_are_notified_of_a_restarted_span_as_of_one() {
    for (here, there) in [(true, 0), (false, 1), (true, 1), (false, 0)] {
        for (follows, tail) in [(false, false), (true, false), (false, true), (true, true)] {
            let case = format!("{here} {there} {follows} {tail}");
            let (notes, ends) = (Notes::default(), Ends::default());
            let clock = Arc::new(ManualClock::new());
            let builder = Tracer::builder("svc").sampler(ConstSampler::new(here));
            let mut builder = builder.clock(Arc::clone(&clock)).observer(ends.clone());
            if follows {
                builder = builder.observer(notes.clone()).track_open_spans(9);
            }
            if tail {
                builder = builder.tail_sampling(TailSamplingConfig::default());
            }
            let (tracer, _closer, _reporter) = built(builder);
            let span = tracer.span("op").tag("a", 1).start();
            let open = |span: &Span| {
                let id = span.context().span_id();
                let open = tracer.open_spans().spans;
                let listed: Vec<_> =
                    open.iter().map(|open| (open.trace_id, open.span_id)).collect();
                let expected = vec![(span.context().trace_id(), id); usize::from(follows)];
                assert_eq!(listed, expected, "{case}");
            };
            open(&span);
            clock.advance(Duration::from_secs(1));
            let called = Arc::new(Mutex::new(Vec::new()));
            let to = Arc::clone(&called);
            span.set_tag("a", 2).set_tag("long", "x".repeat(300));
            let on_finish = move |span: &Span| to.lock().unwrap().push(span.context().trace_id());
            span.on_finish(on_finish);
            let moved = span.restart_as_child_of(remote(there)).unwrap();
            drop(span);
            open(&moved);
            assert!(ends.0.take().is_empty() && called.lock().unwrap().is_empty(), "{case}");
            let moved = moved.restart_as_child_of(remote(there)).unwrap();
            open(&moved);
            clock.advance(Duration::from_secs(1));
            moved.set_tag("b", 3);
            moved.finish();
            drop(moved);
            assert_eq!(ends.0.take(), ["op a,a,long,b 2s"], "{case}");
            assert_eq!(*called.lock().unwrap(), [TraceId::new(0, 7)], "{case}");
            let end = format!("finish {} 2s", TraceId::new(0, 7));
            let expected = ["start op", "tag a", "tag a", "tag long", "tag b", &end];
            assert_eq!(notes.take(), if follows { &expected[..] } else { &[] }, "{case}");
            let stats = tracer.stats();
            assert_eq!((stats.started, stats.open, stats.misused), (3, 0, 0), "{case}: {stats}");
            assert!(tracer.open_spans().is_empty() && stats.is_balanced(), "{case}");
        }
    }
}

#[test]
fn a_span_that_is_restarted_while_another_thread_finishes_it_ends_once() {
    // An observer restarts the span whose end it is notified of.
    #[derive(Clone, Debug)]
    struct Restarts(Notes);

    impl SpanObserver for Restarts {
        fn on_finish(&self, span: &Span, _finish: &SpanFinish) {
            let restarted = span.restart_as_child_of(remote(1)).is_some();
            self.0.add(format!("restarted: {restarted}"));
        }
    }

    let notes = Notes::default();
    let (tracer, _closer, reporter) =
        built(Tracer::builder("svc").observer(FollowedBy(Restarts(notes.clone()))));
    tracer.start_span("op").finish();
    assert_eq!(notes.take(), ["restarted: false"]);
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.sent, stats.not_sampled, stats.open), (2, 1, 1, 0), "{stats}");
    assert_eq!((reporter.len(), stats.misused), (1, 1));
}

#[test]
fn what_is_done_to_a_span_while_it_is_restarted_is_done_to_the_one_in_its_place() {
    // The clock is read for the span that is to go on.
    #[derive(Debug)]
    struct Changes(Arc<Mutex<Option<Span>>>);

    impl Clock for Changes {
        fn monotonic_nanos(&self) -> u64 {
            let span = self.0.lock().unwrap().take();
            if let Some(span) = span {
                span.set_operation_name("renamed").set_tag("a", 1);
            }
            1_000
        }

        fn wall_nanos(&self) -> i64 {
            1_000
        }
    }

    for follows in [false, true] {
        let (changed, ends) = (Arc::default(), Ends::default());
        let mut builder =
            Tracer::builder("svc").clock(Changes(Arc::clone(&changed))).observer(ends.clone());
        if follows {
            builder = builder.observer(Notes::default()).track_open_spans(1);
        }
        let (tracer, _closer, reporter) = built(builder);
        let span = tracer.start_span("op");
        *changed.lock().unwrap() = Some(span.clone());
        let moved = span.restart_as_child_of(remote(1)).unwrap();
        assert_eq!(moved.operation_name(), "renamed");
        let open = tracer.open_spans().spans;
        assert!(
            open.iter().all(|span| span.operation_name == "renamed")
                && open.len() == usize::from(follows)
        );
        moved.finish();
        assert_eq!(ends.0.take(), ["renamed a 0ns"]);
        assert_eq!(
            (reporter.spans()[0].operation_name(), keys(&reporter.spans()[0].view())),
            ("renamed".into(), vec!["a".to_owned()])
        );
    }
}
