//! Starts and ends that are set on a live span, and what is called at its end.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Closer, InMemoryReporter, Observer, Span, SpanObserver, StartSpanOptions, TailSamplingConfig,
    Tracer, TracerBuilder,
};

use crate::support::{SOON, builder};

fn built(builder: TracerBuilder) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = builder.in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// Tracers whose spans end by each of the ways there are.
fn ways() -> Vec<(&'static str, TracerBuilder)> {
    let tail = TailSamplingConfig::default();
    vec![
        ("plain", builder()),
        ("listed", builder().track_open_spans(10)),
        ("few logs", builder().max_logs_per_span(2)),
        ("tail", builder().sampler(ConstSampler::new(false)).tail_sampling(tail)),
    ]
}

#[test]
fn start_and_end_of_a_live_span_are_what_was_set_however_it_is_finished() {
    for (way, builder) in ways() {
        let (tracer, closer, memory) = built(builder);
        let start = |name: &'static str| {
            let span = tracer.start_span(name);
            span.set_start_time(at(1)).set_finish_time(at(3)).set_tag("error", true);
            span
        };
        drop(start("dropped"));
        start("finished").finish();
        start("given").finish_at(at(6));
        let other = start("cloned");
        drop(other.clone());
        thread::spawn(move || drop(other)).join().unwrap();
        let moved = start("moved");
        let parent = tracer.start_span("parent");
        parent.set_tag("error", true);
        let restarted = moved.restart_as_child_of(&parent).unwrap();
        drop((restarted, moved, parent));
        assert_eq!(tracer.open_spans().spans.len(), 0, "{way}");
        let stats = closer.close(SOON).stats;
        assert!(stats.is_balanced() && stats.misused == 0, "{way}: {stats}");
        for (name, seconds) in
            [("dropped", 2), ("finished", 2), ("given", 5), ("cloned", 2), ("moved", 2)]
        {
            // Of one that was put below another parent, the last: where tails are sampled, its trace may
            // have been retained, and with it what it was before.
            let spans = memory.spans();
            let span = spans.iter().rfind(|span| span.operation_name() == name);
            let span = span.unwrap_or_else(|| panic!("{way}: {name}"));
            let times = (span.start_time(), span.duration());
            assert_eq!(times, (at(1), Duration::from_secs(seconds)), "{way}: {name}");
        }
    }
}

#[test]
fn times_out_of_range_are_clamped_to_those_that_servers_store() {
    let (tracer, _closer, memory) = built(builder());
    let span = tracer.start_span("before its start");
    span.set_start_time(at(5)).set_finish_time(at(3));
    drop(span);
    let span = tracer.start_span("before 1970");
    span.set_start_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    span.set_finish_time(at(0)).log_at(at(0), &[("event", "e".into())]);
    drop(span);
    assert_eq!(memory.find("before its start").unwrap().duration(), Duration::from_micros(1));
    assert_eq!(memory.find("before 1970").unwrap().start_time(), SystemTime::UNIX_EPOCH);
    assert_eq!(tracer.stats().clamped_times, 1);
    // The next span in the same record has nothing of it.
    let next = tracer.start_span("next");
    assert!(next.start_time().unwrap() > at(0));
    drop(next);
    assert!(memory.find("next").unwrap().finish_time() > at(0));
}

#[test]
fn an_open_span_is_listed_with_the_start_that_was_set() {
    let (tracer, _closer, _memory) = built(builder().track_open_spans(10));
    let (first, second) = (tracer.start_span("first"), tracer.start_span("second"));
    second.set_start_time(at(0));
    let open = tracer.open_spans().spans;
    let names: Vec<_> = open.iter().map(|span| span.operation_name.as_ref()).collect();
    assert_eq!((names, open[0].start_time), (vec!["second", "first"], at(0)));
    drop((first, second));
}

#[test]
fn times_of_a_span_that_is_finished_or_not_recorded_are_nothing() {
    let (tracer, _closer, memory) = built(builder().sampler(ConstSampler::new(false)));
    let span = tracer.start_span("unsampled");
    span.set_start_time(at(1)).set_finish_time(at(2));
    span.finish();
    assert_eq!((tracer.stats().misused, memory.len()), (0, 0));
    let (tracer, _closer, memory) = built(builder());
    let span = tracer.start_span("finished");
    span.finish();
    span.set_start_time(at(1)).set_finish_time(at(2));
    assert_eq!(tracer.stats().misused, 2);
    assert!(memory.spans()[0].start_time() > at(1000));
}

