//! tonic, both sides: `cargo run -p recipes --example tonic`.
//!
//! The server takes `TraceLayer` as it is, and the client's `Channel` takes `ClientLayer`. A call is a
//! span from its start to its trailers, at both sides.
//!
//! What cannot be had of a `Channel`: it connects on its own task, for no call in particular,
//! and its calls share one connection of HTTP/2. So there is none of `GetConn`, `DNSStart`,
//! `ConnectStart`, `TLSHandshakeStart`, `GotConn`, `WroteHeaders`, `WroteRequest`,
//! `GotFirstResponseByte`, `PutIdleConn`, nor whether the connection was reused.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::pin::Pin;

use jaeger_client::{TraceFutureExt, Tracer};
use jaeger_client_embedded_agent::Trace;
use jaeger_client_http::{ClientLayer, TraceLayer};
use recipes::BoxError;
use recipes::greeter::greeter_client::GreeterClient;
use recipes::greeter::greeter_server::{Greeter, GreeterServer};
use recipes::greeter::{Request, Response};
use tonic::Status;
use tonic::codegen::tokio_stream::{Stream, iter};
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tower_layer::Layer;

/// The server's side.
struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn greet(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Response>, Status> {
        let name = &request.get_ref().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("nobody is to be greeted"));
        }
        Ok(tonic::Response::new(Response { text: format!("hello, {name}") }))
    }

    type GreetOftenStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn greet_often(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Self::GreetOftenStream>, Status> {
        let text = format!("hello, {}", request.get_ref().name);
        let responses = (0..3).map(move |_| Ok(Response { text: text.clone() }));
        Ok(tonic::Response::new(Box::pin(iter(responses))))
    }
}

/// Has the greeter served on a free port of loopback, and gives its address.
pub async fn serve(tracer: Tracer) -> Result<String, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server =
        Server::builder().layer(TraceLayer::new(tracer)).add_service(GreeterServer::new(Hello));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}

/// Calls twice within one span, and gives the trace: that span, two calls, each seen from both
/// sides.
pub fn run() -> Result<Trace, BoxError> {
    recipes::traced(["client", "greeter"], 5, |client, server| async move {
        let channel = Endpoint::from_shared(serve(server).await?)?.connect().await?;
        let mut greeter = GreeterClient::new(ClientLayer::new(client.clone()).layer(channel));
        let both = async {
            greeter.greet(tonic::Request::new(Request { name: "you".into() })).await?;
            let nobody = greeter.greet(tonic::Request::new(Request::default())).await;
            nobody.err().map(|_| ()).ok_or("nobody was greeted")?;
            Ok(())
        };
        both.in_span(client.start_span("greet")).await
    })
}

fn main() -> Result<(), BoxError> {
    println!("{}", recipes::shown(&run()?));
    Ok(())
}
