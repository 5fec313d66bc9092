//! One question by HTTP, within limits of time and size.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::FetchError;
use crate::address::{UrlError, WebUrl};
use crate::error::ConfigError;
use crate::http_client::{Answer, BodyError, Client, ClientOptions, ProxyConfig, TlsOptions, Url};
use crate::redact::Secrets;

/// Asks one address. A question ends within its limit of time, and of an answer 1 MiB is read at
/// most.
pub(crate) struct HttpFetch {
    client: Client,
    /// The URL as errors and log lines show it.
    shown_url: String,
    /// What an answer may repeat and errors must not.
    secrets: Secrets,
}

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetch").field("url", &self.shown_url).finish_non_exhaustive()
    }
}

impl HttpFetch {
    /// Asks at `url`, for at most `timeout` each time. Without a scheme, `http://` is meant.
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
            // They would not be sent.
            UrlError::HasUser => refused("an address without user and password"),
        })?;
        let parsed = Url::parse(&url).ok_or_else(|| refused(allowed))?;
        let timeout = timeout.min(MAX_TIMEOUT);
        let options = ClientOptions {
            field,
            timeout,
            body_timeout: timeout,
            max_answer_bytes: MAX_BODY_BYTES,
            proxy,
            tls: TlsOptions::default(),
        };
        let client = Client::new(parsed, Vec::new(), &options)?;
        let secrets = Secrets::of_url(&url);
        Ok(Self { shown_url: client.shown_url(), client, secrets })
    }

    /// Whom it asks, without what is secret in the URL.
    pub(crate) fn shown_url(&self) -> &str {
        &self.shown_url
    }

    /// Asks with this query, and gives the body of an answer that is no error.
    pub(crate) fn get<'q>(
        &self,
        query: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Vec<u8>, FetchError> {
        let encode = |text| utf8_percent_encode(text, IN_QUERY);
        let pairs =
            query.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let answer = self
            .client
            .get(&pairs.collect::<Vec<_>>().join("&"))
            .map_err(|failure| self.failed(&failure))?;
        let Answer { status, retry_after, .. } = answer;
        if status >= 400 {
            let body = answer.excerpt(&self.secrets);
            return Err(FetchError::Status { status, body, retry_after });
        }
        match answer.body_error {
            Some(BodyError::TooLong) => Err(FetchError::TooLong { limit: MAX_BODY_BYTES }),
            Some(BodyError::Interrupted(error)) => Err(self.failed(&error)),
            None => Ok(answer.body),
        }
    }

    fn failed(&self, error: &dyn fmt::Display) -> FetchError {
        FetchError::new(self.secrets.hide_in(&error.to_string()))
    }
}

/// What stands for something else in a query, or is no ASCII.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longer than anybody waits, and short enough to be reckoned with.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;
