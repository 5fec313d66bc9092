//! Recording the events of a request in the span of its hop.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, StatusCode, response};
use jaeger_client::{Span, TagValue, Tracer};
use parking_lot::Mutex;

use super::events::{self, ERROR};
use super::phases::Phases;
use super::{ClientTrace, GotConn, PutIdleError, TlsInfo, TraceMode};
use crate::error::Error;
use crate::tags::{self, Role, SemanticConventions, TagNames};

/// The span of a whole request, which ends when no hop needs it any more.
#[derive(Debug)]
pub(crate) struct Journey {
    pub(crate) tracer: Tracer,
    pub(crate) span: Span,
    pub(crate) names: TagNames,
}

/// Records the events of a request in a span, with the names and keys of Go's `nethttp`.
///
/// [`TracedClient`](crate::TracedClient) passes one for each hop. You may pass one with a custom
/// span to [`HttpPool::round_trip`](crate::HttpPool::round_trip), or call it from another HTTP
/// client as far as that gives access to the events.
///
/// The span is finished by [`closed_body`](ClientTrace::closed_body), where phases under way end as
/// well; if that does not come, it ends with its last handle, of which this is one.
///
/// # Cost
///
/// An event is one log of the span. A span that is not recorded keeps none.
///
/// # Source
///
/// `Tracer.clientTrace` and `closeTracker` of `nethttp`, `client.go`.
///
/// # Examples
///
/// ```
/// # async fn ask(tracer: jaeger_client::Tracer) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use jaeger_client_http::{HttpPool, SpanTrace, TraceMode};
///
/// let trace = SpanTrace::new(&tracer, tracer.start_span("look"), TraceMode::Events);
/// let request = http::Request::get("http://localhost:8000/").body(())?;
/// let response = HttpPool::new().round_trip(request, Arc::new(trace)).await?;
/// # Ok(())
/// # }
/// ```
pub struct SpanTrace {
    // In this order they end: the hop is over before the request is.
    phases: Option<Mutex<Phases>>,
    span: Span,
    events: bool,
    names: TagNames,
    part_of: PartOf,
}

/// The parent of a hop.
enum PartOf {
    Journey(Arc<Journey>),
    Nothing(Tracer),
}

impl SpanTrace {
    /// Records in `span`; the spans of its phases, if they are wanted, are started by `tracer`. The
    /// tags of the response have the names of [`SemanticConventions::from_env`].
    #[must_use]
    pub fn new(tracer: &Tracer, span: Span, mode: TraceMode) -> Self {
        let names = SemanticConventions::from_env().http;
        Self::part_of(PartOf::Nothing(tracer.clone()), span, mode, names)
    }

    pub(crate) fn of_hop(journey: Arc<Journey>, span: Span, mode: TraceMode) -> Self {
        let names = journey.names;
        Self::part_of(PartOf::Journey(journey), span, mode, names)
    }

    fn part_of(part_of: PartOf, span: Span, mode: TraceMode, names: TagNames) -> Self {
        let phases = (mode == TraceMode::Spans && span.is_recording()).then(Mutex::default);
        // Whether the span is sampled may be decided later, and logs are recorded until then.
        Self { phases, span, events: mode == TraceMode::Events, names, part_of }
    }

    fn tracer(&self) -> &Tracer {
        match &self.part_of {
            PartOf::Journey(journey) => &journey.tracer,
            PartOf::Nothing(tracer) => tracer,
        }
    }

    fn event(&self, fields: &[(&str, TagValue<'_>)]) {
        if self.events {
            self.span.log(fields);
        }
    }

    fn named(&self, event: &str) {
        if self.events {
            self.span.log_event(event);
        }
    }

    fn phase(&self, change: impl FnOnce(&mut Phases, &Tracer, &Span)) {
        if let Some(phases) = &self.phases {
            change(&mut phases.lock(), self.tracer(), &self.span);
        }
    }
}

/// The log of a cancelled request.
const CANCELLED: [(&str, TagValue<'static>); 2] = [
    ("event", TagValue::Str("cancelled")),
    ("message", TagValue::Str("the caller dropped the request or the body of its response")),
];

impl fmt::Debug for SpanTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanTrace").field("span", &self.span).finish_non_exhaustive()
    }
}

impl ClientTrace for SpanTrace {
    fn get_conn(&self, host_port: &str) {
        self.event(&[("event", "GetConn".into()), ("hostPort", host_port.into())]);
        self.phase(|phases, tracer, span| phases.get_conn(tracer, span, host_port));
    }

