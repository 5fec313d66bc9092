//! Packing spans into datagrams: sizes, sequence numbers, what is told about losses.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use jaeger_client::encoding::{
    BatchView, ClientStats, List, ProcessView, SpanView, TagView, ValueView, put_tag,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, ConfigError, SpanContext, SpanId, TraceId, Tracer, TransportError};
use serde_json::Value;

use crate::client::{self, PATIENCE};
use crate::deviations;
use crate::json::{int, items, member, present, text};
use crate::model;
use crate::report::Checks;
use crate::transport_rules;

/// One call of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Append {
        operation: usize,
        size: usize,
    },
    Flush,
    /// The reporter lost so many spans in all to its full queue.
    QueueDrops(i64),
}

impl Step {
    fn read(step: &Value) -> Result<Self, String> {
        Ok(match text(step, "op")? {
            "append" => {
                Self::Append { operation: int(step, "op_len")?, size: int(step, "span_size")? }
            }
            "flush" => Self::Flush,
            "set_reporter_queue_drops" => Self::QueueDrops(int(step, "value")?),
            other => return Err(format!("unknown step {other:?}")),
        })
    }
}

/// A sender and what is asked of it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) max_packet: usize,
    pub(crate) process: usize,
    /// What is kept free in each packet for everything but process and spans.
    pub(crate) reserve: usize,
    pub(crate) steps: Vec<Step>,
}

/// What is looked at in a datagram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Datagram {
    pub(crate) seq_no: i64,
    pub(crate) seq_id: u32,
    pub(crate) length: usize,
    /// The lengths of its spans' names.
    pub(crate) operations: Vec<usize>,
    pub(crate) stats: ClientStats,
}

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let script = Script::read(member(case, "input")?)?;
    for step in &script.steps {
        if let Step::Append { operation, size } = step {
            let name = vec![b'x'; *operation];
            checks.same("span size", size, &span(&name).encoded_len());
        }
    }
    let expected = recorded(items(member(case, "expected")?, "datagrams")?)?;
    let (packed, left) = transport_rules::packed(&script);
    let expected = if script.all_fit() {
        expected
    } else {
        checks.deviates(deviations::TRIMMED);
        packed
    };
    let ran = match Sender::start(&script)? {
        Some(sender) => sender.run(&script, &left)?,
        None => Ran::Cannot("this client refuses the packet size for that process"),
    };
    match ran {
        Ran::Done(got) => checks.same("datagrams", &expected, &got),
        Ran::Cannot(reason) => checks.skip(String::from(reason)),
    }
    Ok(())
}

impl Script {
    fn read(input: &Value) -> Result<Self, String> {
        Ok(Self {
            max_packet: int(input, "max_packet_size")?,
            process: int(input, "process_size")?,
            reserve: int(input, "emit_batch_overhead")?,
            steps: items(input, "steps")?.iter().map(Step::read).collect::<Result<_, _>>()?,
        })
    }

    /// Returns whether every span fits a packet together with the process.
    fn all_fit(&self) -> bool {
        let room = self.max_packet.saturating_sub(self.reserve);
        self.steps.iter().all(|step| match step {
            Step::Append { size, .. } => self.process + size <= room,
            _ => true,
        })
    }
}

fn recorded(datagrams: &[Value]) -> Result<Vec<Datagram>, String> {
    let read = |datagram: &Value| {
        let lengths = items(datagram, "operation_name_lengths")?.iter();
        let length = |value: &Value| value.as_u64().and_then(|length| length.try_into().ok());
        Ok(Datagram {
            seq_no: int(datagram, "batch_seqNo")?,
            seq_id: int(datagram, "thrift_seq_id")?,
            length: int(datagram, "length")?,
            operations: lengths.map(length).collect::<Option<_>>().ok_or("odd lengths")?,
            stats: present(datagram, "stats").map(model::stats).transpose()?.unwrap_or_default(),
        })
    };
    datagrams.iter().map(read).collect()
}

const START_MICROS: u64 = 1_600_000_000_123_456;
const DURATION_MICROS: u64 = 1500;

