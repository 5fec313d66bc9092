//! Unfinished spans: which are listed, which are only counted, and the log lines of the close.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Configuration, ManualClock, Observer, OpenSpans, Span, SpanFinish, SpanId, SpanObserver,
    SpanOptions, StartSpanOptions, Tracer, TracerBuilder,
};

fn watching(limit: usize) -> TracerBuilder {
    crate::support::builder().null_reporter().track_open_spans(limit)
}

fn names(open: &OpenSpans) -> Vec<&str> {
    open.spans.iter().map(|span| &*span.operation_name).collect()
}

#[test]
fn spans_of_several_threads_are_listed_with_name_ids_and_age_the_oldest_first() {
    let clock = Arc::new(ManualClock::new());
    let (tracer, _closer) = watching(10).clock(Arc::clone(&clock)).build().unwrap();
    let mut spans = Vec::new();
    for name in ["first", "second", "third"] {
        let start = || tracer.span(name).start();
        spans.push(thread::scope(|scope| scope.spawn(start).join().unwrap()));
        clock.advance(Duration::from_secs(1));
    }
    let open = tracer.open_spans();
    assert_eq!((names(&open), open.not_listed), (vec!["first", "second", "third"], 0));
    for ((span, reported), age) in spans.iter().zip(&open.spans).zip([3, 2, 1]) {
        let context = span.context();
        assert_eq!((reported.trace_id, reported.span_id), (context.trace_id(), context.span_id()));
        assert_eq!((reported.age, reported.is_sampled), (Duration::from_secs(age), true));
    }
}

#[test]
fn a_start_that_was_given_counts_for_the_age_and_the_order() {
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(100));
    let (tracer, _closer) = watching(10).clock(Arc::clone(&clock)).build().unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let _now = tracer.start_span("now");
    let _ahead = tracer.span("ahead").start_time(at(500)).start();
    let _past = tracer.span("past").start_time(at(60)).start();
    let open = tracer.open_spans();
    assert_eq!(names(&open), ["past", "now", "ahead"]);
    let ages: Vec<_> = open.spans.iter().map(|span| span.age.as_secs()).collect();
    assert_eq!(ages, [40, 0, 0]);
    let starts: Vec<_> = open.spans.iter().map(|span| span.start_time).collect();
    assert_eq!(starts, [60, 100, 500].map(at));
}

#[test]
fn a_span_is_listed_until_it_is_finished_or_its_last_handle_is_dropped() {
    let (tracer, _closer) = watching(10).build().unwrap();
    let finished = tracer.start_span("finished");
    let dropped = tracer.start_span("dropped");
    let other = dropped.clone();
    let last = tracer.start_span("last");
    finished.finish();
    assert_eq!(names(&tracer.open_spans()), ["dropped", "last"]);
    finished.finish();
    finished.set_operation_name("late");
    drop(dropped);
    assert_eq!(names(&tracer.open_spans()), ["dropped", "last"]);
    drop(other);
    assert_eq!(names(&tracer.open_spans()), ["last"]);
    last.finish_at(SystemTime::now());
    assert!(tracer.open_spans().is_empty());
    assert!(tracer.stats().is_balanced());
}

#[test]
fn a_span_is_listed_by_the_name_it_has_now() {
    let (tracer, _closer) = watching(1).build().unwrap();
    let span = tracer.start_span("before");
    let counted = tracer.start_span("counted");
    counted.set_operation_name("still only counted");
    span.set_operation_name("after".to_owned());
    assert_eq!(names(&tracer.open_spans()), ["after"]);
    assert_eq!(span.context().span_id(), tracer.open_spans().spans[0].span_id);
}

