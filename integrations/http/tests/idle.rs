//! Connections that a server closes while they are idle, and nobody has time to look.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]
#![allow(clippy::disallowed_methods, reason = "the server has a thread of its own")]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jaeger_client_http::{HttpPoolBuilder, RequestBody, TracedClient};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

mod support;
use support::tracer;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a server does with an idle connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    HalfClose,
    Break,
    /// As nginx and Go do where a request does not come.
    Timeout408,
    /// More than there should be.
    Bytes,
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, end: End) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\nonce") && !head.ends_with(b"0\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    stream.write_all(RESPONSE).await.unwrap();
    stream.flush().await.unwrap();
    if matches!(end, End::Timeout408) {
        let late = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n";
        stream.write_all(late).await.unwrap();
    }
    if matches!(end, End::Bytes) {
        stream.write_all(b"x").await.unwrap();
    }
    stream.flush().await.unwrap();
}

/// Has a server's thread answer one request over each connection, and end it. It says each time that
/// it has.
fn server<F>(end: End, serve_one: impl Fn(TcpStream, End) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()>,
{
    let (ended, has_ended) = mpsc::channel();
    let (bound, port) = mpsc::channel();
    thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // The last write is not to wait until the first is acknowledged.
                stream.set_nodelay(true).unwrap();
                serve_one(stream, end).await;
                if ended.send(()).is_err() {
                    return;
                }
            }
        });
    });
    Server { has_ended, port: port.recv().unwrap() }
}

struct Server {
    has_ended: mpsc::Receiver<()>,
    port: u16,
}

/// How often a request is sent.
const ROUNDS: usize = 20;

impl Server {
    /// Sends one request after the other, each when the server has ended the connection of the one
    /// before, and the runtime has had no time to look.
    fn fetch(&self, what: impl std::fmt::Debug, scheme: &str, pool: HttpPoolBuilder) {
        let client = TracedClient::builder(tracer().0).pool(pool.build()).build();
        let url = format!("{scheme}://localhost:{}/", self.port);
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            for round in 0..ROUNDS {
                let body = RequestBody::stream(Full::<Bytes>::from("once"));
                let request = Request::post(&url).body(body).unwrap();
                let response = client.request(request).send().await;
                let response =
                    response.unwrap_or_else(|error| panic!("{what:?}, round {round}: {error:?}"));
                let body = response.into_body().read_to_end(9).await.unwrap();
                assert!(body == "ok" || body.is_empty(), "{body:?}");
                // The thread is busy meanwhile.
                self.has_ended.recv_timeout(Duration::from_secs(60)).unwrap();
            }
        });
    }
}

#[test]
fn a_connection_that_was_closed_while_the_thread_was_busy_is_not_used() {
    for end in [End::Close, End::HalfClose, End::Break, End::Timeout408, End::Bytes] {
        let server = server(end, |mut stream, end| async move {
            serve(&mut stream, end).await;
            match end {
                End::HalfClose => {
                    stream.shutdown().await.unwrap();
                    std::mem::forget(stream);
                }
                End::Bytes => std::mem::forget(stream),
                End::Break => {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
                End::Close | End::Timeout408 => {}
            }
        });
        server.fetch(end, "http", support::here());
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_connection_of_tls_that_was_closed_while_the_thread_was_busy_is_not_used() {
    for end in [End::Close, End::HalfClose, End::Timeout408, End::Bytes] {
        let (config, acceptor) = support::tls::both(&[b"http/1.1"]);
        let server = server(end, move |stream, end| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                serve(&mut stream, end).await;
                match end {
                    // With a message of TLS before the end, and without.
                    End::Close | End::Timeout408 => stream.shutdown().await.unwrap(),
                    End::Bytes => std::mem::forget(stream),
                    End::HalfClose | End::Break => {}
                }
            }
        });
        server.fetch(end, "https", support::here().tls_config(config));
    }
}

#[cfg(feature = "http2")]
#[test]
fn a_connection_of_http2_that_was_closed_while_the_thread_was_busy_is_not_used() {
    use support::frames::{NO_ERROR, Peer, Say};

    for says in
        [&[Say::GoAway(1, NO_ERROR)][..], &[Say::GoAway(1, NO_ERROR), Say::Close], &[Say::Close]]
    {
        let (config, acceptor) = support::tls::both(&[b"h2"]);
        let server = server(End::Close, move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let mut peer = Peer::accept(stream, 65_535).await.unwrap();
                let stream = peer.request(true).await.unwrap();
                peer.say(Say::Ok, stream).await.unwrap();
                for say in says {
                    peer.say(*say, stream).await.unwrap();
                }
                if !says.contains(&Say::Close) {
                    std::mem::forget(peer);
                }
            }
        });
        server.fetch(says, "https", support::here().tls_config(config));
    }
}
