//! Makes the messages of `prost` from canonical spans, as a client that encodes by it has to.
//!
//! Of the encoder's rules these are only the ones that the cases need.

use jaeger_client::encoding::{BatchView, LogView, SpanView, TagView, ValueView};

use super::messages::{
    AnyValue, Event, KeyValue, Request, Resource, ResourceSpans, Scope, ScopeSpans, Span, Value,
};

pub(crate) fn request(batch: &BatchView<'_>) -> Request {
    let mut attributes = vec![text("service.name", batch.process.service_name)];
    attributes.extend(batch.process.tags().map(|tag| match (tag.key, tag.value) {
        (b"hostname", ValueView::Str(name)) => text("host.name", name),
        (b"jaeger.version", ValueView::Str(version)) => {
            text("opencensus.exporterversion", &[b"Jaeger-", version].concat())
        }
        _ => attribute(tag),
    }));
    for (key, value) in [
        ("telemetry.sdk.name", "jaeger-client"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        attributes.push(text(key, value.as_bytes()));
    }
    let scope = Scope {
        name: "jaeger-client".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Scope::default()
    };
    let spans = batch.spans().map(span).collect();
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource = Resource { attributes, ..Resource::default() };
    Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
}

fn span(view: SpanView<'_>) -> Span {
    let mut trace_id = view.trace_id.high().to_be_bytes().to_vec();
    trace_id.extend_from_slice(&view.trace_id.low().to_be_bytes());
    let mut kind = 0;
    let mut attributes = Vec::with_capacity(view.tags.map_or(0, |tags| tags.count));
    for tag in view.tags() {
        if tag.key == b"span.kind" && tag.value == ValueView::Str(b"server") {
            kind = 2;
        } else {
            set(&mut attributes, tag);
        }
    }
    let start = view.start_time_micros.cast_unsigned();
    Span {
        trace_id,
        span_id: view.span_id.get().to_be_bytes().to_vec(),
        parent_span_id: match view.parent_span_id.get() {
            0 => Vec::new(),
            parent => parent.to_be_bytes().to_vec(),
        },
        name: view.operation_name().into_owned(),
        kind,
        start_time_unix_nano: start * 1_000,
        end_time_unix_nano: (start + view.duration_micros.cast_unsigned()) * 1_000,
        attributes,
        events: view.logs().map(event).collect(),
        flags: (view.flags & 1).cast_unsigned(),
        ..Span::default()
    }
}

/// A key that is there already has its value replaced, behind all others.
fn set(attributes: &mut Vec<KeyValue>, tag: TagView<'_>) {
    if let Some(place) = attributes.iter().position(|other| other.key.as_bytes() == tag.key) {
        attributes.remove(place);
    }
    attributes.push(attribute(tag));
}

fn event(log: LogView<'_>) -> Event {
    let (mut name, mut attributes) = (String::new(), Vec::with_capacity(log.fields.count));
    for field in log.fields() {
        match (field.key, field.value) {
            (b"event", ValueView::Str(text)) => name = String::from_utf8_lossy(text).into_owned(),
            _ => attributes.push(attribute(field)),
        }
    }
    let time_unix_nano = log.timestamp_micros.cast_unsigned() * 1_000;
    Event { time_unix_nano, name, attributes, ..Event::default() }
}

fn attribute(tag: TagView<'_>) -> KeyValue {
    let value = match tag.value {
        ValueView::Str(text) => Value::Str(String::from_utf8_lossy(text).into_owned()),
        ValueView::Bool(boolean) => Value::Bool(boolean),
        ValueView::Long(long) => Value::Int(long),
        ValueView::Double(double) => Value::Double(double),
        ValueView::Binary(bytes) => Value::Bytes(bytes.to_vec()),
        _ => unreachable!("Jaeger has five kinds of values"),
    };
    KeyValue {
        key: String::from_utf8_lossy(tag.key).into_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text(key: &str, value: &[u8]) -> KeyValue {
    attribute(TagView::new(key.as_bytes(), ValueView::Str(value)))
}
