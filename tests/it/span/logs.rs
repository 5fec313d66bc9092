//! How many logs a span keeps, which ones, and when they were made.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::agent::Agent;
use crate::support::read::{Log, Value, finished};
use jaeger_client::sampler::{ConstSampler, TagMatchingSampler};
use jaeger_client::{
    Closer, Configuration, FinishOptions, InMemoryReporter, LogRecord, ManualClock, ReporterConfig,
    Span, SpanOptions, Tracer,
};

fn with_max_logs(logs: usize) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().max_logs_per_span(logs).in_memory(&memory);
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, memory)
}

/// The logs of the one span there is.
fn logs(memory: &InMemoryReporter) -> Vec<Log> {
    let spans = finished(memory);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.into_iter().next().unwrap().logs
}

/// Logs by the text or the number of their first fields.
fn short(logs: &[Log]) -> Vec<String> {
    let shown = |log: &Log| match log.fields.as_slice() {
        [event, (key, Value::Long(count)), component] => {
            assert_eq!(event, &("event".to_owned(), "dropped Span logs".into()));
            assert_eq!(key, "dropped_log_count");
            assert_eq!(component, &("component".to_owned(), "jaeger-client".into()));
            format!("-{count}")
        }
        [(_, Value::Str(text)), ..] => text.clone(),
        other => panic!("{other:?}"),
    };
    logs.iter().map(shown).collect()
}

/// Returns what a list does that is overwritten from its middle on, log by log.
fn overwritten(max: usize, count: usize) -> Vec<String> {
    let name = |n: usize| format!("e{n}");
    if max == 0 || count <= max {
        return (0..count).map(name).collect();
    }
    let first = (max - 1) / 2;
    let dropped = count - max + 1;
    let last = (count - (max - first - 1)..count).map(name);
    (0..first).map(name).chain([format!("-{dropped}")]).chain(last).collect()
}

#[test]
fn the_first_and_the_last_logs_are_retained_and_one_counts_the_dropped_ones() {
    for max in 0..=9 {
        for count in (0..=2 * max + 3).chain([100]) {
            let (tracer, _closer, memory) = with_max_logs(max);
            let span = tracer.start_span("op");
            for n in 0..count {
                // Of different lengths, so that what is moved is not what was there.
                span.log(
                    &[("event", format!("e{n}").as_str().into()), ("x", n.into())][..1 + n % 2],
                );
            }
            span.finish();
            assert_eq!(short(&logs(&memory)), overwritten(max, count), "{count} of {max}");
        }
    }
}

#[test]
fn the_log_of_what_was_dropped_has_the_time_of_the_last_of_them() {
    let clock = Arc::new(ManualClock::new());
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().clock(Arc::clone(&clock)).max_logs_per_span(4);
    let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
    let span = tracer.start_span("op");
    for _ in 0..7 {
        clock.advance(Duration::from_millis(1));
        span.log_event("e");
    }
    drop(span);
    let span = finished(&memory).remove(0);
    let millis: Vec<_> = span.logs.iter().map(|log| (log.micros - span.start) / 1_000).collect();
    assert_eq!(millis, [1, 5, 6, 7], "the fifth was the last that a later one did not spare");
}

#[test]
fn logs_have_the_time_of_the_tracers_clock_by_every_method() {
    for max in [0, 2] {
        let clock = Arc::new(ManualClock::new());
        let memory = InMemoryReporter::new();
        let builder = crate::support::builder().clock(Arc::clone(&clock)).max_logs_per_span(max);
        let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
        let span = tracer.start_span("op");
        clock.advance(Duration::from_secs(3_600));
        span.log(&[("event", "late".into())]);
        span.set_baggage_item("k", "v");
        span.finish();
        let span = finished(&memory).remove(0);
        let after: Vec<_> = span.logs.iter().map(|log| log.micros - span.start).collect();
        assert_eq!((after, span.duration), (vec![3_600_000_000; 2], 3_600_000_000));
    }
}

#[test]
fn a_limit_from_a_configuration_holds() {
    let agent = Agent::start();
    let reporter =
        ReporterConfig { local_agent_host_port: agent.address(), ..ReporterConfig::default() };
    let spans = SpanOptions { max_logs_per_span: 3, ..SpanOptions::default() };
    let configuration = Configuration { reporter, spans, ..Configuration::new("svc") };
    let (tracer, closer) = configuration.new_tracer().unwrap();
    log_some(&tracer.start_span("op"), 10);
    assert!(closer.close(crate::support::SOON).complete);
    assert_eq!(short(&agent.spans(1)[0].logs), overwritten(3, 10));
}

