//! A request from its URL to the head of its response, over as many connections as it takes.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{EXPECT, HOST, UPGRADE};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, request,
};
use hyper::body::Incoming;

use super::dial::{Deadline, dial};
use super::response::{Limits, Line, ResponseBody};
use super::target::Target;
use super::{HttpPool, Inner};
use crate::body::RequestBody;
#[cfg(feature = "http2")]
use crate::connection::Shared;
use crate::connection::{Connection, Outgoing, Wire};
use crate::error::{Error, Phase};
use crate::trace::{ClientTrace, GotConn};
use crate::url;

/// A connection for one request.
enum Got {
    Own(Connection),
    #[cfg(feature = "http2")]
    Shared(Shared),
}

/// A request that has no response yet.
struct Attempt<'a> {
    transport: &'a Inner,
    target: &'a Target,
    trace: &'a Arc<dyn ClientTrace>,
    overall: Option<Deadline>,
}

/// How sending a request ended.
enum Sent {
    Answered(Response<ResponseBody>),
    /// The connection was dead; the request can go over another one.
    Again(Request<RequestBody>),
}

impl HttpPool {
    /// The same as [`round_trip`](Self::round_trip), all of which, the body of the response
    /// included, is over at `overall`.
    pub(crate) async fn round_trip_until(
        &self,
        request: Request<RequestBody>,
        trace: Arc<dyn ClientTrace>,
        overall: Option<Deadline>,
    ) -> Result<Response<ResponseBody>, Error> {
        if request.method() == Method::CONNECT {
            let reason = "the method CONNECT is for proxies, which are not supported";
            return Err(Error::Url { url: url::redacted(request.uri()), reason });
        }
        let target = Target::of(request.uri())?;
        let attempt = Attempt { transport: &self.inner, target: &target, trace: &trace, overall };
        let unanswered = Unanswered(&trace);
        let answer = attempt.answer(request).await;
        std::mem::forget(unanswered);
        answer
    }
}

/// A request without a response. Dropped, it was cancelled.
struct Unanswered<'a>(&'a Arc<dyn ClientTrace>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.cancelled();
    }
}

