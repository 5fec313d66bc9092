//! Detection of an HTTP/2 server that accepts no more requests: its frames are searched for a
//! GOAWAY.
//!
//! hyper tells so only the task that takes requests (as of 1.12), and that task does not always go on
//! when the connection is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::stream::Stream;

/// A stream of HTTP/2 that is looked at for a GOAWAY.
pub(super) struct Watched {
    stream: Arc<Mutex<Stream>>,
    frames: Frames,
    closing: Arc<Closing>,
}

/// Whether the server accepts no more requests: it sent GOAWAY, or the connection is closed.
#[derive(Default)]
pub(super) struct Closing {
    is_set: AtomicBool,
    changed: Notify,
}

impl Closing {
    fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Comes once it is set, from now on.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }
}

/// Where in a frame the bytes that are read end; RFC 9113, section 4.1.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    /// The number of bytes of a frame that are still to come.
    left: usize,
}

const HEAD: usize = 9;
const GOAWAY: u8 = 7;

impl Frames {
    /// Returns whether a GOAWAY begins in these bytes.
    fn has_goaway(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let part = (HEAD - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            let [a, b, c, kind, ..] = self.head[..] else { return found };
            if self.head.len() < HEAD {
                return found;
            }
            found |= kind == GOAWAY;
            self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            self.head.clear();
        }
    }
}

impl Watched {
    pub(super) fn new(stream: Arc<Mutex<Stream>>, closing: Arc<Closing>) -> Self {
        Self { stream, frames: Frames::default(), closing }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut *self.stream.lock()).poll_read(cx, buffer);
        if self.frames.has_goaway(&buffer.filled()[before..]) {
            self.closing.set();
        }
        read
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.closing.set();
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.lock()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.lock()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let head = [0, 0, length, kind, 0, 0, 0, 0, 0];
        [&head[..], &vec![GOAWAY; usize::from(length)]].concat()
    }

    #[test]
    fn a_goaway_is_found_however_the_bytes_are_cut() {
        let others = [frame(4, 18), frame(1, 0), frame(0, 200)].concat();
        let all = [others.clone(), frame(GOAWAY, 8), frame(0, 3)].concat();
        for size in 1..all.len() {
            let mut frames = Frames::default();
            let found = all.chunks(size).map(|bytes| frames.has_goaway(bytes));
            let at = found.collect::<Vec<_>>().iter().position(|found| *found);
            // With the last byte of its head.
            assert_eq!(at, Some((others.len() + HEAD - 1) / size), "{size}");
        }
        let mut frames = Frames::default();
        assert!(!others.chunks(7).any(|bytes| frames.has_goaway(bytes)));
    }
}
