//! This client, by its spans with shared handles and by those with one owner.

mod owned;

use std::collections::HashMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use jaeger_client::propagation::{B3Format, HeadersConfig, W3cFormat};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, OtlpConfig, Span, Tracer, TransportError};
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    tracer: Tracer,
    closer: Closer,
    owned_spans: bool,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let builder = Tracer::builder("peers").sampler(ConstSampler::new(setup.sampled));
        let builder = match &setup.target {
            Target::Discard => {
                builder.transport(Discard).flush_interval(Duration::from_secs(3_600))
            }
            Target::Agent(address) => builder.agent(address.to_string()),
            Target::Otlp(url) => builder.otlp(OtlpConfig::new(url.trim_end_matches("/v1/traces"))),
        };
        let builder = match setup.propagation {
            Propagation::Jaeger => builder,
            Propagation::B3 => builder.format(B3Format::new("baggage-")),
            Propagation::W3c => builder.format(W3cFormat::new(&HeadersConfig::default())),
        };
        #[cfg(feature = "fast-clock")]
        let builder = builder.fast_clock();
        let (tracer, closer) = builder.build().map_err(|error| {
            eprintln!("{error}");
            "the tracer could not be built"
        })?;
        #[cfg(feature = "fast-clock")]
        wait_for_counter(&tracer)?;
        Ok(Self { tracer, closer, owned_spans: setup.owned_spans })
    }
}

impl Peer for Client {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        let tracer = &self.tracer;
        if self.owned_spans {
            return owned::work(tracer, case);
        }
        Ok(match case {
            Case::Unsampled | Case::Root => {
                Box::new(|| drop(black_box(tracer.start_span("GET /orders"))))
            }
            Case::UnsampledContext => Box::new(|| {
                black_box(tracer.start_span("GET /orders").context());
            }),
            Case::RootTags => Box::new(|| three_tags(&tracer.start_span("GET /orders"))),
            Case::Child => {
                let parent = tracer.start_span("GET /orders");
                Box::new(move || {
                    let span = tracer.span("SELECT").child_of(&parent).start();
                    three_tags(&span);
                    span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
                })
            }
            Case::RunTimeStrings => {
                let parent = tracer.start_span("GET /orders");
                let method = black_box(String::from("GET"));
                Box::new(move || {
                    let span = tracer.span("SELECT").child_of(&parent).start();
                    span.set_tag("http.method", black_box(method.as_str()));
                    span.set_tag("http.status_code", black_box(200));
                    span.set_tag("error", false);
                    span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
                })
            }
            Case::Tree => Box::new(|| tree(tracer)),
            Case::InjectExtract => {
                let context = tracer.start_span("GET /orders").context();
                Box::new(move || {
                    let mut headers = HashMap::<String, String>::new();
                    tracer.inject(&context, &mut headers);
                    black_box(tracer.extract(&headers).ok());
                })
            }
            Case::Encode100 => return Err("encoded by the caller, within the other cases"),
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

/// Waits until the processor's counter has been measured: until then, the system's clock is read.
#[cfg(feature = "fast-clock")]
fn wait_for_counter(tracer: &Tracer) -> Result<(), Unsupported> {
    let is_in_use = |_| {
        std::thread::sleep(Duration::from_millis(10));
        tracer.clock_source() == jaeger_client::ClockSource::Counter
    };
    let in_use = (0..1_000).any(is_in_use);
    in_use.then_some(()).ok_or("the processor's counter is not trusted here")
}

fn three_tags(span: &Span) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", black_box(200));
    span.set_tag("error", false);
}

fn tree(tracer: &Tracer) {
    let below = |parent: &Span| {
        let span = tracer.span("SELECT").child_of(parent).start();
        three_tags(&span);
        span
    };
    let root = tracer.start_span("GET /orders");
    three_tags(&root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
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
