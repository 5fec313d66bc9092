//! The error of a request, as its span shows it.

use std::error::Error as StdError;
use std::fmt;

use jaeger_client_http::redacted_url;
use reqwest_middleware::Error;

/// An error whose URL is shown without credentials, which reqwest does not leave out of a query.
pub(crate) struct RequestError(pub(crate) Error);

impl RequestError {
    fn redacted(&self, text: String) -> String {
        let Some(url) = self.0.url().map(reqwest::Url::as_str) else { return text };
        let shown = url.parse().map(|url| redacted_url(&url)).unwrap_or_default();
        text.replace(url, &shown)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted(self.0.to_string()))
    }
}

/// The error with its causes, the last of which says most.
impl fmt::Debug for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        for _ in 0..MAX_CAUSES {
            let Some(error) = cause else { break };
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        f.write_str(&self.redacted(text))
    }
}

/// More causes than these are not shown.
const MAX_CAUSES: usize = 16;
