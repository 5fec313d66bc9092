//! What the services that speak HTTP have in common: spans named by route, counted requests,
//! `/metrics`.

use std::io;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::request;
use jaeger_client::Tracer;
use jaeger_client_http::TraceLayer;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Serves `traced`, each request in a span, and `plain`, and `/metrics`.
pub(crate) async fn serve(
    listener: TcpListener,
    service: &'static str,
    tracer: Tracer,
    metrics: Metrics,
    traced: Router,
    plain: Router,
) -> io::Result<()> {
    let numbers = metrics.clone();
    let counting = (service, metrics);
    let router = traced
        .layer(TraceLayer::new(tracer).operation_name(operation_name))
        .merge(plain)
        .layer(from_fn_with_state(counting, count))
        .route("/metrics", get(async move || (OPEN_METRICS, numbers.text())));
    axum::serve(listener, router).await
}

/// A span is named by its route: whatever paths and methods are asked for, the names are few.
fn operation_name(request: &request::Parts) -> String {
    format!(
        "{} {}",
        jaeger_client_http::operation_name(&request.method),
        pattern(request.extensions.get())
    )
}

async fn count(
    State((service, metrics)): State<(&'static str, Metrics)>,
    request: Request,
    next: Next,
) -> Response {
    let endpoint = pattern(request.extensions().get()).to_owned();
    let response = next.run(request).await;
    metrics.request(service, &endpoint, response.status().as_str());
    response
}

fn pattern(path: Option<&MatchedPath>) -> &str {
    path.map_or("other", MatchedPath::as_str)
}

/// A request that cannot be answered as wished, with a status that says whose fault it is.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) http::StatusCode, pub(crate) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

const OPEN_METRICS: [(http::HeaderName, &str); 1] =
    [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
