//! tracing with tracing-opentelemetry 0.34; OTLP in protobuf over HTTP.

use std::hint::black_box;
use std::process::ExitCode;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use peer_harness::{Case, Peer, Setup, Target, Unsupported, Work};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    provider: SdkTracerProvider,
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
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("peers"));
        peer_harness::tracing::install(tracing_subscriber::registry().with(layer))?;
        Ok(Self { provider })
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
        peer_harness::tracing::work(case, |span| {
            black_box(span.context());
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
