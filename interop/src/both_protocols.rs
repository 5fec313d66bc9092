//! Sends one span to a server twice, as Thrift and as OTLP, and lists the differences between what the
//! server returns.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use jaeger_client::encoding::{
    BatchView, List, LogView, ProcessView, ReferenceView, SpanView, TagView, ValueView, put_log,
    put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};
use serde_json::Value;

use crate::backend::{Backend, Kind};
use crate::opt_in::StepResult;
use crate::otlp::Lines;
use crate::otlp_client::OtlpClient;
use crate::span::list;

/// Tags: keys with values.
pub type Tags = Vec<(&'static [u8], ValueView<'static>)>;

/// A span; tests set the fields that they are about.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make it")]
pub struct Input {
    /// The operation name.
    pub operation: &'static [u8],
    /// The id of the parent.
    pub parent: u64,
    /// Bit 1 sampled, 2 debug, 8 firehose.
    pub flags: i32,
    /// Microseconds since the Unix epoch.
    pub start: i64,
    /// Microseconds.
    pub duration: i64,
    /// Its tags.
    pub tags: Tags,
    /// Its logs.
    pub logs: Vec<(i64, Tags)>,
    /// References: whether it is `FOLLOWS_FROM`, the trace if it is another one, and the span id.
    pub references: Vec<(bool, Option<TraceId>, u64)>,
    /// Tags of the process.
    pub process: Tags,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            operation: b"GET /orders",
            parent: 0,
            flags: 1,
            start: 1_700_000_000_000_001,
            duration: 1_234,
            tags: Vec::new(),
            logs: Vec::new(),
            references: Vec::new(),
            process: Vec::new(),
        }
    }
}

impl Input {
    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: &'static str, value: ValueView<'static>) -> Self {
        self.tags.push((key.as_bytes(), value));
        self
    }

    /// Adds a tag with a text.
    #[must_use]
    pub fn text(self, key: &'static str, text: &'static str) -> Self {
        self.tag(key, ValueView::Str(text.as_bytes()))
    }

    /// Adds a log with one field.
    #[must_use]
    pub fn log(mut self, key: &'static str, value: ValueView<'static>) -> Self {
        self.logs.push((self.start + 1, vec![(key.as_bytes(), value)]));
        self
    }

    /// The canonical bytes of the span, in this trace.
    fn encode(&self, trace: TraceId) -> Vec<u8> {
        let (mut logs, mut references) = (Vec::new(), Vec::new());
        for (at, fields) in &self.logs {
            let bytes = tags(fields);
            put_log(&mut logs, LogView::new(*at, List::new(fields.len(), &bytes)));
        }
        for (follows, other, span) in &self.references {
            let reference =
                ReferenceView::new(*follows, other.unwrap_or(trace), SpanId::new(*span));
            put_reference(&mut references, reference);
        }
        let of_span = tags(&self.tags);
        let mut view = SpanView::default();
        view.trace_id = trace;
        view.span_id = SpanId::new(SPAN);
        view.parent_span_id = SpanId::new(self.parent);
        view.operation_name = self.operation;
        view.flags = self.flags;
        view.start_time_micros = self.start;
        view.duration_micros = self.duration;
        view.references = Some(List::new(self.references.len(), &references));
        view.tags = Some(List::new(self.tags.len(), &of_span));
        view.logs = Some(List::new(self.logs.len(), &logs));
        let mut bytes = Vec::new();
        view.encode(&mut bytes);
        bytes
    }
}

/// The id of the span itself.
pub const SPAN: u64 = 0x5a5a;

fn tags(tags: &Tags) -> Vec<u8> {
    let mut bytes = Vec::new();
    tags.iter().for_each(|(key, value)| put_tag(&mut bytes, TagView::new(key, *value)));
    bytes
}

/// A server that receives both Thrift and OTLP.
#[derive(Debug)]
pub struct BothProtocols {
    backend: Backend,
    /// How many spans were sent, each in two separate traces.
    sent: u64,
}

impl BothProtocols {
    /// Starts Jaeger v2, or the OpenTelemetry Collector.
    ///
    /// # Errors
    ///
    /// As [`Backend::start`].
    pub fn start(kind: Kind) -> StepResult<Self> {
        Ok(Self { backend: Backend::start(kind)?, sent: 0 })
    }

