//! One question by HTTP, within limits of time and size.

use std::io::Read;
use std::time::Duration;

use ureq::http::Uri;

use super::FetchError;
use super::retry::parse_retry_after;
use crate::clock::{Clock, SystemClock};
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
        let Some(parsed) = parsed else {
            return Err(ConfigError::OutOfRange { field, value: shown(&url), allowed });
        };
        // They would not be sent, and the URL is told to loggers.
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let allowed = "an address without user and password";
            return Err(ConfigError::OutOfRange { field, value: shown(&url), allowed });
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
        let answer = request.call().map_err(FetchError::new)?;
        let status = answer.status().as_u16();
        let now = SystemClock::new().wall_nanos();
        let asked = answer.headers().get_all("retry-after").iter();
        let asked = asked.filter_map(|value| parse_retry_after(value.to_str().ok()?, now));
        let retry_after = asked.max();
        // Limited here: earlier versions of ureq limit what came over the network, which is much more
        // once it is unpacked, and an application may have turned that on.
        let mut limited = answer.into_body().into_reader().take(MAX_BODY_BYTES + 1);
        let mut body = Vec::new();
        let read = limited.read_to_end(&mut body);
        if status >= 400 {
            let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
            return Err(FetchError::Status {
                status,
                body: shown.trim_end().to_owned(),
                retry_after,
            });
        }
        match read {
            Ok(bytes) if bytes as u64 > MAX_BODY_BYTES => {
                Err(FetchError::TooLong { limit: MAX_BODY_BYTES })
            }
            Ok(_) => Ok(body),
            Err(error) => Err(FetchError::new(error)),
        }
    }
}

/// A URL for messages: who is named in it is nobody's business.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://(hidden)@{place}"),
        _ => url.to_owned(),
    }
}

const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));

const MAX_REDIRECTS: u32 = 3;

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// How much of an error page is shown.
const SHOWN_BYTES: usize = 200;
