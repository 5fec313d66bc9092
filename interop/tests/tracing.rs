//! Services instrumented by `tracing` make one trace in Jaeger, with the right parents, over UDP and over
//! HTTP.

#![expect(clippy::disallowed_methods, reason = "tests wait")]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::{opt_in, parentage, span};
use jaeger_client::{Closer, HttpConfig, Tracer, TracerBuilder};
use jaeger_client_tracing::SpanExt as _;
use serde_json::json;
use tracing::{Dispatch, error, info, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;

/// A service with a subscriber of its own, as in a separate process.
struct Service {
    tracer: Tracer,
    closer: Closer,
    dispatch: Dispatch,
}

impl Service {
    fn new(tracer: TracerBuilder) -> Self {
        let (tracer, closer) = tracer.build().unwrap();
        let layer = jaeger_client_tracing::layer(tracer.clone());
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        Self { tracer, closer, dispatch }
    }

    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, work)
    }
}

/// The first service, which makes headers for the second one.
#[instrument(skip(service), fields(otel.kind = "server", otel.name = "GET /orders"))]
fn front(service: &Service, user: u64) -> HashMap<String, String> {
    info!(user, "accepted");
    call(service)
}

#[instrument(skip_all, fields(otel.kind = "client"))]
fn call(service: &Service) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    let context = tracing::Span::current().context().unwrap();
    service.tracer.inject(&context, &mut headers);
    headers
}

/// The second service, which reads the caller's context within the function.
#[instrument(skip_all, fields(otel.kind = "server"))]
fn back(service: &Service, headers: &HashMap<String, String>) {
    info!("before the caller is known");
    tracing::Span::current().set_parent(service.tracer.extract(headers).ok());
    let query = info_span!("SELECT", db.rows = 3_u64, otel.status_code = "OK");
    query.in_scope(|| error!("first try failed"));
}

#[test]
fn two_instrumented_services_make_one_trace() {
    for kind in [Kind::JaegerV2, Kind::JaegerV1] {
        let test = format!("tracing, {kind:?}");
        let Some(backend) = opt_in::set_up(&test, || Backend::start(kind)) else { return };
        let agent = backend.address("compact");
        let first = Service::new(Tracer::builder("front").agent(agent));
        let collector = format!("http://{}/api/traces", backend.address("http"));
        let second = Service::new(Tracer::builder("back").collector(HttpConfig::new(collector)));
        let headers = first.run(|| front(&first, 4711));
        second.run(|| back(&second, &headers));

        for (service, spans) in [(first, 2), (second, 3)] {
            let report = service.closer.close(TIMEOUT);
            let stats = report.stats;
            assert!(report.complete && stats.open == 0 && stats.dropped.total() == 0, "{report}");
            // The second one has started its span anew below its parent.
            assert_eq!(stats.started, spans, "{report}");
            assert_eq!(stats.sent, 2, "{report}");
        }
        let trace_id = headers["uber-trace-id"].split(':').next().unwrap();
        let spans = backend.query().wait(trace_id, 4, Instant::now() + TIMEOUT).unwrap();
        let spans = parentage::assert_chain(
            &spans,
            &[("front", "GET /orders"), ("front", "call"), ("back", "back"), ("back", "SELECT")],
        );
        let tag = |at: usize, key: &str| span::tag(&spans[at], key);
        assert_eq!(tag(0, "user"), json!("4711"), "{spans:?}");
        assert_eq!(tag(1, "span.kind"), json!("client"));
        assert_eq!(tag(3, "db.rows"), json!("3"));
        assert_eq!(tag(3, "error"), json!(false));
        let logs = [0, 1, 2, 3].map(|at| spans[at]["logs"].as_array().map_or(0, Vec::len));
        assert_eq!(logs, [1, 0, 1, 1], "{spans:?}");
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
