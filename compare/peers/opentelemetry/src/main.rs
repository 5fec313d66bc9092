//! opentelemetry 0.33 with its batch processor; OTLP in protobuf over HTTP.

use std::collections::HashMap;
use std::hint::black_box;
use std::process::ExitCode;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan, SpanData,
};
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};
use prost::Message as _;

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagation: Propagation,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let sampler = if setup.sampled { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
        let builder = SdkTracerProvider::builder().with_sampler(sampler);
        let builder = match &setup.target {
            Target::Discard => builder.with_batch_exporter(Discard),
            Target::Agent(_) => return Err("sends OTLP alone"),
            Target::Otlp(url) => {
                let exporter = SpanExporter::builder()
                    .with_http()
                    .with_endpoint(url.clone())
                    .with_protocol(Protocol::HttpBinary)
                    .build();
                builder.with_batch_exporter(exporter.map_err(|_| "no exporter could be built")?)
            }
        };
        let provider = builder.build();
        let tracer = provider.tracer("peers");
        Ok(Self { provider, tracer, propagation: setup.propagation })
    }

    fn root(&self) -> SdkSpan {
        self.tracer.start_with_context("GET /orders", &Context::new())
    }

    fn propagator(&self) -> Result<TraceContextPropagator, Unsupported> {
        match self.propagation {
            Propagation::W3c => Ok(TraceContextPropagator::new()),
            Propagation::Jaeger => Err("opentelemetry-jaeger-propagator has no release for 0.33"),
            Propagation::B3 => Err("B3 is another crate, opentelemetry-zipkin"),
        }
    }

    fn encode(&self) -> Result<Work<'_>, Unsupported> {
        let finished = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(finished.clone()).build();
        let tracer = provider.tracer("peers");
        let parent = Context::new().with_span(self.root());
        for _ in 0..100 {
            child_with_log(&tracer, &parent, "GET".into());
        }
        let batch = finished.get_finished_spans().map_err(|_| "no spans")?;
        let resource = ResourceAttributesWithSchema::from(&Resource::builder().build());
        // It takes a batch away: copies are made before.
        let mut copies: Vec<Vec<SpanData>> = (0..340).map(|_| batch.clone()).collect();
        Ok(Box::new(move || {
            let spans = copies.pop().unwrap_or_else(|| batch.clone());
            let resource_spans = group_spans_by_resource_and_scope(spans, &resource);
            black_box(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        }))
    }
}

#[derive(Debug)]
struct Discard;

impl opentelemetry_sdk::trace::SpanExporter for Discard {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
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
        let _ = self.provider.shutdown();
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
