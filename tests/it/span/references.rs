//! What a span is and does: references, flags, baggage, the end, and being active across threads
//! and tasks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::memory_logger;
use crate::support::read::{Span as Finished, Value, finished};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Closer, InMemoryReporter, NullLogger, Span, SpanContext, SpanId, TraceFutureExt, TraceId,
    Tracer, wrap,
};

fn with_sampling(on: bool) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").logger(NullLogger);
    let (tracer, closer) =
        builder.sampler(ConstSampler::new(on)).in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

fn context(trace: u64, span: u64, flags: u8) -> SpanContext {
    SpanContext::new(TraceId::new(0, trace), SpanId::new(span), SpanId::NONE, flags)
}

fn only(memory: &InMemoryReporter) -> Finished {
    let spans = finished(memory);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.into_iter().next().unwrap()
}

#[test]
fn references_stay_in_order_and_the_first_child_of_is_the_parent() {
    let (tracer, _closer, memory) = with_sampling(false);
    let (a, b, c) = (context(1, 11, 1), context(2, 12, 1), context(3, 13, 1));
    tracer.span("op").follows_from(&a).child_of(&b).child_of(c).start().finish();
    let span = only(&memory);
    assert_eq!((span.trace, span.parent), ((0, 2), 12));
    assert_eq!(span.references, [(true, (0, 1), 11), (false, (0, 2), 12), (false, (0, 3), 13)]);
    assert!(span.id != 12 && span.id != 0);
}

#[test]
fn with_only_follows_from_the_last_is_the_parent() {
    let (tracer, _closer, memory) = with_sampling(false);
    tracer
        .span("op")
        .follows_from(context(1, 11, 1))
        .follows_from(context(2, 12, 1))
        .start()
        .finish();
    let span = only(&memory);
    assert_eq!((span.trace, span.parent), ((0, 2), 12));
    assert_eq!(span.references, [(true, (0, 1), 11), (true, (0, 2), 12)]);
}

#[test]
fn references_to_nothing_begin_a_new_trace() {
    let (tracer, _closer, memory) = with_sampling(true);
    tracer.span("a").child_of(SpanContext::default()).start().finish();
    tracer.span("b").child_of(None::<SpanContext>).start().finish();
    for span in finished(&memory) {
        assert_eq!((span.parent, span.references.len()), (0, 0));
        assert_eq!(span.trace, (0, span.id));
    }
}

#[test]
fn a_self_reference_takes_the_context_as_it_is() {
    let (tracer, _closer, memory) = with_sampling(false);
    let given = SpanContext::new(TraceId::new(9, 1), SpanId::new(2), SpanId::new(3), 0x21);
    let span = tracer.span("op").self_reference(given.with_baggage_item("k", "v")).start();
    assert_eq!(span.context().to_string(), given.to_string());
    assert_eq!(span.baggage_item("k").as_deref(), Some("v"));
    span.finish();
    let span = only(&memory);
    assert_eq!((span.trace, span.id, span.parent, span.flags), ((9, 1), 2, 3, 0x21));
    assert!(span.references.is_empty() && span.tags.is_empty(), "no sampler was asked");
}

#[test]
fn no_sampler_is_called_for_a_context_made_by_hand() {
    let (tracer, _closer, memory) = with_sampling(true);
    for flags in [0, 1] {
        let itself = tracer.span("itself").self_reference(context(1, 2, flags)).start();
        let child = tracer.span("child").child_of(context(1, 2, flags)).start();
        assert_eq!((itself.context().flags(), child.context().flags()), (flags, flags));
    }
    let spans = finished(&memory);
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.tags.is_empty()), "no sampler's tags: {spans:?}");
}

#[test]
fn spans_that_join_one_remote_context_do_not_change_one_another() {
    let (tracer, _closer, memory) = with_sampling(true);
    let carrier = HashMap::from([("uber-trace-id", "a:b:c:0")]);
    let remote = tracer.extract(&carrier).unwrap();
    let start = |name: &'static str| tracer.span(name).child_of(&remote).start();
    let (forced, other) = (start("forced"), start("other"));
    forced.set_tag("sampling.priority", 1);
    assert_eq!((remote.flags(), other.context().flags()), (0, 0));
    drop((other, forced));
    assert_eq!(only(&memory).name, "forced");
}

