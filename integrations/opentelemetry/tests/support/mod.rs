//! What the tests of the exporter share: spans of the SDK, and transports that fail on demand.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use jaeger_client::TransportError;
use jaeger_client::encoding::{BatchView, SpanView, ValueView};
use jaeger_client::transport::{Sent, Transport};
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

pub(crate) const START: Duration = Duration::from_micros(1_700_000_000_000_001);

/// A span with nothing but what it must have.
pub(crate) fn span(name: impl Into<String>) -> SpanData {
    let (trace_id, span_id) = (TraceId::from((1 << 64) | 2), SpanId::from(3));
    let flags = TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE),
        parent_span_id: SpanId::from(4),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into().into(),
        start_time: SystemTime::UNIX_EPOCH + START,
        end_time: SystemTime::UNIX_EPOCH + START + Duration::from_micros(250),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

pub(crate) fn spans(count: usize) -> Vec<SpanData> {
    (0..count).map(|n| span(format!("op {n}"))).collect()
}

/// A value as text with its type, to compare by.
pub(crate) fn shown(value: ValueView<'_>) -> String {
    match value {
        ValueView::Str(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

/// The tags of a span as text.
pub(crate) fn tags(span: &SpanView<'_>) -> Vec<(String, String)> {
    let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    span.tags().map(|tag| (key(tag.key), shown(tag.value))).collect()
}

/// The names of the spans in messages, in order.
pub(crate) fn names(messages: &[Vec<u8>]) -> Vec<String> {
    let mut names = Vec::new();
    for message in messages {
        let (_, batch) = BatchView::parse_message(message).unwrap();
        names.extend(batch.spans().map(|span| span.operation_name().into_owned()));
    }
    names
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A transport that responds by a function of the message's number and bytes.
pub(crate) struct Responding<F> {
    pub(crate) response: F,
    pub(crate) calls: Arc<AtomicUsize>,
}

impl<F> Responding<F> {
    pub(crate) fn by(response: F) -> Self {
        Self { response, calls: Arc::default() }
    }
}

impl<F> std::fmt::Debug for Responding<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl<F> Transport for Responding<F>
where
    F: FnMut(usize, &[u8]) -> Result<Sent, TransportError> + Send,
{
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        (self.response)(number, message)
    }
}

/// How many spans a message has.
pub(crate) fn count(message: &[u8]) -> usize {
    BatchView::parse_message(message).unwrap().1.spans.count
}
