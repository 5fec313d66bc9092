//! The client layer: a span for each request that goes through a tower client.

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Uri, request};
use http_body::Body;
use jaeger_client::{Span, SpanContext, Tracer};
use tower_layer::Layer;
use tower_service::Service;

use crate::exchange::{Exchange, ResponseFuture, Settings, TracedBody, options};
use crate::grpc::Call;
use crate::tags::{self, ClientRequest, Role, SemanticConventions};

/// Makes a span of each request that the client below it sends, and sends the span's context with it.
///
/// The layer works with any `tower` client, such as the one of hyper-util and the `Channel` of
/// tonic, which keep their pools, proxies and TLS. Events of connections are recorded as far as the
/// client gives access to them: see [`TracedConnector`](crate::TracedConnector). For all of it, use
/// [`TracedClient`](crate::TracedClient).
///
/// The span is a child of the [`Span`] or the [`SpanContext`] in the request's extensions, if there is
/// one, or of the span that is active where `call` is called; without either it begins a trace. It is
/// active while the client works on the request, and ends with the body of the response. A layer that
/// sends requests again makes it a span for each if it is outside of this one, and one span if it is
/// inside.
///
/// # Shape and units
///
/// `HTTP {METHOD}`, with the tags `span.kind`, `component`, `http.method`, `http.url` (without
/// credentials: see [`redacted_url`](crate::redacted_url)) and `peer.address`, if the URL has it; later
/// `http.status_code`, and `error` for a status of 500 or more, for an error, which is also logged, and
/// for a request that was cancelled, which is also the log `event=cancelled`: its future was dropped
/// before there was a response, or its body while the next part of it was waited for. The log
/// `event=ClosedBody` is the end of the body, as in [`TracedClient`](crate::TracedClient).
///
/// A gRPC call, known by its content type, is named by its path, `/package.Service/Method`, and has the
/// tags `span.kind`, `component` = `gRPC`, `peer.address` (a `Channel` of tonic adds its address only
/// below, so that there is none), `rpc.system`, `rpc.service`, `rpc.method`; later `rpc.grpc.status_code`, read from headers or trailers, and `error` for every code but `OK`.
/// Dropped before its status, the call was cancelled and has the code 1; if the time that
/// `grpc-timeout` allows was over then, or when the client failed, it has the code 4 and the log
/// `event=deadline exceeded`. A time limit that is not sent with the call, as that of an `Endpoint`, is
/// an error like others.
///
/// With OpenTelemetry's names for the tags, see [`SemanticConventions`].
///
/// # Examples
///
/// ```
/// # use std::convert::Infallible;
/// use http::{Request, Response};
/// use jaeger_client::{InMemoryReporter, Tracer};
/// use jaeger_client_http::ClientLayer;
/// use tower_layer::Layer;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[derive(Clone)] struct Client;
/// # impl Service<Request<()>> for Client {
/// #     type Response = Response<http_body_util::Empty<bytes::Bytes>>;
/// #     type Error = Infallible;
/// #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, request: Request<()>) -> Self::Future {
/// #         assert!(request.headers().contains_key("uber-trace-id"));
/// #         std::future::ready(Ok(Response::default()))
/// #     }
/// # }
/// # let client = Client;
/// let spans = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("shop").in_memory(&spans).build()?;
///
/// // `client` is one of hyper-util, a channel of tonic, or what is around one.
/// let mut client = ClientLayer::new(tracer).layer(client);
/// let response = client.call(Request::get("http://localhost/orders").body(())?).await?;
/// drop(response);
/// assert_eq!(spans.spans()[0].view().operation_name(), "HTTP GET");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientLayer {
    settings: Arc<Settings>,
}

options!(ClientLayer);

impl ClientLayer {
    /// Sets whether the span's context is written to the headers of its request: by default it is.
    /// Disable it for untrusted servers.
    ///
    /// # Source
    ///
    /// `InjectSpanContext`.
    #[must_use]
    pub fn inject_span_context(self, inject: bool) -> Self {
        self.with(|settings| settings.inject = inject)
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A client whose requests are spans; see [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Display + Debug>,
    R: Body,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let begin = |parts: &mut request::Parts| start(&self.settings, parts);
        ResponseFuture::of(request, begin, |request| self.inner.call(request))
    }
}

/// The span of a request, unless it is left out. Its context is in the request's headers then.
fn start(settings: &Settings, request: &mut request::Parts) -> Option<Exchange> {
    if settings.is_left_out(request) {
        return None;
    }
    let (tracer, names, url) = (&settings.tracer, settings.conventions, &request.uri);
    let call = Call::of(&request.headers);
    let given = request.extensions.get::<Span>();
    let context = request.extensions.get::<SpanContext>().filter(|_| given.is_none());
    let span =
        tracer.span(settings.name(request, call.as_ref(), None)).child_of(given).child_of(context);
    let component = settings.component(call.as_ref());
    let span = if call.is_some() {
        tags::of_client_call(span, names.rpc, component, url)
    } else {
        let shown = settings.shown(url);
        let (method, shown) = (&request.method, &*shown);
        let request = ClientRequest { component, method, url, shown, resends: 0 };
        tags::of_client_request(span, names.http, &request)
    };
    let span = span.start();
    settings.observe(&span, request);
    if settings.inject {
        tracer.inject(&span, &mut request.headers);
    }
    Some(Exchange::new(span, request.method.clone(), Role::Client, names, call))
}
