//! The configuration of OTLP over HTTP.
//!
//! Requests are sent by `HttpTransport`, with the same retries, proxies and
//! limits.

use std::fmt;
use std::time::Duration;

use crate::address::{HostPort, UrlError, WebUrl};
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;

/// The configuration of OTLP over HTTP, in protobuf: for an OpenTelemetry Collector, Jaeger v2, or
/// any other server at port 4318. Needs the feature `otlp`.
///
/// # Source
///
/// The OpenTelemetry specification, `protocol/exporter.md`, and the OTLP specification,
/// `docs/specification.md` of opentelemetry-proto.
///
/// # Examples
///
/// ```
/// use jaeger_client::OtlpConfig;
/// let config = OtlpConfig {
///     headers: vec![("x-tenant".into(), "shop".into())],
///     ..OtlpConfig::new("http://collector:4318")
/// };
/// ```
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct OtlpConfig {
    /// The base URL, `http://` or `https://`, to whose path `/v1/traces` is appended.
    pub endpoint: String,
    /// The exact URL for traces, in place of one made from `endpoint`. The default path is `/`.
    pub traces_endpoint: Option<String>,
    /// More headers. A `user-agent` is put before the client's own.
    pub headers: Vec<(String, String)>,
    /// The trusted certificate authorities, in PEM; without them, those of browsers. For `https://`
    /// endpoints.
    pub ca_certificates: Option<String>,
    /// The client's own certificate, in PEM; requires a key. For `https://` endpoints.
    pub client_certificate: Option<String>,
    /// The private key of that certificate, in PEM, not encrypted; requires a certificate.
    pub client_key: Option<String>,
    /// The proxy of requests. By default, the environment names it.
    pub proxy: ProxyConfig,
    /// The timeout of one request, from the name look-up to the end of the response; 0 means 10 s,
    /// and an hour is the maximum.
    pub timeout: Duration,
    /// The time limit for beginning retries of a message; a day is the maximum. 0 means a single
    /// attempt. All attempts together take no longer than this and `timeout`, whichever is longer.
    ///
    /// Retries follow [`HttpConfig::retry_limit`](crate::HttpConfig::retry_limit), but of the
    /// statuses only those that OTLP names are retried: 429, 502, 503 and 504.
    pub retry_limit: Duration,
    /// The maximum number of attempts, within that time; 0 means one.
    pub max_attempts: u32,
    /// The maximum size of a request, in bytes before compression, as servers count: from 1,024 to
    /// 64 MiB.
    pub max_body_bytes: usize,
    /// Whether requests are compressed.
    pub compression: OtlpCompression,
    /// How much of a response is read, in bytes. Rejected spans of a longer one are not known.
    pub max_response_bytes: u64,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl OtlpConfig {
    /// Returns the defaults for a base URL: requests of at most 10 s and 1 MiB, retried for 30 s,
    /// 12 attempts at most, and responses of 4 MiB.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            traces_endpoint: None,
            headers: Vec::new(),
            ca_certificates: None,
            client_certificate: None,
            client_key: None,
            proxy: ProxyConfig::default(),
            timeout: TIMEOUT,
            retry_limit: super::HttpConfig::RETRY_LIMIT,
            max_attempts: super::HttpConfig::MAX_ATTEMPTS,
            max_body_bytes: 1 << 20,
            compression: OtlpCompression::None,
            max_response_bytes: 4 << 20,
            __non_exhaustive: NonExhaustive,
        }
    }

    /// The maximum size of a request by the specification, in bytes.
    #[cfg(feature = "otlp")]
    pub(super) const MAX_BODY_BYTES: usize = 64 << 20;

    /// Returns the part that is common with a collector's configuration.
    #[cfg(feature = "otlp")]
    pub(super) fn http(&self) -> super::HttpConfig {
        super::HttpConfig {
            headers: self.headers.clone(),
            ca_certificates: self.ca_certificates.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            proxy: self.proxy.clone(),
            timeout: self.timeout,
            retry_limit: self.retry_limit,
            max_attempts: self.max_attempts,
            max_body_bytes: self.max_body_bytes,
            ..super::HttpConfig::new("")
        }
    }

    /// Returns the URL of requests.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with the endpoint that is invalid, and why.
    pub(crate) fn url(&self) -> Result<String, ConfigError> {
        match &self.traces_endpoint {
            Some(text) => {
                let url = parse("reporter.otlp.traces_endpoint", text)?;
                let path = if url.path.is_empty() { "/" } else { url.path };
                Ok(WebUrl { path, ..url }.to_string())
            }
            None => {
                let field = "reporter.otlp.endpoint";
                let url = parse(field, &self.endpoint)?;
                let path = url.path.trim_end_matches('/');
                if path.ends_with(TRACES_PATH) {
                    return Err(ConfigError::invalid(field, &self.endpoint, WITHOUT_PATH));
                }
                Ok(WebUrl { path: &format!("{path}{TRACES_PATH}"), ..url }.to_string())
            }
        }
    }

    /// Returns a warning about the URL if it is likely wrong.
    pub(crate) fn likely_mistake(url: &str) -> Option<String> {
        let WebUrl { authority, path, .. } = WebUrl::parse(url).ok()?;
        let port = HostPort::parse(authority).and_then(|read| read.port);
        let shown = redact::value(url);
        let is_thrift = path.ends_with("/api/traces");
        let what = if port == Some(GRPC_PORT) {
            "this looks like an OTLP/gRPC port, and this client sends OTLP over HTTP, which servers \
             take at port 4318"
                .to_owned()
        } else if port == Some(THRIFT_PORT) || is_thrift {
            "this looks like a Jaeger collector's address for Thrift; OTLP over HTTP is taken at port \
             4318, path /v1/traces"
                .to_owned()
        } else if path.matches(TRACES_PATH).count() > 1 {
            format!("its path has {TRACES_PATH} twice")
        } else if !path.ends_with(TRACES_PATH) {
            format!("servers accept OTLP at the path {TRACES_PATH}, unless configured otherwise")
        } else {
            return None;
        };
        Some(format!("spans are sent as OTLP to {shown}: {what}"))
    }
}

