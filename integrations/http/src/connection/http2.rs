//! A connection of HTTP/2, which serves many requests at once and so has its own task.
//!
//! Bytes of the stream belong to any of its requests, so that there are no events of reading and
//! writing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use h2::Reason;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::closing::{Closing, Watched};
use super::outgoing::Outgoing;
use super::stream::{Found, Stream};
use super::{HeadLimits, LOOKS};
use crate::body::BoxError;
use crate::transport::ConnectionPermit;

/// A handle on the connection.
#[derive(Clone)]
pub(crate) struct Shared {
    sender: SendRequest<Outgoing>,
    usage: Arc<Mutex<Usage>>,
    /// The task has the stream, and closes it with its end.
    stream: Weak<Mutex<Stream>>,
    closing: Arc<Closing>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) peer: Option<SocketAddr>,
}

struct Usage {
    requests: usize,
    idle_since: Instant,
    /// Free again when the connection is no longer in use.
    _permit: Option<ConnectionPermit>,
}

/// The error of a request without a response.
pub(crate) struct Unanswered {
    pub(crate) error: BoxError,
    /// The request, where nothing of it was sent.
    pub(crate) unsent: Option<Request<Outgoing>>,
    taken: bool,
}

impl From<TrySendError<Request<Outgoing>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        let unsent = error.take_message();
        Self { error: error.into_error().into(), unsent, taken: true }
    }
}

impl Unanswered {
    fn not_taken() -> Self {
        let error = io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the server closes the connection, and the request was not sent",
        );
        Self { error: error.into(), unsent: None, taken: false }
    }

    /// Returns whether the server has reported that it did not process the request.
    ///
    /// # Source
    ///
    /// `canRetryError` of HTTP/2 in net/http; RFC 9113, sections 6.8 and 8.7.
    pub(crate) fn is_refused(&self) -> bool {
        !self.taken
            || self.cause().is_some_and(|cause| {
                let gone = cause.is_go_away() && cause.reason() == Some(Reason::NO_ERROR);
                let refused = cause.is_reset() && cause.reason() == Some(Reason::REFUSED_STREAM);
                cause.is_remote() && (gone || refused)
            })
    }

    /// Returns whether the connection broke, and the outcome of the request is unknown.
    pub(crate) fn is_lost(&self) -> bool {
        self.error.source().is_some_and(|cause| cause.is::<io::Error>())
    }

    fn cause(&self) -> Option<&h2::Error> {
        self.error.source()?.downcast_ref()
    }
}

/// The options of keep-alive PINGs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
    pub(crate) while_idle: bool,
}

/// Counts as a request that is under way, until its response's body has ended.
pub(crate) struct InUse {
    usage: Arc<Mutex<Usage>>,
}

impl Shared {
    pub(crate) async fn open(
        stream: Stream,
        limits: &HeadLimits,
        keep_alive: &KeepAlive,
        permit: Option<ConnectionPermit>,
    ) -> Result<Self, hyper::Error> {
        let (local, peer) = stream.addresses();
        let stream = Arc::new(Mutex::new(stream));
        let seen = Arc::downgrade(&stream);
        let closing = Arc::<Closing>::default();
        let watched = Watched::new(stream, Arc::clone(&closing));
        let bytes = limits.bytes.unwrap_or(HeadLimits::USUAL);
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout)
            .keep_alive_while_idle(keep_alive.while_idle)
            .handshake(TokioIo::new(watched))
            .await?;
        // Errors are returned to the requests that they belong to. The task ends with the last
        // handle and the last request.
        tokio::spawn(driver);
        let usage = Usage { requests: 0, idle_since: Instant::now(), _permit: permit };
        Ok(Self { sender, usage: Arc::new(Mutex::new(usage)), stream: seen, closing, local, peer })
    }

    /// Returns whether the server has left the connection open, as far as the socket shows.
    pub(crate) async fn is_alive(&self) -> bool {
        for _ in 0..LOOKS {
            let Some(stream) = self.stream.upgrade().filter(|_| self.is_open()) else {
                return false;
            };
            let found = stream.lock().look();
            drop(stream);
            match found {
                Found::End => return false,
                Found::Nothing => return true,
                // Bytes of other requests, whose task is active anyway.
                Found::Bytes if self.usage.lock().requests > 0 => return true,
                // Until the task has read what the server had to say, such as a GOAWAY.
                Found::Bytes => yield_now().await,
            }
        }
        self.is_open()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.usage, &other.usage)
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.closing.is_set()
    }

    /// Returns whether it is in use, or was so not long ago.
    pub(crate) fn is_wanted(&self, idle_timeout: Duration) -> bool {
        let usage = self.usage.lock();
        self.is_open() && (usage.requests > 0 || usage.idle_since.elapsed() < idle_timeout)
    }

    /// Begins a request. If there was none on the connection, gives for how long.
    pub(crate) fn begin_use(&self) -> (InUse, Option<Duration>) {
        let mut usage = self.usage.lock();
        let idle = (usage.requests == 0).then(|| usage.idle_since.elapsed());
        usage.requests += 1;
        drop(usage);
        (InUse { usage: Arc::clone(&self.usage) }, idle)
    }

    /// Sends a request, which has its place on the connection with the call.
    pub(crate) fn send(
        &mut self,
        mut request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + use<> {
        let taken = request.body_mut().taken();
        let response = self.sender.try_send_request(request);
        let closing = Arc::clone(&self.closing);
        async move {
            let (mut response, mut set) = (pin!(response), pin!(closing.notified()));
            std::future::poll_fn(|cx| {
                if let Poll::Ready(response) = response.as_mut().poll(cx) {
                    return Poll::Ready(response.map_err(Unanswered::from));
                }
                // The task that takes requests (hyper 1.12) is not always woken by the end of its
                // connection. What it has not taken by then was never sent, and would wait for ever.
                let over = set.as_mut().poll(cx).is_ready() || closing.is_set();
                if over && !taken.load(Ordering::Acquire) {
                    return Poll::Ready(Err(Unanswered::not_taken()));
                }
                Poll::Pending
            })
            .await
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = self.usage.lock();
        usage.requests -= 1;
        usage.idle_since = Instant::now();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("peer", &self.peer).finish_non_exhaustive()
    }
}
