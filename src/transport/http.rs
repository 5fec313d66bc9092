//! Messages as bodies of POST requests: to a collector, or to a Zipkin server.
//!
//! Requests are made one after the other on a connection that is kept. What may help is tried again
//! with growing pauses and a limit; an answer is read to its end, but not beyond a limit.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderName, HeaderValue, Response};

use super::endpoint::Endpoint;
use super::{CollectorFormat, HttpConfig, Hurry, Sent, Transport};
use crate::clock;
use crate::encoding::base64;
use crate::error::{ConfigError, TransportError};
use crate::redact::{self, Secrets};

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
    agent: Agent,
    url: String,
    /// The URL as errors show it.
    shown_url: String,
    /// What an answer may repeat and errors must not.
    secrets: Secrets,
    format: CollectorFormat,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
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
        f.debug_struct("HttpTransport").field("url", &self.shown_url).finish_non_exhaustive()
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
            return Err(ConfigError::invalid(
                "max_body_bytes",
                config.max_body_bytes.to_string(),
                "1024 at least",
            ));
        }
        let timeout = if config.timeout.is_zero() { DEFAULT_TIMEOUT } else { config.timeout };
        let timeout = timeout.min(MAX_TIMEOUT);
        let builder = Agent::config_builder()
            .timeout_global(Some(timeout))
            // Less than all: where these end it, the request was surely not taken.
            .timeout_resolve(Some(timeout / 2))
            .timeout_connect(Some(timeout / 2))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(1);
        let builder = encryption(builder, &endpoint, config)?;
        Ok(Self {
            agent: builder.build().new_agent(),
            headers: headers(config, endpoint.format)?,
            shown_url: redact::value(&endpoint.url),
            secrets: secrets(config, &endpoint.url),
            url: endpoint.url,
            format: endpoint.format,
            timeout,
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

    fn attempt(&self, body: &[u8]) -> Result<(), Failure> {
        match self.request(body) {
            // A kept connection that the server has closed meanwhile looks like this.
            Err(ureq::Error::Io(broken)) if is_broken(&broken) => self.request(body),
            answered => answered,
        }
        .map_err(|error| self.failed(error))
        .and_then(|response| self.answered(response, body.len()))
    }

    fn request(&self, body: &[u8]) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send(body)
    }

    fn answered(&self, response: Response<ureq::Body>, bytes: usize) -> Result<(), Failure> {
        let status = response.status();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs));
        // To its end, so that the connection can be used again, or until it is too long.
        let mut start = Vec::new();
        let mut reader = response.into_body().into_reader();
        let mut limited = io::Read::take(&mut reader, MAX_ANSWER_BYTES);
        let _ = io::Read::read_to_end(&mut limited, &mut start);
        if status.is_success() {
            return Ok(());
        }
        if status == 413 {
            return Err(Failure::last(TransportError::TooLarge { bytes }));
        }
        // Hidden first: a secret that is cut off would not be found.
        let said = self.secrets.hide_in(&String::from_utf8_lossy(&start));
        let said = said.chars().take(SHOWN_ANSWER_CHARS);
        let said: String = said.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let error = TransportError::Answered {
            address: self.shown_url.clone(),
            status: status.as_u16(),
            said: said.trim().to_owned(),
        };
        let again = status.is_server_error() || status == 408 || status == 429;
        Err(Failure { error, again, retry_after })
    }

    fn failed(&self, error: ureq::Error) -> Failure {
        let address = self.shown_url.clone();
        let again = |error| Failure { error, again: true, retry_after: None };
        let io = |kind, what: String| TransportError::Io {
            source: io::Error::new(kind, self.secrets.hide_in(&what)),
        };
        match error {
            ureq::Error::HostNotFound => {
                let source = io::Error::new(io::ErrorKind::NotFound, "it has no address");
                again(TransportError::Unresolved { address, source })
            }
            ureq::Error::ConnectionFailed => again(TransportError::Refused { address }),
            ureq::Error::Io(source) => match source.kind() {
                io::ErrorKind::ConnectionRefused => again(TransportError::Refused { address }),
                // Certificates, and answers that are no HTTP: they do not get better.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    Failure::last(io(source.kind(), format!("{address}: {source}")))
                }
                kind => again(io(kind, format!("{address}: {source}"))),
            },
            ureq::Error::Timeout(which) => {
                let what = format!("{address} took longer than {:?} ({which})", self.timeout);
                let early = matches!(which, ureq::Timeout::Resolve | ureq::Timeout::Connect);
                let error = io(io::ErrorKind::TimedOut, what);
                // It may have been taken all the same: sent again it would be there twice.
                Failure { error, again: early, retry_after: None }
            }
            other => Failure::last(io(io::ErrorKind::Other, format!("{address}: {other}"))),
        }
    }
}

impl Transport for HttpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let began = clock::now();
        if self.hold_off.is_some_and(|until| began < until) {
            let what = format!("{} failed a moment ago and is tried again later", self.shown_url);
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
struct Failure {
    error: TransportError,
    /// Whether it may help to try again.
    again: bool,
    /// When the server wants to be asked again.
    retry_after: Option<Duration>,
}

impl Failure {
    fn last(error: TransportError) -> Self {
        Self { error, again: false, retry_after: None }
    }
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
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
                redact::HIDDEN,
                "given without reporter.user and reporter.password",
            ));
        }
        (user, _, None) => {
            let missing = if user.is_some() { "reporter.password" } else { "reporter.user" };
            return Err(ConfigError::Empty { field: missing });
        }
    };
    let mut value = HeaderValue::try_from(given).map_err(|_| {
        ConfigError::invalid(
            "reporter.auth_token",
            redact::HIDDEN,
            "a text that a header of HTTP takes",
        )
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

type Builder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

fn encryption(
    builder: Builder,
    endpoint: &Endpoint,
    config: &HttpConfig,
) -> Result<Builder, ConfigError> {
    match &config.ca_certificates {
        Some(_) if !endpoint.is_encrypted => Err(ConfigError::invalid(
            "reporter.ca_certificates",
            &endpoint.url,
            "given for an https:// endpoint only",
        )),
        _ if !endpoint.is_encrypted => Ok(builder),
        #[cfg(not(feature = "tls"))]
        _ => Err(ConfigError::FeatureOff { field: "reporter.collector_endpoint", feature: "tls" }),
        #[cfg(feature = "tls")]
        None => Ok(builder),
        #[cfg(feature = "tls")]
        Some(pem) => Ok(builder.tls_config(trusting(pem)?)),
    }
}

/// Trusts what these vouch for, and nobody else.
#[cfg(feature = "tls")]
fn trusting(pem: &str) -> Result<ureq::tls::TlsConfig, ConfigError> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig};
    let refused = |what: String| {
        ConfigError::invalid(
            "reporter.ca_certificates",
            what,
            "one or more certificates in PEM, and nothing else",
        )
    };
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        match item.map_err(|error| refused(error.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            _ => return Err(refused("a private key".to_owned())),
        }
    }
    if certificates.is_empty() {
        return Err(refused(format!("{} bytes without a certificate", pem.len())));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
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
const SHOWN_ANSWER_CHARS: usize = 200;
