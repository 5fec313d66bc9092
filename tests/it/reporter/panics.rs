//! Every method of every trait that users write, panicking: one rule holds for all of them, which the
//! page `jaeger_client::panics` states.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::SOON;
use crate::support::broken::{Broken, BrokenAtEnd, Carrier};
use jaeger_client::propagation::{Format, JaegerFormat};
use jaeger_client::sampler::{ConstSampler, PrioritySampler};
use jaeger_client::{
    AgentProtocol, Closer, ConfigError, Destination, ExtractError, HeadersConfig, IdGenerator,
    Stats, Tracer,
};

/// What takes the place of the responses, beside what holds for every method.
type Check = fn(&Life);

/// Everything that a tracer made of broken parts did.
struct Life {
    closed: Stats,
    reporters: Vec<u64>,
    debug: bool,
    injected: bool,
    extracted: Option<ExtractError>,
    baggage: bool,
    status: String,
}

fn build(broken: &Broken, in_a_list: bool) -> Result<(Tracer, Closer), ConfigError> {
    let builder = Tracer::builder("svc")
        .logger(broken.clone())
        .clock(broken.clone())
        .id_generator(broken.clone())
        .trace_id_128bit(true)
        .format(broken.clone())
        .baggage_restriction_manager(broken.clone())
        .debug_throttler(broken.clone())
        .observer(broken.clone())
        .observer(BrokenAtEnd(broken.clone()))
        .metrics(broken.clone())
        .rpc_metrics(true)
        .transport(broken.clone())
        .add_destination(Destination::reporter(broken.clone()))
        .add_destination(Destination::transport(broken.clone(), AgentProtocol::Binary))
        .flush_interval(Duration::from_millis(5))
        .shards(1);
    let builder = if in_a_list {
        let list = PrioritySampler::new().then(broken.clone()).then(ConstSampler::new(false));
        builder.sampler(list.build()?)
    } else {
        builder.sampler(broken.clone())
    };
    builder.build()
}

/// Uses a tracer in every way in which a callback is called.
fn live(broken: &Broken, tracer: &Tracer, closer: Closer) -> Life {
    let root = tracer.span("root").tag("a", 1).tag("span.kind", "server").start();
    root.set_tag("text", "t").set_tag("b", true).log_event("e").set_operation_name("renamed");
    root.set_baggage_item("k", "v");
    let finishing = broken.clone();
    root.on_finish(move |_| finishing.call("Span::on_finish"));
    let child = tracer.span("child").child_of(&root).start();
    child.set_tag("sampling.priority", 1).log_event("e").finish();
    let mut carrier = Carrier(broken, HashMap::new());
    tracer.inject(&root.context(), &mut carrier);
    let injected = carrier.1.contains_key("uber-trace-id");
    let extracted = tracer.extract(&carrier);
    tracer.span("served").child_of(extracted.as_ref().ok()).start().finish();
    let _ = tracer.span("debugged").child_of(debug_id()).start();
    // A span may end while a panic unwinds.
    let unwinds = catch_unwind(AssertUnwindSafe(|| {
        let _span = tracer.start_span("unwound");
        resume_unwind(Box::new("the application"));
    }));
    assert!(unwinds.is_err());
    let baggage = root.baggage_item("k").is_some();
    let status = tracer.sampler_status().to_string();
    let _ = (tracer.baggage_restriction_updates(), tracer.debug_throttler_updates());
    let _ = (tracer.throttled_debug_spans(), tracer.open_spans());
    let debug = root.context().is_debug();
    root.finish();
    assert!(tracer.flush(SOON).complete);
    let ticks = broken.calls("Transport::tick");
    crate::support::eventually(|| broken.calls("Transport::tick") > ticks);
    let closed = closer.close(SOON).stats;
    let reporters =
        tracer.destination_stats().iter().map(|stats| stats.dropped.send_failed).collect();
    let extracted = extracted.err();
    Life { closed, reporters, debug, injected, extracted, baggage, status }
}

fn debug_id() -> jaeger_client::SpanContext {
    let format = JaegerFormat::new(HeadersConfig::default());
    let carrier = HashMap::from([("jaeger-debug-id".to_owned(), "1".to_owned())]);
    format.extract(&carrier).unwrap().context
}

const NOTHING_MORE: Check = |_| {};

