//! Messages as bodies of POST requests: to a collector, or to a Zipkin server.
//!
//! Requests are made one after the other on a connection that is kept. What is tried again, and how
//! often, is said in `http_client/retry.rs`.

use std::fmt;
use std::io;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use ureq::http::{HeaderName, HeaderValue};

use super::endpoint::Endpoint;
use super::{CollectorFormat, HttpConfig, Hurry, Sent, Transport};
use crate::clock;
use crate::encoding::base64;
use crate::error::{ConfigError, TransportError};
use crate::http_client::{
    Answer, Attempts, Client, ClientOptions, FailedAttempt, Failure, Reason, Retry, RetryPolicy,
    RetryState, TlsOptions, Written,
};
use crate::redact::{HIDDEN, Secrets};

/// Posts messages to a URL.
///
/// # Cost
///
/// One request a message, on a connection that is kept; through an `http://` proxy, on one of its
/// own.
///
/// # Source
///
/// `HTTPTransport` in jaeger-client-go, `transport/http.go`; `HttpSender` in jaeger-client-java.
pub struct HttpTransport {
    client: Client,
    /// What an answer may repeat and errors must not.
    secrets: Secrets,
    format: CollectorFormat,
    max_body_bytes: usize,
    retries: RetryState,
    hurry: Hurry,
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
    /// [`ConfigError`] for a URL that is none, half of a user and password, headers, certificates, a
    /// key or a proxy that cannot be used, and `https` without the feature `tls`. That nobody
    /// answers is none.
    pub fn new(config: &HttpConfig) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse(&config.endpoint, config.format)?;
        if config.max_body_bytes < MIN_BODY_BYTES {
            return Err(ConfigError::invalid(
                "max_body_bytes",
                config.max_body_bytes.to_string(),
                "1024 at least",
            ));
        }
        let timeout = if config.timeout.is_zero() { DEFAULT_TIMEOUT } else { config.timeout };
        let timeout = timeout.min(MAX_TIMEOUT);
        let options = ClientOptions {
            field: "reporter.collector_endpoint",
            timeout,
            // Nobody needs the body of an answer, so that a slow one must not hold up messages.
            body_timeout: timeout.min(MAX_ANSWER_TIME),
            max_answer_bytes: MAX_ANSWER_BYTES,
            proxy: &config.proxy,
            tls: TlsOptions {
                ca_certificates: config.ca_certificates.as_deref(),
                client_certificate: config.client_certificate.as_deref(),
                client_key: config.client_key.as_deref(),
            },
        };
        let policy = RetryPolicy {
            max_attempts: config.max_attempts.max(1),
            max_elapsed: config.retry_limit.min(MAX_RETRY_LIMIT),
        };
        Ok(Self {
            secrets: secrets(config, &endpoint.url.to_string()),
            client: Client::new(endpoint.url, headers(config, endpoint.format)?, &options)?,
            format: endpoint.format,
            max_body_bytes: config.max_body_bytes,
            retries: RetryState::new(policy),
            hurry: Hurry::default(),
        })
    }

    /// What the server takes: as configured, or as the path of the URL says.
    #[must_use]
    pub fn format(&self) -> CollectorFormat {
        self.format
    }

    pub(super) fn hurried_by(mut self, hurry: &Hurry) -> Self {
        self.hurry = hurry.clone();
        self
    }

    /// Others use the same thread, so that it neither waits nor often finds out that it must fail.
    pub(super) fn beside_others(mut self) -> Self {
        self.retries = self.retries.sharing_its_thread();
        self
    }

    fn address(&self) -> String {
        self.client.shown_url()
    }

    /// What an answer that is no success says.
    fn refused(&self, answer: &Answer) -> (FailedAttempt, TransportError) {
        let error = TransportError::Answered {
            address: self.address(),
            status: answer.status,
            said: answer.excerpt(&self.secrets),
        };
        (FailedAttempt::by_status(answer.status, answer.retry_after), error)
    }

    /// What it says that there is no answer.
    fn failed(&self, failure: Failure) -> (FailedAttempt, TransportError) {
        let address = self.address();
        let was_written = failure.written == Written::All;
        let io = |kind, what: String| TransportError::Io {
            source: io::Error::new(kind, self.secrets.hide_in(&what)),
        };
        let (retry, error) = match failure.reason {
            Reason::Unresolved => {
                let source = io::Error::new(io::ErrorKind::NotFound, "it has no address");
                (Retry::Yes, TransportError::Unresolved { address, source })
            }
            Reason::Refused => (Retry::Yes, TransportError::Refused { address }),
            Reason::TimedOut(phase) => {
                let timeout = self.client.timeout();
                let what = format!("{address} took longer than {timeout:?} ({phase})");
                // Sent again it would be there twice, and the server is no faster for it.
                let retry = if was_written { Retry::No } else { Retry::Yes };
                (retry, io(io::ErrorKind::TimedOut, what))
            }
            Reason::Disconnected(source) => {
                let retry = if was_written { Retry::Unanswered } else { Retry::Yes };
                (retry, io(source.kind(), format!("{address}: {source}")))
            }
            Reason::Unusable(what) => {
                (Retry::No, io(io::ErrorKind::Other, format!("{address}: {what}")))
            }
            Reason::Redirect { status, target } => {
                (Retry::No, TransportError::Redirected { address, status, target })
            }
        };
        (FailedAttempt::without_answer(retry, was_written), error)
    }

    /// Ends with the error of the last attempt, and with what is known of the others.
    fn give_up(&self, attempts: &Attempts, error: TransportError) -> TransportError {
        if !attempts.may_be_processed() {
            return error;
        }
        TransportError::Unconfirmed { attempts: attempts.made(), source: Box::new(error) }
    }
}

