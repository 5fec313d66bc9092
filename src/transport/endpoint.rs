//! The configuration of a collector: its address, its format, and credentials.

use std::fmt;
use std::time::Duration;

#[cfg(feature = "collector-http")]
use crate::address::{UrlError, WebUrl};
#[cfg(feature = "collector-http")]
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
#[cfg(feature = "collector-http")]
use crate::http_client::Url;
use crate::non_exhaustive::NonExhaustive;
use crate::redact::{self, HIDDEN};

/// The format that a server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectorFormat {
    /// Jaeger's Thrift, at a collector's `/api/traces` on port 14268.
    Jaeger,
    /// Zipkin v1 in Thrift, at `/api/v1/spans` on port 9411.
    ZipkinThrift,
    /// Zipkin v2 in JSON, at `/api/v2/spans` on port 9411.
    ZipkinJson,
}

impl CollectorFormat {
    /// Returns the name of the encoding, an entry of [`ENCODINGS`](crate::encoding::ENCODINGS).
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Jaeger => "thrift-binary-batch",
            Self::ZipkinThrift => "zipkin-thrift",
            Self::ZipkinJson => "zipkin-json-v2",
        }
    }

    /// Returns the usual path of the server.
    #[cfg(feature = "collector-http")]
    const fn path(self) -> &'static str {
        match self {
            Self::Jaeger => "/api/traces",
            Self::ZipkinThrift => "/api/v1/spans",
            Self::ZipkinJson => "/api/v2/spans",
        }
    }

    /// Returns the content type of requests.
    #[cfg(feature = "collector-http")]
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Jaeger | Self::ZipkinThrift => "application/x-thrift",
            Self::ZipkinJson => "application/json",
        }
    }
}

/// The configuration of a collector over HTTP.
///
/// # Source
///
/// `HTTPTransport` in jaeger-client-go, `transport/http.go`, which has neither retries nor a limit
/// in bytes; `HttpSender` in jaeger-client-java.
///
/// # Examples
///
/// ```
/// use jaeger_client::HttpConfig;
/// let config = HttpConfig {
///     auth_token: Some("secret".into()),
///     ..HttpConfig::new("https://collector:14268")
/// };
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct HttpConfig {
    /// The URL, `http://` or `https://`. The default path is that of the format; for Jaeger's
    /// Thrift, `format=jaeger.thrift` is added unless the URL has a format.
    pub endpoint: String,
    /// The format. By default, the path determines it: `/api/v1/spans` and `/api/v2/spans` are
    /// Zipkin's, any other is Jaeger's.
    pub format: Option<CollectorFormat>,
    /// The user of basic authentication; requires a password.
    pub user: Option<String>,
    /// The password of basic authentication; requires a user.
    pub password: Option<String>,
    /// The token of bearer authentication; excludes a user.
    pub auth_token: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The trusted certificate authorities, in PEM; without them, those of browsers.
    pub ca_certificates: Option<String>,
    /// The client's own certificate and its chain, in PEM; requires a key. For `https://`
    /// endpoints.
    pub client_certificate: Option<String>,
    /// The private key of that certificate, in PEM, not encrypted; requires a certificate.
    pub client_key: Option<String>,
    /// The proxy of requests. By default, the environment names it.
    pub proxy: ProxyConfig,
    /// The timeout of one request, from the name look-up to the end of the response; 0 means 5 s,
    /// and an hour is the maximum.
    pub timeout: Duration,
    /// The time limit for beginning retries of a message; a day is the maximum. 0 means a single
    /// attempt.
    ///
    /// A message is retried if nothing listens, the connection ends before the message is written,
    /// or the status is 408, 429, 500, 502, 503 or 504. The first delay is 100 ms, each one about
    /// twice as long as the one before, up to 5 s, and at least the server's `Retry-After`. If that
    /// exceeds the limit, the message is given up at once. Once a message was given up, the next
    /// ones are tried once, until one succeeds.
    ///
    /// A server that receives a whole message and ends the connection without a response may have
    /// processed it. Such a message is sent twice at most, and its spans are counted in
    /// [`Stats::possible_duplicates`](crate::Stats::possible_duplicates), or in
    /// [`Stats::unconfirmed`](crate::Stats::unconfirmed) if it is given up. A message without a
    /// response in time is not sent again. If the connection ends twice in the middle of a message
    /// of more than 64 KiB, the server may find it too large, and smaller ones are sent.
    ///
    /// Meanwhile finished spans collect in the queue. Spans that are too large for datagrams are
    /// tried once, so that they do not delay datagrams. A close ends the waiting.
    pub retry_limit: Duration,
    /// The maximum number of attempts, within that time; 0 means one.
    pub max_attempts: u32,
    /// The maximum size of a body, in bytes.
    pub max_body_bytes: usize,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl HttpConfig {
    pub(crate) const RETRY_LIMIT: Duration = Duration::from_secs(30);
    pub(crate) const MAX_ATTEMPTS: u32 = 12;

    /// Returns the defaults for a URL: requests of at most 5 s and 1 MiB, retried for 30 s, 12
    /// attempts at most.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            format: None,
            user: None,
            password: None,
            auth_token: None,
            headers: Vec::new(),
            ca_certificates: None,
            client_certificate: None,
            client_key: None,
            proxy: ProxyConfig::default(),
            timeout: TIMEOUT,
            retry_limit: Self::RETRY_LIMIT,
            max_attempts: Self::MAX_ATTEMPTS,
            max_body_bytes: MAX_BODY_BYTES,
            __non_exhaustive: NonExhaustive,
        }
    }
}