/// The methods, and what their row on the page says.
const WALK: &[(&str, Check)] = &[
    ("Sampler::on_create_span", NOTHING_MORE),
    ("Sampler::on_set_operation_name", NOTHING_MORE),
    ("Sampler::on_set_tag", NOTHING_MORE),
    ("Sampler::on_finish", NOTHING_MORE),
    ("Sampler::may_defer", NOTHING_MORE),
    ("Sampler::decides_on_join", NOTHING_MORE),
    ("Sampler::on_join", NOTHING_MORE),
    ("Sampler::status", |life| assert!(life.status.contains("unknown"), "{}", life.status)),
    ("Sampler::remote_counts", NOTHING_MORE),
    ("Sampler::close", NOTHING_MORE),
    ("Clock::monotonic_nanos", NOTHING_MORE),
    ("Clock::wall_nanos", NOTHING_MORE),
    ("IdGenerator::next", NOTHING_MORE),
    ("IdGenerator::next_high", NOTHING_MORE),
    ("Format::inject", |life| assert!(life.injected, "what was written before is there")),
    ("Format::extract", |life| assert_eq!(life.extracted, Some(ExtractError::Panicked))),
    ("InjectCarrier::set", |life| assert!(!life.injected)),
    ("InjectCarrier::kind", NOTHING_MORE),
    ("InjectCarrier::remove_if", |life| assert!(!life.injected)),
    ("ExtractCarrier::visit", |life| assert_eq!(life.extracted, Some(ExtractError::Panicked))),
    ("ExtractCarrier::kind", |life| assert_eq!(life.extracted, Some(ExtractError::Panicked))),
    ("BaggageRestrictionManager::restriction", |life| {
        assert!(!life.baggage && life.closed.baggage_limited == 1);
    }),
    ("BaggageRestrictionManager::close", NOTHING_MORE),
    ("BaggageRestrictionManager::updates", NOTHING_MORE),
    ("DebugThrottler::is_allowed", |life| assert!(!life.debug, "nobody was allowed to")),
    ("DebugThrottler::close", NOTHING_MORE),
    ("DebugThrottler::updates", NOTHING_MORE),
    ("DebugThrottler::throttled", NOTHING_MORE),
    ("Observer::on_start_span", |life| assert_eq!(life.closed.observer_panics, 5)),
    ("Observer::on_span_finished", |life| assert_eq!(life.closed.observer_panics, 5)),
    ("SpanObserver::on_set_operation_name", |life| assert_eq!(life.closed.observer_panics, 1)),
    ("SpanObserver::on_set_tag", |life| assert!(life.closed.observer_panics >= 5)),
    ("SpanObserver::on_finish", |life| assert_eq!(life.closed.observer_panics, 5)),
    ("Span::on_finish", |life| assert_eq!(life.closed.observer_panics, 1)),
    ("Logger::error", NOTHING_MORE),
    ("Logger::info", NOTHING_MORE),
    ("MetricsFactory::counter", NOTHING_MORE),
    ("MetricsFactory::gauge", NOTHING_MORE),
    ("MetricsFactory::timer", NOTHING_MORE),
    ("MetricsFactory::describe", NOTHING_MORE),
    ("MetricsFactory::start", NOTHING_MORE),
    ("Counter::inc", NOTHING_MORE),
    ("Gauge::update", NOTHING_MORE),
    ("Timer::record", NOTHING_MORE),
    ("Reporter::report", |life| {
        assert_eq!((life.closed.dropped.send_failed, life.reporters[1]), (0, 5));
    }),
    ("Reporter::flush", NOTHING_MORE),
    ("Transport::send", |life| assert_eq!(life.closed.dropped.send_failed, 5)),
    ("Transport::max_message_bytes", NOTHING_MORE),
    ("Transport::take_late_refusal", |life| assert_eq!(life.closed.sent, 5)),
    ("Transport::receiver_drops", |life| assert_eq!(life.closed.receiver_drops, None)),
    ("Transport::tick", NOTHING_MORE),
];

/// Without a tracer there is nothing to walk: it is not built.
const STARTS: &[&str] =
    &["Sampler::start", "BaggageRestrictionManager::start", "DebugThrottler::start"];

/// Asked before any part is started.
const BEFORE_STARTS: [&str; 2] = ["Format::keys", "Observer::interest"];

/// Asked when a list of samplers is built, which has no tracer yet.
const IN_A_LIST: &str = "Sampler::memory_bits";

/// Have their own test below.
const SOURCES: [&str; 2] = ["StrategySource::fetch", "StrategySource::name"];

