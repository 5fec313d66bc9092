//! What the OTLP encoder costs a span, beside `prost` with the same messages:
//! `cargo bench -p jaeger-client --features otlp --bench otlp`.
//!
//! Spans are made by a tracer. `prost` is measured twice: with its messages made from the same
//! canonical bytes, as a client that encodes by it must, and with messages that are there already. So
//! is the encoder: with the canonical bytes read, and without, which is what reading alone leaves.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]
#![allow(clippy::disallowed_methods, reason = "a tool waits")]

#[path = "../../xtask/src/callgrind.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are run where it belongs")]
mod callgrind;
mod convert;
#[path = "../../tests/support/otlp.rs"]
#[allow(dead_code, reason = "the tests read answers by it, too")]
mod messages;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use jaeger_client::encoding::{BatchView, List, OtlpEncoder, SpanView};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{Span, SpanContext, SpanId, TraceId, Tracer};
use prost::Message;

use self::messages::Request;
/// What a measurement gives.
type Outcome<T = ExitCode> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // What `cargo bench` adds by itself.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let outcome = match &arguments[..] {
        [case, name, way] if case == "case" => run_case(name, way),
        _ => report(arguments.first().map_or("", String::as_str)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("otlp: {error}");
        ExitCode::from(2)
    })
}

/// Measures all cases, or those whose name contains `wanted`.
fn report(wanted: &str) -> Outcome {
    if !callgrind::is_there() {
        eprintln!("valgrind is not installed, and instructions are counted by its callgrind tool.");
        return Ok(ExitCode::from(3));
    }
    println!(
        "| instructions a span | encoder | ceiling | prost | ratio | writing alone | \
         prost, messages there | ratio | bytes | of Thrift | allocations |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    let mut exceeded = false;
    for case in CASES.iter().filter(|case| case.name.contains(wanted)) {
        let cost = |way: Way| -> Outcome<u64> {
            let arguments = ["case", case.name, way.name()];
            Ok(callgrind::own_counts(&arguments, MEASURED).map(|counts| counts.instructions)?
                / (ROUNDS * SPANS))
        };
        let [encoder, reading] = [cost(Way::Encoder)?, cost(Way::Reading)?];
        let [prost, messages_there] = [cost(Way::Prost)?, cost(Way::ProstMessages)?];
        let writing = encoder.saturating_sub(reading);
        let message = case.message()?;
        let batch = read(&message)?;
        let bytes = batch.to_otlp()?.len() as u64;
        let (whole, alone) = (ratio(encoder, prost), ratio(writing, messages_there));
        exceeded |= encoder > case.ceiling || whole > GOAL || alone > GOAL;
        println!(
            "| {} | {encoder} | ≤ {} | {prost} | {whole:.2} | {writing} | {messages_there} | \
             {alone:.2} | {} | {:.2} | {} |",
            case.name,
            case.ceiling,
            bytes / SPANS,
            ratio(bytes, batch.spans.bytes.len() as u64),
            Way::Encoder.run(&batch)?,
        );
    }
    Ok(if exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the encoder takes of the instructions of `prost`, at most.
const GOAL: f64 = 0.4;

#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred spans")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// Runs one case with one encoder, without output: the process that callgrind measures.
fn run_case(name: &str, way: &str) -> Outcome {
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let way = WAYS.iter().find(|other| other.name() == way).ok_or("no such way")?;
    way.run(&read(&case.message()?)?)?;
    Ok(ExitCode::SUCCESS)
}

fn read(message: &[u8]) -> Outcome<BatchView<'_>> {
    Ok(BatchView::parse_message(message)?.1)
}

/// How a request is made of canonical spans.
#[derive(Clone, Copy)]
enum Way {
    Encoder,
    /// By the encoder, of spans whose ids are zero: they are read, and not written.
    Reading,
    /// By `prost`, with the messages made from the spans each time.
    Prost,
    /// By `prost`, with messages that are there.
    ProstMessages,
}

const WAYS: [Way; 4] = [Way::Encoder, Way::Reading, Way::Prost, Way::ProstMessages];

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Reading => "reading",
            Self::Prost => "prost",
            Self::ProstMessages => "prost-messages",
        }
    }

    /// Runs the rounds, and gives how often those that are measured allocate.
    fn run(self, batch: &BatchView<'_>) -> Outcome<u64> {
        let mut encoder = OtlpEncoder::new(&batch.process);
        let request = convert::request(batch);
        let whole = batch.to_otlp()?;
        if Request::decode(&*whole)? != request {
            return Err("the encoder and prost do not write the same".into());
        }
        let unnamed: Vec<u8> = batch.spans().flat_map(|span| without_ids(&span)).collect();
        let unnamed = List::new(batch.spans.count, &unnamed);
        let length = if matches!(self, Self::Reading) { 0 } else { whole.len() };
        let mut out = Vec::new();
        let mut allocations = 0;
        for round in 0..=ROUNDS {
            let mut work = || match self {
                Self::Encoder => encoded(&mut encoder, batch.spans),
                Self::Reading => encoded(&mut encoder, unnamed),
                Self::Prost => encode(&convert::request(batch), &mut out),
                Self::ProstMessages => encode(&request, &mut out),
            };
            if round == 0 {
                work();
                continue;
            }
            let mut written = 0;
            let info = allocation_counter::measure(|| written = measured_encoding(&mut work));
            allocations += info.count_total;
            if written != length {
                return Err(format!("{written} bytes were written, not {length}").into());
            }
        }
        Ok(allocations)
    }
}

