//! Decisions of the remote sampler, and of callers that ask for a trace.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]
#![cfg(feature = "remote-sampler")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaeger_client::NullLogger;
use jaeger_client::sampler::{FetchError, RemoteSampler, Rule, StrategySource};
use jaeger_client_opentelemetry::{DebugIdSampler, JaegerPropagator, JaegerRemoteSampler};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider,
    ShouldSample,
};

/// A server that gives one answer, which can be changed.
#[derive(Clone, Debug)]
struct Server(Arc<Mutex<String>>);

impl Server {
    fn new(response: &str) -> Self {
        Self(Arc::new(Mutex::new(response.to_owned())))
    }
}

impl StrategySource for Server {
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError> {
        assert_eq!(service_name, "svc");
        Ok(self.0.lock().unwrap().clone().into_bytes())
    }
}

/// A sampler that has its first response.
fn sampler(server: &Server) -> JaegerRemoteSampler {
    let remote = RemoteSampler::builder("svc")
        .source(server.clone())
        .initial_rate(0.0)
        .refresh_interval(Duration::from_millis(10));
    let sampler = JaegerRemoteSampler::with_logger(remote.build().unwrap(), NullLogger).unwrap();
    until(|| sampler.status().remote.is_some_and(|remote| remote.last_fetch.is_some()));
    sampler
}

fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come to that within a minute");
}

fn sample(sampler: &dyn ShouldSample, cx: &Context, id: u64, name: &str) -> SamplingResult {
    let trace_id = TraceId::from(u128::from(id));
    sampler.should_sample(Some(cx), trace_id, name, &SpanKind::Server, &[], &[])
}

fn is_sampled(result: &SamplingResult) -> bool {
    result.decision == SamplingDecision::RecordAndSample
}

/// Ids that are spread over all there are.
fn ids(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

#[test]
fn a_share_of_traces_is_sampled_by_their_ids_and_tagged() {
    let sampler = sampler(&Server::new(r#"{"probabilisticSampling":{"samplingRate":0.25}}"#));
    let results: Vec<_> =
        ids(10_000).map(|id| sample(&sampler, &Context::new(), id, "op")).collect();
    let sampled: Vec<_> = results.iter().filter(|result| is_sampled(result)).collect();
    assert!((2_400..2_600).contains(&sampled.len()), "{}", sampled.len());
    let tags =
        [KeyValue::new("sampler.type", "probabilistic"), KeyValue::new("sampler.param", 0.25)];
    assert!(sampled.iter().all(|result| result.attributes == tags));
    assert!(results.iter().filter(|result| !is_sampled(result)).all(|r| r.attributes.is_empty()));
    let again: Vec<_> = ids(10_000).map(|id| sample(&sampler, &Context::new(), id, "op")).collect();
    assert_eq!(again, results);
}

#[test]
fn operations_have_rates_of_their_own() {
    let response = r#"{"strategyType":0,"operationSampling":{"defaultSamplingProbability":0,
        "defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[
        {"operation":"all","probabilisticSampling":{"samplingRate":1}}]}}"#;
    let sampler = sampler(&Server::new(response));
    assert!(ids(100).all(|id| is_sampled(&sample(&sampler, &Context::new(), id, "all"))));
    assert!(!ids(100).any(|id| is_sampled(&sample(&sampler, &Context::new(), id, "other"))));
}

#[test]
fn traces_per_second_are_obeyed_and_the_allowance_grows_with_the_clock() {
    let response =
        r#"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5}}"#;
    let sampler = sampler(&Server::new(response));
    let sampled = ids(1_000).filter(|id| is_sampled(&sample(&sampler, &Context::new(), *id, "op")));
    let sampled = sampled.count();
    assert!((1..1_000).contains(&sampled), "{sampled}");
    // A sampler whose clock stands still would never sample again.
    until(|| is_sampled(&sample(&sampler, &Context::new(), 1, "op")));
}

#[test]
fn a_changed_rule_comes_into_force_and_is_shown() {
    let server = Server::new(r#"{"probabilisticSampling":{"samplingRate":0}}"#);
    let sampler = sampler(&server);
    assert!(!is_sampled(&sample(&sampler, &Context::new(), 1, "op")));
    *server.0.lock().unwrap() = r#"{"probabilisticSampling":{"samplingRate":1}}"#.to_owned();
    until(|| is_sampled(&sample(&sampler.clone(), &Context::new(), 1, "op")));
    let rule = sampler.status().rule;
    assert!(matches!(rule, Rule::Probabilistic { .. }), "{rule}");
}

fn context(pairs: &[(&str, &str)]) -> Context {
    let headers: HashMap<_, _> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    JaegerPropagator::new().extract_with_context(&Context::new(), &headers)
}

#[test]
fn spans_follow_their_parents() {
    let none = sampler(&Server::new(r#"{"probabilisticSampling":{"samplingRate":0}}"#));
    let all = sampler(&Server::new(r#"{"probabilisticSampling":{"samplingRate":1}}"#));
    let sampled = sample(&none, &context(&[("uber-trace-id", "1:2:0:1")]), 1, "op");
    assert!(is_sampled(&sampled) && sampled.attributes.is_empty());
    assert!(!is_sampled(&sample(&all, &context(&[("uber-trace-id", "1:2:0:0")]), 1, "op")));
}

#[test]
fn a_debug_id_forces_the_first_span_and_is_its_tag() {
    let none = sampler(&Server::new(r#"{"probabilisticSampling":{"samplingRate":0}}"#));
    let wrapped = DebugIdSampler::new(Sampler::AlwaysOff);
    let tag = [KeyValue::new("jaeger-debug-id", "find me")];
    let debug = ("jaeger-debug-id", "find%20me");
    for sampler in [&none as &dyn ShouldSample, &wrapped] {
        for pairs in [vec![debug], vec![debug, ("uber-trace-id", "1:2:0:0")]] {
            let forced = sample(sampler, &context(&pairs), 1, "op");
            assert!(is_sampled(&forced));
            assert_eq!(forced.attributes, tag);
        }
        assert!(!is_sampled(&sample(sampler, &Context::new(), 1, "op")));
    }
}

#[test]
fn a_request_with_a_debug_id_is_traced_and_its_local_children_are_not_tagged() {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .with_sampler(DebugIdSampler::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))))
        .build();
    let tracer = provider.tracer("test");
    let cx = context(&[("jaeger-debug-id", "d")]);
    let root = cx.with_span(tracer.start_with_context("root", &cx));
    let child = root.with_span(tracer.start_with_context("child", &root));
    let mut written = HashMap::new();
    JaegerPropagator::new().inject_context(&child, &mut written);
    assert!(written["uber-trace-id"].ends_with(":3"), "{written:?}");
    child.span().end();
    root.span().end();
    let finished = spans.get_finished_spans().unwrap();
    let tags: Vec<_> = finished.iter().map(|span| span.attributes.len()).collect();
    assert_eq!(tags, [0, 1]);
}