impl Transport for HttpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let Some(mut attempts) = self.retries.begin(clock::now()) else {
            let what = format!("{} failed a moment ago and is tried again later", self.address());
            return Err(TransportError::Io { source: io::Error::other(what) });
        };
        loop {
            let mut was_cut_off = false;
            let (failed, error) = match self.client.post(message) {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    self.retries.recovered();
                    let sent = Sent::OK;
                    return Ok(sent.with_possible_duplicate(attempts.may_be_processed()));
                }
                Ok(answer) if answer.status == 413 => {
                    self.retries.recovered();
                    return Err(TransportError::TooLarge { bytes: message.len() });
                }
                Ok(answer) => self.refused(&answer),
                Err(failure) => {
                    was_cut_off = failure.written == Written::Part;
                    self.failed(failure)
                }
            };
            let now = clock::now();
            let pause = attempts.failed(failed, now);
            // A close ends the waiting, but a kept connection may be one that the server has closed:
            // that is known only now, and the last spans would be lost for it.
            let is_once_more = attempts.made() == 1 && matches!(error, TransportError::Io { .. });
            // A server that finds a message too large may end the connection before it has read it,
            // and its answer is lost.
            let is_last = attempts.made() > 1 || pause.is_none();
            if was_cut_off && is_last && message.len() > MIN_CUT_OFF_BYTES {
                return Err(TransportError::TooLarge { bytes: message.len() });
            }
            match pause {
                Some(pause) if !self.hurry.has_begun() => self.hurry.wait(pause),
                Some(_) if is_once_more => {}
                _ => {
                    let is_at_work = matches!(error, TransportError::Answered { .. })
                        && failed.retry == Retry::No;
                    if is_at_work {
                        self.retries.recovered();
                    } else {
                        self.retries.gave_up(&attempts, now);
                    }
                    return Err(self.give_up(&attempts, error));
                }
            }
        }
    }

    fn max_message_bytes(&self) -> usize {
        self.max_body_bytes
    }
}

fn headers(
    config: &HttpConfig,
    format: CollectorFormat,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let content_type = HeaderValue::from_static(format.content_type());
    let mut headers = vec![(CONTENT_TYPE, content_type)];
    for (name, value) in &config.headers {
        let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        // How long a message is, it says itself.
        let pair = pair.filter(|(name, _)| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING);
        headers.push(pair.ok_or_else(|| {
            ConfigError::invalid(
                "reporter.http_headers",
                name.split([':', '=']).next().unwrap_or_default(),
                "a name and a value that HTTP takes",
            )
        })?);
    }
    let given = match (&config.user, &config.password, &config.auth_token) {
        (None, None, None) => return Ok(headers),
        (Some(user), Some(password), None) => {
            format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
        }
        (None, None, Some(token)) => format!("Bearer {token}"),
        (_, _, Some(_)) => {
            return Err(ConfigError::invalid(
                "reporter.auth_token",
                HIDDEN,
                "given without reporter.user and reporter.password",
            ));
        }
        (user, _, None) => {
            let missing = if user.is_some() { "reporter.password" } else { "reporter.user" };
            return Err(ConfigError::Empty { field: missing });
        }
    };
    let mut value = HeaderValue::try_from(given).map_err(|_| {
        ConfigError::invalid("reporter.auth_token", HIDDEN, "a text that a header of HTTP takes")
    })?;
    value.set_sensitive(true);
    headers.push((AUTHORIZATION, value));
    Ok(headers)
}

/// What requests hold that nobody else should see.
fn secrets(config: &HttpConfig, url: &str) -> Secrets {
    let mut secrets = Secrets::of_url(url);
    let HttpConfig { user, password, auth_token, headers, .. } = config;
    let basic = user.as_ref().zip(password.as_ref());
    let basic = basic.map(|(user, password)| base64(format!("{user}:{password}").as_bytes()));
    let given = [basic.as_ref(), password.as_ref(), auth_token.as_ref()].into_iter().flatten();
    given.chain(headers.iter().map(|(_, value)| value)).for_each(|secret| secrets.add(secret));
    secrets
}

pub(super) fn build(address: &str) -> Result<Box<dyn Transport>, ConfigError> {
    Ok(Box::new(HttpTransport::new(&HttpConfig::new(address))?))
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
const MAX_RETRY_LIMIT: Duration = Duration::from_secs(24 * 3600);
const MAX_ANSWER_TIME: Duration = Duration::from_secs(1);
const MIN_BODY_BYTES: usize = 1024;

/// The largest message that a server surely reads before it answers.
const MIN_CUT_OFF_BYTES: usize = 64 << 10;

const MAX_ANSWER_BYTES: u64 = 64 << 10;
