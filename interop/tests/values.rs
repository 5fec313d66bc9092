//! One bad value costs no other span: spans with values that were a problem for servers are sent by every
//! route, and all of them are found afterwards.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests wait and read clocks; a step that fails is a test that fails"
)]

#[path = "../../tests/support/edge_cases.rs"]
mod edge_cases;

use std::thread;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::opt_in::{self, StepResult};
use interop::query::Query;
use interop::roundtrip::Route;
use interop::zipkin::Zipkin;
use jaeger_client::{
    Configuration, NullLogger, SpanContext, SpanOptions, TraceId, Tracer, TracerBuilder,
};
use serde_json::Value;

#[test]
fn jaeger_v1_stores_whatever_its_agent_gets() {
    everything_is_found(Kind::JaegerV1, &[Route::Compact, Route::Binary, Route::ZipkinCompact]);
}

#[test]
fn jaeger_v1_stores_whatever_its_collector_gets() {
    everything_is_found(
        Kind::JaegerV1,
        &[Route::Http, Route::ZipkinV1, Route::ZipkinV2, Route::Otlp],
    );
}

#[test]
fn jaeger_v2_stores_whatever_it_gets() {
    let routes =
        [Route::Compact, Route::Binary, Route::Http, Route::ZipkinV1, Route::ZipkinV2, Route::Otlp];
    everything_is_found(Kind::JaegerV2, &routes);
}

#[test]
fn zipkin_stores_whatever_it_gets() {
    everything_is_found(Kind::Zipkin, &[Route::ZipkinV1, Route::ZipkinV2]);
}

/// The number of spans with edge cases that are sent by each route, beside large ones.
const SPANS: usize = 400;

/// The number of them between two regular spans.
const BETWEEN: usize = 4;

fn everything_is_found(kind: Kind, routes: &[Route]) {
    let name = format!("values {kind:?} {routes:?}");
    let Some(backend) = opt_in::set_up(&name, || Backend::start(kind)) else { return };
    for route in routes {
        by_route(&backend, *route);
    }
}

fn by_route(backend: &Backend, route: Route) {
    let service = format!("values-{route:?}").to_lowercase();
    let config = Configuration {
        tags: vec![
            ("ip".to_owned(), "10.0.0.1:8080".into()),
            ("nan".to_owned(), f64::NAN.into()),
            ("service.name".to_owned(), "".into()),
            ("text".to_owned(), "é\u{2028}\0".into()),
        ],
        spans: SpanOptions { max_tag_value_length: 1_000, ..SpanOptions::default() },
        exporters: route.exporters(),
        reporter: route.reporter(backend),
        ..Configuration::new(service.as_str())
    };
    let quiet = |builder: TracerBuilder| builder.logger(NullLogger);
    let (tracer, closer) = config.new_tracer_with(quiet).unwrap();
    let mut dice = 1 + route as u64;
    let mut draw = |below: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((dice >> 33) % below as u64).unwrap()
    };
    // One with explicit times and ids, too.
    let clock = edge_cases::EdgeCaseClock::new(&mut draw);
    let odd_parts = |builder: TracerBuilder| {
        let ids = edge_cases::EdgeCaseIds::default();
        builder.logger(NullLogger).clock(clock).id_generator(ids)
    };
    let (other, other_closer) = config.new_tracer_with(odd_parts).unwrap();
    let store = Store::of(backend, route);
    let (mut regular, mut odd, mut sent) = (Vec::new(), Vec::new(), 0);
    for n in 0..SPANS / BETWEEN {
        let good = tracer.span("regular").ignore_active_span().start();
        regular.push(good.context());
        drop(good);
        let before = odd.len();
        odd.extend((0..BETWEEN).filter_map(|_| edge_cases::span(&tracer, &mut draw)));
        if n % 10 == 0 {
            odd.push(edge_cases::large_span(&tracer, n / 10));
        }
        sent += 1 + odd.len() - before;
        odd.extend(edge_cases::span(&other, &mut draw));
        flush(&tracer);
        flush(&other);
        // An agent's receive buffer holds a few large datagrams, so that each is waited for.
        store.wait_for(&regular[n]);
    }
    let report = closer.close(TIMEOUT);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.sent, sent as u64, "{report}");
    let report = other_closer.close(TIMEOUT);
    assert_eq!(report.stats.dropped.total(), 0, "{report}");

    for context in regular.iter().chain(&odd) {
        store.wait_for(context);
    }
    let recent = store.search(&service, false);
    for context in &regular {
        let id = context.trace_id().to_string();
        assert!(recent.contains(&id), "{route:?}: the search finds no trace {id}");
    }
    let ever = store.search(&service, true);
    assert!(ever.len() >= recent.len(), "{route:?}: {} of {}", ever.len(), recent.len());
    if let Store::Jaeger { query, .. } = &store {
        let operations = query.operations(&service).unwrap();
        assert!(operations.iter().any(|name| name == "regular"), "{operations:?}");
    }
    let (kind, regular, odd) = (backend.kind(), regular.len(), odd.len());
    opt_in::print_line(&format!("{regular} regular and {odd} odd spans found: {kind:?} {route:?}"));
}

