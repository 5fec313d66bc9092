//! Sending over a connection of HTTP/1.

use std::io;
use std::sync::Arc;

use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::head::{expects_leave, origin_form};
use super::{Attempt, Sent, Why, is_idempotent, replay};
use crate::body::RequestBody;
use crate::connection::{Connection, Outgoing, Wire};
use crate::error::Error;
use crate::transport::response::{Line, ResponseBody};

impl Attempt<'_> {
    pub(super) async fn send(
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
        let response = self.head(|_| wire.is_written(), connection.send(request)).await;
        let response = response.inspect_err(|late| wire.failed(late))?;
        // The rest is written while the body of the response is read.
        std::mem::forget(sending);
        let unanswered = match response {
            Ok(response) => {
                return Ok(Sent::Responded(self.responded(&method, connection, response).await));
            }
            Err(unanswered) => unanswered,
        };
        // No events are reported for a closed connection.
        wire.disarm();
        let error = Error::Exchange { source: unanswered.error.into() };
        if !reused || unanswered.has_response_bytes {
            return Err(error);
        }
        let request = match (unanswered.unsent, again) {
            (Some(unsent), _) => {
                let (mut parts, body) = unsent.into_parts();
                parts.uri = uri;
                Request::from_parts(parts, body.into_body())
            }
            (None, Some(again)) if idempotent || !unanswered.has_written => again,
            (None, _) => return Err(error),
        };
        Ok(Sent::Again { request, error, why: Why::Dead })
    }

    /// Reports responses of a status 1xx, and makes the body wait for one if it is to.
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

    async fn responded(
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
}

/// A request that is being sent. If it is dropped, the request was given up, and if not all of it was
/// written by then, it never will be.
struct Sending<'a>(&'a Wire);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.failed(&io::Error::new(io::ErrorKind::Interrupted, "the request was given up"));
    }
}
