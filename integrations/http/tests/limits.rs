//! The limits of a pool: times, heads, and connections at once.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use jaeger_client_http::{
    Error, HttpPool, HttpPoolBuilder, NoTrace, Phase, RequestBody, ResponseBody,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod support;
use support::{Server, eventually, here};

async fn send(
    pool: &HttpPool,
    url: &str,
    body: RequestBody,
) -> Result<Response<ResponseBody>, Error> {
    pool.round_trip(Request::post(url).body(body).unwrap(), Arc::new(NoTrace)).await
}

async fn read(pool: &HttpPool, url: &str) -> Result<Bytes, Error> {
    send(pool, url, "".into()).await?.into_body().read_to_end(1 << 20).await
}

/// A body of so many parts, one each 100 ms.
struct Slow(usize, Option<Pin<Box<tokio::time::Sleep>>>);

impl Body for Slow {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        let pause = || Box::pin(tokio::time::sleep(Duration::from_millis(100)));
        std::task::ready!(self.1.get_or_insert_with(pause).as_mut().poll(cx));
        self.1 = None;
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data("part".into()))))
    }
}

fn slow() -> RequestBody {
    RequestBody::stream(Slow(PARTS, None))
}

/// How many parts the upload has.
const PARTS: usize = 40;

/// Shorter than the upload, and much longer than the response takes after it.
const LIMIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn the_time_for_the_head_of_a_response_begins_when_the_request_is_written() {
    let server = Server::start().await;
    let pool = here().response_header_timeout(LIMIT).build();
    let response = send(&pool, &server.url("/time"), slow()).await.unwrap();
    assert_eq!(response.into_body().read_to_end(99).await.unwrap(), "The time is now");
    assert_eq!(server.seen.lock()[0].3.len(), PARTS * 4);
    // Then it counts, with a body and without.
    let pool = here().response_header_timeout(Duration::from_millis(100)).build();
    for body in ["hello", ""] {
        let error = send(&pool, &server.url("/late"), body.into()).await.unwrap_err();
        let late = matches!(error, Error::TimedOut { phase: Phase::Headers, limit } if limit.as_millis() == 100);
        assert!(late, "{error:?}");
    }
}

