//! One question by HTTP, within limits of time and size.

use std::time::Duration;

use ureq::http::Uri;

use super::FetchError;
use crate::error::ConfigError;

/// Asks one address. A question ends within its limit of time, and of an answer 1 MiB is read at
/// most. Proxies that the environment names are not used: whom it asks is usually on this host.
#[derive(Debug)]
pub(crate) struct HttpFetch {
    agent: ureq::Agent,
    url: String,
}

impl HttpFetch {
    /// Asks at `url`, for at most `timeout` each time. Without a scheme, `http://` is meant.
    pub(crate) fn new(
        field: &'static str,
        url: &str,
        allowed: &'static str,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parsed = url.parse::<Uri>().ok().filter(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            web && uri.host().is_some_and(|host| !host.is_empty())
        });
        if parsed.is_none() {
            return Err(ConfigError::OutOfRange { field, value: url, allowed });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .user_agent(USER_AGENT)
            .proxy(None)
            .build()
            .into();
        Ok(Self { agent, url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks with this query, and gives the body of an answer that is no error.
    pub(crate) fn get<'q>(
        &self,
        query: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Vec<u8>, FetchError> {
        let request = self.agent.get(&self.url).query_pairs(query);
        let mut answer = request.call().map_err(FetchError::new)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
        if status >= 400 {
            let body = body.unwrap_or_default();
            let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
            return Err(FetchError::Status { status, body: shown.trim_end().to_owned() });
        }
        body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong { limit: MAX_BODY_BYTES },
            other => FetchError::new(other),
        })
    }
}

const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));

const MAX_REDIRECTS: u32 = 3;

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// How much of an error page is shown.
const SHOWN_BYTES: usize = 200;
