//! Reads OTLP's JSON as strictly as its rules are: what is not of the form they ask for is a panic.

use serde_json::{Map, Value};

use super::otlp::{
    AnyValue, Event, KeyValue, Link, Request, Resource, ResourceSpans, Scope, ScopeSpans, Span,
    Status, Value as Any,
};

pub(crate) fn read(json: &[u8]) -> Request {
    let text = std::str::from_utf8(json).unwrap();
    assert!(!text.contains('\n'), "one line");
    let mut request = Fields::of(serde_json::from_str(text).unwrap());
    let resource_spans = request.list("resourceSpans", |mut resource_spans| ResourceSpans {
        resource: resource_spans.object("resource").map(|mut resource| Resource {
            attributes: resource.attributes(),
            ..Resource::default()
        }),
        scope_spans: resource_spans.list("scopeSpans", |mut scope_spans| ScopeSpans {
            scope: scope_spans.object("scope").map(|mut scope| Scope {
                name: scope.text("name"),
                version: scope.text("version"),
                ..Scope::default()
            }),
            spans: scope_spans.list("spans", span),
            ..ScopeSpans::default()
        }),
        ..ResourceSpans::default()
    });
    Request { resource_spans }
}

fn span(mut span: Fields) -> Span {
    Span {
        trace_id: span.hex("traceId", 16),
        span_id: span.hex("spanId", 8),
        trace_state: span.text("traceState"),
        parent_span_id: span.hex("parentSpanId", 8),
        name: span.text("name"),
        kind: span.small("kind").try_into().unwrap(),
        start_time_unix_nano: span.nanos("startTimeUnixNano"),
        end_time_unix_nano: span.nanos("endTimeUnixNano"),
        attributes: span.attributes(),
        dropped_attributes_count: span.small("droppedAttributesCount"),
        events: span.list("events", |mut event| Event {
            time_unix_nano: event.nanos("timeUnixNano"),
            name: event.text("name"),
            attributes: event.attributes(),
            ..Event::default()
        }),
        dropped_events_count: span.small("droppedEventsCount"),
        links: span.list("links", |mut link| Link {
            trace_id: link.hex("traceId", 16),
            span_id: link.hex("spanId", 8),
            attributes: link.attributes(),
            ..Link::default()
        }),
        dropped_links_count: span.small("droppedLinksCount"),
        status: span.object("status").map(|mut status| Status {
            message: status.text("message"),
            code: status.small("code").try_into().unwrap(),
        }),
        flags: span.small("flags"),
    }
}

/// The fields of an object, which are all to be taken.
struct Fields(Map<String, Value>);

impl Drop for Fields {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "not of the message: {:?}", self.0);
    }
}

impl Fields {
    fn of(value: Value) -> Self {
        let Value::Object(fields) = value else { panic!("no object: {value}") };
        Self(fields)
    }

    fn object(&mut self, key: &str) -> Option<Self> {
        self.0.remove(key).map(Self::of)
    }

    fn list<T>(&mut self, key: &str, read: impl FnMut(Self) -> T) -> Vec<T> {
        let Some(value) = self.0.remove(key) else { return Vec::new() };
        let Value::Array(items) = value else { panic!("no list: {value}") };
        items.into_iter().map(Self::of).map(read).collect()
    }

    fn text(&mut self, key: &str) -> String {
        let Some(value) = self.0.remove(key) else { return String::new() };
        value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
    }

    /// A number of at most 32 bits, which is a number in JSON, as enumerations are.
    fn small(&mut self, key: &str) -> u32 {
        let Some(value) = self.0.remove(key) else { return 0 };
        value.as_u64().unwrap_or_else(|| panic!("no number: {value}")).try_into().unwrap()
    }

    /// A number of 64 bits, which is text.
    fn nanos(&mut self, key: &str) -> u64 {
        self.text(key).parse().unwrap()
    }

    fn hex(&mut self, key: &str, bytes: usize) -> Vec<u8> {
        let text = self.text(key);
        if text.is_empty() {
            return Vec::new();
        }
        assert_eq!(text.len(), 2 * bytes);
        (0..bytes).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.list("attributes", |mut attribute| {
            let key = attribute.text("key");
            let mut any = attribute.object("value").unwrap();
            assert_eq!(any.0.len(), 1, "one kind of value: {:?}", any.0);
            let kind = any.0.keys().next().unwrap().clone();
            let value = match kind.as_str() {
                "stringValue" => Any::Str(any.text(&kind)),
                "boolValue" => Any::Bool(any.0.remove(&kind).unwrap().as_bool().unwrap()),
                "intValue" => Any::Int(any.text(&kind).parse().unwrap()),
                "doubleValue" => Any::Double(any.0.remove(&kind).unwrap().as_f64().unwrap()),
                "bytesValue" => Any::Bytes(from_base64(&any.text(&kind))),
                other => panic!("no kind of value: {other}"),
            };
            KeyValue { key, value: Some(AnyValue { value: Some(value) }) }
        })
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for quad in text.as_bytes().chunks(4) {
        assert_eq!(quad.len(), 4, "padded");
        let bits = quad.iter().fold(0_u32, |bits, digit| {
            let value = DIGITS.iter().position(|other| other == digit).unwrap_or(0);
            bits << 6 | u32::try_from(value).unwrap()
        });
        let padding = quad.iter().filter(|digit| **digit == b'=').count();
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    out
}
