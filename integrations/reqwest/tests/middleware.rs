//! reqwest as it is, with the middleware, against a server of hyper with the server layer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jaeger_client::encoding::ValueView;
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, SpanId, TraceFutureExt, Tracer};
use jaeger_client_http::{ClientLayer, TraceLayer};
use jaeger_client_reqwest::{JaegerMiddleware, trace_connections};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tower_layer::Layer;

fn tracer() -> (Tracer, InMemoryReporter, Closer) {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = Tracer::builder("svc").in_memory(&reporter).build().unwrap();
    (tracer, reporter, closer)
}

struct Pair {
    client: ClientWithMiddleware,
    address: SocketAddr,
    tracer: Tracer,
    requested: InMemoryReporter,
    served: InMemoryReporter,
    _closers: [Closer; 2],
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(JaegerMiddleware::new).await
    }

    async fn start_with(middleware: impl FnOnce(Tracer) -> JaegerMiddleware) -> Self {
        let ((tracer, requested, first), (server, served, second)) = (tracer(), tracer());
        let address = serve(server).await;
        let client = trace_connections(reqwest::Client::builder()).no_proxy().build().unwrap();
        let client = ClientBuilder::new(client).with(middleware(tracer.clone())).build();
        Self { client, address, tracer, requested, served, _closers: [first, second] }
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }

    /// The span of the only request.
    fn span(&self) -> FinishedSpan {
        let mut spans = self.requested.spans();
        self.requested.reset();
        assert_eq!(spans.len(), 1);
        assert_eq!((self.tracer.stats().open, self.tracer.stats().misused), (0, 0));
        spans.remove(0)
    }
}

async fn serve(tracer: Tracer) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TraceLayer::new(tracer.clone()).layer(Responses);
            let service = TowerToHyperService::new(service);
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[derive(Clone)]
struct Responses;

impl tower_service::Service<http::Request<Incoming>> for Responses {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        Box::pin(async move {
            let response = http::Response::builder();
            Ok(match request.uri().path() {
                "/late" => std::future::pending().await,
                "/fail" => response.status(503).body(Full::from("no")).unwrap(),
                "/moved" => {
                    response.status(302).header("location", "/time").body(Full::default()).unwrap()
                }
                _ => response.body(Full::from("The time is now")).unwrap(),
            })
        })
    }
}

fn tag(span: &FinishedSpan, key: &str) -> String {
    span.view().tag(key).map(text).unwrap_or_default()
}

fn text(value: ValueView<'_>) -> String {
    match value {
        ValueView::Str(text) => String::from_utf8_lossy(text).into_owned(),
        ValueView::Long(number) => number.to_string(),
        ValueView::Bool(boolean) => boolean.to_string(),
        other => format!("{other:?}"),
    }
}

fn events(span: &FinishedSpan) -> Vec<String> {
    let view = span.view();
    view.logs().map(|log| text(log.fields().next().unwrap().value)).collect()
}