#[test]
fn a_parent_with_baggage_alone_gives_it_to_a_new_trace() {
    let (tracer, _closer, memory) = with_sampling(true);
    let baggage = SpanContext::default().with_baggage_item("who", "me");
    let span = tracer.span("op").child_of(&baggage).follows_from(context(5, 6, 1)).start();
    assert_eq!(span.baggage_item("who").as_deref(), Some("me"));
    span.finish();
    let span = only(&memory);
    assert_eq!((span.parent, span.trace), (0, (0, span.id)), "it is the parent all the same");
    assert_eq!(span.references, [(true, (0, 5), 6)], "but no span to refer to");
}

#[test]
fn a_debug_id_forces_the_trace_and_is_reported_in_a_tag() {
    let (tracer, _closer, memory) = with_sampling(false);
    let carrier = HashMap::from([("jaeger-debug-id", "ticket 42")]);
    let context = tracer.extract(&carrier).unwrap();
    assert_eq!((context.debug_id(), context.is_valid()), (Some("ticket 42"), false));
    let span = tracer.span("op").child_of(context).start();
    assert!(span.context().is_debug() && span.is_sampled());
    span.finish();
    let span = only(&memory);
    assert_eq!((span.flags, span.parent), (3, 0));
    assert_eq!(span.tag("jaeger-debug-id"), Some(&"ticket 42".into()));
}

#[test]
fn a_priority_of_any_kind_of_number_forces_recording() {
    let (tracer, _closer, memory) = with_sampling(false);
    tracer.span("i").tag("sampling.priority", 1_i64).tag("before", 1).start().finish();
    tracer.span("u").tag("before", 1).tag("sampling.priority", 1_u64).start().finish();
    tracer.span("f").tag("sampling.priority", 0.5).start().finish();
    let late = tracer.start_span("late");
    late.set_tag("lost", 1).set_tag("sampling.priority", 1).set_tag("kept", 1).finish();
    tracer.span("text").tag("sampling.priority", "1").start().finish();
    tracer.span("boolean").tag("sampling.priority", true).start().finish();
    let spans = finished(&memory);
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.flags)).collect();
    assert_eq!(names, [("i", 3), ("u", 3), ("f", 3), ("late", 3)]);
    assert!(spans[..2].iter().all(|span| span.tag("before").is_some()), "{spans:?}");
    let keys: Vec<_> = spans[3].tags.iter().map(|tag| tag.0.as_str()).collect();
    assert_eq!(keys, ["sampling.priority", "kept"]);
}

#[test]
fn a_child_that_forces_recording_saves_its_parent_too() {
    let (tracer, _closer, memory) = with_sampling(false);
    let parent = tracer.start_span("parent");
    let child = tracer.span("child").child_of(&parent).tag("sampling.priority", 1).start();
    assert!(parent.is_sampled() && parent.context().flags() == 3);
    child.finish();
    parent.finish();
    let spans = finished(&memory);
    assert_eq!(spans.len(), 2);
    assert!(spans[1].start > 1_500_000_000_000_000 && spans[1].duration >= 0, "{:?}", spans[1]);
}

#[test]
fn a_context_that_was_read_before_recording_was_forced_shows_it_and_so_do_its_children() {
    let (tracer, _closer, memory) = with_sampling(false);
    let root = tracer.start_span("root");
    let (first, second) = (root.context(), root.context());
    assert!(!first.is_sampled() && first == second);
    root.set_tag("sampling.priority", 1);
    assert!(first.is_sampled() && second.is_sampled() && root.context().is_sampled());
    tracer.span("child").child_of(&first).start().finish();
    drop(root);
    let names: Vec<_> = finished(&memory).into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["child", "root"]);
}

#[test]
fn a_child_that_knows_the_context_of_its_parent_alone_saves_its_parent() {
    let (tracer, _closer, memory) = with_sampling(false);
    let root = tracer.start_span("root");
    let child = tracer.span("child").child_of(root.context()).start();
    child.set_tag("sampling.priority", 1);
    assert!(root.context().is_sampled());
    // The parent had no record when its trace was forced.
    root.set_tag("late", true);
    drop((child, root));
    let names: Vec<_> = finished(&memory).into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["child", "root"]);
}

