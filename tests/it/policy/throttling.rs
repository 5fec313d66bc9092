//! Requests for debugging: what is asked, what a denial leaves, and what an agent can and cannot do.

#![cfg(feature = "remote-sampler")]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::read::finished;
use crate::support::strategies::{Strategies, StrategyResponse};
use crate::support::{SOON, eventually, fastest_of_three, memory_logger, timed};
use jaeger_client::policy::{DebugThrottler, RemoteThrottler};
use jaeger_client::propagation::{FORMATS, HeadersConfig};
use jaeger_client::sampler::{ConstSampler, RateLimitingSampler};
use jaeger_client::{
    Closer, Configuration, InMemoryReporter, ManualClock, NullLogger, Span, SpanContext, SpanId,
    ThrottlerConfig, TraceId, Tracer, TracerBuilder,
};

const OFTEN: Duration = Duration::from_millis(20);
/// How long a request to the agent may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(3600);

/// Says the same to everybody, and keeps for what it was asked.
#[derive(Debug)]
struct Says(bool, Mutex<Vec<String>>);

impl Says {
    fn new(allowed: bool) -> Arc<Self> {
        Arc::new(Self(allowed, Mutex::default()))
    }

    fn requested(&self) -> Vec<String> {
        self.1.lock().unwrap().clone()
    }
}

impl DebugThrottler for Says {
    fn is_allowed(&self, operation: &str) -> bool {
        self.1.lock().unwrap().push(operation.to_owned());
        self.0
    }
}

fn builder(samples: bool) -> (TracerBuilder, InMemoryReporter) {
    let reporter = InMemoryReporter::new();
    let builder = Tracer::builder("my svc")
        .tag("client-uuid", "the uuid")
        .sampler(ConstSampler::new(samples))
        .logger(NullLogger)
        .in_memory(&reporter);
    (builder, reporter)
}

fn with(
    samples: bool,
    throttler: impl DebugThrottler + 'static,
) -> (Tracer, Closer, InMemoryReporter) {
    let (builder, reporter) = builder(samples);
    let (tracer, closer) = builder.debug_throttler(throttler).build().unwrap();
    (tracer, closer, reporter)
}

fn debug_id(tracer: &Tracer) -> SpanContext {
    tracer.extract(&HashMap::from([("jaeger-debug-id", "ticket 42")])).unwrap()
}

/// Returns whether a span that is forced becomes a debugging one.
fn forced(tracer: &Tracer, operation: &'static str) -> bool {
    let span = tracer.start_span(operation);
    span.set_tag("sampling.priority", 1);
    span.context().is_debug()
}

fn remote(server: &Strategies, every: Duration, at_once: bool) -> Arc<RemoteThrottler> {
    let config = ThrottlerConfig {
        host_port: server.host_port(),
        refresh_interval: every,
        synchronous_initialization: at_once,
        ..ThrottlerConfig::default()
    };
    Arc::new(RemoteThrottler::new("my svc", &config).unwrap())
}

/// Runs a test whose agent has to respond to a poll on this thread within a second, which is the library's limit.
/// A loaded machine may give the agent no time within that second: then it is tried again.
#[track_caller]
fn with_an_agent_in_time(test: impl Fn()) {
    if !(0..9).any(|_| catch_unwind(AssertUnwindSafe(&test)).is_ok()) {
        test();
    }
}

