//! One request and its response: a pool of connections whose every step is reported to a trace.

mod dial;
mod limit;
mod pool;
mod resolve;
mod response;
mod round_trip;
mod target;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

pub(crate) use self::dial::Deadline;
pub(crate) use self::limit::ConnectionPermit;
use self::pool::{Limits, Pool};
pub use self::resolve::{Resolve, Resolving, SystemResolver};
pub use self::response::ResponseBody;
use crate::body::RequestBody;
use crate::connection::HeadLimits;
#[cfg(feature = "http2")]
use crate::connection::KeepAlive;
use crate::error::Error;
use crate::trace::ClientTrace;
use crate::url;

/// Sends single requests over a pool of connections, and calls a [`ClientTrace`] for each event.
///
/// The pool follows no redirects and knows no tracer: [`TracedClient`](crate::TracedClient) adds
/// both. Clones share the pool. It needs a runtime of tokio, with its clock and its I/O.
///
/// # Cost
///
/// A connection of HTTP/1 has no task of its own: who sends the request drives it.
///
/// # Source
///
/// `Transport` of net/http. Unlike it, a request that makes a connection waits for that one, and
/// does not take another that becomes idle meanwhile; where the host is known to speak HTTP/2, the
/// others wait for it, too. There are no proxies.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use jaeger_client_http::{ClientTrace, HttpPool};
/// # async fn ask(trace: Arc<dyn ClientTrace>) -> Result<(), Box<dyn std::error::Error>> {
/// let pool = HttpPool::new();
/// let request = http::Request::get("http://localhost:8000/").body(())?;
/// let response = pool.round_trip(request, trace).await?;
/// let body = response.into_body().read_to_end(64 << 10).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Options {
    resolver: Box<dyn Resolve>,
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    tls_handshake_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: tls::Tls,
    response_header_timeout: Option<Duration>,
    expect_continue_timeout: Duration,
    body_idle_timeout: Option<Duration>,
    head: HeadLimits,
    #[cfg(feature = "http2")]
    keep_alive: KeepAlive,
}

impl HttpPool {
    /// Returns a pool with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins one with its own options.
    pub fn builder() -> HttpPoolBuilder {
        HttpPoolBuilder::default()
    }

    /// Sends a request, and waits for the head of its response.
    ///
    /// If a connection that was reused turns out to be dead, the request is sent once more over
    /// another one, where nothing of it was written, or where it is idempotent, can be sent again,
    /// and nothing of a response was read. The trace then sees all of it, as in Go.
    ///
    /// A request that a server of HTTP/2 says it did not process, by `GOAWAY` with `NO_ERROR` or by
    /// `REFUSED_STREAM`, is sent again, if its body can be or was not begun: twice at once, then
    /// after 1, 2, 4 and 8 s. [`ClientTrace::retry`] is called.
    ///
    /// Dropping the future gives the request up, and closes its connection.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is no response. One of any status is a response.
    pub async fn round_trip<B: Into<RequestBody>>(
        &self,
        request: Request<B>,
        trace: Arc<dyn ClientTrace>,
    ) -> Result<Response<ResponseBody>, Error> {
        let mut request = request.map(Into::into);
        url::encode(request.uri_mut());
        self.round_trip_until(request, trace, None).await
    }
}

impl Default for HttpPool {
    fn default() -> Self {
        Self::new()
    }
}

/// The builder of an [`HttpPool`].
#[derive(Debug)]
#[must_use = "a pool is made by `build`"]
pub struct HttpPoolBuilder {
    options: Options,
    limits: Limits,
}

impl Default for HttpPoolBuilder {
    fn default() -> Self {
        let options = Options {
            resolver: Box::new(SystemResolver),
            connect_timeout: Duration::from_secs(30),
            #[cfg(feature = "tls")]
            tls_handshake_timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: Default::default(),
            response_header_timeout: None,
            expect_continue_timeout: Duration::from_secs(1),
            body_idle_timeout: None,
            head: HeadLimits::default(),
            #[cfg(feature = "http2")]
            keep_alive: KeepAlive {
                interval: None,
                timeout: Duration::from_secs(20),
                while_idle: false,
            },
        };
        let idle_timeout = Duration::from_secs(90);
        let limits = Limits { per_host: 32, in_all: 100, idle_timeout, connections: None };
        Self { options, limits }
    }
}

