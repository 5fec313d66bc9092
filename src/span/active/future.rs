//! Futures with an active span, on whichever thread they are polled.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Scope, active_of_other_tracers};
use crate::span::Span;

/// Gives futures an active span.
///
/// A spawned task does not inherit the active span: pass it on with
/// [`in_active_span`](Self::in_active_span).
pub trait TraceFutureExt: Future + Sized {
    /// Makes `span` the active one during every poll of this future, and while it is dropped.
    ///
    /// The handle is held as long as the future lives, so the span is not finished before the
    /// future ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use jaeger_client::{Span, TraceFutureExt, Tracer};
    /// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build().unwrap();
    /// let span = tracer.start_span("work");
    /// let id = span.context().span_id();
    /// let seen = async {
    ///     tokio::task::yield_now().await;
    ///     Span::active().unwrap().context().span_id()
    /// };
    /// assert_eq!(seen.in_span(span).await, id);
    /// # }
    /// ```
    fn in_span(self, span: Span) -> InSpan<Self> {
        InSpan { span: Some(span), outer: Vec::new(), future: Some(self) }
    }

    /// Makes the span that is active now active during every poll, if there is one: for futures
    /// that are about to be spawned. Where several tracers have active spans, the nearest of each
    /// is passed on.
    fn in_active_span(self) -> InSpan<Self> {
        InSpan { span: Span::active(), outer: active_of_other_tracers(), future: Some(self) }
    }
}

impl<F: Future> TraceFutureExt for F {}

pin_project! {
    /// A future with a span; see [`TraceFutureExt`].
    ///
    /// # Cost
    ///
    /// A swap of the active span at each poll; nothing is allocated. The handle on the span is
    /// dropped as soon as the future is done.
    #[must_use = "futures do nothing unless polled"]
    pub struct InSpan<F> {
        span: Option<Span>,
        // Active spans of other tracers, outermost first.
        outer: Vec<Span>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InSpan<F> {
        fn drop(this: Pin<&mut Self>) {
            // A cancelled future is dropped with its span active.
            let mut this = this.project();
            let _scopes = activate(this.outer, this.span.as_ref());
            this.future.set(None);
        }
    }
}

impl<F> fmt::Debug for InSpan<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InSpan").field("span", &self.span).finish_non_exhaustive()
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let output = {
            let _scopes = activate(this.outer, this.span.as_ref());
            // Polled again after its end, it is pending for ever, as a fused future.
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let Poll::Ready(output) = future.poll(context) else { return Poll::Pending };
            this.future.set(None);
            output
        };
        *this.span = None;
        this.outer.clear();
        Poll::Ready(output)
    }
}

/// Makes spans active, the last one innermost. Without others, nothing is allocated.
fn activate(outer: &[Span], span: Option<&Span>) -> (Vec<Scope>, Option<Scope>) {
    (outer.iter().map(Span::activate).collect(), span.map(Span::activate))
}

/// Makes the span that is active now active in `work` too, on whichever thread that runs: for
/// `spawn_blocking` and plain threads. Where several tracers have active spans, the nearest of each
/// is passed on.
///
/// Call it where the span is active: the closure of `rayon::scope` runs on a thread of the pool
/// already. For a closure that runs many times, as in rayon's iterators, clone the span before and
/// [activate](Span::activate) it in each run.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Span, Tracer, wrap};
/// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let span = tracer.start_span("work");
/// let id = span.context().span_id();
/// let active = span.activate();
/// let seen = std::thread::spawn(wrap(|| Span::active().map(|span| span.context().span_id())));
/// assert_eq!(seen.join().ok().flatten(), Some(id));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub fn wrap<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (span, outer) = (Span::active(), active_of_other_tracers());
    move || {
        let _scopes = activate(&outer, span.as_ref());
        work()
    }
}
