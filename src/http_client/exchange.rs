//! One request and its response, by ureq.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, Method, Request};
use ureq::{Agent, SendBody};

use super::retry::parse_retry_after;
use super::url::Url;
use crate::clock::{Clock, SystemClock};
use crate::redact::Secrets;

/// A request: a POST if it has a body, and else a GET.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'e> {
    pub(super) url: &'e Url,
    pub(super) headers: &'e [(HeaderName, HeaderValue)],
    pub(super) body: Option<&'e [u8]>,
    /// The timeout, to the end of the response.
    pub(super) timeout: Duration,
    /// The timeout of the response's body.
    pub(super) body_timeout: Duration,
    /// The maximum length of the response's body.
    pub(super) max_response_bytes: u64,
}

/// The response of a server.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    /// The body, as far as it was read.
    pub(crate) body: Vec<u8>,
    /// Why the body is not complete; none if it is.
    pub(crate) body_error: Option<BodyError>,
}

/// Why a response's body is not complete.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "remote-sampler", feature = "otlp")),
    expect(dead_code, reason = "only polls and OTLP need an answer's body")
)]
pub(crate) enum BodyError {
    /// The body is longer than the maximum.
    TooLong,
    /// The body ended early.
    Interrupted(io::Error),
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// How much of the request's body was written.
    #[cfg_attr(
        not(feature = "collector-http"),
        expect(dead_code, reason = "polls may be repeated as often as one likes")
    )]
    pub(crate) written: Written,
}

/// How much of a request's body was written when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Nothing,
    /// The server ended the connection meanwhile.
    Part,
    /// The server may have processed the request.
    All,
}

/// The reason of a failure.
#[derive(Debug)]
pub(crate) enum Reason {
    /// The host's name has no address.
    Unresolved,
    /// Nothing listens there.
    Refused,
    /// The timeout of this phase expired.
    TimedOut(String),
    /// The connection failed, or ended early.
    Disconnected(io::Error),
    /// An error that a retry cannot solve: an untrusted certificate, a malformed response.
    Unusable(String),
    /// A redirect that is not followed, and its target.
    Redirect { status: u16, target: String },
}

impl Failure {
    /// Returns the failure of a request whose end the server cannot have received.
    pub(super) fn early(reason: Reason) -> Self {
        Self { reason, written: Written::Nothing }
    }

    /// Marks the failure as one of the proxy.
    pub(super) fn at_proxy(mut self, proxy: &str) -> Self {
        if let Reason::Unresolved | Reason::Refused = self.reason {
            let what = format!("the proxy {proxy} cannot be reached: {self}");
            self.reason = Reason::Disconnected(io::Error::other(what));
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Unresolved => f.write_str("the host has no address"),
            Reason::Refused => f.write_str("nothing listens there"),
            Reason::TimedOut(phase) => write!(f, "timeout: {phase}"),
            Reason::Disconnected(error) => write!(f, "{error}"),
            Reason::Unusable(what) => f.write_str(what),
            Reason::Redirect { status, target } => {
                write!(f, "status {status}: a redirect to {target} that is not followed")
            }
        }
    }
}

impl Written {
    fn of(written: usize, all: usize) -> Self {
        match written {
            _ if written == all => Self::All,
            0 => Self::Nothing,
            _ => Self::Part,
        }
    }
}

impl Exchange<'_> {
    /// Sends the request. `is_shortened` is whether its timeout is less than the agent's.
    pub(super) fn send_with(
        &self,
        agent: &Agent,
        is_shortened: bool,
    ) -> Result<HttpResponse, Failure> {
        // Bytes that are not written when the request fails were not received by the server.
        let mut unwritten = self.body.unwrap_or_default();
        let sent = match self.request() {
            Ok(request) if self.body.is_none() => send(agent, self, request, (), is_shortened),
            Ok(request) => {
                let body = SendBody::from_reader(&mut unwritten);
                send(agent, self, request, body, is_shortened)
            }
            Err(error) => Err(ureq::Error::Http(error)),
        };
        match sent {
            Ok(response) => Ok(response),
            Err(error) => {
                let all = self.body.map_or(0, <[u8]>::len);
                let written = Written::of(all - unwritten.len(), all);
                Err(failure(error, written, self.url.is_encrypted()))
            }
        }
    }

    /// Returns the request without its body.
    pub(super) fn request(&self) -> Result<Request<()>, http::Error> {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(self.url.uri().clone());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            request = request.header(CONTENT_LENGTH, body.len());
        }
        request.body(())
    }
}

