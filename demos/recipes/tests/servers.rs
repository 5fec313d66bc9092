//! The server layer in axum and in tonic, as it is: what is tagged, and what passes untouched.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]
#![allow(dead_code, unreachable_pub, reason = "the recipe is a program as well")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use jaeger_client::encoding::ValueView;
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, Span, Tracer};
use jaeger_client_http::{ClientLayer, HttpPool, NoTrace, TraceLayer, TracedClient};
use recipes::greeter::Request as Greet;
use recipes::greeter::greeter_client::GreeterClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::codegen::tokio_stream::iter;
use tonic::transport::Endpoint;
use tower_layer::Layer;

#[path = "../examples/tonic.rs"]
mod tonic_recipe;

fn tracer() -> (Tracer, InMemoryReporter, Closer) {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = Tracer::builder("server").in_memory(&reporter).build().unwrap();
    (tracer, reporter, closer)
}

/// The spans, once there are so many; none is open then, and none was finished twice.
async fn spans(tracer: &Tracer, reporter: &InMemoryReporter, count: usize) -> Vec<FinishedSpan> {
    for _ in 0..2000 {
        if reporter.len() == count && tracer.stats().open == 0 {
            assert_eq!(tracer.stats().misused, 0);
            return reporter.spans();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} spans did not come, but {}", reporter.len());
}

fn tags(span: &FinishedSpan, keys: &[&str]) -> Vec<String> {
    let text = |key: &&str| match span.view().tag(key) {
        None => String::new(),
        Some(ValueView::Str(text)) => String::from_utf8(text.to_vec()).unwrap(),
        Some(ValueView::Long(number)) => number.to_string(),
        Some(ValueView::Bool(boolean)) => boolean.to_string(),
        Some(other) => format!("{other:?}"),
    };
    keys.iter().map(text).collect()
}

const LATER: [&str; 3] = ["http.status_code", "http.response_size", "error"];

/// A response in three frames, with trailers.
async fn pieces() -> Response {
    let frames =
        ["piece", "piece", "piece"].map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "3".parse().unwrap());
    let frames = frames.into_iter().chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(iter(frames.map(Ok::<_, std::convert::Infallible>)));
    ([(header::TRAILER, "x-sum")], Body::new(body)).into_response()
}

/// Speaks another protocol from here on: gives back each word that it gets.
async fn upgrade(mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut word = [0; 4];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
        }
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve(layer: TraceLayer) -> String {
    let app = Router::new()
        .route("/time", get(|| async { "The time is now" }))
        .route("/fail", get(|| async { (StatusCode::BAD_GATEWAY, "no") }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("as asked")
                }
            }),
        )
        .route("/pieces", get(pieces))
        .route("/upgrade", get(upgrade))
        .route("/active", get(|| async { Span::active().is_some().to_string() }))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn fetch(method: Method, url: String) -> Option<(StatusCode, Bytes)> {
    let request = http::Request::builder().method(method).uri(url).body(()).unwrap();
    let response = HttpPool::new().round_trip(request, Arc::new(NoTrace)).await.ok()?;
    Some((response.status(), response.into_body().read_to_end(99).await.ok()?))
}

#[tokio::test]
async fn axum_requests_are_spans_with_status_size_and_failure() {
    let (tracer, reporter, _closer) = tracer();
    let url = serve(TraceLayer::new(tracer.clone())).await;
    for (method, path, response, later) in [
        (Method::GET, "/time", Some((200, "The time is now")), ["200", "15", ""]),
        (Method::HEAD, "/time", Some((200, "")), ["200", "15", ""]),
        (Method::GET, "/fail", Some((502, "no")), ["502", "2", "true"]),
        (Method::GET, "/nowhere", Some((404, "")), ["404", "", ""]),
        (Method::GET, "/panic", None, ["", "", "true"]),
        (Method::GET, "/pieces", Some((200, "piecepiecepiece")), ["200", "15", ""]),
        (Method::GET, "/active", Some((200, "true")), ["200", "4", ""]),
    ] {
        reporter.reset();
        let responded = fetch(method.clone(), format!("{url}{path}?x=y")).await;
        let response = response.map(|(status, body)| {
            (StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes()))
        });
        assert_eq!(responded, response, "{path}");
        let spans = spans(&tracer, &reporter, 1).await;
        let name = if path == "/nowhere" { "HTTP GET".into() } else { format!("{method} {path}") };
        assert_eq!(spans[0].view().operation_name(), name);
        let first = tags(&spans[0], &["span.kind", "http.method", "http.url", "component"]);
        assert_eq!(first, ["server", method.as_str(), &format!("{path}?x=y"), "net/http"]);
        assert_eq!(tags(&spans[0], &LATER), later, "{path}");
    }
}

