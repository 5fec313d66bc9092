//! Packing spans into datagrams: sizes, sequence numbers, reported losses.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use jaeger_client::encoding::{
    BatchView, List, ProcessView, SpanView, TagView, ValueView, put_tag,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, ConfigError, SpanContext, SpanId, TraceId, Tracer, TransportError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{self, PATIENCE};
use crate::deviations::{self, Rule};
use crate::json::member;
use crate::model::shown_stats;
use crate::report::Checks;

/// A sender, and the calls of it.
#[derive(Debug, Deserialize)]
struct Script {
    max_packet_size: usize,
    process_size: usize,
    /// What is kept free in each packet for everything but process and spans.
    emit_batch_overhead: usize,
    steps: Vec<Step>,
}

/// One call of a case.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Step {
    Append {
        op_len: usize,
        span_size: usize,
        /// How many spans the call sent or lost.
        returned_spans: usize,
        #[serde(default)]
        error: String,
    },
    Flush {
        returned_spans: usize,
    },
    /// The reporter lost so many spans in all to its full queue.
    SetReporterQueueDrops {
        value: i64,
    },
}

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let script = Script::read(case)?;
    for step in &script.steps {
        if let Step::Append { op_len, span_size, .. } = step {
            let name = vec![b'x'; *op_len];
            checks.same("span size", span_size, &span(&name).encoded_len());
        }
    }
    let mut recorded = member(member(case, "expected")?, "datagrams")?.clone();
    for datagram in recorded.as_array_mut().ok_or("datagrams are no list")? {
        for shown_again in ["first_16_bytes_hex", "message_type"] {
            datagram.as_object_mut().map(|members| members.remove(shown_again));
        }
    }
    let ran = match Sender::start(&script)? {
        Some(sender) => sender.run(&script)?,
        None => Err("this client refuses the packet size for that process"),
    };
    match ran {
        Ok(got) => checks.compare("datagrams", &recorded, &got.into()),
        Err(reason) => checks.skip(String::from(reason)),
    }
    Ok(())
}

impl Script {
    fn read(case: &Value) -> Result<Self, String> {
        let mut script = Self::deserialize(member(case, "input")?).map_err(|e| e.to_string())?;
        script.lose_early();
        Ok(script)
    }

    /// Moves losses to before the spans that are only buffered: they are reported as of the next datagram.
    fn lose_early(&mut self) {
        let is_only_buffered = |step: &Step| matches!(step, Step::Append { returned_spans: 0, .. });
        for at in 0..self.steps.len() {
            if matches!(self.steps[at], Step::SetReporterQueueDrops { .. }) {
                let before = self.steps[..at].iter().rposition(|step| !is_only_buffered(step));
                let first = before.map_or(0, |before| before + 1);
                self.steps[first..=at].rotate_right(1);
            }
        }
    }

    /// The lengths of names in the sender's buffer at the end, which the close here sends.
    fn unsent(&self) -> Vec<usize> {
        let mut names = Vec::new();
        let mut done = 0;
        for step in &self.steps {
            match step {
                // A span that is too large is lost at once.
                Step::Append { error, .. } if error == "span is too large" => {}
                Step::Append { op_len, returned_spans, .. } => {
                    names.push(*op_len);
                    done += returned_spans;
                }
                Step::Flush { returned_spans } => done += returned_spans,
                Step::SetReporterQueueDrops { .. } => {}
            }
        }
        names.split_off(done.min(names.len()))
    }

    /// Returns whether every span fits a packet together with the process.
    fn all_fit(&self) -> bool {
        let room = self.max_packet_size.saturating_sub(self.emit_batch_overhead);
        self.steps.iter().all(|step| match step {
            Step::Append { span_size, .. } => self.process_size + span_size <= room,
            _ => true,
        })
    }

    /// Returns whether a name of that length is one of the spans', whole or as a trimmed span has it.
    fn may_leave(&self, length: usize) -> bool {
        let is_whole =
            |step: &Step| matches!(step, Step::Append { op_len, .. } if *op_len == length);
        length <= 64
            || [256, 1_024, 4_096, 16_384].contains(&length)
            || self.steps.iter().any(is_whole)
    }
}