    fn dns_start(&self, host: &str) {
        if self.events {
            events::dns_start(&self.span, host);
        }
        self.phase(|phases, tracer, _| phases.dns(tracer, host));
    }

    fn dns_done(&self, addresses: Result<&[IpAddr], &io::Error>) {
        if self.events {
            let error = addresses.err().map(ToString::to_string);
            let addresses = addresses.map_err(|_| error.as_deref().unwrap_or_default());
            events::dns_done(&self.span, addresses);
        }
        self.phase(|phases, _, _| phases.done(addresses.err().map(|error| error as _)));
    }

    fn connect_start(&self, network: &str, address: SocketAddr) {
        if self.events {
            events::connect_start(&self.span, network, Some(address));
        }
        self.phase(|phases, tracer, _| phases.connect(tracer, network, address));
    }

    fn connect_done(&self, network: &str, address: SocketAddr, error: Option<&io::Error>) {
        if self.events {
            let text = error.map(ToString::to_string);
            events::connect_done(&self.span, network, Some(address), text.as_deref());
        }
        self.phase(|phases, _, _| phases.done(error.map(|error| error as _)));
    }

    fn tls_handshake_start(&self) {
        self.named("TLSHandshakeStart");
        self.phase(|phases, tracer, _| phases.tls(tracer));
    }

    fn tls_handshake_done(&self, result: Result<&TlsInfo, &io::Error>) {
        match result {
            Ok(info) => {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let (version, alpn) = (text(&info.version), text(&info.alpn));
                let event = ("event", "TLSHandshakeDone".into());
                self.event(&[event, ("version", (&version).into()), ("alpn", (&alpn).into())]);
            }
            Err(error) => {
                if self.events {
                    events::tls_handshake_failed(&self.span, &error.to_string());
                }
            }
        }
        self.phase(|phases, _, _| phases.done(result.err().map(|error| error as _)));
    }

    fn got_conn(&self, conn: &GotConn) {
        if self.events || self.phases.is_some() {
            self.span.set_tag("net/http.reused", conn.reused);
            self.span.set_tag("net/http.was_idle", conn.was_idle);
        }
        self.named("GotConn");
        self.phase(Phases::got_conn);
    }

    fn wrote_headers(&self) {
        self.named("WroteHeaders");
    }

    fn wait_100_continue(&self) {
        self.named("Wait100Continue");
    }

    fn wrote_request(&self, error: Option<&(dyn StdError + 'static)>) {
        if let Some(error) = error {
            let (message, text) = (("message", "WroteRequest".into()), error.to_string());
            self.event(&[message, ERROR, ("error.object", (&text).into())]);
            if self.events || self.phases.is_some() {
                tags::of_error(&self.span, self.names, "write");
            }
        } else {
            self.named("WroteRequest");
        }
        self.phase(|phases, tracer, span| phases.wrote_request(tracer, span, error));
    }

    fn retry(&self, error: &Error) {
        // The last cause is the most specific: the answer of the server.
        let mut cause: &dyn StdError = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let text = cause.to_string();
        self.event(&[("event", "Retry".into()), ("error.object", (&text).into())]);
    }

    fn got_first_response_byte(&self) {
        self.named("GotFirstResponseByte");
        self.phase(Phases::got_first_byte);
    }

    fn got_100_continue(&self) {
        self.named("Got100Continue");
    }

    fn got_1xx_response(&self, status: StatusCode, _headers: &HeaderMap) {
        // Go's wrapper does not listen to these; the leave to go on has its own event.
        if status != StatusCode::CONTINUE {
            let status = ("http.status_code", status.as_u16().into());
            self.event(&[("event", "Got1xxResponse".into()), status]);
        }
    }

    fn got_response(&self, head: &response::Parts) {
        tags::of_version(&self.span, self.names, head.version);
        tags::of_status(&self.span, self.names, Role::Client, head.status);
        self.phase(Phases::got_response);
    }

    fn put_idle_conn(&self, error: Option<PutIdleError>) {
        if let Some(error) = error {
            let text = error.to_string();
            self.event(&[("event", "PutIdleConn".into()), ("error.object", (&text).into())]);
        } else {
            self.named("PutIdleConn");
        }
    }

    fn cancelled(&self) {
        let whole = match &self.part_of {
            PartOf::Journey(journey) => Some(&journey.span),
            PartOf::Nothing(_) => None,
        };
        for span in [Some(&self.span), whole].into_iter().flatten() {
            tags::of_error(span, self.names, "cancelled");
            span.log(&CANCELLED);
        }
    }

    fn closed_body(&self) {
        self.phase(|phases, _, _| phases.end());
        self.span.log_event("ClosedBody");
        self.span.finish();
    }
}
