//! What was broken once in a span's life, or at its edges, and must not break again.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::read::{Span as Finished, finished};
use crate::support::transport::limited;
use crate::support::{SOON, builder, soon};
use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{ConstSampler, Decision, Sampler, SamplingParameters};
use jaeger_client::{
    Clock, FinishOptions, InMemoryReporter, LogRecord, ManualClock, Span, SpanContext, SpanId,
    TailSamplingConfig, TraceId, Tracer,
};

fn only(memory: &InMemoryReporter) -> Finished {
    let spans = finished(memory);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.into_iter().next().unwrap()
}

#[test]
fn a_child_begun_while_its_trace_was_stopped_is_itself_when_the_trace_is_forced_again() {
    let (transport, taken) = limited(65_000);
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    let root = tracer.start_span("root");
    let mut expected = Vec::new();
    for _ in 0..3 {
        root.set_tag("sampling.priority", 0);
        let child = tracer.span("child").child_of(&root).start();
        child.set_tag("sampling.priority", 1);
        let grandchild = tracer.span("grandchild").child_of(&child).start();
        for span in [&grandchild, &child] {
            let context = span.context();
            expected.push((context.span_id().get(), context.parent_id().get()));
            span.finish();
        }
    }
    assert_eq!(closer.close(SOON).stats.sent, 6);
    let spans = taken.spans();
    assert_eq!(spans.iter().map(|span| (span.id, span.parent)).collect::<Vec<_>>(), expected);
}

#[test]
fn a_reference_keeps_its_span_when_baggage_alone_becomes_the_parent() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let before = SpanContext::new(TraceId::new(0, 5), SpanId::new(6), SpanId::NONE, 1);
    let baggage = SpanContext::default().with_baggage_item("who", "me");
    tracer.span("op").follows_from(&before).child_of(&baggage).start().finish();
    let span = only(&memory);
    assert_eq!((span.parent, span.trace), (0, (0, span.id)), "a new trace");
    assert_eq!(span.references, [(true, (0, 5), 6)]);
}

/// A clock that sets a tag of the active span whenever it is read.
#[derive(Debug, Default)]
struct TaggingClock(AtomicBool);

impl Clock for TaggingClock {
    fn monotonic_nanos(&self) -> u64 {
        // Not about its own log.
        if !self.0.swap(true, Ordering::SeqCst) {
            if let Some(span) = Span::active() {
                span.set_tag("asked for the time", 0.5);
                assert_eq!(span.operation_name(), "op");
            }
            self.0.store(false, Ordering::SeqCst);
        }
        1_000
    }

    fn wall_nanos(&self) -> i64 {
        1_000
    }
}

#[test]
fn a_clock_may_use_the_span_it_is_read_for() {
    soon(|| {
        let (tracer, _closer) =
            builder().clock(TaggingClock::default()).null_reporter().build().unwrap();
        let span = tracer.start_span("op");
        let _scope = span.activate();
        span.set_baggage_item("k", "v");
        span.log(&[("double", 0.5.into())]);
        span.set_tag("sampling.priority", 1);
        span.finish();
        assert_eq!(tracer.stats().open, 0);
    });
}

#[test]
fn a_clock_may_use_a_span_of_a_buffered_or_stopped_trace_that_is_finished_or_restarted() {
    type End = fn(&Span);
    let ends: [End; 3] = [
        Span::finish,
        |span| span.finish_with(FinishOptions::default()),
        |span| drop(span.restart_as_child_of(SpanContext::default())),
    ];
    soon(move || {
        for (end, is_stopped) in ends.into_iter().flat_map(|end| [(end, false), (end, true)]) {
            let tail = TailSamplingConfig::default();
            let builder = builder().sampler(ConstSampler::new(false)).tail_sampling(tail);
            let (tracer, _closer) =
                builder.clock(TaggingClock::default()).null_reporter().build().unwrap();
            let span = tracer.start_span("op");
            let scope = span.activate();
            if is_stopped {
                span.set_tag("sampling.priority", 0);
            }
            end(&span);
            drop(scope);
            assert_eq!(tracer.stats().open, 0);
        }
    });
}

/// A clock that adds a callback to the active span when it is read.
#[derive(Debug, Default)]
struct CallbackClock {
    added: AtomicU64,
    called: Arc<AtomicU64>,
}

impl Clock for CallbackClock {
    fn monotonic_nanos(&self) -> u64 {
        if let Some(span) = Span::active() {
            let called = Arc::clone(&self.called);
            self.added.fetch_add(1, Ordering::SeqCst);
            span.on_finish(move |_| _ = called.fetch_add(1, Ordering::SeqCst));
        }
        1_000
    }

    fn wall_nanos(&self) -> i64 {
        1_000
    }
}