fn send(
    agent: &Agent,
    exchange: &Exchange<'_>,
    request: Request<()>,
    body: impl ureq::AsSendBody,
    is_shortened: bool,
) -> Result<HttpResponse, ureq::Error> {
    let request = request.map(|()| body);
    let response = if is_shortened {
        let timeout = Some(exchange.timeout);
        agent.run(agent.configure_request(request).timeout_global(timeout).build())
    } else {
        agent.run(request)
    }?;
    let (head, body) = response.into_parts();
    let mut response = HttpResponse::new(head.status.as_u16(), &head.headers);
    response.read(body.into_reader(), exchange.max_response_bytes);
    Ok(response)
}

impl HttpResponse {
    /// Returns a response whose body is not read yet.
    pub(super) fn new(status: u16, headers: &HeaderMap) -> Self {
        let now = SystemClock::new().wall_nanos();
        let delays = headers.get_all(RETRY_AFTER).iter();
        let delays = delays.filter_map(|value| parse_retry_after(value.to_str().ok()?, now));
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        Self {
            status,
            retry_after: delays.max(),
            location: location.map(str::to_owned),
            body: Vec::new(),
            body_error: None,
        }
    }

    /// Reads the body to its end, so that the connection can be reused, or to the maximum length.
    ///
    /// The limit is applied here: earlier versions of ureq limit the compressed body, which is much
    /// longer once it is unpacked, and an application may have enabled compression.
    pub(super) fn read(&mut self, body: impl Read, max_bytes: u64) {
        match body.take(max_bytes.saturating_add(1)).read_to_end(&mut self.body) {
            Ok(_) if self.body.len() as u64 > max_bytes => {
                self.body.pop();
                self.body_error = Some(BodyError::TooLong);
            }
            Ok(_) => {}
            Err(error) => self.body_error = Some(BodyError::Interrupted(error)),
        }
    }

    /// Returns the beginning of the body, for messages.
    pub(crate) fn excerpt(&self, secrets: &Secrets) -> String {
        // Redacted first: a truncated secret would not be found.
        let searched = &self.body[..self.body.len().min(SEARCHED_BYTES)];
        let shown = secrets.hide_in(&String::from_utf8_lossy(searched));
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        shown.chars().take(SHOWN_CHARS).map(plain).collect::<String>().trim().to_owned()
    }
}

fn failure(error: ureq::Error, written: Written, is_encrypted: bool) -> Failure {
    use io::ErrorKind;
    match error {
        ureq::Error::HostNotFound => Failure::early(Reason::Unresolved),
        ureq::Error::ConnectionFailed => Failure::early(Reason::Refused),
        ureq::Error::ConnectProxyFailed(what) => {
            Failure::early(Reason::Disconnected(io::Error::other(what)))
        }
        ureq::Error::Timeout(phase @ (ureq::Timeout::Resolve | ureq::Timeout::Connect)) => {
            Failure::early(Reason::TimedOut(phase.to_string()))
        }
        ureq::Error::Timeout(phase) => {
            Failure { reason: Reason::TimedOut(phase.to_string()), written }
        }
        ureq::Error::Io(source) => match source.kind() {
            ErrorKind::ConnectionRefused => Failure::early(Reason::Refused),
            // Only writes fail so, and the last one did not succeed.
            ErrorKind::BrokenPipe => {
                Failure { reason: Reason::Disconnected(source), written: Written::Part }
            }
            _ if speaks_no_tls(&source) => {
                Failure::early(Reason::Unusable(format!("{source}; it may be a port for http")))
            }
            // TLS: one side does not trust the other's certificate, which may be noticed late.
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Failure::early(Reason::Unusable(source.to_string()))
            }
            _ => Failure { reason: Reason::Disconnected(source), written },
        },
        ureq::Error::Protocol(ureq_proto::Error::HttpParseFail(what)) => {
            let port = if is_encrypted { "gRPC" } else { "https, or for gRPC" };
            let what =
                format!("what answers speaks no HTTP/1.1 ({what}); it may be a port for {port}");
            Failure { reason: Reason::Unusable(what), written }
        }
        other => Failure { reason: Reason::Unusable(other.to_string()), written },
    }
}

/// Returns whether the other side's first bytes were none of TLS.
fn speaks_no_tls(error: &io::Error) -> bool {
    #[cfg(feature = "tls")]
    {
        use rustls::{Error, InvalidMessage};
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        matches!(error, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        false
    }
}

/// The part of a response that is searched for secrets, in bytes.
const SEARCHED_BYTES: usize = 8 << 10;

/// The part of it that is shown in messages, in characters.
const SHOWN_CHARS: usize = 200;

/// The `User-Agent` of requests.
pub(super) const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));
