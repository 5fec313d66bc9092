//! The reporter that stores spans in memory, for the tests of applications.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::Reporter;
use crate::buffers::Accepted;
use crate::clock::system_time;
use crate::diag::Brief;
use crate::encoding::{BatchView, SpanParts, SpanView, ValueView};
use crate::error::TransportError;
use crate::fork::ProcessOrigin;
use crate::id::{SpanId, TraceId};
use crate::lock::{self, Mutex, MutexGuard};
use crate::span::shared::SpanSink;
use crate::stats::Stats;

/// Stores finished spans for tests, as soon as they are finished, and as they would be sent: a
/// duration, for example, is at least a microsecond. Clones share the spans.
///
/// Beside other destinations, it receives spans when those do.
///
/// # Source
///
/// `InMemoryReporter` in jaeger-client-go, `reporter.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
/// tracer.span("op").tag("k", 5).start().finish();
/// let spans = reporter.spans();
/// assert_eq!(spans[0].view().operation_name(), "op");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct InMemoryReporter {
    shared: Arc<Shared>,
}

impl fmt::Debug for InMemoryReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryReporter").field("spans", &self.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The process; none where forks are not detected.
    origin: Option<ProcessOrigin>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), origin: ProcessOrigin::here().ok() }
    }
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<FinishedSpan>,
}

impl InMemoryReporter {
    /// Returns an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns copies of the spans finished so far, in the order in which they were finished.
    #[must_use]
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.lock().map(|state| state.spans.clone()).unwrap_or_default()
    }

    /// Returns copies of the spans in the order in which they were started, to the nanosecond. If
    /// several were started at the same time, as by a [`ManualClock`](crate::ManualClock), parents
    /// come before their children, and others in the order in which they were finished.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{InMemoryReporter, Tracer};
    /// let memory = InMemoryReporter::new();
    /// let (tracer, _closer) = Tracer::builder("svc").in_memory(&memory).build()?;
    /// let first = tracer.start_span("first");
    /// first.child("second").finish();
    /// first.finish();
    /// let names: Vec<_> = memory.spans_by_start().iter().map(|span| span.operation_name().into_owned()).collect();
    /// assert_eq!(names, ["first", "second"]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn spans_by_start(&self) -> Vec<FinishedSpan> {
        by_start(self.spans())
    }

    /// Removes and returns the spans finished so far, in the order in which they were finished.
    #[must_use = "`reset` forgets them too"]
    pub fn take(&self) -> Vec<FinishedSpan> {
        self.lock().map(|mut state| std::mem::take(&mut state.spans)).unwrap_or_default()
    }

    /// Returns the first span with that operation name.
    #[must_use]
    pub fn find(&self, operation: &str) -> Option<FinishedSpan> {
        let state = self.lock()?;
        state.spans.iter().find(|span| span.view().operation_name() == operation).cloned()
    }

    /// Returns the spans as text, each below its parent: one line per span with its tags, indented
    /// by two spaces for each span above it. Children are in the order in which they were
    /// [started](Self::spans_by_start), and a span whose parent is not here is a root.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{InMemoryReporter, Tracer, sampler::ConstSampler};
    /// let memory = InMemoryReporter::new();
    /// let (tracer, _closer) = Tracer::builder("svc").in_memory(&memory).build()?;
    /// let root = tracer.start_span("checkout");
    /// root.child("charge").set_tag("amount", 7).finish();
    /// root.finish();
    /// assert!(memory.span_tree().starts_with("checkout"));
    /// assert!(memory.span_tree().contains("\n  charge amount=7"));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn span_tree(&self) -> String {
        tree(&self.spans_by_start())
    }

    /// Returns the number of spans.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().map_or(0, |state| state.spans.len())
    }

    /// Returns whether there are no spans.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all spans.
    pub fn reset(&self) {
        drop(self.take());
    }

    /// Returns `None` in a forked process that may never get the lock.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        let is_forked = || self.shared.origin.as_ref().is_some_and(ProcessOrigin::is_forked);
        self.shared.state.try_lock().or_else(|| lock::wait(&self.shared.state, is_forked))
    }
}