/// Why other datagrams may leave: Go drops a span that does not fit beside the process.
pub(crate) const RULES: &[Rule] = &[(deviations::TRIMMED, |case, at| {
    let Ok(script) = Script::read(case) else { return false };
    let is_length = |length: &Value| {
        let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
        length.is_some_and(|length| script.may_leave(length))
    };
    let names = match &at.got {
        Value::Object(datagram) => datagram["operation_name_lengths"].as_array().cloned(),
        length if at.place.contains("/operation_name_lengths/") && length.is_number() => {
            Some(vec![length.clone()])
        }
        _ => None,
    };
    at.is_in("datagrams")
        && !script.all_fit()
        && names.into_iter().flatten().all(|name| is_length(&name))
})];

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

/// The datagrams, or why the case cannot be run.
type Ran = Result<Vec<Value>, &'static str>;

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
        let builder = client::builder(SERVICE).transport(wire).shards(1);
        // One span may complete two datagrams, its own and the one before it.
        let loses =
            |step: &Step| matches!(step, Step::SetReporterQueueDrops { value } if *value > 0);
        let queue_size = if script.steps.iter().any(loses) { 1 } else { 100 };
        let builder = builder.queue_size(queue_size);
        let builder = builder.max_packet_size(script.max_packet_size);
        let builder = process(script.process_size)?
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

    fn run(mut self, script: &Script) -> Result<Ran, String> {
        let (mut datagrams, mut plugs) = (Vec::new(), 0);
        for step in &script.steps {
            match step {
                Step::Append { op_len, .. } => {
                    self.append(b'x', *op_len);
                    self.buffered = true;
                    // No span waits in the queue when the next one is appended.
                    client::wait_until("the queue", || self.tracer.stats().queue.spans == 0)?;
                }
                Step::Flush { .. } => {
                    // Not all at once at the end: losses are reported as of now.
                    let report = self.tracer.flush(PATIENCE);
                    if !report.complete {
                        return Err(format!("flush: {report}"));
                    }
                    self.buffered = false;
                }
                Step::SetReporterQueueDrops { .. } if self.buffered => {
                    return Ok(Err("drops while spans lie in the buffer"));
                }
                Step::SetReporterQueueDrops { value } if *value < self.drops => {
                    return Ok(Err("drops cannot be undone"));
                }
                Step::SetReporterQueueDrops { value } if *value > self.drops => {
                    for message in self.sent.try_iter() {
                        datagrams.push(shown(&message, plugs)?);
                    }
                    plugs += self.drop_spans(script, *value)?;
                }
                Step::SetReporterQueueDrops { .. } => {}
            }
        }
        let Self { closer, sent, .. } = self;
        client::close(closer)?;
        for message in sent.try_iter() {
            datagrams.push(shown(&message, plugs)?);
        }
        let unsent = script.unsent();
        if !unsent.is_empty() {
            datagrams.pop_if(|last| last["operation_name_lengths"] == json!(unsent));
        }
        Ok(Ok(datagrams))
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
    fn drop_spans(&mut self, script: &Script, total: i64) -> Result<u32, String> {
        // A span that fills a datagram is handed over as soon as it is finished.
        let room = script.max_packet_size - script.emit_batch_overhead - script.process_size;
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

/// Returns a datagram in the form of cases. `plugs` is the number of datagrams before it that are not part of the case.
fn shown(message: &[u8], plugs: u32) -> Result<Value, String> {
    let (seq_id, batch) = BatchView::parse_message(message).map_err(|error| error.to_string())?;
    Ok(json!({
        "batch_seqNo": batch.seq_no.unwrap_or_default() - i64::from(plugs),
        "thrift_seq_id": seq_id.wrapping_sub(plugs),
        "length": message.len(),
        "operation_name_lengths":
            batch.spans().map(|span| span.operation_name.len()).collect::<Vec<_>>(),
        "stats": shown_stats(batch.stats.unwrap_or_default()),
    }))
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
    fn processes_of_any_size_can_be_made() {
        for size in 70..400 {
            assert!(process(size).is_ok(), "{size}");
        }
        assert!(process(20).is_err());
    }
}
