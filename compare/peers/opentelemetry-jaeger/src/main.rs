//! opentelemetry-jaeger 0.22, the last release, with the OpenTelemetry 0.23 that it needs.

use std::collections::HashMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::BoxFuture;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_jaeger_propagator::Propagator as JaegerPropagator;
use opentelemetry_sdk::export::trace::{ExportResult, SpanData, SpanExporter};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::testing::trace::InMemorySpanExporter;
use opentelemetry_sdk::trace::{
    Config, Sampler, Span as SdkSpan, Tracer as SdkTracer, TracerProvider,
};
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};
use std::net::{Ipv4Addr, UdpSocket};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    // First, so that its last message is sent while the runtime is there.
    provider: TracerProvider,
    tracer: SdkTracer,
    runtime: Runtime,
    propagation: Propagation,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let sampler = if setup.sampled { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
        let config = Config::default().with_sampler(sampler);
        let runtime = Runtime::new().map_err(|_| "no runtime")?;
        let guard = runtime.enter();
        let provider = match &setup.target {
            Target::Discard => TracerProvider::builder()
                .with_config(config)
                .with_batch_exporter(Discard, Tokio)
                .build(),
            // Without splitting, a batch of its default size is too large and wholly refused.
            Target::Agent(address) => opentelemetry_jaeger::new_agent_pipeline()
                .with_endpoint(address.to_string())
                .with_service_name("peers")
                .with_auto_split_batch(true)
                .with_trace_config(config)
                .build_batch(Tokio)
                .map_err(|_| "no exporter could be built")?,
            Target::Otlp(_) => return Err("sends Thrift alone"),
        };
        drop(guard);
        let tracer = provider.tracer("peers");
        Ok(Self { provider, tracer, runtime, propagation: setup.propagation })
    }

    fn root(&self) -> SdkSpan {
        self.tracer.start_with_context("GET /orders", &Context::new())
    }

    fn propagator(&self) -> Result<Box<dyn TextMapPropagator>, Unsupported> {
        match self.propagation {
            Propagation::W3c => Ok(Box::new(TraceContextPropagator::new())),
            Propagation::Jaeger => Ok(Box::new(JaegerPropagator::new())),
            Propagation::B3 => Err("B3 is another crate, opentelemetry-zipkin"),
        }
    }

    fn encode(&self) -> Result<Work<'_>, Unsupported> {
        let finished = InMemorySpanExporter::default();
        let provider = TracerProvider::builder().with_simple_exporter(finished.clone()).build();
        let tracer = provider.tracer("peers");
        let parent = Context::new().with_span(self.root());
        for _ in 0..100 {
            child_with_log(&tracer, &parent, "GET".into());
        }
        let batch = finished.get_finished_spans().map_err(|_| "no spans")?;
        let agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|_| "no socket")?;
        let mut exporter = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(agent.local_addr().map_err(|_| "no address")?.to_string())
            .with_service_name("peers")
            .build_sync_agent_exporter()
            .map_err(|_| "no exporter could be built")?;
        // It takes a batch away: copies are made before.
        let mut copies: Vec<Vec<SpanData>> = (0..340).map(|_| batch.clone()).collect();
        Ok(Box::new(move || {
            black_box(&agent);
            let spans = copies.pop().unwrap_or_else(|| batch.clone());
            let _ = self.runtime.block_on(exporter.export(spans));
        }))
    }
}

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    fn export(&mut self, _batch: Vec<SpanData>) -> BoxFuture<'static, ExportResult> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Peer for Client {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        let tracer = &self.tracer;
        Ok(match case {
            Case::Unsampled | Case::Root => Box::new(|| drop(black_box(self.root()))),
            Case::UnsampledContext => Box::new(|| {
                black_box(self.root().span_context().clone());
            }),
            Case::RootTags => Box::new(|| three_tags(&mut self.root(), "GET".into())),
            Case::Child => {
                let parent = Context::new().with_span(self.root());
                Box::new(move || child_with_log(tracer, &parent, "GET".into()))
            }
            Case::RunTimeStrings => {
                let parent = Context::new().with_span(self.root());
                let method = black_box(String::from("GET"));
                Box::new(move || {
                    child_with_log(tracer, &parent, black_box(&method).clone().into());
                })
            }
            Case::Tree => Box::new(|| {
                let below = |parent: &Context| {
                    let mut span = tracer.start_with_context("SELECT", parent);
                    three_tags(&mut span, "GET".into());
                    span
                };
                let mut root = self.root();
                three_tags(&mut root, "GET".into());
                let root = Context::new().with_span(root);
                for _ in 0..3 {
                    let child = Context::new().with_span(below(&root));
                    for _ in 0..2 {
                        drop(below(&child));
                    }
                }
            }),
            Case::InjectExtract => {
                let propagator = self.propagator()?;
                let context = Context::new().with_span(self.root());
                Box::new(move || {
                    let mut headers = HashMap::<String, String>::new();
                    propagator.inject_context(&context, &mut headers);
                    black_box(propagator.extract_with_context(&Context::new(), &headers));
                })
            }
            Case::Encode100 => self.encode()?,
        })
    }

    fn drain(&self) {
        let _ = self.provider.force_flush();
    }

    fn close(self) -> Option<u64> {
        let Self { provider, tracer, runtime, .. } = self;
        let _ = provider.force_flush();
        drop((tracer, provider));
        runtime.shutdown_timeout(Duration::from_secs(10));
        None
    }
}

fn three_tags(span: &mut SdkSpan, method: Value) {
    span.set_attribute(KeyValue::new("http.method", method));
    span.set_attribute(KeyValue::new("http.status_code", black_box(200_i64)));
    span.set_attribute(KeyValue::new("error", false));
}

fn child_with_log(tracer: &SdkTracer, parent: &Context, method: Value) {
    let mut span = tracer.start_with_context("SELECT", parent);
    three_tags(&mut span, method);
    span.add_event("cache miss", vec![KeyValue::new("key", black_box(42_i64))]);
}