fn encoded(encoder: &mut OtlpEncoder, spans: List<'_>) -> usize {
    let request = encoder.encode(spans, usize::MAX);
    request.map(|request| request.bytes.len()).unwrap_or_default()
}

fn without_ids(span: &SpanView<'_>) -> Vec<u8> {
    let (mut span, mut bytes) = (*span, Vec::new());
    span.span_id = SpanId::NONE;
    span.encode(&mut bytes);
    bytes
}

fn encode(request: &Request, out: &mut Vec<u8>) -> usize {
    out.clear();
    // Into a vector it cannot fail.
    let _ = request.encode(out);
    out.len()
}

/// Returns what callgrind counts. Its name is what callgrind looks for.
#[inline(never)]
fn measured_encoding(work: &mut impl FnMut() -> usize) -> usize {
    black_box(work())
}

const MEASURED: &str = "measured_encoding";
const ROUNDS: u64 = 3;

/// Spans of a request.
const SPANS: u64 = 50;

/// One kind of span.
struct Case {
    name: &'static str,
    /// What has been reached so far and must not be lost again.
    ceiling: u64,
    make: fn(&Tracer),
}

impl Case {
    /// The tracer's message with the spans of this case.
    fn message(&self) -> Outcome<Vec<u8>> {
        let memory = MemoryTransport::new();
        let (tracer, closer) = Tracer::builder("otlp")
            .tag("region", "eu-west-1")
            .trace_id_128bit(true)
            .transport(memory.clone())
            .flush_interval(Duration::from_secs(3_600))
            .build()?;
        (0..SPANS).for_each(|_| (self.make)(&tracer));
        drop(tracer);
        let _ = closer.close(Duration::from_secs(30));
        match &memory.messages()[..] {
            [message] => Ok(message.clone()),
            messages => Err(format!("{} messages in place of one", messages.len()).into()),
        }
    }
}

const CASES: &[Case] = &[
    Case {
        name: "root + 3 tags",
        ceiling: 2_600,
        make: |tracer| three_tags(&tracer.start_span("GET /orders")),
    },
    Case {
        name: "child + 3 tags + log of 2 fields",
        ceiling: 3_150,
        make: |tracer| {
            let span = child(tracer);
            three_tags(&span);
            span.log(&[("event", "cache miss".into()), ("key", 42.into())]);
        },
    },
    Case {
        name: "server of a request, 9 tags",
        ceiling: 4_000,
        make: |tracer| {
            let span = child(tracer);
            three_tags(&span);
            span.set_tag("span.kind", "server");
            span.set_tag("component", "net/http");
            span.set_tag("http.url", "https://shop.example.com/orders/1234567?expand=customer");
            span.set_tag("peer.ipv4", "10.11.12.13");
            span.set_tag("peer.port", 51_234);
            span.set_tag("share", 0.25);
        },
    },
    Case {
        name: "32 tags, 4 logs of 3 fields",
        ceiling: 15_000,
        make: |tracer| {
            let span = child(tracer);
            for n in 0..16 {
                span.set_tag(&format!("tag-{n}"), "text");
                span.set_tag(&format!("number-{n}"), 1_000 + n);
            }
            for n in 0..4 {
                span.log(&[("event", "retry".into()), ("n", n.into()), ("host", "db-3".into())]);
            }
        },
    },
];

fn child(tracer: &Tracer) -> Span {
    let parent = SpanContext::new(TraceId::new(1, 2), SpanId::new(3), SpanId::NONE, 1);
    tracer.span("SELECT").child_of(&parent).start()
}

fn three_tags(span: &Span) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", 200);
    span.set_tag("error", false);
}
