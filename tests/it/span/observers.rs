//! Observers: their notifications, the order of these, and what observers cannot break.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{ConstSampler, Decision, Sampler, SamplingParameters};
use jaeger_client::{
    IdGenerator, InMemoryReporter, ManualClock, Observer, Span, SpanFinish, SpanObserver,
    StartSpanOptions, TagValue, Tracer, TracerBuilder,
};

/// What was called, one line a call.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn named(&self, name: &'static str) -> Named {
        Named { name, calls: self.clone() }
    }
}

/// An observer that records its notifications.
#[derive(Clone, Debug)]
struct Named {
    name: &'static str,
    calls: Calls,
}

impl Observer for Named {
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        let tags: Vec<_> = options.tags().map(|(key, value)| format!("{key}={value:?}")).collect();
        let (name, sampled) = (self.name, span.is_sampled());
        self.calls.note(format!("{name}: start {operation} {sampled} [{}]", tags.join(" ")));
        Some(Box::new(self.clone()))
    }
}

impl SpanObserver for Named {
    fn on_set_operation_name(&self, _span: &Span, name: &str) {
        self.calls.note(format!("{}: name {name}", self.name));
    }

    fn on_set_tag(&self, span: &Span, key: &str, value: TagValue<'_>) {
        self.calls.note(format!("{}: tag {key}={value:?} {}", self.name, span.is_sampled()));
    }

    fn on_finish(&self, _span: &Span, finish: &SpanFinish) {
        let (took, sampled) = (finish.duration.as_micros(), finish.is_sampled);
        self.calls.note(format!("{}: finish {took} {sampled}", self.name));
    }
}

/// A sampler that puts its decision off, and notes what it is asked.
#[derive(Debug)]
struct Requested(Calls);

impl Sampler for Requested {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.0.note(format!("sampler: create {}", span.operation_name()));
        Decision::retryable(false)
    }

    fn may_defer(&self) -> bool {
        true
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.0.note(format!("sampler: name {}", span.operation_name()));
        Decision::retryable(false)
    }

    fn on_set_tag(
        &self,
        _span: &mut SamplingParameters<'_>,
        key: &str,
        _value: ValueView<'_>,
    ) -> Decision {
        self.0.note(format!("sampler: tag {key}"));
        Decision::retryable(false)
    }

    fn on_finish(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        self.0.note("sampler: finish".to_owned());
        Decision::retryable(true)
    }
}

fn builder(sampled: bool) -> (TracerBuilder, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().sampler(ConstSampler::new(sampled)).in_memory(&memory);
    (builder, memory)
}

/// An observer made of what it does when a span starts.
struct Starting<F>(F);

impl<F> fmt::Debug for Starting<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Starting")
    }
}

impl<F: Fn(&Span) -> Option<Box<dyn SpanObserver>> + Send + Sync> Observer for Starting<F> {
    fn on_start_span(
        &self,
        span: &Span,
        _operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        (self.0)(span)
    }
}

#[test]
fn observers_and_the_sampler_are_called_in_the_order_of_the_go_client() {
    let calls = Calls::default();
    let (builder, memory) = builder(true);
    let (tracer, _closer) = builder
        .clock(ManualClock::new())
        .sampler(Requested(calls.clone()))
        .observer(calls.named("1"))
        .observer(calls.named("2"))
        .build()
        .unwrap();
    let span = tracer.span("op").tag("a", "x").tag("b", 2).start();
    assert_eq!(
        calls.take(),
        [
            "sampler: create op",
            "1: start op false [a=Str(\"x\") b=I64(2)]",
            "2: start op false [a=Str(\"x\") b=I64(2)]",
            "1: tag a=Str(\"x\") false",
            "2: tag a=Str(\"x\") false",
            "sampler: tag a",
            "1: tag b=I64(2) false",
            "2: tag b=I64(2) false",
            "sampler: tag b",
        ]
    );
    span.set_tag("c", true).log_event("logs are not observed");
    assert_eq!(
        calls.take(),
        ["1: tag c=Bool(true) false", "2: tag c=Bool(true) false", "sampler: tag c"]
    );
    span.set_operation_name("new");
    assert_eq!(calls.take(), ["sampler: name new", "1: name new", "2: name new"]);
    span.finish();
    assert_eq!(calls.take(), ["1: finish 0 false", "2: finish 0 false", "sampler: finish"]);
    let spans = memory.spans();
    assert_eq!(
        (spans[0].view().operation_name().as_ref(), spans[0].view().tags().count()),
        ("new", 3)
    );
}

