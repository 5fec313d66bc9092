//! The client layer, over the client of hyper-util as it is; tonic's channel is in `grpc.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, SpanId, TraceFutureExt, Tracer};
use jaeger_client_http::{
    ClientLayer, ClientService, SemanticConventions, TagNames, TraceLayer, TracedBody,
};
use tower_layer::Layer;
use tower_service::Service;

mod support;
use support::{Server, events, tag, tracer};

type Body = Empty<Bytes>;

struct Traced {
    server: Server,
    client: ClientService<Client<HttpConnector, Body>>,
    tracer: Tracer,
    reporter: InMemoryReporter,
    _closer: Closer,
}

impl Traced {
    async fn start() -> Self {
        Self::start_with(|layer| layer).await
    }

    async fn start_with(options: impl FnOnce(ClientLayer) -> ClientLayer) -> Self {
        let (tracer, reporter, closer) = tracer();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let client = options(ClientLayer::new(tracer.clone())).layer(client);
        Self { server: Server::start().await, client, tracer, reporter, _closer: closer }
    }

    async fn fetch(
        &mut self,
        method: Method,
        path: &str,
    ) -> Option<Response<TracedBody<Incoming>>> {
        let url = self.server.url(path);
        let request = Request::builder().method(method).uri(url).body(Body::new()).unwrap();
        self.client.call(request).await.ok()
    }

    fn span(&self) -> FinishedSpan {
        let mut spans = self.reporter.spans();
        self.reporter.reset();
        assert_eq!(spans.len(), 1);
        assert_eq!((self.tracer.stats().open, self.tracer.stats().misused), (0, 0));
        spans.remove(0)
    }
}

fn tags(span: &FinishedSpan, keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| tag(&span.view(), key).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_request_is_a_span_whose_context_goes_with_it_and_which_ends_with_the_body() {
    let mut traced = Traced::start().await;
    let response = traced.fetch(Method::GET, "/stream?token=abc").await.unwrap();
    assert!(traced.reporter.is_empty(), "not at the head");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "piecepiecepiece");
    let span = traced.span();
    let view = span.view();
    assert_eq!((view.operation_name().as_ref(), view.parent_span_id), ("HTTP GET", SpanId::NONE));
    let keys: Vec<_> =
        view.tags().map(|tag| String::from_utf8_lossy(tag.key).into_owned()).collect();
    let expected =
        ["span.kind", "component", "http.method", "http.url", "peer.address", "http.status_code"];
    assert_eq!(keys[keys.len() - expected.len()..], expected, "as TracedClient has them");
    let url = traced.server.url("/stream?token=REDACTED");
    let peer = format!("localhost:{}", traced.server.port());
    let values = ["client", "net/http", "GET", &url, &peer, "200"];
    assert_eq!(tags(&span, &expected), values);
    assert_eq!(events(&view), ["ClosedBody"]);
    let (_, _, headers, _) = traced.server.seen.lock().remove(0);
    let sent = headers["uber-trace-id"].to_str().unwrap().to_owned();
    assert!(sent.starts_with(&format!("{}:{}:", view.trace_id, view.span_id)), "{sent}");
}

