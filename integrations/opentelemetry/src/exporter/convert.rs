//! Spans of the OpenTelemetry SDK as spans of Jaeger's model, in the client's canonical bytes.
//!
//! The mapping is that of OpenTelemetry's specification: "OpenTelemetry to Jaeger Transformation", and
//! "OpenTelemetry Transformation to non-OTLP Formats".

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jaeger_client::encoding::{
    List, LogView, ProcessView, ReferenceView, SpanView, TagView, ValueView, put_log,
    put_reference, put_tag,
};
use jaeger_client::transport::MAX_PACKET_BYTES;
use opentelemetry::trace::{Event, Link, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use crate::ids;

/// Elements of a Thrift list, written one behind the other into a buffer that is used again.
#[derive(Debug, Default)]
struct Elements {
    count: usize,
    bytes: Vec<u8>,
}

impl Elements {
    fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    fn list(&self) -> List<'_> {
        List::new(self.count, &self.bytes)
    }

    fn tag(&mut self, key: &str, value: ValueView<'_>) {
        put_tag(&mut self.bytes, TagView::new(key.as_bytes(), value));
        self.count += 1;
    }

    fn text(&mut self, key: &str, text: &str) {
        self.tag(key, ValueView::Str(text.as_bytes()));
    }

    /// A number of elements that the SDK left out, if there are any.
    fn dropped(&mut self, key: &str, count: u32) {
        if count > 0 {
            self.tag(key, ValueView::Long(i64::from(count)));
        }
    }

    fn attribute(&mut self, attribute: &KeyValue) {
        let key = attribute.key.as_str();
        match &attribute.value {
            Value::Bool(boolean) => self.tag(key, ValueView::Bool(*boolean)),
            Value::I64(number) => self.tag(key, ValueView::Long(*number)),
            // Jaeger's query service fails on a trace with a double that JSON has no number for.
            Value::F64(number) => match not_finite(*number) {
                Some(text) => self.text(key, text),
                None => self.tag(key, ValueView::Double(*number)),
            },
            Value::Array(array) => self.text(key, &json(array)),
            other => self.text(key, &other.as_str()),
        }
    }

    fn attributes<'a>(&mut self, attributes: impl IntoIterator<Item = &'a KeyValue>) {
        attributes.into_iter().for_each(|attribute| self.attribute(attribute));
    }
}

/// The text for a double that is infinite or not a number, as the client has it.
fn not_finite(double: f64) -> Option<&'static str> {
    match double {
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        double if double.is_nan() => Some("NaN"),
        _ => None,
    }
}

/// An array as a list in JSON; doubles that are no number there are the text that they are in a tag.
fn json(array: &Array) -> String {
    let json = match array {
        Array::Bool(items) => serde_json::to_string(items),
        Array::I64(items) => serde_json::to_string(items),
        Array::F64(items) => {
            let item = |number: &f64| match not_finite(*number) {
                Some(text) => serde_json::Value::from(text),
                None => serde_json::Value::from(*number),
            };
            serde_json::to_string(&items.iter().map(item).collect::<Vec<_>>())
        }
        Array::String(items) => {
            let items: Vec<_> = items.iter().map(|item| item.as_str()).collect();
            serde_json::to_string(&items)
        }
        other => Ok(other.to_string()),
    };
    json.unwrap_or_default()
}

/// Writes spans; its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct SpanWriter {
    tags: Elements,
    logs: Elements,
    fields: Elements,
    references: Elements,
}

impl SpanWriter {
    /// Appends a span's canonical bytes to `out`.
    pub(super) fn write(&mut self, span: &SpanData, out: &mut Vec<u8>) {
        self.tags.clear();
        self.logs.clear();
        self.references.clear();
        self.write_tags(span);
        span.events.iter().for_each(|event| self.write_log(event));
        for link in span.links.iter() {
            self.write_reference(link);
            self.write_link_log(span, link);
        }

        let start = micros(span.start_time);
        let mut view = SpanView::default();
        view.trace_id = ids::trace_id(span.span_context.trace_id());
        view.span_id = ids::span_id(span.span_context.span_id());
        view.parent_span_id = ids::span_id(span.parent_span_id);
        view.operation_name = span.name.as_bytes();
        view.flags = i32::from(span.span_context.trace_flags().to_u8());
        view.start_time_micros = start;
        // At least one, as the client's own spans: for none, Jaeger's page shows an empty bar.
        view.duration_micros = (micros(span.end_time) - start).max(1);
        view.references = Some(self.references.list());
        view.tags = Some(self.tags.list());
        view.logs = Some(self.logs.list());
        view.encode(out);
    }

