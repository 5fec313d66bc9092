//! The Thrift model of a batch as a case describes it, written with the client's own writers.

use std::collections::BTreeSet;

use jaeger_client::encoding::{
    BatchView, ClientStats, List, LogView, ProcessView, ReferenceView, SpanView, TagView,
    ValueView, put_log, put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};
use serde_json::Value;

use crate::deviations::{self, Deviation};
use crate::json::{int, items, member, present, text};
pub(crate) use crate::json::{string, text_or_hex};
use crate::value::TypedValue;

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

/// A span's fields, with its lists written.
#[derive(Debug)]
pub(crate) struct Span {
    fixed: SpanView<'static>,
    operation: Vec<u8>,
    references: Option<Elements>,
    tags: Option<Elements>,
    logs: Option<Elements>,
}

impl Span {
    fn read(span: &Value, limits: &mut Applied) -> Result<Self, String> {
        let id = |key| int::<i64>(span, key).map(i64::cast_unsigned);
        let mut fixed = SpanView::default();
        fixed.trace_id = TraceId::new(id("traceIdHigh")?, id("traceIdLow")?);
        fixed.span_id = SpanId::new(id("spanId")?);
        fixed.parent_span_id = SpanId::new(id("parentSpanId")?);
        fixed.flags = int(span, "flags")?;
        (fixed.start_time_micros, fixed.duration_micros) =
            limits.times(int(span, "startTime")?, int(span, "duration")?);
        Ok(Self {
            fixed,
            operation: string(member(span, "operationName")?)?,
            references: Elements::of(present(span, "references"), reference)?,
            tags: Elements::of(present(span, "tags"), |out, value| tag(out, value, limits, true))?,
            logs: Elements::of(present(span, "logs"), |out, value| log(out, value, limits))?,
        })
    }

    pub(crate) fn view(&self) -> SpanView<'_> {
        let mut view: SpanView<'_> = self.fixed;
        view.operation_name = &self.operation;
        view.references = self.references.as_ref().map(Elements::list);
        view.tags = self.tags.as_ref().map(Elements::list);
        view.logs = self.logs.as_ref().map(Elements::list);
        view
    }

    /// Its canonical bytes.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.view().encode(&mut out);
        out
    }
}

/// What the model's spans are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limits {
    /// As recorded.
    Recorded,
    /// As this client has it: no text that was cut at `max` bytes ends within a character, no
    /// duration is below a microsecond, no time is before 1970, and all doubles are finite.
    Ours { max: usize },
}

/// Limits, and what they changed.
#[derive(Debug)]
struct Applied {
    limits: Limits,
    deviations: BTreeSet<Deviation>,
}

impl Applied {
    fn text(&mut self, text: Vec<u8>) -> Vec<u8> {
        match self.limits {
            Limits::Ours { max } if text.len() == max => {
                let whole = whole_characters(text);
                if whole.len() < max {
                    self.deviations.insert(deviations::WHOLE_CHARACTERS);
                }
                whole
            }
            _ => text,
        }
    }

    /// Start and duration.
    fn times(&mut self, start: i64, duration: i64) -> (i64, i64) {
        if matches!(self.limits, Limits::Recorded) {
            return (start, duration);
        }
        let moved = self.time(start);
        // The end stays where it is, if that is not before 1970 too.
        let retained = (start + duration).max(0) - moved;
        if duration < 0 {
            self.deviations.insert(deviations::NO_NEGATIVE_DURATION);
        } else if retained < 1 {
            self.deviations.insert(deviations::AT_LEAST_A_MICROSECOND);
        }
        (moved, retained.max(1))
    }

    fn time(&mut self, micros: i64) -> i64 {
        match self.limits {
            Limits::Ours { .. } if micros < 0 => {
                self.deviations.insert(deviations::STORABLE_TIMES);
                0
            }
            _ => micros,
        }
    }

    /// The text that stands for a double, if it is not sent as one.
    fn word(&mut self, double: f64) -> Option<&'static str> {
        if matches!(self.limits, Limits::Recorded) || double.is_finite() {
            return None;
        }
        self.deviations.insert(deviations::FINITE_DOUBLES);
        Some(match double {
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            _ => "NaN",
        })
    }
}

/// The text without the start of a character whose end was cut off.
fn whole_characters(mut text: Vec<u8>) -> Vec<u8> {
    if let Err(error) = str::from_utf8(&text)
        && error.error_len().is_none()
    {
        text.truncate(error.valid_up_to());
    }
    text
}

/// A batch as `thrift_batch` describes it.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) service: Vec<u8>,
    pub(crate) process_tags: Option<Elements>,
    pub(crate) spans: Vec<Span>,
    encoded: Elements,
    pub(crate) seq_no: Option<i64>,
    pub(crate) stats: Option<ClientStats>,
    /// Why it is not as recorded.
    pub(crate) deviations: BTreeSet<Deviation>,
}

impl Batch {
    pub(crate) fn read(batch: &Value, limits: Limits) -> Result<Self, String> {
        let mut applied = Applied { limits, deviations: BTreeSet::new() };
        let process = member(batch, "process")?;
        let spans = match present(batch, "spans") {
            Some(_) => items(batch, "spans")?,
            None => &[],
        };
        let spans: Vec<_> =
            spans.iter().map(|span| Span::read(span, &mut applied)).collect::<Result<_, _>>()?;
        let encoded =
            Elements { count: spans.len(), bytes: spans.iter().flat_map(Span::encoded).collect() };
        Ok(Self {
            service: string(member(process, "serviceName")?)?,
            process_tags: Elements::of(present(process, "tags"), |out, value| {
                tag(out, value, &mut applied, false)
            })?,
            spans,
            encoded,
            seq_no: present(batch, "seqNo").map(|_| int(batch, "seqNo")).transpose()?,
            stats: present(batch, "stats").map(stats).transpose()?,
            deviations: applied.deviations,
        })
    }

    pub(crate) fn process(&self) -> ProcessView<'_> {
        ProcessView::new(&self.service, self.process_tags.as_ref().map(Elements::list))
    }

    pub(crate) fn view(&self) -> BatchView<'_> {
        BatchView::new(self.process(), self.encoded.list())
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

/// Returns whether texts are `cut` is a matter of where the tag is.
fn tag(out: &mut Vec<u8>, tag: &Value, limits: &mut Applied, cut: bool) -> Result<(), String> {
    let key = text_or_hex(tag, "key")?;
    let value = match TypedValue::read(tag)? {
        TypedValue::Text(text) if cut => TypedValue::Text(limits.text(text)),
        other => other,
    };
    let value = match value.view()? {
        ValueView::Double(double) => {
            let word = limits.word(double);
            word.map_or(ValueView::Double(double), |word| ValueView::Str(word.as_bytes()))
        }
        other => other,
    };
    put_tag(out, TagView::new(&key, value));
    Ok(())
}

fn log(out: &mut Vec<u8>, log: &Value, limits: &mut Applied) -> Result<(), String> {
    let fields = Elements::of(present(log, "fields"), |out, value| tag(out, value, limits, false))?;
    let fields = fields.unwrap_or_default();
    put_log(out, LogView::new(limits.time(int(log, "timestamp")?), fields.list()));
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
