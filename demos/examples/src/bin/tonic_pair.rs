//! A tonic client and server: a call is a span at both sides, from its start to its trailers.
//!
//! `cargo run -p examples --bin tonic_pair`. The client's `Channel` takes `ClientLayer`, the server
//! `TraceLayer`. Both name spans by the method and mark those that fail by their `grpc-status`. Without the
//! layers, metadata is a carrier too: `tracer.inject(&span, request.metadata_mut().as_mut())`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use jaeger_client::{Configuration, Span, TraceFutureExt};
use jaeger_client_http::{ClientLayer, TraceLayer};
use recipes::greeter::greeter_client::GreeterClient;
use recipes::greeter::greeter_server::{Greeter, GreeterServer};
use recipes::greeter::{Request, Response};
use tonic::codegen::tokio_stream::Empty;
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tonic::{Result, Status};
use tower_layer::Layer as _;

struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn greet(&self, request: tonic::Request<Request>) -> Result<tonic::Response<Response>> {
        // The call's span is the active one: what the handler does belongs to it.
        if let Some(span) = Span::active() {
            span.child("look up").set_tag("name", &request.get_ref().name).finish();
        }
        match request.into_inner().name.as_str() {
            "" => Err(Status::invalid_argument("nobody is to be greeted")),
            name => Ok(tonic::Response::new(Response { text: format!("hello, {name}") })),
        }
    }

    type GreetOftenStream = Empty<Result<Response>>;

    async fn greet_often(
        &self,
        _request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Self::GreetOftenStream>> {
        Err(Status::unimplemented("once is enough"))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (server, server_closer) = Configuration::new("greeter").with_env()?.new_tracer()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let serving =
        Server::builder().layer(TraceLayer::new(server)).add_service(GreeterServer::new(Hello));
    let serving = tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));

    let (client, client_closer) = Configuration::new("client").with_env()?.new_tracer()?;
    let channel = Endpoint::from_shared(address)?.connect().await?;
    let mut greeter = GreeterClient::new(ClientLayer::new(client.clone()).layer(channel));
    let calls = async {
        for name in ["you", ""] {
            match greeter.greet(tonic::Request::new(Request { name: name.to_owned() })).await {
                Ok(response) => println!("{}", response.into_inner().text),
                Err(status) => println!("{}: {}", status.code(), status.message()),
            }
        }
    };
    calls.in_span(client.start_span("greet")).await;

    drop(greeter);
    serving.abort();
    println!("client: {}", client_closer.close_async(Duration::from_secs(2)).await);
    println!("greeter: {}", server_closer.close_async(Duration::from_secs(2)).await);
    Ok(())
}