#[tokio::test]
async fn statuses_and_ends_are_those_of_the_own_client() {
    let mut traced = Traced::start().await;
    for (method, path, read, expected, reported) in [
        (Method::GET, "/time", true, ["200", ""], &["ClosedBody"][..]),
        (Method::GET, "/time", false, ["200", ""], &["ClosedBody"]),
        (Method::GET, "/nothing", false, ["204", ""], &["ClosedBody"]),
        (Method::HEAD, "/time", false, ["200", ""], &[]),
        (Method::GET, "/who", true, ["404", ""], &["ClosedBody"]),
        (Method::GET, "/fail", true, ["503", "true"], &["ClosedBody"]),
        (Method::GET, "/panic", false, ["", "true"], &["error"]),
    ] {
        let response = traced.fetch(method.clone(), path).await;
        if let Some(response) = response.filter(|_| read) {
            response.into_body().collect().await.unwrap();
        }
        let span = traced.span();
        assert_eq!(tags(&span, &["http.status_code", "error"]), expected, "{method} {path}");
        assert_eq!(events(&span.view()), reported, "{method} {path}");
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_was_cancelled_only_if_something_was_waited_for() {
    let mut traced = Traced::start().await;
    let limit = Duration::from_millis(50);
    assert!(tokio::time::timeout(limit, traced.fetch(Method::GET, "/late")).await.is_err());
    let span = traced.span();
    assert_eq!(tags(&span, &["http.status_code", "error"]), ["", "true"]);
    assert_eq!(events(&span.view()), ["cancelled"]);

    let mut body = traced.fetch(Method::GET, "/half").await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert!(tokio::time::timeout(limit, body.frame()).await.is_err());
    drop(body);
    let span = traced.span();
    assert_eq!(tags(&span, &["http.status_code", "error"]), ["200", "true"]);
    assert_eq!(events(&span.view()), ["cancelled"]);

    let mut body = traced.fetch(Method::GET, "/half").await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let span = traced.span();
    assert_eq!(tags(&span, &["error"]), [""]);
    assert_eq!(events(&span.view()), ["ClosedBody"]);
}

#[tokio::test]
async fn the_parent_is_what_the_request_was_given_or_the_active_span() {
    let mut traced = Traced::start().await;
    let (active, given) = (traced.tracer.start_span("active"), traced.tracer.start_span("given"));
    let url = traced.server.url("/time");
    let request = || Request::get(&url).body(Body::new()).unwrap();
    let mut requests = [request(), request(), request(), request()];
    requests[1].extensions_mut().insert(given.clone());
    requests[2].extensions_mut().insert(given.context());
    let [first, second, third, last] = requests;
    for request in [first, second, third] {
        // What is dropped without being read has its span end as well.
        let requested = async { traced.client.call(request).await };
        drop(requested.in_span(active.clone()).await.unwrap());
    }
    drop(traced.client.call(last).await.unwrap());
    let parents: Vec<_> =
        traced.reporter.spans().iter().map(|span| span.view().parent_span_id).collect();
    let [active, given] = [active, given].map(|span| span.context().span_id());
    assert_eq!(parents, [active, given, given, SpanId::NONE]);
}

#[tokio::test]
async fn options_leave_out_name_show_and_inject_nothing() {
    let mut traced = Traced::start_with(|layer| {
        layer
            .filter(|request| request.uri.path() != "/again")
            .operation_name(|request| format!("ask {}", request.uri.path()))
            .component_name("ours")
            .url_tag(|url| url.path().to_owned())
            .span_observer(|span, _| {
                span.set_tag("peer.service", "clock");
            })
            .inject_span_context(false)
    })
    .await;
    drop(traced.fetch(Method::GET, "/again").await.unwrap());
    assert!(traced.reporter.is_empty());
    drop(traced.fetch(Method::GET, "/time?now").await.unwrap());
    let span = traced.span();
    assert_eq!(span.view().operation_name(), "ask /time");
    let keys = ["component", "http.url", "peer.service"];
    assert_eq!(tags(&span, &keys), ["ours", "/time", "clock"]);
    let seen = traced.server.seen.lock();
    assert!(seen.iter().all(|(_, _, headers, _)| !headers.contains_key("uber-trace-id")));
}

#[tokio::test]
async fn names_of_opentelemetry_are_those_of_its_stable_conventions() {
    let jaegers = ["http.method", "http.url", "http.status_code", "peer.address", "component"];
    let keys = [
        "http.request.method",
        "http.request.method_original",
        "server.address",
        "network.protocol.version",
        "http.response.status_code",
        "error.type",
        "error",
    ];
    for names in [TagNames::OpenTelemetry, TagNames::Both] {
        let conventions = SemanticConventions::default().http(names);
        let mut traced = Traced::start_with(|layer| layer.semantic_conventions(conventions)).await;
        let made_up = Method::from_bytes(b"XyZ123").unwrap();
        for (method, values) in [
            (Method::GET, ["GET", "", "localhost", "1.1", "404", "404", "true"]),
            (made_up, ["_OTHER", "XyZ123", "localhost", "1.1", "404", "404", "true"]),
        ] {
            drop(traced.fetch(method, "/who").await.unwrap());
            let span = traced.span();
            assert_eq!(tags(&span, &keys), values);
            assert_eq!(tags(&span, &["url.full"]), [traced.server.url("/who")]);
            assert_eq!(tags(&span, &["server.port"]), [traced.server.port().to_string()]);
            let both = names == TagNames::Both;
            for key in jaegers {
                assert_eq!(tag(&span.view(), key).is_some(), both, "{key}");
            }
            let known = values[0] == "GET";
            let name = ["HTTP", "HTTP GET", "GET"][usize::from(known) * if both { 1 } else { 2 }];
            assert_eq!(span.view().operation_name(), name);
        }
    }
}

#[tokio::test]
async fn a_server_has_names_of_opentelemetry_too() {
    let (tracer, reporter, _closer) = tracer();
    let keys = [
        "http.request.method",
        "url.path",
        "url.query",
        "server.address",
        "server.port",
        "network.protocol.version",
        "user_agent.original",
        "http.response.status_code",
        "http.response.body.size",
    ];
    for names in [TagNames::OpenTelemetry, TagNames::Both] {
        let conventions = SemanticConventions::default().http(names);
        let layer = TraceLayer::new(tracer.clone()).semantic_conventions(conventions);
        let mut service = layer.layer(Hello);
        let request = Request::get("/orders?token=abc&page=2")
            .header("host", "shop.example:8080")
            .header("user-agent", "curl/8")
            .body(Body::new())
            .unwrap();
        service.call(request).await.unwrap().into_body().collect().await.unwrap();
        let span = reporter.spans().remove(0);
        reporter.reset();
        let query = "token=REDACTED&page=2";
        let values = ["GET", "/orders", query, "shop.example", "8080", "1.1", "curl/8", "200", "5"];
        assert_eq!(tags(&span, &keys), values);
        let both = names == TagNames::Both;
        for key in ["http.method", "http.url", "http.status_code", "http.response_size"] {
            assert_eq!(tag(&span.view(), key).is_some(), both, "{key}");
        }
        assert_eq!(span.view().operation_name(), if both { "HTTP GET" } else { "GET" });
    }
}

#[tokio::test]
async fn the_scheme_is_what_the_request_says_or_the_server_or_a_trusted_proxy() {
    let (tracer, reporter, _closer) = tracer();
    let conventions = SemanticConventions::default().http(TagNames::OpenTelemetry);
    let plain = TraceLayer::new(tracer).semantic_conventions(conventions);
    let (https, trusting) = (plain.clone().https(true), plain.clone().trust_forwarded(true));
    let both = https.clone().trust_forwarded(true);
    let forwarded = ("forwarded", "for=192.0.2.60;proto=https, proto=http");
    let legacy = ("x-forwarded-proto", "http");
    let host = ("host", "shop.example");
    for (layer, url, headers, expected) in [
        (&plain, "/orders", vec![host], ["http", "80"]),
        (&https, "/orders", vec![host], ["https", "443"]),
        (&https, "http://shop.example/orders", vec![], ["http", "80"]),
        (&plain, "/orders", vec![host, forwarded], ["http", "80"]),
        (&trusting, "/orders", vec![host, forwarded, legacy], ["https", "443"]),
        (&trusting, "http://shop.example/", vec![forwarded], ["https", "443"]),
        (&both, "/orders", vec![host, legacy], ["http", "80"]),
        (&both, "/orders", vec![host], ["https", "443"]),
    ] {
        let mut request = Request::get(url);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::new()).unwrap();
        drop(layer.layer(Hello).call(request).await.unwrap());
        let span = reporter.take().remove(0);
        assert_eq!(tags(&span, &["url.scheme", "server.port"]), expected, "{url} {headers:?}");
    }
}

/// A service that says hello.
#[derive(Clone)]
struct Hello;

impl Service<Request<Body>> for Hello {
    type Response = Response<http_body_util::Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::new("hello".into())))
    }
}
