//! The server layer: a span for each request that is handled.

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Uri, Version, request};
use http_body::Body;
use jaeger_client::{Span, Tracer};
use tower_layer::Layer;
use tower_service::Service;

use crate::exchange::{Exchange, ResponseFuture, Settings, TracedBody, options};
use crate::grpc::Call;
use crate::tags::{self, Role, SemanticConventions};
use crate::{forwarded, route, url};

/// Makes a span of each request that the service below it handles.
///
/// The span continues the trace that the request's headers carry, or begins one. It is the active
/// span whenever the handler runs, and while the body of its response is made. It ends with that
/// body, or when the request is cancelled: when the client goes away, the server drops the handler
/// or the body.
///
/// Bodies are passed on frame by frame, trailers included, and what an upgrade needs is left where
/// it is. The layer works in axum and tonic as in any `tower` stack, for HTTP/1 and HTTP/2.
///
/// # Shape and units
///
/// `HTTP {METHOD}` (see [`operation_name`](crate::operation_name)), with the tags `span.kind`,
/// `http.method`, `http.url` (as it was asked for, `/path?query`, without credentials: see
/// [`redacted_url`](crate::redacted_url)) and `component`; later `http.status_code`,
/// `http.response_size` in bytes where there are any, and `error` for a status of 500 or more, for a
/// panic, which leaves no status, for an error of the service or its body, which is also logged, and
/// for a request that was cancelled, which is also the log `event=cancelled`.
///
/// With the feature `axum`, a request whose route is known is named by it, `GET /users/{id}`, and has the
/// tag `http.route`. axum finds the route before it calls what was given to `Router::layer`, so that
/// is where the layer belongs; one around the whole router cannot see the route, and has the name given
/// late by a `RouteLayer` inside. The names of routes that are nested by
/// `Router::nest` are whole.
///
/// A gRPC call, known by its content type, is named by its path, `/package.Service/Method`, and has the
/// tags `span.kind`, `component` = `gRPC`, `rpc.system`, `rpc.service`, `rpc.method`; later
/// `rpc.grpc.status_code`, and `error` for the codes that a server is to blame for: `UNKNOWN`,
/// `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`. The status is read from
/// headers and trailers. A method that turns out not to be implemented names no span, which is
/// `gRPC` then, because the caller chooses the path. A call that was cancelled has the code 1; if the time that
/// `grpc-timeout` allows was over, 4 and the log `event=deadline exceeded`.
///
/// With OpenTelemetry's names for the tags, see [`SemanticConventions`].
///
/// # Source
///
/// `Middleware` of `nethttp` in opentracing-contrib/go-stdlib, `server.go`. Unlike there, the span
/// ends with the body and not with the handler.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::{TraceLayer, operation_name};
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let layer = TraceLayer::new(tracer)
///     .filter(|request| request.uri.path() != "/health")
///     .operation_name(|request| {
///         // Names are to be few, whatever is asked for.
///         let route = match request.uri.path() {
///             known @ ("/orders" | "/customers") => known,
///             _ => "other",
///         };
///         format!("{} {route}", operation_name(&request.method))
///     });
/// // axum: Router::new().route(…).layer(layer)
/// // tonic: Server::builder().layer(layer)
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TraceLayer {
    settings: Arc<Settings>,
}

options!(TraceLayer);

impl TraceLayer {
    /// Sets whether clients connect by TLS: by default they do not.
    ///
    /// With OpenTelemetry's names, the tag `url.scheme` is `https` then, and the port of a host without
    /// one is 443. A request that says its scheme, as those of HTTP/2 do, has that one.
    #[must_use]
    pub fn https(self, https: bool) -> Self {
        self.with(|settings| settings.scheme = if https { "https" } else { "http" })
    }

    /// Sets whether the tag `url.scheme` is what `Forwarded` or `X-Forwarded-Proto` say: by default it is
    /// not. Enable it behind a proxy that ends TLS, and that replaces these headers of its clients.
    #[must_use]
    pub fn trust_forwarded(self, trust: bool) -> Self {
        self.with(|settings| settings.forwarded = trust)
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> TraceService<S> {
        TraceService { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A service whose requests are spans; see [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct TraceService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B, R> Service<Request<B>> for TraceService<S>
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

/// Returns the scheme by which a client sent its request.
fn scheme<'r>(settings: &Settings, request: &'r request::Parts) -> &'r str {
    let forwarded = settings.forwarded.then(|| forwarded::scheme(&request.headers)).flatten();
    forwarded.or_else(|| request.uri.scheme_str()).unwrap_or(settings.scheme)
}

/// The span of a request, unless it is left out.
fn start(settings: &Settings, request: &mut request::Parts) -> Option<Exchange> {
    if settings.is_left_out(request) {
        return None;
    }
    let (tracer, names) = (&settings.tracer, settings.conventions);
    let call = Call::of(&request.headers);
    let route = route::of(&request.extensions);
    #[cfg(feature = "axum")]
    let is_routed = route.is_some();
    let span = tracer
        .span(settings.name(request, call.as_ref(), route))
        // Without a trace, or with one that cannot be read, the span begins one.
        .child_of(tracer.extract(&request.headers).ok())
        // A span that is active here did not send the request.
        .ignore_active_span();
    let component = settings.component(call.as_ref());
    let scheme = scheme(settings, request);
    let span = if call.is_some() {
        tags::of_server_call(span, names.rpc, component, request, scheme)
    } else {
        let shown = match request.uri.path_and_query() {
            // HTTP/2 has no other place for the host than the URL: it was asked for the path.
            Some(path) if request.version == Version::HTTP_2 && settings.url_tag.is_none() => {
                url::shown_path(path)
            }
            _ => settings.shown(&request.uri),
        };
        tags::of_server_request(span, names.http, component, request, scheme, &shown, route)
    };
    let span = span.start();
    settings.observe(&span, request);
    #[cfg(feature = "axum")]
    if call.is_none() && !is_routed {
        route::await_route(&mut request.extensions, &span, settings.operation.is_none());
    }
    Some(Exchange::new(span, request.method.clone(), Role::Server, names, call))
}
