//! rustracing_jaeger 0.10, with a reporting thread of the application's as its documentation shows.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Receiver;
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};
use rustracing::sampler::{AllSampler, NullSampler};
use rustracing::tag::Tag;
use rustracing_jaeger::reporter::JaegerCompactReporter;
use rustracing_jaeger::span::{FinishedSpan, SpanContext};
use rustracing_jaeger::{Span, Tracer};

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

/// Spans that wait for the reporter, which is the application's to write.
const QUEUE: usize = 4_096;

/// Spans in a datagram: a hundred with three tags are well below its limit.
const BATCH: usize = 100;

struct Client {
    tracer: Tracer,
    waiting: Receiver<FinishedSpan>,
    consumer: JoinHandle<()>,
    propagation: Propagation,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let (sender, waiting) = crossbeam_channel::bounded(QUEUE);
        let tracer = if setup.sampled {
            Tracer::with_sender(AllSampler, sender)
        } else {
            Tracer::with_sender(NullSampler, sender)
        };
        let reporter = match &setup.target {
            Target::Discard => None,
            Target::Agent(address) => {
                let mut reporter = JaegerCompactReporter::new("peers")
                    .map_err(|_| "no reporter could be built")?;
                reporter.set_agent_addr(*address);
                Some(reporter)
            }
            Target::Otlp(_) => return Err("no OTLP"),
        };
        let spans = waiting.clone();
        let consumer = thread::spawn(move || consume(&spans, reporter.as_ref()));
        Ok(Self { tracer, waiting, consumer, propagation: setup.propagation })
    }

    fn encode(&self) -> Result<Work<'_>, Unsupported> {
        let agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|_| "no socket")?;
        let mut reporter = JaegerCompactReporter::new("peers").map_err(|_| "no reporter")?;
        reporter.set_agent_addr(agent.local_addr().map_err(|_| "no address")?);
        let (sender, finished) = crossbeam_channel::bounded(QUEUE);
        let tracer = Tracer::with_sender(AllSampler, sender);
        let parent = tracer.span("GET /orders").start();
        for _ in 0..100 {
            let mut span = tracer.span("SELECT").child_of(&parent).start();
            three_tags(&mut span);
            log(&mut span);
        }
        let spans: Vec<_> = finished.try_iter().collect();
        Ok(Box::new(move || {
            // The agent's socket lives as long as the work.
            black_box(&agent);
            let _ = reporter.report(&spans);
        }))
    }
}

/// Batches of what waits, at once: no less work a datagram than others, and no later.
fn consume(spans: &Receiver<FinishedSpan>, reporter: Option<&JaegerCompactReporter>) {
    while let Ok(span) = spans.recv() {
        let mut batch = vec![span];
        batch.extend(spans.try_iter().take(BATCH - 1));
        if let Some(reporter) = reporter {
            let _ = reporter.report(&batch);
        }
        if batch.len() < BATCH {
            thread::sleep(Duration::from_millis(1));
        }
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
        while !self.waiting.is_empty() {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn close(self) -> Option<u64> {
        drop(self.tracer);
        let _ = self.consumer.join();
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
