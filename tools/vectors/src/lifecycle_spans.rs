//! Spans of a lifecycle case as a reporter got them, however they were come by.

use std::fmt;

use jaeger_client::encoding::{SpanView, TagView, ValueView};
use serde_json::Value;

use crate::carrier::Ids;
use crate::json::{int, items, member, only, present, text};
use crate::model::{string, tag_value, text_or_hex};
use crate::report::Checks;
use crate::zipkin_rules::Given;

/// A value that can be compared: doubles by their bits.
#[derive(Clone, PartialEq)]
pub(crate) enum Held {
    Text(Vec<u8>),
    Bool(bool),
    Long(i64),
    Double(u64),
    Bytes(Vec<u8>),
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Long(long) => write!(f, "{long}"),
            Self::Double(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Bytes(bytes) => write!(f, "{bytes:?}"),
        }
    }
}

/// A key with its value.
#[derive(Clone, PartialEq)]
pub(crate) struct Tag(pub(crate) Vec<u8>, pub(crate) Held);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", String::from_utf8_lossy(&self.0), self.1)
    }
}

/// A reference: whether it follows from it, both halves of the trace's id, the span's id.
pub(crate) type Reference = (bool, u64, u64, u64);

/// A span without its times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reported {
    pub(crate) ids: Ids,
    pub(crate) operation: Vec<u8>,
    pub(crate) references: Vec<Reference>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) logs: Vec<Vec<Tag>>,
}

impl Reported {
    /// As a case shows it.
    pub(crate) fn read(span: &Value) -> Result<Self, String> {
        only(
            span,
            &[
                "flags",
                "logs",
                "operationName",
                "parentSpanId",
                "references",
                "spanId",
                "tags",
                "traceIdHigh",
                "traceIdLow",
            ],
        )?;
        let id = |of: &Value, key| int::<i64>(of, key).map(i64::cast_unsigned);
        let reference = |reference: &Value| {
            only(reference, &["refType", "spanId", "traceIdHigh", "traceIdLow"])?;
            let follows_from = match text(reference, "refType")? {
                "CHILD_OF" => false,
                "FOLLOWS_FROM" => true,
                other => return Err(format!("unknown reference type {other:?}")),
            };
            let trace = (id(reference, "traceIdHigh")?, id(reference, "traceIdLow")?);
            Ok((follows_from, trace.0, trace.1, id(reference, "spanId")?))
        };
        let log = |log: &Value| {
            only(log, &["fields"])?;
            list(log, "fields", tag)
        };
        Ok(Self {
            ids: Ids {
                trace_high: id(span, "traceIdHigh")?,
                trace_low: id(span, "traceIdLow")?,
                span: id(span, "spanId")?,
                parent: id(span, "parentSpanId")?,
                flags: int(span, "flags")?,
            },
            operation: string(member(span, "operationName")?)?,
            references: list(span, "references", reference)?,
            tags: list(span, "tags", tag)?,
            logs: list(span, "logs", log)?,
        })
    }

    /// As this client's reporter got it.
    pub(crate) fn of(span: SpanView<'_>) -> Self {
        let flags = u8::try_from(span.flags).unwrap_or(u8::MAX);
        Self {
            ids: Ids {
                trace_high: span.trace_id.high(),
                trace_low: span.trace_id.low(),
                span: span.span_id.get(),
                parent: span.parent_span_id.get(),
                flags,
            },
            operation: span.operation_name.to_vec(),
            references: span
                .references()
                .map(|to| {
                    (to.follows_from, to.trace_id.high(), to.trace_id.low(), to.span_id.get())
                })
                .collect(),
            tags: span.tags().map(held).collect(),
            logs: span.logs().map(|log| log.fields().map(held).collect()).collect(),
        }
    }
}

/// Compares spans, part by part.
pub(crate) fn compare(expected: &[Reported], got: &[Reported], checks: &mut Checks) {
    checks.same("reported spans", &expected.len(), &got.len());
    for (number, (expected, got)) in expected.iter().zip(got).enumerate() {
        let what = |part: &str| format!("reported span {number} {part}");
        checks.same(&what("ids"), &expected.ids, &got.ids);
        checks.same(&what("operation"), &expected.operation, &got.operation);
        checks.same(&what("references"), &expected.references, &got.references);
        checks.same(&what("tags"), &expected.tags, &got.tags);
        checks.same(&what("logs"), &expected.logs, &got.logs);
    }
}

fn list<T>(
    of: &Value,
    key: &str,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    present(of, key).map_or(Ok(&[][..]), |_| items(of, key))?.iter().map(read).collect()
}

fn tag(tag: &Value) -> Result<Tag, String> {
    let value = match tag_value(tag)? {
        Given::Text(text) => Held::Text(text),
        Given::Double(double) => Held::Double(double.to_bits()),
        Given::Bool(truth) => Held::Bool(truth),
        Given::Whole(long, _) => Held::Long(i64::try_from(long).map_err(|e| e.to_string())?),
        Given::Bytes(bytes) => Held::Bytes(bytes),
        Given::Float(_) | Given::Other(..) => return Err(String::from("no value of a tag")),
    };
    Ok(Tag(text_or_hex(tag, "key")?, value))
}

fn held(tag: TagView<'_>) -> Tag {
    let value = match tag.value {
        ValueView::Str(text) => Held::Text(text.to_vec()),
        ValueView::Double(double) => Held::Double(double.to_bits()),
        ValueView::Bool(truth) => Held::Bool(truth),
        ValueView::Long(long) => Held::Long(long),
        ValueView::Binary(bytes) => Held::Bytes(bytes.to_vec()),
        other => Held::Text(format!("{other:?}").into_bytes()),
    };
    Tag(tag.key.to_vec(), value)
}
