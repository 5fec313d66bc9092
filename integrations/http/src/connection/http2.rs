//! A connection of HTTP/2, which serves many requests at once and so has a task of its own.
//!
//! What is written to its stream and read from it belongs to whichever request; no event of the
//! wire is told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::outgoing::Outgoing;
use super::stream::Stream;

/// A handle on the connection.
#[derive(Clone)]
pub(crate) struct Shared {
    sender: SendRequest<Outgoing>,
    usage: Arc<Mutex<Usage>>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) peer: Option<SocketAddr>,
}

struct Usage {
    requests: usize,
    idle_since: Instant,
}

/// Counts as a request that is under way, until its response's body has ended.
pub(crate) struct InUse {
    usage: Arc<Mutex<Usage>>,
}

impl Shared {
    pub(crate) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let (local, peer) = stream.addresses();
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // Its error comes to each request that it is the error of. The task ends with the last
        // handle and the last request.
        tokio::spawn(driver);
        let usage = Usage { requests: 0, idle_since: Instant::now() };
        Ok(Self { sender, usage: Arc::new(Mutex::new(usage)), local, peer })
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether it is in use, or was so not long ago.
    pub(crate) fn is_wanted(&self, idle_timeout: Duration) -> bool {
        let usage = self.usage.lock();
        self.is_open() && (usage.requests > 0 || usage.idle_since.elapsed() < idle_timeout)
    }

    /// Begins a request. If there was none on the connection, gives for how long.
    pub(crate) fn use_it(&self) -> (InUse, Option<Duration>) {
        let mut usage = self.usage.lock();
        let idle = (usage.requests == 0).then(|| usage.idle_since.elapsed());
        usage.requests += 1;
        drop(usage);
        (InUse { usage: Arc::clone(&self.usage) }, idle)
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Outgoing>>)> {
        self.sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
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