#[test]
fn a_callback_added_while_a_span_is_being_finished_is_called_or_counts_as_misuse() {
    let event = || [LogRecord { timestamp: SystemTime::now(), fields: &[] }];
    let ends: [fn(&Span, &[LogRecord<'_>]); 4] = [
        |span, _| span.finish(),
        |span, _| span.finish_at(SystemTime::now()),
        |span, log_records| {
            span.finish_with(FinishOptions { log_records, ..FinishOptions::default() });
        },
        |span, _| {
            span.on_finish(|_| ());
            span.finish();
        },
    ];
    for end in ends {
        let clock = Arc::new(CallbackClock::default());
        let builder = builder().clock(Arc::clone(&clock)).null_reporter();
        let (tracer, _closer) = builder.build().unwrap();
        let span = tracer.start_span("op");
        let scope = span.activate();
        end(&span, &event());
        drop(scope);
        drop(span);
        let called = clock.called.load(Ordering::SeqCst);
        let stats = tracer.stats();
        assert_eq!(called + stats.misused, clock.added.load(Ordering::SeqCst), "{stats}");
        assert_eq!((stats.open, stats.sent, stats.callback_panics), (0, 1, 0));
    }
}

#[test]
fn contexts_of_an_unrecorded_span_share_its_traces_flags_after_its_end_too() {
    let (tracer, _closer) =
        builder().sampler(ConstSampler::new(false)).null_reporter().build().unwrap();
    let root = tracer.start_span("root");
    root.finish();
    let context = root.context();
    let (one, other) = (
        tracer.span("one").child_of(&root).start(),
        tracer.span("other").child_of(&context).start(),
    );
    one.set_tag("sampling.priority", 1);
    assert!(other.is_sampled() && context.is_sampled() && root.context().is_sampled());
}

#[test]
fn a_trace_retained_after_the_end_of_a_span_is_misuse_by_any_handle_on_it() {
    let (tracer, _closer) =
        builder().sampler(ConstSampler::new(false)).null_reporter().build().unwrap();
    let first = tracer.start_span("root");
    let second = first.clone();
    second.finish();
    // The first one held the span before it had a record.
    first.retain_trace();
    assert_eq!(tracer.stats().misused, 1);
    second.retain_trace();
    assert_eq!((tracer.stats().misused, first.is_sampled()), (2, false));
}

#[test]
fn a_trace_may_be_forced_at_the_very_beginning_of_time() {
    let (memory, clock) = (InMemoryReporter::new(), Arc::new(ManualClock::new()));
    let (tracer, _closer) = builder()
        .sampler(ConstSampler::new(false))
        .clock(Arc::clone(&clock))
        .in_memory(&memory)
        .build()
        .unwrap();
    let root = tracer.start_span("root");
    tracer.span("child").child_of(&root).tag("sampling.priority", 1).start().finish();
    clock.advance(Duration::from_secs(5));
    memory.reset();
    root.finish();
    let span = only(&memory);
    // A nanosecond less: the moment 0 is how a trace is marked that nobody forced.
    assert_eq!((span.start, span.duration), (0, 4_999_999));
}

#[test]
fn a_sampler_that_does_not_defer_is_never_called_for_another_tracers_trace() {
    #[derive(Debug, Default)]
    struct Strict;

    impl Sampler for Strict {
        fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
            Decision::new(true)
        }

        fn on_set_tag(
            &self,
            _: &mut SamplingParameters<'_>,
            _: &str,
            _: ValueView<'_>,
        ) -> Decision {
            panic!("it does not defer");
        }

        fn on_finish(&self, _span: &mut SamplingParameters<'_>) -> Decision {
            panic!("it does not defer");
        }
    }

    /// Puts its decision off until the end.
    #[derive(Debug)]
    struct Defers;

    impl Sampler for Defers {
        fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
            Decision::retryable(false)
        }

        fn may_defer(&self) -> bool {
            true
        }

        fn on_finish(&self, _span: &mut SamplingParameters<'_>) -> Decision {
            Decision::new(true)
        }
    }

    let (defers, _closer) = builder().sampler(Defers).null_reporter().build().unwrap();
    let (strict, _closer_too) = builder().sampler(Strict).null_reporter().build().unwrap();
    let parent = defers.start_span("parent");
    let child = strict.span("child").child_of(&parent).start();
    child.set_tag("k", 1).set_operation_name("other");
    assert!(!child.is_sampled(), "it is not its decision");
    child.finish();
    let stats = strict.stats();
    assert_eq!((stats.not_sampled, stats.open, stats.callback_panics), (1, 0, 0));
}

#[test]
fn a_span_may_be_the_first_of_a_thread_that_is_being_torn_down() {
    struct AtTheEnd(Tracer);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.start_span("at the end").finish();
        }
    }

    thread_local! {
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    thread::spawn(move || {
        LAST.with_borrow_mut(|last| *last = Some(AtTheEnd(tracer)));
        // What is used later is gone sooner.
        let _ = rand::Rng::next_u64(&mut rand::rng());
    })
    .join()
    .unwrap();
    assert_eq!(only(&memory).name, "at the end");
}

#[test]
fn spans_that_end_with_their_thread_are_reported_whatever_else_is_gone_by_then() {
    struct Holds(Vec<Span>, Tracer);

    impl Drop for Holds {
        fn drop(&mut self) {
            self.0.clear();
            let span = self.1.start_span("at the end");
            let _scope = span.activate();
            self.1.start_span("below").set_tag("k", 1);
        }
    }

    thread_local! {
        static FIRST: RefCell<Option<Holds>> = const { RefCell::new(None) };
        static LAST: RefCell<Option<Holds>> = const { RefCell::new(None) };
    }

    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let some = |count: usize| (0..count).map(|_| tracer.start_span("buffered")).collect::<Vec<_>>();
    let (first, last, used) = (some(100), some(100), some(200));
    let holds = [first, last].map(|spans| Holds(spans, tracer.clone()));
    thread::spawn(move || {
        let [first, last] = holds;
        FIRST.set(Some(first));
        drop(used);
        let span = last.1.start_span("active for ever");
        std::mem::forget(span.activate());
        LAST.set(Some(last));
    })
    .join()
    .unwrap();
    assert_eq!((memory.len(), tracer.stats().open), (405, 0));
}