#[tokio::test]
async fn axum_bodies_keep_their_frames_and_trailers_and_upgrades_their_connection() {
    let (tracer, reporter, _closer) = tracer();
    let url = serve(TraceLayer::new(tracer.clone())).await;
    let client = TracedClient::new(tracer.clone());
    let request = Request::get(format!("{url}/pieces")).header(header::TE, "trailers");
    let response = client.request(request.body(()).unwrap()).send().await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "3");
    assert_eq!(collected.to_bytes(), "piecepiecepiece");
    spans(&tracer, &reporter, 3).await;

    reporter.reset();
    let request = Request::get(format!("{url}/upgrade"))
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo");
    let mut response = client.request(request.body(()).unwrap()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    for word in [b"ping", b"pong"] {
        stream.write_all(word).await.unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, word);
    }
    drop(response);
    for span in spans(&tracer, &reporter, 3).await {
        if span.view().operation_name() != "HTTP Client" {
            assert_eq!(tags(&span, &LATER), ["101", "", ""]);
        }
    }
}

#[tokio::test]
async fn axum_requests_can_be_left_out_and_shown() {
    let (tracer, reporter, _closer) = tracer();
    let layer = TraceLayer::new(tracer.clone())
        .filter(|request| request.uri.path() != "/active")
        .span_observer(|span, request| {
            span.set_tag("seen", request.uri.path());
        });
    let url = serve(layer).await;
    let (_, active) = fetch(Method::GET, format!("{url}/active")).await.unwrap();
    assert_eq!(active, "false", "as if there was no layer");
    fetch(Method::GET, format!("{url}/time")).await.unwrap();
    let spans = spans(&tracer, &reporter, 1).await;
    assert_eq!(tags(&spans[0], &["seen"]), ["/time"]);
}

#[tokio::test]
async fn tonic_calls_are_spans_and_their_messages_and_trailers_pass() {
    let (tracer, reporter, _closer) = tracer();
    let url = tonic_recipe::serve(tracer.clone()).await.unwrap();
    let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    let mut greeter = GreeterClient::new(channel);
    let greet = |name: &str| tonic::Request::new(Greet { name: name.into() });

    let response = greeter.greet(greet("you")).await.unwrap();
    assert_eq!(response.get_ref().text, "hello, you");
    let one = spans(&tracer, &reporter, 1).await;
    assert_eq!(one[0].view().operation_name(), "/hello.Greeter/Greet");
    let first = tags(&one[0], &["span.kind", "component", "rpc.service", "rpc.method"]);
    assert_eq!(first, ["server", "gRPC", "hello.Greeter", "Greet"]);
    let later = ["rpc.grpc.status_code", "http.response_size", "error"];
    // Five bytes frame a message of twelve.
    assert_eq!(tags(&one[0], &later), ["0", "17", ""]);

    reporter.reset();
    let mut responses = greeter.greet_often(greet("all")).await.unwrap().into_inner();
    for _ in 0..3 {
        assert_eq!(responses.message().await.unwrap().unwrap().text, "hello, all");
    }
    assert!(responses.message().await.unwrap().is_none());
    assert!(responses.trailers().await.unwrap().is_some(), "the status came behind the messages");
    assert_eq!(tags(&spans(&tracer, &reporter, 1).await[0], &later), ["0", "51", ""]);

    reporter.reset();
    let status = greeter.greet(greet("")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "nobody is to be greeted")
    );
    // The caller is to blame for it, and not the server.
    assert_eq!(tags(&spans(&tracer, &reporter, 1).await[0], &later), ["3", "", ""]);
}

#[tokio::test]
async fn tonic_continues_the_callers_trace_and_a_call_given_up_ends_its_span() {
    let (tracer, reporter, _closer) = tracer();
    let url = tonic_recipe::serve(tracer.clone()).await.unwrap();
    let inner = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    let channel = ClientLayer::new(tracer.clone()).layer(inner);
    let mut greeter = GreeterClient::new(channel);
    let request = tonic::Request::new(Greet { name: "all".into() });
    // Dropped before its messages are read.
    drop(greeter.greet_often(request).await.unwrap());
    let spans = spans(&tracer, &reporter, 2).await;
    let of = |kind: &str| {
        let of = spans.iter().find(|span| tags(span, &["span.kind"]) == [kind]);
        of.unwrap().view()
    };
    let (client, server) = (of("client"), of("server"));
    assert_eq!((server.trace_id, server.parent_span_id), (client.trace_id, client.span_id));
}
