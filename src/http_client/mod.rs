//! Requests over HTTP/1.1, bounded in time and size: what senders and polls share.
//!
//! [`client`] makes a request and follows redirects; [`exchange`] is one request and its answer, by
//! ureq. What is tried again is [`retry`]'s to say.

mod client;
mod exchange;
mod retry;
mod tls;
mod url;

pub(crate) use self::client::{Client, ClientOptions};
pub(crate) use self::exchange::Answer;
#[cfg(feature = "remote-sampler")]
pub(crate) use self::exchange::BodyError;
#[cfg(feature = "collector-http")]
pub(crate) use self::exchange::{Failure, Reason, Written};
#[cfg(feature = "remote-sampler")]
pub(crate) use self::retry::Backoff;
#[cfg(feature = "collector-http")]
pub(crate) use self::retry::{Attempts, FailedAttempt, Retry, RetryPolicy, RetryState};
pub(crate) use self::tls::TlsOptions;
pub(crate) use self::url::{Url, redacted};
