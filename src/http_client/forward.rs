//! One request by a proxy that forwards `http://` requests, as curl and Go send them.
//!
//! ureq requests a tunnel from every proxy, which many grant to port 443 alone. Here the request
//! line has the whole URL (RFC 9112, 3.2.2), and the connection is for one request. The protocol
//! implementation is ureq's.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use ureq::http::header::{CONNECTION, PROXY_AUTHORIZATION, USER_AGENT};
use ureq::http::{HeaderValue, Response};
use ureq_proto::client::state::{RecvBody, RecvResponse, SendRequest};
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};

use super::exchange::{self, Exchange, Failure, HttpResponse, Reason, Written};
use crate::clock;
use crate::encoding::base64;

/// The proxy.
pub(super) struct ForwardProxy {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForwardProxy({}:{})", self.host, self.port)
    }
}

impl ForwardProxy {
    pub(super) fn new(proxy: &ureq::Proxy) -> Self {
        let user = proxy.username().map(|user| {
            let both = format!("{user}:{}", proxy.password().unwrap_or_default());
            format!("Basic {}", base64(both.as_bytes()))
        });
        // Base64 is valid in any header.
        let authorization = user.and_then(|user| HeaderValue::try_from(user).ok());
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let host = proxy.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: host.to_owned(), port: proxy.port(), authorization }
    }

    pub(super) fn exchange(&self, exchange: &Exchange<'_>) -> Result<HttpResponse, Failure> {
        let deadline = Deadline::after(exchange.timeout);
        let call = self.request(exchange).map_err(Failure::early)?;
        let mut stream = self.connect(&deadline).map_err(|error| {
            let what = format!("the proxy {}:{} cannot be reached: {error}", self.host, self.port);
            Failure::early(reason(io::Error::new(error.kind(), what)))
        })?;
        let (call, unwritten) = write(call, exchange, &mut stream, &deadline)?;
        match (read(call, exchange, &mut stream, &deadline), unwritten) {
            // A server that refuses a message may respond before it has received the end.
            (Ok(response), _) => Ok(response),
            (Err(_), Some(error)) => Err(Failure { reason: reason(error), written: Written::Part }),
            (Err(reason), None) => Err(Failure { reason, written: Written::All }),
        }
    }

    fn request(&self, exchange: &Exchange<'_>) -> Result<Call<SendRequest>, Reason> {
        let mut request = exchange.request().map_err(unusable)?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(exchange::USER_AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(Call::new(request).map_err(unusable)?.proceed())
    }

    /// Connects to the first of the proxy's addresses that accepts a connection.
    fn connect(&self, deadline: &Deadline) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the proxy's name has no address");
        for address in (&*self.host, self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, deadline.left()?) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Writes the request with its whole URL, and its body. Beside the call that reads the response,
/// returns why the body was not written to its end.
fn write(
    mut call: Call<SendRequest>,
    exchange: &Exchange<'_>,
    stream: &mut TcpStream,
    deadline: &Deadline,
) -> Result<(Call<RecvResponse>, Option<io::Error>), Failure> {
    let early = |error: io::Error| Failure::early(reason(error));
    let broken = |error: ureq_proto::Error| Failure::early(unusable(error));
    let mut head = Vec::new();
    let mut part = vec![0; MAX_LINE_BYTES];
    while !call.can_proceed() {
        let written = call.write(&mut part).map_err(broken)?;
        head.extend_from_slice(&part[..written]);
    }
    // `POST /path` becomes `POST http://host:port/path`.
    let method = head.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    head.splice(method..method, exchange.url.origin().into_bytes());
    deadline.write_all(stream, &head).map_err(early)?;
    match call.proceed().map_err(broken)? {
        Some(SendRequestResult::RecvResponse(call)) => Ok((call, None)),
        Some(SendRequestResult::SendBody(mut call)) => {
            let body = exchange.body.unwrap_or_default();
            let unwritten = deadline.write_all(stream, body).err();
            call.consume_direct_write(body.len()).map_err(broken)?;
            let stalled = || Failure::early(Reason::Unusable(STALLED.to_owned()));
            Ok((call.proceed().ok_or_else(stalled)?, unwritten))
        }
        // The request does not expect a `100 Continue`.
        Some(SendRequestResult::Await100(_)) | None => {
            Err(Failure::early(Reason::Unusable(STALLED.to_owned())))
        }
    }
}

fn read(
    mut call: Call<RecvResponse>,
    exchange: &Exchange<'_>,
    stream: &mut TcpStream,
    deadline: &Deadline,
) -> Result<HttpResponse, Reason> {
    let mut input = Vec::new();
    let head: Response<()> = loop {
        let (used, head) = call.try_response(&input, false).map_err(unusable)?;
        input.drain(..used);
        match head {
            Some(head) => break head,
            None if input.len() > MAX_HEAD_BYTES => {
                return Err(unusable("its headers are too long"));
            }
            // An informational response may be followed by another one.
            None if used > 0 => {}
            None => {
                if deadline.read(stream, &mut input).map_err(reason)? == 0 {
                    let ended = "the connection ended without a response";
                    let ended = io::Error::new(io::ErrorKind::UnexpectedEof, ended);
                    return Err(Reason::Disconnected(ended));
                }
            }
        }
    };
    let mut response = HttpResponse::new(head.status().as_u16(), head.headers());
    if let Some(RecvResponseResult::RecvBody(call)) = call.proceed() {
        let deadline = deadline.or_after(exchange.body_timeout);
        let body = Body { call, input, stream, deadline, has_ended: false };
        response.read(body, exchange.max_response_bytes);
    }
    Ok(response)
}

/// The body of a response.
struct Body<'b> {
    call: Call<RecvBody>,
    input: Vec<u8>,
    stream: &'b mut TcpStream,
    deadline: Deadline,
    has_ended: bool,
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let (used, read) = self.call.read(&self.input, out).map_err(io::Error::other)?;
            self.input.drain(..used);
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            let is_complete = self.call.can_proceed()
                && (self.has_ended
                    || self.call.body_mode() != ureq_proto::BodyMode::CloseDelimited);
            if is_complete {
                return Ok(0);
            }
            if self.has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if used == 0 && self.input.len() > MAX_HEAD_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a chunk's size is too long",
                ));
            }
            if used == 0 {
                self.has_ended = self.deadline.read(self.stream, &mut self.input)? == 0;
            }
        }
    }
}

