//! Messages as bodies of POST requests: to a collector, or to a Zipkin server.
//!
//! Requests are made one after the other on a connection that is kept. What may help is tried again
//! with growing pauses and a limit; an answer is read to its end, but not beyond a limit.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderName, HeaderValue};

use super::endpoint::Endpoint;
use super::{CollectorFormat, HttpConfig, Hurry, Sent, Transport};
use crate::clock;
use crate::encoding::base64;
use crate::error::{ConfigError, TransportError};
use crate::http_client::{Answer, Client, ClientOptions, Failure, Reason, TlsOptions, Written};

/// Posts messages to a URL.
///
/// # Cost
///
/// One request a message, on a connection that is kept.
///
/// # Source
///
/// `HTTPTransport` in jaeger-client-go, `transport/http.go`; `HttpSender` in jaeger-client-java.
pub struct HttpTransport {
    client: Client,
    format: CollectorFormat,
    max_body_bytes: usize,
    retry_limit: Duration,
    hurry: Hurry,
    /// A message was given up, and none got through since.
    is_failing: bool,
    /// Until when nothing is tried, so that others can use the thread.
    hold_off: Option<Instant>,
    /// Whether others must not be held up by it.
    is_beside: bool,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("url", &self.address()).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Posts as a configuration says.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a URL that is none, half of a user and password, headers or certificates
    /// that cannot be used, and `https` without the feature `tls`. That nobody answers is none.
    pub fn new(config: &HttpConfig) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse(&config.endpoint, config.format)?;
        if config.max_body_bytes < MIN_BODY_BYTES {
            return Err(ConfigError::OutOfRange {
                field: "max_body_bytes",
                value: config.max_body_bytes.to_string(),
                allowed: "1024 at least",
            });
        }
        let timeout = if config.timeout.is_zero() { DEFAULT_TIMEOUT } else { config.timeout };
        let timeout = timeout.min(MAX_TIMEOUT);
        let options = ClientOptions {
            field: "reporter.collector_endpoint",
            timeout,
            // Nobody needs the body of an answer, so that a slow one must not hold up messages.
            body_timeout: timeout.min(MAX_ANSWER_TIME),
            max_answer_bytes: MAX_ANSWER_BYTES,
            tls: TlsOptions { ca_certificates: config.ca_certificates.as_deref() },
        };
        Ok(Self {
            client: Client::new(endpoint.url, headers(config, endpoint.format)?, &options)?,
            format: endpoint.format,
            max_body_bytes: config.max_body_bytes,
            retry_limit: config.retry_limit,
            hurry: Hurry::default(),
            is_failing: false,
            hold_off: None,
            is_beside: false,
        })
    }

    pub(super) fn format(&self) -> CollectorFormat {
        self.format
    }

    pub(super) fn hurried_by(mut self, hurry: &Hurry) -> Self {
        self.hurry = hurry.clone();
        self
    }

    /// Others use the same thread, so that it neither waits nor often finds out that it must fail.
    pub(super) fn beside_others(mut self) -> Self {
        self.is_beside = true;
        self.retry_limit = Duration::ZERO;
        self
    }

    fn address(&self) -> String {
        self.client.shown_url()
    }

    fn attempt(&self, body: &[u8]) -> Result<(), Failed> {
        let mut answered = self.client.post(body);
        // A kept connection that the server has closed meanwhile looks like this.
        if let Err(Failure { reason: Reason::Disconnected(_), .. }) = answered {
            answered = self.client.post(body);
        }
        match answered {
            Ok(answer) => self.answered(&answer, body.len()),
            Err(failure) => Err(self.failed(failure.reason, failure.written == Written::All)),
        }
    }

    fn answered(&self, answer: &Answer, bytes: usize) -> Result<(), Failed> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(());
        }
        if status == 413 {
            return Err(Failed::last(TransportError::TooLarge { bytes }));
        }
        let (address, said) = (self.address(), answer.excerpt());
        let error = TransportError::Answered { address, status, said };
        let again = status >= 500 || status == 408 || status == 429;
        Err(Failed { error, again, retry_after: answer.retry_after })
    }

    fn failed(&self, reason: Reason, was_written: bool) -> Failed {
        let address = self.address();
        let again = |error| Failed { error, again: true, retry_after: None };
        let io = |kind, what| TransportError::Io { source: io::Error::new(kind, what) };
        match reason {
            Reason::Unresolved => {
                let source = io::Error::new(io::ErrorKind::NotFound, "it has no address");
                again(TransportError::Unresolved { address, source })
            }
            Reason::Refused => again(TransportError::Refused { address }),
            Reason::TimedOut(phase) => {
                let timeout = self.client.timeout();
                let what = format!("{address} took longer than {timeout:?} ({phase})");
                let error = io(io::ErrorKind::TimedOut, what);
                // It may have been taken all the same: sent again it would be there twice.
                Failed { error, again: !was_written, retry_after: None }
            }
            Reason::Disconnected(source) => {
                again(io(source.kind(), format!("{address}: {source}")))
            }
            Reason::Unusable(what) => {
                Failed::last(io(io::ErrorKind::Other, format!("{address}: {what}")))
            }
            Reason::Redirect { status, target } => {
                Failed::last(TransportError::Redirected { address, status, target })
            }
        }
    }
}

