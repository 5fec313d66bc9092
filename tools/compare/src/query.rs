//! A client of Jaeger's query API, with timeouts, bounded responses, and errors with their remedy.

use std::io::{self, Read};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use ureq::Agent;
use ureq::http::Uri;

use crate::span::StoredTrace;

/// The query API of a running Jaeger.
#[derive(Debug)]
pub(crate) struct Query {
    base: String,
    agent: Agent,
    headers: Vec<(String, String)>,
    max_bytes: u64,
}

/// Why spans cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum QueryError {
    #[error("--query {url:?}: {allowed}")]
    Url { url: String, allowed: &'static str },
    #[error("--query was given {given} times; it may be given once, or twice for two servers")]
    TooManyServers { given: usize },
    #[error("{url}: {error}")]
    NoResponse { url: String, error: Box<ureq::Error> },
    #[error("{url} answered {status}{message}")]
    Status { url: String, status: u16, message: String },
    #[error(
        "{url} answered more than {max_mib} MiB: ask for less with --traces, or allow more with --max-response"
    )]
    TooLong { url: String, max_mib: u64 },
    #[error("{url} did not answer as a Jaeger's query API does: {error}{hint}")]
    NotJaeger { url: String, error: String, hint: &'static str },
    #[error("the server has no service {name:?} in this time; it has {known}")]
    NoService { name: String, known: String },
}

/// The envelope of each response.
#[derive(Deserialize)]
struct ApiResponse<T> {
    data: Option<T>,
    errors: Option<Vec<ResponseError>>,
}

#[derive(Deserialize)]
struct ResponseError {
    code: Option<u16>,
    msg: Option<String>,
}

/// A trace, read for its id alone.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spans", default)]
    _spans: IgnoredAny,
}

