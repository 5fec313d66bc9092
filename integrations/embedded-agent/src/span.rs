//! A span that was received, and the process it came from.
//!
//! Both own their canonical bytes and are read through views. Clones share the bytes, so that a
//! test may take all spans of the store without copying them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jaeger_client::encoding::{List, ProcessView, SpanView, ValueView};
use jaeger_client::{SpanId, TraceId};

use crate::Protocol;

/// A span as an agent received it, with the process that sent it.
///
/// The bytes are the canonical ones of [`jaeger_client::encoding`], whichever protocol brought
/// them, so spans of both protocols compare equal where the client said the same.
///
/// # Cost
///
/// A clone is one reference count. [`view`](Self::view), and every getter that reads a field, walks
/// the bytes once.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::{BatchView, List, ProcessView, SpanView, ValueView, TagView, put_tag};
/// use jaeger_client_embedded_agent::{Protocol, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut tags = Vec::new();
/// put_tag(&mut tags, TagView::new(b"http.status_code", ValueView::Long(200)));
/// let mut span = SpanView::default();
/// span.operation_name = b"GET /";
/// span.tags = Some(List::new(1, &tags));
/// let mut bytes = Vec::new();
/// span.encode(&mut bytes);
/// let batch = BatchView::new(ProcessView::new(b"shop", None), List::new(1, &bytes));
///
/// let store = Store::default();
/// store.receive(Protocol::Compact, &batch.to_message(1))?;
/// let received = &store.spans()[0];
/// assert_eq!(received.service(), "shop");
/// assert_eq!(received.tag("http.status_code"), Some(ValueView::Long(200)));
/// assert_eq!(received.view(), span);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReceivedSpan {
    inner: Arc<Inner>,
}

struct Inner {
    process: Arc<Process>,
    bytes: Box<[u8]>,
    sequence: u64,
    protocol: Protocol,
}

impl ReceivedSpan {
    pub(crate) fn new(
        process: Arc<Process>,
        bytes: Box<[u8]>,
        sequence: u64,
        protocol: Protocol,
    ) -> Self {
        Self { inner: Arc::new(Inner { process, bytes, sequence, protocol }) }
    }

    /// Returns the canonical bytes: compact Thrift.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// All its fields, read in place.
    #[must_use]
    pub fn view(&self) -> SpanView<'_> {
        // The bytes were written by `SpanView::encode`, so they do parse; a library does not panic
        // to say so.
        SpanView::parse(&self.inner.bytes).map(|(span, _)| span).unwrap_or_default()
    }

    /// The process that sent it: service name and tags.
    #[must_use]
    pub fn process(&self) -> ProcessView<'_> {
        self.inner.process.view()
    }

    /// The name of its service; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn service(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.inner.process.service)
    }

    /// The value of the process's last tag with this key.
    #[must_use]
    pub fn process_tag(&self, key: &str) -> Option<ValueView<'_>> {
        let tags = self.process().tags().filter(|tag| tag.key == key.as_bytes());
        tags.last().map(|tag| tag.value)
    }

    /// The protocol it was received over.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.inner.protocol
    }

    /// The trace it belongs to.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.view().trace_id
    }

    /// Returns the span id.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.view().span_id
    }

    /// The id of its parent, [`SpanId::NONE`] for a root.
    #[must_use]
    pub fn parent_span_id(&self) -> SpanId {
        self.view().parent_span_id
    }

    /// Returns the operation name; invalid UTF-8 is replaced.
    #[must_use]
    pub fn operation_name(&self) -> Cow<'_, str> {
        self.view().operation_name()
    }

    /// The value of its last tag with this key.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<ValueView<'_>> {
        self.view().tag(key)
    }

    /// Returns whether the span is marked as failed: the tag `error` is true.
    #[must_use]
    pub fn is_error(&self) -> bool {
        is_error(&self.view())
    }

    /// When it started, by its client's clock.
    ///
    /// # Shape and units
    ///
    /// Whole microseconds; a time that this system cannot hold reads as the Unix epoch.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        let micros = self.view().start_time_micros;
        let distance = Duration::from_micros(micros.unsigned_abs());
        let time = if micros < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(UNIX_EPOCH)
    }

    /// Returns the duration; a negative one, which only a broken client sends, reads as zero.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.view().duration_micros).unwrap_or_default())
    }

    /// Returns the position among all spans that the store has received.
    pub(crate) fn sequence(&self) -> u64 {
        self.inner.sequence
    }

    pub(crate) fn process_arc(&self) -> &Arc<Process> {
        &self.inner.process
    }
}

/// Equal when process and span say the same; how and when they came does not matter.
impl PartialEq for ReceivedSpan {
    fn eq(&self, other: &Self) -> bool {
        self.inner.bytes == other.inner.bytes && self.inner.process == other.inner.process
    }
}

impl fmt::Debug for ReceivedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view();
        let mut tags = Vec::new();
        for tag in view.tags() {
            tags.push((String::from_utf8_lossy(tag.key), tag.value));
        }
        f.debug_struct("ReceivedSpan")
            .field("service", &self.service())
            .field("operation", &view.operation_name())
            .field("trace_id", &format_args!("{}", view.trace_id))
            .field("span_id", &format_args!("{}", view.span_id))
            .field("parent_span_id", &format_args!("{}", view.parent_span_id))
            .field("start", &self.start())
            .field("duration", &self.duration())
            .field("tags", &tags)
            .finish_non_exhaustive()
    }
}

pub(crate) fn is_error(span: &SpanView<'_>) -> bool {
    matches!(span.tag("error"), Some(ValueView::Bool(true) | ValueView::Str(b"true")))
}

/// A process, shared by all its spans in the store.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) service: Box<[u8]>,
    tags: Box<[u8]>,
    tag_count: Option<usize>,
}

impl Process {
    pub(crate) fn of(view: &ProcessView<'_>) -> Self {
        Self {
            service: view.service_name.into(),
            tags: view.tags.unwrap_or_default().bytes.into(),
            tag_count: view.tags.map(|tags| tags.count),
        }
    }

    pub(crate) fn view(&self) -> ProcessView<'_> {
        let tags = self.tag_count.map(|count| List::new(count, &self.tags));
        ProcessView::new(&self.service, tags)
    }

    /// Returns the approximate memory, rather too much.
    pub(crate) fn cost(&self) -> usize {
        self.service.len() + self.tags.len() + 192
    }
}