#[test]
fn a_panic_of_any_method_is_caught_counted_and_reported_and_nothing_is_lost_uncounted() {
    for in_a_list in [false, true] {
        for (method, check) in WALK {
            let broken = Broken::default();
            if *method == "Logger::error" {
                // There must be something to say.
                broken.arm(Some("Sampler::status"));
                drop(build(&broken, in_a_list).unwrap());
            }
            broken.arm(Some(method));
            let (tracer, closer) = build(&broken, in_a_list).unwrap();
            let life = catch_unwind(AssertUnwindSafe(|| live(&broken, &tracer, closer)));
            let life = life.unwrap_or_else(|_| panic!("{method}: it reached the application"));
            let panics = broken.calls(method);
            let stats = life.closed;
            let about = format!("{method}, in a list: {in_a_list}: {stats}");
            assert!(panics > 0, "{about}: it was never called");
            assert!(stats.is_balanced(), "{about}");
            assert_eq!((stats.started, stats.open, stats.queued), (5, 0, 0), "{about}");
            check(&life);
            if *method != "Logger::error" {
                let counted = tracer.stats().callback_panics;
                assert!((1..=panics).contains(&counted), "{about}: {counted} of {panics}");
                let is_loggers = method.starts_with("Logger");
                let name = match *method {
                    "InjectCarrier::set" | "InjectCarrier::kind" | "InjectCarrier::remove_if" => {
                        "Format::inject"
                    }
                    "ExtractCarrier::visit" | "ExtractCarrier::kind" => "Format::extract",
                    name => name,
                };
                let reported = broken.has_logged(&format!("{name} panicked: on purpose"));
                assert!(reported || is_loggers, "{about}: {:?}", broken.0.messages.lock().unwrap());
            }

            // No lock was left behind, and what is well again is used again.
            broken.arm(None);
            let (tracer, closer) = build(&broken, in_a_list).unwrap();
            let life = live(&broken, &tracer, closer);
            let healthy = (life.closed.callback_panics, life.closed.dropped.total());
            assert_eq!(healthy, (0, 0), "{about}");
            assert!(life.extracted.is_none() && life.baggage && life.injected, "{about}");
        }
    }
}

#[test]
fn a_part_that_panics_when_it_is_to_begin_is_an_error_and_the_others_are_closed() {
    for (at, method) in STARTS.iter().enumerate() {
        let broken = Broken::default();
        broken.arm(Some(method));
        match build(&broken, false) {
            Err(ConfigError::Panicked { callback }) => assert_eq!(callback, *method),
            other => panic!("{method}: {other:?}"),
        }
        let closed =
            ["Sampler::close", "BaggageRestrictionManager::close", "DebugThrottler::close"];
        let closed = closed.map(|close| broken.calls(close));
        assert_eq!(closed, [0, 1, 2].map(|part| u64::from(part < at)), "{method}");
        assert!(broken.has_logged(method));
    }
}

#[test]
fn a_part_that_panics_about_what_it_wants_is_an_error() {
    for method in BEFORE_STARTS {
        let broken = Broken::default();
        broken.arm(Some(method));
        match build(&broken, false) {
            Err(ConfigError::Panicked { callback }) => assert_eq!(callback, method),
            other => panic!("{method}: {other:?}"),
        }
        assert!(STARTS.iter().all(|start| broken.calls(start) == 0), "{method}");
        assert!(broken.has_logged(method));
    }
}

#[test]
fn a_list_of_samplers_with_one_that_panics_about_its_memory_is_refused() {
    let broken = Broken::default();
    broken.arm(Some(IN_A_LIST));
    assert!(matches!(build(&broken, true), Err(ConfigError::Invalid { .. })));
}

#[cfg(feature = "remote-sampler")]
mod source {
    use jaeger_client::sampler::{
        FetchError, FetchOutcome, RemoteSampler, Sampler, StrategySource,
    };

    use super::*;

    impl StrategySource for Broken {
        fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
            self.call("StrategySource::fetch");
            Ok(br#"{"probabilisticSampling":{"samplingRate":1}}"#.to_vec())
        }
        fn name(&self) -> String {
            self.call("StrategySource::name");
            "broken".to_owned()
        }
    }

    #[test]
    fn a_strategy_source_that_panics_gave_no_response_or_has_no_name() {
        for (method, failed, name) in [(SOURCES[0], 1, "broken"), (SOURCES[1], 0, "unknown")] {
            let broken = Broken::default();
            broken.arm(Some(method));
            let sampler = RemoteSampler::builder("svc").source(broken.clone()).build().unwrap();
            let failed_now = matches!(sampler.refresh(), FetchOutcome::Failed { .. });
            assert_eq!(failed_now, failed == 1, "{method}");
            assert_eq!(sampler.remote_counts().queries_err, failed);
            assert_eq!(sampler.status().remote.unwrap().source, name);
            assert!(broken.calls(method) > 0);
        }
    }
}