#[test]
fn a_reused_record_has_no_dropped_logs_of_the_span_before() {
    let (tracer, _closer, memory) = with_max_logs(3);
    for count in [10, 2, 4, 0, 3] {
        // All take the same record, one after the other.
        let span = tracer.start_span("op");
        log_some(&span, count);
        drop(span);
        assert_eq!(short(&logs(&memory)), overwritten(3, count));
        memory.reset();
    }
}

fn log_some(span: &Span, count: usize) {
    for n in 0..count {
        span.log_event(format!("e{n}"));
    }
}

#[test]
fn logs_of_baggage_are_held_to_the_limit_too() {
    let (tracer, _closer, memory) = with_max_logs(2);
    let span = tracer.start_span("op");
    span.log_event("e0").set_baggage_item("a", "1").set_baggage_item("b", "2").finish();
    let logs = logs(&memory);
    assert_eq!(short(&logs[..1]), ["-2"]);
    assert_eq!(logs[1].fields[1], ("key".to_owned(), "b".into()));
}

#[test]
fn logs_made_before_the_decision_are_limited_and_retained() {
    let memory = InMemoryReporter::new();
    let sampler = TagMatchingSampler::new("tenant").matching("acme");
    let builder =
        crate::support::builder().sampler(sampler).max_logs_per_span(3).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let span = tracer.start_span("op");
    log_some(&span, 5);
    span.set_tag("tenant", "acme").log_event("e5").finish();
    assert_eq!(short(&logs(&memory)), overwritten(3, 6));
}

fn at(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

#[test]
fn logs_given_with_the_end_are_not_limited_and_keep_their_times() {
    for max in [0, 3] {
        let (tracer, _closer, memory) = with_max_logs(max);
        let span = tracer.span("op").start_time(at(1_000)).start();
        log_some(&span, 6);
        let fields = [[("event", "bulk1".into())], [("event", "bulk2".into())]];
        let records = [5, 7].map(at);
        let records: Vec<_> = records
            .into_iter()
            .zip(&fields)
            .map(|(timestamp, fields)| LogRecord { timestamp, fields })
            .collect();
        span.finish_with(FinishOptions { finish_time: Some(at(1_500)), log_records: &records });
        assert_eq!(finished(&memory)[0].duration, 500);
        let logs = logs(&memory);
        let (own, given) = logs.split_at(logs.len() - 2);
        assert_eq!(short(own), overwritten(max, 6));
        assert_eq!(short(given), ["bulk1", "bulk2"]);
        assert_eq!((given[0].micros, given[1].micros), (5, 7));
    }
}

#[test]
fn logs_given_with_the_end_need_a_span_that_is_sampled_and_not_over() {
    let record = LogRecord { timestamp: at(1), fields: &[("event", "given".into())] };
    let options = FinishOptions { log_records: &[record], ..FinishOptions::default() };
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().sampler(ConstSampler::new(false)).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    tracer.start_span("light").finish_with(options);
    let forced = tracer.start_span("forced");
    tracer.span("child").child_of(&forced).start().finish_with(options);
    assert_eq!((memory.len(), tracer.stats().not_sampled), (0, 2));
    forced.set_tag("sampling.priority", 1).finish_with(options);
    forced.finish_with(options);
    assert_eq!(short(&logs(&memory)), ["given"]);
    let stats = tracer.stats();
    assert_eq!((stats.finished, stats.misused, stats.is_balanced()), (3, 1, true), "{stats:?}");
}

#[test]
fn a_span_that_drops_logs_holds_no_more_memory_than_it_keeps_twice() {
    let (tracer, _closer, memory) = with_max_logs(20);
    let span = tracer.start_span("op");
    let text = "x".repeat(1_000);
    let used = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            span.log(&[("text", text.as_str().into())]);
        }
    });
    assert!((20_000..100_000).contains(&used.bytes_max), "{used:?}");
    span.finish();
    assert_eq!(logs(&memory).len(), 20);
}

#[test]
fn threads_that_log_to_one_span_lose_none_but_those_that_are_counted() {
    let (tracer, _closer, memory) = with_max_logs(10);
    let span = tracer.start_span("op");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| log_some(&span, 500));
        }
    });
    span.finish();
    let logs = logs(&memory);
    assert_eq!((logs.len(), short(&logs)[4].as_str()), (10, "-1991"));
}
