//! tonic, both sides: `cargo run -p recipes --example tonic`.
//!
//! The server takes `TraceLayer` as it is. The client's `Channel` is wrapped in a service of a few
//! lines, which is below. A call is a span from its start to its trailers.
//!
//! What cannot be had of a `Channel`: it connects on a task of its own, for no call in particular,
//! and its calls share one connection of HTTP/2. So there is none of `GetConn`, `DNSStart`,
//! `ConnectStart`, `TLSHandshakeStart`, `GotConn`, `WroteHeaders`, `WroteRequest`,
//! `GotFirstResponseByte`, `PutIdleConn`, nor whether the connection was reused.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use jaeger_client::{Span, TraceFutureExt, Tracer};
use jaeger_client_embedded_agent::Trace;
use jaeger_client_http::TraceLayer;
use recipes::BoxError;
use recipes::greeter::greeter_client::GreeterClient;
use recipes::greeter::greeter_server::{Greeter, GreeterServer};
use recipes::greeter::{Request, Response};
use tonic::body::Body;
use tonic::codegen::tokio_stream::{Stream, iter};
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tonic::{Code, Status};
use tower_service::Service;

/// The client's side: a span for each call, whose context goes with it.
#[derive(Clone, Debug)]
pub struct TracedChannel<S> {
    inner: S,
    tracer: Tracer,
}

impl<S> TracedChannel<S> {
    /// Calls by `inner`, which is a `Channel` or what is around one; `tracer` starts the spans.
    pub fn new(inner: S, tracer: Tracer) -> Self {
        Self { inner, tracer }
    }
}

impl<S> Service<http::Request<Body>> for TracedChannel<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // A child of the active span. The path is the method of the service: `/hello.Greeter/Greet`.
        let span = self
            .tracer
            .span(request.uri().path().to_owned())
            .tag("span.kind", "client")
            .tag("component", "gRPC")
            .start();
        self.tracer.inject(&span.context(), request.headers_mut());
        let asked = self.inner.call(request).in_span(span.clone());
        Box::pin(async move {
            let mut call = Call { span };
            let response = asked.await.map_err(|error| call.failed(error.into()))?;
            // A call that fails at once has no body, and its status among the headers.
            call.status(response.headers());
            Ok(response.map(|body| Body::new(TracedBody { body, call })))
        })
    }
}

/// The span of a call, which ends with it.
struct Call {
    span: Span,
}

impl Call {
    fn status(&mut self, headers: &HeaderMap) {
        let Some(code) = headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
        else {
            return;
        };
        self.span.set_tag("grpc.status_code", i64::from(i32::from(code)));
        if code != Code::Ok {
            self.span.set_tag("error", true);
        }
    }

    fn failed(&mut self, error: BoxError) -> BoxError {
        self.span.set_tag("error", true);
        self.span.log(&[("event", "error".into()), ("error.object", (&error.to_string()).into())]);
        error
    }
}

/// A response's messages; its trailers say how the call ended.
struct TracedBody {
    body: Body,
    call: Call,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.status(trailers);
                }
            }
            Some(Err(status)) => drop(self.call.failed(status.to_string().into())),
            None => self.call.span.finish(), // or with the last handle, which this one is
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

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
            let status = Status::invalid_argument("nobody is to be greeted");
            // gRPC fails with the status 200 of HTTP: the layer cannot know, so the handler says.
            if let Some(span) = Span::active() {
                span.set_tag("error", true);
            }
            return Err(status);
        }
        Ok(tonic::Response::new(Response { text: format!("hello, {name}") }))
    }

    type GreetOftenStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn greet_often(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Self::GreetOftenStream>, Status> {
        let text = format!("hello, {}", request.get_ref().name);
        let answers = (0..3).map(move |_| Ok(Response { text: text.clone() }));
        Ok(tonic::Response::new(Box::pin(iter(answers))))
    }
}

/// Has the greeter served on a free port of loopback, and gives its address.
pub async fn serve(tracer: Tracer) -> Result<String, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let layer = TraceLayer::new(tracer)
        // Who calls chooses the path: only the methods that there are name a span.
        .operation_name(|request| match request.uri.path() {
            known @ ("/hello.Greeter/Greet" | "/hello.Greeter/GreetOften") => known.to_owned(),
            _ => "unknown method".to_owned(),
        })
        .component_name("gRPC");
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Hello));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}

/// Calls twice within one span, and gives the trace: that span, two calls, each seen from both
/// sides.
pub fn run() -> Result<Trace, BoxError> {
    recipes::traced(["client", "greeter"], 5, |client, server| async move {
        let inner = Endpoint::from_shared(serve(server).await?)?.connect().await?;
        let mut greeter = GreeterClient::new(TracedChannel::new(inner, client.clone()));
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
