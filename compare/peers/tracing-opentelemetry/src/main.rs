//! tracing with tracing-opentelemetry 0.34.

use std::hint::black_box;
use std::process::ExitCode;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use peer_harness::{Case, Peer, Setup, Target, Unsupported, Work};
use tracing::{Span, info, info_span};
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
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .map_err(|_| "a subscriber is there")?;
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
        Ok(match case {
            Case::Unsampled | Case::Root => {
                Box::new(|| drop(black_box(info_span!(parent: None, "GET /orders"))))
            }
            Case::UnsampledContext => Box::new(|| {
                black_box(info_span!(parent: None, "GET /orders").context());
            }),
            Case::RootTags => Box::new(|| drop(black_box(root()))),
            Case::Child => {
                let parent = info_span!(parent: None, "GET /orders");
                Box::new(move || {
                    let span = child(&parent);
                    info!(parent: &span, key = black_box(42_i64), "cache miss");
                })
            }
            Case::RunTimeStrings => {
                let parent = info_span!(parent: None, "GET /orders");
                let method = black_box(String::from("GET"));
                Box::new(move || {
                    let span = info_span!(
                        parent: &parent,
                        "SELECT",
                        http.method = black_box(method.as_str()),
                        http.status_code = black_box(200_i64),
                        error = false
                    );
                    info!(parent: &span, key = black_box(42_i64), "cache miss");
                })
            }
            Case::Tree => Box::new(|| {
                let root = root();
                for _ in 0..3 {
                    let parent = child(&root);
                    for _ in 0..2 {
                        drop(child(&parent));
                    }
                }
            }),
            Case::InjectExtract => return Err("as in the row of the client below it"),
            Case::Encode100 => return Err("as in the row of the client below it"),
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

fn root() -> Span {
    info_span!(
        parent: None,
        "GET /orders",
        http.method = "GET",
        http.status_code = black_box(200_i64),
        error = false
    )
}

fn child(parent: &Span) -> Span {
    info_span!(
        parent: parent,
        "SELECT",
        http.method = "GET",
        http.status_code = black_box(200_i64),
        error = false
    )
}
