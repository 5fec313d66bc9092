//! The second of two services that are traced by `tracing`: tonic and a database. See `service_web`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use examples::database;
use jaeger_client::Configuration;
use jaeger_client_http::TraceLayer;
use jaeger_client_tracing::{DefaultFilter, JaegerLayer, WithTraceIds};
use recipes::greeter::greeter_server::{Greeter, GreeterServer};
use recipes::greeter::{Request, Response};
use tonic::codegen::tokio_stream::Empty;
use tonic::transport::{Server, server::TcpIncoming};
use tonic::{Result, Status};
use tracing::level_filters::LevelFilter;
use tracing::{info, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

struct Greetings;

#[tonic::async_trait]
impl Greeter for Greetings {
    #[instrument(skip_all, fields(name = request.get_ref().name))]
    async fn greet(&self, request: tonic::Request<Request>) -> Result<tonic::Response<Response>> {
        let name = request.into_inner().name;
        let found = phrase(&name).await;
        let phrase = found.map_err(|_| Status::not_found("no such customer"))?;
        info!("greeted");
        Ok(tonic::Response::new(Response { text: format!("{phrase}, {name}") }))
    }

    type GreetOftenStream = Empty<Result<Response>>;

    async fn greet_often(
        &self,
        _request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Self::GreetOftenStream>> {
        Err(Status::unimplemented("once is enough"))
    }
}

#[instrument(err, fields(otel.kind = "client", db.system = "postgresql"))]
async fn phrase(name: &str) -> std::io::Result<String> {
    database::fetch_one(database::PHRASE, name).await
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (tracer, closer) = Configuration::new("greeter").with_env()?.new_tracer()?;
    let traced =
        JaegerLayer::builder(tracer.clone()).filter(DefaultFilter::new(LevelFilter::DEBUG));
    let lines = fmt::layer().event_format(WithTraceIds::new(fmt::format().compact()));
    registry().with(traced.build()).with(lines.with_filter(LevelFilter::INFO)).init();

    let port = std::env::args().nth(1).unwrap_or_else(|| "50051".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    Server::builder()
        .layer(TraceLayer::new(tracer))
        .add_service(GreeterServer::new(Greetings))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), examples::shutdown_signal())
        .await?;
    println!("greeter: {}", closer.close_async(Duration::from_secs(5)).await);
    Ok(())
}