fn balances(each: &[(&str, f64)]) -> String {
    let one = |(operation, balance): &(&str, f64)| {
        format!(r#"{{"operation":"{operation}","balance":{balance}}}"#)
    };
    format!(r#"{{"balances":[{}]}}"#, each.iter().map(one).collect::<Vec<_>>().join(","))
}

#[test]
fn a_forced_span_that_is_put_below_another_parent_needs_no_second_credit() {
    let allows = Says::new(true);
    let (tracer, _closer, reporter) = with(false, Arc::clone(&allows));
    let span = tracer.start_span("op");
    span.set_tag("sampling.priority", 1);
    let caller = SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::NONE, 0);
    let moved = span.restart_as_child_of(&caller).unwrap();
    assert!(moved.context().is_debug());
    moved.finish();
    assert_eq!((allows.requested(), reporter.len()), (vec!["op".to_owned()], 1));
}

#[test]
fn a_debug_id_that_is_denied_leaves_no_mark_and_the_sampler_decides() {
    let denies = Says::new(false);
    let (tracer, _closer, reporter) = with(true, Arc::clone(&denies));
    let span = tracer.span("op").child_of(debug_id(&tracer)).start();
    assert_eq!(span.context().flags(), 1);
    span.finish();
    let span = &finished(&reporter)[0];
    let keys: Vec<_> = span.tags.iter().map(|tag| tag.0.as_str()).collect();
    assert_eq!((keys, span.parent), (vec!["sampler.type", "sampler.param"], 0));
    assert_eq!(denies.requested(), ["op"]);

    let (tracer, _closer, reporter) = with(false, denies);
    let span = tracer.span("op").child_of(debug_id(&tracer)).start();
    span.set_tag("sampling.priority", 1);
    assert_eq!(span.context().flags(), 0);
    span.finish();
    assert!(reporter.is_empty());
    let stats = tracer.stats();
    assert_eq!((stats.not_sampled, stats.is_balanced()), (1, true), "{stats}");
}

#[test]
fn what_is_granted_is_as_without_a_throttler() {
    let grants = Says::new(true);
    let (tracer, _closer, reporter) = with(false, Arc::clone(&grants));
    tracer.span("by id").child_of(debug_id(&tracer)).start().finish();
    tracer.span("by tag").tag("sampling.priority", 1).start().finish();
    let spans = finished(&reporter);
    assert_eq!(spans.iter().map(|span| span.flags).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(spans[0].tag("jaeger-debug-id"), Some(&"ticket 42".into()));
    assert!(spans[1].tag("sampling.priority").is_some());
    assert_eq!(grants.requested(), ["by id", "by tag"]);
}

#[test]
fn a_priority_that_is_denied_is_ignored_and_not_stored() {
    let denies = Says::new(false);
    let (tracer, _closer, reporter) = with(true, Arc::clone(&denies));
    tracer.span("built").tag("sampling.priority", 1).tag("other", 1).start().finish();
    let span = tracer.start_span("plain");
    span.set_operation_name("renamed").set_tag("sampling.priority", 2.5).set_tag("other", 1);
    span.finish();
    for span in finished(&reporter) {
        assert_eq!(span.flags, 1, "{span:?}");
        assert!(span.tag("sampling.priority").is_none() && span.tag("other").is_some());
    }
    assert_eq!(denies.requested(), ["built", "renamed"]);
}

#[test]
fn the_throttler_is_not_called_without_a_request_for_debugging() {
    let denies = Says::new(false);
    let (tracer, _closer, _) = with(true, Arc::clone(&denies));
    let remote = tracer
        .extract(&HashMap::from([("uber-trace-id", "1:2:0:3"), ("jaeger-debug-id", "also")]))
        .unwrap();
    let child = tracer.span("child of a debugging span").child_of(remote).start();
    assert_eq!(child.context().flags(), 3, "what another process granted stands");
    let span = tracer.span("op").tag("sampling.priority", 0).start();
    assert!(!span.is_sampled(), "to stop recording needs no credit");
    span.set_tag("sampling.priority", "1").set_tag("sampling.priority", -1);
    span.finish();
    span.set_tag("sampling.priority", 1);
    assert_eq!(denies.requested(), [""; 0]);
    assert_eq!(tracer.stats().misused, 1);
}

#[test]
fn forcing_without_debugging_needs_no_credit() {
    let denies = Says::new(false);
    let (builder, reporter) = builder(false);
    let builder = builder.no_debug_flag_on_forced_sampling(true);
    let (tracer, _closer) = builder.debug_throttler(Arc::clone(&denies)).build().unwrap();
    tracer.span("op").tag("sampling.priority", 1).start().finish();
    assert_eq!(finished(&reporter)[0].flags, 1);
    assert_eq!(denies.requested(), [""; 0]);
    let span = tracer.span("op").child_of(debug_id(&tracer)).start();
    assert_eq!(span.context().flags(), 0, "a debug id still does");
}

#[test]
fn a_b3_debug_flag_without_a_trace_is_a_request_for_debugging_too() {
    let b3 = FORMATS.iter().find(|member| member.name == "b3").unwrap();
    for (allowed, flags) in [(true, 3), (false, 1)] {
        let throttler = Says::new(allowed);
        let (builder, _) = builder(true);
        let format = (b3.build)(&HeadersConfig::default());
        let (tracer, _closer) =
            builder.format(format).debug_throttler(Arc::clone(&throttler)).build().unwrap();
        let start = |headers: &[(&str, &str)]| {
            let carrier: HashMap<_, _> = headers.iter().copied().collect();
            tracer.span("op").child_of(tracer.extract(&carrier).ok()).start().context().flags()
        };
        assert_eq!(start(&[("x-b3-flags", "1")]), flags);
        assert_eq!(throttler.requested(), ["op"]);
        assert_eq!(start(&[("x-b3-sampled", "0")]), 0, "any other decision stands");
        assert_eq!(throttler.requested().len(), 1);
    }
}

#[derive(Debug)]
struct Panics;

impl DebugThrottler for Panics {
    fn is_allowed(&self, _operation: &str) -> bool {
        resume_unwind(Box::new("the throttler"))
    }

    fn close(&self) {
        resume_unwind(Box::new("the throttler"))
    }
}

#[test]
fn a_throttler_that_panics_has_denied_and_the_sums_hold() {
    let (builder, reporter) = builder(true);
    let log = memory_logger();
    let (tracer, closer) =
        builder.logger(Arc::clone(&log)).debug_throttler(Panics).build().unwrap();
    tracer.span("a").child_of(debug_id(&tracer)).start().finish();
    tracer.span("b").tag("sampling.priority", 1).start().finish();
    assert!(!forced(&tracer, "c"));
    let spans = finished(&reporter);
    assert_eq!(spans.iter().map(|span| span.flags).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(log.has("DebugThrottler::is_allowed panicked"), "{:?}", log.all());
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.sent, 3, "{report}");
}

/// Starts a span with the tracer that asks it, and reads the one it is asked about.
#[derive(Debug, Default)]
struct Traces(OnceLock<Tracer>);

impl DebugThrottler for Traces {
    fn is_allowed(&self, operation: &str) -> bool {
        self.0.get().unwrap().start_span("ask").set_tag("for", operation);
        if let Some(span) = Span::active() {
            span.set_tag("asked", true);
        }
        true
    }
}

#[test]
fn a_throttler_is_called_with_no_lock_held() {
    let throttler = Arc::new(Traces::default());
    let (tracer, _closer, reporter) = with(true, Arc::clone(&throttler));
    throttler.0.set(tracer.clone()).unwrap();
    let span = tracer.start_span("op");
    let scope = span.activate();
    span.set_tag("sampling.priority", 1);
    drop(scope);
    span.finish();
    let spans = finished(&reporter);
    assert_eq!((spans.len(), spans[1].flags), (2, 3));
    assert!(spans[1].tag("asked").is_some());
}

#[test]
fn an_operation_without_credit_is_polled_at_once() {
    with_an_agent_in_time(|| {
        let server = Strategies::start(&balances(&[("op", 2.0)]));
        let (tracer, _closer, _) = with(false, remote(&server, NEVER, true));
        assert!(forced(&tracer, "op") && forced(&tracer, "op"));
        assert_eq!(server.requested().len(), 1, "the second one is taken from the credit");
        server.set_body(&balances(&[("op", 1.0)]));
        assert!(forced(&tracer, "op"));
        server.set(StrategyResponse::Body(500, "no more".into()));
        assert!(!forced(&tracer, "op"));
        let line = "GET /credits?operations=op&service=my%20svc&uuid=the%20uuid HTTP/1.1";
        assert_eq!(server.requested(), [line; 3]);
        // As in Go, an agent without a response is not counted as having throttled.
        assert_eq!(tracer.throttled_debug_spans(), 0);
        let error = tracer.debug_throttler_updates().last_error.unwrap();
        assert!(error.contains("500"), "{error}");
    });
}

#[test]
fn less_than_one_credit_is_denied_without_another_poll() {
    with_an_agent_in_time(|| {
        let server = Strategies::start(&balances(&[("op", 0.5)]));
        let (tracer, _closer, _) = with(false, remote(&server, NEVER, true));
        assert!(!forced(&tracer, "op") && !forced(&tracer, "op"));
        assert_eq!((server.requested().len(), tracer.throttled_debug_spans()), (1, 2));
    });
}

#[test]
fn credit_for_another_operation_is_stored_for_it() {
    with_an_agent_in_time(|| {
        let server = Strategies::start(&balances(&[("other op", 3.0)]));
        let (tracer, _closer, _) = with(false, remote(&server, NEVER, true));
        assert!(!forced(&tracer, "op") && forced(&tracer, "other op"));
        assert_eq!((server.requested().len(), tracer.throttled_debug_spans()), (1, 1));
    });
}

#[test]
fn without_an_immediate_poll_credit_comes_with_the_next_refresh_and_adds_up() {
    let server = Strategies::start(&balances(&[]));
    let throttler = remote(&server, OFTEN, false);
    let (tracer, closer, _) = with(false, Arc::clone(&throttler));
    // Nobody asks while nothing is to be asked.
    thread::sleep(OFTEN * 3);
    assert_eq!(server.requested(), [""; 0]);
    assert!(!forced(&tracer, "b") && !forced(&tracer, "a b"));
    assert_eq!(tracer.throttled_debug_spans(), 2);
    let both = "GET /credits?operations=a%20b&operations=b&service=my%20svc&uuid=the%20uuid";
    eventually(|| server.requested().iter().any(|line| line.starts_with(both)));
    server.set_body(&balances(&[("b", 0.75)]));
    eventually(|| throttler.is_allowed("b"));
    assert!(!throttler.is_allowed("a b"));
    eventually(|| tracer.debug_throttler_updates().ok > 2);
    let _ = closer.close(SOON);
}

#[test]
fn invalid_responses_add_nothing_and_are_counted_and_logged() {
    let server = Strategies::start(&balances(&[("op", 2.0)]));
    let (throttler, log) = (remote(&server, OFTEN, false), memory_logger());
    let (builder, _) = builder(false);
    let (tracer, _closer) =
        builder.logger(Arc::clone(&log)).debug_throttler(Arc::clone(&throttler)).build().unwrap();
    assert!(!throttler.is_allowed("op"));
    eventually(|| throttler.updates().ok > 0);
    for response in [
        StrategyResponse::Body(404, "404 page not found".into()),
        StrategyResponse::Body(200, r#"{"strategyType":"PROBABILISTIC"}"#.into()),
        StrategyResponse::Body(200, r#"{"balances":[{"operation":"op","balance":"many"}]}"#.into()),
        StrategyResponse::Body(200, r#"{"balances":[{"operation":"op","balance":1e999}]}"#.into()),
        StrategyResponse::Endless(2 << 20),
    ] {
        server.set(response);
        // Two more, so that at least one was asked after the response had been put in.
        let before = throttler.updates().err;
        eventually(|| throttler.updates().err >= before + 2);
    }
    eventually(|| log.has("no debugging credits from http://127.0.0.1"));
    // What is owed, or more than anybody has, does no harm either.
    server.set_body(&balances(&[("op", -1e300), ("op", 1e300)]));
    let before = tracer.debug_throttler_updates().ok;
    eventually(|| tracer.debug_throttler_updates().ok >= before + 2);
    server.set(StrategyResponse::Silence);
    let before = server.requested().len();
    eventually(|| server.requested().len() > before);
    let granted = (0..5_000).filter(|_| throttler.is_allowed("op")).count();
    assert_eq!(granted, 1_000);
}

#[test]
fn an_agent_that_hangs_holds_up_one_span_for_a_second_and_no_other() {
    // A loaded machine may give this thread no time within that second: then it is tried again.
    assert!(
        (0..10).any(|_| others_go_on_beside_an_agent_that_hangs()),
        "other spans waited for the agent"
    );
}

/// Whether 20 spans were started while one waited for the agent, for which the agent had a second.
fn others_go_on_beside_an_agent_that_hangs() -> bool {
    let server = Strategies::start(&balances(&[("has credit", 1e9)]));
    let throttler = remote(&server, NEVER, true);
    let (tracer, closer, _) = with(false, Arc::clone(&throttler));
    assert!(forced(&tracer, "has credit"));
    server.set(StrategyResponse::Silence);
    let mut made = 0;
    thread::scope(|scope| {
        let buffered = scope.spawn(|| timed(|| forced(&tracer, "op")));
        eventually(|| server.requested().len() > 1);
        // No lock is held meanwhile: neither spans nor other requests for debugging wait.
        while made < 20 && !buffered.is_finished() {
            assert!(forced(&tracer, "has credit"));
            made += 1;
            thread::yield_now();
        }
        let (allowed, took) = buffered.join().unwrap();
        assert!(!allowed && took < SOON, "{took:?}");
    });
    // Once is enough: the next ones are denied without a request.
    assert!(!(0..100).any(|_| forced(&tracer, "op")));
    assert_eq!(server.requested().len(), 2);
    let (_, took) = timed(|| closer.close(SOON));
    assert!(took < SOON, "{took:?}");
    made == 20
}

#[test]
fn a_close_does_not_wait_for_a_request_in_flight_and_a_second_one_does_nothing() {
    let took = fastest_of_three(|| {
        let server = Strategies::start("");
        server.set(StrategyResponse::Silence);
        let throttler = remote(&server, OFTEN, false);
        let (_tracer, closer, _) = with(false, Arc::clone(&throttler));
        assert!(!throttler.is_allowed("op"));
        eventually(|| !server.requested().is_empty());
        let _ = closer.close(SOON);
        throttler.close();
        throttler.close();
        assert!(!throttler.is_allowed("op"));
    });
    assert!(took < FETCH_TIMEOUT, "{took:?}");
}

#[test]
fn polling_ends_when_the_last_tracer_is_closed() {
    with_an_agent_in_time(|| {
        let server = Strategies::start(&balances(&[("op", 1.0)]));
        let throttler = remote(&server, NEVER, true);
        assert!(!throttler.is_allowed("op"), "nor before the first one is built");
        assert_eq!(server.requested().len(), 0);
        let (_first, first, _) = with(false, Arc::clone(&throttler));
        let (_second, second, _) = with(false, Arc::clone(&throttler));
        let _ = first.close(SOON);
        assert!(throttler.is_allowed("op"));
        let _ = second.close(SOON);
        let requested = server.requested().len();
        assert!(!throttler.is_allowed("op"));
        assert_eq!(server.requested().len(), requested);
    });
}

#[test]
fn a_throttler_comes_from_configuration_too() {
    with_an_agent_in_time(|| {
        let server = Strategies::start(&balances(&[("op", 1.0)]));
        let throttler = ThrottlerConfig {
            host_port: server.host_port(),
            synchronous_initialization: true,
            ..ThrottlerConfig::default()
        };
        let configuration = Configuration {
            throttler: Some(throttler),
            sampler: jaeger_client::SamplerConfig {
                param: 0.0,
                ..jaeger_client::SamplerConfig::new("const")
            },
            ..Configuration::new("svc")
        };
        let (tracer, _closer) = configuration.new_tracer().unwrap();
        assert!(forced(&tracer, "op"));
        assert!(server.requested()[0].starts_with("GET /credits?operations=op&service=svc&uuid="));

        let nowhere = ThrottlerConfig { host_port: String::new(), ..ThrottlerConfig::default() };
        let configuration = Configuration { throttler: Some(nowhere), ..Configuration::new("svc") };
        let error = configuration.new_tracer().map(drop).unwrap_err().to_string();
        assert!(error.contains("throttler.host_port"), "{error}");
    });
}

#[test]
fn forced_traces_are_among_those_that_a_rate_limit_allows_as_in_go() {
    type Force = fn(&Tracer) -> Span;
    let ways: [(&str, Force); 4] = [
        ("at the start", |tracer| tracer.span("op").tag("sampling.priority", 1).start()),
        ("later", |tracer| {
            let span = tracer.start_span("op");
            span.set_tag("sampling.priority", 1);
            span
        }),
        ("by a debug id", |tracer| {
            let headers = HashMap::from([("jaeger-debug-id".to_owned(), "1".to_owned())]);
            tracer.span("op").child_of(tracer.extract(&headers).unwrap()).start()
        }),
        ("not at all", |tracer| tracer.span("op").tag("sampling.priority", 0).start()),
    ];
    for (way, force) in ways {
        let clock = Arc::new(ManualClock::new());
        let limit = RateLimitingSampler::new(5.0).unwrap();
        let builder =
            crate::support::builder().sampler(limit).clock(Arc::clone(&clock)).null_reporter();
        let (tracer, _closer) = builder.build().unwrap();
        for _ in 0..5 {
            assert_eq!(force(&tracer).is_sampled(), way != "not at all", "{way}");
        }
        assert!(
            !tracer.start_span("plain").is_sampled(),
            "{way}: the second's allowance is used up"
        );
        assert_eq!(
            force(&tracer).is_sampled(),
            way != "not at all",
            "{way}: it forces all the same"
        );
        clock.advance(Duration::from_millis(200));
        assert!(tracer.start_span("plain").is_sampled(), "{way}");
    }
}

#[test]
fn a_span_that_began_unrecorded_begins_where_its_trace_was_forced_first() {
    let (memory, clock) = (InMemoryReporter::new(), Arc::new(ManualClock::new()));
    let builder =
        crate::support::builder().sampler(ConstSampler::new(false)).clock(Arc::clone(&clock));
    let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
    let root = tracer.start_span("root");
    for child in ["first", "second", "third"] {
        clock.advance(Duration::from_secs(1));
        tracer.span(child).child_of(&root).tag("sampling.priority", 1).start().finish();
    }
    clock.advance(Duration::from_secs(1));
    root.finish();
    let root = &finished(&memory)[3];
    assert_eq!((root.start, root.duration), (1_000_000, 3_000_000));
}
