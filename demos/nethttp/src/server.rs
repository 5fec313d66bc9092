//! The server: `/gettime` tells the time, everything else sends its reader there.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jaeger_client::Tracer;
use jaeger_client_http::TraceLayer;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::time;
use tower_layer::Layer;
use tower_service::Service;

use crate::now::now;

/// A server that listens, and serves as soon as it is asked to.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: App,
}

#[derive(Clone, Debug)]
struct App {
    port: u16,
    zone: TimeZone,
}

/// How long requests may take that are under way when the server is stopped.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

impl Server {
    /// Listens on a port of loopback; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the port is taken or not allowed.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        // Found here, for it reads files: the first request need not look for it in its span.
        Ok(Self { listener, app: App { port, zone: TimeZone::system() } })
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.app.port
    }

    /// Serves until `stop` is done, and what is under way then to its end.
    pub async fn serve(self, tracer: Tracer, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let service = TowerToHyperService::new(TraceLayer::new(tracer).layer(self.app));
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Too many open files, say: others have to end before there is room.
                time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service.clone());
            // Its error is a client that went away, which is the client's to tell.
            tokio::spawn(connections.watch(connection));
        }
        drop(self.listener);
        let _ = time::timeout(LAST_REQUESTS, connections.shutdown()).await;
    }
}

impl<B> Service<Request<B>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(match request.uri().path() {
            "/gettime" => {
                respond(format!("The time is {}", now(&self.zone)), "text/plain; charset=utf-8")
            }
            _ => redirect(&format!("http://localhost:{}/gettime", self.port)),
        }))
    }
}

/// The response of Go's `http.Redirect`, whose size is in the span.
fn redirect(url: &str) -> Response<Full<Bytes>> {
    let body = format!("<a href=\"{url}\">Moved Permanently</a>.\n\n");
    let mut response = respond(body, "text/html; charset=utf-8");
    match HeaderValue::try_from(url) {
        Ok(location) => {
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            response.headers_mut().insert(header::LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

fn respond(body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
