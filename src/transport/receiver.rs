//! The kinds of HTTP servers: headers of requests, meaning of responses, and names of options in
//! errors.

use std::time::Duration;

use super::{CollectorFormat, Sent};
#[cfg(feature = "otlp")]
use crate::encoding::{OtlpResponse, OtlpStatus};
#[cfg(feature = "otlp")]
use crate::http_client::BodyError;
use crate::http_client::{HttpResponse, RetriedStatuses, TlsOptionNames};
use crate::redact::Secrets;

/// The kind of server that messages are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// A Jaeger collector, or a Zipkin server.
    Collector(CollectorFormat),
    /// A server of OTLP over HTTP.
    #[cfg(feature = "otlp")]
    Otlp,
}

impl Receiver {
    /// Returns the encoding of messages.
    pub(super) const fn encoding(self) -> &'static str {
        match self {
            Self::Collector(format) => format.encoding(),
            #[cfg(feature = "otlp")]
            Self::Otlp => "otlp",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Collector(format) => format.content_type(),
            #[cfg(feature = "otlp")]
            Self::Otlp => "application/x-protobuf",
        }
    }

    /// Returns the user agent, if it is not the usual one.
    pub(super) const fn user_agent(self) -> Option<&'static str> {
        match self {
            Self::Collector(_) => None,
            #[cfg(feature = "otlp")]
            Self::Otlp => Some(OTLP_USER_AGENT),
        }
    }

    pub(super) const fn default_timeout(self) -> Duration {
        match self {
            Self::Collector(_) => Duration::from_secs(5),
            #[cfg(feature = "otlp")]
            Self::Otlp => Duration::from_secs(10),
        }
    }

    pub(super) const fn retried_statuses(self) -> RetriedStatuses {
        match self {
            Self::Collector(_) => RetriedStatuses::Usual,
            #[cfg(feature = "otlp")]
            Self::Otlp => RetriedStatuses::Otlp,
        }
    }

    pub(super) const fn endpoint_name(self) -> &'static str {
        match self {
            Self::Collector(_) => "reporter.collector_endpoint",
            #[cfg(feature = "otlp")]
            Self::Otlp => "reporter.otlp.endpoint",
        }
    }

    pub(super) const fn headers_name(self) -> &'static str {
        match self {
            Self::Collector(_) => "reporter.http_headers",
            #[cfg(feature = "otlp")]
            Self::Otlp => "reporter.otlp.headers",
        }
    }

    pub(super) fn tls_names(self) -> TlsOptionNames {
        match self {
            Self::Collector(_) => TlsOptionNames::default(),
            #[cfg(feature = "otlp")]
            Self::Otlp => TlsOptionNames {
                ca_certificates: "reporter.otlp.ca_certificates",
                client_certificate: "reporter.otlp.client_certificate",
                client_key: "reporter.otlp.client_key",
            },
        }
    }

    /// Reads the response to an accepted request.
    #[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "OTLP alone says more"))]
    pub(super) fn taken(self, response: &HttpResponse, secrets: &Secrets) -> Sent {
        match self {
            Self::Collector(_) => Sent::ACKNOWLEDGED,
            #[cfg(feature = "otlp")]
            Self::Otlp => partial_success(response, secrets),
        }
    }

    /// Returns why a message was not accepted, by an error response.
    pub(super) fn reason(self, response: &HttpResponse, secrets: &Secrets) -> String {
        match self {
            Self::Collector(_) => response.excerpt(secrets),
            #[cfg(feature = "otlp")]
            Self::Otlp => match OtlpStatus::parse(&response.body) {
                Ok(status) if !status.message.is_empty() => {
                    secrets.hide_in(&status.message).chars().take(MAX_REASON_CHARS).collect()
                }
                // Proxies, and servers of other kinds, respond with text.
                _ => response.excerpt(secrets),
            },
        }
    }
}

/// Reads a response of OTLP to an accepted request. A malformed one does not change that it was
/// accepted: the request must not be sent again.
#[cfg(feature = "otlp")]
fn partial_success(response: &HttpResponse, secrets: &Secrets) -> Sent {
    let unknown = |why: &str| Sent::ACKNOWLEDGED.with_rejected(0, why);
    match &response.body_error {
        Some(BodyError::TooLong) => {
            return unknown(
                "the response is too long to be read: its rejected spans are not known",
            );
        }
        Some(BodyError::Interrupted(error)) => {
            return unknown(&format!(
                "the response ended early, so its rejected spans are not known: {error}"
            ));
        }
        None => {}
    }
    match OtlpResponse::parse(&response.body) {
        Ok(response) if response.is_full_success() => Sent::ACKNOWLEDGED,
        Ok(response) => {
            let message = secrets.hide_in(&response.message);
            Sent::ACKNOWLEDGED.with_rejected(response.rejected_spans, message)
        }
        Err(_) => {
            let message = response.excerpt(secrets);
            unknown(&format!("the response is not OTLP: {message}"))
        }
    }
}

#[cfg(feature = "otlp")]
const OTLP_USER_AGENT: &str = concat!(
    "jaeger-client-rust/",
    env!("CARGO_PKG_VERSION"),
    " OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION")
);

/// The maximum length of a reason that is shown.
#[cfg(feature = "otlp")]
const MAX_REASON_CHARS: usize = 200;
