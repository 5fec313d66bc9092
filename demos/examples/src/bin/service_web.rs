//! The first of two services that are traced by `tracing`: axum, a database, and a call over gRPC.
//!
//! `cargo run -p examples --bin service_greeter`, then `cargo run -p examples --bin service_web`, and `curl
//! localhost:8080/hello/4711`: one trace over both processes, its ids in the log lines of both. At SIGTERM and
//! Ctrl-C each finishes its requests, then sends its last spans.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use examples::database;
use jaeger_client::Configuration;
use jaeger_client_http::{ClientLayer, ClientService, TraceLayer};
use jaeger_client_tracing::{DefaultFilter, JaegerLayer, WithTraceIds};
use recipes::greeter::{Request, greeter_client::GreeterClient};
use tonic::transport::{Channel, Endpoint};
use tower_layer::Layer as _;
use tracing::level_filters::LevelFilter;
use tracing::{info, instrument, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

type Greeter = GreeterClient<ClientService<Channel>>;

#[instrument(skip(greeter))]
async fn hello(
    State(mut greeter): State<Greeter>,
    Path(number): Path<String>,
) -> Result<String, StatusCode> {
    let name = customer(&number).await.map_err(|_| StatusCode::NOT_FOUND)?;
    info!(name, "a customer to greet");
    let greeted = greeter.greet(Request { name }).await.map_err(|status| {
        warn!(code = ?status.code(), "not greeted");
        StatusCode::BAD_GATEWAY
    })?;
    Ok(greeted.into_inner().text)
}

/// The query's event, which sqlx emits below `info`, is a log of this span.
#[instrument(err, fields(otel.kind = "client", db.system = "postgresql"))]
async fn customer(number: &str) -> std::io::Result<String> {
    database::fetch_one(database::CUSTOMER, number).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tracer, closer) = Configuration::new("web").with_env()?.new_tracer()?;
    let traced =
        JaegerLayer::builder(tracer.clone()).filter(DefaultFilter::new(LevelFilter::DEBUG));
    let lines = fmt::layer().event_format(WithTraceIds::new(fmt::format().compact()));
    registry().with(traced.build()).with(lines.with_filter(LevelFilter::INFO)).init();

    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "8080".to_owned());
    let greeter = arguments.next().unwrap_or_else(|| "http://localhost:50051".to_owned());
    let channel =
        ClientLayer::new(tracer.clone()).layer(Endpoint::from_shared(greeter)?.connect_lazy());
    let app = Router::new().route("/hello/{number}", get(hello));
    let app = app.with_state(GreeterClient::new(channel)).layer(TraceLayer::new(tracer));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(examples::shutdown_signal()).await?;
    println!("web: {}", closer.close_async(Duration::from_secs(5)).await);
    Ok(())
}
