//! HTTP seen from inside: the events of Go's `httptrace` and the spans of its `nethttp`.
//!
//! - [`TracedClient`] sends requests and follows redirects. The request is a span `HTTP Client`,
//!   each of its hops a span `HTTP {METHOD}`, which logs what happened on the wire and when.
//! - [`ClientTrace`] are those events as callbacks. [`HttpPool`] calls them, with or without a
//!   tracer.
//! - [`TraceLayer`] makes a span of each request that a server handles. It is a `tower` layer and
//!   works in axum and tonic as it is.
//! - [`ClientLayer`] does the same for any `tower` client, such as hyper-util's and tonic's `Channel`;
//!   [`TracedConnector`], [`TracedTlsConnector`] and [`TracedResolver`] log how such a client connects.
//!
//! ```
//! # use std::convert::Infallible;
//! use jaeger_client::{InMemoryReporter, Tracer};
//! use jaeger_client_http::TracedClient;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     let (stream, _) = listener.accept().await.unwrap();
//! #     let answer = hyper::service::service_fn(|_| async {
//! #         Ok::<_, Infallible>(http::Response::new(http_body_util::Full::<bytes::Bytes>::from("hello")))
//! #     });
//! #     let io = hyper_util::rt::TokioIo::new(stream);
//! #     hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await
//! # });
//! let spans = InMemoryReporter::new();
//! let (tracer, _closer) = Tracer::builder("shop").in_memory(&spans).build()?;
//!
//! let response = TracedClient::new(tracer).get(&url).await?;
//! assert_eq!(response.into_body().read_to_end(1 << 20).await?, "hello");
//!
//! let spans = spans.spans(); // the hop, which ended with the body, and the request
//! assert_eq!(spans[0].view().operation_name(), "HTTP GET");
//! assert_eq!(spans[0].view().logs().count(), 9); // GetConn, …, PutIdleConn, ClosedBody
//! assert_eq!(spans[1].view().operation_name(), "HTTP Client");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod client;
mod client_layer;
mod connection;
mod connector;
mod error;
mod exchange;
mod forwarded;
mod grpc;
mod operation;
mod route;
mod server;
mod tags;
mod trace;
mod transport;
mod url;

pub use self::body::{BoxError, RequestBody};
pub use self::client::{TracedClient, TracedClientBuilder, TracedRequest};
pub use self::client_layer::{ClientLayer, ClientService};
pub use self::connector::{
    Connecting, ConnectorLayer, ResolvingName, TlsConnecting, TracedConnector, TracedResolver,
    TracedTlsConnector,
};
pub use self::error::{Error, Phase};
pub use self::exchange::{ResponseFuture, TracedBody};
pub use self::operation::operation_name;
#[cfg(feature = "axum")]
pub use self::route::{RouteLayer, RouteService};
pub use self::server::{TraceLayer, TraceService};
pub use self::tags::{SemanticConventions, TagNames};
pub use self::trace::{ClientTrace, GotConn, NoTrace, PutIdleError, SpanTrace, TlsInfo, TraceMode};
pub use self::transport::{
    HttpPool, HttpPoolBuilder, Resolve, Resolving, ResponseBody, SystemResolver,
};
pub use self::url::redacted as redacted_url;
/// The TLS that [`HttpPoolBuilder::tls_config`] takes its configuration from.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
