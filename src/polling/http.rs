//! HTTP requests of polls, limited in time and size.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::FetchError;
use crate::address::{UrlError, WebUrl};
use crate::error::ConfigError;
use crate::http_client::{
    BodyError, Client, ClientOptions, HttpResponse, ProxyConfig, TlsOptions, Url,
};
use crate::redact::Secrets;

/// Polls one address. A request ends within its timeout, and at most 1 MiB of a response is read.
pub(crate) struct HttpFetch {
    client: Client,
    /// The URL as errors and log lines show it.
    shown_url: String,
    /// Secrets that a server may repeat and errors must not show.
    secrets: Secrets,
}

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetch").field("url", &self.shown_url).finish_non_exhaustive()
    }
}

impl HttpFetch {
    /// Polls `url`, for at most `timeout` each time. The default scheme is `http://`.
    pub(crate) fn new(
        field: &'static str,
        url: &str,
        allowed: &'static str,
        timeout: Duration,
        proxy: &ProxyConfig,
    ) -> Result<Self, ConfigError> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let refused = |allowed| ConfigError::invalid(field, &url, allowed);
        WebUrl::parse(&url).map_err(|error| match error {
            UrlError::Malformed => refused(allowed),
            // User and password would not be sent.
            UrlError::HasUser => refused("an address without user and password"),
        })?;
        let parsed = Url::parse(&url).ok_or_else(|| refused(allowed))?;
        let timeout = timeout.min(MAX_TIMEOUT);
        let options = ClientOptions {
            field,
            timeout,
            body_timeout: timeout,
            max_response_bytes: MAX_BODY_BYTES,
            // The next poll comes long after a connection would be closed again.
            idle_connections: 0,
            proxy,
            tls: TlsOptions::default(),
        };
        let client = Client::new(parsed, Vec::new(), &options)?;
        let secrets = Secrets::of_url(&url);
        Ok(Self { shown_url: client.shown_url(), client, secrets })
    }

    /// Returns the URL without what is secret in it.
    pub(crate) fn shown_url(&self) -> &str {
        &self.shown_url
    }

    /// Sends a request with this query, and returns the body of a successful response.
    pub(crate) fn get<'q>(
        &self,
        query: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Vec<u8>, FetchError> {
        let encode = |text| utf8_percent_encode(text, IN_QUERY);
        let pairs =
            query.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let response = self
            .client
            .get(&pairs.collect::<Vec<_>>().join("&"))
            .map_err(|failure| self.failed(&failure))?;
        let HttpResponse { status, retry_after, .. } = response;
        if status >= 400 {
            let body = response.excerpt(&self.secrets);
            return Err(FetchError::Status { status, body, retry_after });
        }
        match response.body_error {
            Some(BodyError::TooLong) => Err(FetchError::TooLong { limit: MAX_BODY_BYTES }),
            Some(BodyError::Interrupted(error)) => Err(self.failed(&error)),
            None => Ok(response.body),
        }
    }

    fn failed(&self, error: &dyn fmt::Display) -> FetchError {
        FetchError::new(self.secrets.hide_in(&error.to_string()))
    }
}

/// The characters that a query must encode.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The maximum timeout, small enough for the clock's arithmetic.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The longest response, in bytes: 2,000 operations take about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;
