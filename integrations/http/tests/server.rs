//! The server layer, over hyper as it is; axum and tonic are in `demos/recipes`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::convert::Infallible;
use std::future::Ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jaeger_client::{InMemoryReporter, Span, SpanId, Tracer};
use jaeger_client_http::{HttpPool, NoTrace, TraceLayer, TracedClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

mod support;
use support::{eventually, tag, tracer};

type TestResponse = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Handles requests as their path says.
#[derive(Clone)]
struct App {
    tracer: Tracer,
}

impl Service<Request<Incoming>> for App {
    type Response = TestResponse;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<TestResponse, &'static str>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        assert_ne!(request.uri().path(), "/panic-at-once", "as asked");
        let tracer = self.tracer.clone();
        Box::pin(handle(request, tracer))
    }
}

async fn handle(
    mut request: Request<Incoming>,
    tracer: Tracer,
) -> Result<TestResponse, &'static str> {
    let mut response = Response::new(Full::from("The time is now").boxed_unsync());
    tokio::task::yield_now().await;
    match request.uri().path() {
        "/fail" => *response.status_mut() = StatusCode::BAD_GATEWAY,
        "/nothing" => *response.body_mut() = Full::from("").boxed_unsync(),
        "/panic" => panic!("as asked"),
        "/error" => return Err("as asked"),
        "/late" => std::future::pending().await,
        "/stream" => *response.body_mut() = Work { tracer, left: 3, end: End::Ends }.boxed_unsync(),
        "/half" => *response.body_mut() = Work { tracer, left: 1, end: End::Stalls }.boxed_unsync(),
        "/panic-in-body" => {
            *response.body_mut() = Work { tracer, left: 1, end: End::Panics }.boxed_unsync();
        }
        "/work" => drop(tracer.start_span("work")),
        "/upgrade" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 4];
                stream.read_exact(&mut word).await.unwrap();
                stream.write_all(&word).await.unwrap();
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let echo = header::HeaderValue::from_static("echo");
            response.headers_mut().insert(header::UPGRADE, echo);
            let upgrade = header::HeaderValue::from_static("upgrade");
            response.headers_mut().insert(header::CONNECTION, upgrade);
            *response.body_mut() = Full::from("").boxed_unsync();
        }
        _ => {}
    }
    Ok(response)
}

/// A body that makes a span for each of its frames.
struct Work {
    tracer: Tracer,
    left: usize,
    end: End,
}

/// What a body does after its last frame.
enum End {
    Ends,
    Stalls,
    Panics,
}

impl Body for Work {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return match self.end {
                End::Ends => Poll::Ready(None),
                End::Stalls => Poll::Pending,
                End::Panics => panic!("as asked"),
            };
        }
        self.left -= 1;
        drop(self.tracer.start_span("frame"));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
    }
}

struct Server {
    address: SocketAddr,
    reporter: InMemoryReporter,
    tracer: Tracer,
    _closer: jaeger_client::Closer,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(|layer| layer).await
    }

    async fn start_with(options: impl FnOnce(TraceLayer) -> TraceLayer) -> Self {
        let (tracer, reporter, closer) = tracer();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let layer = options(TraceLayer::new(tracer.clone()));
        let service = layer.layer(App { tracer: tracer.clone() });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self { address, reporter, tracer, _closer: closer }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks without a trace, and gives the status and the body.
    async fn fetch(&self, method: Method, path: &str) -> Option<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri(self.url(path)).body(()).unwrap();
        let response = HttpPool::new().round_trip(request, Arc::new(NoTrace)).await.ok()?;
        let status = response.status();
        Some((status, response.into_body().read_to_end(1 << 20).await.ok()?))
    }

    /// The tags of the last span, once there are so many.
    async fn tags(&self, spans: usize, keys: &[&str]) -> Vec<String> {
        eventually("the spans are finished", || self.reporter.len() == spans).await;
        let spans = self.reporter.spans();
        let span = spans.last().unwrap().view();
        keys.iter().map(|key| tag(&span, key).unwrap_or_default()).collect()
    }
}

const LATER: [&str; 3] = ["http.status_code", "http.response_size", "error"];

#[tokio::test]
async fn a_request_is_a_span_that_continues_the_callers_trace() {
    let server = Server::start().await;
    let (caller, reporter, _closer) = tracer();
    let url = server.url("/time?now");
    let response = TracedClient::new(caller).get(&url).await.unwrap();
    response.into_body().read_to_end(99).await.unwrap();
    let tags = ["span.kind", "http.method", "http.url", "component"];
    assert_eq!(server.tags(1, &tags).await, ["server", "GET", "/time?now", "net/http"]);
    assert_eq!(server.tags(1, &LATER).await, ["200", "15", ""]);
    let (served, requested) = (server.reporter.spans(), reporter.spans());
    let (served, requested) = (served[0].view(), requested[0].view());
    assert_eq!(served.operation_name(), "HTTP GET");
    assert_eq!((served.trace_id, served.parent_span_id), (requested.trace_id, requested.span_id));
    let keys: Vec<_> =
        served.tags().map(|tag| String::from_utf8_lossy(tag.key).into_owned()).collect();
    let order = [&tags[..], &LATER[..2]].concat();
    assert_eq!(keys, order);
}

