//! Sending over a connection of HTTP/2.

use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;

use super::head::absolute_form;
use super::{Attempt, Sent, Why, is_idempotent};
use crate::body::RequestBody;
use crate::connection::{Outgoing, Shared};
use crate::error::Error;
use crate::trace::GotConn;
use crate::transport::pool::Dialing;
use crate::transport::response::Line;

impl Attempt<'_> {
    pub(super) async fn send_shared(
        &self,
        mut shared: Shared,
        request: Request<RequestBody>,
        reused: bool,
        dialing: Option<Dialing>,
    ) -> Result<Sent, Error> {
        let (in_use, idle) = shared.begin_use();
        self.trace.got_conn(&GotConn {
            reused,
            was_idle: reused && idle.is_some(),
            idle_time: idle.filter(|_| reused).unwrap_or_default(),
            local_address: shared.local,
            peer_address: shared.peer,
            http2: true,
        });
        let method = request.method().clone();
        let idempotent = is_idempotent(&request);
        let again = request.body().try_clone();
        let (parts, mut body) = request.into_parts();
        let mut sent_parts = parts.clone();
        absolute_form(&mut sent_parts, self.target);
        body.prepare();
        let mut outgoing = Outgoing::new(body, None);
        let (back, ended) = (outgoing.reclaim(), outgoing.ended());
        let response = shared.send(Request::from_parts(sent_parts, outgoing));
        if !reused {
            // Not before: the request that a connection was made for is the first one on it.
            self.transport.pool.share(&self.target.key, shared.clone());
        }
        drop(dialing);
        let unanswered = match self.head(|cx| ended.poll(cx).is_ready(), response).await? {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.trace.got_response(&head);
                let body = self.body(&method, body, Line::Shared { _in_use: in_use }).await;
                return Ok(Sent::Responded(Response::from_parts(head, body)));
            }
            Err(unanswered) => unanswered,
        };
        let why = if unanswered.is_refused() { Why::Refused } else { Why::Lost };
        if why == Why::Refused || unanswered.is_lost() {
            self.transport.pool.remove(&self.target.key, &shared);
        }
        let may_be_sent_twice = reused && idempotent && unanswered.is_lost();
        let body = match (unanswered.unsent, again) {
            (Some(unsent), _) => Some(unsent.into_body().into_body()),
            (None, Some(again)) if why == Why::Refused || may_be_sent_twice => Some(again),
            // The body is dropped at once, unless it was begun: then there is nothing to wait for.
            (None, None) if why == Why::Refused => {
                timeout(GIVEN_BACK, back).await.ok().and_then(Result::ok)
            }
            _ => None,
        };
        let error = Error::Exchange { source: unanswered.error };
        match body {
            Some(body) => Ok(Sent::Again { request: Request::from_parts(parts, body), error, why }),
            None => Err(error),
        }
    }
}

/// How long to wait until a body that was not begun is returned.
const GIVEN_BACK: Duration = Duration::from_secs(1);