impl HttpPoolBuilder {
    /// Finds addresses; the operating system's way by default.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.options.resolver = Box::new(resolver);
        self
    }

    /// Sets the timeout for resolving a host and connecting to it: 30 s.
    ///
    /// # Source
    ///
    /// `Dialer.Timeout` of the `DefaultTransport` in net/http.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = limit;
        self
    }

    /// Sets the timeout of the TLS handshake: 10 s.
    ///
    /// # Source
    ///
    /// `Transport.TLSHandshakeTimeout` in net/http.
    #[cfg(feature = "tls")]
    pub fn tls_handshake_timeout(mut self, limit: Duration) -> Self {
        self.options.tls_handshake_timeout = limit;
        self
    }

    /// Trusts, offers and proves what the configuration says, in place of the usual: the roots of
    /// Mozilla, and by ALPN the protocols that are compiled in.
    ///
    /// HTTP/2 is spoken where the server chooses it by ALPN and the feature `http2` is on.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<crate::rustls::ClientConfig>) -> Self {
        self.options.tls.set(config);
        self
    }

    /// Sets the timeout of the response's head, counted from when the request is written, its body
    /// included; without a limit by default. An upload may take as long as it likes.
    ///
    /// With HTTP/2, a request is written when the connection has taken the last of it.
    ///
    /// # Source
    ///
    /// `Transport.ResponseHeaderTimeout` in net/http.
    pub fn response_header_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.response_header_timeout = limit.into();
        self
    }

    /// Sets how long a body waits for `100 Continue`, before it is sent without: 1 s.
    ///
    /// # Source
    ///
    /// `Transport.ExpectContinueTimeout` in net/http.
    pub fn expect_continue_timeout(mut self, limit: Duration) -> Self {
        self.options.expect_continue_timeout = limit;
        self
    }

    /// Sets the timeout of the next part of a response's body; without a limit by default, as a
    /// stream of events may be silent for long.
    ///
    /// Go has no such limit.
    pub fn body_idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.body_idle_timeout = limit.into();
        self
    }

    /// Sets the maximum size of a response's head, and of its trailers, in bytes: about 400 KB by
    /// default, for HTTP/1 and HTTP/2 alike, which is what hyper has for HTTP/1. A larger one is an
    /// error. With HTTP/2, the bytes are counted as [RFC
    /// 9113](https://www.rfc-editor.org/rfc/rfc9113#name-defined-settings) has it: those of names
    /// and values before they are compressed, and 32 for each header.
    ///
    /// # Source
    ///
    /// `Transport.MaxResponseHeaderBytes` in net/http, which is 10 MB by default.
    pub fn max_response_header_bytes(mut self, bytes: usize) -> Self {
        self.options.head.bytes = Some(bytes);
        self
    }

    /// Sets the maximum number of headers in a response with HTTP/1: 100 by default. More are an
    /// error.
    ///
    /// # Cost
    ///
    /// Where it is set, even to 100, each response costs an allocation more.
    ///
    /// # Source
    ///
    /// `max_headers` of hyper; Go has no such limit.
    pub fn http1_max_headers(mut self, count: usize) -> Self {
        self.options.head.headers = Some(count);
        self
    }

    /// Sets the interval of PINGs on a connection of HTTP/2 with requests in flight; none by
    /// default.
    ///
    /// Without, a request over a connection whose other end is gone waits for as long as it may.
    ///
    /// # Source
    ///
    /// `keep_alive_interval` of hyper; `HTTP2Config.SendPingTimeout` in net/http.
    #[cfg(feature = "http2")]
    pub fn http2_keep_alive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.options.keep_alive.interval = interval.into();
        self
    }

    /// Sets the timeout of a PING: 20 s. Then the connection is closed, and its requests fail.
    ///
    /// # Source
    ///
    /// `keep_alive_timeout` of hyper; `HTTP2Config.PingTimeout` in net/http, which is 15 s.
    #[cfg(feature = "http2")]
    pub fn http2_keep_alive_timeout(mut self, limit: Duration) -> Self {
        self.options.keep_alive.timeout = limit;
        self
    }

    /// Sets whether PINGs are also sent without requests in flight: not by default.
    ///
    /// # Source
    ///
    /// `keep_alive_while_idle` of hyper.
    #[cfg(feature = "http2")]
    pub fn http2_keep_alive_while_idle(mut self, enabled: bool) -> Self {
        self.options.keep_alive.while_idle = enabled;
        self
    }

    /// Sets the maximum number of connections to one host, those that are being made and idle ones
    /// included; without a limit by default. A request for which there is none waits.
    ///
    /// # Source
    ///
    /// `Transport.MaxConnsPerHost` in net/http.
    pub fn max_conns_per_host(mut self, count: impl Into<Option<usize>>) -> Self {
        self.limits.connections = count.into();
        self
    }

    /// Sets the maximum number of idle connections to one host: 32. With 0, none is kept.
    ///
    /// # Source
    ///
    /// `Transport.MaxIdleConnsPerHost` in net/http, which is 2 by default.
    pub fn max_idle_per_host(mut self, count: usize) -> Self {
        self.limits.per_host = count;
        self
    }

    /// Sets the maximum number of idle connections in all: 100. With more, the oldest one is
    /// closed.
    ///
    /// # Source
    ///
    /// `Transport.MaxIdleConns` in net/http.
    pub fn max_idle(mut self, count: usize) -> Self {
        self.limits.in_all = count;
        self
    }

    /// Sets how long an idle connection is kept: 90 s.
    ///
    /// # Source
    ///
    /// `Transport.IdleConnTimeout` in net/http.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.limits.idle_timeout = limit;
        self
    }

    /// Makes the pool.
    #[must_use]
    pub fn build(self) -> HttpPool {
        let inner = Inner { options: self.options, pool: Pool::new(self.limits) };
        HttpPool { inner: Arc::new(inner) }
    }
}
