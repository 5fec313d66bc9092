//! Polling of servers by HTTP: shared by remote samplers, baggage restrictions and throttlers.
//!
//! `http` sends one request, within limits; `poll` does it on its own thread.

mod http;
mod poll;

use std::fmt;
use std::time::Duration;

use crate::redact;

pub(crate) use self::http::HttpFetch;
pub(crate) use self::poll::{PollResult, Poller, SharedPoller};

/// The reason why a poll has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// The server responded with an error.
    Status {
        /// The status code.
        status: u16,
        /// The beginning of the body.
        body: String,
        /// The delay of `Retry-After`, if there is one.
        retry_after: Option<Duration>,
    },
    /// The response is too long.
    TooLong {
        /// The maximum length, in bytes.
        limit: u64,
    },
    /// Any other error.
    Other {
        /// The message.
        message: String,
    },
}

impl FetchError {
    /// Returns the delay of the server's `Retry-After`, if there is one.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::TooLong { .. } | Self::Other { .. } => None,
        }
    }

    /// Returns an error of a custom source. Secrets in URLs of the message are hidden.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::Other { message: redact::message(&message.to_string()) }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, body, .. } => write!(f, "status {status}: {body:?}"),
            Self::TooLong { limit } => write!(f, "the response is longer than {limit} bytes"),
            Self::Other { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for FetchError {}
