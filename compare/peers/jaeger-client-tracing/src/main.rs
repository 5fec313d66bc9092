//! tracing with this project's layer.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use jaeger_client::sampler::ConstSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, Tracer, TransportError};
use jaeger_client_tracing::SpanExt as _;
use peer_harness::{Case, Peer, Setup, Target, Unsupported, Work};
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
        peer_harness::tracing::install(tracing_subscriber::registry().with(layer))?;
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
        peer_harness::tracing::work(case, |span| {
            black_box(span.context());
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
