//! A request from its URL to the head of its response, over as many connections as it takes.

mod head;
mod http1;
#[cfg(feature = "http2")]
mod http2;

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderName, Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::dial::{Deadline, dial};
use super::limit::ConnectionPermit;
#[cfg(feature = "http2")]
use super::pool::Dialing;
use super::response::{Limits, Line, ResponseBody};
use super::target::Target;
use super::{HttpPool, Inner};
use crate::body::RequestBody;
use crate::connection::Connection;
#[cfg(feature = "http2")]
use crate::connection::Shared;
use crate::error::{Error, Phase};
use crate::trace::{ClientTrace, GotConn};
use crate::url;

/// A connection for one request.
enum Got {
    Own {
        connection: Connection,
        reused: bool,
    },
    #[cfg(feature = "http2")]
    Shared {
        shared: Shared,
        /// Whether the connection was reused; none if it is a new one.
        reused: bool,
        /// The dial that other tasks wait for.
        dialing: Option<Dialing>,
    },
}

/// A request that has no response yet.
struct Attempt<'a> {
    transport: &'a Inner,
    target: &'a Target,
    trace: &'a Arc<dyn ClientTrace>,
    overall: Option<Deadline>,
}

/// The outcome of sending a request.
enum Sent {
    Responded(Response<ResponseBody>),
    /// The request can be sent over another connection.
    Again {
        request: Request<RequestBody>,
        error: Error,
        why: Why,
    },
}

/// Why a request can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The connection was dead before the request. As in Go, the trace is not called.
    Dead,
    /// The connection of HTTP/2 broke.
    #[cfg(feature = "http2")]
    Lost,
    /// The server has reported that it did not process the request.
    #[cfg(feature = "http2")]
    Refused,
}

impl Why {
    /// Returns how often the request is retried. A server that refuses may need a moment.
    fn retries(self) -> u32 {
        match self {
            Self::Dead => AT_ONCE,
            #[cfg(feature = "http2")]
            Self::Lost => AT_ONCE,
            #[cfg(feature = "http2")]
            Self::Refused => MAX_RETRIES,
        }
    }
}

/// The number of retries of a refused request.
///
/// # Source
///
/// `RoundTripOpt` of HTTP/2 in net/http.
#[cfg(feature = "http2")]
const MAX_RETRIES: u32 = 6;

/// The last retry that is made at once. It has its own connection, and is the first request on
/// it: a server that closes each connection after a few requests serves it all the same.
const AT_ONCE: u32 = 2;

impl HttpPool {
    /// Like [`round_trip`](Self::round_trip), with a deadline of `overall` for the response and its
    /// body.
    pub(crate) async fn round_trip_until(
        &self,
        request: Request<RequestBody>,
        trace: Arc<dyn ClientTrace>,
        overall: Option<Deadline>,
    ) -> Result<Response<ResponseBody>, Error> {
        if request.method() == Method::CONNECT {
            let reason = "the method CONNECT is for proxies, which are not supported";
            return Err(Error::Url { url: url::redacted(request.uri()), reason });
        }
        let target = Target::of(request.uri())?;
        let attempt = Attempt { transport: &self.inner, target: &target, trace: &trace, overall };
        let unanswered = Unanswered(&trace);
        let response = attempt.respond(request).await;
        std::mem::forget(unanswered);
        response
    }
}

/// A request without a response. It counts as cancelled when it is dropped.
struct Unanswered<'a>(&'a Arc<dyn ClientTrace>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.cancelled();
    }
}

