//! Closing a tracer, so that no span is lost.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Shared, host};
use crate::diag::{Brief, Cause};
use crate::error::ConfigError;
use crate::panics::Callback;
use crate::policy::PolicyHost;
use crate::reporter::MAX_WAIT;
use crate::span::shared::SpanShared;
use crate::stats::FlushReport;

/// Closes its tracer when it is dropped: sends the remaining spans, within a timeout.
///
/// Keep the closer for as long as spans are made, usually in `main`. Spans finished later are
/// counted as dropped, and logged. The closer works without a runtime, within one, and while a
/// panic unwinds. A closer in a static is never dropped: call
/// [`Tracer::close`](crate::Tracer::close).
///
/// # Source
///
/// The `io.Closer` that jaeger-client-go's `NewTracer` returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::Tracer;
/// let (tracer, closer) = Tracer::builder("svc").null_reporter().build()?;
/// tracer.start_span("op").finish();
/// let report = closer.close(Duration::from_secs(2));
/// assert!(report.complete && report.stats.is_balanced());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "dropping the closer closes the tracer: bind it to a name, `_closer`, not to `_`"]
pub struct Closer {
    /// The tracer; none once it was closed.
    shared: Option<Arc<Shared>>,
    drop_timeout: Duration,
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service =
            self.shared.as_ref().map(|shared| Brief(&shared.span_shared.process.service_name));
        f.debug_struct("Closer")
            .field("service", &service)
            .field("drop_timeout", &self.drop_timeout)
            .finish_non_exhaustive()
    }
}

impl Closer {
    pub(super) fn new(shared: Arc<Shared>, drop_timeout: Duration) -> Self {
        Self { shared: Some(shared), drop_timeout }
    }

    /// Closes the tracer, and waits until the remaining spans are sent, but not longer than
    /// `timeout`.
    pub fn close(mut self, timeout: Duration) -> FlushReport {
        self.close_within(timeout)
            .unwrap_or_else(|| FlushReport::new(Default::default(), true, Duration::ZERO))
    }

    /// Closes the tracer without blocking the runtime's thread. Works on any runtime.
    #[cfg(feature = "tokio")]
    pub async fn close_async(mut self, timeout: Duration) -> FlushReport {
        let Some(shared) = self.shared.take() else {
            return FlushReport::new(Default::default(), true, Duration::ZERO);
        };
        close_on_thread(shared, timeout).await
    }

    fn close_within(&mut self, timeout: Duration) -> Option<FlushReport> {
        self.shared.take().map(|shared| close(&shared, timeout))
    }
}

#[cfg(feature = "tokio")]
pub(super) async fn close_on_thread(shared: Arc<Shared>, timeout: Duration) -> FlushReport {
    let own = Arc::clone(&shared);
    let closed = run_on_thread(move || close(&own, timeout)).await;
    closed.unwrap_or_else(|| close(&shared, Duration::ZERO))
}

pub(super) fn close(shared: &Shared, timeout: Duration) -> FlushReport {
    if shared.span_shared.is_forked() {
        return shared.wait(|_| false);
    }
    if shared.is_closed.swap(true, Ordering::AcqRel) {
        return shared.wait(|reporter| reporter.close(timeout.min(MAX_WAIT)));
    }
    if let Some(tail_sampler) = &shared.span_shared.sampling.tail_sampler {
        // Closed first, so that none of its spans is flushed when nothing can be sent any more.
        let stripe = shared.stripe();
        tail_sampler.close(|spans| stripe.count_not_sampled_by(spans));
    }
    let report = shared.wait(|reporter| reporter.close(timeout.min(MAX_WAIT)));
    drop(BackgroundParts { span_shared: &shared.span_shared, parts: ALL });
    let (open, queued) = (report.stats.open, report.stats.queued);
    let span_shared = &shared.span_shared;
    let unfinished = span_shared.open_spans();
    if !unfinished.is_empty() {
        span_shared.diagnostics.error(Cause::Unfinished, || unfinished.never_finished());
    } else if open > 0 && shared.reporter.is_some() {
        shared.span_shared.diagnostics.error(Cause::Closed, || {
            format!("closed with {open} spans still open; they will be lost")
        });
    }
    if !report.complete {
        shared.span_shared.diagnostics.error(Cause::SendFailed, || {
            format!("{queued} spans were still queued when the time to close was up")
        });
    }
    report
}

/// The number of background parts of a tracer.
const ALL: usize = 3;

/// The background parts of a tracer: the sampler first, then the baggage restriction manager, then
/// the debug throttler. The parts that were started are closed on drop.
pub(super) struct BackgroundParts<'c> {
    span_shared: &'c SpanShared,
    parts: usize,
}

impl<'c> BackgroundParts<'c> {
    /// Starts all parts, or none.
    pub(super) fn begin(
        span_shared: &'c Arc<SpanShared>,
        uuid: String,
    ) -> Result<Self, ConfigError> {
        let uuid: Arc<str> = uuid.into();
        let control =
            |cause| PolicyHost::new(Arc::clone(&span_shared.diagnostics), cause, Arc::clone(&uuid));
        let mut begun = Self { span_shared, parts: 0 };
        span_shared.sampling.sampler.start(&host::of(span_shared))?;
        begun.parts = 1;
        if let Some(manager) = &span_shared.baggage.restrictions {
            let start = || manager.start(&control(Cause::Baggage));
            started(span_shared, Callback::RestrictionManagerStart, start)?;
        }
        begun.parts = 2;
        if let Some(throttler) = &span_shared.sampling.throttler {
            let start = || throttler.start(&control(Cause::Throttler));
            started(span_shared, Callback::ThrottlerStart, start)?;
        }
        begun.parts = ALL;
        Ok(begun)
    }

    /// Leaves the parts running, for the closer to close.
    pub(super) fn keep_running(mut self) {
        self.parts = 0;
    }
}

impl Drop for BackgroundParts<'_> {
    fn drop(&mut self) {
        let span_shared = self.span_shared;
        // A custom sampler has its guard.
        let close_sampler = || span_shared.sampling.sampler.close();
        let close_manager = || {
            let Some(manager) = &span_shared.baggage.restrictions else { return };
            let _ =
                span_shared.diagnostics.call(Callback::RestrictionManagerClose, || manager.close());
        };
        let close_throttler = || {
            let Some(throttler) = &span_shared.sampling.throttler else { return };
            let _ = span_shared.diagnostics.call(Callback::ThrottlerClose, || throttler.close());
        };
        let close: [&dyn Fn(); ALL] = [&close_sampler, &close_manager, &close_throttler];
        close.iter().take(self.parts).for_each(|close| close());
    }
}

/// Starts a user's part.
fn started(
    span_shared: &SpanShared,
    callback: Callback,
    start: impl FnOnce() -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let panicked = ConfigError::Panicked { callback: callback.name() };
    span_shared.diagnostics.call(callback, start).unwrap_or(Err(panicked))
}

impl Drop for Closer {
    fn drop(&mut self) {
        let is_closed = |shared: &Arc<Shared>| shared.is_closed.load(Ordering::Acquire);
        if !self.shared.as_ref().is_some_and(is_closed) {
            let _ = self.close_within(self.drop_timeout);
        }
    }
}

/// Waits on its own thread, and returns the result without blocking the caller's thread.
#[cfg(feature = "tokio")]
pub(super) async fn run_on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, wait) = tokio::sync::oneshot::channel();
    let started = crate::threads::wait_on_thread(move || {
        let _ = done.send(work());
    });
    match started {
        Ok(()) => wait.await.ok(),
        Err(_) => None,
    }
}
