//! Callbacks for the events of a request.

pub(crate) mod events;
mod phases;
mod span;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, response};

pub(crate) use self::span::Journey;
pub use self::span::SpanTrace;
use crate::error::Error;

/// Receives the events of a request as they happen.
///
/// All callbacks do nothing unless they are written. They run in the task that sends the request or
/// reads its body, so they must not block; none comes after
/// [`closed_body`](Self::closed_body), or after the request failed or was cancelled.
///
/// # Source
///
/// `httptrace.ClientTrace` of net/http. [`got_response`](Self::got_response) and
/// [`closed_body`](Self::closed_body) are what `nethttp` adds to it; [`cancelled`](Self::cancelled)
/// is not there, as a context that ends makes an error that is returned, nor is
/// [`retry`](Self::retry).
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use jaeger_client_http::{ClientTrace, GotConn};
///
/// #[derive(Default)]
/// struct Reuse(AtomicBool);
///
/// impl ClientTrace for Reuse {
///     fn got_conn(&self, conn: &GotConn) {
///         self.0.store(conn.reused, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait ClientTrace: Send + Sync {
    /// A connection to `host:port` is going to be taken from the pool, or made.
    fn get_conn(&self, host_port: &str) {
        let _ = host_port;
    }

    /// The host is about to be resolved. Not called for a host that is an address.
    fn dns_start(&self, host: &str) {
        let _ = host;
    }

    /// The addresses are known, or why they are not.
    fn dns_done(&self, addresses: Result<&[IpAddr], &io::Error>) {
        let _ = addresses;
    }

    /// An address is tried.
    fn connect_start(&self, network: &str, address: SocketAddr) {
        let _ = (network, address);
    }

    /// The address took the connection, or why it did not; the next one may be tried then.
    fn connect_done(&self, network: &str, address: SocketAddr, error: Option<&io::Error>) {
        let _ = (network, address, error);
    }

    /// The TLS handshake begins.
    fn tls_handshake_start(&self) {}

    /// The TLS handshake is over, or failed.
    fn tls_handshake_done(&self, result: Result<&TlsInfo, &io::Error>) {
        let _ = result;
    }

    /// There is a connection, new or reused.
    fn got_conn(&self, conn: &GotConn) {
        let _ = conn;
    }

    /// The head of the request went to the socket.
    fn wrote_headers(&self) {}

    /// The head of the request expects `100 Continue`, and the wait for it begins.
    fn wait_100_continue(&self) {}

    /// The request went to the socket with all of its body, or why it did not.
    fn wrote_request(&self, error: Option<&(dyn StdError + 'static)>) {
        let _ = error;
    }

    /// The server reported that it did not process the request, or a connection of HTTP/2 broke under
    /// one that may be sent twice; it will be sent again. A dead connection of HTTP/1 is not
    /// reported, as in Go, but [`get_conn`](Self::get_conn) comes once more.
    fn retry(&self, error: &Error) {
        let _ = error;
    }

    /// The first byte of a response, of one with a status 1xx too, came from the socket.
    fn got_first_response_byte(&self) {}

    /// The server gave leave to send the body.
    fn got_100_continue(&self) {}

    /// A response of a status 1xx came, before the real one.
    fn got_1xx_response(&self, status: StatusCode, headers: &HeaderMap) {
        let _ = (status, headers);
    }

    /// The head of the response is there. Its body is still to come, if it has one.
    fn got_response(&self, head: &response::Parts) {
        let _ = head;
    }

    /// The connection went back to the pool, or could not.
    fn put_idle_conn(&self, error: Option<PutIdleError>) {
        let _ = error;
    }

    /// The caller cancelled the request: its future was dropped before there was a response, or the
    /// body of the response while the next part of it was waited for. A body that is dropped after
    /// a part that was read is not cancelled, but closed: the caller needs no more of it.
    fn cancelled(&self) {}

    /// The body came to its end, or the caller dropped it before. Not called for `HEAD`.
    fn closed_body(&self) {}
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add to nothing")]
pub struct NoTrace;

impl ClientTrace for NoTrace {}

macro_rules! both {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        /// Calls both traces, the first one first.
        impl<A: ClientTrace + ?Sized, B: ClientTrace + ?Sized> ClientTrace for (Arc<A>, Arc<B>) {
            $(fn $name(&self, $($argument: $kind),*) {
                self.0.$name($($argument),*);
                self.1.$name($($argument),*);
            })*
        }
    };
}

both! {
    get_conn(host_port: &str);
    dns_start(host: &str);
    dns_done(addresses: Result<&[IpAddr], &io::Error>);
    connect_start(network: &str, address: SocketAddr);
    connect_done(network: &str, address: SocketAddr, error: Option<&io::Error>);
    tls_handshake_start();
    tls_handshake_done(result: Result<&TlsInfo, &io::Error>);
    got_conn(conn: &GotConn);
    wrote_headers();
    wait_100_continue();
    wrote_request(error: Option<&(dyn StdError + 'static)>);
    retry(error: &Error);
    got_first_response_byte();
    got_100_continue();
    got_1xx_response(status: StatusCode, headers: &HeaderMap);
    got_response(head: &response::Parts);
    put_idle_conn(error: Option<PutIdleError>);
    cancelled();
    closed_body();
}

/// The connection a request got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GotConn {
    /// Whether another request had the connection before.
    pub reused: bool,
    /// Whether the connection was idle, in the pool. With HTTP/2 one that is in use is reused
    /// without.
    pub was_idle: bool,
    /// For how long.
    pub idle_time: Duration,
    /// The local address.
    pub local_address: Option<SocketAddr>,
    /// The other end.
    pub peer_address: Option<SocketAddr>,
    /// Whether the protocol is HTTP/2.
    pub http2: bool,
}

/// The result of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of TLS, such as `TLSv1_3`.
    pub version: Option<String>,
    /// The protocol chosen by ALPN, such as `http/1.1`.
    pub alpn: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// Why a connection did not go back to the pool. It is closed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutIdleError {
    /// There are as many idle ones to that host as may be.
    TooManyForHost,
}

impl fmt::Display for PutIdleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyForHost => "too many idle connections to the host",
        })
    }
}

impl StdError for PutIdleError {}

/// How a hop's span records events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceMode {
    /// The events are logged to the hop's span, with the names and keys of Go's `nethttp`.
    #[default]
    Events,
    /// The phases are their own spans, children of the hop's: `http.getconn` and within it
    /// `http.dns`, `http.connect`, `http.tls`; `http.send`, `http.wait`, `http.receive`.
    Spans,
    /// Only the end of the body is logged, as with `ClientTrace(false)`.
    Off,
}
