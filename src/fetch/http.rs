//! One question by HTTP, within limits of time and size.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::FetchError;
use crate::error::ConfigError;
use crate::http_client::{
    Answer, BodyError, Client, ClientOptions, ProxyConfig, TlsOptions, Url, redacted,
};

/// Asks one address. A question ends within its limit of time, and of an answer 1 MiB is read at
/// most.
#[derive(Debug)]
pub(crate) struct HttpFetch {
    client: Client,
    url: String,
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
        // Of user and password nothing would be sent, and the URL is told to loggers.
        let has_user = |url: &str| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        };
        let Some(parsed) = Url::parse(&url) else {
            let allowed =
                if has_user(&url) { "an address without user and password" } else { allowed };
            return Err(ConfigError::OutOfRange { field, value: redacted(&url), allowed });
        };
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
        Ok(Self { url: client.shown_url(), client })
    }

    /// The URL for messages.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks with this query, and gives the body of an answer that is no error.
    pub(crate) fn get<'q>(
        &self,
        query: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Vec<u8>, FetchError> {
        let encode = |text| utf8_percent_encode(text, IN_QUERY);
        let pairs =
            query.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let answer =
            self.client.get(&pairs.collect::<Vec<_>>().join("&")).map_err(FetchError::new)?;
        let body = answer.excerpt();
        let Answer { status, retry_after, .. } = answer;
        if status >= 400 {
            return Err(FetchError::Status { status, body, retry_after });
        }
        match answer.body_error {
            Some(BodyError::TooLong) => Err(FetchError::TooLong { limit: MAX_BODY_BYTES }),
            Some(BodyError::Interrupted(error)) => Err(FetchError::new(error)),
            None => Ok(answer.body),
        }
    }
}

/// What stands for something else in a query, or is no ASCII.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longer than anybody waits, and short enough to be reckoned with.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;