impl Attempt<'_> {
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        loop {
            let (got, reused) = self.get_conn().await?;
            let sent = match got {
                Got::Own(connection) => self.send(connection, request, reused).await?,
                #[cfg(feature = "http2")]
                Got::Shared(shared) => self.send_shared(shared, request, reused).await?,
            };
            match sent {
                Sent::Answered(response) => return Ok(response),
                Sent::Again(same) => request = same,
            }
        }
    }

    /// A connection from the pool, or a new one.
    async fn get_conn(&self) -> Result<(Got, bool), Error> {
        let Self { transport, target, trace, overall } = self;
        trace.get_conn(&target.key.host_port);
        #[cfg(feature = "http2")]
        if let Some(shared) = transport.pool.shared(&target.key) {
            return Ok((Got::Shared(shared), true));
        }
        if let Some((connection, idle_time)) = transport.pool.take(&target.key) {
            self.got_conn(&connection, true, idle_time);
            return Ok((Got::Own(connection), true));
        }
        let stream = dial(&transport.options, target, &***trace, *overall).await?;
        let failed = |error: hyper::Error| Error::Exchange { source: error.into() };
        #[cfg(feature = "http2")]
        if stream.chose_http2() {
            let limit = Deadline::after(transport.options.tls_handshake_timeout).or(*overall);
            let shared = limit.within(Phase::Tls, Shared::open(stream)).await?.map_err(failed)?;
            transport.pool.share(&target.key, shared.clone());
            return Ok((Got::Shared(shared), false));
        }
        let connection = Connection::open(stream).await.map_err(failed)?;
        self.got_conn(&connection, false, Duration::ZERO);
        Ok((Got::Own(connection), false))
    }

    fn got_conn(&self, connection: &Connection, reused: bool, idle_time: Duration) {
        self.trace.got_conn(&GotConn {
            reused,
            was_idle: reused,
            idle_time,
            local_address: connection.local,
            peer_address: connection.peer,
            http2: false,
        });
    }

    /// When the head of the response must be there.
    fn head_deadline(&self) -> Deadline {
        Deadline::after(self.transport.options.response_header_timeout).or(self.overall)
    }

    fn limits(&self) -> Limits {
        Limits { idle: self.transport.options.body_idle_timeout, overall: self.overall }
    }

    async fn send(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
        reused: bool,
    ) -> Result<Sent, Error> {
        let method = request.method().clone();
        let again = if reused { replay(&request) } else { None };
        let idempotent = is_idempotent(&request);
        let uri = request.uri().clone();
        let (mut parts, mut body) = request.into_parts();
        origin_form(&mut parts, self.target);
        body.prepare();
        if parts.headers.contains_key(UPGRADE) {
            connection.allow_upgrade();
        }
        let wire = Arc::clone(&connection.wire);
        let expects = expects_leave(&parts.headers) && !http_body::Body::is_end_stream(&body);
        wire.arm(Arc::clone(self.trace), http_body::Body::is_end_stream(&body));
        let outgoing = Outgoing::new(body, Some(Arc::clone(&wire)));
        let mut request = Request::from_parts(parts, outgoing);
        self.listen(&mut request, expects);

        let sending = Sending(&wire);
        let answer = self.head_deadline().within(Phase::Headers, connection.send(request)).await;
        let answer = answer.inspect_err(|late| wire.failed(late))?;
        // What is not written yet is while the body of the response is read.
        std::mem::forget(sending);
        let unanswered = match answer {
            Ok(response) => {
                return Ok(Sent::Answered(self.answered(&method, connection, response).await));
            }
            Err(unanswered) => unanswered,
        };
        // Nothing is told of a connection that is over.
        wire.disarm();
        let error = Error::Exchange { source: unanswered.error.into() };
        if !reused || unanswered.heard {
            return Err(error);
        }
        match (unanswered.unsent, again) {
            (Some(unsent), _) => {
                let (mut parts, body) = unsent.into_parts();
                parts.uri = uri;
                Ok(Sent::Again(Request::from_parts(parts, body.into_body())))
            }
            (None, Some(again)) if idempotent || !unanswered.spoke => Ok(Sent::Again(again)),
            (None, _) => Err(error),
        }
    }

    /// Has responses of a status 1xx told, and the body wait for one if it is to.
    fn listen(&self, request: &mut Request<Outgoing>, expects: bool) {
        let limit = self.transport.options.expect_continue_timeout;
        let gate = expects.then(|| request.body_mut().hold(limit));
        let trace = Arc::clone(self.trace);
        hyper::ext::on_informational(request, move |response| {
            if let Some(gate) = gate.as_ref().filter(|_| response.status() == StatusCode::CONTINUE)
            {
                trace.got_100_continue();
                gate.open();
            }
            trace.got_1xx_response(response.status(), response.headers());
        });
    }

    async fn answered(
        &self,
        method: &Method,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Response<ResponseBody> {
        let (head, body) = response.into_parts();
        self.trace.got_response(&head);
        let line = if head.status == StatusCode::SWITCHING_PROTOCOLS {
            connection.upgrade();
            Line::Over
        } else {
            let (pool, key) = (Arc::clone(&self.transport.pool), Arc::clone(&self.target.key));
            Line::Own { connection, pool, key }
        };
        Response::from_parts(head, self.body(method, body, line).await)
    }

    async fn body(&self, method: &Method, body: Incoming, line: Line) -> ResponseBody {
        let mut made = Some((body, line));
        std::future::poll_fn(|cx| match made.take() {
            Some((body, line)) => {
                let trace = Arc::clone(self.trace);
                let body = ResponseBody::new(method, body, line, trace, self.limits(), cx);
                std::task::Poll::Ready(body)
            }
            None => std::task::Poll::Pending,
        })
        .await
    }

    #[cfg(feature = "http2")]
    async fn send_shared(
        &self,
        mut shared: Shared,
        request: Request<RequestBody>,
        reused: bool,
    ) -> Result<Sent, Error> {
        let (in_use, idle) = shared.use_it();
        self.trace.got_conn(&GotConn {
            reused,
            was_idle: reused && idle.is_some(),
            idle_time: idle.filter(|_| reused).unwrap_or_default(),
            local_address: shared.local,
            peer_address: shared.peer,
            http2: true,
        });
        let method = request.method().clone();
        let (mut parts, mut body) = request.into_parts();
        let headers = parts.headers.clone();
        absolute_form(&mut parts, self.target);
        body.prepare();
        let request = Request::from_parts(parts, Outgoing::new(body, None));
        let answer = self.head_deadline().within(Phase::Headers, shared.send(request)).await?;
        match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.trace.got_response(&head);
                let body = self.body(&method, body, Line::Shared { _in_use: in_use }).await;
                Ok(Sent::Answered(Response::from_parts(head, body)))
            }
            Err((_, Some(unsent))) if reused => {
                let (mut parts, body) = unsent.into_parts();
                parts.headers = headers;
                Ok(Sent::Again(Request::from_parts(parts, body.into_body())))
            }
            Err((error, _)) => Err(Error::Exchange { source: error.into() }),
        }
    }
}