#[test]
fn a_context_that_outlives_its_span_is_not_changed_by_the_spans_after_it() {
    let (tracer, closer, _memory) = with_sampling(false);
    let outliving: Vec<_> = (0..3).map(|_| tracer.start_span("before").context()).collect();
    for n in 0..20 {
        let span = tracer.start_span("after");
        let context = span.context();
        if n % 2 == 0 {
            span.set_tag("sampling.priority", 1);
        }
        assert_eq!(context.is_sampled(), n % 2 == 0, "span {n}");
    }
    assert!(outliving.iter().all(|context| !context.is_sampled()));
    let stats = closer.close(std::time::Duration::from_secs(5)).stats;
    assert_eq!((stats.started, stats.sent, stats.not_sampled), (23, 10, 13));
}

#[test]
fn a_priority_of_zero_stops_recording_and_debugging() {
    let (tracer, _closer, memory) = with_sampling(true);
    let parent = tracer.span("parent").tag("sampling.priority", 1).start();
    assert_eq!(parent.context().flags(), 3);
    let child = tracer.span("child").child_of(&parent).start();
    child.set_tag("sampling.priority", 0);
    assert_eq!((parent.context().flags(), parent.is_sampled()), (0, false));
    child.finish();
    parent.finish();
    assert!(memory.is_empty());
    assert_eq!(tracer.stats().not_sampled, 2);
}

#[test]
fn a_trace_whose_recording_was_forced_is_not_debugged_where_that_is_not_wanted() {
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").sampler(ConstSampler::new(false));
    let builder = builder.no_debug_flag_on_forced_sampling(true).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let span = tracer.start_span("op");
    span.set_tag("sampling.priority", 1);
    assert!(span.is_sampled() && !span.context().is_debug());
    span.finish();
    tracer.span("from the start").tag("sampling.priority", 1).start().finish();
    let carrier = HashMap::from([("jaeger-debug-id", "ticket 42")]);
    let requested = tracer.span("op").child_of(tracer.extract(&carrier).unwrap()).start();
    assert_eq!(requested.context().flags(), 3, "a debug id is not a priority");
    requested.finish();
    assert_eq!(finished(&memory).iter().map(|span| span.flags).collect::<Vec<_>>(), [1, 1, 3]);
}

#[test]
fn firehose_holds_for_all_of_the_trace_from_when_it_was_enabled() {
    for (on, flags) in [(true, 9), (false, 8)] {
        let (tracer, _closer, memory) = with_sampling(on);
        let parent = tracer.start_span("parent");
        let early = tracer.span("early").child_of(&parent).start();
        early.enable_firehose();
        let late = tracer.span("late").child_of(&parent).start();
        for span in [&parent, &early, &late] {
            assert!(span.context().is_firehose() && span.context().flags() == flags);
        }
        let mut carrier = HashMap::new();
        tracer.inject(&late.context(), &mut carrier);
        assert!(carrier["uber-trace-id"].ends_with(&format!(":{flags}")), "{carrier:?}");
        drop((parent, early, late));
        assert!(finished(&memory).iter().all(|span| span.flags == 9));
        assert_eq!(memory.len(), if on { 3 } else { 0 });
    }
    let (tracer, _closer, _memory) = with_sampling(true);
    let span = tracer.start_span("over");
    span.finish();
    span.enable_firehose();
    assert_eq!((span.context().flags(), tracer.stats().misused), (1, 1));
}

#[test]
fn tags_set_before_a_start_that_stops_recording_are_discarded() {
    let (tracer, _closer, memory) = with_sampling(true);
    let span = tracer.span("op").tag("k", 1).tag("sampling.priority", 0).start();
    span.set_tag("lost", 1).set_tag("sampling.priority", 1).set_tag("kept", 1).finish();
    let keys: Vec<_> = only(&memory).tags.into_iter().map(|tag| tag.0).collect();
    assert_eq!(keys, ["sampling.priority", "kept"]);
}

#[test]
fn calls_after_the_end_do_nothing_and_are_counted() {
    let memory = InMemoryReporter::new();
    let logger = memory_logger();
    let builder = Tracer::builder("svc").logger(Arc::clone(&logger)).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let span = tracer.start_span("op");
    span.finish();
    span.set_tag("k", 1).log_event("e").set_operation_name("new").set_baggage_item("b", "v");
    span.finish();
    drop(span);
    let span = only(&memory);
    assert_eq!((span.name.as_str(), span.own_tags().len(), span.logs.len()), ("op", 0, 0));
    assert_eq!((tracer.stats().misused, tracer.stats().finished), (5, 1));
    assert_eq!(logger.all(), ["set_tag on a span after it was finished"], "once a minute");
}