/// Receives spans on the reporter's thread, as a destination.
impl Reporter for InMemoryReporter {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        let spans: Vec<_> = batch.spans().map(|span| FinishedSpan::of(&span, None)).collect();
        if let Some(mut state) = self.lock() {
            state.spans.extend(spans);
        }
        Ok(())
    }
}

/// The sink of one tracer to a store that several tracers may share.
#[derive(Debug)]
pub(crate) struct MemorySink {
    reporter: InMemoryReporter,
    taken: AtomicU64,
    /// The number of spans that a forked process has lost.
    left: AtomicU64,
    too_large: AtomicU64,
}

impl MemorySink {
    pub(crate) fn new(reporter: InMemoryReporter) -> Self {
        let [taken, left, too_large] = [const { AtomicU64::new(0) }; 3];
        Self { reporter, taken, left, too_large }
    }

    fn keep(&self, span: FinishedSpan) -> Accepted {
        let Some(mut state) = self.reporter.lock() else {
            self.left.fetch_add(1, Ordering::Release);
            return Accepted::Closed;
        };
        state.spans.push(span);
        self.taken.fetch_add(1, Ordering::Release);
        Accepted::Yes
    }
}

impl SpanSink for MemorySink {
    fn accept(&self, span: SpanParts<'_>) -> Accepted {
        if span.is_too_large() {
            self.too_large.fetch_add(1, Ordering::Release);
            return Accepted::Yes;
        }
        let start_nanos = Some(span.start_nanos);
        self.keep(FinishedSpan::of(&span.as_view(&mut Default::default()), start_nanos))
    }

    fn accept_view(&self, span: &SpanView<'_>) -> Accepted {
        self.keep(FinishedSpan::of(span, None))
    }

    fn read(&self, stats: &mut Stats) {
        stats.sent = self.taken.load(Ordering::Acquire);
        stats.dropped.closed = self.left.load(Ordering::Acquire);
        stats.dropped.too_large = self.too_large.load(Ordering::Acquire);
    }
}

/// A finished span in its canonical bytes.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// let memory = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&memory).build()?;
/// tracer.span("get").tag("http.status_code", 200).start().finish();
/// let span = memory.find("get").unwrap();
/// assert_eq!(span.tag("http.status_code").unwrap(), 200_i64);
/// assert!(span.finish_time() > span.start_time());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct FinishedSpan {
    bytes: Vec<u8>,
    start_nanos: i64,
}

/// Compares the bytes that would be sent.
impl PartialEq for FinishedSpan {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for FinishedSpan {}

impl fmt::Debug for FinishedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view();
        f.debug_struct("FinishedSpan")
            .field("operation", &Brief(view.operation_name()))
            .field("trace_id", &format_args!("{}", view.trace_id))
            .field("span_id", &format_args!("{}", view.span_id))
            .finish_non_exhaustive()
    }
}

impl FinishedSpan {
    /// Makes a span; if the nanoseconds of its start are not known, those of its microseconds are
    /// used.
    fn of(span: &SpanView<'_>, start_nanos: Option<i64>) -> Self {
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        let start_nanos =
            start_nanos.unwrap_or_else(|| span.start_time_micros.saturating_mul(1000));
        Self { bytes, start_nanos }
    }

