//! The middleware: what it is given goes through the client layer of `jaeger-client-http`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Extensions;
use jaeger_client::{Span, SpanContext, Tracer};
use jaeger_client_http::ClientLayer;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tower_layer::Layer;
use tower_service::Service;

use crate::error::RequestError;

/// Makes a span of each request of a client of [`reqwest_middleware`], and sends its context.
///
/// The span is a child of the [`Span`] or the [`SpanContext`] that the request was given by
/// `with_extension`, or of the active span; without either it begins a trace. It ends with the body of
/// the response. Given before a middleware that retries, all attempts are one span; given after it, each
/// is one of its own. Redirects, which reqwest follows inside, are a part of the span, and carry its
/// context.
///
/// Name and tags are those of [`ClientLayer`], which has the options too; but `component` is `reqwest`,
/// unless a layer is given.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::ClientLayer;
/// use jaeger_client_reqwest::JaegerMiddleware;
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let layer = ClientLayer::new(tracer).filter(|request| request.uri.path() != "/health");
/// let middleware = JaegerMiddleware::with_layer(layer);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct JaegerMiddleware {
    layer: ClientLayer,
}

impl JaegerMiddleware {
    /// A middleware whose spans are started by `tracer`, with the tag `component` of `reqwest`.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        Self::with_layer(ClientLayer::new(tracer).component_name("reqwest"))
    }

    /// A middleware with the options of this layer, of which the tag `component` is one: `net/http`,
    /// unless [`component_name`](ClientLayer::component_name) says otherwise.
    #[must_use]
    pub const fn with_layer(layer: ClientLayer) -> Self {
        Self { layer }
    }
}

#[async_trait::async_trait]
impl Middleware for JaegerMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let head = take_head(&mut request, extensions);
        let mut service = self.layer.layer(Rest { rest: Some((request, extensions, next)) });
        match service.call(head).await {
            Ok(response) => Ok(response.map(Body::wrap).into()),
            Err(RequestError(error)) => Err(error),
        }
    }
}

/// Takes the parts of a request that the layer reads and writes: its headers are returned by
/// [`Rest`].
fn take_head(request: &mut Request, extensions: &Extensions) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    // Every valid request URL has a form that `http` can parse.
    *head.uri_mut() = request.url().as_str().parse().unwrap_or_default();
    *head.version_mut() = request.version();
    std::mem::swap(head.headers_mut(), request.headers_mut());
    if let Some(span) = extensions.get::<Span>() {
        head.extensions_mut().insert(span.clone());
    }
    if let Some(context) = extensions.get::<SpanContext>() {
        head.extensions_mut().insert(context.clone());
    }
    head
}

/// The middleware further inside, and the client, as a service for one request.
struct Rest<'a> {
    rest: Option<(Request, &'a mut Extensions, Next<'a>)>,
}

impl<'a> Service<http::Request<()>> for Rest<'a> {
    type Response = http::Response<Body>;
    type Error = RequestError;
    type Future = Pin<
        Box<dyn Future<Output = std::result::Result<Self::Response, RequestError>> + Send + 'a>,
    >;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<std::result::Result<(), RequestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, head: http::Request<()>) -> Self::Future {
        let rest = self.rest.take();
        Box::pin(async move {
            let Some((mut request, extensions, next)) = rest else {
                let error = std::io::Error::other("the request was sent before");
                return Err(RequestError(Error::middleware(error)));
            };
            *request.headers_mut() = head.into_parts().0.headers;
            let response = next.run(request, extensions).await.map_err(RequestError)?;
            Ok(with_url(response))
        })
    }
}

/// The response as one of `http`, which keeps its URL for the one that is made of it again.
fn with_url(response: Response) -> http::Response<Body> {
    let url = response.url().clone();
    let mut response = http::Response::from(response);
    if let Ok(retained) = http::Response::builder().url(url).body(()) {
        response.extensions_mut().extend(retained.into_parts().0.extensions);
    }
    response
}