/// The span that each append hands over.
fn span(operation: &[u8]) -> SpanView<'_> {
    let mut view = SpanView::default();
    view.trace_id = TraceId::new(0, 0x0123_4567_89ab_cdef);
    view.span_id = SpanId::new(0x0123_4567_89ab_cdef);
    view.operation_name = operation;
    view.flags = 1;
    view.start_time_micros = START_MICROS.cast_signed();
    view.duration_micros = DURATION_MICROS.cast_signed();
    view.references = Some(Default::default());
    view.tags = Some(Default::default());
    view.logs = Some(Default::default());
    view
}

/// The size of such a span with a name of that length, and the tag that says what was cut from it.
pub(crate) fn marked_span_size(operation: usize, mark: &str) -> usize {
    let (name, mut tags) = (vec![b'x'; operation], Vec::new());
    put_tag(&mut tags, TagView::new(b"jaeger.trimmed", ValueView::Str(mark.as_bytes())));
    let mut marked = span(&name);
    marked.tags = Some(List::new(1, &tags));
    marked.encoded_len()
}

/// A tracer whose datagrams are looked at one by one.
struct Sender {
    tracer: Tracer,
    closer: Closer,
    sent: mpsc::Receiver<Vec<u8>>,
    gate: Arc<Mutex<()>>,
    /// Spans that were lost to the full queue so far.
    drops: i64,
    /// Spans in the tracer's buffer.
    buffered: bool,
}

enum Ran {
    Done(Vec<Datagram>),
    /// What the case asks for cannot be brought about.
    Cannot(&'static str),
}

/// Hands datagrams over to the case. It waits for the gate after that, so that a case can stop it.
#[derive(Debug)]
struct Wire {
    sent: mpsc::Sender<Vec<u8>>,
    gate: Arc<Mutex<()>>,
}

impl Transport for Wire {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let _nobody_looks = self.sent.send(message.to_vec());
        drop(self.gate.lock());
        Ok(Sent::OK)
    }
}

/// The first letter of the names of spans that are sent to fill the queue.
const PLUG: u8 = b'p';

impl Sender {
    /// None if the size of packets is one that the tracer does not take.
    fn start(script: &Script) -> Result<Option<Self>, String> {
        let (sent, receiver) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let wire = Wire { sent, gate: Arc::clone(&gate) };
        let builder = client::builder(SERVICE).transport(wire).shards(1).queue_size(1);
        let builder = builder.max_packet_size(script.max_packet);
        let builder = process(script.process)?
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.tag(key, value));
        match builder.max_tag_value_length(1 << 16).build() {
            Ok((tracer, closer)) => {
                Ok(Some(Self { tracer, closer, sent: receiver, gate, drops: 0, buffered: false }))
            }
            Err(ConfigError::Invalid { field: "reporter.max_packet_size", .. }) => Ok(None),
            Err(error) => Err(client::refused(error)),
        }
    }

    /// Does the steps; `left` says how many datagrams should have left after each.
    fn run(mut self, script: &Script, left: &[usize]) -> Result<Ran, String> {
        let (mut datagrams, mut plugs) = (Vec::new(), 0);
        for (step, left) in script.steps.iter().zip(left) {
            match step {
                Step::Append { operation, .. } => {
                    self.append(b'x', *operation);
                    self.buffered = true;
                }
                Step::Flush => {
                    // Not all at once in the end: what is told about losses is as of now.
                    let report = self.tracer.flush(PATIENCE);
                    if !report.complete {
                        return Err(format!("flush: {report}"));
                    }
                    self.buffered = false;
                }
                Step::QueueDrops(_) if self.buffered => {
                    return Ok(Ran::Cannot("drops while spans lie in the buffer"));
                }
                Step::QueueDrops(total) if *total < self.drops => {
                    return Ok(Ran::Cannot("drops cannot be undone"));
                }
                Step::QueueDrops(total) if *total > self.drops => {
                    plugs += self.drop_spans(script, *total)?;
                }
                Step::QueueDrops(_) => {}
            }
            while datagrams.len() < *left {
                let Ok(message) = self.sent.recv_timeout(PATIENCE) else { break };
                datagrams.push(parse(&message, plugs)?);
            }
        }
        client::close(self.closer)?;
        for message in self.sent.try_iter() {
            datagrams.push(parse(&message, plugs)?);
        }
        Ok(Ran::Done(datagrams))
    }

    fn append(&self, letter: u8, length: usize) {
        let name = char::from(letter).to_string().repeat(length);
        let model = span(b"");
        let context = SpanContext::new(model.trace_id, model.span_id, SpanId::NONE, 1);
        let start = SystemTime::UNIX_EPOCH + Duration::from_micros(START_MICROS);
        let span = self.tracer.span(name).self_reference(&context).start_time(start).start();
        span.finish_at(start + Duration::from_micros(DURATION_MICROS));
    }

    /// Loses spans to a full queue until there are `total`. Gives how many datagrams that took.
    fn drop_spans(&mut self, script: &Script, total: i64) -> Result<usize, String> {
        // A span that fills a datagram is handed over as soon as it is finished.
        let room = script.max_packet - script.reserve - script.process;
        let length =
            (0..=room).rev().find(|length| span(&vec![PLUG; *length]).encoded_len() <= room);
        let length = length
            .filter(|length| span(&vec![PLUG; *length]).encoded_len() == room)
            .ok_or("no span fills a datagram exactly")?;
        let held = self.gate.lock();
        self.append(PLUG, length);
        self.sent.recv_timeout(PATIENCE).map_err(|_| "the reporter does not send")?;
        // It waits at the gate now: the next one stays in the queue, and the others are lost.
        self.append(PLUG, length);
        for _ in self.drops..total {
            self.append(PLUG, length);
        }
        self.drops = total;
        let lost = self.tracer.stats().dropped.queue_full;
        drop(held);
        self.sent.recv_timeout(PATIENCE).map_err(|_| "the reporter does not send")?;
        if i64::try_from(lost) == Ok(total) {
            Ok(2)
        } else {
            Err(format!("{lost} spans were lost to the queue, not {total}"))
        }
    }
}

