//! Jaeger's query API, as far as the page and simple tools need it, and the page itself.
//!
//! Answers are written as they are made, span by span, so a large trace takes no memory twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::sync::Arc;

use jaeger_client::TraceId;
use jaeger_client::encoding::{SpanView, TagView, ValueView};
use serde_json::{Value, json};

use super::head;
use super::request::{Refusal, Request};
use crate::span::Process;
use crate::{Store, Trace};

/// The page. It has no parts elsewhere, so it works without a network.
const PAGE: &str = include_str!("../page.html");

/// The default number of traces in a response; that of Jaeger's query service.
const DEFAULT_LIMIT: usize = 20;

/// The maximum number of traces in a response.
const MAX_LIMIT: usize = 10_000;

type WriteResult = io::Result<Result<(), Refusal>>;

/// Writes the response to a request, or returns the reason why there is none.
pub(super) fn respond(request: &Request, store: &Store, out: &mut impl Write) -> WriteResult {
    let path: Vec<_> = request.path.trim_end_matches('/').split('/').skip(1).collect();
    match path.as_slice() {
        [] | ["search"] | ["trace", _] => page(out).map(Ok),
        ["api", "services"] => {
            let services = store.services();
            envelope(out, services.len(), |out| write!(out, "{}", json!(services))).map(Ok)
        }
        ["api", "traces"] => many(request, store, out, trace),
        ["api", "summaries"] => {
            many(request, store, out, |out, trace| write!(out, "{}", summary(trace)))
        }
        ["api", "traces", id] => {
            let Some(id) = trace_id(id) else {
                return Ok(Err(Refusal(400, "a trace id is 1 to 32 hex digits")));
            };
            let Some(found) = store.trace(id) else {
                return Ok(Err(Refusal(404, "trace not found")));
            };
            envelope(out, 1, |out| list(out, [&found], trace)).map(Ok)
        }
        _ => Ok(Err(Refusal(404, "there is nothing here"))),
    }
}

fn page(out: &mut impl Write) -> io::Result<()> {
    // Only the page's own script and style carry the nonce, so markup that should ever get into the
    // page could not run.
    let nonce = format!("{:016x}", RandomState::new().build_hasher().finish());
    let policy = format!(
        "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; \
         script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'\r\n"
    );
    head(out, 200, "text/html", &policy)?;
    out.write_all(PAGE.replace("{{nonce}}", &nonce).as_bytes())
}

/// The traces that `service` and `limit` of a request ask for, each written by `write`.
fn many<W: Write>(
    request: &Request,
    store: &Store,
    out: &mut W,
    write: impl Fn(&mut W, &Trace) -> io::Result<()>,
) -> WriteResult {
    let limit = match request.query("limit").map(str::parse::<usize>) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) => limit.min(MAX_LIMIT),
        Some(Err(_)) => return Ok(Err(Refusal(400, "limit is no number"))),
    };
    let service = request.query("service").filter(|name| !name.is_empty());
    let traces = store.latest_traces(service, limit);
    envelope(out, traces.len(), |out| list(out, &traces, write)).map(Ok)
}

fn envelope<W: Write>(
    out: &mut W,
    total: usize,
    data: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    head(out, 200, "application/json", "")?;
    out.write_all(b"{\"data\":")?;
    data(out)?;
    write!(out, ",\"total\":{total},\"limit\":0,\"offset\":0,\"errors\":null}}")
}

fn list<W: Write, T>(
    out: &mut W,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write(out, item)?;
    }
    out.write_all(b"]")
}

fn trace_id(text: &str) -> Option<TraceId> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    let low = u64::try_from(id & u128::from(u64::MAX)).ok()?;
    Some(TraceId::new(u64::try_from(id >> 64).ok()?, low))
}

/// A trace in the form of Jaeger's query API.
fn trace(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    // The store keeps equal processes once, so their address distinguishes them.
    let mut numbers = HashMap::new();
    let mut processes = Vec::new();
    for span in trace.spans() {
        numbers.entry(Arc::as_ptr(span.process_arc())).or_insert_with(|| {
            processes.push(span.process_arc());
            processes.len()
        });
    }
    write!(out, "{{\"traceID\":\"{}\",\"spans\":", trace.trace_id())?;
    list(out, trace.spans(), |out, received| {
        let number = numbers.get(&Arc::as_ptr(received.process_arc())).copied().unwrap_or(1);
        write!(out, "{}", span(&received.view(), number))
    })?;
    out.write_all(b",\"processes\":{")?;
    for (index, process) in processes.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(out, "{comma}\"p{}\":{}", index + 1, process_value(process))?;
    }
    out.write_all(b"},\"warnings\":null}")
}