    fn write_tags(&mut self, span: &SpanData) {
        let tags = &mut self.tags;
        for (at, attribute) in span.attributes.iter().enumerate() {
            // The SDK keeps what was set before. Of two tags with one key, Jaeger shows both and keeps
            // one.
            let mut later = span.attributes[at + 1..].iter();
            let is_replaced = later.any(|later| later.key == attribute.key);
            if !is_replaced && !is_written_from_elsewhere(attribute.key.as_str(), span) {
                tags.attribute(attribute);
            }
        }
        if let Some(kind) = kind(&span.span_kind) {
            tags.text("span.kind", kind);
        }
        match &span.status {
            Status::Unset => {}
            Status::Ok => tags.text("otel.status_code", "OK"),
            Status::Error { description } => {
                tags.text("otel.status_code", "ERROR");
                if !description.is_empty() {
                    tags.text("otel.status_description", description);
                }
                tags.tag("error", ValueView::Bool(true));
            }
        }
        scope(tags, span);
        let trace_state = span.span_context.trace_state().header();
        if !trace_state.is_empty() {
            tags.text("w3c.tracestate", &trace_state);
        }
        tags.dropped("otel.dropped_attributes_count", span.dropped_attributes_count);
        tags.dropped("otel.dropped_events_count", span.events.dropped_count);
        tags.dropped("otel.dropped_links_count", span.links.dropped_count);
    }

    fn write_log(&mut self, event: &Event) {
        let fields = &mut self.fields;
        fields.clear();
        // An attribute of that name says more than the event's own.
        if !event.name.is_empty() && event.attributes.iter().all(|tag| tag.key.as_str() != "event")
        {
            fields.text("event", &event.name);
        }
        fields.attributes(&event.attributes);
        fields.dropped("otel.event.dropped_attributes_count", event.dropped_attributes_count);
        put_log(&mut self.logs.bytes, LogView::new(micros(event.timestamp), fields.list()));
        self.logs.count += 1;
    }

    /// Writes the data of a link without a place in a reference, as a log at the start of the span.
    fn write_link_log(&mut self, span: &SpanData, link: &Link) {
        if link.attributes.is_empty() && link.dropped_attributes_count == 0 {
            return;
        }
        let fields = &mut self.fields;
        fields.clear();
        fields.text("event", "link");
        fields.text("trace_id", &link.span_context.trace_id().to_string());
        fields.text("span_id", &link.span_context.span_id().to_string());
        fields.attributes(&link.attributes);
        fields.dropped("otel.dropped_attributes_count", link.dropped_attributes_count);
        put_log(&mut self.logs.bytes, LogView::new(micros(span.start_time), fields.list()));
        self.logs.count += 1;
    }

    fn write_reference(&mut self, link: &Link) {
        let child_of = link.attributes.iter().any(|attribute| {
            attribute.key.as_str() == "opentracing.ref_type"
                && attribute.value.as_str() == "child_of"
        });
        let trace_id = ids::trace_id(link.span_context.trace_id());
        let span_id = ids::span_id(link.span_context.span_id());
        let reference = ReferenceView::new(!child_of, trace_id, span_id);
        put_reference(&mut self.references.bytes, reference);
        self.references.count += 1;
    }
}

/// The tag of a kind; the specification has none for internal spans.
const fn kind(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("client"),
        SpanKind::Server => Some("server"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
        SpanKind::Internal => None,
    }
}

/// Returns whether a tag with this key is made of another part of the span, which an attribute must
/// not contradict.
fn is_written_from_elsewhere(key: &str, span: &SpanData) -> bool {
    match key {
        "error" => matches!(span.status, Status::Error { .. }),
        "span.kind" => kind(&span.span_kind).is_some(),
        "otel.status_code" => span.status != Status::Unset,
        "otel.status_description" => {
            matches!(&span.status, Status::Error { description } if !description.is_empty())
        }
        _ => false,
    }
}

/// Name and version of what made the span, under today's keys and those that were before, and its
/// attributes.
fn scope(tags: &mut Elements, span: &SpanData) {
    let scope = &span.instrumentation_scope;
    if !scope.name().is_empty() {
        tags.text("otel.scope.name", scope.name());
        tags.text("otel.library.name", scope.name());
    }
    if let Some(version) = scope.version() {
        tags.text("otel.scope.version", version);
        tags.text("otel.library.version", version);
    }
    // Of a key that both have, the span's own value counts.
    let is_own = |attribute: &&KeyValue| span.attributes.iter().any(|own| own.key == attribute.key);
    tags.attributes(scope.attributes().filter(|attribute| !is_own(attribute)));
}

/// Microseconds since 1970, within what servers store: not before, and not after 2262.
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 1_000)
}

/// The bytes of a process, by which all its messages begin. Attributes that do not fit a quarter of the
/// message are left out: there must be room for spans.
pub(super) fn process(resource: &Resource, max_message_bytes: usize) -> Vec<u8> {
    let max_tags_bytes = max_message_bytes.min(MAX_PACKET_BYTES) / 4;
    let mut tags = Elements::default();
    let mut service = Cow::Borrowed(UNKNOWN_SERVICE);
    for (key, value) in resource.iter() {
        if key.as_str() == "service.name" {
            service = Cow::Owned(value.as_str().into_owned());
            continue;
        }
        let before = (tags.count, tags.bytes.len());
        tags.attribute(&KeyValue::new(key.clone(), value.clone()));
        if tags.bytes.len() > max_tags_bytes {
            tags.count = before.0;
            tags.bytes.truncate(before.1);
        }
    }
    let service = cut(&service, max_tags_bytes / 2);
    ProcessView::new(service.as_bytes(), Some(tags.list())).to_bytes()
}

/// A text without what exceeds `max_bytes`.
fn cut(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// The SDK's service name if none is set.
const UNKNOWN_SERVICE: &str = "unknown_service";
