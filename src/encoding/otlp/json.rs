//! OTLP as JSON: ids are hex text, 64-bit integers text, kinds and codes numbers.
//!
//! For files and for reading by eye; spans are not sent in this form.

use super::attributes::{of_process, text, value};
use super::span::{Event, OtlpSpan, Parts, Scope, Status};
use crate::encoding::batch::{BatchView, ProcessView};
use crate::encoding::json::{Object, base64};
use crate::encoding::read::{DecodeError, Reader};
use crate::encoding::view::{ReferenceView, TagView, ValueView};
use crate::id::{SpanId, TraceId};

/// Encodes a batch as an `ExportTraceServiceRequest`, without spans with zero ids. Also returns how
/// many are left out.
pub(super) fn request(batch: &BatchView<'_>) -> Result<(Vec<u8>, usize), DecodeError> {
    let mut parts = Parts::default();
    let mut out = Vec::with_capacity(batch.spans.bytes.len() * 3 + 256);
    let mut left_out = 0;
    let mut scope: Option<Option<Scope<'_>>> = None;
    out.extend_from_slice(b"{\"resourceSpans\":[");
    let mut reader = Reader::new(batch.spans.bytes);
    for _ in 0..batch.spans.count {
        let span = OtlpSpan::read(&mut reader, &mut parts)?;
        if !span.has_ids() {
            left_out += 1;
            continue;
        }
        match scope {
            Some(of_last) if of_last == span.scope => out.push(b','),
            of_last => {
                if of_last.is_some() {
                    out.extend_from_slice(b"]},");
                } else {
                    write_resource(&mut out, &batch.process);
                    out.extend_from_slice(b"\"scopeSpans\":[");
                }
                write_scope(&mut out, span.scope.unwrap_or(Scope::OWN));
                out.extend_from_slice(b"\"spans\":[");
                scope = Some(span.scope);
            }
        }
        write_span(&mut out, &span, &parts);
    }
    if scope.is_some() {
        out.extend_from_slice(b"]}]}");
    }
    out.extend_from_slice(b"]}");
    Ok((out, left_out))
}

/// Writes the beginning of an object, up to the comma behind its first key.
fn write_resource(out: &mut Vec<u8>, process: &ProcessView<'_>) {
    out.extend_from_slice(b"{\"resource\":{\"attributes\":[");
    let mut comma = Comma::default();
    of_process(process, |tag| {
        comma.put(out);
        write_attribute(out, tag);
    });
    out.extend_from_slice(b"]},");
}

/// Writes the beginning of a scope's object, up to the comma behind its first key.
fn write_scope(out: &mut Vec<u8>, scope: Scope<'_>) {
    out.extend_from_slice(b"{\"scope\":");
    let mut object = Object::begin(out);
    object.text("name", &text(scope.name));
    if !scope.version.is_empty() {
        object.text("version", &text(scope.version));
    }
    object.end();
    out.push(b',');
}

fn write_span(out: &mut Vec<u8>, span: &OtlpSpan<'_>, parts: &Parts<'_>) {
    let view = &span.view;
    let mut object = Object::begin(out);
    ids(&mut object, view.trace_id, view.span_id);
    if !span.trace_state.is_empty() {
        object.text("traceState", &text(span.trace_state));
    }
    if span.parent != SpanId::NONE {
        object.text("parentSpanId", span.parent.to_string().as_bytes());
    }
    object.text("name", &text(view.operation_name));
    if span.kind != 0 {
        object.number("kind", span.kind);
    }
    object.text("startTimeUnixNano", span.start_nanos().to_string().as_bytes());
    object.text("endTimeUnixNano", span.end_nanos().to_string().as_bytes());
    attributes(&mut object, parts.attributes());
    if span.dropped_attributes > 0 {
        object.number("droppedAttributesCount", span.dropped_attributes);
    }
    list(&mut object, b"events", parts.events().iter(), |out, event| {
        write_event(out, event, parts);
    });
    if span.dropped_events > 0 {
        object.number("droppedEventsCount", span.dropped_events);
    }
    list(&mut object, b"links", parts.links().iter().copied(), write_link);
    if span.dropped_links > 0 {
        object.number("droppedLinksCount", span.dropped_links);
    }
    if span.status != Status::default() {
        object.key(b"status");
        let mut status = Object::begin(object.out);
        if !span.status.message.is_empty() {
            status.text("message", &text(span.status.message));
        }
        status.number("code", span.status.code);
        status.end();
    }
    if span.flags() != 0 {
        object.number("flags", span.flags());
    }
    object.end();
}

fn ids(object: &mut Object<'_>, trace_id: TraceId, span_id: SpanId) {
    let trace_id = format!("{:016x}{:016x}", trace_id.high(), trace_id.low());
    object.text("traceId", trace_id.as_bytes());
    object.text("spanId", span_id.to_string().as_bytes());
}

fn write_event<'a>(out: &mut Vec<u8>, event: &Event<'a>, parts: &Parts<'a>) {
    let mut object = Object::begin(out);
    object.text("timeUnixNano", event.time_nanos.to_string().as_bytes());
    if !event.name.is_empty() {
        object.text("name", &text(event.name));
    }
    attributes(&mut object, parts.attributes_of(event));
    object.end();
}

fn write_link(out: &mut Vec<u8>, link: ReferenceView) {
    let mut object = Object::begin(out);
    ids(&mut object, link.trace_id, link.span_id);
    attributes(&mut object, std::iter::once(super::reference_type(link)));
    object.end();
}

fn attributes<'t>(object: &mut Object<'_>, tags: impl Iterator<Item = TagView<'t>>) {
    list(object, b"attributes", tags, write_attribute);
}

fn write_attribute(out: &mut Vec<u8>, tag: TagView<'_>) {
    let mut object = Object::begin(out);
    object.text("key", &text(tag.key));
    object.key(b"value");
    let mut any = Object::begin(object.out);
    match value(tag.value) {
        ValueView::Str(text) => any.text("stringValue", text),
        ValueView::Bool(value) => any.number("boolValue", value),
        ValueView::Long(number) => any.text("intValue", number.to_string().as_bytes()),
        // With an exponent where it has many digits, and never like an integer.
        ValueView::Double(double) => any.raw("doubleValue", format!("{double:?}").as_bytes()),
        ValueView::Binary(bytes) => any.text("bytesValue", base64(bytes).as_bytes()),
    }
    any.end();
    object.end();
}

/// Writes a list under a key, if there are any items.
fn list<T>(
    object: &mut Object<'_>,
    key: &[u8],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let mut comma = Comma::default();
    for item in items {
        if !comma.has_items {
            object.key(key);
            object.out.push(b'[');
        }
        comma.put(object.out);
        write(object.out, item);
    }
    if comma.has_items {
        object.out.push(b']');
    }
}

/// The separator of a list's items.
#[derive(Default)]
struct Comma {
    has_items: bool,
}

impl Comma {
    /// Writes a comma, but not before the first item.
    fn put(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_items, true) {
            out.push(b',');
        }
    }
}