type Channel = (Sender<String>, Receiver<String>);

#[test]
fn the_end_is_called_back_once_whatever_ends_the_span_and_may_still_tag_it() {
    let mut ways = ways();
    ways.push(("unsampled", builder().sampler(ConstSampler::new(false))));
    for (way, builder) in ways {
        let (tracer, closer, memory) = built(builder);
        let (send, received): Channel = channel();
        let start = |name: &'static str| {
            let span = tracer.start_span(name);
            let send = send.clone();
            span.on_finish(move |span| {
                span.set_tag("late", 1);
                send.send(span.operation_name().into_owned()).unwrap();
            });
            span
        };
        drop(start("dropped"));
        let finished = start("finished");
        finished.finish();
        finished.finish();
        drop(finished);
        start("at").finish_at(at(0));
        let parent = start("parent");
        let child = parent.child("child");
        child.finish();
        thread::spawn(move || drop(parent)).join().unwrap();
        let names: Vec<_> = received.try_iter().collect();
        assert_eq!(names, ["dropped", "finished", "at", "parent"], "{way}");
        let stats = closer.close(SOON).stats;
        assert!(stats.is_balanced() && stats.open == 0 && stats.misused == 1, "{way}: {stats}");
        for span in memory.spans() {
            assert_eq!(span.tag("late").is_some(), span.operation_name() != "child", "{way}");
        }
        assert_eq!(memory.len(), if way == "unsampled" || way == "tail" { 0 } else { 5 }, "{way}");
    }
}

#[test]
fn several_callbacks_come_in_order_behind_observers_and_late_ones_are_misuse() {
    #[derive(Clone, Debug)]
    struct Adds(Arc<Mutex<Vec<&'static str>>>);
    impl Observer for Adds {
        fn on_start_span(
            &self,
            span: &Span,
            _operation: &str,
            _options: &StartSpanOptions<'_>,
        ) -> Option<Box<dyn SpanObserver>> {
            let order = Arc::clone(&self.0);
            span.on_finish(move |_| order.lock().unwrap().push("at the start"));
            Some(Box::new(self.clone()))
        }
    }
    impl SpanObserver for Adds {
        fn on_finish(&self, span: &Span, _finish: &jaeger_client::SpanFinish) {
            self.0.lock().unwrap().push("observer");
            let order = Arc::clone(&self.0);
            span.on_finish(move |_| order.lock().unwrap().push("too late"));
        }
    }
    let order = Arc::default();
    let (tracer, _closer, _memory) = built(builder().observer(Adds(Arc::clone(&order))));
    let span = tracer.start_span("op");
    for name in ["first", "second"] {
        let order = Arc::clone(&order);
        span.on_finish(move |_| order.lock().unwrap().push(name));
    }
    span.finish();
    let later = Arc::clone(&order);
    span.on_finish(move |_| later.lock().unwrap().push("after"));
    drop(span);
    assert_eq!(*order.lock().unwrap(), ["observer", "at the start", "first", "second"]);
    assert_eq!(Arc::strong_count(&order), 2, "those that were not called are dropped");
    assert_eq!(tracer.stats().misused, 2);

    let none = Span::none();
    let held = Arc::clone(&order);
    none.on_finish(move |_| held.lock().unwrap().push("none"));
    drop(none);
    assert_eq!((order.lock().unwrap().len(), Arc::strong_count(&order)), (4, 2));
}

#[test]
fn a_callback_is_called_once_or_dropped_whoever_finishes_at_the_same_moment() {
    let (tracer, closer, _memory) = built(builder());
    for _ in 0..200 {
        let span = tracer.start_span("op");
        let called = Arc::new(Mutex::new(0));
        let (start, counter) = (Arc::new(Barrier::new(2)), Arc::clone(&called));
        let (other, other_start) = (span.clone(), Arc::clone(&start));
        let finishing = thread::spawn(move || {
            other_start.wait();
            other.finish();
        });
        start.wait();
        span.on_finish(move |_| *counter.lock().unwrap() += 1);
        finishing.join().unwrap();
        drop(span);
        assert!(*called.lock().unwrap() <= 1);
        assert_eq!(Arc::strong_count(&called), 1, "it was called or dropped");
    }
    let stats = closer.close(SOON).stats;
    assert!(stats.is_balanced() && stats.finished == 200 && stats.sent == 200, "{stats}");
}