#[test]
fn readings_that_stand_in_for_a_clock_that_panics_never_run_backwards() {
    let broken = Broken::default();
    let memory = jaeger_client::InMemoryReporter::new();
    let builder = crate::support::builder().clock(broken.clone()).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let before = tracer.start_span("before");
    broken.arm(Some("Clock::monotonic_nanos"));
    let within = tracer.start_span("within");
    within.log_event("e").finish();
    before.finish();
    broken.arm(None);
    tracer.start_span("after").finish();
    let spans = memory.spans();
    let starts: Vec<_> = spans.iter().map(|span| span.view().start_time_micros).collect();
    assert_eq!(starts[0], starts[1], "the latest reading");
    assert!(starts[2] > starts[1]);
    assert!(spans[0].view().duration_micros <= 1, "the least there is");
    assert!(tracer.stats().callback_panics >= 4);
}

#[test]
fn ids_that_stand_in_for_a_generators_are_never_zero_and_differ() {
    #[derive(Debug)]
    struct Zeros(AtomicU64);
    impl IdGenerator for Zeros {
        fn next(&self) -> u64 {
            self.0.fetch_add(1, Ordering::SeqCst);
            0
        }
    }
    let zeros = Arc::new(Zeros(AtomicU64::new(0)));
    #[derive(Debug)]
    struct Shared(Arc<Zeros>);
    impl IdGenerator for Shared {
        fn next(&self) -> u64 {
            self.0.next()
        }
    }
    let broken = Broken::default();
    let builders = [
        crate::support::builder().id_generator(Shared(Arc::clone(&zeros))),
        crate::support::builder().id_generator(broken.clone()),
    ];
    broken.arm(Some("IdGenerator::next"));
    for builder in builders {
        let (tracer, _closer) = builder.null_reporter().build().unwrap();
        let parent = tracer.start_span("root");
        let ids: BTreeSet<_> = (0..100)
            .map(|_| tracer.span("child").child_of(&parent).start().context())
            .flat_map(|context| [context.trace_id().low(), context.span_id().get()])
            .collect();
        assert_eq!(ids.len(), 101, "one trace, a hundred spans");
        assert!(!ids.contains(&0));
    }
    assert!(zeros.0.load(Ordering::SeqCst) <= 9 * 101, "it does not hold the application for ever");
}

/// Every method of every public trait in a source text, as `Trait::method`.
fn methods(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for declared in text.split("\npub trait ").skip(1) {
        let name = declared.split([':', ' ', '<']).next().unwrap();
        let body = declared.split("\n}\n").next().unwrap();
        let mut hidden = false;
        for line in body.lines() {
            if let Some(method) = line.strip_prefix("    fn ") {
                let method = method.split(['(', '<']).next().unwrap();
                if !hidden {
                    found.push(format!("{name}::{method}"));
                }
                hidden = false;
            }
            hidden |= line.contains("#[doc(hidden)]");
        }
    }
    found
}

/// Traits whose methods run as a part of the caller's own call.
const NO_CALLBACKS: [&str; 4] =
    ["AsSpanContext::", "IntoTagValue::", "Parent::", "TraceFutureExt::"];

#[test]
fn the_walk_and_the_page_have_every_method_of_every_trait_that_users_write() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.clone()];
    let mut there = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                there.extend(methods(&text));
            }
        }
    }
    // A closure, and no method of a trait.
    there.insert("Span::on_finish".to_owned());
    there.retain(|method| !NO_CALLBACKS.iter().any(|not| method.starts_with(not)));
    let walked: BTreeSet<String> = WALK
        .iter()
        .map(|(method, _)| *method)
        .chain(STARTS.iter().copied())
        .chain(BEFORE_STARTS)
        .chain([IN_A_LIST])
        .chain(SOURCES)
        .map(str::to_owned)
        .collect();
    assert_eq!(walked, there, "the walk and the traits");
    let page = std::fs::read_to_string(source.join("panics.rs")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let rows: BTreeSet<String> =
        rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    assert_eq!(rows, there, "the page and the traits");
    assert_eq!(
        methods("\npub trait A: B {\n    fn a();\n    #[doc(hidden)]\n    fn b();\n}\n"),
        ["A::a"]
    );
}
