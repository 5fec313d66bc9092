//! A server that loses no span at SIGTERM and Ctrl-C: it finishes its requests, then closes the tracer.
//!
//! `cargo run -p examples --bin signals`, then `curl localhost:8080` and Ctrl-C. The default action of these
//! signals ends the process at once, with all spans that are younger than the flush interval. Orchestrators
//! send SIGTERM, and SIGKILL some time later: the bounds of both steps are to fit into that time. How signals are
//! waited for is in `src/lib.rs`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use examples::shutdown_signal;
use jaeger_client::Configuration;
use jaeger_client_http::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tracer, closer) = Configuration::new("shop").with_env()?.new_tracer()?;
    let app = Router::new().route("/", get(|| async { "one of each" }));
    let app = app.layer(TraceLayer::new(tracer));

    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()).await?;

    // Every request is answered and its span finished: what is left is sent, for two seconds at most.
    println!("{}", closer.close_async(Duration::from_secs(2)).await);
    Ok(())
}