    /// Returns the operation name.
    #[must_use]
    pub fn operation_name(&self) -> Cow<'_, str> {
        self.view().operation_name()
    }

    /// Returns the trace id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.view().trace_id
    }

    /// Returns the span id.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.view().span_id
    }

    /// Returns the id of the parent, [`SpanId::NONE`] for a root.
    ///
    /// # Examples
    ///
    /// ```
    /// # let memory = jaeger_client::InMemoryReporter::new();
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").in_memory(&memory).build()?;
    /// let root = tracer.start_span("root");
    /// root.child("child").finish();
    /// root.finish();
    /// let (root, child) = (memory.find("root").unwrap(), memory.find("child").unwrap());
    /// assert_eq!((child.trace_id(), child.parent_id()), (root.trace_id(), root.span_id()));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn parent_id(&self) -> SpanId {
        self.view().parent_span_id
    }

    /// Returns the value of a tag; of several with this key, the last one.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<ValueView<'_>> {
        self.view().tag(key)
    }

    /// Returns the start: to the nanosecond if the reporter is the tracer's only one, without [tail
    /// sampling](crate::TailSamplingConfig), and else to the microsecond that would be sent.
    #[must_use]
    pub fn start_time(&self) -> SystemTime {
        system_time(self.start_nanos)
    }

    /// Returns the end: the start plus the duration.
    #[must_use]
    pub fn finish_time(&self) -> SystemTime {
        self.start_time().checked_add(self.duration()).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the duration in microseconds, at least one.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.view().duration_micros.unsigned_abs())
    }

    /// Returns a view of the span.
    #[must_use]
    pub fn view(&self) -> SpanView<'_> {
        // The bytes are from the crate's own writer; were they ever invalid, an empty view shows it
        // in the test.
        SpanView::parse(&self.bytes).map(|(view, _)| view).unwrap_or_default()
    }

    /// Returns the canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sorts spans by their starts, and those that start together by their depth.
fn by_start(mut spans: Vec<FinishedSpan>) -> Vec<FinishedSpan> {
    let ids = |span: &FinishedSpan| {
        let view = span.view();
        ((view.trace_id, view.span_id), (view.trace_id, view.parent_span_id))
    };
    let parents: HashMap<_, _> = spans.iter().map(ids).collect();
    spans.sort_by_cached_key(|span| {
        let parent = |id: &(TraceId, SpanId)| parents.get(id).copied();
        // Ids of a test may form a cycle.
        let above = std::iter::successors(Some(ids(span).1), parent).take(parents.len());
        (span.start_nanos, above.filter(|id| parents.contains_key(id)).count())
    });
    spans
}

/// Lists spans below their parents.
fn tree(spans: &[FinishedSpan]) -> String {
    let views: Vec<_> = spans.iter().map(FinishedSpan::view).collect();
    let is_child = |child: &SpanView<'_>, parent: &SpanView<'_>| {
        child.trace_id == parent.trace_id && child.parent_span_id == parent.span_id
    };
    let has_parent = |view: &SpanView<'_>| views.iter().any(|other| is_child(view, other));
    let roots = views.iter().filter(|view| !has_parent(view));
    // The last one is taken first. Ids of a test may form a cycle: each span is listed once.
    let mut open: Vec<_> = roots.map(|view| (view, 0)).rev().collect();
    let (mut text, mut listed) = (String::new(), 0);
    while let Some((view, depth)) = open.pop() {
        let _ = write!(text, "{:depth$}{}", "", view.operation_name(), depth = 2 * depth);
        for tag in view.tags() {
            let key = String::from_utf8_lossy(tag.key);
            let _ = match tag.value {
                ValueView::Str(value) => {
                    write!(text, " {key}={:?}", String::from_utf8_lossy(value))
                }
                ValueView::Double(value) => write!(text, " {key}={value}"),
                ValueView::Bool(value) => write!(text, " {key}={value}"),
                ValueView::Long(value) => write!(text, " {key}={value}"),
                ValueView::Binary(value) => write!(text, " {key}=({} bytes)", value.len()),
            };
        }
        text.push('\n');
        listed += 1;
        if listed < views.len() {
            let children = views.iter().filter(|other| is_child(other, view));
            open.extend(children.rev().map(|child| (child, depth + 1)));
        }
    }
    text
}
