//! The future of a response: runs the handler with its span active.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Method, Response};
use http_body::Body;
use jaeger_client::Span;
use pin_project_lite::pin_project;

use super::body::TracedBody;
use super::{cancelled, guarded};

pin_project! {
    /// The response of a [`TraceService`](super::TraceService) to come.
    ///
    /// Dropped before, the request was cancelled: its span ends without a status, and says so.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // None when it is done, or if the request is left out.
        traced: Option<Traced>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            // What a request that is cancelled drops belongs to its span.
            let mut this = this.project();
            let _scope = this.traced.as_ref().map(|traced| traced.span.activate());
            this.future.set(None);
            if let Some(traced) = this.traced.take() {
                if !traced.running {
                    cancelled(&traced.span, "the request was dropped before it had a response");
                }
                traced.span.finish();
            }
        }
    }
}

struct Traced {
    span: Span,
    method: Method,
    /// Whether the handler runs. It still does after its panic.
    running: bool,
}

impl<F> ResponseFuture<F> {
    pub(super) fn traced(future: F, span: Span, method: Method) -> Self {
        Self { traced: Some(Traced { span, method, running: false }), future: Some(future) }
    }

    pub(super) fn untraced(future: F) -> Self {
        Self { traced: None, future: Some(future) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<TracedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut step = || {
            // Polled again after its end: for ever pending, as a fused future is.
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let result = ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(result)
        };
        let Some(traced) = this.traced.as_mut() else {
            return step().map_ok(|response| response.map(TracedBody::untraced));
        };
        traced.running = true;
        let result = guarded(&traced.span, step);
        traced.running = false;
        let result = ready!(result);
        let status = result.as_ref().ok().map(Response::status);
        if let Some(status) = status {
            traced.span.set_tag("http.status_code", status.as_u16());
        }
        // An error of the service is none that HTTP knows: there is no response.
        if status.is_none_or(|status| status.is_server_error()) {
            traced.span.set_tag("error", true);
        }
        let traced = this.traced.take();
        Poll::Ready(result.map(|response| match traced {
            Some(Traced { span, method, .. }) => TracedBody::traced(response, span, &method),
            None => response.map(TracedBody::untraced),
        }))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.traced.as_ref().map(|traced| &traced.span);
        f.debug_struct("ResponseFuture").field("span", &span).finish_non_exhaustive()
    }
}