fn parse<'u>(field: &'static str, text: &'u str) -> Result<WebUrl<'u>, ConfigError> {
    WebUrl::parse(text.trim()).map_err(|error| {
        let allowed = match error {
            UrlError::Malformed => "a URL such as http://collector:4318",
            UrlError::HasUser => "without user and password, which belong in a header",
        };
        ConfigError::invalid(field, text, allowed)
    })
}

/// The compression of OTLP requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpCompression {
    /// No compression.
    #[default]
    None,
    /// Gzip, which every server of OTLP accepts. Needs the feature `otlp-gzip`.
    ///
    /// # Cost
    ///
    /// Time of the destination's thread, for fewer bytes on the network.
    Gzip,
}

/// A server on this host at the usual port, the default of the specification.
impl Default for OtlpConfig {
    fn default() -> Self {
        Self::new("http://localhost:4318")
    }
}

/// Hides what is secret: configurations end up in logs.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let hidden = self.client_key.as_ref().map(|_| redact::HIDDEN);
        f.debug_struct("OtlpConfig")
            .field("endpoint", &redact::value(&self.endpoint))
            .field("traces_endpoint", &self.traces_endpoint.as_deref().map(redact::value))
            .field("headers", &headers)
            .field("ca_certificates", &self.ca_certificates.as_ref().map(String::len))
            .field("client_certificate", &self.client_certificate.as_ref().map(String::len))
            .field("client_key", &hidden)
            .field("proxy", &self.proxy)
            .field("timeout", &self.timeout)
            .field("retry_limit", &self.retry_limit)
            .field("max_attempts", &self.max_attempts)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("compression", &self.compression)
            .field("max_response_bytes", &self.max_response_bytes)
            .finish()
    }
}

/// The path for spans, below the base URL.
const TRACES_PATH: &str = "/v1/traces";

