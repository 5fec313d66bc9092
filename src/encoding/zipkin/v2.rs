//! Zipkin v2: the JSON list of spans that a Zipkin server accepts over HTTP.
//!
//! A span has one kind, one host and one peer, and its tags are a map of text: of several tags with
//! the same key the last one stays. As in v1, data without a place in Zipkin (references beside the
//! parent, types of values) is dropped, and the process's tags go with the spans that are first in
//! it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::endpoint::{Endpoint, address};
use super::text::{log_object, log_text, shortest, showable, text};
use crate::encoding::batch::BatchView;
use crate::encoding::json::{Object, base64, json_string};
use crate::encoding::read::DecodeError;
use crate::encoding::view::{LogView, SpanView, TagView, ValueView};

/// Encodes the body of a POST to `/api/v2/spans`.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all formats")]
pub(in crate::encoding) fn body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(batch.to_zipkin_json())
}

impl BatchView<'_> {
    /// Writes the spans as the Zipkin v2 body of a POST: a JSON list.
    ///
    /// # Shape and units
    ///
    /// Ids are hex text, times microseconds. Tags and annotations (logs of the span) are text:
    /// bytes as base64, a log as its event or as a JSON object of its fields. The host's address is
    /// the process's first `ip` tag. `peer.service`, `peer.ipv4`, `peer.ipv6` and `peer.port` are
    /// the remote endpoint, `span.kind` the kind. Values that are not valid addresses or ports stay
    /// tags.
    ///
    /// Jaeger and the OpenTelemetry Collector read a `|` in an annotation as the end of its name,
    /// and refuse the list if the rest is not in their own format: a log with one is a JSON object,
    /// in which it is escaped. Tags that they read as the service of all spans (`service.name`,
    /// `otlp.service.name.source`) or as a link (`otlp.link.0`) have `tag.` before their key.
    ///
    /// A span is `shared` if it is a server's and refers to a parent with its own id. A duration of
    /// zero is left out, as Zipkin would take it for an unknown one.
    ///
    /// # Source
    ///
    /// `V2SpanConverter` in jaeger-client-java, `jaeger-zipkin`.
    #[must_use]
    pub fn to_zipkin_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.spans.bytes.len() * 2 + 2);
        out.push(b'[');
        for (n, view) in self.spans().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            span(&mut out, self, &view);
        }
        out.push(b']');
        out
    }
}

fn span(out: &mut Vec<u8>, batch: &BatchView<'_>, view: &SpanView<'_>) {
    const DEBUG: i32 = 2;
    let kind = kind_of(view);
    let mut object = Object::begin(out);
    let trace = match view.trace_id.high() {
        0 => format!("{:016x}", view.trace_id.low()),
        high => format!("{high:016x}{:016x}", view.trace_id.low()),
    };
    object.text("traceId", trace.as_bytes());
    object.text("id", format!("{:016x}", view.span_id.get()).as_bytes());
    if view.parent_span_id.get() != 0 {
        object.text("parentId", format!("{:016x}", view.parent_span_id.get()).as_bytes());
    }
    object.shown("name", view.operation_name);
    if let Some(kind) = kind {
        object.text("kind", kind.as_bytes());
    }
    object.number("timestamp", since_1970(view.start_time_micros));
    if view.duration_micros > 0 {
        object.number("duration", view.duration_micros);
    }
    if view.flags & DEBUG != 0 {
        object.raw("debug", b"true");
    }
    if kind == Some("SERVER") && is_shared(view) {
        object.raw("shared", b"true");
    }
    let (tags, peer) = tags_and_peer(batch, view, kind);
    object.endpoint("localEndpoint", &Endpoint::of(&batch.process));
    if peer.is_known() {
        object.endpoint("remoteEndpoint", &peer);
    }
    if view.logs().next().is_some() {
        object.annotations(view);
    }
    if !tags.is_empty() {
        object.tags(&tags);
    }
    object.end();
}

