//! Says how a span must look when it is read back, and compares.
//!
//! Both sides are brought into one plain form, so that a difference is shown by printing two values
//! that are alike but for it.

use jaeger_client::{SpanId, TagValue, TraceId};
use serde_json::{Value, json};

/// A value as a test gives it to a tag or a log field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Given {
    /// Text.
    Str(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A whole number without a sign, which Jaeger stores as a signed one of the same bits.
    U64(u64),
    /// A double.
    F64(f64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A key and its value.
pub type Field = (String, Given);

impl Given {
    /// The value in the client's terms.
    #[must_use]
    pub fn tag_value(&self) -> TagValue<'_> {
        match self {
            Self::Str(text) => TagValue::Str(text),
            Self::Bool(truth) => TagValue::Bool(*truth),
            Self::I64(number) => TagValue::I64(*number),
            Self::U64(number) => TagValue::U64(*number),
            Self::F64(number) => TagValue::F64(*number),
            Self::Bytes(bytes) => TagValue::Bytes(bytes),
        }
    }

    /// The value after the client has cut it to `max_bytes`.
    #[must_use]
    pub fn cut(&self, max_bytes: usize) -> Self {
        match self {
            Self::Str(text) => {
                let mut end = text.len().min(max_bytes);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                Self::Str(text[..end].to_owned())
            }
            Self::Bytes(bytes) => Self::Bytes(bytes[..bytes.len().min(max_bytes)].to_vec()),
            whole => whole.clone(),
        }
    }

    /// Jaeger's name of the type, and the value.
    fn plain(&self) -> (&'static str, Value) {
        match self {
            Self::Str(text) => ("string", json!(text)),
            Self::Bool(truth) => ("bool", json!(truth)),
            Self::I64(number) => ("int64", json!(number.to_string())),
            Self::U64(number) => ("int64", json!(number.cast_signed().to_string())),
            Self::F64(number) => ("float64", double(*number)),
            Self::Bytes(bytes) => ("binary", json!(base64(bytes))),
        }
    }
}

/// A moment or a length of time, in microseconds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Micros {
    /// Exactly this.
    Exactly(i64),
    /// The client read its clock, some time from the first to the second.
    Between(i64, i64),
}

impl Micros {
    /// What must be there, given what is there.
    fn wanted(self, got: &Value) -> Value {
        match (self, got.as_i64()) {
            (Self::Exactly(micros), _) => json!(micros),
            (Self::Between(from, to), Some(micros)) if (from..=to).contains(&micros) => {
                json!(micros)
            }
            (Self::Between(from, to), _) => json!(format!("from {from} to {to}")),
        }
    }
}

/// How a span must look when it is read back.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make it")]
pub struct Wanted {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Bit 1 sampled, 2 debug, 8 firehose.
    pub flags: u8,
    /// Its name.
    pub operation: String,
    /// Whether it follows from the span, and the span, of each reference.
    pub references: Vec<(bool, TraceId, SpanId)>,
    /// When it began, since the Unix epoch.
    pub start: Micros,
    /// How long it took.
    pub duration: Micros,
    /// Its tags.
    pub tags: Vec<Field>,
    /// Its logs.
    pub logs: Vec<(Micros, Vec<Field>)>,
    /// The service it belongs to.
    pub service: String,
    /// The tags that were given to the tracer.
    pub process_tags: Vec<Field>,
}

