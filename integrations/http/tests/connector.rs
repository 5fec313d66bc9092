//! What a client of hyper-util tells of its connections, with connectors and resolvers that are traced.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use jaeger_client::{FinishedSpan, InMemoryReporter, Tracer};
use jaeger_client_http::{ClientLayer, ClientService, TracedConnector, TracedResolver};
use tower_layer::Layer;
use tower_service::Service;

mod support;
use support::{Server, events, eventually, tracer};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Finds these addresses, whatever the name is; or nothing.
#[derive(Clone)]
struct Found(&'static [[u8; 4]]);

impl Service<Name> for Found {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Boxed<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _name: Name) -> Self::Future {
        let address = |address: &[u8; 4]| (IpAddr::V4(Ipv4Addr::from(*address)), 0).into();
        let found: Vec<SocketAddr> = self.0.iter().map(address).collect();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if found.is_empty() {
                Err(io::Error::other("no such host"))
            } else {
                Ok(found.into_iter())
            }
        })
    }
}

fn traced<C>(connector: C, tracer: &Tracer) -> ClientService<Client<C, Empty<Bytes>>>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build(connector);
    ClientLayer::new(tracer.clone()).layer(client)
}

async fn fetch<C>(client: &mut ClientService<Client<C, Empty<Bytes>>>, url: &str) -> bool
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let request = Request::get(url).body(Empty::new()).unwrap();
    let Ok(response) = client.call(request).await else { return false };
    response.into_body().collect().await.is_ok()
}

/// Returns the events in the logs of the spans so far, in the order of their ends.
fn logged(spans: &InMemoryReporter) -> Vec<Vec<String>> {
    let logged = spans.spans().iter().map(|span| events(&span.view())).collect();
    spans.reset();
    logged
}

/// The addresses in the logs of a span.
fn addresses(span: &FinishedSpan) -> Vec<String> {
    let view = span.view();
    let fields = view.logs().flat_map(|log| log.fields().collect::<Vec<_>>()).collect::<Vec<_>>();
    let addresses = fields.iter().filter(|field| field.key == b"addr");
    addresses.map(|field| support::text(field.value)).collect()
}