/// Returns a time that every server accepts: 0 means that there is none, which Jaeger refuses for
/// an annotation, and with it the whole list, as it does for a negative one.
fn since_1970(micros: i64) -> i64 {
    micros.max(1)
}

/// Returns a log as text without the character that separates annotations.
fn annotation(log: LogView<'_>) -> Cow<'_, [u8]> {
    let text = log_text(log, shortest);
    if !text.contains(&b'|') {
        return text;
    }
    let object = log_object(log, shortest);
    let escaped =
        object.split(|byte| *byte == b'|').collect::<Vec<_>>().join(b"\\u007c".as_slice());
    escaped.into()
}

/// Returns a tag's key, with a prefix if servers would not take it for a tag.
fn own_key(key: &[u8]) -> Cow<'_, [u8]> {
    let is_theirs = matches!(key, b"service.name" | b"otlp.service.name.source")
        || key.starts_with(b"otlp.link.");
    if is_theirs { [b"tag.", key].concat().into() } else { key.into() }
}

/// Returns Zipkin's name of a kind, or `None` for a span that is not part of a remote call.
fn kind_of(view: &SpanView<'_>) -> Option<&'static str> {
    match view.tag("span.kind") {
        Some(ValueView::Str(b"client")) => Some("CLIENT"),
        Some(ValueView::Str(b"server")) => Some("SERVER"),
        Some(ValueView::Str(b"producer")) => Some("PRODUCER"),
        Some(ValueView::Str(b"consumer")) => Some("CONSUMER"),
        _ => None,
    }
}

/// Returns whether both ends of the call share one span.
fn is_shared(view: &SpanView<'_>) -> bool {
    view.references().any(|parent| {
        (parent.trace_id, parent.span_id) == (view.trace_id, view.span_id) && !parent.follows_from
    })
}

type Tags<'a> = BTreeMap<&'a [u8], ValueView<'a>>;

fn tags_and_peer<'a>(
    batch: &BatchView<'a>,
    view: &SpanView<'a>,
    kind: Option<&str>,
) -> (Tags<'a>, Endpoint<'a>) {
    let (mut tags, mut peer) = (BTreeMap::new(), Endpoint::default());
    if kind == Some("SERVER") || view.parent_span_id.get() == 0 {
        let inherited = |tag: &TagView<'_>| match tag.key {
            b"ip" => address(tag.value).is_none(),
            key => key != b"client-uuid",
        };
        tags.extend(batch.process.tags().filter(inherited).map(|tag| (tag.key, tag.value)));
    }
    for tag in view.tags() {
        match (tag.key, tag.value) {
            (b"span.kind", _) if kind.is_some() => {}
            _ if peer.take(tag) => {}
            (key, value) => {
                tags.insert(key, value);
            }
        }
    }
    (tags, peer)
}