#[test]
fn spans_over_the_limit_are_counted_and_slots_are_reused() {
    let (tracer, _closer) = watching(3).build().unwrap();
    let mut spans: Vec<_> = (0..5).map(|_| tracer.start_span("op")).collect();
    let read = || {
        let open = tracer.open_spans();
        (open.spans.len(), open.not_listed, open.total())
    };
    assert_eq!(read(), (3, 2, 5));
    // One of those that are only counted goes, then one of those that are listed.
    drop(spans.pop());
    assert_eq!(read(), (3, 1, 4));
    drop(spans.remove(0));
    assert_eq!(read(), (2, 1, 3), "the one that had no room does not move up");
    spans.push(tracer.start_span("next"));
    assert_eq!(read(), (3, 1, 4), "but the place is free for the next one");
    spans.clear();
    assert_eq!(read(), (0, 0, 0));
}

#[test]
fn a_storm_on_several_threads_leaves_no_span_on_the_list() {
    let (tracer, closer) = watching(16).build().unwrap();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2000 {
                    let root = tracer.start_span("root");
                    let children: Vec<_> =
                        (0..10).map(|_| tracer.span("child").child_of(&root).start()).collect();
                    root.set_operation_name("renamed");
                    let open = tracer.open_spans();
                    assert!(open.spans.len() <= 16 && open.total() <= 44, "{}", open.total());
                    drop((children, root));
                }
            });
        }
    });
    assert!(tracer.open_spans().is_empty());
    let report = closer.close(crate::support::SOON);
    assert_eq!((report.stats.finished, report.stats.open), (4 * 2000 * 11, 0));
}

#[test]
fn spans_that_are_not_sampled_are_listed_too_and_show_when_they_are_forced() {
    let (tracer, closer) = watching(10).sampler(ConstSampler::new(false)).build().unwrap();
    let root = tracer.start_span("root");
    let child = tracer.span("child").child_of(&root).tag("key", 1).start();
    let sampled = || tracer.open_spans().spans.iter().map(|s| s.is_sampled).collect::<Vec<_>>();
    assert_eq!(sampled(), [false, false]);
    child.set_tag("sampling.priority", 1);
    assert_eq!(sampled(), [true, true]);
    child.set_tag("sampling.priority", 0);
    drop((root, child));
    let stats = closer.close(crate::support::SOON).stats;
    assert_eq!((stats.started, stats.not_sampled, stats.open), (2, 2, 0));
}

/// Leaves three spans open, one renamed, and ends the tracer.
fn leave_open(end: impl FnOnce(jaeger_client::Closer)) -> Vec<String> {
    let clock = Arc::new(ManualClock::new());
    let log = crate::support::memory_logger();
    let builder = watching(2).clock(Arc::clone(&clock)).logger(Arc::clone(&log));
    let (tracer, closer) = builder.build().unwrap();
    let charge = tracer.start_span("GET");
    charge.set_operation_name("charge\n");
    clock.advance(Duration::from_millis(12_250));
    let _store = tracer.start_span("store");
    let _counted = tracer.start_span("counted");
    tracer.start_span("finished").finish();
    clock.advance(Duration::from_millis(50));
    end(closer);
    log.all()
}

#[test]
fn the_close_logs_once_which_spans_were_never_finished() {
    let reported = ["3 spans were never finished: charge\\n (12.3 s), store (0.1 s) and 1 more"];
    let closed = leave_open(|closer| {
        let _ = closer.close(crate::support::SOON);
    });
    assert_eq!(closed, reported);
    assert_eq!(leave_open(drop), reported);
}

#[test]
fn the_report_at_close_is_bounded_and_absent_where_all_spans_are_finished() {
    let close = |count: usize| {
        let log = crate::support::memory_logger();
        let (tracer, closer) = watching(1000).logger(Arc::clone(&log)).build().unwrap();
        let long = "n".repeat(10_000);
        let spans: Vec<_> = (0..count).map(|_| tracer.start_span(long.clone())).collect();
        let _ = closer.close(crate::support::SOON);
        drop(spans);
        // Spans that were finished after the close may be logged as well.
        log.all().into_iter().filter(|line| line.contains("never")).collect::<Vec<_>>()
    };
    assert!(close(0).is_empty());
    assert!(close(1)[0].starts_with("1 span was never finished: nnn"));
    assert!(!close(10)[0].contains("more"));
    let messages = close(500);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].starts_with("500 spans were never finished: n"), "{messages:?}");
    assert!(messages[0].ends_with(" and 490 more") && messages[0].len() < 1000, "{messages:?}");
}

