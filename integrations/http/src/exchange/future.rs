//! The future of a response: runs the service with the request's span active.

use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{Exchange, TracedBody};

pin_project! {
    /// The future of a response of a [`TraceService`](crate::TraceService) or a
    /// [`ClientService`](crate::ClientService).
    ///
    /// Dropped before, the request was cancelled: its span ends without a status, and says so.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // The exchange; none when it is done, or if the request is left out.
        exchange: Option<Exchange>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            // A cancelled request is dropped with its span active.
            let mut this = this.project();
            let _scope = this.exchange.as_ref().map(Exchange::activate);
            this.future.set(None);
            if let Some(exchange) = this.exchange.as_mut().filter(|exchange| !exchange.running) {
                exchange.cancelled("the request was dropped before it had a response");
            }
        }
    }
}

impl<F> ResponseFuture<F> {
    /// Calls a service with a request. The span that `begin` may make of it is active meanwhile.
    pub(crate) fn of<B>(
        request: Request<B>,
        begin: impl FnOnce(&mut request::Parts) -> Option<Exchange>,
        call: impl FnOnce(Request<B>) -> F,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let mut exchange = begin(&mut parts);
        let request = Request::from_parts(parts, body);
        let future = match &mut exchange {
            Some(exchange) => exchange.run(|| call(request)),
            None => call(request),
        };
        Self { exchange, future: Some(future) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Display + Debug,
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
        let Some(exchange) = this.exchange.as_mut() else {
            return step().map_ok(|response| response.map(TracedBody::untraced));
        };
        let result = ready!(exchange.run(step));
        let Some(mut exchange) = this.exchange.take() else { return Poll::Pending };
        Poll::Ready(match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                exchange.responded(&head);
                Ok(TracedBody::traced(Response::from_parts(head, body), exchange))
            }
            Err(error) => {
                exchange.failed(&error);
                Err(error)
            }
        })
    }
}

impl<F> Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("span", &self.exchange).finish_non_exhaustive()
    }
}
