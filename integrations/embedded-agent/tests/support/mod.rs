//! Spans and batches that say what a client may say, built with the client's own writers.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared by several test files")]

use jaeger_client::encoding::{
    BatchView, ClientStats, List, LogView, ProcessView, ReferenceView, SpanView, TagView,
    ValueView, put_log, put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
pub const LONG: Duration = Duration::from_secs(60);

/// A list that owns its bytes.
#[derive(Clone, Debug, Default)]
pub struct Items {
    pub count: usize,
    pub bytes: Vec<u8>,
}

impl Items {
    pub fn view(&self) -> List<'_> {
        List::new(self.count, &self.bytes)
    }

    pub fn tag(mut self, key: &[u8], value: ValueView<'_>) -> Self {
        put_tag(&mut self.bytes, TagView::new(key, value));
        self.count += 1;
        self
    }

    pub fn log(mut self, timestamp: i64, fields: &Self) -> Self {
        put_log(&mut self.bytes, LogView::new(timestamp, fields.view()));
        self.count += 1;
        self
    }

    pub fn reference(mut self, follows_from: bool, trace: u64, span: u64) -> Self {
        let (trace, span) = (TraceId::new(0, trace), SpanId::new(span));
        put_reference(&mut self.bytes, ReferenceView::new(follows_from, trace, span));
        self.count += 1;
        self
    }

    pub fn span(mut self, span: &SpanView<'_>) -> Self {
        span.encode(&mut self.bytes);
        self.count += 1;
        self
    }
}

/// A tag of every type, in that order.
pub fn all_tags() -> Items {
    Items::default()
        .tag(b"text", ValueView::Str("höher".as_bytes()))
        .tag(b"not utf-8", ValueView::Str(b"\xff\xfe"))
        .tag(b"double", ValueView::Double(-0.25))
        .tag(b"yes", ValueView::Bool(true))
        .tag(b"no", ValueView::Bool(false))
        .tag(b"long", ValueView::Long(i64::MIN))
        .tag(b"bytes", ValueView::Binary(&[0, 1, 255]))
}

pub fn span(trace: u64, id: u64, parent: u64, operation: &str) -> SpanView<'_> {
    let mut span = SpanView::default();
    span.trace_id = TraceId::new(0, trace);
    span.span_id = SpanId::new(id);
    span.parent_span_id = SpanId::new(parent);
    span.operation_name = operation.as_bytes();
    span.flags = 1;
    span.start_time_micros = 1_700_000_000_000_000;
    span.duration_micros = 1_000;
    span.references = Some(List::default());
    span.tags = Some(List::default());
    span.logs = Some(List::default());
    span
}

pub fn at(mut span: SpanView<'_>, start: i64, duration: i64) -> SpanView<'_> {
    span.start_time_micros += start;
    span.duration_micros = duration;
    span
}

pub fn batch<'a>(service: &'a str, spans: &'a Items) -> BatchView<'a> {
    BatchView::new(ProcessView::new(service.as_bytes(), Some(List::default())), spans.view())
}

pub fn compact(service: &str, spans: &Items) -> Vec<u8> {
    batch(service, spans).to_message(1)
}

pub fn binary(service: &str, spans: &Items) -> Vec<u8> {
    batch(service, spans).to_binary_message(1).unwrap()
}

/// One message with everything in it that the model has, in both protocols.
pub fn full_messages() -> [Vec<u8>; 2] {
    let tags = all_tags();
    let logs = Items::default().log(5, &tags).log(-1, &Items::default());
    let references = Items::default().reference(false, 7, 1).reference(true, 8, 2);
    let mut view = span(7, 3, 1, "everything");
    view.trace_id = TraceId::new(u64::MAX, 7);
    view.flags = -1;
    view.references = Some(references.view());
    view.tags = Some(tags.view());
    view.logs = Some(logs.view());
    let mut bare = span(7, 4, 0, "");
    (bare.references, bare.tags, bare.logs) = (None, None, None);
    let spans = Items::default().span(&view).span(&bare);
    let process = ProcessView::new(b"service", Some(tags.view()));
    let batch = BatchView::new(process, spans.view())
        .with_seq_no(Some(42))
        .with_stats(Some(ClientStats::new(1, 2, 3)));
    [batch.to_message(9), batch.to_binary_message(9).unwrap()]
}