impl Object<'_> {
    /// Writes a text under a key, as far as Zipkin can show it.
    fn shown(&mut self, key: &str, text: &[u8]) {
        self.text(key, &showable(text));
    }

    fn endpoint(&mut self, key: &str, endpoint: &Endpoint<'_>) {
        self.key(key.as_bytes());
        let mut object = Object::begin(self.out);
        if !endpoint.service.is_empty() {
            object.shown("serviceName", endpoint.service);
        }
        if let Some(address) = endpoint.ipv4 {
            object.text("ipv4", address.to_string().as_bytes());
        }
        if let Some(address) = endpoint.ipv6 {
            object.text("ipv6", address.to_string().as_bytes());
        }
        if let Some(port) = endpoint.port {
            object.number("port", port);
        }
        object.end();
    }

    fn annotations(&mut self, view: &SpanView<'_>) {
        self.key(b"annotations");
        self.out.push(b'[');
        for (n, log) in view.logs().enumerate() {
            if n > 0 {
                self.out.push(b',');
            }
            let mut object = Object::begin(self.out);
            object.number("timestamp", since_1970(log.timestamp_micros));
            object.shown("value", &annotation(log));
            object.end();
        }
        self.out.push(b']');
    }

    fn tags(&mut self, tags: &Tags<'_>) {
        self.key(b"tags");
        let mut object = Object::begin(self.out);
        for (key, value) in tags {
            object.key(&showable(&own_key(key)));
            match value {
                ValueView::Binary(bytes) => json_string(object.out, base64(bytes).as_bytes()),
                other => json_string(object.out, &showable(&text(*other))),
            }
        }
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::encoding::{List, ProcessView, ReferenceView};
    use crate::encoding::{put_log, put_reference, put_tag};
    use crate::{SpanId, TraceId};

    fn list(tags: &[(&str, ValueView<'_>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in tags {
            put_tag(&mut bytes, TagView::new(key.as_bytes(), *value));
        }
        bytes
    }

    fn written(process: &[(&str, ValueView<'_>)], span: SpanView<'_>) -> Value {
        let tags = list(process);
        let process = ProcessView::new(b"svc", Some(List::new(process.len(), &tags)));
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        span.encode(&mut bytes);
        let json = BatchView::new(process, List::new(2, &bytes)).to_zipkin_json();
        let spans: Vec<Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!((spans.len(), &spans[0]), (2, &spans[1]));
        spans[0].clone()
    }

    #[test]
    fn a_server_span_has_its_kind_endpoints_annotations_and_tags() {
        let given = [
            ("span.kind", ValueView::Str(b"server")),
            ("peer.service", ValueView::Str(b"caller")),
            ("peer.ipv4", ValueView::Long(0x0a00_0001)),
            ("peer.port", ValueView::Long(65_535)),
            ("b", ValueView::Bool(true)),
            ("n", ValueView::Long(-5)),
            ("d", ValueView::Double(0.25)),
            ("raw", ValueView::Binary(b"foob")),
            ("n", ValueView::Long(7)),
        ];
        let (tags, event) = (list(&given), list(&[("event", ValueView::Str(b"a\"b"))]));
        let (mut logs, mut parents) = (Vec::new(), Vec::new());
        put_log(&mut logs, LogView::new(12, List::new(1, &event)));
        let (trace, id) = (TraceId::new(1, 2), SpanId::new(3));
        put_reference(&mut parents, ReferenceView::new(false, trace, id));
        let span = SpanView {
            trace_id: trace,
            span_id: id,
            parent_span_id: SpanId::new(9),
            operation_name: "Größe".as_bytes(),
            flags: 3,
            start_time_micros: 10,
            duration_micros: 5,
            references: Some(List::new(1, &parents)),
            tags: Some(List::new(given.len(), &tags)),
            logs: Some(List::new(1, &logs)),
            ..SpanView::default()
        };
        let process = [
            ("ip", ValueView::Str(b"2001:db8::1")),
            ("client-uuid", ValueView::Str(b"u")),
            ("n", ValueView::Str(b"of the process")),
            ("region", ValueView::Str(b"eu")),
        ];
        let wanted = json!({
            "traceId": "00000000000000010000000000000002",
            "id": "0000000000000003",
            "parentId": "0000000000000009",
            "name": "Größe",
            "kind": "SERVER",
            "timestamp": 10,
            "duration": 5,
            "debug": true,
            "shared": true,
            "localEndpoint": {"serviceName": "svc", "ipv6": "2001:db8::1"},
            "remoteEndpoint": {"serviceName": "caller", "ipv4": "10.0.0.1", "port": 65535},
            "annotations": [{"timestamp": 12, "value": "a\"b"}],
            "tags": {"b": "true", "n": "7", "d": "0.25", "raw": "Zm9vYg==", "region": "eu"},
        });
        assert_eq!(written(&process, span), wanted);
    }

    #[test]
    fn a_local_child_span_has_nothing_it_was_not_given() {
        let tags = list(&[("span.kind", ValueView::Str(b"internal"))]);
        let span = SpanView {
            trace_id: TraceId::new(0, 2),
            span_id: SpanId::new(3),
            parent_span_id: SpanId::new(2),
            operation_name: b"op",
            flags: 1,
            start_time_micros: 10,
            tags: Some(List::new(1, &tags)),
            ..SpanView::default()
        };
        let wanted = json!({
            "traceId": "0000000000000002",
            "id": "0000000000000003",
            "parentId": "0000000000000002",
            "name": "op",
            "timestamp": 10,
            "localEndpoint": {"serviceName": "svc", "ipv4": "127.0.0.1"},
            "tags": {"span.kind": "internal"},
        });
        let process = [("ip", ValueView::Str(b"127.0.0.1")), ("region", ValueView::Str(b"eu"))];
        assert_eq!(written(&process, span), wanted);
    }

    #[test]
    fn what_is_no_address_or_port_stays_a_tag() {
        let tags = list(&[
            ("span.kind", ValueView::Str(b"client")),
            ("peer.ipv4", ValueView::Str(b"10.0.0.1:8080")),
            ("peer.ipv6", ValueView::Str(b"fe80::1%eth0")),
            ("peer.port", ValueView::Long(70_000)),
            ("peer.ipv6", ValueView::Str(b"2001:db8::1")),
            ("peer.ipv4", ValueView::Str(b"::ffff:10.0.0.2")),
        ]);
        let span = SpanView {
            trace_id: TraceId::new(0, 2),
            span_id: SpanId::new(3),
            duration_micros: 1,
            tags: Some(List::new(6, &tags)),
            ..SpanView::default()
        };
        let wanted = json!({
            "traceId": "0000000000000002",
            "id": "0000000000000003",
            "name": "",
            "kind": "CLIENT",
            "timestamp": 1,
            "duration": 1,
            "localEndpoint": {"serviceName": "svc"},
            "remoteEndpoint": {"ipv4": "10.0.0.2", "ipv6": "2001:db8::1"},
            "tags": {
                "peer.ipv4": "10.0.0.1:8080",
                "peer.ipv6": "fe80::1%eth0",
                "peer.port": "70000",
                "ip": "[::1]:443",
            },
        });
        assert_eq!(written(&[("ip", ValueView::Str(b"[::1]:443"))], span), wanted);
    }

    #[test]
    fn what_servers_read_something_else_from_is_written_otherwise() {
        let event = list(&[("event", ValueView::Str(b"a|b|c"))]);
        let fields = list(&[("x", ValueView::Str(b"d|e")), ("y", ValueView::Str(b"|"))]);
        let mut logs = Vec::new();
        put_log(&mut logs, LogView::new(-5, List::new(1, &event)));
        put_log(&mut logs, LogView::new(0, List::new(2, &fields)));
        let tags = list(&[
            ("otlp.link.0", ValueView::Str(b"a|b|c|d|e")),
            ("service.name", ValueView::Str(b"other")),
            ("e\u{301}\u{2028}", ValueView::Str("\u{2029}\u{1f980}".as_bytes())),
        ]);
        let span = SpanView {
            trace_id: TraceId::new(0, 2),
            span_id: SpanId::new(3),
            parent_span_id: SpanId::new(2),
            duration_micros: 1,
            tags: Some(List::new(3, &tags)),
            logs: Some(List::new(2, &logs)),
            ..SpanView::default()
        };
        let span = written(&[], span);
        let annotations = json!([
            {"timestamp": 1, "value": r#"{"event":"a\u007cb\u007cc"}"#},
            {"timestamp": 1, "value": r#"{"x":"d\u007ce","y":"\u007c"}"#},
        ]);
        assert_eq!(span["annotations"], annotations);
        let tags = json!({
            "tag.otlp.link.0": "a|b|c|d|e",
            "tag.service.name": "other",
            "e\u{301}\n": "\n\u{1f980}",
        });
        assert_eq!(span["tags"], tags);
    }
}