#[test]
fn nothing_is_listed_or_logged_by_a_tracer_that_does_not_track_open_spans() {
    let log = crate::support::memory_logger();
    let (tracer, closer) = watching(0).logger(Arc::clone(&log)).build().unwrap();
    let _span = tracer.start_span("op");
    let open = tracer.open_spans();
    assert!(open.is_empty() && open.spans.is_empty() && open.not_listed == 0);
    let _ = closer.close(crate::support::SOON);
    assert!(log.all().is_empty(), "{:?}", log.all());
}

#[test]
fn a_configuration_says_how_many_are_listed() {
    let open = |track_open_spans| {
        let spans = SpanOptions { track_open_spans, ..SpanOptions::default() };
        let configuration = Configuration { spans, ..Configuration::new("svc") };
        let (tracer, _closer) =
            configuration.new_tracer_with(|builder| builder.null_reporter()).unwrap();
        let _spans = [tracer.start_span("one"), tracer.start_span("two")];
        let open = tracer.open_spans();
        (open.spans.len(), open.not_listed)
    };
    assert_eq!((open(0), open(1), open(2)), ((0, 0), (1, 1), (2, 0)));
}

/// An observer that starts a span in each call, renames the observed span, and reads the list.
#[derive(Clone, Debug, Default)]
struct Busy {
    tracer: Arc<std::sync::OnceLock<Tracer>>,
    ends: Arc<AtomicUsize>,
    seen: Arc<AtomicUsize>,
}

impl Observer for Busy {
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        span.set_operation_name(format!("{operation}, seen"));
        let within = self.tracer.get().map(|tracer| tracer.start_span("within"));
        let open = self.tracer.get().map(Tracer::open_spans).unwrap_or_default();
        self.seen.fetch_add(usize::from(names(&open).contains(&"within")), Ordering::Relaxed);
        drop(within);
        if operation == "short" {
            span.finish();
        }
        Some(Box::new(self.clone()))
    }
}

impl SpanObserver for Busy {
    fn on_finish(&self, span: &Span, _finish: &SpanFinish) {
        span.set_operation_name("over");
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn spans_are_listed_beside_an_observer_and_whatever_it_does() {
    let busy = Busy::default();
    let (tracer, closer) = watching(10).observer(busy.clone()).build().unwrap();
    busy.tracer.set(tracer.clone()).unwrap();
    let span = tracer.start_span("long");
    let short = tracer.start_span("short");
    assert_eq!(names(&tracer.open_spans()), ["long, seen"]);
    span.set_operation_name("longer");
    assert_eq!(names(&tracer.open_spans()), ["longer"]);
    assert_eq!(busy.seen.load(Ordering::Relaxed), 2, "spans that observers start are listed");
    drop((span, short));
    assert!(tracer.open_spans().is_empty());
    assert_eq!(busy.ends.load(Ordering::Relaxed), 2);
    drop(busy);
    assert_eq!(closer.close(crate::support::SOON).stats.open, 0);
}

#[test]
fn a_span_that_came_from_another_process_is_listed_by_its_own_ids() {
    let (tracer, _closer) = watching(10).build().unwrap();
    let theirs = tracer.start_span("theirs").context();
    let remote =
        jaeger_client::SpanContext::new(theirs.trace_id(), SpanId::new(7), SpanId::NONE, 0);
    let _itself = tracer.span("itself").self_reference(remote.clone()).start();
    let _child = tracer.span("child").child_of(remote).start();
    let open = tracer.open_spans();
    assert_eq!(names(&open), ["itself", "child"]);
    assert_eq!(open.spans[0].span_id, SpanId::new(7));
    assert!(open.spans.iter().all(|span| span.trace_id == theirs.trace_id() && !span.is_sampled));
}
