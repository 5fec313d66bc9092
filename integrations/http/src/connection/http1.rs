//! A connection of HTTP/1, driven by the task that sends a request.
//!
//! The connection has no task of its own. The future of the request drives it until the head of the
//! response is there, the response's body drives it to the end of the body, and in the pool nothing
//! does. So all of its events happen in the caller's task, in order, and a request that is given up
//! takes its connection with it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::yield_now;

use super::outgoing::Outgoing;
use super::stream::{Found, Stream};
use super::wire::{Probe, Wire};
use super::{HeadLimits, LOOKS};
use crate::transport::ConnectionPermit;

/// The future that drives a connection while it is polled.
enum Driver {
    Plain(Box<http1::Connection<TokioIo<Probe>, Outgoing>>),
    /// A connection that may be upgraded to another protocol. hyper does not name its type.
    Upgrading(Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>),
    /// The connection is at its end, and must not be polled any more.
    Ended,
}

impl Driver {
    /// Drives the connection. Returns false if it has come to its end.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let ended = match self {
            Self::Plain(driver) => Pin::new(driver).poll(cx).is_ready(),
            Self::Upgrading(driver) => driver.as_mut().poll(cx).is_ready(),
            Self::Ended => true,
        };
        if ended {
            *self = Self::Ended;
        }
        !ended
    }
}

/// A connection with exclusive access.
pub(crate) struct Connection {
    sender: SendRequest<Outgoing>,
    driver: Driver,
    pub(crate) wire: Arc<Wire>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) peer: Option<SocketAddr>,
    /// Free again when the connection is closed, where they are bounded.
    pub(crate) permit: Option<ConnectionPermit>,
}

/// The error of a request without a response.
pub(crate) struct Unanswered {
    pub(crate) error: hyper::Error,
    /// The request, where nothing of it was written.
    pub(crate) unsent: Option<Request<Outgoing>>,
    /// Whether a part of the request was written.
    pub(crate) has_written: bool,
    /// Whether a part of a response was read.
    pub(crate) has_response_bytes: bool,
}

impl Connection {
    pub(crate) async fn open(stream: Stream, limits: &HeadLimits) -> Result<Self, hyper::Error> {
        let (local, peer) = stream.addresses();
        let wire = Arc::<Wire>::default();
        let io = TokioIo::new(Probe { stream, wire: Arc::clone(&wire) });
        let mut builder = http1::Builder::new();
        if let Some(count) = limits.headers {
            builder.max_headers(count);
        }
        if let Some(bytes) = limits.bytes {
            builder.max_header_size(bytes).max_buf_size(bytes.max(HeadLimits::USUAL));
        }
        let (sender, driver) = builder.handshake(io).await?;
        let driver = Driver::Plain(Box::new(driver));
        Ok(Self { sender, driver, wire, local, peer, permit: None })
    }

    /// Lets the connection go on. False if it has come to its end.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.drive(cx)
    }

    /// Returns whether another request can be sent.
    pub(crate) fn is_ready(&self) -> bool {
        !matches!(self.driver, Driver::Ended) && self.sender.is_ready()
    }

    /// Returns whether the server has left an idle connection open, and has sent nothing over it.
    pub(crate) async fn is_alive(&mut self) -> bool {
        for _ in 0..LOOKS {
            self.wire.look();
            let open = self.drive(&mut Context::from_waker(Waker::noop())) && self.is_ready();
            match self.wire.found() {
                _ if !open => return false,
                Some(Found::End) => return false,
                Some(Found::Nothing) | None => return true,
                // A TLS message, or an unexpected response. Once the runtime has polled its
                // sockets, it is read and interpreted.
                Some(Found::Bytes) => yield_now().await,
            }
        }
        false
    }

    /// Sends a request, and waits for the head of its response.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut response = pin!(self.sender.try_send_request(request));
        let (driver, wire) = (&mut self.driver, &self.wire);
        let response = std::future::poll_fn(|cx| {
            let open = driver.drive(cx);
            // Before anything was read there is no response, and nothing to be woken by: polling
            // for it would only make this task wake itself.
            if !open || wire.has_response_bytes() {
                response.as_mut().poll(cx)
            } else {
                Poll::Pending
            }
        });
        response.await.map_err(|mut unanswered| Unanswered {
            unsent: unanswered.take_message(),
            error: unanswered.into_error(),
            has_written: wire.has_written(),
            has_response_bytes: wire.has_response_bytes(),
        })
    }

    /// Prepares for a request that may be upgraded to another protocol.
    pub(crate) fn allow_upgrade(&mut self) {
        self.driver = match std::mem::replace(&mut self.driver, Driver::Ended) {
            Driver::Plain(driver) => Driver::Upgrading(Box::pin(driver.with_upgrades())),
            other => other,
        };
    }

    /// Leaves the connection to the protocol that both ends have agreed on.
    pub(crate) fn upgrade(mut self) {
        self.wire.disarm();
        if let Driver::Upgrading(driver) = std::mem::replace(&mut self.driver, Driver::Ended) {
            tokio::spawn(driver);
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}