fn process_value(process: &Process) -> Value {
    let view = process.view();
    json!({ "serviceName": text(view.service_name), "tags": tags(view.tags()) })
}

fn span(span: &SpanView<'_>, process: usize) -> Value {
    let log = |log: jaeger_client::encoding::LogView<'_>| json!({ "timestamp": log.timestamp_micros, "fields": tags(log.fields()) });
    json!({
        "traceID": span.trace_id.to_string(),
        "spanID": span.span_id.to_string(),
        "operationName": span.operation_name(),
        "references": references(span),
        "flags": span.flags,
        "startTime": span.start_time_micros,
        "duration": span.duration_micros,
        "tags": tags(span.tags()),
        "logs": span.logs().map(log).collect::<Vec<_>>(),
        "processID": format!("p{process}"),
        "warnings": null,
    })
}

/// A span's references, with the parent id as the first unless one of them says it already.
fn references(span: &SpanView<'_>) -> Vec<Value> {
    let value = |kind: &str, trace_id: TraceId, span_id: jaeger_client::SpanId| json!({ "refType": kind, "traceID": trace_id.to_string(), "spanID": span_id.to_string() });
    let parent = span.parent_span_id;
    let is_explicit = parent == jaeger_client::SpanId::NONE
        || span.references().any(|r| r.span_id == parent && r.trace_id == span.trace_id);
    let implied = (!is_explicit).then(|| value("CHILD_OF", span.trace_id, parent));
    let explicit = span.references().map(|reference| {
        let kind = if reference.follows_from { "FOLLOWS_FROM" } else { "CHILD_OF" };
        value(kind, reference.trace_id, reference.span_id)
    });
    implied.into_iter().chain(explicit).collect()
}

fn tags<'a>(tags: impl Iterator<Item = TagView<'a>>) -> Vec<Value> {
    let tag = |tag: TagView<'_>| {
        let (kind, value) = match tag.value {
            ValueView::Str(value) => ("string", json!(text(value))),
            ValueView::Bool(value) => ("bool", json!(value)),
            // Beyond these, a script would read another number.
            ValueView::Long(value) if value.unsigned_abs() >= 1 << 53 => {
                ("int64", json!(value.to_string()))
            }
            ValueView::Long(value) => ("int64", json!(value)),
            ValueView::Double(value) if !value.is_finite() => ("float64", json!(value.to_string())),
            ValueView::Double(value) => ("float64", json!(value)),
            ValueView::Binary(value) => ("binary", json!(base64(value))),
            _ => ("string", Value::Null),
        };
        json!({ "key": text(tag.key), "type": kind, "value": value })
    };
    tags.map(tag).collect()
}

/// Returns the summary of a trace in a list. This format is the page's own and not part of Jaeger's
/// API.
fn summary(trace: &Trace) -> Value {
    let root = trace.root();
    let shown = root.or_else(|| trace.spans().first());
    let start = trace.spans().first().map(|span| span.view().start_time_micros);
    json!({
        "traceID": trace.trace_id().to_string(),
        "service": shown.map(|span| span.service()),
        "operation": shown.map(|span| span.operation_name()),
        "hasRoot": root.is_some(),
        "services": trace.services(),
        "spanCount": trace.spans().len(),
        "errorCount": trace.error_count(),
        "startTime": start,
        "duration": u64::try_from(trace.duration().as_micros()).unwrap_or(u64::MAX),
    })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit > three.len() {
                out.push('=');
            } else {
                let six = bits >> (18 - 6 * digit) & 63;
                out.push(char::from(DIGITS[six as usize]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_in_base64() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn trace_ids_are_read_with_any_number_of_digits() {
        assert_eq!(trace_id("a"), Some(TraceId::new(0, 10)));
        assert_eq!(trace_id("10000000000000002"), Some(TraceId::new(1, 2)));
        assert_eq!(trace_id(&"f".repeat(32)), Some(TraceId::new(u64::MAX, u64::MAX)));
        for bad in ["", "+1", "-1", "g", " 1", &"0".repeat(33)] {
            assert_eq!(trace_id(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_a_script_cannot_hold_are_text() {
        let values = [
            ValueView::Long((1 << 53) - 1),
            ValueView::Long(1 << 53),
            ValueView::Long(i64::MIN),
            ValueView::Double(f64::NAN),
        ];
        let tags = tags(values.into_iter().map(|value| TagView::new(b"k", value)));
        let values: Vec<_> = tags.iter().map(|tag| tag["value"].to_string()).collect();
        assert_eq!(
            values,
            ["9007199254740991", "\"9007199254740992\"", "\"-9223372036854775808\"", "\"NaN\""]
        );
    }
}