const WITHOUT_PATH: &str = "the base URL, without /v1/traces, which is appended to it: a URL with that \
     path is a traces_endpoint";
const TIMEOUT: Duration = Duration::from_secs(10);
const GRPC_PORT: u16 = 4317;
const THRIFT_PORT: u16 = 14268;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: &str, traces: Option<&str>) -> Result<String, String> {
        let traces_endpoint = traces.map(str::to_owned);
        let config = OtlpConfig { traces_endpoint, ..OtlpConfig::new(endpoint) };
        config.url().map_err(|error| error.to_string())
    }

    #[test]
    fn a_base_url_gets_the_path_and_one_for_traces_is_taken_as_it_is() {
        for (endpoint, traces, expected) in [
            ("http://c:4318", None, "http://c:4318/v1/traces"),
            ("http://c:4318/", None, "http://c:4318/v1/traces"),
            ("HTTPS://c", None, "https://c/v1/traces"),
            ("http://c/otlp", None, "http://c/otlp/v1/traces"),
            ("http://c/otlp/", None, "http://c/otlp/v1/traces"),
            ("http://c/otlp?key=a/b", None, "http://c/otlp/v1/traces?key=a/b"),
            ("http://[::1]:4318", None, "http://[::1]:4318/v1/traces"),
            ("nothing", Some("http://c:4318"), "http://c:4318/"),
            ("nothing", Some("http://c:4318?a=b"), "http://c:4318/?a=b"),
            ("nothing", Some("http://c:4318/v1/traces"), "http://c:4318/v1/traces"),
            ("nothing", Some("http://c/v1/traces/"), "http://c/v1/traces/"),
            ("nothing", Some("http://c/a/B?c=d"), "http://c/a/B?c=d"),
        ] {
            assert_eq!(url(endpoint, traces).as_deref(), Ok(expected), "{endpoint} {traces:?}");
        }
    }

    #[test]
    fn what_is_no_url_or_has_the_path_already_is_refused_with_what_to_write() {
        for (endpoint, words) in [
            ("collector:4318", ["reporter.otlp.endpoint", "http://collector:4318"]),
            ("grpc://c:4317", ["reporter.otlp.endpoint", "http://collector:4318"]),
            ("", ["reporter.otlp.endpoint", "http://collector:4318"]),
            ("http://ann:hush@c:4318", ["(hidden)", "in a header"]),
            ("http://c:4318/v1/traces", ["without /v1/traces", "traces_endpoint"]),
            ("http://c:4318/v1/traces/", ["without /v1/traces", "traces_endpoint"]),
        ] {
            let error = url(endpoint, None).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{endpoint}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let error = url("http://c", Some("c/v1/traces")).unwrap_err();
        assert!(error.contains("reporter.otlp.traces_endpoint"), "{error}");
    }

    #[test]
    fn debug_names_the_fields_as_they_are_written() {
        let OtlpConfig { max_response_bytes, .. } = OtlpConfig::default();
        let text = format!("{:?}", OtlpConfig::default());
        assert!(text.contains(&format!("max_response_bytes: {max_response_bytes}")), "{text}");
    }

    #[test]
    fn likely_mistakes_are_named_and_a_usual_url_has_no_warning() {
        for (url, words) in [
            ("http://c:4317/v1/traces", "gRPC"),
            ("http://c:14268/v1/traces", "Thrift"),
            ("http://c/api/traces", "Thrift"),
            ("http://c:4318/v1/traces/v1/traces", "twice"),
            ("http://c:4318/", "/v1/traces"),
            ("http://c:4318/v1/traces/", "/v1/traces"),
        ] {
            let message = OtlpConfig::likely_mistake(url).unwrap();
            assert!(message.contains(words) && message.contains(url), "{message}");
        }
        for url in ["http://c:4318/v1/traces", "https://c/otlp/v1/traces?key=x"] {
            assert_eq!(OtlpConfig::likely_mistake(url), None);
        }
        let message = OtlpConfig::likely_mistake("http://c:4317/v1/traces?key=hush").unwrap();
        assert!(!message.contains("hush"), "{message}");
    }
}
