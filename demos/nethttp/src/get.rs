//! An HTTP client that traces: a span for the request, and one for each hop of its redirects.
//!
//! It follows redirects itself, because each hop has a span of its own, whose context its headers
//! carry.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::http::uri::Scheme;
use hyper::{HeaderMap, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jaeger_client::{Span, Tracer};

/// Gets from URLs, and tells a tracer about it.
///
/// # Source
///
/// `TraceRequest` and `Transport` of `nethttp` in opentracing-contrib/go-stdlib, `client.go`.
#[derive(Clone, Debug)]
pub struct TracedClient {
    tracer: Tracer,
    http: Client<HttpConnector, Empty<Bytes>>,
}

/// What the last hop answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status; a redirect only where it names no place to go.
    pub status: StatusCode,
    /// The body, whole.
    pub body: Bytes,
}

/// How many requests one redirected request may become, as in Go.
const MAX_HOPS: usize = 10;

/// A longer body is refused: what the demo asks for is a line.
const MAX_BODY_BYTES: usize = 64 << 10;

/// How long a request may take with all of its hops.
const TIMEOUT: Duration = Duration::from_secs(10);

impl TracedClient {
    /// A client whose spans are started by `tracer`.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        Self { tracer, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Gets what is at `url`, following redirects.
    ///
    /// # Errors
    ///
    /// [`GetError`] if there is no answer. An answer of any status is one.
    pub async fn get(&self, url: Uri, parent: &Span) -> Result<Answer, GetError> {
        // Finished by its drop, and so also where the caller gives up waiting.
        let request = self.tracer.span("HTTP Client").child_of(parent).start();
        let hops = self.follow(url.clone(), &request);
        tokio::time::timeout(TIMEOUT, hops).await.map_err(|_| GetError::TimedOut { url })?
    }

    async fn follow(&self, url: Uri, request: &Span) -> Result<Answer, GetError> {
        let mut at = url.clone();
        for _ in 0..MAX_HOPS {
            let (answer, headers) = self.hop(&at, request).await?;
            match target(&at, answer.status, &headers)? {
                Some(next) => at = next,
                None => return Ok(answer),
            }
        }
        Err(GetError::TooManyRedirects { url })
    }

    /// One request and its response, the body included, in one span.
    async fn hop(&self, url: &Uri, parent: &Span) -> Result<(Answer, HeaderMap), GetError> {
        let failed = |source| GetError::Failed { url: url.clone(), source };
        let span = self
            .tracer
            .span("HTTP GET")
            .child_of(parent)
            .tag("span.kind", "client")
            .tag("component", "net/http")
            .tag("http.method", "GET")
            .tag("http.url", &url.to_string())
            .tag("peer.address", url.authority().map_or("", |authority| authority.as_str()))
            .start();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url.clone();
        self.tracer.inject(&span.context(), request.headers_mut());

        let response = self.http.request(request).await.map_err(|error| failed(error.into()))?;
        let (head, body) = response.into_parts();
        span.set_tag("http.status_code", head.status.as_u16());
        if head.status.as_u16() >= 500 {
            span.set_tag("error", true);
        }
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(failed)?;
        span.finish();
        Ok((Answer { status: head.status, body: body.to_bytes() }, head.headers))
    }
}

/// Where a response sends its reader on to, if anywhere.
fn target(from: &Uri, status: StatusCode, headers: &HeaderMap) -> Result<Option<Uri>, GetError> {
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = headers.get(header::LOCATION).filter(|_| redirects) else {
        return Ok(None);
    };
    let unusable = || GetError::Unusable {
        url: from.clone(),
        location: String::from_utf8_lossy(location.as_bytes()).into_owned(),
    };
    let mut parts = Uri::try_from(location.as_bytes()).map_err(|_| unusable())?.into_parts();
    if parts.scheme.is_none() && location.as_bytes().starts_with(b"/") {
        parts.scheme = from.scheme().cloned();
        parts.authority = from.authority().cloned();
    }
    let url = Uri::from_parts(parts).ok().filter(|url| url.scheme() == Some(&Scheme::HTTP));
    url.ok_or_else(unusable).map(Some)
}

/// Why a request has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// No connection, or one that broke, or a body that is too long.
    Failed {
        /// What was asked for.
        url: Uri,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer did not come in time.
    TimedOut {
        /// What was asked for.
        url: Uri,
    },
    /// Redirects led on and on.
    TooManyRedirects {
        /// Where they began.
        url: Uri,
    },
    /// A redirect leads to a place that this client cannot go to.
    Unusable {
        /// Where the redirect was.
        url: Uri,
        /// Where it leads.
        location: String,
    },
}

impl fmt::Display for GetError {
    /// With all causes: that a request failed says nothing, why it did is in the last of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { url, source } => {
                write!(f, "GET {url}: {source}")?;
                let mut cause = source.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::TimedOut { url } => write!(f, "GET {url}: no answer within {TIMEOUT:?}"),
            Self::TooManyRedirects { url } => {
                write!(f, "GET {url}: stopped after {MAX_HOPS} redirects")
            }
            Self::Unusable { url, location } => {
                write!(f, "GET {url}: redirected to {location:?}, which this client cannot follow")
            }
        }
    }
}

// No `source`: `Display` has told it already.
impl Error for GetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_on(status: u16, location: &'static str) -> Result<Option<Uri>, GetError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, header::HeaderValue::from_static(location));
        let from = Uri::from_static("http://localhost:8000/a?b");
        target(&from, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_location_may_be_a_whole_url_or_a_path() {
        let whole = sent_on(301, "http://127.0.0.1:9/x").unwrap().unwrap();
        assert_eq!(whole, Uri::from_static("http://127.0.0.1:9/x"));
        let path = sent_on(307, "/x?y").unwrap().unwrap();
        assert_eq!(path, Uri::from_static("http://localhost:8000/x?y"));
    }

    #[test]
    fn a_location_counts_in_redirects_only() {
        assert_eq!(sent_on(200, "/x").unwrap(), None);
        assert_eq!(sent_on(304, "/x").unwrap(), None);
    }

    #[test]
    fn a_location_that_leads_nowhere_is_an_error_that_shows_it() {
        for location in ["x y", "gettime", "*", "https://localhost/"] {
            let error = sent_on(302, location).unwrap_err();
            assert!(error.to_string().contains(location), "{error}");
        }
    }
}
