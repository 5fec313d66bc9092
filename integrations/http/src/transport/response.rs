//! The body of a response: drives its connection, and tells its end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::dial::Deadline;
use super::pool::Pool;
use super::target::Key;
use crate::connection::Connection;
#[cfg(feature = "http2")]
use crate::connection::InUse;
use crate::error::{Error, Phase};
use crate::trace::ClientTrace;

/// The body of a response.
///
/// The end or the drop of the body closes it: then the trace is called, and its spans are finished.
/// If it is dropped while the next frame is waited for, the request was cancelled, and its spans
/// say so; if it is dropped otherwise, the caller needs no more, as with `Close` in Go. A
/// connection of HTTP/1 goes back to the pool with the last frame; it is closed if the body is
/// dropped before.
pub struct ResponseBody {
    body: Incoming,
    line: Line,
    /// The trace; none when the body is closed.
    trace: Option<Arc<dyn ClientTrace>>,
    limits: Limits,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer is set to a time that still counts.
    timed: bool,
    /// Whether a part is awaited.
    awaited: bool,
}

/// The connection of the body.
pub(super) enum Line {
    /// A connection of HTTP/1, and where it goes in the end.
    Own { connection: Connection, pool: Arc<Pool>, key: Arc<Key> },
    /// A connection of HTTP/2.
    #[cfg(feature = "http2")]
    Shared { _in_use: InUse },
    /// The connection was returned to the pool, or closed.
    Over,
}

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle: Option<Duration>,
    pub(super) overall: Option<Deadline>,
}

impl Limits {
    fn next(&self) -> Option<Deadline> {
        match self.idle {
            Some(idle) => Some(Deadline::after(idle).or(self.overall)),
            None => self.overall,
        }
    }
}

impl ResponseBody {
    /// The body of a response whose head is there. One without a body is at its end already.
    pub(super) fn new(
        method: &Method,
        body: Incoming,
        line: Line,
        trace: Arc<dyn ClientTrace>,
        limits: Limits,
        cx: &mut Context<'_>,
    ) -> Self {
        let (trace, ended) = (Some(trace), body.is_end_stream());
        let mut this =
            Self { body, line, trace, limits, timer: None, timed: false, awaited: false };
        if ended {
            this.release(cx);
            if method == Method::HEAD {
                // As in Go, where a response to HEAD has nothing to close.
                this.trace = None;
            }
            this.close();
        }
        this
    }

    /// Returns the connection to the pool after the last frame, if it can be reused.
    fn release(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.line, Line::Over) {
            Line::Own { mut connection, pool, key } => {
                if !connection.is_ready() {
                    connection.drive(cx);
                }
                let reusable = connection.is_ready();
                connection.wire.disarm();
                let put = reusable.then(|| pool.put(&key, connection));
                if let (Some(put), Some(trace)) = (put, &self.trace) {
                    trace.put_idle_conn(put.err());
                }
            }
            #[cfg(feature = "http2")]
            Line::Shared { .. } => {}
            Line::Over => {}
        }
    }

    fn close(&mut self) {
        if let Some(trace) = self.trace.take() {
            trace.closed_body();
        }
    }

    /// The next frame, and whether the connection came to its end.
    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            return frame;
        }
        if let Line::Own { connection, .. } = &mut self.line {
            connection.drive(cx);
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        frame
    }

    /// Returns an error if the wait has timed out.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(deadline) = self.limits.next() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| {
            self.timed = true;
            Box::pin(sleep_until(deadline.at))
        });
        if !self.timed {
            timer.as_mut().reset(deadline.at);
            self.timed = true;
        }
        ready!(timer.as_mut().poll(cx));
        let overall = self.limits.overall.filter(|overall| overall.at <= Instant::now());
        let limit = overall.map_or(deadline.limit, |overall| overall.limit);
        Poll::Ready(Error::TimedOut { phase: Phase::Body, limit })
    }

    /// The next frame, or why there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.poll_inner(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.timed = false;
                if self.body.is_end_stream() {
                    self.release(cx);
                    self.close();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.release(cx);
                self.close();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.line = Line::Over;
                Poll::Ready(Some(Err(Error::Body { source: error.into() })))
            }
            Poll::Pending => {
                let error = ready!(self.poll_timeout(cx));
                self.line = Line::Over;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Reads the whole body, of `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] as soon as more has come; any other if the body breaks off.
    pub async fn read_to_end(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut read = Bytes::new();
        let mut more: Option<BytesMut> = None;
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let so_far = more.as_ref().map_or(read.len(), BytesMut::len);
            if data.len() > limit.saturating_sub(so_far) {
                return Err(Error::TooLong { limit });
            }
            // Most bodies come in one frame, and are not copied.
            if so_far == 0 {
                read = data;
            } else {
                more.get_or_insert_with(|| BytesMut::from(&read[..])).extend_from_slice(&data);
            }
        }
        Ok(more.map_or(read, BytesMut::freeze))
    }

    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// Reads a short rest, so that the connection can be used again, and closes the body.
    pub(crate) async fn drain(mut self, limit: u64) {
        if self.size_hint().upper().is_some_and(|upper| upper > limit) {
            return;
        }
        let mut left = limit;
        while let Some(Ok(frame)) = self.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        // Until there is something to return: who drops the body meanwhile cancels the request.
        this.awaited = true;
        let frame = ready!(this.poll_next(cx));
        this.awaited = false;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Dropped first, so that no event of the wire is reported after the body is closed.
        self.line = Line::Over;
        if let (true, Some(trace)) = (self.awaited, &self.trace) {
            trace.cancelled();
        }
        self.close();
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("body", &self.body).finish_non_exhaustive()
    }
}
