//! The body of a response: counts its bytes, reads its trailers, and ends the span with it.

use std::fmt::{self, Debug, Display};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Exchange;
use crate::tags::Role;

pin_project! {
    /// The body of a traced response, passed on as it is.
    ///
    /// With its last frame, or its drop, the span of the request ends. If it is dropped before, the
    /// request was cancelled, and the span says so: at a server whenever there was more to be sent; at
    /// a client if more was waited for, or if the body is that of a gRPC call, which has no other end
    /// than its status.
    pub struct TracedBody<B> {
        counted: Option<Counted>,
        #[pin]
        body: Option<B>,
    }

    impl<B> PinnedDrop for TracedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _scope = this.counted.as_ref().map(|counted| counted.exchange.activate());
            if let Some(counted) = this.counted.as_mut() {
                counted.dropped();
            }
            this.body.set(None);
        }
    }
}

/// The request that ends with the body, and what was seen of the body so far.
struct Counted {
    exchange: Exchange,
    bytes: u64,
    /// The number of bytes still to be sent, where that is known. The sender may drop the body with
    /// the last one, before the body reports its end.
    left: Option<u64>,
    /// Whether the next frame is waited for.
    awaited: bool,
}

impl Counted {
    /// The body is dropped before its end was seen.
    fn dropped(&mut self) {
        let exchange = &mut self.exchange;
        if exchange.running {
            return; // it panicked
        }
        let is_cut_off = match (exchange.role, exchange.call) {
            (Role::Server, _) => self.left != Some(0),
            (Role::Client, Some(call)) if call.has_status => !call.ended,
            (Role::Client, _) => self.awaited,
        };
        if is_cut_off {
            exchange.cancelled("the response was dropped before its end");
        } else if exchange.role == Role::Client {
            exchange.complete();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.exchange.sized(self.bytes);
    }
}

impl<B> TracedBody<B> {
    pub(super) fn untraced(body: B) -> Self {
        Self { counted: None, body: Some(body) }
    }
}

impl<B: Body> TracedBody<B> {
    pub(super) fn traced(response: Response<B>, mut exchange: Exchange) -> Response<Self> {
        let (head, body) = response.into_parts();
        let size = body.size_hint().exact();
        let method = &exchange.method;
        // The body of a response to `HEAD` is not read: its size is what it would have been.
        let bytes = size.filter(|_| method == Method::HEAD).unwrap_or(0);
        let left = if body.is_end_stream() || is_bodiless(method, head.status) {
            Some(0)
        } else {
            let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            length.and_then(|length| length.parse().ok()).or(size)
        };
        if exchange.role == Role::Client && left == Some(0) {
            // There is nothing that anybody would read, and that the span could end with.
            exchange.complete();
            return Response::from_parts(head, Self::untraced(body));
        }
        let counted = Some(Counted { exchange, bytes, left, awaited: false });
        Response::from_parts(head, Self { counted, body: Some(body) })
    }
}

/// Returns whether a response has no body, whatever its service made; RFC 9112, section 6.3.
fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::HEAD
        || (method == Method::CONNECT && status.is_success())
}

impl<B: Body<Error: Display + Debug>> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(counted) = this.counted.as_mut() else { return body.poll_frame(cx) };
        counted.awaited = true;
        let frame = ready!(counted.exchange.run(|| body.as_mut().poll_frame(cx)));
        counted.awaited = false;
        let ended = match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                counted.bytes += length;
                counted.left = counted.left.map(|left| left.saturating_sub(length));
                if let Some(trailers) = frame.trailers_ref() {
                    counted.exchange.ended(trailers);
                }
                frame.is_trailers() || body.is_end_stream()
            }
            Some(Err(error)) => {
                counted.exchange.failed(error);
                *this.counted = None;
                return Poll::Ready(frame);
            }
            None => true,
        };
        // Finished before the last frame leaves: its receiver may rely on the span being finished.
        if ended {
            counted.exchange.complete();
            *this.counted = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.counted.as_ref().map(|counted| &counted.exchange);
        f.debug_struct("TracedBody").field("span", &span).finish_non_exhaustive()
    }
}
