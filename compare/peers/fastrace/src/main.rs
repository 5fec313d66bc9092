//! fastrace 0.7 with fastrace-jaeger: its thread sends.

use std::borrow::Cow;
use std::hint::black_box;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use fastrace::collector::{Config, EventRecord, Reporter, SpanId, SpanRecord, TraceId};
use fastrace::prelude::*;
use fastrace_jaeger::JaegerReporter;
use peer_harness::{Case, Peer, Propagation, Setup, Target, Unsupported, Work};

fn main() -> ExitCode {
    peer_harness::run(Client::start)
}

struct Client {
    sampled: bool,
    propagation: Propagation,
}

impl Client {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let config = Config::default();
        match &setup.target {
            Target::Discard => {
                fastrace::set_reporter(Discard, config.report_interval(Duration::from_secs(3_600)));
            }
            Target::Agent(address) => {
                let reporter = JaegerReporter::new(*address, "peers").map_err(|_| "no reporter")?;
                fastrace::set_reporter(reporter, config);
            }
            Target::Otlp(_) => return Err("OTLP is another crate, by OpenTelemetry's exporter"),
        }
        Ok(Self { sampled: setup.sampled, propagation: setup.propagation })
    }

    fn root(&self) -> Span {
        let context = SpanContext::new(TraceId::random(), SpanId::default());
        Span::root("GET /orders", context.sampled(self.sampled))
    }
}

impl Peer for Client {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        Ok(match case {
            Case::Unsampled | Case::Root => Box::new(|| drop(black_box(self.root()))),
            Case::UnsampledContext => Box::new(|| {
                black_box(SpanContext::from_span(&self.root()));
            }),
            Case::RootTags => Box::new(|| three_tags(&self.root(), "GET".into())),
            Case::Child => {
                let parent = self.root();
                Box::new(move || child_with_log(&parent, "GET".into()))
            }
            Case::RunTimeStrings => {
                let (parent, method) = (self.root(), black_box(String::from("GET")));
                Box::new(move || child_with_log(&parent, black_box(&method).clone().into()))
            }
            Case::Tree => Box::new(|| {
                let below = |parent: &Span| {
                    let span = Span::enter_with_parent("SELECT", parent);
                    three_tags(&span, "GET".into());
                    span
                };
                let root = self.root();
                three_tags(&root, "GET".into());
                for _ in 0..3 {
                    let child = below(&root);
                    for _ in 0..2 {
                        drop(below(&child));
                    }
                }
            }),
            Case::InjectExtract if self.propagation == Propagation::W3c => {
                let context = SpanContext::from_span(&self.root()).ok_or("no context")?;
                Box::new(move || {
                    let mut headers = std::collections::HashMap::<String, String>::new();
                    headers.insert("traceparent".to_owned(), context.encode_w3c_traceparent());
                    let header = headers.get("traceparent").map_or("", String::as_str);
                    black_box(SpanContext::decode_w3c_traceparent(header));
                })
            }
            Case::InjectExtract => return Err("knows `traceparent` alone"),
            Case::Encode100 => {
                let agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|_| "no socket")?;
                let address = agent.local_addr().map_err(|_| "no address")?;
                let mut reporter =
                    JaegerReporter::new(address, "peers").map_err(|_| "no reporter")?;
                let batch: Vec<SpanRecord> = (0..100).map(record).collect();
                // It takes a batch away: copies are made before.
                let mut copies: Vec<_> = (0..340).map(|_| batch.clone()).collect();
                Box::new(move || {
                    black_box(&agent);
                    reporter.report(copies.pop().unwrap_or_else(|| batch.clone()));
                })
            }
        })
    }

    fn drain(&self) {
        fastrace::flush();
    }

    fn close(self) -> Option<u64> {
        fastrace::flush();
        None
    }
}

/// All properties are text.
fn three_tags(span: &Span, method: Cow<'static, str>) {
    span.add_properties(|| {
        [
            ("http.method", method),
            ("http.status_code", black_box(200).to_string().into()),
            ("error", "false".into()),
        ]
    });
}

fn child_with_log(parent: &Span, method: Cow<'static, str>) {
    let span = Span::enter_with_parent("SELECT", parent);
    three_tags(&span, method);
    let key = || ("key", black_box(42).to_string());
    span.add_event(Event::new("cache miss").with_property(key));
}

fn record(place: u64) -> SpanRecord {
    SpanRecord {
        trace_id: TraceId(0x5af7_183f_b1d4_cf5f_5af7_183f_b1d4_cf5f),
        span_id: SpanId(0x6b22_1d5b_c9e6_496c + place),
        parent_id: SpanId(0x5af7_183f_b1d4_cf5f),
        begin_time_unix_ns: 1_700_000_000_000_000_000 + place,
        duration_ns: 12_345,
        name: "SELECT".into(),
        properties: vec![
            ("http.method".into(), "GET".into()),
            ("http.status_code".into(), "200".into()),
            ("error".into(), "false".into()),
        ],
        events: vec![EventRecord {
            name: "cache miss".into(),
            timestamp_unix_ns: 1_700_000_000_000_000_500,
            properties: vec![("key".into(), "42".into())],
        }],
        links: Vec::new(),
    }
}

struct Discard;

impl Reporter for Discard {
    fn report(&mut self, _spans: Vec<SpanRecord>) {}
}
