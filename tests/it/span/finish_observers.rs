//! Observers of finished spans alone: what they are given, and what they cannot break.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::{builder, memory_logger};
use jaeger_client::encoding::{TagView, ValueView, put_tag};
use jaeger_client::sampler::{
    ConstSampler, Decision, PrioritySampler, Sampler, SamplingParameters, TagMatchingSampler,
};
use jaeger_client::{
    FinishedSpan, InMemoryReporter, ManualClock, ObservedSpan, Observer, ObserverInterest, Span,
    TagValue, TailSamplingConfig, Tracer,
};

/// What an observer has seen, one line a span.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An observer of finished spans made of what it does.
struct AtEnd<F>(F);

impl<F> fmt::Debug for AtEnd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtEnd")
    }
}

impl<F: Fn(&ObservedSpan<'_>) + Send + Sync> Observer for AtEnd<F> {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(["a", "sampler.type"])
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        (self.0)(span);
    }
}

/// Ends a span in each of the ways.
fn end_in_each_way(tracer: &Tracer) -> u64 {
    drop(tracer.start_span("dropped"));
    tracer.start_span("finished").finish();
    let shared = tracer.start_span("shared");
    let other = shared.clone();
    other.finish();
    drop(tracer.span("built").tag("a", 1).start());
    tracer.start_owned_span("owned").finish();
    let child = shared.child("child");
    child.on_finish(|_| {});
    drop(child);
    6
}

#[test]
fn a_panic_is_counted_and_the_next_observer_is_notified_and_the_span_is_sent() {
    for sampled in [true, false] {
        let (memory, names) = (InMemoryReporter::new(), Seen::default());
        let to = names.clone();
        let (tracer, _closer) = builder()
            .sampler(ConstSampler::new(sampled))
            .observer(AtEnd(|_: &ObservedSpan<'_>| panic!("on purpose")))
            .observer(AtEnd(move |span: &ObservedSpan<'_>| {
                to.add(span.operation_name());
            }))
            .logger(memory_logger())
            .in_memory(&memory)
            .build()
            .unwrap();
        let ended = end_in_each_way(&tracer);
        let stats = tracer.stats();
        assert_eq!((stats.observer_panics, stats.callback_panics), (ended, ended), "{sampled}");
        assert!(stats.is_balanced() && stats.open == 0, "{stats:?}");
        assert_eq!(memory.len() as u64, if sampled { ended } else { 0 });
        assert_eq!(names.take(), ["dropped", "finished", "shared", "built", "owned", "child"]);
    }
}

#[test]
fn an_observer_may_use_its_tracer_and_the_very_span_and_is_not_notified_of_its_own_spans() {
    for sampled in [true, false] {
        let own: Arc<OnceLock<Tracer>> = Arc::default();
        let very: Arc<Mutex<Vec<Span>>> = Arc::default();
        let (uses, handles, seen) = (Arc::clone(&own), Arc::clone(&very), Seen::default());
        let to = seen.clone();
        let observer = AtEnd(move |span: &ObservedSpan<'_>| {
            to.add(span.operation_name());
            let tracer = uses.get().unwrap();
            end_in_each_way(tracer);
            for handle in &*handles.lock().unwrap() {
                // It is not locked, and it is finished.
                handle.set_tag("a", 1).finish();
                drop(handle.child("child of the very span"));
                assert_eq!(handle.operation_name(), span.operation_name());
            }
        });
        let (tracer, closer) = builder()
            .sampler(ConstSampler::new(sampled))
            .observer(observer)
            .logger(memory_logger())
            .null_reporter()
            .build()
            .unwrap();
        own.set(tracer.clone()).unwrap();
        let span = tracer.start_span("first");
        very.lock().unwrap().push(span.clone());
        span.finish();
        drop(tracer.start_span("first"));
        assert_eq!(seen.take(), ["first", "first"]);
        assert_eq!(tracer.stats().observer_panics, 0);
        very.lock().unwrap().clear();
        drop(span);
        assert_eq!(seen.take(), [""; 0]);
        assert_eq!(tracer.stats().open, 0);
        drop(closer);
    }
}

