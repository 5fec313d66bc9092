//! Ends a tracer so that nothing is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::diag::Cause;
use crate::reporter::MAX_WAIT;
use crate::stats::Receipt;

/// Closes its tracer when it is dropped: sends what is left, within a bound.
///
/// Keep it for as long as spans are made, usually in `main`. Spans finished later are counted as
/// dropped, and reported. It works without a runtime, within one, and while a panic unwinds.
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
/// let receipt = closer.close(Duration::from_secs(2));
/// assert!(receipt.complete && receipt.stats.is_balanced());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the closer closes the tracer: bind it to a name, `_closer`, not to `_`"]
pub struct Closer {
    /// None once it was closed.
    shared: Option<Arc<Shared>>,
    drop_timeout: Duration,
}

impl Closer {
    pub(super) fn new(shared: Arc<Shared>, drop_timeout: Duration) -> Self {
        Self { shared: Some(shared), drop_timeout }
    }

    /// Closes the tracer, waiting for what is left to be sent, but not longer than `timeout`.
    pub fn close(mut self, timeout: Duration) -> Receipt {
        self.close_within(timeout)
            .unwrap_or_else(|| Receipt::new(Default::default(), true, Duration::ZERO))
    }

    /// The same without holding the runtime's thread. Works on any runtime.
    #[cfg(feature = "tokio")]
    pub async fn close_async(mut self, timeout: Duration) -> Receipt {
        let Some(shared) = self.shared.take() else {
            return Receipt::new(Default::default(), true, Duration::ZERO);
        };
        let own = Arc::clone(&shared);
        let closed = aside(move || close(&own, timeout)).await;
        closed.unwrap_or_else(|| close(&shared, Duration::ZERO))
    }

    fn close_within(&mut self, timeout: Duration) -> Option<Receipt> {
        self.shared.take().map(|shared| close(&shared, timeout))
    }
}

fn close(shared: &Shared, timeout: Duration) -> Receipt {
    let receipt = shared.wait(|remote| remote.close(timeout.min(MAX_WAIT)));
    // A sampler, like those who limit applications, may be foreign code, and this may run while a
    // panic unwinds.
    let core = &shared.core;
    let _ = catch_unwind(AssertUnwindSafe(|| core.sampler.close()));
    let restrictions = core.restrictions.as_ref();
    let _ = catch_unwind(AssertUnwindSafe(|| restrictions.map(|manager| manager.close())));
    let throttler = core.throttler.as_ref();
    let _ = catch_unwind(AssertUnwindSafe(|| throttler.map(|throttler| throttler.close())));
    let (open, queued) = (receipt.stats.open, receipt.stats.queued);
    if open > 0 && shared.remote.is_some() {
        shared.core.diagnostics.error(Cause::Closed, || {
            format!("closed with {open} spans still open; they will be lost")
        });
    }
    if !receipt.complete {
        shared.core.diagnostics.error(Cause::SendFailed, || {
            format!("{queued} spans were still queued when the time to close was up")
        });
    }
    receipt
}

impl Drop for Closer {
    fn drop(&mut self) {
        let _ = self.close_within(self.drop_timeout);
    }
}

/// Runs a wait on a thread of its own, and gives its result without holding the caller's thread.
#[cfg(feature = "tokio")]
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, wait) = tokio::sync::oneshot::channel();
    let started = crate::reporter::wait_aside(move || {
        let _ = done.send(work());
    });
    match started {
        Ok(()) => wait.await.ok(),
        Err(_) => None,
    }
}
