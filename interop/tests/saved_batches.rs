//! A collector is killed before a service ends: the spans that it did not receive are saved to a file, and
//! are stored by the next collector after a replay.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits with a bound")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::opt_in;
use jaeger_client::{
    Destination, HttpConfig, NullLogger, OtlpConfig, ReplayOptions, SavedBatchesConfig, Tracer,
    replay,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const TRACES: usize = 200;

/// Makes traces of three finished spans, and returns the span ids of each.
fn traces(tracer: &Tracer) -> Vec<(String, BTreeSet<String>)> {
    let id = |span: &jaeger_client::Span| format!("{:0>16}", span.context().span_id().to_string());
    let traces = (0..TRACES).map(|n| {
        let root = tracer.span("root").tag("n", n).start();
        let left = tracer.span("left").child_of(&root).start();
        let right = tracer.span("right").child_of(&root).tag("error", true).start();
        let ids = BTreeSet::from([id(&root), id(&left), id(&right)]);
        let trace = format!("{:0>32}", root.context().trace_id().to_string());
        (trace, ids)
    });
    traces.collect()
}

#[test]
fn spans_of_a_collector_that_was_killed_are_found_after_a_replay() {
    let Some(first) = opt_in::set_up("saved batches", || Backend::start(Kind::JaegerV2)) else {
        return;
    };
    let thrift = |backend: &Backend| {
        let url = format!("http://{}/api/traces", backend.address("http"));
        Destination::collector(HttpConfig::new(url)).named("collector")
    };
    let otlp = |backend: &Backend| {
        let url = format!("http://{}", backend.address("otlp_http"));
        Destination::otlp(OtlpConfig::new(url)).named("otlp")
    };
    let file = std::env::temp_dir().join(format!("interop-saved-{}", std::process::id()));
    let build = |destination| {
        Tracer::builder("saved")
            .logger(NullLogger)
            .trace_id_128bit(true)
            .destination(destination)
            .save_unacknowledged(SavedBatchesConfig::new(&file))
            .build()
            .unwrap()
    };
    let (by_thrift, close_thrift) = build(thrift(&first));
    let (by_otlp, close_otlp) = build(otlp(&first));
    // Some spans are accepted before the collector is killed.
    by_thrift.start_span("before").finish();
    assert!(by_thrift.flush(TIMEOUT).complete);
    assert_eq!(by_thrift.stats().acknowledged, 1);
    drop(first);
    let (mut all, spans) = (traces(&by_thrift), 3 * TRACES as u64);
    all.extend(traces(&by_otlp));
    for (tracer, closer) in [(by_thrift, close_thrift), (by_otlp, close_otlp)] {
        let report = closer.close(TIMEOUT);
        assert!(report.complete && report.stats.is_balanced(), "{report}");
        assert_eq!((report.stats.saved, report.stats.dropped.total()), (spans, 0), "{report}");
        drop(tracer);
    }

    let second = Backend::start(Kind::JaegerV2).unwrap();
    for (name, destination) in [("collector", thrift(&second)), ("otlp", otlp(&second))] {
        let report = replay(&file, destination, ReplayOptions::default().only(name)).unwrap();
        assert_eq!((report.sent, report.acknowledged, report.left), (spans, spans, 0), "{report}");
    }
    assert!(!file.exists(), "nothing is left");
    let until = Instant::now() + TIMEOUT;
    for (trace, ids) in all {
        loop {
            let found = second.query().spans(&trace).unwrap_or_default();
            let found: BTreeSet<_> =
                found.iter().filter_map(|span| Some(span["span"].as_str()?.to_owned())).collect();
            if found == ids {
                break;
            }
            assert!(Instant::now() < until, "{trace}: {found:?}, not {ids:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