#[test]
fn calls_after_the_end_of_an_unsampled_span_do_nothing_and_are_counted() {
    let builder = Tracer::builder("svc").sampler(ConstSampler::new(false)).logger(memory_logger());
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    let span = tracer.start_span("op");
    span.finish();
    span.finish();
    span.set_operation_name("new").set_baggage_item("b", "v").retain_trace();
    assert_eq!((&*span.operation_name(), span.baggage_item("b")), ("op", None));
    drop(span);
    let stats = tracer.stats();
    assert_eq!((stats.misused, stats.not_sampled, stats.finished), (4, 1, 1));
}

#[test]
fn the_last_handle_finishes_and_the_others_do_not() {
    let (tracer, _closer, memory) = with_sampling(true);
    let span = tracer.start_span("op");
    let (second, third) = (span.clone(), span.clone());
    drop(span);
    second.set_tag("k", "second");
    thread::spawn(move || drop(second)).join().unwrap();
    assert!(memory.is_empty() && tracer.stats().open == 1);
    drop(third);
    assert_eq!(only(&memory).tag("k"), Some(&"second".into()));
}

#[test]
fn handles_dropped_at_once_on_many_threads_finish_the_span_once() {
    let (tracer, _closer, memory) = with_sampling(true);
    let spans = 5_000;
    let first: Vec<_> = (0..spans).map(|_| tracer.start_span("op")).collect();
    let second = first.clone();
    let arrived = AtomicUsize::new(0);
    thread::scope(|scope| {
        for handles in [first, second] {
            let arrived = &arrived;
            scope.spawn(move || {
                for (n, handle) in handles.into_iter().enumerate() {
                    // In step, so that both ask at the same moment whether they are the last.
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let mut spins = 0_u32;
                    while arrived.load(Ordering::SeqCst) < 2 * (n + 1) {
                        std::hint::spin_loop();
                        spins += 1;
                        if spins.is_multiple_of(1_000) {
                            thread::yield_now();
                        }
                    }
                    drop(handle);
                }
            });
        }
    });
    assert_eq!((memory.len(), tracer.stats().open), (spans, 0));
}

#[test]
fn long_values_are_cut_between_characters_and_log_fields_are_not() {
    let (tracer, _closer, memory) = with_sampling(true);
    let text = format!("x{}", "ž".repeat(400));
    let span = tracer.span("jméno 🦀").tag("start", &text).tag("bytes", &[7_u8; 300]).start();
    span.set_tag("ключ", "значение").set_tag("later", &text).set_tag("empty", "");
    span.log(&[("stack", text.as_str().into())]);
    span.finish();
    let span = only(&memory);
    assert_eq!(span.name, "jméno 🦀");
    let cut = Value::Str(text[..255].to_owned());
    assert_eq!((span.tag("start"), span.tag("later")), (Some(&cut), Some(&cut)));
    assert_eq!(span.tag("bytes"), Some(&Value::Binary(vec![7; 256])));
    assert_eq!(span.tag("ключ"), Some(&"значение".into()));
    assert_eq!(span.tag("empty"), Some(&"".into()));
    assert_eq!(span.logs[0].fields, [("stack".to_owned(), Value::Str(text))]);
}

#[test]
fn baggage_goes_to_children_begun_later_and_is_logged() {
    let (tracer, _closer, memory) = with_sampling(true);
    let span = tracer.start_span("op");
    let early = tracer.span("early").child_of(&span).start();
    span.set_baggage_item("k", "1").set_baggage_item("k", &"é".repeat(1_500));
    let child = tracer.span("child").child_of(&span).start();
    assert_eq!(early.baggage_item("k"), None);
    assert_eq!(child.baggage_item("k").unwrap(), "é".repeat(1_024));
    span.set_baggage_item("k", "");
    assert_eq!((span.baggage_item("k"), child.baggage_item("k").is_some()), (None, true));
    assert_eq!(tracer.stats().baggage_limited, 1);
    drop((early, child));
    memory.reset();
    span.finish();
    let logs = only(&memory).logs;
    let keys = |n: usize| logs[n].fields.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(keys(0), ["event", "key", "value"]);
    assert_eq!(keys(1), ["event", "key", "value", "override", "truncated"]);
}

#[test]
fn the_active_span_of_another_tracer_is_no_parent() {
    let (first, _closer, _memory) = with_sampling(true);
    let (second, _closer_too, _memory_too) = with_sampling(true);
    let span = first.start_span("first");
    let _scope = span.activate();
    assert_eq!(second.start_span("second").context().parent_id(), SpanId::NONE);
    assert_eq!(first.start_span("child").context().parent_id(), span.context().span_id());
}

