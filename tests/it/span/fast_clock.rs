//! The clock that reads the processor's counter, in a tracer.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use jaeger_client::{ClockSource, Destination, InMemoryReporter, Logger, ManualClock, Span};

use crate::support::{SOON, builder, eventually};

/// Whether the kernel takes its own time from the counter that programs can read.
fn is_trusted() -> bool {
    let counter = if cfg!(target_arch = "x86_64") { "tsc" } else { "arch_sys_counter" };
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    fs::read_to_string(source).is_ok_and(|name| name.trim() == counter)
}

/// Returns the log lines of a tracer about its clock.
#[derive(Debug, Default)]
struct ClockLines(Mutex<Vec<String>>);

impl ClockLines {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Logger for ClockLines {
    fn error(&self, _message: &str) {}

    fn info(&self, message: &str) {
        if let Some(clock) = message.strip_prefix("the tracer's clock is ") {
            self.0.lock().unwrap().push(clock.to_owned());
        }
    }
}

#[test]
fn the_clock_that_is_read_is_shown_and_logged() {
    let lines = Arc::new(ClockLines::default());
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder()
        .logger(Arc::clone(&lines))
        .fast_clock()
        .destination(Destination::in_memory(&memory))
        .add_destination(Destination::null())
        .build()
        .unwrap();
    eventually(|| !lines.all().is_empty());
    let messages = lines.all();
    if is_trusted() && messages[0] == "the processor's counter" {
        assert!(matches!(tracer.clock_source(), ClockSource::Counter | ClockSource::System));
    } else {
        assert_eq!(tracer.clock_source(), ClockSource::System);
        assert!(messages[0].starts_with("the system's: "), "{messages:?}");
    }
}

#[test]
fn only_who_chose_the_fast_clock_has_it() {
    let plain = builder().null_reporter().build().unwrap();
    let without_thread = builder().fast_clock().null_reporter().build().unwrap();
    let own = builder().fast_clock().clock(ManualClock::new()).null_reporter().build().unwrap();
    assert_eq!(plain.0.clock_source(), ClockSource::System);
    assert_eq!(without_thread.0.clock_source(), ClockSource::System);
    assert_eq!(own.0.clock_source(), ClockSource::Custom);
}

/// Starts a span here, logs on threads of their own, and finishes it on one more.
fn span_of_many_threads(span: Span) {
    let span = Arc::new(span);
    for _ in 0..3 {
        let logged = Arc::clone(&span);
        thread::spawn(move || {
            logged.log_event("on a thread");
        })
        .join()
        .unwrap();
        span.log_event("here");
    }
    thread::spawn(move || span.finish()).join().unwrap();
}

#[test]
fn logs_lie_within_their_span_on_whichever_threads_they_are_made() {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = builder()
        .fast_clock()
        .destination(Destination::in_memory(&memory))
        .add_destination(Destination::null())
        .build()
        .unwrap();
    let begin = SystemTime::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    span_of_many_threads(tracer.start_span("op"));
                }
            });
        }
    });
    let end = SystemTime::now();
    assert!(closer.close(SOON).complete);
    let micros = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_micros()).unwrap()
    };
    // The thread may lose the processor between the two clocks that an anchor is made of.
    let slack = i64::try_from(SOON.as_micros()).unwrap();
    let spans = memory.spans();
    assert_eq!(spans.len(), 400);
    for span in &spans {
        let span = span.view();
        let (start, duration) = (span.start_time_micros, span.duration_micros);
        assert!(duration >= 1);
        assert!(start >= micros(begin) - slack && start + duration <= micros(end) + slack);
        let mut before = start;
        for log in span.logs() {
            // Start and duration are rounded down to microseconds, each for itself.
            let at = log.timestamp_micros;
            assert!(at >= before && at <= start + duration + 1, "{at} in {start} + {duration}");
            before = at;
        }
    }
}