#[test]
fn spans_that_are_not_sampled_are_reported_with_their_times_and_values_that_are_not_cut() {
    let calls = Calls::default();
    let clock = Arc::new(ManualClock::new());
    let (builder, memory) = builder(false);
    let (tracer, closer) = builder
        .clock(Arc::clone(&clock))
        .max_tag_value_length(4)
        .observer(calls.named("o"))
        .build()
        .unwrap();
    let root = tracer.span("op").tag("k", "longer").start();
    let child = tracer.span("child").child_of(&root).start();
    clock.advance(Duration::from_micros(7));
    root.set_tag("k", "longer still").set_tag("d", 0.5).set_tag("b", &[1_u8, 2, 3, 4, 5]);
    drop(child);
    root.finish();
    let reported = [
        "o: start op false [k=Str(\"longer\")]",
        "o: tag k=Str(\"longer\") false",
        "o: start child false []",
        "o: tag k=Str(\"longer still\") false",
        "o: tag d=F64(0.5) false",
        "o: tag b=Bytes([1, 2, 3, 4, 5]) false",
        "o: finish 7 false",
        "o: finish 7 false",
    ];
    assert_eq!(calls.take(), reported);
    assert!(memory.is_empty());
    drop(root);
    let stats = closer.close(crate::support::SOON).stats;
    assert_eq!((stats.not_sampled, stats.open, stats.misused), (2, 0, 0));
}

#[test]
fn a_priority_set_is_reported_before_it_acts_and_the_trace_then_has_its_true_start() {
    let calls = Calls::default();
    let clock = Arc::new(ManualClock::new());
    let (builder, memory) = builder(false);
    let (tracer, _closer) =
        builder.clock(Arc::clone(&clock)).observer(calls.named("o")).build().unwrap();
    let span = tracer.start_span("op");
    clock.advance(Duration::from_micros(5));
    span.set_tag("sampling.priority", 1).set_tag("k", 1).finish();
    tracer.span("two").tag("sampling.priority", 1_u8).tag("k", 2).start().finish();
    tracer.span("no").tag("sampling.priority", "high").start().finish();
    let reported = [
        "o: start op false []",
        "o: tag sampling.priority=I64(1) false",
        "o: tag k=I64(1) true",
        "o: finish 5 true",
        "o: start two true [sampling.priority=I64(1) k=I64(2)]",
        "o: tag sampling.priority=I64(1) true",
        "o: tag k=I64(2) true",
        "o: finish 0 true",
        "o: start no false [sampling.priority=Str(\"high\")]",
        "o: tag sampling.priority=Str(\"high\") false",
        "o: finish 0 false",
    ];
    assert_eq!(calls.take(), reported);
    let spans = memory.spans();
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].view().start_time_micros, spans[0].view().duration_micros), (0, 5));
    assert!(spans.iter().all(|span| span.view().tags().count() == 2));
}

#[test]
fn the_end_is_reported_once_whoever_finishes_and_nothing_is_reported_after_it() {
    let calls = Calls::default();
    let (builder, memory) = builder(true);
    let (tracer, closer) = builder.observer(calls.named("o")).build().unwrap();
    let span = tracer.start_span("twice");
    span.finish();
    span.finish();
    span.set_tag("late", 1).set_operation_name("late");
    drop(span);
    let reported = calls.take();
    assert!(reported.len() == 2 && reported[1].starts_with("o: finish"), "{reported:?}");
    assert_eq!(tracer.stats().misused, 3);
    for _ in 0..200 {
        let span = tracer.start_span("shared");
        let all = Barrier::new(3);
        thread::scope(|scope| {
            for finish in [true, false, false] {
                let (span, all) = (span.clone(), &all);
                scope.spawn(move || {
                    all.wait();
                    if finish { span.finish() } else { drop(span) }
                });
            }
            drop(span);
        });
        let reported = calls.take();
        assert_eq!(
            reported.iter().filter(|line| line.contains("finish")).count(),
            1,
            "{reported:?}"
        );
    }
    assert_eq!(memory.len(), 201);
    assert!(closer.close(crate::support::SOON).stats.is_balanced());
}

