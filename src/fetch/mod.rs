//! Asks servers by HTTP, again and again: what remote samplers, restrictions and throttlers share.
//!
//! `http` asks once, within limits; `poll` does it on a thread of its own.

mod http;
mod poll;

use std::fmt;
use std::time::Duration;

use crate::redact;

pub(crate) use self::http::HttpFetch;
pub(crate) use self::poll::{Asked, Poller, SharedPoller};

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// The server answered with an error.
    Status {
        /// The status code.
        status: u16,
        /// The beginning of what it said.
        body: String,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than any that is taken.
    TooLong {
        /// How many bytes are taken.
        limit: u64,
    },
    /// Anything else.
    Other {
        /// What happened.
        message: String,
    },
}

impl FetchError {
    /// When the server wants to be asked again, if it answered and said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::TooLong { .. } | Self::Other { .. } => None,
        }
    }

    /// An error of a custom source. What is secret in URLs that it names is hidden.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::Other { message: redact::message(&message.to_string()) }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, body, .. } => write!(f, "status {status}: {body:?}"),
            Self::TooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            Self::Other { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for FetchError {}
