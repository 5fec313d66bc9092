//! The body of a request while it is sent: its end is reported to the wire, its beginning may wait
//! for `100 Continue`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::wire::Wire;
use crate::body::{BoxError, RequestBody};

/// A request's body as HTTP takes it.
pub(crate) struct Outgoing {
    body: RequestBody,
    /// The wire; none with HTTP/2, whose stream is shared.
    wire: Option<Arc<Wire>>,
    /// The number of bytes to come, where that is known: HTTP does not poll for a known end.
    left: Option<u64>,
    held: Option<Held>,
    /// Returns the body if it is dropped before anything of it was taken.
    back: Option<oneshot::Sender<RequestBody>>,
    /// Opened once there is no more to come.
    ended: Option<Arc<Gate>>,
    /// Whether HTTP has polled the body, as it does when it takes the request.
    taken: Option<Arc<AtomicBool>>,
}

/// Waits for `100 Continue`.
struct Held {
    gate: Arc<Gate>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Opened by a response of status 100, or by the end of a body.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Gate {
    pub(crate) fn open(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Outgoing {
    pub(crate) fn new(body: RequestBody, wire: Option<Arc<Wire>>) -> Self {
        let left = body.size_hint().exact();
        Self { body, wire, left, held: None, back: None, ended: None, taken: None }
    }

    /// Returns the body if it is dropped before anything of it was taken.
    #[cfg(feature = "http2")]
    pub(crate) fn reclaim(&mut self) -> oneshot::Receiver<RequestBody> {
        let (back, receiver) = oneshot::channel();
        self.back = Some(back);
        receiver
    }

    /// Says when there is no more to come.
    #[cfg(feature = "http2")]
    pub(crate) fn ended(&mut self) -> Arc<Gate> {
        Arc::clone(self.ended.get_or_insert_default())
    }

    /// Holds the body back until the gate is open, but not longer than `limit`.
    pub(crate) fn hold(&mut self, limit: Duration) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.held = Some(Held { gate: Arc::clone(&gate), limit, timer: None });
        gate
    }

    /// Says whether HTTP has taken the request.
    #[cfg(feature = "http2")]
    pub(crate) fn taken(&mut self) -> Arc<AtomicBool> {
        Arc::clone(self.taken.get_or_insert_default())
    }

    fn take(&self) {
        if let Some(taken) = &self.taken {
            taken.store(true, Ordering::Release);
        }
    }

    pub(crate) fn into_body(mut self) -> RequestBody {
        std::mem::take(&mut self.body)
    }

    /// Returns whether the body may be sent now.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &mut self.held else { return Poll::Ready(()) };
        let timer = held.timer.get_or_insert_with(|| Box::pin(sleep(held.limit)));
        let open = held.gate.poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready();
        if let Some(wire) = &self.wire {
            wire.body_held(!open);
        }
        if open {
            self.held = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reports a frame to the wire.
    fn watch(&mut self, frame: Option<&Result<Frame<Bytes>, BoxError>>) {
        let Some(wire) = &self.wire else { return };
        match frame {
            Some(Err(error)) => wire.failed(&**error),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
                if self.left == Some(0) || frame.is_trailers() || self.body.is_end_stream() {
                    wire.body_ended();
                }
            }
            None => wire.body_ended(),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended.open();
        }
        if let Some(back) = self.back.take() {
            // Nobody may want it any more.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::ready!(self.poll_leave(cx));
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.back = None;
        self.watch(frame.as_ref());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.take();
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.take();
        self.body.size_hint()
    }
}
