//! The Thrift model of a batch as a case describes it, written with the client's own writers.

use jaeger_client::encoding::{
    BatchView, ClientStats, List, LogView, ProcessView, ReferenceView, SpanView, TagView, put_log,
    put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};
use serde_json::{Value, json};

use crate::json::{int, member, present, text};
pub(crate) use crate::json::{string, text_or_hex};
use crate::value::{TypedValue, shown_tag};

/// Elements that the client's writers have written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Elements {
    count: usize,
    bytes: Vec<u8>,
}

impl Elements {
    pub(crate) fn list(&self) -> List<'_> {
        List::new(self.count, &self.bytes)
    }

    /// Writes each element of a list that may be missing.
    fn of<'a>(
        list: Option<&'a Value>,
        mut put: impl FnMut(&mut Vec<u8>, &'a Value) -> Result<(), String>,
    ) -> Result<Option<Self>, String> {
        let Some(list) = list else {
            return Ok(None);
        };
        let list = list.as_array().ok_or_else(|| format!("no list: {list}"))?;
        let mut elements = Self { count: list.len(), bytes: Vec::new() };
        list.iter().try_for_each(|element| put(&mut elements.bytes, element))?;
        Ok(Some(elements))
    }
}

fn span(out: &mut Vec<u8>, span: &Value) -> Result<(), String> {
    let id = |key| int::<i64>(span, key).map(i64::cast_unsigned);
    let operation = string(member(span, "operationName")?)?;
    let references = Elements::of(present(span, "references"), reference)?;
    let tags = Elements::of(present(span, "tags"), tag)?;
    let logs = Elements::of(present(span, "logs"), log)?;
    let mut view = SpanView::default();
    view.trace_id = TraceId::new(id("traceIdHigh")?, id("traceIdLow")?);
    view.span_id = SpanId::new(id("spanId")?);
    view.parent_span_id = SpanId::new(id("parentSpanId")?);
    view.flags = int(span, "flags")?;
    view.start_time_micros = int(span, "startTime")?;
    view.duration_micros = int(span, "duration")?;
    view.operation_name = &operation;
    view.references = references.as_ref().map(Elements::list);
    view.tags = tags.as_ref().map(Elements::list);
    view.logs = logs.as_ref().map(Elements::list);
    view.encode(out);
    Ok(())
}

/// A batch as `thrift_batch` describes it.
#[derive(Debug)]
pub(crate) struct Batch {
    service: Vec<u8>,
    process_tags: Option<Elements>,
    spans: Elements,
    seq_no: Option<i64>,
    stats: Option<ClientStats>,
}

impl Batch {
    pub(crate) fn read(batch: &Value) -> Result<Self, String> {
        let process = member(batch, "process")?;
        Ok(Self {
            service: string(member(process, "serviceName")?)?,
            process_tags: Elements::of(present(process, "tags"), tag)?,
            spans: Elements::of(present(batch, "spans"), span)?.unwrap_or_default(),
            seq_no: present(batch, "seqNo").map(|_| int(batch, "seqNo")).transpose()?,
            stats: present(batch, "stats").map(stats).transpose()?,
        })
    }

    pub(crate) fn process(&self) -> ProcessView<'_> {
        ProcessView::new(&self.service, self.process_tags.as_ref().map(Elements::list))
    }

    pub(crate) fn view(&self) -> BatchView<'_> {
        BatchView::new(self.process(), self.spans.list())
            .with_seq_no(self.seq_no)
            .with_stats(self.stats)
    }
}

pub(crate) fn stats(stats: &Value) -> Result<ClientStats, String> {
    Ok(ClientStats::new(
        int(stats, "fullQueueDroppedSpans")?,
        int(stats, "tooLargeDroppedSpans")?,
        int(stats, "failedToEmitSpans")?,
    ))
}

fn tag(out: &mut Vec<u8>, tag: &Value) -> Result<(), String> {
    let (key, value) = (text_or_hex(tag, "key")?, TypedValue::read(tag)?);
    put_tag(out, TagView::new(&key, value.view()?));
    Ok(())
}

fn log(out: &mut Vec<u8>, log: &Value) -> Result<(), String> {
    let fields = Elements::of(present(log, "fields"), tag)?.unwrap_or_default();
    put_log(out, LogView::new(int(log, "timestamp")?, fields.list()));
    Ok(())
}

fn reference(out: &mut Vec<u8>, reference: &Value) -> Result<(), String> {
    let follows_from = match text(reference, "refType")? {
        "CHILD_OF" => false,
        "FOLLOWS_FROM" => true,
        other => return Err(format!("unknown reference type {other:?}")),
    };
    let id = |key| int::<i64>(reference, key).map(i64::cast_unsigned);
    let trace_id = TraceId::new(id("traceIdHigh")?, id("traceIdLow")?);
    put_reference(out, ReferenceView::new(follows_from, trace_id, SpanId::new(id("spanId")?)));
    Ok(())
}

/// A batch in the shape of `thrift_batch`.
pub(crate) fn shown_batch(batch: &BatchView<'_>) -> Value {
    json!({
        "serviceName": String::from_utf8_lossy(batch.process.service_name),
        "processTags": batch.process.tags().map(shown_tag).collect::<Vec<_>>(),
        "spans": batch.spans().map(shown_span).collect::<Vec<_>>(),
        "seqNo": batch.seq_no,
        "stats": batch.stats.map(shown_stats),
    })
}

pub(crate) fn shown_stats(stats: ClientStats) -> Value {
    json!({
        "fullQueueDroppedSpans": stats.full_queue_dropped_spans,
        "tooLargeDroppedSpans": stats.too_large_dropped_spans,
        "failedToEmitSpans": stats.failed_to_emit_spans,
    })
}

pub(crate) fn shown_span(span: SpanView<'_>) -> Value {
    let id = |id: u64| id.cast_signed().to_string();
    let references = span.references().map(|to| {
        json!({
            "refType": if to.follows_from { "FOLLOWS_FROM" } else { "CHILD_OF" },
            "traceIdHigh": id(to.trace_id.high()),
            "traceIdLow": id(to.trace_id.low()),
            "spanId": id(to.span_id.get()),
        })
    });
    let logs = span.logs().map(|log| {
        let fields: Vec<_> = log.fields().map(shown_tag).collect();
        json!({"timestamp": log.timestamp_micros, "fields": fields})
    });
    json!({
        "traceIdHigh": id(span.trace_id.high()),
        "traceIdLow": id(span.trace_id.low()),
        "spanId": id(span.span_id.get()),
        "parentSpanId": id(span.parent_span_id.get()),
        "flags": span.flags,
        "operationName": String::from_utf8_lossy(span.operation_name),
        "startTime": span.start_time_micros,
        "duration": span.duration_micros,
        "references": references.collect::<Vec<_>>(),
        "tags": span.tags().map(shown_tag).collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
    })
}