/// The deadline of a request.
struct Deadline(Instant);

impl Deadline {
    fn after(timeout: Duration) -> Self {
        let now = clock::now();
        Self(now.checked_add(timeout).unwrap_or(now))
    }

    /// Returns the earlier of the deadline and so much later than now.
    fn or_after(&self, timeout: Duration) -> Self {
        Self(self.0.min(Self::after(timeout).0))
    }

    /// Returns the remaining time, or an error if there is none.
    fn left(&self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(clock::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    fn write_all(&self, stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            stream.set_write_timeout(Some(self.left()?))?;
            match stream.write(&bytes[..bytes.len().min(MAX_WRITE_BYTES)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Appends the next bytes; returns 0 at the end.
    fn read(&self, stream: &mut TcpStream, to: &mut Vec<u8>) -> io::Result<usize> {
        let mut part = [0; 8 << 10];
        loop {
            stream.set_read_timeout(Some(self.left()?))?;
            match stream.read(&mut part) {
                Ok(read) => {
                    to.extend_from_slice(&part[..read]);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn reason(error: io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Reason::TimedOut("by a proxy".to_owned())
        }
        _ => Reason::Disconnected(error),
    }
}

fn unusable(what: impl fmt::Display) -> Reason {
    Reason::Unusable(what.to_string())
}

/// The longest line of a request's head.
const MAX_LINE_BYTES: usize = 128 << 10;

/// The longest head of a response, as for ureq.
const MAX_HEAD_BYTES: usize = 64 << 10;

const MAX_WRITE_BYTES: usize = 64 << 10;

const STALLED: &str = "the request could not be written";
