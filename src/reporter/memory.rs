//! Spans kept in memory, for the tests of applications.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::output::Reporter;
use crate::encoding::{BatchView, Finished, SpanView};
use crate::error::TransportError;
use crate::span::core::SpanSink;
use crate::stats::Stats;

/// Keeps finished spans for tests to look at, as soon as they are finished, and as they would be
/// sent: a duration, for example, is at least a microsecond. Its clones share them.
///
/// Beside other outputs, it gets them when those do.
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
/// assert_eq!(spans[0].view().operation(), "op");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InMemoryReporter {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<FinishedSpan>,
}

impl InMemoryReporter {
    /// Holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies of the spans finished so far, in the order they were finished.
    #[must_use]
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.kept.lock().spans.clone()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.lock().spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets them.
    pub fn reset(&self) {
        let forgotten = std::mem::take(&mut self.kept.lock().spans);
        drop(forgotten);
    }
}

/// Beside other outputs, or in place of one: spans come on the reporter's thread.
impl Reporter for InMemoryReporter {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        let keep = |span: SpanView<'_>| {
            let mut bytes = Vec::new();
            span.encode(&mut bytes);
            FinishedSpan { bytes }
        };
        let spans: Vec<_> = batch.spans().map(keep).collect();
        self.kept.lock().spans.extend(spans);
        Ok(())
    }
}

/// One tracer's way to a reporter, which several tracers may share.
#[derive(Debug)]
pub(crate) struct MemorySink {
    reporter: InMemoryReporter,
    taken: AtomicU64,
}

impl MemorySink {
    pub(crate) fn new(reporter: InMemoryReporter) -> Self {
        Self { reporter, taken: AtomicU64::new(0) }
    }
}

impl SpanSink for MemorySink {
    fn accept(&self, lane: usize, span: Finished<'_>) -> bool {
        self.accept_view(lane, &span.as_view(&mut Default::default()))
    }

    fn accept_view(&self, _lane: usize, span: &SpanView<'_>) -> bool {
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        let mut kept = self.reporter.kept.lock();
        kept.spans.push(FinishedSpan { bytes });
        self.taken.fetch_add(1, Ordering::Release);
        true
    }

    fn read(&self, stats: &mut Stats) {
        stats.sent = self.taken.load(Ordering::Acquire);
    }
}

/// A finished span in its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSpan {
    bytes: Vec<u8>,
}

impl FinishedSpan {
    /// Reads it in place.
    #[must_use]
    pub fn view(&self) -> SpanView<'_> {
        // Our own writer's bytes; were they ever not readable, an empty view shows it in the test.
        SpanView::parse(&self.bytes).map(|(view, _)| view).unwrap_or_default()
    }

    /// The bytes themselves.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