impl Wanted {
    /// Compares with a span in the form of [`read_back`].
    ///
    /// # Errors
    ///
    /// Shows both if they differ.
    pub fn check(&self, got: &Value) -> Result<(), String> {
        let references: Vec<_> = self
            .references
            .iter()
            .map(|(follows, trace, span)| {
                let kind = if *follows { "FOLLOWS_FROM" } else { "CHILD_OF" };
                json!([kind, trace.to_string(), span.to_string()])
            })
            .collect();
        let logs: Vec<_> = self
            .logs
            .iter()
            .enumerate()
            .map(|(i, (at, fields))| json!([at.wanted(&got["logs"][i][0]), plain(fields)]))
            .collect();
        let wanted = json!({
            "trace": self.trace_id.to_string(),
            "span": self.span_id.to_string(),
            "flags": self.flags,
            "operation": self.operation,
            "references": references,
            "start": self.start.wanted(&got["start"]),
            "duration": self.duration.wanted(&got["duration"]),
            "tags": plain(&self.tags),
            "logs": logs,
            "service": self.service,
            "process_tags": self.process_tags(&got["process_tags"]),
            "warnings": null,
        });
        if *got == wanted {
            return Ok(());
        }
        let differ: Vec<_> = wanted
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, value)| got[key.as_str()] != **value)
            .map(|(key, value)| format!("{key}: wanted {value}, got {}", got[key.as_str()]))
            .collect();
        Err(format!("span {} {:?}: {}", self.span_id, self.operation, differ.join("; ")))
    }

    /// The given tags, and behind them those that every tracer adds; their values are its own.
    fn process_tags(&self, got: &Value) -> Value {
        let mut wanted = plain(&self.process_tags);
        for key in ["jaeger.version", "hostname", "ip", "client-uuid"] {
            let value = match &got[wanted.len()][2] {
                Value::String(text) if !text.is_empty() => text.as_str(),
                _ => "some text",
            };
            wanted.push(json!([key, "string", value]));
        }
        Value::Array(wanted)
    }
}

/// Brings a span, as Jaeger's query API gives it, into the plain form.
///
/// # Shape and units
///
/// Ids are hex text, times microseconds. A reference is `[kind, trace, span]`, a tag or field
/// `[key, type, value]`, a log `[time, fields]`. Whole numbers are text, as those beyond 53 bits
/// come as text from Jaeger; bytes are in base64.
#[must_use]
pub fn read_back(span: &Value, processes: &Value) -> Value {
    let process = &processes[span["processID"].as_str().unwrap_or_default()];
    let references: Vec<_> = list(&span["references"])
        .map(|reference| json!([reference["refType"], reference["traceID"], reference["spanID"]]))
        .collect();
    let logs: Vec<_> = list(&span["logs"])
        .map(|log| json!([log["timestamp"], read_fields(&log["fields"])]))
        .collect();
    let mut tags = read_fields(&span["tags"]);
    // The collector notes in a tag of its own, behind all others, how it got the span.
    tags.pop_if(|tag| tag[0] == "internal.span.format");
    json!({
        "trace": span["traceID"],
        "span": span["spanID"],
        "flags": span["flags"],
        "operation": span["operationName"],
        "references": references,
        "start": span["startTime"],
        "duration": span["duration"],
        "tags": tags,
        "logs": logs,
        "service": process["serviceName"],
        "process_tags": read_fields(&process["tags"]),
        "warnings": span["warnings"],
    })
}

fn plain(fields: &[Field]) -> Vec<Value> {
    fields
        .iter()
        .map(|(key, given)| {
            let (kind, value) = given.plain();
            json!([key, kind, value])
        })
        .collect()
}

fn read_fields(fields: &Value) -> Vec<Value> {
    list(fields)
        .map(|field| {
            let value = match (field["type"].as_str(), &field["value"]) {
                (Some("int64"), Value::Number(number)) => json!(number.to_string()),
                (Some("float64"), Value::Number(number)) => {
                    number.as_f64().map_or(Value::Null, double)
                }
                // No bytes have no value on the agent's way to the collector.
                (Some("binary"), Value::Null) => json!(""),
                (_, value) => value.clone(),
            };
            json!([field["key"], field["type"], value])
        })
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The agent's way to the collector leaves out zeros, and with them the sign of a negative one.
fn double(number: f64) -> Value {
    json!(if number == 0.0 { 0.0 } else { number })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0, |bits, (i, byte)| bits | usize::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * i) & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, wanted) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
        assert_eq!(base64(&[251, 255, 191]), "+/+/");
    }

    #[test]
    fn a_moment_outside_its_bounds_is_a_difference() {
        assert_eq!(Micros::Between(3, 5).wanted(&json!(4)), json!(4));
        assert_ne!(Micros::Between(3, 5).wanted(&json!(6)), json!(6));
        assert_ne!(Micros::Exactly(3).wanted(&json!(6)), json!(6));
    }
}