#[test]
fn values_are_truncated_only_beyond_what_is_documented() {
    let text = "é".repeat(40_000);
    for (sampled, max, expected) in [(true, 10, 4096), (false, 10, 4096), (true, 60_000, 60_000)] {
        let lengths: Arc<Mutex<Vec<usize>>> = Arc::default();
        let to = Arc::clone(&lengths);
        let observer = AtEnd(move |span: &ObservedSpan<'_>| {
            for value in span.values("a") {
                let TagValue::Str(text) = value else { panic!("{value:?}") };
                assert!(text.chars().all(|char| char == 'é'));
                to.lock().unwrap().push(text.len());
            }
        });
        let (memory, tracer) = (InMemoryReporter::new(), builder());
        let (tracer, _closer) = tracer
            .sampler(ConstSampler::new(sampled))
            .max_tag_value_length(max)
            .observer(observer)
            .in_memory(&memory)
            .build()
            .unwrap();
        tracer.span("built").tag("a", &text[..200]).tag("a", "é").tag("a", &*text).start().finish();
        assert_eq!(std::mem::take(&mut *lengths.lock().unwrap()), [200, 2, expected]);
        let span = tracer.start_span("set");
        span.set_tag("a", "é").set_tag("a", &text[..200]).set_tag("a", "é");
        drop(span);
        assert_eq!(std::mem::take(&mut *lengths.lock().unwrap()), [2, 200, 2]);
        // What is sent is truncated as ever.
        let longest = |span: FinishedSpan| {
            let texts = span.view().tags().filter(|tag| tag.key == b"a");
            texts.map(|tag| tag.value.as_str().unwrap().len()).max().unwrap()
        };
        let sent: Vec<_> = memory.spans().into_iter().map(longest).collect();
        assert_eq!(sent, if sampled { vec![max, max.min(200)] } else { vec![] });
    }
}

#[test]
fn tags_that_are_set_without_end_take_bounded_memory_and_the_last_one_counts() {
    let last: Arc<Mutex<Option<i64>>> = Arc::default();
    let to = Arc::clone(&last);
    let observer = AtEnd(move |span: &ObservedSpan<'_>| {
        assert!(span.values("a").count() < 10_000);
        let Some(TagValue::I64(number)) = span.tag("a") else { panic!("{span:?}") };
        *to.lock().unwrap() = Some(number);
    });
    let (tracer, _closer) = builder()
        .sampler(ConstSampler::new(false))
        .observer(observer)
        .null_reporter()
        .build()
        .unwrap();
    let span = tracer.start_span("loops");
    for number in 0..100_000 {
        span.set_tag("a", number);
    }
    drop(span);
    assert_eq!(*last.lock().unwrap(), Some(99_999));
}

/// A sampler that samples everything, with a tag whose key the application uses, too.
#[derive(Debug)]
struct Marks;

impl Sampler for Marks {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        span.set_tag("a", "of the sampler");
        Decision::new(true)
    }
}