/// The range of the start times of spans, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Query {
    /// Makes a client of the API below a base URL, with headers for each request and a limit for each response.
    ///
    /// # Errors
    ///
    /// [`QueryError::Url`] for an invalid URL.
    pub(crate) fn new(
        url: &str,
        headers: Vec<(String, String)>,
        max_bytes: u64,
    ) -> Result<Self, QueryError> {
        let url = url.trim();
        let has_user = url.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        });
        if has_user {
            let allowed = "without user and password, which belong in a --header";
            return Err(QueryError::Url { url: "(hidden)".to_owned(), allowed });
        }
        let refused = |allowed| QueryError::Url { url: url.to_owned(), allowed };
        let uri: Uri = url.parse().map_err(|_| refused("a URL such as http://localhost:16686"))?;
        let is_http = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        if !is_http || uri.host().is_none_or(str::is_empty) {
            return Err(refused("a URL such as http://localhost:16686"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(refused("the base URL, without a query"));
        }
        let base = url.trim_end_matches('/').to_owned();
        if base.ends_with("/api/traces") || base.ends_with("/search") {
            return Err(refused("the base URL, to which /api/traces is appended"));
        }
        match uri.port_u16() {
            Some(16685) => {
                return Err(refused("port 16685 speaks gRPC; the API in JSON is at 16686"));
            }
            Some(4317 | 4318 | 14268 | 14250) => {
                return Err(refused(
                    "this port takes spans; they are read back at another one, usually 16686",
                ));
            }
            _ => {}
        }
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // Headers with secrets are not sent to another server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("jaeger-client-compare/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { base, agent: config.into(), headers, max_bytes })
    }

    /// Returns the names of all services.
    pub(crate) fn services(&self) -> Result<Vec<String>, QueryError> {
        Ok(self.get("/api/services", "")?.unwrap_or_default())
    }

    /// Returns the names of a service's operations.
    pub(crate) fn operations(&self, service: &str) -> Result<Vec<String>, QueryError> {
        let path = format!("/api/services/{}/operations", encoded(service));
        Ok(self.get(&path, "")?.unwrap_or_default())
    }

    /// Returns the ids of traces with spans of a service and, if given, an operation.
    pub(crate) fn search(
        &self,
        service: &str,
        operation: Option<&str>,
        window: Window,
        limit: u32,
    ) -> Result<Vec<String>, QueryError> {
        let Window { start, end } = window;
        let service = encoded(service);
        let mut query = format!("service={service}&start={start}&end={end}&limit={limit}");
        if let Some(operation) = operation {
            query.push_str("&operation=");
            query.push_str(&encoded(operation));
        }
        let found: Vec<Found> = self.get("/api/traces", &query)?.unwrap_or_default();
        Ok(found.into_iter().map(|trace| trace.trace_id).collect())
    }

    /// Returns a trace as it is stored now, if there is one.
    pub(crate) fn trace(&self, id: &str) -> Result<Option<StoredTrace>, QueryError> {
        // Raw: otherwise the server adjusts times to those of parents, and merges copies.
        let path = format!("/api/traces/{}", encoded(id));
        let traces: Option<Vec<StoredTrace>> = self.get(&path, "raw=true")?;
        Ok(traces.and_then(|traces| traces.into_iter().next()))
    }

    /// Returns the data of a response; `None` for "not found".
    fn get<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<Option<T>, QueryError> {
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{query}", self.base);
        let mut request = self.agent.get(&url).header("accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return Err(QueryError::NoResponse { url, error: Box::new(error) }),
        };
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            let to = response.headers().get("location").and_then(|to| to.to_str().ok());
            let message = to.map_or_else(String::new, |to| format!(", to {to:?}: give that URL"));
            return Err(QueryError::Status { url, status, message });
        }
        // One byte more than the limit, so that a longer response is noticed.
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut body = body.take(self.max_bytes + 1);
        let response: Result<ApiResponse<T>, _> =
            serde_json::from_reader(io::BufReader::new(&mut body));
        if body.limit() == 0 {
            return Err(QueryError::TooLong { url, max_mib: self.max_bytes >> 20 });
        }
        match (status, response) {
            (200, Ok(ApiResponse { errors: Some(errors), .. })) if !errors.is_empty() => {
                Err(QueryError::Status { url, status, message: joined_messages(&errors) })
            }
            (200, Ok(response)) => Ok(response.data),
            (404, Ok(ApiResponse { errors: Some(errors), .. }))
                if errors.iter().any(|error| error.code == Some(404)) =>
            {
                Ok(None)
            }
            (status, Ok(response)) if status != 200 => {
                let message = joined_messages(&response.errors.unwrap_or_default());
                Err(QueryError::Status { url, status, message })
            }
            (200, Err(error)) if error.is_io() => {
                Err(QueryError::NoResponse { url, error: Box::new(ureq::Error::Io(error.into())) })
            }
            (200, Err(error)) => {
                let hint =
                    "; is this the base URL, with the base path of the server if it has one?";
                Err(QueryError::NotJaeger { url, error: error.to_string(), hint })
            }
            (status, _) => Err(QueryError::Status { url, status, message: String::new() }),
        }
    }
}

/// Formats the errors in a response as the end of a sentence.
fn joined_messages(errors: &[ResponseError]) -> String {
    let Some(text) = errors.iter().find_map(|error| error.msg.as_deref()) else {
        return String::new();
    };
    let short: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
    format!(": {}", short.escape_debug())
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// All characters but the unreserved ones of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_MESSAGE_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Query::new(url, Vec::new(), 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_what_to_write() {
        for (url, words) in [
            ("", "http://localhost:16686"),
            ("localhost:16686", "http://localhost:16686"),
            ("ftp://c", "http://localhost:16686"),
            ("http://c:16686/api/traces", "the base URL"),
            ("http://c:16686/search", "the base URL"),
            ("http://c:16686/?a=b", "without a query"),
            ("http://c:16686/#a", "without a query"),
            ("http://c:16685", "16686"),
            ("http://c:4318", "16686"),
        ] {
            assert!(refused(url).contains(words), "{url}: {}", refused(url));
        }
        let error = refused("http://ann:hush@c:16686");
        assert!(error.contains("--header") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_base_path_is_preserved() {
        for url in ["http://c:16686/jaeger", "http://c:16686/jaeger/"] {
            assert_eq!(Query::new(url, Vec::new(), 1).unwrap().base, "http://c:16686/jaeger");
        }
    }

    #[test]
    fn names_of_any_text_fit_into_a_url() {
        assert_eq!(encoded("a/b c?&=#%é"), "a%2Fb%20c%3F%26%3D%23%25%C3%A9");
    }
}
