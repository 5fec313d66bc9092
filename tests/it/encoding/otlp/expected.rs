//! The translation to OTLP, written from its rules and not from the encoder.

use std::collections::HashMap;

use crate::support::otlp::{
    AnyValue, Event, KeyValue, Link, Request, Resource, ResourceSpans, Scope, ScopeSpans,
    Span as Out, Status, Value as OutValue,
};
use crate::support::read::{Log, Span, Tag, Value};

/// The tag of spans that were trimmed.
pub(crate) const LOGS_TRIMMED: &str = "3 values cut to 64 bytes, 17 oldest logs dropped";
pub(crate) const ALL_TRIMMED: &str = "0 values cut to 64 bytes, 2 oldest logs dropped, name cut, \
    3 keys cut, 4 fields of logs dropped, 5 tags dropped, 6 references dropped";

/// Returns a span with a name and tags.
pub(crate) fn span_with(name: &str, tags: &[(&str, Value)]) -> Span {
    Span {
        trace: (0, 7),
        id: 8,
        parent: 0,
        name: name.to_owned(),
        flags: 1,
        start: 1_000,
        duration: 5,
        references: Vec::new(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        logs: Vec::new(),
    }
}

pub(crate) fn request(service: &[u8], process: &[Tag], spans: &[Span]) -> Request {
    let mut scope_spans: Vec<ScopeSpans> = Vec::new();
    for span in spans {
        let (scope, span) = translate(span);
        match scope_spans.last_mut() {
            Some(last) if last.scope.as_ref() == Some(&scope) => last.spans.push(span),
            _ => scope_spans.push(ScopeSpans {
                scope: Some(scope),
                spans: vec![span],
                schema_url: String::new(),
            }),
        }
    }
    let attributes = resource(std::str::from_utf8(service).unwrap(), process);
    let resource = Some(Resource { attributes, dropped_attributes_count: 0 });
    Request {
        resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: String::new() }],
    }
}

/// Of tags with one key the last, where it stands.
fn unique(tags: &[Tag]) -> Vec<Tag> {
    let last: HashMap<_, _> = tags.iter().enumerate().map(|(at, tag)| (&tag.0, at)).collect();
    tags.iter()
        .enumerate()
        .filter(|(at, tag)| last[&tag.0] == *at)
        .map(|(_, t)| t.clone())
        .collect()
}