    /// Sends a span as Thrift to the agent's port, and the same span in another trace as OTLP.
    ///
    /// # Errors
    ///
    /// A message, if a span could not be sent or read back.
    pub fn send(&mut self, input: &Input) -> StepResult<[Value; 2]> {
        self.both(input, [Self::send_thrift, Self::send_otlp])
    }

    /// Sends a span as OTLP in JSON, and the same span in another trace as OTLP in protobuf.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_json(&mut self, input: &Input) -> StepResult<[Value; 2]> {
        self.both(input, [Self::send_otlp_json, Self::send_otlp])
    }

    fn both(
        &mut self,
        input: &Input,
        senders: [fn(&Self, &BatchView<'_>) -> StepResult<()>; 2],
    ) -> StepResult<[Value; 2]> {
        self.sent += 1;
        let process_tags = tags(&input.process);
        let process_tags = Some(List::new(input.process.len(), &process_tags));
        let mut spans = [Value::Null, Value::Null];
        for ((send, span), trace_high) in senders.iter().zip(&mut spans).zip(1..) {
            let trace = TraceId::new(trace_high << 32, self.sent);
            let bytes = input.encode(trace);
            let process = ProcessView::new(b"both-protocols", process_tags);
            send(self, &BatchView::new(process, List::new(1, &bytes)))?;
            *span = self.read_back(trace)?;
            rename(span, &trace.to_string(), "TRACE");
        }
        Ok(spans)
    }

    fn send_thrift(&self, batch: &BatchView<'_>) -> StepResult<()> {
        let sent = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
            socket.send_to(&batch.to_message(1), self.backend.address("compact"))
        });
        sent.map(drop).map_err(|error| error.to_string())
    }

    fn send_otlp(&self, batch: &BatchView<'_>) -> StepResult<()> {
        self.otlp().post(&batch.process, batch.spans)
    }

    fn send_otlp_json(&self, batch: &BatchView<'_>) -> StepResult<()> {
        let json = batch.to_otlp_json().map_err(|error| error.to_string())?;
        self.otlp().post_request(&json, "application/json")
    }

    fn otlp(&self) -> OtlpClient {
        OtlpClient::new(self.backend.address("otlp_http"))
    }

    /// Waits for the span of a trace, and returns it in the form of [`crate::span::read_back`].
    fn read_back(&self, trace: TraceId) -> StepResult<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            let trace = trace.to_string();
            let mut spans = match self.backend.kind() {
                Kind::OtelCollector => Lines::new(self.backend.address("output")).spans(&trace)?,
                _ => self.backend.query().spans(&trace)?,
            };
            match spans.pop() {
                Some(span) => return Ok(span),
                None if Instant::now() > until => {
                    return Err(format!("trace {trace} was not stored in {TIMEOUT:?}"));
                }
                None => std::thread::sleep(crate::command::INTERVAL),
            }
        }
    }
}

/// Replaces a text by another one, wherever it is the whole text.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, from, to)),
        _ => {}
    }
}

/// Returns the differences between two spans as lines: the field, the protocol, the value.
#[must_use]
pub fn differences([thrift, otlp]: &[Value; 2]) -> Vec<String> {
    let mut lines = Vec::new();
    for (field, by_thrift) in thrift.as_object().into_iter().flatten() {
        let by_otlp = &otlp[field];
        if by_thrift.is_array() || by_otlp.is_array() {
            let alone = |these: &Value, those: &Value, protocol: &str| {
                let mut others: Vec<_> = list(those).map(sorted).collect();
                let mut alone = Vec::new();
                for item in list(these).map(sorted) {
                    match others.iter().position(|other| *other == item) {
                        Some(at) => drop(others.swap_remove(at)),
                        None => alone.push(format!("{field} {protocol}: {item}")),
                    }
                }
                alone
            };
            lines.extend(alone(by_thrift, by_otlp, "thrift"));
            lines.extend(alone(by_otlp, by_thrift, "otlp"));
        } else if by_thrift != by_otlp {
            lines.push(format!("{field} thrift: {by_thrift}"));
            lines.push(format!("{field} otlp: {by_otlp}"));
        }
    }
    lines
}

/// Sorts the fields of a log, which servers return in any order.
fn sorted(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.get_mut(1).and_then(Value::as_array_mut) {
        fields.sort_by_key(Value::to_string);
    }
    item
}

const TIMEOUT: Duration = Duration::from_secs(60);
