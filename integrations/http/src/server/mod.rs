//! The server layer: a span for each request that is handled.

mod body;
mod future;
mod options;

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Version, request};
use http_body::Body;
use jaeger_client::{Span, Tracer};
use tower_layer::Layer;
use tower_service::Service;

pub use self::body::TracedBody;
pub use self::future::ResponseFuture;
use self::options::Options;
use crate::operation::operation_name;
use crate::url;

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
/// `HTTP {METHOD}` (see [`operation_name`]), with the tags `span.kind`, `http.method`, `http.url` (as
/// it was asked for, `/path?query`, without credentials: see [`redacted_url`](crate::redacted_url))
/// and `component`; later `http.status_code`, `http.response_size` in bytes where
/// there are any, and `error` for a status of 500 or more, for a panic, which leaves no status, and
/// for a request that was cancelled, which is also the log `event=cancelled`.
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
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    tracer: Tracer,
    options: Options,
}

impl TraceLayer {
    /// A layer whose spans are started by `tracer`.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        Self { shared: Arc::new(Shared { tracer, options: Options::default() }) }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut Arc::make_mut(&mut self.shared).options);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> TraceService<S> {
        TraceService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service whose requests are spans; see [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct TraceService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for TraceService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let Some(span) = self.shared.start(&parts) else {
            return ResponseFuture::untraced(self.inner.call(Request::from_parts(parts, body)));
        };
        let method = parts.method.clone();
        let request = Request::from_parts(parts, body);
        let future = guarded(&span, || self.inner.call(request));
        ResponseFuture::traced(future, span, method)
    }
}

impl Shared {
    /// The span of a request, unless it is left out.
    fn start(&self, request: &request::Parts) -> Option<Span> {
        let Options { filter, operation, component, url_tag, observer } = &self.options;
        if filter.as_ref().is_some_and(|filter| !filter(request)) {
            return None;
        }
        let name = match operation {
            Some(operation) => Cow::Owned(operation(request)),
            None => operation_name(&request.method).into(),
        };
        let url = match (url_tag, request.uri.path_and_query()) {
            (Some(url_tag), _) => url_tag(&url::public(&request.uri)),
            // HTTP/2 has no other place for the host than the URL: it was asked for the path.
            (None, Some(path)) if request.version == Version::HTTP_2 => {
                url::redacted(&path.clone().into())
            }
            (None, _) => url::redacted(&request.uri),
        };
        let span = self
            .tracer
            .span(name)
            // Without a trace, or with one that cannot be read, the span begins one.
            .child_of(self.tracer.extract(&request.headers).ok())
            // Whatever is active here is not what sent the request.
            .ignore_active_span()
            .tag("span.kind", "server")
            .tag("http.method", request.method.as_str())
            .tag("http.url", &url)
            .tag("component", component)
            .start();
        if let Some(observer) = observer {
            observer(&span, request);
        }
        Some(span)
    }
}

/// Says that a request was cancelled.
fn cancelled(span: &Span, message: &str) {
    span.set_tag("error", true);
    span.log(&[("event", "cancelled".into()), ("message", message.into())]);
}

/// Runs `work` with the span active. If it panics, the span says so; it ends with what is dropped
/// then.
fn guarded<T>(span: &Span, work: impl FnOnce() -> T) -> T {
    struct Unwinding<'a>(Option<&'a Span>);

    impl Drop for Unwinding<'_> {
        fn drop(&mut self) {
            if let Some(span) = self.0 {
                span.set_tag("error", true);
            }
        }
    }

    let mut unwinding = Unwinding(Some(span));
    let result = {
        let _scope = span.activate();
        work()
    };
    unwinding.0 = None;
    result
}