/// Reads a datagram; `plugs` went before that the case knows nothing of.
fn parse(message: &[u8], plugs: usize) -> Result<Datagram, String> {
    let (seq_id, batch) = BatchView::parse_message(message).map_err(|error| error.to_string())?;
    let plugs = u32::try_from(plugs).map_err(|error| error.to_string())?;
    Ok(Datagram {
        seq_no: batch.seq_no.unwrap_or_default() - i64::from(plugs),
        seq_id: seq_id.wrapping_sub(plugs),
        length: message.len(),
        operations: batch.spans().map(|span| span.operation_name.len()).collect(),
        stats: batch.stats.unwrap_or_default(),
    })
}

const SERVICE: &str = "s";

/// Tags with which a process takes exactly so many bytes.
fn process(size: usize) -> Result<Vec<(&'static str, String)>, String> {
    let tags = |padding: [usize; 2]| {
        let value = |length: usize| "v".repeat(length);
        let [first, second] = padding.map(value);
        let none = String::new;
        vec![
            ("jaeger.version", first),
            ("hostname", second),
            ("ip", none()),
            ("client-uuid", none()),
        ]
    };
    let size_of = |tags: &[(&str, String)]| {
        let mut bytes = Vec::new();
        for (key, value) in tags {
            put_tag(&mut bytes, TagView::new(key.as_bytes(), ValueView::Str(value.as_bytes())));
        }
        let list = List::new(tags.len(), &bytes);
        ProcessView::new(SERVICE.as_bytes(), Some(list)).to_bytes().len()
    };
    let missing = size.saturating_sub(size_of(&tags([0, 0])));
    // A length that takes a byte more skips a size; the second tag makes up for it.
    (0..=missing)
        .rev()
        .take(4)
        .flat_map(|first| (0..4).map(move |second| tags([first, second])))
        .find(|tags| size_of(tags) == size)
        .ok_or_else(|| format!("no process of {size} bytes can be made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_give_what_was_recorded_where_every_span_fits() {
        let file =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/transport_public.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut held = 0;
        for case in items(&file, "cases").unwrap() {
            let script = Script::read(&case["input"]).unwrap();
            if script.all_fit() {
                let expected = items(&case["expected"], "datagrams").unwrap();
                let (packed, _) = transport_rules::packed(&script);
                assert_eq!(packed, recorded(expected).unwrap(), "{}", case["name"]);
                held += 1;
            }
        }
        assert_eq!(held, 7);
    }

    #[test]
    fn processes_of_any_size_can_be_made() {
        for size in 70..400 {
            assert!(process(size).is_ok(), "{size}");
        }
        assert!(process(20).is_err());
    }
}
