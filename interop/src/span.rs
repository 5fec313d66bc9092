//! The expected content of a span that is read back from a server, and its comparison.
//!
//! Both sides are converted to the same form of JSON, which [`read_back`] defines.

use jaeger_client::{SpanId, TagValue, TraceId};
use serde_json::{Value, json};

/// The value of a tag or log field that a test sets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Text.
    Str(String),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer, which Jaeger stores as a signed one of the same bits.
    U64(u64),
    /// A double.
    F64(f64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A key and its value.
pub type Field = (String, Input);

impl Input {
    /// Returns the value for the client.
    #[must_use]
    pub fn tag_value(&self) -> TagValue<'_> {
        match self {
            Self::Str(text) => TagValue::Str(text),
            Self::Bool(value) => TagValue::Bool(*value),
            Self::I64(number) => TagValue::I64(*number),
            Self::U64(number) => TagValue::U64(*number),
            Self::F64(number) => TagValue::F64(*number),
            Self::Bytes(bytes) => TagValue::Bytes(bytes),
        }
    }

    /// Returns the value truncated to `max_bytes`, as the client does it.
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

    /// Returns Jaeger's name of the type, and the value.
    fn plain(&self) -> (&'static str, Value) {
        match self {
            Self::Str(text) => ("string", json!(text)),
            Self::Bool(value) => ("bool", json!(value)),
            Self::I64(number) => ("int64", json!(number.to_string())),
            Self::U64(number) => ("int64", json!(number.cast_signed().to_string())),
            Self::F64(number) => ("float64", double(*number)),
            Self::Bytes(bytes) => ("binary", json!(base64(bytes))),
        }
    }
}

/// A time or a duration, in microseconds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Micros {
    /// An exact number.
    Exactly(i64),
    /// A number from the first to the second, as the client has read its clock.
    Between(i64, i64),
}

impl Micros {
    /// Returns the expected number or range.
    fn plain(self) -> Value {
        match self {
            Self::Exactly(micros) => json!(micros),
            Self::Between(from, to) => json!({"from": from, "to": to}),
        }
    }
}

/// The expected content of a span that is read back.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make it")]
pub struct ExpectedSpan {
    /// The trace id.
    pub trace_id: TraceId,
    /// The span id.
    pub span_id: SpanId,
    /// Bit 1 sampled, 2 debug, 8 firehose.
    pub flags: u8,
    /// The operation name.
    pub operation: String,
    /// The references: whether it is `FOLLOWS_FROM`, and the ids.
    pub references: Vec<(bool, TraceId, SpanId)>,
    /// The start, since the Unix epoch.
    pub start: Micros,
    /// The duration.
    pub duration: Micros,
    /// The tags.
    pub tags: Vec<Field>,
    /// The logs.
    pub logs: Vec<(Micros, Vec<Field>)>,
    /// The name of the service.
    pub service: String,
    /// The configured tags of the process.
    pub process_tags: Vec<Field>,
}

impl ExpectedSpan {
    /// Compares with a span in the form of [`read_back`].
    ///
    /// # Errors
    ///
    /// The differences.
    pub fn check(&self, got: &Value) -> Result<(), String> {
        self.check_by(&[], got.clone())
    }

