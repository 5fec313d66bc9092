//! Where a connection is watched: what is written to its stream, and what is read from it.
//!
//! A connection of HTTP/1 belongs to one request at a time, and is driven by the task of that
//! request alone. So what happens on its stream happens to the request whose trace is armed, and no
//! event can go to another one.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::{Found, Stream};
use crate::trace::ClientTrace;

/// The progress of a request on the wire.
#[derive(Default)]
pub(crate) struct Wire {
    state: AtomicU8,
    /// The state of an idle connection.
    found: Mutex<Option<Found>>,
    trace: Mutex<Option<Arc<dyn ClientTrace>>>,
}

/// A request is on the wire, and its trace wants to know.
const ARMED: u8 = 1;
/// A part of the head is written.
const HEAD_WRITTEN: u8 = 2;
/// There is no more of the body to come.
const BODY_ENDED: u8 = 4;
/// The whole request is written, or its writing failed.
const REQUEST_WRITTEN: u8 = 8;
/// Something was read.
const FIRST_BYTE: u8 = 16;
/// The body waits for leave to be sent.
const HELD: u8 = 32;
/// The wait was reported.
const HELD_REPORTED: u8 = 64;
/// No request is on the wire, and the socket is to be checked.
const LOOK: u8 = 128;

impl Wire {
    pub(crate) fn arm(&self, trace: Arc<dyn ClientTrace>, body_ended: bool) {
        *self.trace.lock() = Some(trace);
        self.state.store(ARMED | if body_ended { BODY_ENDED } else { 0 }, Ordering::Release);
    }

    pub(crate) fn disarm(&self) {
        self.state.store(0, Ordering::Release);
        let _ended = self.trace.lock().take();
    }

    /// Has the socket looked at when it is read from next, and there is nothing for the runtime.
    pub(super) fn look(&self) {
        *self.found.lock() = None;
        self.state.store(LOOK, Ordering::Release);
    }

    /// Returns the state of an idle connection, or `None` if it was not read.
    pub(super) fn found(&self) -> Option<Found> {
        self.state.store(0, Ordering::Release);
        self.found.lock().take()
    }

    /// Returns whether the whole request is written, or its writing has failed.
    pub(crate) fn is_written(&self) -> bool {
        self.has(REQUEST_WRITTEN)
    }

    /// Returns whether a part of a response was read.
    pub(crate) fn has_response_bytes(&self) -> bool {
        self.has(FIRST_BYTE)
    }

    /// Returns whether a part of the request was written.
    pub(crate) fn has_written(&self) -> bool {
        self.has(HEAD_WRITTEN)
    }

    fn has(&self, flags: u8) -> bool {
        self.state.load(Ordering::Acquire) & flags == flags
    }

    /// Sets a flag of a request that is on the wire; whether it was not set before.
    fn set(&self, flag: u8) -> bool {
        self.state.fetch_or(flag, Ordering::AcqRel) & flag == 0
    }

    /// The trace is taken out of the lock before the call: it is a user callback.
    pub(super) fn notify(&self, event: impl FnOnce(&dyn ClientTrace)) {
        let trace = self.trace.lock().clone();
        if let Some(trace) = trace {
            event(&*trace);
        }
    }

    pub(super) fn body_ended(&self) {
        self.set(BODY_ENDED);
    }

    pub(super) fn body_held(&self, held: bool) {
        if held {
            self.set(HELD);
        } else {
            self.state.fetch_and(!HELD, Ordering::AcqRel);
        }
    }

    /// The request, or what is left of it, will not be written; unless all of it was.
    pub(crate) fn failed(&self, error: &(dyn StdError + 'static)) {
        if self.has(ARMED) && self.set(REQUEST_WRITTEN) {
            self.notify(|trace| trace.wrote_request(Some(error)));
        }
    }

    fn written(&self) {
        if self.has(ARMED) && self.set(HEAD_WRITTEN) {
            self.notify(|trace| trace.wrote_headers());
        }
    }

    /// All that HTTP has had to say so far is on its way.
    fn flushed(&self) {
        if self.has(ARMED | HEAD_WRITTEN | HELD) && self.set(HELD_REPORTED) {
            self.notify(|trace| trace.wait_100_continue());
        }
        if self.has(ARMED | HEAD_WRITTEN | BODY_ENDED) && self.set(REQUEST_WRITTEN) {
            self.notify(|trace| trace.wrote_request(None));
        }
    }

    fn read(&self) {
        if self.has(ARMED) && self.set(FIRST_BYTE) {
            self.notify(|trace| trace.got_first_response_byte());
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A stream whose reads and writes are reported. It is above TLS, and sees plain HTTP.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) stream: Stream,
    pub(super) wire: Arc<Wire>,
}

impl Probe {
    fn reported<T>(&self, result: Poll<io::Result<T>>, done: fn(&Wire)) -> Poll<io::Result<T>> {
        match &result {
            Poll::Ready(Ok(_)) => done(&self.wire),
            Poll::Ready(Err(error)) => self.wire.failed(error),
            Poll::Pending => {}
        }
        result
    }
}

impl AsyncRead for Probe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.wire.read();
        }
        if result.is_pending() && self.wire.has(LOOK) {
            *self.wire.found.lock() = Some(self.stream.look());
        }
        result
    }
}

impl AsyncWrite for Probe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.reported(result, Wire::written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.reported(result, Wire::written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.reported(result, Wire::flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
