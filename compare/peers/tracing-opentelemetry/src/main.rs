//! tracing with tracing-opentelemetry 0.34.

use std::hint::black_box;
use std::process::ExitCode;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
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
        let Target::Discard = setup.target else {
            return Err("sends by OpenTelemetry's exporters, as in its row");
        };
        let sampler = if setup.sampled { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
        let provider =
            SdkTracerProvider::builder().with_sampler(sampler).with_batch_exporter(Discard).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("peers"));
        peer_harness::tracing::install(tracing_subscriber::registry().with(layer))?;
        Ok(Self { provider })
    }
}

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
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
