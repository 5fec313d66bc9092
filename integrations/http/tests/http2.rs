//! HTTP/2, which a server selects by ALPN: its events, and shared connections.
#![cfg(feature = "http2")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jaeger_client::{Closer, InMemoryReporter, TraceFutureExt, Tracer};
use jaeger_client_http::{HttpPool, RequestBody, TracedClient};
use tokio::net::TcpListener;

mod support;
use support::{events, eventually, hops, tag, tracer};

struct Run {
    client: TracedClient,
    tracer: Tracer,
    reporter: InMemoryReporter,
    url: String,
    accepted: Arc<AtomicUsize>,
    _closer: Closer,
}

async fn run() -> Run {
    let (config, acceptor) = support::tls::both(&[b"h2", b"http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/echo", listener.local_addr().unwrap().port());
    let accepted = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let echo = service_fn(|request: Request<Incoming>| async {
                let version = request.version();
                assert!(!request.headers().contains_key("host"));
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut response = Response::new(Full::new(body));
                *response.version_mut() = version;
                Ok::<_, Infallible>(response)
            });
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(stream, echo));
        }
    });
    let (tracer, reporter, closer) = tracer();
    let pool = HttpPool::builder().tls_config(config).build();
    let client = TracedClient::builder(tracer.clone()).pool(pool).build();
    Run { client, tracer, reporter, url, accepted, _closer: closer }
}

async fn echo(run: &Run, body: impl Into<RequestBody>) {
    let request = Request::post(&run.url).body(body.into()).unwrap();
    let response = run.client.request(request).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().read_to_end(99).await.unwrap(), "hello");
}

#[tokio::test]
async fn only_what_belongs_to_the_request_is_reported() {
    let run = run().await;
    echo(&run, "hello").await;
    echo(&run, RequestBody::stream(Full::<bytes::Bytes>::from("hello"))).await;
    let hops = hops(&run.reporter);
    let mut first = events(&hops[0].view());
    // How many addresses `localhost` has is the system's affair.
    first.retain(|event| !event.starts_with("Connect"));
    let dialed = ["DNSStart", "DNSDone", "TLSHandshakeStart", "TLSHandshakeDone"];
    assert_eq!(first, [&["GetConn"], &dialed[..], &["GotConn", "ClosedBody"]].concat());
    assert_eq!(events(&hops[1].view()), ["GetConn", "GotConn", "ClosedBody"]);
    assert_eq!(tag(&hops[1].view(), "net/http.reused").unwrap(), "true");
    assert_eq!(tag(&hops[1].view(), "net/http.was_idle").unwrap(), "true");
    assert_eq!(tag(&hops[1].view(), "http.status_code").unwrap(), "200");
}

#[tokio::test]
async fn requests_share_a_connection() {
    let run = run().await;
    echo(&run, "hello").await;
    let all = (0..8).map(|_| Box::pin(echo(&run, "hello")));
    let mut all: Vec<_> = all.collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(run.accepted.load(Ordering::SeqCst), 1);
    let idle = |hop: &&jaeger_client::FinishedSpan| {
        tag(&hop.view(), "net/http.was_idle").unwrap() == "true"
    };
    let hops = hops(&run.reporter);
    assert_eq!(hops.iter().filter(idle).count(), 1, "the other seven came while it was in use");
}

#[tokio::test]
async fn a_body_that_is_dropped_ends_its_stream_and_no_other() {
    let run = run().await;
    echo(&run, "hello").await;
    let request = Request::post(&run.url).body("hello").unwrap();
    drop(run.client.request(request).send().await.unwrap());
    eventually("both are finished", || hops(&run.reporter).len() == 2).await;
    echo(&run, "hello").await;
    assert_eq!(run.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_connection_leaves_running_holds_no_span() {
    let run = run().await;
    let around = run.tracer.start_span("around");
    echo(&run, "hello").in_span(around).await;
    // The connection is still open, and the task that drives it was begun within the span.
    assert_eq!(run.tracer.stats().open, 0);
    echo(&run, "hello").await;
    assert_eq!(run.accepted.load(Ordering::SeqCst), 1);
}