/// A request that is being sent. If it is dropped, the request was given up, and if not all of it was
/// written by then, it never will be.
struct Sending<'a>(&'a Wire);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.failed(&io::Error::new(io::ErrorKind::Interrupted, "the request was given up"));
    }
}

/// Whether sending a request twice does no harm.
///
/// # Source
///
/// `Request.isReplayable` in net/http.
fn is_idempotent<B>(request: &Request<B>) -> bool {
    let method = request.method();
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || IDEMPOTENCY_KEYS.iter().any(|key| request.headers().contains_key(key))
}

/// The request once more, if its body can be sent again.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = request.body().try_clone()?;
    let mut again = Request::new(body);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}

const IDEMPOTENCY_KEYS: [HeaderName; 2] =
    [HeaderName::from_static("idempotency-key"), HeaderName::from_static("x-idempotency-key")];

fn expects_leave(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// As a server is asked over HTTP/1: the path alone, and the host in a header.
fn origin_form(parts: &mut request::Parts, target: &Target) {
    if !parts.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(&host_header(&parts.uri, target))
    {
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
}

/// The host as the server is told it: without the usual port, and without a zone, which means
/// nothing to another machine.
fn host_header<'a>(uri: &'a Uri, target: &Target) -> Cow<'a, str> {
    let usual = if target.key.tls { 443 } else { 80 };
    match uri.authority() {
        _ if target.has_zone() && target.port == usual => {
            format!("[{}]", target.server_name()).into()
        }
        _ if target.has_zone() => format!("[{}]:{}", target.server_name(), target.port).into(),
        Some(authority) if target.port == usual => authority.host().into(),
        authority => authority.map_or("", |authority| authority.as_str()).into(),
    }
}

/// As a server is asked over HTTP/2: the host is in the URL, and what belongs to a connection of
/// HTTP/1 is left out.
#[cfg(feature = "http2")]
fn absolute_form(parts: &mut request::Parts, target: &Target) {
    use http::header::{CONNECTION, TRANSFER_ENCODING};
    let host = match parts.headers.get(HOST) {
        Some(host) => String::from_utf8_lossy(host.as_bytes()),
        None => host_header(&parts.uri, target),
    };
    let mut uri = parts.uri.clone().into_parts();
    uri.authority = host.parse().ok().or(uri.authority);
    parts.uri = Uri::from_parts(uri).unwrap_or_else(|_| std::mem::take(&mut parts.uri));
    for header in [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE, EXPECT] {
        parts.headers.remove(header);
    }
    parts.version = http::Version::HTTP_2;
}
