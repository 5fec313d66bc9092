//! reqwest, the client's side: `cargo run -p recipes --example reqwest`.
//!
//! A request is a span `HTTP {METHOD}` whose context goes with it, and which ends with the body of
//! its response. Of Go's events, `GetConn`, `DNSStart`, `DNSDone` and `ClosedBody` can be had.
//! `DialStart` and `DialDone` are names of this recipe: reqwest shows how long it took to get a new
//! connection in all, with the name's resolution and TLS, and neither address nor phases.
//!
//! What cannot be had: `ConnectStart` and `ConnectDone` of each address, `TLSHandshakeStart`,
//! `TLSHandshakeDone`, `GotConn` with the tags of reuse (without `DialStart` it was most likely
//! reused), `WroteHeaders`, `Wait100Continue`, `Got100Continue`, `WroteRequest`,
//! `GotFirstResponseByte`, `PutIdleConn`. Who wants them uses `TracedClient`.
//!
//! Redirects are handed to the caller: reqwest follows them inside, where a hop could have neither a
//! span nor a context of its own.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use jaeger_client::{Span, Tracer};
use jaeger_client_embedded_agent::Trace;
use jaeger_client_http::{
    ClientTrace, SpanTrace, TraceLayer, TraceMode, operation_name, redacted_url,
};
use recipes::BoxError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Request};
use tower_layer::layer_fn;
use tower_service::Service;

tokio::task_local! {
    /// What is told of the request that this task sends. reqwest polls what it asks for addresses
    /// and connections first within that request; on a task of its own only later.
    static ASKED: Told;
}

#[derive(Clone)]
struct Told {
    span: Span,
    trace: Arc<SpanTrace>,
}

/// A client of reqwest, whose requests are spans.
#[derive(Clone, Debug)]
pub struct Traced {
    client: Client,
    tracer: Tracer,
}

impl Traced {
    /// A client whose spans are started by `tracer`.
    pub fn new(tracer: Tracer) -> Result<Self, BoxError> {
        let client = Client::builder()
            .redirect(Policy::none())
            .dns_resolver(Resolver)
            .connector_layer(layer_fn(|connector| Dialing { connector }))
            .build()?;
        Ok(Self { client, tracer })
    }

    /// Sends a request, and waits for the head of its response.
    pub async fn execute(&self, mut request: Request) -> Result<Response<TracedBody>, BoxError> {
        let url = request.url();
        let host = url.host_str().unwrap_or_default();
        let host_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        // A URL of `url` is one of `http` as well; without its credentials it may be shown.
        let shown = redacted_url(&url.as_str().parse()?);
        // A child of the active span.
        let span = self
            .tracer
            .span(operation_name(request.method()))
            .tag("span.kind", "client")
            .tag("component", "reqwest")
            .tag("http.method", request.method().as_str())
            .tag("http.url", &shown)
            .tag("peer.address", &host_port)
            .start();
        self.tracer.inject(&span.context(), request.headers_mut());
        let trace = Arc::new(SpanTrace::new(&self.tracer, span.clone(), TraceMode::Events));
        trace.get_conn(&host_port);
        let asked = Told { span: span.clone(), trace: Arc::clone(&trace) };
        // Dropped or failed, the span ends with what is known.
        let response = ASKED.scope(asked, self.client.execute(request)).await?;
        let (head, body) = Response::<reqwest::Body>::from(response).into_parts();
        trace.got_response(&head);
        Ok(Response::from_parts(head, TracedBody { body, trace: Some(trace) }))
    }
}

/// The body of a response, whose end is that of the span.
#[derive(Debug)]
pub struct TracedBody {
    body: reqwest::Body,
    trace: Option<Arc<SpanTrace>>,
}

impl TracedBody {
    fn close(&mut self) {
        if let Some(trace) = self.trace.take() {
            trace.closed_body();
        }
    }
}

impl Body for TracedBody {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.close();
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

impl Drop for TracedBody {
    fn drop(&mut self) {
        self.close();
    }
}

/// Asks the system for addresses, and tells so.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reported = ASKED.try_with(Told::clone).ok();
        Box::pin(async move {
            let name = name.as_str();
            if let Some(reported) = &reported {
                reported.trace.dns_start(name);
            }
            let found = tokio::net::lookup_host((name, 0)).await;
            let found = found.map(Vec::<SocketAddr>::from_iter);
            if let Some(reported) = &reported {
                let addresses = found.as_ref().map(|found| found.iter().map(SocketAddr::ip));
                let addresses = addresses.map(Vec::<IpAddr>::from_iter);
                reported.trace.dns_done(addresses.as_deref().map_err(|error| *error));
            }
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}

/// Tells when a connection is made.
#[derive(Clone)]
struct Dialing<S> {
    connector: S,
}

impl<T, S> Service<T> for Dialing<S>
where
    S: Service<T, Future: Send + 'static, Error: std::fmt::Display>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let reported = ASKED.try_with(Told::clone).ok();
        let dial = self.connector.call(target);
        let Some(reported) = reported else { return Box::pin(dial) };
        reported.span.log_event("DialStart");
        // The trace stays with the dial, which may end on another task, after another request.
        let dial = ASKED.scope(reported.clone(), dial);
        Box::pin(async move {
            let done = dial.await;
            let error = done.as_ref().err().map(ToString::to_string);
            match &error {
                None => reported.span.log_event("DialDone"),
                Some(error) => reported.span.log(&[
                    ("message", "DialDone".into()),
                    ("event", "error".into()),
                    ("error.object", error.into()),
                ]),
            };
            done
        })
    }
}

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

        let traced = Traced::new(client.clone())?;
        let both = async {
            for _ in 0..2 {
                let request = Request::new(reqwest::Method::GET, url.parse()?);
                let body = traced.execute(request).await?.into_body().collect().await?.to_bytes();
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
