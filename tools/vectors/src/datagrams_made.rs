//! The spans of a datagram's case, made with the tracer and sent by its reporter.
//!
//! The whole datagram must be the one that the recorded model gives, which is the one that Go sent.
//! What the public interface cannot make is skipped: contexts that are not valid or not
//! sampled, text that is not UTF-8.

use std::time::{Duration, SystemTime};

use jaeger_client::encoding::{BatchView, ClientStats};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{SpanContext, SpanId, TagValue, TraceId, Tracer};
use serde_json::Value;

use crate::carrier::Ids;
use crate::client;
use crate::json::{bits, int, integer, items, member, string, text, to_hex};
use crate::model::{Batch, shown_batch};
use crate::report::Checks;
use crate::value::{Field, fields};

/// `recorded` is the batch that the `model` describes.
pub(crate) fn run(
    input: &Value,
    model: &Value,
    recorded: &Batch,
    checks: &mut Checks,
) -> Result<(), String> {
    let max: usize = int(input, "max_tag_value_length")?;
    let spans: Option<Vec<_>> =
        items(input, "spans")?.iter().map(|span| Made::read(span).transpose()).collect();
    let process = fields(member(model, "process")?, "tags", false)?;
    let service = String::from_utf8(string(&model["process"]["serviceName"])?).ok();
    // None that is blank names a service here.
    let service = service.filter(|name| !name.trim().is_empty());
    let (Some(spans), Some(process), Some(service)) = (spans, process, service) else {
        return Ok(());
    };
    let spans: Vec<_> = spans.into_iter().collect::<Result<_, _>>()?;

    let transport = MemoryTransport::new();
    let builder = client::builder(&service).transport(transport.clone()).shards(1);
    let builder =
        process.into_iter().fold(builder, |builder, (key, value)| builder.tag(key, value));
    let (tracer, closer) = builder.max_tag_value_length(max).build().map_err(client::refused)?;
    spans.iter().for_each(|span| span.make(&tracer));
    client::close(closer)?;

    let recorded = recorded.view().with_seq_no(Some(1)).with_stats(Some(ClientStats::default()));
    let messages = transport.messages();
    checks.same("datagrams of the tracer", &1, &messages.len());
    if let Some(message) = messages.first() {
        let (_, batch) = BatchView::parse_message(message).map_err(|error| error.to_string())?;
        let [recorded_batch, batch] = [&recorded, &batch].map(shown_batch);
        checks.compare("made", &recorded_batch, &batch);
        if recorded_batch == batch {
            let recorded_message = to_hex(&recorded.to_message(1));
            checks.compare(
                "datagram of the tracer",
                &recorded_message.into(),
                &to_hex(message).into(),
            );
        }
    }
    Ok(())
}

/// How a span is made.
struct Made {
    context: SpanContext,
    operation: String,
    references: Vec<(bool, SpanContext)>,
    start: SystemTime,
    end: SystemTime,
    tags: Vec<Field>,
    logs: Vec<(SystemTime, Vec<Field>)>,
}

impl Made {
    /// None if the public interface cannot make it.
    fn read(span: &Value) -> Result<Option<Self>, String> {
        let ids = Ids::read(span)?;
        let mut references = Vec::new();
        for reference in items(span, "references")? {
            let high = bits(reference, "trace_id_high")?;
            let trace_id = TraceId::new(high, bits(reference, "trace_id_low")?);
            let span_id = SpanId::new(bits(reference, "span_id")?);
            let follows_from = match text(reference, "type")? {
                "child_of" => false,
                "follows_from" => true,
                other => return Err(format!("unknown reference {other:?}")),
            };
            references.push((follows_from, SpanContext::new(trace_id, span_id, SpanId::NONE, 1)));
        }
        let mut logs = Vec::new();
        for log in items(span, "logs")? {
            logs.push((time(integer(log, "timestamp_unix_ns")?)?, fields(log, "fields", true)?));
        }
        let operation = String::from_utf8(string(member(span, "operation")?)?);
        let tags = fields(span, "tags", false)?;
        let valid = references.iter().all(|(_, context)| context.is_valid());
        let (Ok(operation), Some(tags), true) = (operation, tags, ids.is_valid() && valid) else {
            return Ok(None);
        };
        let logs: Option<_> = logs.into_iter().map(|(at, fields)| Some((at, fields?))).collect();
        let sampled = ids.flags & 1 != 0;
        let acts = tags.iter().any(|(key, _)| key == "sampling.priority");
        let (Some(logs), true) = (logs, sampled && !acts) else {
            return Ok(None);
        };
        let start = integer(span, "start_unix_ns")?;
        let end = time(start + integer(span, "duration_ns")?)?;
        let (context, start) = (ids.context(), time(start)?);
        Ok(Some(Self { context, operation, references, start, end, tags, logs }))
    }

    fn make(&self, tracer: &Tracer) {
        let builder = tracer.span(self.operation.clone()).self_reference(&self.context);
        let builder = self.references.iter().fold(builder, |builder, (follows, context)| {
            if *follows { builder.follows_from(context) } else { builder.child_of(context) }
        });
        // Half of the tags are there from the start, half are set later: order is all that counts.
        let (early, late) = self.tags.split_at(self.tags.len() / 2);
        let builder = early.iter().fold(builder, |builder, (key, value)| builder.tag(key, value));
        let span = builder.start_time(self.start).start();
        for (key, value) in late {
            span.set_tag(key, value);
        }
        for (at, fields) in &self.logs {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| (key.as_str(), TagValue::from(value))).collect();
            span.log_at(*at, &fields);
        }
        span.finish_at(self.end);
    }
}

/// A moment given in nanoseconds since the Unix epoch.
pub(crate) fn time(unix_nanos: i128) -> Result<SystemTime, String> {
    let nanos = u64::try_from(unix_nanos.unsigned_abs()).map(Duration::from_nanos);
    let nanos = nanos.map_err(|_| format!("{unix_nanos} ns is no time"))?;
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if unix_nanos < 0 { epoch.checked_sub(nanos) } else { epoch.checked_add(nanos) };
    time.ok_or_else(|| format!("{unix_nanos} ns is no time here"))
}
