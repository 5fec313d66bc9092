//! cf-rustracing-jaeger 1, with a bounded queue and a reporting task of the application's.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use cf_rustracing::sampler::{AllSampler, NullSampler};
use cf_rustracing::tag::Tag;
use cf_rustracing_jaeger::reporter::JaegerCompactReporter;
use cf_rustracing_jaeger::span::{FinishedSpan, SpanContext};
use cf_rustracing_jaeger::{Span, Tracer};
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

/// Spans that wait for the reporter, which is the application's to write.
const QUEUE: usize = 4_096;

/// Spans in a datagram: a hundred with three tags are well below its limit.
const BATCH: usize = 100;

struct Client {
    tracer: Tracer,
    runtime: Runtime,
    consumer: JoinHandle<()>,
    propagation: Propagation,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let runtime = Runtime::new().map_err(|_| "no runtime")?;
        let (sender, spans) = mpsc::channel(QUEUE);
        let tracer = if setup.sampled {
            Tracer::with_consumer(AllSampler, sender)
        } else {
            Tracer::with_consumer(NullSampler, sender)
        };
        let reporter = match &setup.target {
            Target::Discard => None,
            Target::Agent(address) => Some(reporter(&runtime, *address)?),
            Target::Otlp(_) => return Err("no OTLP"),
        };
        let consumer = runtime.spawn(consume(spans, reporter));
        Ok(Self { tracer, runtime, consumer, propagation: setup.propagation })
    }

    fn encode(&self) -> Result<Work<'_>, Unsupported> {
        let agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|_| "no socket")?;
        let reporter = reporter(&self.runtime, agent.local_addr().map_err(|_| "no address")?)?;
        let (sender, mut finished) = mpsc::channel(QUEUE);
        let tracer = Tracer::with_consumer(AllSampler, sender);
        let parent = tracer.span("GET /orders").start();
        for _ in 0..100 {
            let mut span = tracer.span("SELECT").child_of(&parent).start();
            three_tags(&mut span);
            log(&mut span);
        }
        let spans: Vec<_> = std::iter::from_fn(|| finished.try_recv().ok()).collect();
        Ok(Box::new(move || {
            // The agent's socket lives as long as the work.
            black_box(&agent);
            let _ = self.runtime.block_on(reporter.report(&spans));
        }))
    }
}

fn reporter(runtime: &Runtime, agent: SocketAddr) -> Result<JaegerCompactReporter, Unsupported> {
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let reporter = runtime.block_on(JaegerCompactReporter::new("peers", agent, local));
    reporter.map_err(|_| "no reporter could be built")
}

/// Batches of what waits, at once: no less work a datagram than others, and no later.
async fn consume(mut spans: mpsc::Receiver<FinishedSpan>, reporter: Option<JaegerCompactReporter>) {
    let mut batch = Vec::with_capacity(BATCH);
    while spans.recv_many(&mut batch, BATCH).await > 0 {
        if let Some(reporter) = &reporter {
            let _ = reporter.report(&batch).await;
        }
        if batch.len() < BATCH {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        batch.clear();
    }
}

impl Peer for Client {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        let tracer = &self.tracer;
        Ok(match case {
            Case::Unsampled | Case::Root => {
                Box::new(|| drop(black_box(tracer.span("GET /orders").start())))
            }
            Case::UnsampledContext => return Err("a span that is not sampled has no context"),
            Case::RootTags => Box::new(|| three_tags(&mut tracer.span("GET /orders").start())),
            Case::Child | Case::RunTimeStrings => {
                let parent = tracer.span("GET /orders").start();
                let method = (case == Case::RunTimeStrings).then(|| black_box(String::from("GET")));
                Box::new(move || {
                    let mut span = tracer.span("SELECT").child_of(&parent).start();
                    match &method {
                        None => span.set_tag(|| Tag::new("http.method", "GET")),
                        Some(method) => {
                            span.set_tag(|| Tag::new("http.method", black_box(method).clone()));
                        }
                    }
                    two_tags(&mut span);
                    log(&mut span);
                })
            }
            Case::Tree => Box::new(|| tree(tracer)),
            Case::InjectExtract if self.propagation == Propagation::Jaeger => {
                let span = tracer.span("GET /orders").start();
                let context = span.context().ok_or("no context")?.clone();
                Box::new(move || {
                    let mut headers = HashMap::<String, String>::new();
                    let _ = context.inject_to_http_header(&mut headers);
                    let _ = black_box(SpanContext::extract_from_http_header(&headers));
                })
            }
            Case::InjectExtract => return Err("knows `uber-trace-id` alone"),
            Case::Encode100 => self.encode()?,
        })
    }

    fn drain(&self) {
        // It has no flush: its queue is empty by then.
        std::thread::sleep(Duration::from_millis(3));
    }

    fn close(self) -> Option<u64> {
        drop(self.tracer);
        let _ = self.runtime.block_on(self.consumer);
        None
    }
}

fn three_tags(span: &mut Span) {
    span.set_tag(|| Tag::new("http.method", "GET"));
    two_tags(span);
}

fn two_tags(span: &mut Span) {
    span.set_tag(|| Tag::new("http.status_code", black_box(200_i64)));
    span.set_tag(|| Tag::new("error", false));
}

fn log(span: &mut Span) {
    span.log(|log| {
        log.field(("event", "cache miss")).field(("key", black_box(42).to_string()));
    });
}

fn tree(tracer: &Tracer) {
    let below = |parent: &Span| {
        let mut span = tracer.span("SELECT").child_of(parent).start();
        three_tags(&mut span);
        span
    };
    let mut root = tracer.span("GET /orders").start();
    three_tags(&mut root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
    }
}
