//! axum, the server's side: `cargo run -p recipes --example axum`.
//!
//! `TraceLayer` is added to a router as it is. A handler has its span active: what it starts and
//! asks for belongs to the request.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jaeger_client::Tracer;
use jaeger_client_embedded_agent::Trace;
use jaeger_client_http::{TraceLayer, TracedClient};
use recipes::BoxError;

/// The server: an order, for which it looks into its own stock.
fn app(tracer: Tracer) -> Router {
    Router::new()
        .route("/orders/{number}", get(order))
        .with_state(tracer.clone())
        // Requests that match no route are traced as well, if the layer is added after this.
        .fallback(|| async { StatusCode::NOT_FOUND })
        // Here, and not around the router, it knows the route, which names the span.
        .layer(TraceLayer::new(tracer))
}

async fn order(State(tracer): State<Tracer>) -> &'static str {
    let look = tracer.start_span("look into the stock"); // a child of the request's span
    tokio::task::yield_now().await;
    look.finish();
    "one of each"
}

/// Asks once, and gives the trace: the request, its hop, the server's span and what it did.
pub fn run() -> Result<Trace, BoxError> {
    recipes::traced(["client", "shop"], 4, |client, server| async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/orders/4711", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app(server)).await });

        let response = TracedClient::new(client).get(&url).await?;
        let body = response.into_body().read_to_end(64 << 10).await?;
        if body != "one of each" {
            return Err(format!("answered with {body:?}").into());
        }
        Ok(())
    })
}

fn main() -> Result<(), BoxError> {
    println!("{}", recipes::shown(&run()?));
    Ok(())
}
