//! One question by HTTP, within limits of time and size.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use super::FetchError;
use crate::address::{UrlError, WebUrl};
use crate::error::ConfigError;
use crate::redact::{self, Secrets};

/// Asks one address. A question ends within its limit of time, and of an answer 1 MiB is read at
/// most. Proxies that the environment names are not used: whom it asks is usually on this host.
pub(crate) struct HttpFetch {
    agent: ureq::Agent,
    url: String,
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
    ) -> Result<Self, ConfigError> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parsed = WebUrl::parse(&url).map_err(|error| {
            let allowed = match error {
                UrlError::Malformed => allowed,
                // They would not be sent.
                UrlError::HasUser => "an address without user and password",
            };
            ConfigError::invalid(field, &url, allowed)
        })?;
        if parsed.is_https && cfg!(not(feature = "tls")) {
            return Err(ConfigError::FeatureOff { field, feature: "tls" });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .user_agent(USER_AGENT)
            .proxy(None)
            .build()
            .into();
        Ok(Self { agent, shown_url: redact::value(&url), secrets: Secrets::of_url(&url), url })
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
        let request = self.agent.get(&self.url).query_pairs(query);
        let answer = request.call().map_err(|error| self.failed(&error))?;
        let status = answer.status().as_u16();
        // Limited here: earlier versions of ureq limit what came over the network, which is much more
        // once it is unpacked, and an application may have turned that on.
        let mut limited = answer.into_body().into_reader().take(MAX_BODY_BYTES + 1);
        let mut body = Vec::new();
        let read = limited.read_to_end(&mut body);
        if status >= 400 {
            // Hidden first: a secret that is cut off would not be found.
            let shown = &body[..body.len().min(SEARCHED_BYTES)];
            let shown = self.secrets.hide_in(&String::from_utf8_lossy(shown));
            let shown: String = shown.chars().take(SHOWN_CHARS).collect();
            return Err(FetchError::Status { status, body: shown.trim_end().to_owned() });
        }
        match read {
            Ok(bytes) if bytes as u64 > MAX_BODY_BYTES => {
                Err(FetchError::TooLong { limit: MAX_BODY_BYTES })
            }
            Ok(_) => Ok(body),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &dyn fmt::Display) -> FetchError {
        FetchError::new(self.secrets.hide_in(&error.to_string()))
    }
}

const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));

const MAX_REDIRECTS: u32 = 3;

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// How much of an error page is searched for secrets.
const SEARCHED_BYTES: usize = 8 << 10;

/// How much of it is shown.
const SHOWN_CHARS: usize = 200;
