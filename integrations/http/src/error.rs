//! Why a request has no response, or a response no end.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::body::BoxError;

/// Why a request failed.
///
/// A response of any status is none of these.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL is invalid for a request.
    Url {
        /// The URL, without credentials.
        url: String,
        /// The reason.
        reason: &'static str,
    },
    /// No address was found for a host.
    Resolve {
        /// The host.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// No address of a host accepts connections.
    Connect {
        /// The first address that was tried.
        address: SocketAddr,
        /// Why it failed.
        source: io::Error,
    },
    /// The TLS handshake failed.
    Tls {
        /// The host.
        host: String,
        /// The TLS error.
        source: io::Error,
    },
    /// A timeout expired.
    TimedOut {
        /// The phase in which the timeout expired.
        phase: Phase,
        /// The time that was allowed.
        limit: Duration,
    },
    /// The request could not be written, or its response not be read.
    Exchange {
        /// The HTTP error.
        source: BoxError,
    },
    /// The response's body broke off.
    Body {
        /// The HTTP error.
        source: BoxError,
    },
    /// The response's body is longer than the caller takes.
    TooLong {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// Redirects led on and on.
    TooManyRedirects {
        /// The number of requests.
        hops: usize,
        /// Where the last one was to lead, without credentials.
        url: String,
    },
    /// A redirect has an unusable target.
    Redirect {
        /// Where it leads, without credentials.
        location: String,
        /// The reason.
        reason: &'static str,
    },
}

/// The phases of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Asking for the addresses of a host.
    Resolve,
    /// Connecting to an address.
    Connect,
    /// Shaking hands with TLS.
    Tls,
    /// Sending the request and waiting for the head of the response.
    Headers,
    /// Reading the response's body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Headers => "waiting for the response",
            Self::Body => "reading the response's body",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, reason } => write!(f, "cannot ask for {url:?}: {reason}"),
            Self::Resolve { host, .. } => write!(f, "cannot resolve {host}"),
            Self::Connect { address, .. } => write!(f, "cannot connect to {address}"),
            Self::Tls { host, .. } => write!(f, "TLS handshake with {host} failed"),
            Self::TimedOut { phase, limit } => write!(f, "timed out after {limit:?} in {phase}"),
            Self::Exchange { .. } => f.write_str("no response"),
            Self::Body { .. } => f.write_str("the response's body broke off"),
            Self::TooLong { limit } => {
                write!(f, "the response's body is longer than {limit} bytes")
            }
            Self::TooManyRedirects { hops, url } => {
                write!(f, "stopped after {hops} requests, redirected to {url} next")
            }
            Self::Redirect { location, reason } => {
                write!(f, "redirected to {location:?}: {reason}")
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Resolve { source, .. }
            | Self::Connect { source, .. }
            | Self::Tls { source, .. } => Some(source),
            Self::Exchange { source } | Self::Body { source } => Some(&**source),
            _ => None,
        }
    }
}

impl Error {
    /// Returns whether a timeout expired, in any phase.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_it_had_and_gives_its_cause() {
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::Connect { address: SocketAddr::from(([127, 0, 0, 1], 9)), source };
        assert_eq!(error.to_string(), "cannot connect to 127.0.0.1:9");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        let late = Error::TimedOut { phase: Phase::Tls, limit: Duration::from_secs(2) };
        assert_eq!(late.to_string(), "timed out after 2s in the TLS handshake");
        assert!(late.is_timeout() && !error.is_timeout());
    }
}