#[test]
fn the_last_of_handles_dropped_at_once_on_two_threads_reports_the_end() {
    let ends = Arc::new(AtomicU64::new(0));
    #[derive(Debug)]
    struct Ends(Arc<AtomicU64>);
    impl SpanObserver for Ends {
        fn on_finish(&self, span: &Span, _finish: &SpanFinish) {
            span.set_tag("seen", true);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (builder, memory) = builder(true);
    let reported = Arc::clone(&ends);
    let (tracer, _closer) = builder
        .observer(Starting(move |_: &Span| {
            Some(Box::new(Ends(Arc::clone(&reported))) as Box<dyn SpanObserver>)
        }))
        .build()
        .unwrap();
    let (give, take) = std::sync::mpsc::sync_channel::<Span>(0);
    let other = thread::spawn(move || take.iter().for_each(drop));
    for _ in 0..2_000 {
        let span = tracer.start_span("op");
        give.send(span.clone()).unwrap();
        drop(span);
    }
    drop(give);
    other.join().unwrap();
    assert_eq!(ends.load(Ordering::SeqCst), 2_000);
    let spans = memory.spans();
    assert_eq!(spans.len(), 2_000);
    assert!(spans.iter().all(|span| span.view().tag("seen") == Some(ValueView::Bool(true))));
    assert_eq!((tracer.stats().open, tracer.stats().misused), (0, 0));
}

#[test]
fn observers_may_use_the_span_and_start_others_and_are_not_notified_of_what_they_did() {
    #[derive(Debug)]
    struct Busy(Tracer);
    impl SpanObserver for Busy {
        fn on_set_operation_name(&self, span: &Span, name: &str) {
            span.set_tag("renamed", name);
        }
        fn on_set_tag(&self, span: &Span, key: &str, _value: TagValue<'_>) {
            span.set_tag("told", key).set_operation_name("by observer");
            self.0.span("inner").child_of(span).tag("by", "observer").start().finish();
        }
        fn on_finish(&self, span: &Span, _finish: &SpanFinish) {
            span.log_event("finishing").set_tag("last", 1).finish();
        }
    }
    let calls = Calls::default();
    let (builder, memory) = builder(true);
    let (helper, _helpers) = crate::support::builder().in_memory(&memory).build().unwrap();
    let (tracer, _closer) = builder
        .observer(Starting(move |span: &Span| {
            span.set_tag("first", 1);
            Some(Box::new(Busy(helper.clone())) as Box<dyn SpanObserver>)
        }))
        .observer(calls.named("o"))
        .build()
        .unwrap();
    let span = tracer.span("op").tag("a", 1).start();
    span.set_operation_name("named");
    drop(span);
    let reported = calls.take();
    assert_eq!(
        reported[..3],
        ["o: start op true [a=I64(1)]", "o: tag a=I64(1) true", "o: name named"]
    );
    assert_eq!(reported.len(), 4, "{reported:?}");
    let spans = memory.spans();
    let keys: Vec<_> = spans[1].view().tags().map(|tag| tag.key.to_vec()).collect();
    assert_eq!(spans[0].view().operation_name(), "inner");
    assert_eq!(keys[2..], [&b"first"[..], b"told", b"a", b"renamed", b"last"]);
    assert_eq!(
        (spans[1].view().operation_name().as_ref(), spans[1].view().logs().count()),
        ("named", 1)
    );
    assert_eq!((tracer.stats().misused, tracer.stats().open), (1, 0), "it was being finished");
}

#[test]
fn a_panic_of_an_observer_is_counted_and_reported_and_harms_no_span() {
    struct Panics;
    impl SpanObserver for Panics {
        fn on_set_operation_name(&self, _span: &Span, _name: &str) {
            panic!("rename");
        }
        fn on_set_tag(&self, _span: &Span, _key: &str, _value: TagValue<'_>) {
            panic!("tag");
        }
        fn on_finish(&self, _span: &Span, _finish: &SpanFinish) {
            panic!("finish");
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("drop");
        }
    }
    let (calls, log) = (Calls::default(), crate::support::memory_logger());
    let (builder, memory) = builder(true);
    let (tracer, closer) = builder
        .logger(Arc::clone(&log))
        .observer(Starting(|_: &Span| Some(Box::new(Panics) as Box<dyn SpanObserver>)))
        .observer(Starting(|_: &Span| panic!("start")))
        .observer(calls.named("o"))
        .build()
        .unwrap();
    for _ in 0..10 {
        let span = tracer.span("op").tag("a", 1).start();
        span.set_operation_name("new");
        span.finish();
    }
    assert_eq!(calls.take().len(), 40, "the others are notified all the same");
    let stats = closer.close(crate::support::SOON).stats;
    assert!(stats.is_balanced());
    assert_eq!((stats.observer_panics, stats.sent, stats.open), (50, 10, 0));
    assert!(memory.spans().iter().all(|span| span.view().tags().count() == 3));
    assert_eq!(log.all().len(), 1, "once a minute: {:?}", log.all());
    assert!(log.has("Observer::on_start_span panicked: start"));
}

#[test]
fn a_handle_that_an_observer_keeps_is_of_the_same_span_when_its_record_is_wanted_again() {
    let retained = Arc::new(Mutex::new(Vec::<Span>::new()));
    struct Keeps(Arc<Mutex<Vec<Span>>>);
    impl SpanObserver for Keeps {
        fn on_finish(&self, span: &Span, _finish: &SpanFinish) {
            self.0.lock().unwrap().push(span.clone());
        }
    }
    let (builder, memory) = builder(true);
    let keep = Arc::clone(&retained);
    let (tracer, _closer) = builder
        .observer(Starting(move |_: &Span| {
            Some(Box::new(Keeps(Arc::clone(&keep))) as Box<dyn SpanObserver>)
        }))
        .build()
        .unwrap();
    for _ in 0..100 {
        drop(tracer.start_span("op"));
    }
    let retained = std::mem::take(&mut *retained.lock().unwrap());
    let ids: Vec<_> = retained.iter().map(|span| span.context().span_id()).collect();
    let recorded: Vec<_> = memory.spans().iter().map(|span| span.view().span_id).collect();
    assert_eq!(ids, recorded);
    drop(retained);
    assert_eq!((tracer.stats().open, tracer.stats().misused), (0, 0));
}

#[test]
fn the_options_give_the_start_and_the_references() {
    type Seen = (SystemTime, Vec<bool>);
    let seen = Arc::new(Mutex::new(Vec::new()));
    #[derive(Debug)]
    struct Options(Arc<Mutex<Vec<Seen>>>);
    impl Observer for Options {
        fn on_start_span(
            &self,
            _span: &Span,
            _operation: &str,
            options: &StartSpanOptions<'_>,
        ) -> Option<Box<dyn SpanObserver>> {
            let references = options.references().iter().map(|to| to.follows_from).collect();
            self.0.lock().unwrap().push((options.start_time(), references));
            None
        }
    }
    let (builder, memory) = builder(true);
    let (tracer, _closer) = builder
        .clock(ManualClock::new())
        .observer(Arc::new(Options(Arc::clone(&seen))))
        .build()
        .unwrap();
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
    let root = tracer.start_span("root");
    let other = tracer.start_span("other");
    tracer.span("one").follows_from(&root).start_time(before).start().finish_at(before);
    tracer.span("two").child_of(&root).follows_from(&other).start().finish();
    let epoch = SystemTime::UNIX_EPOCH;
    let expected =
        [(epoch, vec![]), (epoch, vec![]), (before, vec![true]), (epoch, vec![false, true])];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(memory.len(), 2, "nobody wanted to hear of their ends");
}

#[test]
fn law_observers_and_a_list_change_nothing_of_what_is_recorded() {
    #[derive(Debug, Default)]
    struct Counting(AtomicU64);
    impl IdGenerator for Counting {
        fn next(&self) -> u64 {
            self.0.fetch_add(1, Ordering::SeqCst) + 1
        }
    }
    let record = |watch: fn(TracerBuilder) -> TracerBuilder, sampled: bool| {
        let (builder, memory) = builder(sampled);
        let clock = Arc::new(ManualClock::new());
        let builder = builder.clock(Arc::clone(&clock)).id_generator(Counting::default());
        let (tracer, _closer) = watch(builder.max_tag_value_length(40)).build().unwrap();
        let long = "long ".repeat(30);
        let root = tracer.span("root").tag("long", &long).tag("n", u64::MAX).start();
        clock.advance(Duration::from_micros(3));
        root.set_tag("long", &long).set_tag("f", 1.5).set_baggage_item("b", "1");
        let child = tracer.span("child").child_of(&root).follows_from(&root).tag("x", 1).start();
        child.log(&[("event", "e".into())]).set_operation_name("renamed");
        clock.advance(Duration::from_micros(4));
        drop(child);
        tracer.span("forced").tag("a", 1).tag("sampling.priority", 1).start().finish();
        tracer.span("never").tag("sampling.priority", 0).tag("a", 1).start().finish();
        let itself = root.context();
        tracer.span("again").self_reference(&itself).tag("a", 1).start().finish();
        root.finish();
        (memory.spans(), tracer.stats())
    };
    for sampled in [true, false] {
        let (plain, stats) = record(|builder| builder, sampled);
        let observed = |builder: TracerBuilder| builder.observer(Calls::default().named("o"));
        for watched in [observed, |builder: TracerBuilder| builder.track_open_spans(2)] {
            let (reported, observed_stats) = record(watched, sampled);
            assert_eq!(plain, reported);
            assert_eq!(stats, observed_stats);
        }
        assert_eq!(plain.len(), if sampled { 4 } else { 1 });
    }
}
