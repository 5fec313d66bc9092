//! Plain values as canonical bytes.

use jaeger_client::encoding::{
    List, LogView, ReferenceView, SpanView, TagView, ValueView, put_log, put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};

use super::read::{Span, Tag, Value};

/// The canonical bytes of tags.
pub(crate) fn our_tags(tags: &[Tag]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in tags {
        let value = match value {
            Value::Str(text) => ValueView::Str(text.as_bytes()),
            Value::Double(double) => ValueView::Double(*double),
            Value::Bool(boolean) => ValueView::Bool(*boolean),
            Value::Long(long) => ValueView::Long(*long),
            Value::Binary(bytes) => ValueView::Binary(bytes),
        };
        put_tag(&mut out, TagView::new(key.as_bytes(), value));
    }
    out
}

/// The canonical bytes of a span.
pub(crate) fn ours(span: &Span) -> Vec<u8> {
    let (mut references, mut logs) = (Vec::new(), Vec::new());
    for (follows, trace, id) in &span.references {
        let trace = TraceId::new(trace.0, trace.1);
        put_reference(&mut references, ReferenceView::new(*follows, trace, SpanId::new(*id)));
    }
    for log in &span.logs {
        let fields = our_tags(&log.fields);
        put_log(&mut logs, LogView::new(log.micros, List::new(log.fields.len(), &fields)));
    }
    let tags = our_tags(&span.tags);
    let mut view = SpanView::default();
    view.trace_id = TraceId::new(span.trace.0, span.trace.1);
    view.span_id = SpanId::new(span.id);
    view.parent_span_id = SpanId::new(span.parent);
    view.operation_name = span.name.as_bytes();
    view.flags = span.flags;
    view.start_time_micros = span.start;
    view.duration_micros = span.duration;
    view.references = Some(List::new(span.references.len(), &references));
    view.tags = Some(List::new(span.tags.len(), &tags));
    view.logs = Some(List::new(span.logs.len(), &logs));
    let mut out = Vec::new();
    view.encode(&mut out);
    assert_eq!(out.len(), view.encoded_len());
    out
}
