//! A server with the pages of the golden cases, a client, and the events in its spans.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses a part of it"
)]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jaeger_client::encoding::{LogView, SpanView, ValueView};
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, Tracer};
use jaeger_client_http::{HttpPool, HttpPoolBuilder, Resolving};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

pub mod echo;
#[cfg(feature = "http2")]
pub mod frames;
pub mod golden;
pub mod recorder;
#[cfg(feature = "tls")]
pub mod tls;

/// A server on a free port of loopback.
pub struct Server {
    pub address: SocketAddr,
    /// How many connections were taken, and how many of them have ended.
    pub accepted: Arc<AtomicUsize>,
    pub closed: Arc<AtomicUsize>,
    connections: Arc<parking_lot::Mutex<Vec<tokio::task::AbortHandle>>>,
    pub seen: Seen,
}

/// Method, URL, headers and body of each request that came.
pub type Seen = Arc<parking_lot::Mutex<Vec<(Method, String, HeaderMap, Bytes)>>>;

type TestResponse = Response<BoxBody<Bytes, std::io::Error>>;

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|stream| async { Some(stream) }).await
    }

    /// Serves what `wrap` makes of a connection, which may be TLS.
    pub async fn start_with<S, F>(
        wrap: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            address,
            accepted: Arc::default(),
            closed: Arc::default(),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let Self { accepted, closed, connections, seen, .. } = &server;
        let (accepted, closed) = (Arc::clone(accepted), Arc::clone(closed));
        let (connections, seen) = (Arc::clone(connections), Arc::clone(seen));
        tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let end = End(Arc::clone(&closed));
                let (wrapped, seen) = (wrap(stream), Arc::clone(&seen));
                let connection = tokio::spawn(async move {
                    let _end = end;
                    let Some(stream) = wrapped.await else { return };
                    let response =
                        service_fn(move |request| respond(request, peer, Arc::clone(&seen)));
                    let connection = http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), response).await;
                });
                connections.lock().push(connection.abort_handle());
            }
        });
        server
    }

    /// Closes every connection.
    pub fn close_all(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port())
    }
}

/// Counts the end of a connection.
struct End(Arc<AtomicUsize>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn full(text: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed()
}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    seen: Seen,
) -> Result<TestResponse, &'static str> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if path == "/early" {
        return Ok(Response::new(full("no thanks")));
    }
    let body = body.collect().await.map_err(|_| "broken body")?.to_bytes();
    seen.lock().push((parts.method, parts.uri.to_string(), parts.headers, body.clone()));
    let mut response = Response::new(full("The time is now"));
    let moved = |response: &mut TestResponse, status: u16, to: &str| {
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(header::LOCATION, to.parse().unwrap());
    };
    match &*path {
        "/time" => {}
        "/moved" => moved(&mut response, 301, "/time"),
        "/see-other" => moved(&mut response, 303, "/time"),
        "/again" => moved(&mut response, 307, "/time"),
        // Where the query says.
        "/to" => moved(&mut response, 307, &query),
        "/round" => moved(&mut response, 302, "/round"),
        "/stream" => *response.body_mut() = Pieces::new(3, false).boxed(),
        "/half" => *response.body_mut() = Pieces::new(1, true).boxed(),
        "/nothing" => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = full("");
        }
        "/fail" => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            *response.body_mut() = full("no");
        }
        "/close" => {
            response.headers_mut().insert(header::CONNECTION, "close".parse().unwrap());
        }
        "/late" => std::future::pending().await,
        "/panic" => return Err("the connection is closed"),
        "/peer" => *response.body_mut() = full(peer.port().to_string()),
        "/large" => *response.body_mut() = full(vec![b'x'; 1 << 20]),
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

/// A body that comes in pieces, and may stall in the end.
struct Pieces {
    left: usize,
    stalls: bool,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Pieces {
    fn new(left: usize, stalls: bool) -> Self {
        Self { left, stalls, timer: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            return if self.stalls { Poll::Pending } else { Poll::Ready(None) };
        }
        let pause = || Box::pin(tokio::time::sleep(Duration::from_millis(20)));
        std::task::ready!(self.timer.get_or_insert_with(pause).as_mut().poll(cx));
        self.timer = None;
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
    }
}

/// A resolver that knows these addresses, whatever the host.
pub fn to(addresses: &'static [[u8; 4]]) -> impl Fn(&str) -> Resolving + Send + Sync {
    move |_| {
        Box::pin(async { Ok(addresses.iter().map(|a| IpAddr::from(Ipv4Addr::from(*a))).collect()) })
    }
}

/// A pool for which names are resolved to 127.0.0.1 alone, as where the recordings were made.
pub fn here() -> HttpPoolBuilder {
    HttpPool::builder().resolver(to(&[[127, 0, 0, 1]]))
}

/// A port whose queue is full: connections to it are neither taken nor refused.
pub async fn full_port() -> (Arc<dyn Send + Sync>, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let connect = tokio::net::TcpStream::connect(address);
        // One that is taken is taken at once, but the machine may be busy.
        let limit = Duration::from_secs(1);
        let Ok(stream) = tokio::time::timeout(limit, connect).await else { break };
        waiting.push(stream.unwrap());
    }
    (Arc::new((listener, waiting)), address.port())
}

/// A port that refuses connections, and that nobody else gets while the socket lives.
pub fn refusing_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A port whose connections are taken by the system, and by nobody else: nothing is read or written.
pub fn mute_port() -> (std::net::TcpListener, u16) {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    (mute, port)
}

/// A tracer whose spans are kept.
pub fn tracer() -> (Tracer, InMemoryReporter, Closer) {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = Tracer::builder("client").in_memory(&reporter).build().unwrap();
    (tracer, reporter, closer)
}

pub fn text(value: ValueView<'_>) -> String {
    match value {
        ValueView::Str(text) | ValueView::Binary(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        ValueView::Bool(boolean) => boolean.to_string(),
        ValueView::Long(number) => number.to_string(),
        ValueView::Double(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn fields(log: &LogView<'_>) -> Vec<(String, String)> {
    log.fields()
        .map(|tag| (String::from_utf8(tag.key.to_vec()).unwrap(), text(tag.value)))
        .collect()
}

/// The names of a span's events, those of errors with a `!`.
pub fn events(span: &SpanView<'_>) -> Vec<String> {
    let name = |log: LogView<'_>| {
        let fields = fields(&log);
        let (key, value) = &fields[0];
        if key == "message" { format!("{value}!") } else { value.clone() }
    };
    span.logs().map(name).collect()
}

/// The spans that are not those of whole requests.
pub fn hops(reporter: &InMemoryReporter) -> Vec<FinishedSpan> {
    let mut spans = reporter.spans();
    spans.retain(|span| {
        span.view().operation_name().starts_with("HTTP ")
            && span.view().operation_name() != "HTTP Client"
    });
    spans
}

pub fn tag(span: &SpanView<'_>, key: &str) -> Option<String> {
    span.tag(key).map(text)
}

/// Waits until a condition holds, which it has to soon.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}
