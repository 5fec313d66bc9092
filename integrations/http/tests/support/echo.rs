//! A gRPC service of two methods whose messages are text, for tonic as it is: what is sent says how
//! the call is to end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use jaeger_client_http::TraceLayer;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::{self, Stream, StreamExt};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower_service::Service;

pub const UNARY: &str = "/test.v1.Echo/Unary";
pub const STREAM: &str = "/test.v1.Echo/Stream";
pub const UNKNOWN: &str = "/test.v1.Echo/MadeUp";

/// Messages that are text.
#[derive(Clone, Copy, Default)]
pub struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// The service.
#[derive(Clone)]
pub struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Messages = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Text);
            Ok(match request.uri().path() {
                UNARY => grpc.unary(Self, request).await,
                STREAM => grpc.server_streaming(Self, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = Boxed<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            match request.get_ref().as_str() {
                "missing" => Err(Status::not_found("no such user: ü")),
                "broken" => Err(Status::internal("out of order")),
                "late" => std::future::pending().await,
                text => Ok(Response::new(text.to_owned())),
            }
        })
    }
}

impl ServerStreamingService<String> for Echo {
    type Response = String;
    type ResponseStream = Messages;
    type Future = Boxed<Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let first = tokio_stream::iter([Ok("one".to_owned()), Ok("two".to_owned())]);
        let messages: Messages = match request.get_ref().as_str() {
            "broken" => {
                Box::pin(first.chain(tokio_stream::iter([Err(Status::internal("out of order"))])))
            }
            "late" => Box::pin(first.chain(tokio_stream::pending())),
            _ => Box::pin(first),
        };
        Box::pin(async { Ok(Response::new(messages)) })
    }
}

/// Serves with this layer on a free port of loopback.
pub async fn serve(layer: TraceLayer) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}
