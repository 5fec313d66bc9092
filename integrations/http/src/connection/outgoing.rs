//! The body of a request on its way: its end is told to the wire, its beginning may wait for leave.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use super::wire::Wire;
use crate::body::{BoxError, RequestBody};

/// A request's body as HTTP takes it.
pub(crate) struct Outgoing {
    body: RequestBody,
    /// None with HTTP/2, whose stream is shared.
    wire: Option<Arc<Wire>>,
    /// How much is to come, where that is known: HTTP does not ask for an end it knows.
    left: Option<u64>,
    held: Option<Held>,
}

/// Waits for the leave that `Expect: 100-continue` asks for.
struct Held {
    gate: Arc<Gate>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Opened by a response of status 100.
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

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
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
        Self { body, wire, left, held: None }
    }

    /// Holds the body back until the gate is open, but not longer than `limit`.
    pub(crate) fn hold(&mut self, limit: Duration) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.held = Some(Held { gate: Arc::clone(&gate), limit, timer: None });
        gate
    }

    pub(crate) fn into_body(self) -> RequestBody {
        self.body
    }

    /// Whether the body may be sent now.
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

    /// What the wire is to know of a frame.
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

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::ready!(self.poll_leave(cx));
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.watch(frame.as_ref());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
