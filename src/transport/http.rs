//! The HTTP transport: messages are bodies of POST requests to a collector or a Zipkin server.
//!
//! Requests are sent one after the other on a persistent connection. The retry policy is in
//! `http_client/retry.rs`.

use std::fmt;
use std::io;
use std::time::Duration;

use ureq::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT,
};
use ureq::http::{HeaderName, HeaderValue};

use super::endpoint::Endpoint;
#[cfg(feature = "otlp-gzip")]
use super::gzip::Gzip;
#[cfg(feature = "otlp")]
use super::otlp::{OtlpCompression, OtlpConfig};
use super::receiver::Receiver;
use super::{CloseSignal, HttpConfig, Sent, Transport};
use crate::clock;
use crate::encoding::base64;
use crate::error::{ConfigError, TransportError};
use crate::http_client::{
    Attempts, Client, ClientOptions, FailedAttempt, Failure, HttpResponse, Reason, Retry,
    RetryPolicy, RetryState, TlsOptions, Url, Written,
};
use crate::redact::{HIDDEN, Secrets};

/// Posts messages to a URL.
///
/// # Cost
///
/// One request per message, on a persistent connection; through an `http://` proxy, on a new one.
///
/// # Source
///
/// `HTTPTransport` in jaeger-client-go, `transport/http.go`; `HttpSender` in jaeger-client-java.
pub struct HttpTransport {
    client: Client,
    /// Secrets that a server may repeat and errors must not show.
    secrets: Secrets,
    receiver: Receiver,
    max_body_bytes: usize,
    #[cfg(feature = "otlp-gzip")]
    gzip: Option<Gzip>,
    /// The maximum time for a message, with all attempts.
    total_timeout: Duration,
    retries: RetryState,
    close_signal: CloseSignal,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("url", &self.address()).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Makes a transport by this configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for an invalid URL, a user without password or the reverse, invalid headers,
    /// certificates, key or proxy, and `https` without the feature `tls`. A server that cannot be
    /// reached is no error.
    pub fn new(config: &HttpConfig) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse(&config.endpoint, config.format)?;
        if config.max_body_bytes < MIN_BODY_BYTES {
            return Err(ConfigError::invalid(
                "max_body_bytes",
                config.max_body_bytes.to_string(),
                "1024 at least",
            ));
        }
        Self::of(Receiver::Collector(endpoint.format), endpoint.url, config, MAX_RESPONSE_BYTES)
    }

    /// Makes a transport for OTLP by this configuration.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    #[cfg(feature = "otlp")]
    pub fn otlp(config: &OtlpConfig) -> Result<Self, ConfigError> {
        let url = config.url()?;
        if !(MIN_BODY_BYTES..=OtlpConfig::MAX_BODY_BYTES).contains(&config.max_body_bytes) {
            return Err(ConfigError::invalid(
                "reporter.otlp.max_body_bytes",
                config.max_body_bytes.to_string(),
                "from 1024 to 67108864, which is 64 MiB",
            ));
        }
        let allowed = "a URL such as http://collector:4318";
        let refused = || ConfigError::invalid("reporter.otlp.endpoint", &url, allowed);
        let parsed = Url::parse(&url).ok_or_else(refused)?;
        let transport =
            Self::of(Receiver::Otlp, parsed, &config.http(), config.max_response_bytes)?;
        match config.compression {
            OtlpCompression::None => Ok(transport),
            #[cfg(feature = "otlp-gzip")]
            OtlpCompression::Gzip => Ok(transport.with_gzip()),
            #[cfg(not(feature = "otlp-gzip"))]
            OtlpCompression::Gzip => Err(ConfigError::FeatureOff {
                field: "reporter.otlp.compression",
                feature: "otlp-gzip",
            }),
        }
    }

    /// Makes a transport for a receiver, at a URL that begins with the configured one.
    fn of(
        receiver: Receiver,
        url: Url,
        config: &HttpConfig,
        max_response_bytes: u64,
    ) -> Result<Self, ConfigError> {
        let is_default = config.timeout.is_zero();
        let timeout = if is_default { receiver.default_timeout() } else { config.timeout };
        let timeout = timeout.min(MAX_TIMEOUT);
        let options = ClientOptions {
            field: receiver.endpoint_name(),
            timeout,
            // A slow body of a response must not delay messages.
            body_timeout: timeout.min(MAX_RESPONSE_TIME),
            max_response_bytes,
            idle_connections: 1,
            proxy: &config.proxy,
            tls: TlsOptions {
                names: receiver.tls_names(),
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
            secrets: secrets(config, &url.to_string()),
            client: Client::new(url, headers(config, receiver)?, &options)?,
            receiver,
            max_body_bytes: config.max_body_bytes,
            #[cfg(feature = "otlp-gzip")]
            gzip: None,
            total_timeout: timeout.max(policy.max_elapsed),
            retries: RetryState::new(policy),
            close_signal: CloseSignal::default(),
        })
    }

    /// Returns the name of the encoding of messages, an entry of
    /// [`ENCODINGS`](crate::encoding::ENCODINGS).
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.receiver.encoding()
    }

    #[cfg(feature = "otlp-gzip")]
    fn with_gzip(mut self) -> Self {
        self.client.add_header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        self.gzip = Some(Gzip::default());
        self
    }

    pub(super) fn with_close_signal(mut self, close_signal: &CloseSignal) -> Self {
        self.close_signal = close_signal.clone();
        self
    }

    /// Marks the thread as shared with other destinations, so that the transport does not wait.
    pub(super) fn sharing_a_thread(mut self) -> Self {
        self.retries = self.retries.sharing_its_thread();
        self
    }

    fn address(&self) -> String {
        self.client.shown_url()
    }

    /// Returns the failure of an error response.
    fn refused(&self, response: &HttpResponse) -> (FailedAttempt, TransportError) {
        let error = TransportError::Status {
            address: self.address(),
            status: response.status,
            body: self.receiver.reason(response, &self.secrets),
        };
        let retried = self.receiver.retried_statuses();
        (FailedAttempt::by_status(response.status, response.retry_after, retried), error)
    }

    /// Returns the failure of a request without a response.
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
                // A retry would duplicate the message, and the server would be no faster.
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
        (FailedAttempt::without_response(retry, was_written), error)
    }

    /// Returns the error of the last attempt, and marks it if an earlier one may have been
    /// processed.
    fn give_up(&self, attempts: &Attempts, error: TransportError) -> TransportError {
        if !attempts.may_be_processed() {
            return error;
        }
        TransportError::Unconfirmed { attempts: attempts.made(), source: Box::new(error) }
    }

    /// Sends a body, and retries. Its size as *too large* is that of the message.
    fn deliver(&mut self, body: &[u8], message_bytes: usize) -> Result<Sent, TransportError> {
        let Some(mut attempts) = self.retries.begin(clock::now()) else {
            let what = format!("{} failed a moment ago and is tried again later", self.address());
            return Err(TransportError::Io { source: io::Error::other(what) });
        };
        let began = clock::now();
        loop {
            let mut was_cut_off = false;
            let spent = clock::now().saturating_duration_since(began);
            let left = self.total_timeout.saturating_sub(spent);
            let (failed, error) = match self.client.post(body, left) {
                Ok(response) if (200..300).contains(&response.status) => {
                    self.retries.recovered();
                    let sent = self.receiver.taken(&response, &self.secrets);
                    return Ok(sent.with_possible_duplicate(attempts.may_be_processed()));
                }
                Ok(response) if response.status == 413 => {
                    self.retries.recovered();
                    return Err(TransportError::TooLarge { bytes: message_bytes });
                }
                Ok(response) => self.refused(&response),
                Err(failure) => {
                    was_cut_off = failure.written == Written::Part;
                    self.failed(failure)
                }
            };
            let now = clock::now();
            let pause = attempts.failed(failed, now);
            // A close ends the waiting, but the server may have closed a persistent connection:
            // that is noticed only now, and one retry saves the last spans.
            let is_once_more = attempts.made() == 1 && matches!(error, TransportError::Io { .. });
            // A server that finds a message too large may end the connection before it has read it,
            // and its response is lost.
            let is_last = attempts.made() > 1 || pause.is_none();
            if was_cut_off && is_last && body.len() > MIN_CUT_OFF_BYTES {
                return Err(TransportError::TooLarge { bytes: message_bytes });
            }
            match pause {
                Some(pause) if !self.close_signal.is_set() => self.close_signal.wait(pause),
                Some(_) if is_once_more => {}
                _ => {
                    let is_at_work =
                        matches!(error, TransportError::Status { .. }) && failed.retry == Retry::No;
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
}

impl Transport for HttpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        #[cfg(feature = "otlp-gzip")]
        if let Some(gzip) = &mut self.gzip {
            let mut gzip = std::mem::take(gzip);
            let sent = gzip.compress(message).and_then(|body| self.deliver(body, message.len()));
            self.gzip = Some(gzip);
            return sent;
        }
        self.deliver(message, message.len())
    }

    fn max_message_bytes(&self) -> usize {
        self.max_body_bytes
    }
}

fn headers(
    config: &HttpConfig,
    receiver: Receiver,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let content_type = HeaderValue::from_static(receiver.content_type());
    let mut headers = vec![(CONTENT_TYPE, content_type)];
    let own_agent = receiver.user_agent();
    let mut agent = own_agent.map(str::to_owned);
    for (name, value) in &config.headers {
        if let (true, Some(own)) = (name.eq_ignore_ascii_case(USER_AGENT.as_str()), own_agent) {
            agent = Some(format!("{value} {own}"));
            continue;
        }
        let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        // Length and compression of a body are set per message.
        let of_message = [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING];
        let pair = pair.filter(|(name, _)| !of_message.contains(name));
        headers.push(pair.ok_or_else(|| {
            ConfigError::invalid(
                receiver.headers_name(),
                name.split([':', '=']).next().unwrap_or_default(),
                "a name and a value that HTTP takes",
            )
        })?);
    }
    if let Some(agent) = agent {
        let value = HeaderValue::try_from(agent).map_err(|_| {
            let allowed = "a name and a value that HTTP takes";
            ConfigError::invalid(receiver.headers_name(), USER_AGENT.as_str(), allowed)
        })?;
        headers.push((USER_AGENT, value));
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

/// Returns the secrets in requests.
fn secrets(config: &HttpConfig, url: &str) -> Secrets {
    let mut secrets = Secrets::of_url(url);
    let HttpConfig { user, password, auth_token, headers, .. } = config;
    let basic = user.as_ref().zip(password.as_ref());
    let basic = basic.map(|(user, password)| base64(format!("{user}:{password}").as_bytes()));
    let given = [basic.as_ref(), password.as_ref(), auth_token.as_ref()].into_iter().flatten();
    given.chain(headers.iter().map(|(_, value)| value)).for_each(|secret| secrets.add(secret));
    secrets
}

const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
const MAX_RETRY_LIMIT: Duration = Duration::from_secs(24 * 3600);
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(1);
const MIN_BODY_BYTES: usize = 1024;

/// The largest message that servers surely read before they respond.
const MIN_CUT_OFF_BYTES: usize = 64 << 10;

const MAX_RESPONSE_BYTES: u64 = 64 << 10;
