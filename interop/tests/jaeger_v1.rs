//! Every span sent to a Jaeger comes back from it as it was sent.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests wait and start threads; a step that fails is a test that fails"
)]

use std::time::{Duration, Instant};

use interop::backend::Backend;
use interop::gate;
use interop::grow::Plan;
use interop::query::Query;
use interop::span::{Field, Given, Wanted};
use jaeger_client::{AgentProtocol, Closer, Configuration, OwnedTagValue, ReporterConfig};

#[test]
fn spans_sent_as_compact_thrift_come_back_unchanged() {
    all_come_back("compact", AgentProtocol::Compact);
}

#[test]
fn spans_sent_as_binary_thrift_come_back_unchanged() {
    all_come_back("binary", AgentProtocol::Binary);
}

/// Sends 1, 10 and 5,000 spans to the port of this name and reads each of them back.
fn all_come_back(port: &str, protocol: AgentProtocol) {
    let Some(backend) = gate::enter(port, Backend::jaeger_v1) else { return };
    let began = Instant::now();
    let mut tally = Tally::new(backend.query());
    let process_tags = [
        ("region".to_owned(), Given::Str("západ".to_owned())),
        ("shard".to_owned(), Given::I64(-3)),
        ("spare".to_owned(), Given::Bool(true)),
    ];

    // (traces, spans in each, 128-bit ids, longest tag)
    let runs: [(usize, usize, bool, usize); 4] =
        [(1, 1, false, 256), (1, 10, true, 50_000), (25, 100, false, 256), (25, 100, true, 300)];
    let mut first = 1;
    for (run, (traces, spans, wide, max_tag_value_bytes)) in runs.into_iter().enumerate() {
        let service = format!("{port}-{run}");
        let config = Configuration {
            tags: process_tags.iter().map(owned).collect(),
            trace_id_128bit: wide,
            max_tag_value_length: max_tag_value_bytes,
            reporter: ReporterConfig {
                local_agent_host_port: backend.address(port).to_owned(),
                agent_protocol: protocol,
                ..ReporterConfig::default()
            },
            ..Configuration::new(service.as_str())
        };
        let (tracer, closer) = config.new_tracer().unwrap();
        let plan = Plan {
            tracer: &tracer,
            service: &service,
            process_tags: &process_tags,
            max_tag_value_bytes,
        };
        for number in first..first + traces {
            let wanted = plan.trace(number, spans);
            // The agent reads from a buffer of the kernel that may hold no more than a few full
            // datagrams, so a trace is sent when the one before it has arrived.
            let receipt = tracer.flush(PATIENCE);
            assert!(receipt.complete, "{receipt}");
            tally.read_back(&wanted);
        }
        first += traces;
        close(closer, traces * spans);
    }

    gate::say(&format!(
        "{} of {} spans back on {port} in {:.1} s",
        thousands(tally.back),
        thousands(tally.sent),
        began.elapsed().as_secs_f64()
    ));
    assert!(tally.wrong.is_empty(), "{} differ: {}", tally.wrong.len(), tally.shown());
    assert_eq!(tally.sent, 5_011);
    assert_eq!(tally.back, tally.sent, "{} missing on {port}", tally.sent - tally.back);
}

/// What came of the spans sent so far.
struct Tally {
    query: Query,
    sent: usize,
    back: usize,
    wrong: Vec<String>,
    /// Missing spans are waited for, but not forever.
    deadline: Instant,
}

impl Tally {
    fn new(query: Query) -> Self {
        let deadline = Instant::now() + 6 * PATIENCE;
        Self { query, sent: 0, back: 0, wrong: Vec::new(), deadline }
    }

    /// Waits for the spans of a trace and compares each with what it must be.
    fn read_back(&mut self, wanted: &[Wanted]) {
        self.sent += wanted.len();
        let trace_id = wanted[0].trace_id.to_string();
        let until = self.deadline.min(Instant::now() + PATIENCE);
        let got = self.query.wait(&trace_id, wanted.len(), until).unwrap();
        for wanted in wanted {
            let id = wanted.span_id.to_string();
            let mut found = got.iter().filter(|span| span["span"] == id.as_str());
            let Some(span) = found.next() else { continue };
            self.back += 1;
            if found.next().is_some() {
                self.wrong.push(format!("span {id} came twice"));
            }
            if let Err(difference) = wanted.check(span) {
                self.wrong.push(difference);
            }
        }
    }

    fn shown(&self) -> String {
        self.wrong.iter().take(3).map(|difference| format!("\n  {difference}")).collect()
    }
}

/// Closes the tracer; by its own account it must have sent all of `spans`.
fn close(closer: Closer, spans: usize) {
    let receipt = closer.close(PATIENCE);
    let stats = &receipt.stats;
    assert!(receipt.complete && stats.is_balanced(), "{receipt}");
    assert_eq!(stats.sent, spans as u64, "{receipt}");
}

fn owned((key, given): &Field) -> (String, OwnedTagValue) {
    let value = match given.clone() {
        Given::Str(text) => text.into(),
        Given::Bool(truth) => truth.into(),
        Given::I64(number) => number.into(),
        other => panic!("no process tag is like {other:?}"),
    };
    (key.clone(), value)
}

fn thousands(number: usize) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1000, number % 1000)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