#[test]
fn tags_of_a_sampler_are_not_among_those_of_the_span() {
    let seen = Seen::default();
    let to = seen.clone();
    let observer = AtEnd(move |span: &ObservedSpan<'_>| {
        let tags: Vec<_> = span.tags().collect();
        to.add(format!("{tags:?}"));
    });
    let (tracer, _closer) =
        builder().sampler(Marks).observer(observer).null_reporter().build().unwrap();
    drop(tracer.start_span("by its name"));
    drop(tracer.span("built").start());
    drop(tracer.span("built").tag("other", 1).start());
    let replaced = tracer.start_span("replaced");
    replaced.set_tag("other", 1).replace_tag("other", 2).set_tag("sampling.priority", 0);
    drop(replaced);
    assert_eq!(seen.take(), ["[]"; 4]);
    let replaced = tracer.start_span("replaced");
    replaced.replace_tag("a", 1).set_tag("a", 2);
    drop(replaced);
    assert_eq!(seen.take(), [r#"[("a", I64(1)), ("a", I64(2))]"#]);
}

#[test]
fn tags_that_a_sampler_adds_after_the_start_are_not_among_them_either() {
    let by_tag = TagMatchingSampler::new("tenant").matching("acme");
    let deferring = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
    let tails = TailSamplingConfig {
        slower_than: Some(Duration::from_millis(1)),
        ..TailSamplingConfig::default()
    };
    let configured = [
        builder().sampler(deferring.build().unwrap()),
        builder().sampler(ConstSampler::new(false)).tail_sampling(tails),
    ];
    for (kind, built) in configured.into_iter().enumerate() {
        let (seen, memory) = (Seen::default(), InMemoryReporter::new());
        let (to, clock) = (seen.clone(), Arc::new(ManualClock::new()));
        let observer = AtEnd(move |span: &ObservedSpan<'_>| {
            to.add(format!("{:?}", span.tags().collect::<Vec<_>>()));
        });
        let built = built.observer(observer).logger(memory_logger()).clock(Arc::clone(&clock));
        let (tracer, _closer) = built.in_memory(&memory).build().unwrap();
        tracer.start_span("matched").set_tag("tenant", "acme").finish();
        drop(tracer.span("matched at once").tag("tenant", "acme").start());
        tracer.start_span("erring").set_tag("error", true).finish();
        tracer.start_span("retained").retain_trace().finish();
        let slow = tracer.start_span("slow");
        clock.advance(Duration::from_millis(2));
        drop(slow);
        assert_eq!(seen.take(), ["[]"; 5], "kind {kind}");
        let tagged = tracer.start_span("tagged");
        tagged.set_tag("tenant", "acme").set_tag("error", true).set_tag("a", 1).finish();
        let tagged = tracer.span("tagged").tag("a", 1).tag("tenant", "acme").start();
        tagged.retain_trace();
        drop(tagged);
        assert_eq!(seen.take(), [r#"[("a", I64(1))]"#; 2], "kind {kind}");
        let marked = |span: &FinishedSpan| span.tag("sampler.type").is_some();
        assert!(memory.spans().iter().filter(|span| marked(span)).count() > 3, "kind {kind}");
    }
}

#[test]
fn text_of_others_is_not_read_as_a_tag_where_tags_were_discarded_before() {
    let seen = Seen::default();
    let to = seen.clone();
    let observer = AtEnd(move |span: &ObservedSpan<'_>| {
        to.add(format!("{:?}", span.tags().collect::<Vec<_>>()));
    });
    let (tracer, _closer) = builder()
        .sampler(ConstSampler::new(true))
        .observer(observer)
        .logger(memory_logger())
        .null_reporter()
        .build()
        .unwrap();
    let mut forged = Vec::new();
    put_tag(&mut forged, TagView::new(b"a", ValueView::Bool(true)));
    let forged = String::from_utf8(forged).unwrap();
    for padding in 0..100 {
        let text = format!("{}{forged}", " ".repeat(padding));
        let stopped = tracer.span("stopped").tag("sampling.priority", 0).start();
        stopped.set_tag("sampling.priority", 1).set_tag("from.outside", &*text);
        drop(stopped);
        let mut stopped = tracer.prepare_span("stopped");
        stopped.set_tag("sampling.priority", 0);
        let stopped = stopped.start();
        stopped.set_tag("sampling.priority", 1).set_tag("from.outside", &*text);
        drop(stopped);
    }
    let seen = seen.take();
    assert_eq!(seen.len(), 200);
    let misread: Vec<_> = seen.iter().filter(|tags| *tags != "[]").collect();
    assert!(misread.is_empty(), "{misread:?}");
}

#[test]
fn spans_of_many_threads_are_all_observed_once() {
    let seen = Seen::default();
    let to = seen.clone();
    let observer = AtEnd(move |span: &ObservedSpan<'_>| {
        to.add(format!("{} {:?}", span.operation_name(), span.tag("a")));
    });
    let (tracer, _closer) = builder()
        .sampler(ConstSampler::new(true))
        .observer(observer)
        .logger(memory_logger())
        .null_reporter()
        .build()
        .unwrap();
    for number in 0..200 {
        let span = tracer.start_span("raced");
        span.set_tag("a", number);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| span.finish());
            }
            let handle = span.clone();
            scope.spawn(move || drop(handle));
        });
        drop(span);
        assert_eq!(seen.take(), [format!("raced Some(I64({number}))")]);
    }
}

#[test]
fn tags_of_a_start_are_seen_though_the_trace_is_stopped_and_forced_meanwhile() {
    let (seen, lost) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (to, none) = (Arc::clone(&seen), Arc::clone(&lost));
    let observer = AtEnd(move |span: &ObservedSpan<'_>| {
        if span.operation_name() == "child" {
            let counter = if span.tag("a") == Some(TagValue::I64(1)) { &to } else { &none };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (tracer, _closer) = builder()
        .sampler(ConstSampler::new(true))
        .observer(observer)
        .null_reporter()
        .build()
        .unwrap();
    let root = tracer.start_span("root");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                root.set_tag("sampling.priority", 0);
                root.set_tag("sampling.priority", 1);
            }
        });
        for _ in 0..CHILDREN {
            drop(tracer.span("child").child_of(&root).tag("a", 1).start());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!((seen.load(Ordering::Relaxed), lost.load(Ordering::Relaxed)), (CHILDREN, 0));
}

const CHILDREN: u64 = 100_000;
