//! The traced client: a span for the request, one for each of its hops, and redirects in between.

mod options;
mod redirect;
mod send;

use std::sync::Arc;

use http::{Request, Response};
use jaeger_client::{Parent, SpanContext, Tracer};

use self::options::Options;
use crate::body::RequestBody;
use crate::error::Error;
use crate::trace::ClientTrace;
use crate::transport::{HttpPool, ResponseBody};
use crate::url;

/// Sends requests, follows redirects, and traces both.
///
/// The request is a span `HTTP Client`, a child of the active span or of the one given. Each hop is
/// a span `HTTP {METHOD}`, a child of it (see [`operation_name`](crate::operation_name)); its context is written to the headers of its request, and
/// what happens on the way is logged to it. Both end with the body of the response, at an error, or
/// when the future or the body is dropped.
///
/// Clones share their connections.
///
/// # Source
///
/// `TraceRequest` and `Transport` of `nethttp` in opentracing-contrib/go-stdlib, `client.go`, with
/// `Client.Do` of net/http around them. Unlike there, the span of the request needs no `Finish`.
///
/// # Examples
///
/// ```
/// # async fn ask(tracer: jaeger_client::Tracer) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use jaeger_client_http::TracedClient;
///
/// let client = TracedClient::builder(tracer).timeout(Duration::from_secs(10)).build();
/// let response = client.get("http://localhost:8000/").await?;
/// let body = response.into_body().read_to_end(64 << 10).await?;
///
/// let request = http::Request::post("http://localhost:8000/orders").body("one of each")?;
/// let response = client.request(request).operation_name("order").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TracedClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tracer: Tracer,
    pool: HttpPool,
    options: Options,
}

impl TracedClient {
    /// A client with the usual options, whose spans are started by `tracer`.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        Self::builder(tracer).build()
    }

    /// Begins a client with its own options.
    pub fn builder(tracer: Tracer) -> TracedClientBuilder {
        TracedClientBuilder { tracer, pool: None, options: Options::default() }
    }

    /// Gets what is at `url`.
    ///
    /// Characters that are invalid in a request, such as a space or `ü`, are percent-encoded. A
    /// host that is not ASCII is requested by its IDNA name, `xn--…`.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is no response. One of any status is a response.
    pub async fn get(&self, url: &str) -> Result<Response<ResponseBody>, Error> {
        let mut request = Request::new(());
        *request.uri_mut() = url::parse(url)
            .map_err(|reason| Error::Url { url: url::redacted_text(url), reason })?;
        self.request(request).send().await
    }

    /// Begins a request.
    pub fn request<B: Into<RequestBody>>(&self, request: Request<B>) -> TracedRequest<'_> {
        let mut request = request.map(Into::into);
        url::encode(request.uri_mut());
        TracedRequest {
            shared: &self.shared,
            request,
            parent: None,
            trace: None,
            options: self.shared.options.clone(),
        }
    }
}

/// The builder of a [`TracedClient`].
#[derive(Debug)]
#[must_use = "a client is made by `build`"]
pub struct TracedClientBuilder {
    tracer: Tracer,
    pool: Option<HttpPool>,
    options: Options,
}

impl TracedClientBuilder {
    /// Sends over the connections of this pool; over those of its own by default.
    pub fn pool(mut self, pool: HttpPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Makes the client.
    #[must_use]
    pub fn build(self) -> TracedClient {
        let Self { tracer, pool, options } = self;
        let pool = pool.unwrap_or_default();
        TracedClient { shared: Arc::new(Shared { tracer, pool, options }) }
    }
}

/// The builder of a request; it is sent by [`send`](Self::send).
#[must_use = "a request is sent by `send`"]
pub struct TracedRequest<'a> {
    shared: &'a Shared,
    request: Request<RequestBody>,
    parent: Option<SpanContext>,
    trace: Option<Arc<dyn ClientTrace>>,
    options: Options,
}

impl TracedRequest<'_> {
    /// Makes its span a child of this one, in place of the active span.
    pub fn child_of(mut self, parent: impl Parent) -> Self {
        self.parent = parent.context();
        self
    }

    /// Calls another trace as well, on all hops.
    pub fn also_trace(mut self, trace: Arc<dyn ClientTrace>) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Sends it, and waits for the head of the response.
    ///
    /// Dropping the future gives the request up: its connection is closed, and its spans end with
    /// what is known.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is no response. One of any status is a response, and so is a redirect
    /// whose body would have to be sent again and cannot be.
    pub async fn send(self) -> Result<Response<ResponseBody>, Error> {
        send::send(self).await
    }
}

impl std::fmt::Debug for TracedRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracedRequest")
            .field("method", self.request.method())
            .field("uri", &url::redacted(self.request.uri()))
            .finish_non_exhaustive()
    }
}

impl tower_service::Service<Request<RequestBody>> for TracedClient {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send + 'static>,
    >;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let client = self.clone();
        // The parent is the span that is active where the call is made.
        let parent = client.shared.tracer.active_span().map(|span| span.context());
        Box::pin(async move { client.request(request).child_of(parent).send().await })
    }
}
