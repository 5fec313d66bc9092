//! Requests over HTTP/1.1, bounded in time and size: shared by transports and polls.
//!
//! [`Client`] sends requests and follows redirects; [`exchange`] is one request and its response,
//! by ureq or, through a proxy that forwards `http://` requests, by [`forward`]. [`proxy`] and
//! [`no_proxy`] select the route, and [`retry`] decides about retries.

#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod client;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod exchange;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod forward;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod no_proxy;
mod proxy;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod retry;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod tls;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
mod url;

#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::client::{Client, ClientOptions};
#[cfg(any(feature = "remote-sampler", feature = "otlp"))]
pub(crate) use self::exchange::BodyError;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::exchange::HttpResponse;
#[cfg(feature = "collector-http")]
pub(crate) use self::exchange::{Failure, Reason, Written};
pub use self::proxy::ProxyConfig;
#[cfg(feature = "remote-sampler")]
pub(crate) use self::retry::Backoff;
#[cfg(feature = "collector-http")]
pub(crate) use self::retry::{
    Attempts, FailedAttempt, RetriedStatuses, Retry, RetryPolicy, RetryState,
};
#[cfg(feature = "collector-http")]
pub(crate) use self::tls::TlsOptionNames;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::tls::TlsOptions;
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::url::Url;