#[tokio::test]
async fn statuses_sizes_and_failures_are_tagged_as_in_go() {
    let server = Server::start().await;
    let expected = [
        ("/time", Method::GET, ["200", "15", ""]),
        ("/stream", Method::GET, ["200", "15", ""]),
        ("/nothing", Method::GET, ["200", "", ""]),
        ("/time", Method::HEAD, ["200", "15", ""]),
        ("/fail", Method::GET, ["502", "15", "true"]),
        ("/panic", Method::GET, ["", "", "true"]),
        ("/panic-at-once", Method::GET, ["", "", "true"]),
        ("/error", Method::GET, ["", "", "true"]),
        ("/panic-in-body", Method::GET, ["200", "5", "true"]),
    ];
    for (path, method, tags) in expected {
        server.reporter.reset();
        let responded = server.fetch(method, path).await;
        assert_eq!(responded.is_some(), !path.contains("panic") && path != "/error", "{path}");
        let spans = match path {
            "/stream" => 4,
            "/panic-in-body" => 2,
            _ => 1,
        };
        assert_eq!(server.tags(spans, &LATER).await, tags, "{path}");
        // A handler that panics is dropped, too, but was not cancelled.
        let reported = events(server.reporter.spans().last().unwrap());
        let error: &[&str] = if path == "/error" { &["error"] } else { &[] };
        assert_eq!(reported, error, "{path}");
    }
    let stats = server.tracer.stats();
    assert_eq!((stats.open, stats.misused), (0, 0), "each was finished once");
}

#[tokio::test]
async fn a_method_that_somebody_makes_up_is_no_name_of_a_span() {
    // open-telemetry/opentelemetry-collector#14516
    let server = Server::start().await;
    for (count, (method, name)) in
        [("GET", "HTTP GET"), ("XyZ123", "HTTP"), ("AAAA0001", "HTTP")].into_iter().enumerate()
    {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        server.fetch(method.clone(), "/time").await.unwrap();
        assert_eq!(server.tags(count + 1, &["http.method"]).await, [method.as_str()]);
        let spans = server.reporter.spans();
        assert_eq!(spans.last().unwrap().view().operation_name(), name);
    }
}

/// Returns what the logs of a span are named.
fn events(span: &jaeger_client::FinishedSpan) -> Vec<String> {
    support::events(&span.view())
}

/// Long enough for a request to get to the server and for a part of its response, on a busy machine
/// too.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_request_whose_client_goes_away_is_a_span_that_says_so() {
    let server = Server::start().await;
    let requested = tokio::time::timeout(SHORT, server.fetch(Method::GET, "/late"));
    assert!(requested.await.is_err());
    assert_eq!(server.tags(1, &LATER).await, ["", "", "true"]);
    assert_eq!(events(&server.reporter.spans()[0]), ["cancelled"]);

    server.reporter.reset();
    let requested = tokio::time::timeout(SHORT, server.fetch(Method::GET, "/half"));
    assert!(requested.await.is_err());
    // A frame's own span is the first one.
    assert_eq!(server.tags(2, &LATER).await, ["200", "5", "true"]);
    assert_eq!(events(&server.reporter.spans()[1]), ["cancelled"]);
}