/// Hides what is secret: configurations end up in logs.
impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| HIDDEN);
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpConfig")
            .field("endpoint", &redact::value(&self.endpoint))
            .field("format", &self.format)
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("auth_token", &hidden(&self.auth_token))
            .field("headers", &headers)
            .field("ca_certificates", &self.ca_certificates.as_ref().map(String::len))
            .field("client_certificate", &self.client_certificate.as_ref().map(String::len))
            .field("client_key", &hidden(&self.client_key))
            .field("proxy", &self.proxy)
            .field("timeout", &self.timeout)
            .field("retry_limit", &self.retry_limit)
            .field("max_attempts", &self.max_attempts)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish()
    }
}

/// A URL for POST requests, with any query.
#[cfg(feature = "collector-http")]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) format: CollectorFormat,
}

#[cfg(feature = "collector-http")]
impl Endpoint {
    /// Completes a URL as jaeger-client-java does.
    pub(super) fn parse(url: &str, format: Option<CollectorFormat>) -> Result<Self, ConfigError> {
        let allowed = "http:// or https://, a host, and perhaps a port, a path and a query";
        let refused = |allowed| ConfigError::invalid("reporter.collector_endpoint", url, allowed);
        let read = WebUrl::parse(url.trim()).map_err(|error| match error {
            UrlError::Malformed => refused(allowed),
            UrlError::HasUser => {
                refused("without user and password, which are options of their own")
            }
        })?;
        let path = if read.path == "/" { "" } else { read.path };
        let format = format.unwrap_or_else(|| match path.trim_end_matches('/') {
            path if path.ends_with("/api/v1/spans") => CollectorFormat::ZipkinThrift,
            path if path.ends_with("/api/v2/spans") => CollectorFormat::ZipkinJson,
            _ => CollectorFormat::Jaeger,
        });
        let path = if path.is_empty() { format.path() } else { path };
        let mut query = read.query.unwrap_or_default().to_owned();
        let says_format = query.split('&').any(|pair| pair.starts_with("format="));
        if format == CollectorFormat::Jaeger && !says_format {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str("format=jaeger.thrift");
        }
        let query = Some(query.as_str()).filter(|query| !query.is_empty());
        let url = Url::parse(&WebUrl { path, query, ..read }.to_string());
        Ok(Self { url: url.ok_or_else(|| refused(allowed))?, format })
    }
}

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY_BYTES: usize = 1 << 20;

#[cfg(feature = "collector-http")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gets_what_it_leaves_open() {
        use CollectorFormat::{Jaeger, ZipkinJson, ZipkinThrift};
        let cases = [
            ("http://c:14268", None, Jaeger, "http://c:14268/api/traces?format=jaeger.thrift"),
            ("http://c/", None, Jaeger, "http://c/api/traces?format=jaeger.thrift"),
            ("HTTPS://c/x?a=b", None, Jaeger, "https://c/x?a=b&format=jaeger.thrift"),
            ("http://c/x?format=y", None, Jaeger, "http://c/x?format=y"),
            (
                "http://[::1]:9411/api/v1/spans",
                None,
                ZipkinThrift,
                "http://[::1]:9411/api/v1/spans",
            ),
            ("http://z/p/api/v2/spans", None, ZipkinJson, "http://z/p/api/v2/spans"),
            ("http://z:9411", Some(ZipkinJson), ZipkinJson, "http://z:9411/api/v2/spans"),
            ("http://z/elsewhere", Some(ZipkinThrift), ZipkinThrift, "http://z/elsewhere"),
        ];
        for (given, format, found, url) in cases {
            let endpoint = Endpoint::parse(given, format).unwrap();
            assert_eq!((endpoint.format, &*endpoint.url.to_string()), (found, url), "{given}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_its_value_but_without_its_secrets() {
        for url in [
            "",
            "c:14268",
            "ftp://c",
            "http://",
            "http://:80",
            "http://c:0",
            "http://::1",
            "http://c/a b",
        ] {
            let error = Endpoint::parse(url, None).unwrap_err().to_string();
            assert!(error.contains(&format!("{url:?}")) && error.contains("https://"), "{error}");
        }
        let error = Endpoint::parse("http://ann:hush@c", None).unwrap_err().to_string();
        assert!(error.contains("http://(hidden)@c") && !error.contains("hush"), "{error}");
    }
}
