//! reqwest, the client's side: `cargo run -p recipes --example reqwest`.
//!
//! A request is a span `HTTP {METHOD}` whose context goes with it, and which ends with the body of
//! its response. The one that dials says so. What reqwest does not show is what its crate's README
//! lists; who wants that uses `TracedClient`.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use jaeger_client_embedded_agent::Trace;
use jaeger_client_http::TraceLayer;
use jaeger_client_reqwest::reqwest_middleware::ClientBuilder;
use jaeger_client_reqwest::{JaegerMiddleware, reqwest, trace_connections};
use recipes::BoxError;

/// Asks twice, and gives the trace: a span around, two requests, each seen from both sides. The
/// second one goes over the connection of the first.
pub fn run() -> Result<Trace, BoxError> {
    recipes::traced(["client", "server"], 5, |client, server| async move {
        let app = axum::Router::new()
            .route("/time", axum::routing::get(|| async { "The time is now" }))
            .layer(TraceLayer::new(server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://localhost:{}/time", listener.local_addr()?.port());
        tokio::spawn(async move { axum::serve(listener, app).await });

        let traced = trace_connections(reqwest::Client::builder()).build()?;
        let traced = ClientBuilder::new(traced).with(JaegerMiddleware::new(client.clone())).build();
        let both = async {
            for _ in 0..2 {
                let body = traced.get(&url).send().await?.text().await?;
                if body != "The time is now" {
                    return Err(format!("answered with {body:?}").into());
                }
            }
            Ok(())
        };
        jaeger_client::TraceFutureExt::in_span(both, client.start_span("ask twice")).await
    })
}

fn main() -> Result<(), BoxError> {
    println!("{}", recipes::shown(&run()?));
    Ok(())
}