#[tokio::test]
async fn a_request_is_a_span_whose_context_goes_with_it_and_which_ends_with_the_body() {
    let pair = Pair::start().await;
    let url = pair.url("/time?token=abc");
    let response = pair.client.get(&url).header("x-own", "kept").send().await.unwrap();
    assert!(pair.requested.is_empty(), "not at the head");
    assert_eq!((response.url().as_str(), response.content_length()), (url.as_str(), Some(15)));
    assert!(response.remote_addr().is_some());
    assert_eq!(response.text().await.unwrap(), "The time is now");
    let span = pair.span();
    let keys = ["span.kind", "component", "http.method", "http.url", "http.status_code", "error"];
    let shown = pair.url("/time?token=REDACTED");
    assert_eq!(keys.map(|key| tag(&span, key)), ["client", "reqwest", "GET", &shown, "200", ""]);
    assert_eq!(span.view().operation_name(), "HTTP GET");
    let connected = ["DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "ClosedBody"];
    assert_eq!(events(&span), connected);
    let served = pair.served.spans().remove(0);
    let (requested, served) = (span.view(), served.view());
    assert_eq!((served.trace_id, served.parent_span_id), (requested.trace_id, requested.span_id));

    pair.client.get(&url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(events(&pair.span()), ["ClosedBody"], "over the same connection");
}

#[tokio::test]
async fn the_parent_is_what_the_request_was_given_or_the_active_span() {
    let pair = Pair::start().await;
    let url = pair.url("/time");
    let (active, given) = (pair.tracer.start_span("active"), pair.tracer.start_span("given"));
    let fetch = async |request: reqwest_middleware::RequestBuilder| {
        request.send().in_span(active.clone()).await.unwrap().bytes().await.unwrap();
        pair.requested.spans().last().unwrap().view().parent_span_id
    };
    let get = || pair.client.get(&url);
    assert_eq!(fetch(get()).await, active.context().span_id());
    assert_eq!(fetch(get().with_extension(given.clone())).await, given.context().span_id());
    assert_eq!(fetch(get().with_extension(given.context())).await, given.context().span_id());
    get().send().await.unwrap().bytes().await.unwrap();
    assert_eq!(pair.requested.spans().last().unwrap().view().parent_span_id, SpanId::NONE);
}

#[tokio::test]
async fn failures_and_requests_that_are_given_up_say_so_without_credentials() {
    let pair = Pair::start().await;
    pair.client.get(pair.url("/fail")).send().await.unwrap().bytes().await.unwrap();
    let span = pair.span();
    assert_eq!(["http.status_code", "error"].map(|key| tag(&span, key)), ["503", "true"]);

    let late = pair.client.get(pair.url("/late")).send();
    assert!(tokio::time::timeout(Duration::from_millis(50), late).await.is_err());
    let span = pair.span();
    assert_eq!(tag(&span, "error"), "true");
    assert_eq!(events(&span).last().unwrap(), "cancelled");

    // reqwest's own limit, which is kept.
    let late = pair.client.get(pair.url("/late")).timeout(Duration::from_millis(50));
    assert!(late.send().await.unwrap_err().is_timeout());
    assert_eq!(events(&pair.span()).last().unwrap(), "error");

    // No system gives this port to a program that asks for a free one.
    let refusing = "127.0.0.1:1";
    let url = format!("http://ann:pw@{refusing}/?token=abc");
    let error = pair.client.get(&url).send().await.unwrap_err();
    assert!(error.is_connect(), "the error is the client's own");
    let span = pair.span();
    assert_eq!(tag(&span, "http.url"), format!("http://{refusing}/?token=REDACTED"));
    let view = span.view();
    let logs: Vec<String> = view
        .logs()
        .flat_map(|log| log.fields().map(|field| text(field.value)).collect::<Vec<_>>())
        .collect();
    let all = logs.join("\n");
    assert!(all.contains("refused") && all.contains("token=REDACTED"), "{all}");
    assert!(!all.contains("abc") && !all.contains("pw"), "{all}");
}

#[tokio::test]
async fn redirects_are_a_part_of_the_span_and_carry_its_context() {
    let pair = Pair::start().await;
    let response = pair.client.get(pair.url("/moved")).send().await.unwrap();
    assert_eq!(response.url().path(), "/time");
    response.bytes().await.unwrap();
    let span = pair.span();
    assert_eq!(tag(&span, "http.status_code"), "200");
    let parents: Vec<_> =
        pair.served.spans().iter().map(|span| span.view().parent_span_id).collect();
    assert_eq!(parents, [span.view().span_id; 2]);
}

#[tokio::test]
async fn options_are_those_of_the_layer() {
    let pair = Pair::start_with(|tracer| {
        let layer = ClientLayer::new(tracer)
            .filter(|request| request.uri.path() != "/health")
            .operation_name(|_| "ask".into());
        JaegerMiddleware::with_layer(layer)
    })
    .await;
    pair.client.get(pair.url("/health")).send().await.unwrap().bytes().await.unwrap();
    assert!(pair.requested.is_empty());
    let request = pair.client.post(pair.url("/time")).body("question");
    request.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(pair.span().view().operation_name(), "ask");
}