impl Transport for HttpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let began = clock::now();
        if self.hold_off.is_some_and(|until| began < until) {
            let what = format!("{} failed a moment ago and is tried again later", self.address());
            return Err(TransportError::Io { source: io::Error::other(what) });
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(failure) = self.attempt(message) else {
                self.is_failing = false;
                return Ok(Sent::OK);
            };
            let wait = failure.retry_after.unwrap_or_else(|| jittered(pause));
            let spent = clock::now().saturating_duration_since(began);
            let again = failure.again
                && !self.is_failing
                && !self.hurry.has_begun()
                && spent + wait < self.retry_limit;
            if !again {
                let too_large = matches!(failure.error, TransportError::TooLarge { .. });
                self.is_failing = failure.again || (self.is_failing && !too_large);
                self.hold_off =
                    (self.is_beside && !too_large).then(|| clock::now() + spent.min(MAX_TIMEOUT));
                return Err(failure.error);
            }
            self.hurry.wait(wait);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn max_message_bytes(&self) -> usize {
        self.max_body_bytes
    }
}

/// Why a message was not taken.
struct Failed {
    error: TransportError,
    /// Whether it may help to try again.
    again: bool,
    /// When the server wants to be asked again.
    retry_after: Option<Duration>,
}

impl Failed {
    fn last(error: TransportError) -> Self {
        Self { error, again: false, retry_after: None }
    }
}

/// Somewhat more or less, so that many clients do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.75..1.25))
}

fn headers(
    config: &HttpConfig,
    format: CollectorFormat,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let content_type = HeaderValue::from_static(format.content_type());
    let mut headers = vec![(CONTENT_TYPE, content_type)];
    for (name, value) in &config.headers {
        let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        headers.push(pair.ok_or_else(|| ConfigError::OutOfRange {
            field: "reporter.http_headers",
            value: name.clone(),
            allowed: "a name and a value that HTTP takes",
        })?);
    }
    let given = match (&config.user, &config.password, &config.auth_token) {
        (None, None, None) => return Ok(headers),
        (Some(user), Some(password), None) => {
            format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
        }
        (None, None, Some(token)) => format!("Bearer {token}"),
        (_, _, Some(_)) => {
            return Err(ConfigError::OutOfRange {
                field: "reporter.auth_token",
                value: "(hidden)".to_owned(),
                allowed: "given without reporter.user and reporter.password",
            });
        }
        (user, _, None) => {
            let missing = if user.is_some() { "reporter.password" } else { "reporter.user" };
            return Err(ConfigError::Empty { field: missing });
        }
    };
    let mut value = HeaderValue::try_from(given).map_err(|_| ConfigError::OutOfRange {
        field: "reporter.auth_token",
        value: "(hidden)".to_owned(),
        allowed: "a text that a header of HTTP takes",
    })?;
    value.set_sensitive(true);
    headers.push((AUTHORIZATION, value));
    Ok(headers)
}

pub(super) fn build(address: &str) -> Result<Box<dyn Transport>, ConfigError> {
    Ok(Box::new(HttpTransport::new(&HttpConfig::new(address))?))
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const MIN_BODY_BYTES: usize = 1024;
const MAX_ANSWER_BYTES: u64 = 64 << 10;
const MAX_ANSWER_TIME: Duration = Duration::from_secs(1);