#[test]
fn the_active_span_comes_back_after_a_panic() {
    let (tracer, _closer, _memory) = with_sampling(true);
    let outer = tracer.start_span("outer");
    let _scope = outer.activate();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let inner = tracer.start_span("inner");
        let _scope = inner.activate();
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(caught.is_err());
    assert_eq!(active_id(), Some(outer.context().span_id()));
}

#[test]
fn a_wrapped_closure_has_the_span_on_another_thread() {
    let (tracer, _closer, _memory) = with_sampling(true);
    let span = tracer.start_span("op");
    let id = span.context().span_id();
    let scope = span.activate();
    let work = wrap(move || (active_id(), tracer.start_span("child").context().parent_id()));
    let plain = thread::spawn(active_id);
    drop(scope);
    assert_eq!(thread::spawn(work).join().unwrap(), (Some(id), id));
    assert_eq!(plain.join().unwrap(), None, "a thread inherits nothing by itself");
    assert_eq!(active_id(), None);
}

fn active_id() -> Option<SpanId> {
    Span::active().map(|span| span.context().span_id())
}

/// Starts a child now and then; each must be a child of the span given, on whichever thread.
fn busy(tracer: Tracer, n: u64) -> impl Future<Output = ()> {
    let span = tracer.start_span(format!("task-{n}"));
    let id = span.context().span_id();
    let work = async move {
        for round in 0..20 {
            assert_eq!(active_id(), Some(id));
            {
                let child = tracer.start_span("child");
                assert_eq!(child.context().parent_id(), id);
                let _scope = child.activate();
                assert_eq!(active_id(), Some(child.context().span_id()));
            }
            if !(n + round).is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            let nested = tracer.start_span("nested");
            let nested_id = nested.context().span_id();
            let inner = async {
                tokio::task::yield_now().await;
                active_id()
            };
            assert_eq!(inner.in_span(nested).await, Some(nested_id));
        }
    };
    work.in_span(span)
}

#[test]
fn every_task_sees_its_own_span_whatever_thread_it_is_polled_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let (tracer, _closer, memory) = with_sampling(true);
    let tasks: Vec<_> = (0..200).map(|n| runtime.spawn(busy(tracer.clone(), n))).collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(active_id(), None);
    });
    assert_eq!((memory.len(), tracer.stats().open), (200 * 41, 0));
}

#[test]
fn tasks_of_one_thread_see_their_own_spans_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (tracer, _closer, memory) = with_sampling(true);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let tasks: Vec<_> =
            (0..50).map(|n| tokio::task::spawn_local(busy(tracer.clone(), n))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!((memory.len(), active_id()), (50 * 41, None));
}

#[test]
fn a_cancelled_future_finishes_its_span_and_is_dropped_within_it() {
    struct RecordActiveAtDrop(Arc<std::sync::Mutex<Option<SpanId>>>);
    impl Drop for RecordActiveAtDrop {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = active_id();
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (tracer, _closer, memory) = with_sampling(true);
    let span = tracer.start_span("cancelled");
    let id = span.context().span_id();
    let seen = Arc::default();
    let recorder = RecordActiveAtDrop(Arc::clone(&seen));
    runtime.block_on(async {
        let work = async move {
            let _recorder = recorder;
            std::future::pending::<()>().await;
        };
        let mut work = Box::pin(work.in_span(span));
        let once = std::future::poll_fn(|cx| {
            assert!(work.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        });
        once.await;
        assert_eq!((active_id(), memory.len()), (None, 0));
        drop(work);
    });
    assert_eq!(*seen.lock().unwrap(), Some(id));
    assert_eq!((only(&memory).id, active_id()), (id.get(), None));
}

#[test]
fn a_spawned_task_gets_the_active_span_only_when_it_is_given() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (tracer, _closer, _memory) = with_sampling(true);
    let span = tracer.start_span("op");
    let id = span.context().span_id();
    let scope = span.activate();
    let given = runtime.spawn(async { active_id() }.in_active_span());
    let not_given = runtime.spawn(async { active_id() });
    drop(scope);
    let seen = runtime.block_on(async { (given.await.unwrap(), not_given.await.unwrap()) });
    assert_eq!(seen, (Some(id), None));
}