fn flush(tracer: &Tracer) {
    let report = tracer.flush(TIMEOUT);
    assert!(report.complete, "{report}");
}

/// The server in which spans are searched for.
enum Store {
    Jaeger { query: Query, route: Route },
    Zipkin { zipkin: Zipkin, route: Route },
}

impl Store {
    fn of(backend: &Backend, route: Route) -> Self {
        match backend.kind() {
            Kind::Zipkin => Self::Zipkin { zipkin: Zipkin::new(backend.address("zipkin")), route },
            _ => Self::Jaeger { query: backend.query(), route },
        }
    }

    const fn route(&self) -> Route {
        let (Self::Jaeger { route, .. } | Self::Zipkin { route, .. }) = self;
        *route
    }

    /// Waits until a span is stored without a warning.
    fn wait_for(&self, context: &SpanContext) {
        let trace_id = self.stored_as(context.trace_id()).to_string();
        let id = context.span_id().to_string();
        let until = Instant::now() + TIMEOUT;
        loop {
            let spans: StepResult<Vec<Value>> = match self {
                Self::Jaeger { query, .. } => query.spans(&trace_id),
                Self::Zipkin { zipkin, .. } => zipkin.spans(&trace_id),
            };
            let spans = spans.unwrap_or_else(|why| panic!("{:?} {context}: {why}", self.route()));
            if let Some(span) = spans.iter().find(|span| span["span"] == id.as_str()) {
                assert!(span["warnings"].is_null(), "{:?}: {span}", self.route());
                return;
            }
            assert!(Instant::now() < until, "{:?}: {context} is not found", self.route());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the stored trace id: in Zipkin's Thrift the upper half alone, if the lower half is zero.
    fn stored_as(&self, trace_id: TraceId) -> TraceId {
        match (self.route(), trace_id.low()) {
            (Route::ZipkinV1 | Route::ZipkinCompact, 0) => TraceId::new(0, trace_id.high()),
            _ => trace_id,
        }
    }

    /// Searches the traces of a service, and asserts that none has a warning.
    fn search(&self, service: &str, ever: bool) -> Vec<String> {
        let found = match self {
            Self::Jaeger { query, route } => query.search(service, ever).map(|traces| {
                // The parents are arbitrary ids: they may be missing, duplicate, or at another time.
                let skew = |warning: &String| warning.contains("clock skew adjustment");
                let warned = traces.iter().find(|(_, all)| !all.iter().all(skew));
                assert!(warned.is_none(), "{route:?}: {warned:?}");
                traces.into_iter().map(|(id, _)| id).collect()
            }),
            Self::Zipkin { zipkin, .. } => zipkin.search(service, ever),
        };
        found.unwrap_or_else(|why| panic!("{:?}: {why}", self.route()))
    }
}

/// Far more than it takes, even on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(60);
