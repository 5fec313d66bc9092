//! One request and its answer, by ureq.

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
    /// How long it may take, to the end of the answer.
    pub(super) timeout: Duration,
    /// How long the answer's body may take.
    pub(super) body_timeout: Duration,
    /// How much of the answer's body is read.
    pub(super) max_answer_bytes: u64,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    /// As far as it was read.
    pub(crate) body: Vec<u8>,
    /// Why that is not all of it; none if it is.
    pub(crate) body_error: Option<BodyError>,
}

/// Why an answer's body was not read to its end.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "remote-sampler", feature = "otlp")),
    expect(dead_code, reason = "only polls and OTLP need an answer's body")
)]
pub(crate) enum BodyError {
    /// It is longer than what is read.
    TooLong,
    /// It did not come to its end.
    Interrupted(io::Error),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// How much of the body was written.
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
    /// The server may have processed it.
    All,
}

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Reason {
    /// The host's name has no address.
    Unresolved,
    /// Nothing listens there.
    Refused,
    /// It took too long, in this phase.
    TimedOut(String),
    /// The connection was not made, or ended early.
    Disconnected(io::Error),
    /// What will be no better the next time: a certificate, an answer that is no HTTP.
    Unusable(String),
    /// A redirect that is not followed, and where to.
    Redirect { status: u16, target: String },
}

impl Failure {
    /// One of a request of which the server cannot have seen the end.
    pub(super) fn early(reason: Reason) -> Self {
        Self { reason, written: Written::Nothing }
    }

    /// The same of a request by a proxy, which is whom it did not reach.
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
    /// Makes the request. `is_shortened` says that its timeout is less than the agent's.
    pub(super) fn by(&self, agent: &Agent, is_shortened: bool) -> Result<Answer, Failure> {
        // What is not written when it fails, the server has not seen.
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
            Ok(answer) => Ok(answer),
            Err(error) => {
                let all = self.body.map_or(0, <[u8]>::len);
                let written = Written::of(all - unwritten.len(), all);
                Err(failure(error, written, self.url.is_encrypted()))
            }
        }
    }

    /// The request without its body.
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
) -> Result<Answer, ureq::Error> {
    let request = request.map(|()| body);
    let response = if is_shortened {
        let timeout = Some(exchange.timeout);
        agent.run(agent.configure_request(request).timeout_global(timeout).build())
    } else {
        agent.run(request)
    }?;
    let (head, body) = response.into_parts();
    let mut answer = Answer::new(head.status.as_u16(), &head.headers);
    answer.read(body.into_reader(), exchange.max_answer_bytes);
    Ok(answer)
}

impl Answer {
    /// An answer whose body is to be read.
    pub(super) fn new(status: u16, headers: &HeaderMap) -> Self {
        let now = SystemClock::new().wall_nanos();
        let asked = headers.get_all(RETRY_AFTER).iter();
        let asked = asked.filter_map(|value| parse_retry_after(value.to_str().ok()?, now));
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        Self {
            status,
            retry_after: asked.max(),
            location: location.map(str::to_owned),
            body: Vec::new(),
            body_error: None,
        }
    }

    /// Reads the body to its end, so that the connection can be used again, or until it is too long.
    ///
    /// Limited here: earlier versions of ureq limit what came over the network, which is much more
    /// once it is unpacked, and an application may have turned that on.
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

    /// The beginning of the body, for messages.
    pub(crate) fn excerpt(&self, secrets: &Secrets) -> String {
        // Hidden first: a secret that is cut off would not be found.
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
            // Only what writes gets that, so the last part did not get through.
            ErrorKind::BrokenPipe => {
                Failure { reason: Reason::Disconnected(source), written: Written::Part }
            }
            _ if speaks_no_tls(&source) => {
                Failure::early(Reason::Unusable(format!("{source}; it may be a port for http")))
            }
            // TLS: a certificate is not trusted, ours or theirs, which they may find out last.
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

/// Whether the other side's first bytes were none of TLS.
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

/// How much of an answer is searched for secrets, in bytes.
const SEARCHED_BYTES: usize = 8 << 10;

/// How much of it is shown in messages, in characters.
const SHOWN_CHARS: usize = 200;

/// What requests say who makes them.
pub(super) const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));
