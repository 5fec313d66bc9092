//! The body of a response: counts its bytes, and ends the span with it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use jaeger_client::Span;
use pin_project_lite::pin_project;

use super::guarded;

pin_project! {
    /// The body of a traced response, passed on as it is.
    ///
    /// With its last frame, or its drop, the span of the request ends.
    pub struct TracedBody<B> {
        counted: Option<Counted>,
        #[pin]
        body: Option<B>,
    }

    impl<B> PinnedDrop for TracedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _scope = this.counted.as_ref().map(|counted| counted.span.activate());
            this.body.set(None);
        }
    }
}

/// The span that ends with the body, and what was sent of the body so far.
struct Counted {
    span: Span,
    bytes: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.span.set_tag("http.response_size", self.bytes);
        }
        self.span.finish();
    }
}

impl<B> TracedBody<B> {
    pub(super) fn untraced(body: B) -> Self {
        Self { counted: None, body: Some(body) }
    }
}

impl<B: Body> TracedBody<B> {
    /// Nobody reads the body of what answers a `HEAD`: its size is what it would have been.
    pub(super) fn traced(body: B, span: Span, head: bool) -> Self {
        let bytes = body.size_hint().exact().filter(|_| head).unwrap_or(0);
        Self { counted: Some(Counted { span, bytes }), body: Some(body) }
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(counted) = this.counted.as_mut() else { return body.poll_frame(cx) };
        let frame = ready!(guarded(&counted.span, || body.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                counted.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            Some(Err(_)) => drop(counted.span.set_tag("error", true)),
            None => {}
        }
        // Before the last frame leaves: whoever has it may count on the span being finished.
        if frame.is_none() || body.is_end_stream() {
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

impl<B> fmt::Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.counted.as_ref().map(|counted| &counted.span);
        f.debug_struct("TracedBody").field("span", &span).finish_non_exhaustive()
    }
}