impl Attempt<'_> {
    async fn respond(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let mut retries = 0;
        loop {
            let sent = match self.get_conn(retries >= AT_ONCE).await? {
                Got::Own { connection, reused } => self.send(connection, request, reused).await?,
                #[cfg(feature = "http2")]
                Got::Shared { shared, reused, dialing } => {
                    self.send_shared(shared, request, reused, dialing).await?
                }
            };
            match sent {
                Sent::Responded(response) => return Ok(response),
                Sent::Again { error, why, .. } if retries >= why.retries() => return Err(error),
                Sent::Again { request: same, error, why } => {
                    request = same;
                    retries += 1;
                    if why != Why::Dead {
                        self.trace.retry(&error);
                    }
                }
            }
            if retries > AT_ONCE {
                let pause = sleep(backoff(retries - AT_ONCE));
                match self.overall {
                    Some(overall) => overall.within(Phase::Headers, pause).await?,
                    None => pause.await,
                }
            }
        }
    }

    /// A connection from the pool, or a new one; always a new one if it is to be `fresh`.
    async fn get_conn(&self, fresh: bool) -> Result<Got, Error> {
        let Self { transport: Inner { options, pool }, target, trace, overall } = self;
        trace.get_conn(&target.key.host_port);
        #[cfg(feature = "http2")]
        if !fresh && let Some(shared) = pool.shared(&target.key).await {
            return Ok(Got::Shared { shared, reused: true, dialing: None });
        }
        #[cfg_attr(
            not(feature = "http2"),
            expect(clippy::infallible_destructuring_match, reason = "with HTTP/2 there are two")
        )]
        let permit = match self.admission().await? {
            Admission::Permitted(permit) => permit,
            #[cfg(feature = "http2")]
            Admission::Shared(shared) => {
                return Ok(Got::Shared { shared, reused: true, dialing: None });
            }
        };
        if !fresh && let Some((mut connection, idle_time)) = pool.take(&target.key).await {
            connection.permit = permit;
            self.got_conn(&connection, true, idle_time);
            return Ok(Got::Own { connection, reused: true });
        }
        #[cfg(feature = "http2")]
        let dialing = match pool.dialing(&target.key).filter(|_| !fresh) {
            // Somebody makes a connection that can be shared.
            Some(Err(other)) => {
                match overall {
                    Some(overall) => overall.within(Phase::Connect, other).await?,
                    None => other.await,
                }
                if let Some(shared) = pool.shared(&target.key).await {
                    return Ok(Got::Shared { shared, reused: true, dialing: None });
                }
                None
            }
            Some(Ok(dialing)) => Some(dialing),
            None => None,
        };
        let stream = dial(options, target, &***trace, *overall).await?;
        let failed = |error: hyper::Error| Error::Exchange { source: error.into() };
        #[cfg(feature = "http2")]
        if stream.chose_http2() {
            let limit = Deadline::after(options.tls_handshake_timeout).or(*overall);
            let shared = Shared::open(stream, &options.head, &options.keep_alive, permit);
            let shared = limit.within(Phase::Tls, shared).await?.map_err(failed)?;
            return Ok(Got::Shared { shared, reused: false, dialing });
        }
        let mut connection = Connection::open(stream, &options.head).await.map_err(failed)?;
        connection.permit = permit;
        self.got_conn(&connection, false, Duration::ZERO);
        Ok(Got::Own { connection, reused: false })
    }

    /// Waits until there may be one more connection to the host, or until there is one that can be
    /// shared.
    async fn admission(&self) -> Result<Admission, Error> {
        let pool = &self.transport.pool;
        let Some(host) = pool.host(&self.target.key) else { return Ok(Admission::Permitted(None)) };
        let admission = async {
            loop {
                let shared = host.shared();
                if let Some(permit) = host.try_acquire() {
                    return Admission::Permitted(Some(permit));
                }
                #[cfg(feature = "http2")]
                if let Some(shared) = pool.shared(&self.target.key).await {
                    return Admission::Shared(shared);
                }
                if let Some(permit) = host.acquire(shared).await {
                    return Admission::Permitted(Some(permit));
                }
            }
        };
        match self.overall {
            Some(overall) => overall.within(Phase::Connect, admission).await,
            None => Ok(admission.await),
        }
    }

    fn got_conn(&self, connection: &Connection, reused: bool, idle_time: Duration) {
        self.trace.got_conn(&GotConn {
            reused,
            was_idle: reused,
            idle_time,
            local_address: connection.local,
            peer_address: connection.peer,
            http2: false,
        });
    }

    /// Waits for the head of a response: until the time for the whole request ends, and for
    /// `response_header_timeout` from the moment on that the request is written.
    async fn head<T>(
        &self,
        mut is_written: impl FnMut(&Context<'_>) -> bool,
        response: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let late = async {
            let Some(limit) = self.transport.options.response_header_timeout else {
                return Ok(response.await);
            };
            let (mut response, mut timer) = (pin!(response), None);
            std::future::poll_fn(|cx| {
                if let Poll::Ready(response) = response.as_mut().poll(cx) {
                    return Poll::Ready(Ok(response));
                }
                if timer.is_none() && !is_written(cx) {
                    return Poll::Pending;
                }
                ready!(timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                Poll::Ready(Err(Error::TimedOut { phase: Phase::Headers, limit }))
            })
            .await
        };
        match self.overall {
            Some(overall) => overall.within(Phase::Headers, late).await?,
            None => late.await,
        }
    }

    fn limits(&self) -> Limits {
        Limits { idle: self.transport.options.body_idle_timeout, overall: self.overall }
    }

    async fn body(&self, method: &Method, body: Incoming, line: Line) -> ResponseBody {
        let mut made = Some((body, line));
        std::future::poll_fn(|cx| match made.take() {
            Some((body, line)) => {
                let trace = Arc::clone(self.trace);
                let body = ResponseBody::new(method, body, line, trace, self.limits(), cx);
                Poll::Ready(body)
            }
            None => Poll::Pending,
        })
        .await
    }
}

/// Where a connection comes from that there is room for.
enum Admission {
    /// A new or an idle one may be used, and has this permit where they are bounded.
    Permitted(Option<ConnectionPermit>),
    #[cfg(feature = "http2")]
    Shared(Shared),
}

/// Returns the delay before a retry: 1, 2, 4, 8 s, and up to a tenth more.
///
/// # Source
///
/// `RoundTripOpt` of HTTP/2 in net/http.
fn backoff(retry: u32) -> Duration {
    let pause = Duration::from_secs(1 << retry.saturating_sub(1).min(5));
    // Keys of hash maps are as random as this has to be.
    let random = RandomState::new().build_hasher().finish() % 100;
    pause + pause * u32::try_from(random).unwrap_or(0) / 1000
}

/// Returns whether sending a request twice does no harm.
///
/// # Source
///
/// `Request.isReplayable` in net/http.
fn is_idempotent<B>(request: &Request<B>) -> bool {
    let method = request.method();
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || IDEMPOTENCY_KEYS.iter().any(|key| request.headers().contains_key(key))
}

const IDEMPOTENCY_KEYS: [HeaderName; 2] =
    [HeaderName::from_static("idempotency-key"), HeaderName::from_static("x-idempotency-key")];

/// The request once more, if its body can be sent again.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = request.body().try_clone()?;
    let mut again = Request::new(body);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_waits_longer_than_the_one_before() {
        for (retry, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (99, 32)] {
            let pause = backoff(retry);
            let least = Duration::from_secs(seconds);
            assert!(pause >= least && pause <= least + least / 10, "{pause:?}");
        }
    }
}