    /// Compares with a span in the form of [`read_back`], after `rules` were applied to both sides.
    ///
    /// # Errors
    ///
    /// The differences.
    pub fn check_by(&self, rules: &[Rule], mut got: Value) -> Result<(), String> {
        let mut wanted = self.plain();
        for rule in rules {
            rule(&mut wanted, &mut got);
        }
        fill_in(&mut wanted, &got);
        if got == wanted {
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

    /// Returns the span in the form of [`read_back`], with ranges and prefixes for what is not known exactly.
    fn plain(&self) -> Value {
        let references: Vec<_> = self
            .references
            .iter()
            .map(|(follows, trace, span)| {
                let kind = if *follows { "FOLLOWS_FROM" } else { "CHILD_OF" };
                json!([kind, trace.to_string(), span.to_string()])
            })
            .collect();
        let logs: Vec<_> =
            self.logs.iter().map(|(at, fields)| json!([at.plain(), plain(fields)])).collect();
        // The configured tags, then those that every tracer adds.
        let mut process_tags = plain(&self.process_tags);
        for (key, begins) in
            [("jaeger.version", "Rust-"), ("hostname", ""), ("ip", ""), ("client-uuid", "")]
        {
            process_tags.push(json!([key, "string", {"begins": begins}]));
        }
        json!({
            "trace": self.trace_id.to_string(),
            "span": self.span_id.to_string(),
            "flags": self.flags,
            "operation": self.operation,
            "references": references,
            "start": self.start.plain(),
            "duration": self.duration.plain(),
            "tags": plain(&self.tags),
            "logs": logs,
            "service": self.service,
            "process_tags": process_tags,
            "warnings": null,
        })
    }
}

/// A change that a protocol or server makes to a span: applied to the expected content, or reverted in what
/// the server returned.
pub type Rule = fn(wanted: &mut Value, got: &mut Value);

/// Replaces ranges and prefixes in the expected content by the actual values that match them.
fn fill_in(wanted: &mut Value, got: &Value) {
    let may_stand = match (&*wanted, got) {
        (Value::Object(open), Value::Number(number)) => {
            let within = |from: &Value, to: &Value| Some(from.as_i64()? <= to.as_i64()?);
            let number = Value::Number(number.clone());
            open.contains_key("from")
                && within(&open["from"], &number) == Some(true)
                && within(&number, &open["to"]) == Some(true)
        }
        (Value::Object(open), Value::String(text)) => open
            .get("begins")
            .and_then(Value::as_str)
            .is_some_and(|begins| text.starts_with(begins) && text.len() > begins.len()),
        _ => false,
    };
    match (wanted, got) {
        (wanted, got) if may_stand => *wanted = got.clone(),
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.iter_mut().zip(got).for_each(|(wanted, got)| fill_in(wanted, got));
        }
        (Value::Object(wanted), got) => {
            wanted.iter_mut().for_each(|(key, wanted)| fill_in(wanted, &got[key.as_str()]));
        }
        _ => {}
    }
}

/// Converts a span, as Jaeger's query API returns it, to the form in which spans are compared.
///
/// # Shape and units
///
/// Ids are hex text, times microseconds. A reference is `[kind, trace, span]`, a tag or field
/// `[key, type, value]`, a log `[time, fields]`. Integers are text, as Jaeger returns those beyond 53 bits as
/// text; bytes are in base64.
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
    // The collector appends a tag with the format in which it received the span.
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
        .map(|(key, input)| {
            let (kind, value) = input.plain();
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
                // The agent's protocol to the collector leaves out empty bytes.
                (Some("binary"), Value::Null) => json!(""),
                (_, value) => value.clone(),
            };
            json!([field["key"], field["type"], value])
        })
        .collect()
}

/// Returns the value of the last tag with this key, or null.
#[must_use]
pub fn tag(span: &Value, key: &str) -> Value {
    let mut tags = span["tags"].as_array().into_iter().flatten();
    tags.rfind(|tag| tag[0] == key).map_or(Value::Null, |tag| tag[2].clone())
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Converts a double. The agent's protocol to the collector leaves out zeros, and so the sign of -0.
pub(crate) fn double(number: f64) -> Value {
    json!(if number == 0.0 { 0.0 } else { number })
}

/// Returns the bytes of a text that [`base64`] wrote.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|digit| DIGITS.iter().position(|other| *other == digit));
    let (mut bits, mut count, mut out) = (0_usize, 0, Vec::new());
    for digit in digits {
        (bits, count) = (bits << 6 | digit, count + 6);
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from(bits >> count & 255));
        }
        bits &= (1 << count) - 1;
    }
    out
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
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
            assert_eq!(from_base64(wanted), text.as_bytes());
        }
        assert_eq!(base64(&[251, 255, 191]), "+/+/");
    }

    #[test]
    fn a_moment_outside_its_bounds_is_a_difference() {
        let stands = |micros: Micros, got: i64| {
            let (mut wanted, got) = (json!([[micros.plain()]]), json!([[got]]));
            fill_in(&mut wanted, &got);
            wanted == got
        };
        assert!(stands(Micros::Between(3, 5), 4) && stands(Micros::Between(3, 5), 5));
        assert!(!stands(Micros::Between(3, 5), 6) && !stands(Micros::Between(3, 5), 2));
        assert!(stands(Micros::Exactly(3), 3) && !stands(Micros::Exactly(3), 6));
    }
}