#[tokio::test]
async fn only_a_response_that_is_dropped_before_its_end_is_cancelled() {
    let plain = || Response::new(Some("piece"));
    let with = |name: &str, value: &str| {
        let mut response = plain();
        let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
        response
    };
    let status = |status: u16| {
        let mut response = plain();
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    let mut empty = plain();
    *empty.body_mut() = None;
    // How many frames are taken before the body is dropped, and whether that is too early.
    for (name, method, response, taken, cancelled) in [
        ("nothing is read", "GET", plain(), 0, true),
        ("there may be more", "GET", plain(), 1, true),
        ("the end is read", "GET", plain(), 2, false),
        ("the length is read", "GET", with("content-length", "5"), 1, false),
        ("more was promised", "GET", with("content-length", "6"), 1, true),
        ("trailers are read", "GET", with("x-trailers", "yes"), 2, false),
        ("a HEAD", "HEAD", plain(), 0, false),
        ("nothing to read", "GET", empty, 0, false),
        ("no content", "GET", status(204), 0, false),
        ("not modified", "GET", status(304), 0, false),
        ("another protocol", "GET", status(101), 0, false),
        ("a tunnel", "CONNECT", plain(), 0, false),
        ("a tunnel that is refused", "CONNECT", status(403), 0, true),
    ] {
        let (tracer, reporter, _closer) = tracer();
        let mut service = TraceLayer::new(tracer).layer(FixedResponse(response));
        let request = Request::builder().method(method).body(()).unwrap();
        let mut body = service.call(request).await.unwrap().into_body();
        for _ in 0..taken {
            body.frame().await;
        }
        drop(body);
        let span = &reporter.spans()[0];
        assert_eq!(tag(&span.view(), "error").is_some(), cancelled, "{name}");
        assert_eq!(!events(span).is_empty(), cancelled, "{name}");
    }
}

/// Answers with this, whose body says its end only when it is asked once more.
struct FixedResponse(Response<Option<&'static str>>);

struct Unsized(Option<&'static str>, bool);

impl Body for Unsized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.0.take() {
            Some(text) => Some(Frame::data(text.into())),
            None if std::mem::take(&mut self.1) => Some(Frame::trailers(http::HeaderMap::new())),
            None => None,
        };
        Poll::Ready(frame.map(Ok))
    }
}

impl Service<Request<()>> for FixedResponse {
    type Response = Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        let response = std::mem::replace(&mut self.0, Response::new(None));
        let trailers = response.headers().contains_key("x-trailers");
        let response = response.map(|text| match text {
            Some(_) => Unsized(text, trailers).boxed_unsync(),
            None => Full::from("").boxed_unsync(),
        });
        std::future::ready(Ok(response))
    }
}

#[tokio::test]
async fn the_handler_and_the_body_have_their_span_active() {
    let server = Server::start().await;
    server.fetch(Method::GET, "/work").await.unwrap();
    server.fetch(Method::GET, "/stream").await.unwrap();
    eventually("all are finished", || server.reporter.len() == 6).await;
    let spans = server.reporter.spans();
    let views: Vec<_> = spans.iter().map(|span| span.view()).collect();
    let names: Vec<_> = views.iter().map(|view| view.operation_name().into_owned()).collect();
    assert_eq!(names, ["work", "HTTP GET", "frame", "frame", "frame", "HTTP GET"]);
    assert_eq!(views[0].parent_span_id, views[1].span_id);
    assert!(views[2..5].iter().all(|frame| frame.parent_span_id == views[5].span_id));
    assert_eq!(views[5].parent_span_id, SpanId::NONE);
}

#[tokio::test]
async fn an_upgrade_passes_through_client_and_layer() {
    let server = Server::start().await;
    let (caller, reporter, _closer) = tracer();
    let request = Request::get(server.url("/upgrade"))
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo")
        .body(())
        .unwrap();
    let client = TracedClient::new(caller);
    let mut response = client.request(request).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    let mut stream = TokioIo::new(upgraded);
    stream.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    assert_eq!(server.tags(1, &LATER).await, ["101", "", ""]);
    let spans = reporter.spans();
    assert_eq!(tag(&spans[0].view(), "http.status_code").unwrap(), "101");
    assert!(!support::events(&spans[0].view()).contains(&"PutIdleConn".to_owned()));
}

#[tokio::test]
async fn options_leave_out_name_and_show() {
    let server = Server::start_with(|layer| {
        layer
            .filter(|request| request.uri.path() != "/work")
            .operation_name(|request| format!("serve {}", request.uri.path()))
            .component_name("ours")
            .url_tag(|url| url.path().to_owned())
            .span_observer(|span, request| {
                span.set_tag("seen", request.headers.contains_key("host"));
            })
    });
    let server = server.await;
    let (_, body) = server.fetch(Method::GET, "/work").await.unwrap();
    assert_eq!(body, "The time is now");
    let spans = server.reporter.spans();
    assert_eq!(spans.len(), 1, "the handler's own, which has no parent");
    assert_eq!(spans[0].view().parent_span_id, SpanId::NONE);
    server.fetch(Method::GET, "/time?secret").await.unwrap();
    let tags = server.tags(2, &["component", "http.url", "seen"]).await;
    assert_eq!(tags, ["ours", "/time", "true"]);
    assert_eq!(server.reporter.spans()[1].view().operation_name(), "serve /time");
}

#[tokio::test]
async fn the_span_ends_with_the_last_frame_and_not_before() {
    /// A body whose end is known with its last frame.
    struct Sized(Option<&'static str>);

    impl Body for Sized {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text.into()))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.map_or(0, |text| text.len() as u64))
        }
    }

    #[derive(Clone)]
    struct Direct;

    impl Service<Request<()>> for Direct {
        type Response = Response<Sized>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Sized>, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::new(Sized(Some("all of it")))))
        }
    }

    let (tracer, reporter, _closer) = tracer();
    let mut service = TraceLayer::new(tracer).layer(Direct);
    let response = service.call(Request::new(())).await.unwrap();
    assert!(Span::active().is_none());
    assert!(reporter.is_empty());
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(9));
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "all of it");
    assert_eq!(reporter.len(), 1);
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(reporter.len(), 1);
}