fn resource(service: &str, process: &[Tag]) -> Vec<KeyValue> {
    let tags = unique(process);
    let mut out = Vec::new();
    let named = tags.iter().find(|tag| tag.0 == "service.name").is_some_and(|tag| match &tag.1 {
        Value::Str(name) => !name.is_empty() && name.chars().all(|c| !c.is_control()),
        _ => false,
    });
    let tags: Vec<_> =
        tags.iter().filter(|tag| named || tag.0 != "service.name").cloned().collect();
    let has = |key: &str| tags.iter().any(|tag| tag.0 == key);
    if !named {
        out.push(("service.name".to_owned(), Value::from(service)));
    }
    for (key, value) in &tags {
        out.push(match (key.as_str(), value) {
            ("hostname", value) if !has("host.name") => ("host.name".to_owned(), value.clone()),
            ("jaeger.version", Value::Str(version)) if !has("opencensus.exporterversion") => {
                let version = format!("Jaeger-{version}");
                ("opencensus.exporterversion".to_owned(), Value::Str(version))
            }
            _ => (key.clone(), value.clone()),
        });
    }
    for (key, value) in [
        ("telemetry.sdk.name", "jaeger-client"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        if !has(key) {
            out.push((key.to_owned(), value.into()));
        }
    }
    key_values(&out)
}

fn translate(span: &Span) -> (Scope, Out) {
    let mut tags = unique(&span.tags);
    let text = |tags: &[Tag], key: &str| match tags.iter().find(|tag| tag.0 == key) {
        Some((_, Value::Str(text))) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let kind = match text(&tags, "span.kind").as_deref() {
        Some("internal") => 1,
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 0,
    };
    if kind != 0 {
        remove(&mut tags, "span.kind");
    }
    let status = status(&mut tags, kind);
    let trace_state = text(&tags, "w3c.tracestate");
    if trace_state.is_some() {
        remove(&mut tags, "w3c.tracestate");
    }
    let scope = match text(&tags, "otel.scope.name") {
        Some(name) => {
            remove(&mut tags, "otel.scope.name");
            let version = text(&tags, "otel.scope.version");
            if version.is_some() {
                remove(&mut tags, "otel.scope.version");
            }
            Scope { name, version: version.unwrap_or_default(), ..Scope::default() }
        }
        None => Scope {
            name: "jaeger-client".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Scope::default()
        },
    };
    let (mut dropped, dropped_tags, dropped_references) =
        match text(&tags, "jaeger.trimmed").as_deref() {
            Some(LOGS_TRIMMED) => (17, 0, 0),
            Some(ALL_TRIMMED) => (2, 5, 6),
            _ => (0, 0, 0),
        };
    let mut events = Vec::new();
    for log in &span.logs {
        let (event, stands_for) = event(log);
        dropped += stands_for;
        events.push(event);
    }
    let same_trace =
        |reference: &&(bool, (u64, u64), u64)| reference.1 == span.trace && reference.2 != 0;
    let parent = match span.parent {
        0 => {
            let mut within = span.references.iter().filter(same_trace);
            let child = within.clone().find(|reference| !reference.0);
            child.or_else(|| within.next()).map_or(0, |reference| reference.2)
        }
        parent => parent,
    };
    let others = span
        .references
        .iter()
        .filter(|(follows, trace, id)| *follows || *trace != span.trace || *id != parent);
    let (valid, invalid): (Vec<_>, Vec<_>) =
        others.partition(|(_, trace, id)| *trace != (0, 0) && *id != 0);
    let links = valid.iter().map(|(follows, trace, id)| Link {
        trace_id: trace_id(*trace),
        span_id: id.to_be_bytes().to_vec(),
        attributes: key_values(&[(
            "opentracing.ref_type".to_owned(),
            if *follows { "follows_from" } else { "child_of" }.into(),
        )]),
        ..Link::default()
    });
    let out = Out {
        trace_id: trace_id(span.trace),
        span_id: span.id.to_be_bytes().to_vec(),
        trace_state: trace_state.unwrap_or_default(),
        parent_span_id: if parent == 0 { vec![] } else { parent.to_be_bytes().to_vec() },
        name: span.name.clone(),
        kind,
        start_time_unix_nano: nanos(span.start.into()),
        end_time_unix_nano: end(span.start, span.duration),
        attributes: key_values(&tags),
        dropped_attributes_count: dropped_tags,
        events,
        dropped_events_count: dropped,
        links: links.collect(),
        dropped_links_count: dropped_references + u32::try_from(invalid.len()).unwrap(),
        status,
        flags: u32::from(span.flags & 1 == 1),
    };
    (scope, out)
}

fn status(tags: &mut Vec<Tag>, kind: i32) -> Option<Status> {
    let get =
        |tags: &[Tag], key: &str| tags.iter().find(|tag| tag.0 == key).map(|tag| tag.1.clone());
    let text = |tags: &[Tag], key: &str| match get(tags, key) {
        Some(Value::Str(text)) => text,
        _ => String::new(),
    };
    let description = |tags: &mut Vec<Tag>| {
        let text = text(tags, "otel.status_description");
        if !text.is_empty() {
            remove(tags, "otel.status_description");
        }
        text
    };
    let message = text(tags, "http.status_message");
    let code = get(tags, "otel.status_code");
    let named = match &code {
        Some(Value::Str(word)) => match word.to_uppercase().as_str() {
            "UNSET" => Some(0),
            "OK" => Some(1),
            "ERROR" => Some(2),
            _ => None,
        },
        _ => None,
    };
    let mut status = Status::default();
    if matches!(get(tags, "error"), Some(Value::Bool(true))) || text(tags, "error") == "true" {
        remove(tags, "error");
        status.code = 2;
        status.message = description(tags);
        if status.message.is_empty() {
            status.message = message;
        }
    } else if code.is_some() {
        status.code = named.unwrap_or(0);
        status.message = description(tags);
    } else if is_http_error(
        get(tags, "http.status_code").or_else(|| get(tags, "http.response.status_code")),
        kind,
    ) {
        status = Status { code: 2, message };
    }
    if named.is_some() {
        remove(tags, "otel.status_code");
    }
    (status != Status::default()).then_some(status)
}

fn is_http_error(code: Option<Value>, kind: i32) -> bool {
    let code: i64 = match code {
        Some(Value::Long(code)) => code,
        Some(Value::Str(text)) => match text.parse() {
            Ok(code) => code,
            Err(_) => return false,
        },
        _ => return false,
    };
    let is_success = (100..399).contains(&code);
    let is_the_caller_s = kind == 2 && (400..500).contains(&code);
    !is_success && !is_the_caller_s
}

fn event(log: &Log) -> (Event, u32) {
    let mut fields = unique(&log.fields);
    let name = match fields.iter().find(|field| field.0 == "event") {
        Some((_, Value::Str(name))) if !name.is_empty() => name.clone(),
        _ => String::new(),
    };
    let count = fields.iter().find(|field| field.0 == "dropped_log_count").map(|field| &field.1);
    let stands_for = match count {
        Some(Value::Long(count)) if name == "dropped Span logs" => {
            u32::try_from(*count).unwrap_or(0)
        }
        _ => 0,
    };
    if !name.is_empty() {
        remove(&mut fields, "event");
    }
    let time_unix_nano = nanos(log.micros.into());
    let attributes = key_values(&fields);
    (Event { time_unix_nano, name, attributes, dropped_attributes_count: 0 }, stands_for)
}

fn remove(tags: &mut Vec<Tag>, key: &str) {
    tags.retain(|tag| tag.0 != key);
}

fn trace_id((high, low): (u64, u64)) -> Vec<u8> {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes().to_vec()
}

/// Not before 1970, and two microseconds before the last moment that servers know.
fn nanos(micros: i128) -> u64 {
    let latest = i128::from(i64::MAX) - 2_000;
    u64::try_from((micros * 1_000).clamp(0, latest)).unwrap()
}

/// Not before the start, and at most that last moment.
fn end(start: i64, duration: i64) -> u64 {
    let end = nanos(start.into()) + nanos(duration.into());
    end.min(u64::try_from(i64::MAX).unwrap())
}

fn key_values(tags: &[Tag]) -> Vec<KeyValue> {
    tags.iter()
        .map(|(key, value)| KeyValue { key: key.clone(), value: Some(any_value(value)) })
        .collect()
}

pub(crate) fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Str(text) => OutValue::Str(text.clone()),
        Value::Double(double) if double.is_nan() => OutValue::Str("NaN".into()),
        Value::Double(f64::INFINITY) => OutValue::Str("+Inf".into()),
        Value::Double(f64::NEG_INFINITY) => OutValue::Str("-Inf".into()),
        Value::Double(double) => OutValue::Double(*double),
        Value::Bool(boolean) => OutValue::Bool(*boolean),
        Value::Long(long) => OutValue::Int(*long),
        Value::Binary(bytes) => OutValue::Bytes(bytes.clone()),
    };
    AnyValue { value: Some(value) }
}
