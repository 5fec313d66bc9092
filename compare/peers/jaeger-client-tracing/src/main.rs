//! tracing with this project's layer.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use jaeger_client::sampler::ConstSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, Tracer, TransportError};
use jaeger_client_tracing::SpanExt as _;
use peer_harness::{Case, Peer, Setup, Target, Unsupported, Work};
use tracing::{Span, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    tracer: Tracer,
    closer: Closer,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let builder = Tracer::builder("peers").sampler(ConstSampler::new(setup.sampled));
        let builder = match &setup.target {
            Target::Discard => {
                builder.transport(Discard).flush_interval(Duration::from_secs(3_600))
            }
            Target::Agent(address) => builder.agent(address.to_string()),
            Target::Otlp(_) => return Err("as in the row of the client below it"),
        };
        let (tracer, closer) = builder.build().map_err(|_| "the tracer could not be built")?;
        let layer = jaeger_client_tracing::layer(tracer.clone());
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .map_err(|_| "a subscriber is there")?;
        Ok(Self { tracer, closer })
    }
}

/// Takes every message.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
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
        let _ = self.tracer.flush(Duration::from_secs(30));
    }

    fn close(self) -> Option<u64> {
        let stats = self.closer.close(Duration::from_secs(30)).stats;
        Some(stats.finished - stats.not_sampled - stats.sent - stats.queued)
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
