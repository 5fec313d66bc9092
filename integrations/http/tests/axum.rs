//! The server layer in axum: spans are named by route, wherever the layer is.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use http_body_util::BodyExt;
use jaeger_client::InMemoryReporter;
use jaeger_client_http::{RouteLayer, SemanticConventions, TagNames, TraceLayer};
use tower_layer::Layer;
use tower_service::Service;

mod support;
use support::{tag, tracer};

fn routes() -> Router {
    let orders = Router::new().route("/{id}", get(async || "order"));
    Router::new().route("/users/{id}", get(async || "user")).nest("/orders", orders)
}

/// Name and route of the span of each request.
async fn named<S, B>(
    service: &mut S,
    spans: &InMemoryReporter,
    requests: &[(&str, &str)],
) -> Vec<(String, String)>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    spans.reset();
    for (method, path) in requests {
        let request = Request::builder().method(*method).uri(*path).body(Body::empty()).unwrap();
        let response = service.call(request).await.unwrap_or_else(|never| match never {});
        response.into_body().collect().await.unwrap();
    }
    let reported = |span: &jaeger_client::FinishedSpan| {
        let view = span.view();
        (view.operation_name().into_owned(), tag(&view, "http.route").unwrap_or_default())
    };
    let reported = spans.spans().iter().map(reported).collect();
    spans.reset();
    reported
}

const REQUESTS: [(&str, &str); 4] =
    [("GET", "/users/7"), ("GET", "/orders/8"), ("XyZ123", "/users/7"), ("GET", "/nowhere")];

fn expected(names: [&str; 4]) -> Vec<(String, String)> {
    let routes = ["/users/{id}", "/orders/{id}", "/users/{id}", ""];
    std::iter::zip(names, routes).map(|(name, route)| (name.into(), route.into())).collect()
}

const BY_ROUTE: [&str; 4] = ["GET /users/{id}", "GET /orders/{id}", "HTTP /users/{id}", "HTTP GET"];

#[tokio::test]
async fn a_layer_of_the_router_knows_the_route_from_the_start() {
    let (tracer, spans, _closer) = tracer();
    let layer = TraceLayer::new(tracer);
    let mut app = routes().layer(layer.clone());
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, expected(BY_ROUTE));
    // Beside another layer, whatever the order.
    let mut app = routes().layer(layer.clone()).layer(RouteLayer::new());
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, expected(BY_ROUTE));
    // Of routes alone, where nothing is known of requests that take none.
    let mut app = routes().route_layer(layer);
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, expected(BY_ROUTE)[..3]);
}

#[tokio::test]
async fn a_layer_around_the_router_has_the_name_given_late() {
    let (tracer, spans, _closer) = tracer();
    let layer = TraceLayer::new(tracer);
    let mut app = layer.layer(routes().layer(RouteLayer::new()));
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, expected(BY_ROUTE));
    // A service below which axum has its own router.
    let inner = Router::new().route("/{id}", get(async || "item")).layer(RouteLayer::new());
    let mut app = Router::new().nest_service("/items", inner).layer(layer.clone());
    let reported = named(&mut app, &spans, &[("GET", "/items/9")]).await;
    assert_eq!(reported, [("GET /items/{id}".into(), "/items/{id}".into())]);
    // Without it, nobody says.
    let mut app = layer.layer(routes());
    let reported = named(&mut app, &spans, &REQUESTS[..1]).await;
    assert_eq!(reported, [("HTTP GET".into(), String::new())]);
}

#[tokio::test]
async fn a_name_of_ones_own_stays_and_so_do_those_of_opentelemetry() {
    let (tracer, spans, _closer) = tracer();
    let layer = TraceLayer::new(tracer);
    let own = layer.clone().operation_name(|_| "own".into());
    let own_names = expected(["own"; 4]);
    let mut app = routes().layer(own.clone());
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, own_names);
    let mut app = own.layer(routes().layer(RouteLayer::new()));
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, own_names);

    let conventions = SemanticConventions::default().http(TagNames::OpenTelemetry);
    let layer = layer.semantic_conventions(conventions);
    let mut app = layer.layer(routes().layer(RouteLayer::new()));
    let names = [&BY_ROUTE[..3], &["GET"]].concat().try_into().unwrap();
    assert_eq!(named(&mut app, &spans, &REQUESTS).await, expected(names));
}