#[tokio::test]
async fn a_request_that_dials_says_so_and_one_that_does_not_says_nothing() {
    let (tracer, spans, _closer) = tracer();
    let server = Server::start().await;
    let resolver = TracedResolver::new(Found(&[[127, 0, 0, 1]]));
    let connector = TracedConnector::new(HttpConnector::new_with_resolver(resolver));
    let mut client = traced(connector, &tracer);
    let url = format!("http://shop.example:{}/time", server.port());
    assert!(fetch(&mut client, &url).await);
    let dialed = server.address.to_string();
    let found = addresses(&spans.spans()[0]);
    assert_eq!(found, ["127.0.0.1", &dialed, &dialed]);
    assert!(fetch(&mut client, &url).await);
    let connected = ["DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "ClosedBody"];
    assert_eq!(logged(&spans), [&connected[..], &["ClosedBody"]]);
}

#[tokio::test]
async fn a_host_that_is_an_address_is_not_resolved_and_of_several_none_is_named() {
    let (tracer, spans, _closer) = tracer();
    let server = Server::start().await;
    let resolver = TracedResolver::new(Found(&[[127, 0, 0, 1], [127, 0, 0, 2]]));
    let connector = TracedConnector::new(HttpConnector::new_with_resolver(resolver));
    let mut client = traced(connector, &tracer);
    assert!(fetch(&mut client, &format!("http://{}/time", server.address)).await);
    let dialed = server.address.to_string();
    assert_eq!(addresses(&spans.spans()[0]), [dialed.clone(), dialed]);
    assert_eq!(logged(&spans), [["ConnectStart", "ConnectDone", "ClosedBody"]]);

    assert!(fetch(&mut client, &format!("http://shop.example:{}/time", server.port())).await);
    assert_eq!(addresses(&spans.spans()[0]), ["127.0.0.1", "127.0.0.2"], "those that were found");
    // A resolver that is not traced is a part of the connection.
    spans.reset();
    let connector = HttpConnector::new_with_resolver(Found(&[[127, 0, 0, 1]]));
    let mut client = traced(TracedConnector::new(connector), &tracer);
    assert!(fetch(&mut client, &format!("http://shop.example:{}/time", server.port())).await);
    assert_eq!(logged(&spans), [["ConnectStart", "ConnectDone", "ClosedBody"]]);
    // A connector that is not traced gets no events.
    let resolver = TracedResolver::new(Found(&[[127, 0, 0, 1]]));
    let mut client = traced(HttpConnector::new_with_resolver(resolver), &tracer);
    assert!(fetch(&mut client, &format!("http://shop.example:{}/time", server.port())).await);
    assert_eq!(logged(&spans), [["DNSStart", "DNSDone", "ClosedBody"]]);
}

#[tokio::test]
async fn failures_are_logged_and_phases_that_did_not_begin_are_not() {
    let (tracer, spans, _closer) = tracer();
    let connector = |found| {
        let resolver = TracedResolver::new(Found(found));
        TracedConnector::new(HttpConnector::new_with_resolver(resolver))
    };
    assert!(!fetch(&mut traced(connector(&[]), &tracer), "http://shop.example/").await);
    assert_eq!(logged(&spans), [["DNSStart", "DNSDone", "error"]]);

    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://shop.example:{}/", refusing.port());
    assert!(!fetch(&mut traced(connector(&[[127, 0, 0, 1]]), &tracer), &url).await);
    let span = spans.spans().remove(0);
    let view = span.view();
    let done = view.logs().nth(3).unwrap();
    let error = done.fields().find(|field| field.key == b"error.object").unwrap();
    assert!(support::text(error.value).contains("refused"), "{}", support::text(error.value));
    assert_eq!(logged(&spans), [["DNSStart", "DNSDone", "ConnectStart", "ConnectDone!", "error"]]);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn the_handshake_of_hyper_rustls_is_distinguished_from_the_connection() {
    let (tracer, spans, _closer) = tracer();
    let (trusting, server) = support::tls::server(&[]).await;
    let (other, _) = support::tls::both(&[]);
    let plain = Server::start().await;
    let connector = |config: &Arc<jaeger_client_http::rustls::ClientConfig>| {
        let resolver = TracedResolver::new(Found(&[[127, 0, 0, 1]]));
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config((**config).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(TracedConnector::new(http));
        jaeger_client_http::TracedTlsConnector::new(https)
    };
    let url = format!("https://localhost:{}/time", server.port());
    let mut client = traced(connector(&trusting), &tracer);
    assert!(fetch(&mut client, &url).await);
    let dialed = ["DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "TLSHandshakeStart"];
    let done = [&dialed[..], &["TLSHandshakeDone", "ClosedBody"]].concat();
    assert_eq!(logged(&spans), [done]);
    // The same connector without TLS.
    assert!(fetch(&mut client, &plain.url("/time")).await);
    assert_eq!(logged(&spans), [[&dialed[..4], &["ClosedBody"]].concat()]);
    // A certificate that is not trusted.
    assert!(!fetch(&mut traced(connector(&other), &tracer), &url).await);
    assert_eq!(logged(&spans), [[&dialed[..], &["TLSHandshakeDone!", "error"]].concat()]);
}

/// Connects at once the first time, and later when it may.
#[derive(Clone)]
struct Slow {
    inner: HttpConnector,
    calls: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    leave: Arc<tokio::sync::Semaphore>,
}

impl Service<Uri> for Slow {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Boxed<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connection = self.inner.call(target);
        let is_first = self.calls.fetch_add(1, Ordering::SeqCst) == 0;
        let (leave, done) = (Arc::clone(&self.leave), Arc::clone(&self.done));
        Box::pin(async move {
            if !is_first {
                leave.acquire().await.unwrap().forget();
            }
            let connection = connection.await;
            done.fetch_add(1, Ordering::SeqCst);
            connection
        })
    }
}

#[tokio::test]
async fn a_dial_that_outlives_its_request_is_not_logged() {
    let (tracer, spans, _closer) = tracer();
    let server = Server::start().await;
    let slow = Slow {
        inner: HttpConnector::new(),
        calls: Arc::default(),
        done: Arc::default(),
        leave: Arc::new(tokio::sync::Semaphore::new(0)),
    };
    let client = traced(TracedConnector::new(slow.clone()), &tracer);
    let url = |path: &str| format!("http://{}{path}", server.address);
    // Its connection is taken as long as its body is not read.
    let request = Request::get(url("/large")).body(Empty::new()).unwrap();
    let first = client.clone().call(request).await.unwrap();
    let mut second = client.clone();
    let requested = tokio::spawn({
        let (mut client, url) = (client.clone(), url("/time"));
        async move { fetch(&mut client, &url).await }
    });
    eventually("the second dials", || slow.calls.load(Ordering::SeqCst) == 2).await;
    // It gets the connection of the first, which is free before.
    first.into_body().collect().await.unwrap();
    assert!(requested.await.unwrap());
    let ends = logged(&spans);
    assert_eq!(
        ends,
        [&["ConnectStart", "ConnectDone", "ClosedBody"][..], &["ConnectStart", "ClosedBody"]]
    );

    slow.leave.add_permits(1);
    eventually("the dial is done", || slow.done.load(Ordering::SeqCst) == 2).await;
    assert!(fetch(&mut second, &url("/time")).await);
    assert_eq!(logged(&spans), [["ClosedBody"]], "not logged by the next request");
    assert_eq!(tracer.stats().misused, 0);

    // Given up while it connects.
    let (_full, port) = support::full_port().await;
    let mut client = traced(TracedConnector::new(HttpConnector::new()), &tracer);
    let url = format!("http://127.0.0.1:{port}/");
    let requested = tokio::time::timeout(Duration::from_secs(1), fetch(&mut client, &url)).await;
    assert!(requested.is_err());
    assert_eq!(logged(&spans), [["ConnectStart", "cancelled"]]);
    assert_eq!((tracer.stats().open, tracer.stats().misused), (0, 0));
}

#[tokio::test]
async fn without_a_traced_request_nothing_is_logged_and_all_works() {
    let (tracer, spans, _closer) = tracer();
    let server = Server::start().await;
    let resolver = TracedResolver::new(Found(&[[127, 0, 0, 1]]));
    let connector = TracedConnector::new(HttpConnector::new_with_resolver(resolver));
    let mut client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let request = Request::get(server.url("/time")).body(Empty::new()).unwrap();
    let active = tracer.start_span("of somebody else");
    let requested = async { client.call(request).await };
    let response = jaeger_client::TraceFutureExt::in_span(requested, active).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(logged(&spans), [[""; 0]]);
}