/// Answers every request with this.
async fn server_with(with: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let with = with.clone();
            tokio::spawn(async move {
                let mut some = [0; 4096];
                while stream.read(&mut some).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(with.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn head(headers: usize, length: usize) -> String {
    let value = "x".repeat(length);
    let headers: String = (0..headers).map(|number| format!("h-{number}: {value}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{headers}\r\nok")
}

#[tokio::test]
async fn the_head_of_a_response_may_be_as_large_as_it_is_allowed_to_be() {
    let pool = HttpPool::builder;
    let wide = || pool().http1_max_headers(400);
    let long = || pool().max_response_header_bytes(1 << 20);
    let allowed: [(usize, usize, HttpPoolBuilder, bool); 8] = [
        (90, 10, pool(), true),
        (300, 10, pool(), false),
        (300, 10, wide(), true),
        (500, 10, wide(), false),
        (60, 1000, pool(), true),
        (90, 6000, pool(), false),
        (90, 6000, long(), true),
        (60, 1000, pool().max_response_header_bytes(10_000), false),
    ];
    for (headers, length, pool, allowed) in allowed {
        let url = server_with(head(headers, length)).await;
        let response = read(&pool.build(), &url).await;
        assert_eq!(response.is_ok(), allowed, "{headers} of {length}: {response:?}");
    }
}

#[tokio::test]
async fn connections_to_a_host_are_as_many_as_there_may_be_at_once() {
    let server = Server::start().await;
    let other = Server::start().await;
    let pool = here().max_conns_per_host(2).build();
    let url = server.url("/peer");
    let reads = || (0..10).map(|_| Box::pin(read(&pool, &url)));
    for response in all(reads().collect()).await {
        response.unwrap();
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
    // Two that are in use leave no place to a third, whose wait can be given up.
    let held =
        [send(&pool, &url, "".into()).await.unwrap(), send(&pool, &url, "".into()).await.unwrap()];
    let third = tokio::time::timeout(Duration::from_millis(50), read(&pool, &url));
    assert!(third.await.is_err());
    read(&pool, &other.url("/time")).await.unwrap();
    // A body that is dropped early takes its connection with it, and its place is free.
    drop(held);
    read(&pool, &url).await.unwrap();
    // So is the place of one that the server closes.
    server.close_all();
    eventually("it is closed", || {
        server.closed.load(Ordering::SeqCst) == server.accepted.load(Ordering::SeqCst)
    })
    .await;
    for response in all(reads().collect()).await {
        response.unwrap();
    }
}

/// Runs them at once.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs = Vec::new();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|one| match Pin::new(one).poll(cx) {
            Poll::Ready(output) => {
                outputs.push(output);
                false
            }
            Poll::Pending => true,
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs
}

#[cfg(feature = "http2")]
mod http2 {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use super::*;
    use crate::support::frames::{Say, Script};
    use jaeger_client_http::TracedClient;

    /// A server that responds with a head of 60 KB, once it has the body.
    async fn server() -> (HttpPoolBuilder, String, Arc<AtomicUsize>) {
        let (config, acceptor) = support::tls::both(&[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let accepted = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                let response = service_fn(|request: Request<Incoming>| async {
                    let _body = request.into_body().collect().await;
                    let large = "x".repeat(60_000);
                    let response = Response::builder().header("large", large);
                    Ok::<_, Infallible>(response.body(Full::<Bytes>::from("ok")).unwrap())
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(stream, response));
            }
        });
        (HttpPool::builder().tls_config(config), url, accepted)
    }

    #[tokio::test]
    async fn the_time_for_the_head_of_a_response_begins_when_the_request_is_written() {
        let (pool, url, _) = server().await;
        send(&pool.response_header_timeout(LIMIT).build(), &url, slow()).await.unwrap();
        let script = Script::start(&[&[Say::Nothing]], true, 65_535).await;
        let pool = HttpPool::builder().tls_config(script.config.clone());
        let pool = pool.response_header_timeout(Duration::from_millis(100)).build();
        for body in ["hello", ""] {
            let error = send(&pool, &script.url, body.into()).await.unwrap_err();
            assert!(matches!(error, Error::TimedOut { phase: Phase::Headers, .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn the_head_of_a_response_may_be_as_large_as_it_is_allowed_to_be() {
        let (pool, url, _) = server().await;
        assert_eq!(read(&pool.build(), &url).await.unwrap(), "ok");
        let (pool, url, _) = server().await;
        read(&pool.max_response_header_bytes(10_000).build(), &url).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_connection_without_a_response_to_a_ping_is_closed() {
        let script = Script::start(&[&[Say::Nothing]], true, 65_535).await;
        let pool = HttpPool::builder().tls_config(script.config.clone());
        let pool = pool.http2_keep_alive_interval(Duration::from_millis(50));
        let pool = pool.http2_keep_alive_timeout(Duration::from_millis(50)).build();
        let error = send(&pool, &script.url, "hello".into()).await.unwrap_err();
        assert!(matches!(error, Error::Exchange { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_that_another_makes_waits_no_longer_than_it_may() {
        use crate::support::frames::{NO_ERROR, Peer};

        let (config, acceptor) = support::tls::both(&[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        // One request is answered. Then nobody shakes hands any more.
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let mut peer = Peer::accept(stream, 65_535).await.unwrap();
            let id = peer.request(true).await.unwrap();
            for say in [Say::GoAway(id, NO_ERROR), Say::Ok, Say::Close] {
                peer.say(say, id).await.unwrap();
            }
            (listener.accept().await.unwrap(), listener)
        });
        let pool = HttpPool::builder().tls_config(config).build();
        let client = TracedClient::builder(support::tracer().0).pool(pool).build();
        client.get(&url).await.unwrap();
        let other = client.clone();
        let (first, port) = (client.get(&url), url.clone());
        let mut first = Box::pin(first);
        let _shakes = tokio::select! {
            biased;
            response = first.as_mut() => unreachable!("{response:?}"),
            taken = server => taken.unwrap(),
        };
        let request = Request::get(port).body(()).unwrap();
        let second = other.request(request).timeout(Duration::from_millis(100)).send();
        let error =
            tokio::time::timeout(Duration::from_secs(60), second).await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn requests_that_wait_for_a_place_share_the_connection_that_is_made() {
        let (pool, url, accepted) = server().await;
        let pool = pool.max_conns_per_host(1).build();
        for response in all((0..8).map(|_| Box::pin(read(&pool, &url))).collect()).await {
            response.unwrap();
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    }
}
