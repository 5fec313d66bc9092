//! An axum service whose functions and dependencies speak `tracing`.
//!
//! `cargo run -p examples --bin axum_tracing`. `TraceLayer` makes a span of each request and goes on with the
//! caller's trace; what `#[instrument]`, `info!` and libraries such as sqlx make of it belongs to that span.
//! Log lines have the trace's ids.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use jaeger_client::Configuration;
use jaeger_client_http::TraceLayer;
use jaeger_client_tracing::{TracingLogger, WithTraceIds};
use std::time::Duration;
use tracing::{error, info, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

async fn order(Path(number): Path<u32>) -> Result<String, StatusCode> {
    info!(number, "asked for an order");
    let found = find(number).await;
    found.map_err(|error| {
        error!(error = &error as &dyn std::error::Error, "not found");
        StatusCode::NOT_FOUND
    })
}

/// Stands for a query. Its arguments are tags, an error marks its span.
#[instrument(err, fields(otel.kind = "client", db.system = "postgresql"))]
async fn find(number: u32) -> std::io::Result<String> {
    tokio::task::yield_now().await;
    match number {
        1 => Ok("two books".to_owned()),
        _ => Err(std::io::Error::other("no such order")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let configuration = Configuration::new("shop").with_env()?;
    let (tracer, closer) = configuration.new_tracer_with(|tracer| tracer.logger(TracingLogger))?;
    registry()
        .with(jaeger_client_tracing::layer(tracer.clone()))
        .with(fmt::layer().event_format(WithTraceIds::new(fmt::format().compact())))
        .init();

    let app = Router::new().route("/orders/{number}", get(order)).layer(TraceLayer::new(tracer));
    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    let requested = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(requested).await?;
    println!("{}", closer.close_async(Duration::from_secs(2)).await);
    Ok(())
}
