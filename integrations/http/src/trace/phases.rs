//! The phases of a hop as spans.

use std::error::Error as StdError;
use std::net::SocketAddr;

use jaeger_client::{Span, Tracer};

/// The phases under way. What is still here when the hop is given up ends with it.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// A part of `get_conn`.
    part: Option<Span>,
    get_conn: Option<Span>,
    send: Option<Span>,
    /// The span `http.wait`, then `http.receive`.
    response: Option<Span>,
}

impl Phases {
    pub(super) fn get_conn(&mut self, tracer: &Tracer, hop: &Span, host_port: &str) {
        // Once more in the same hop: a dead connection was found out, and another is needed.
        self.end();
        let span = tracer.span("http.getconn").child_of(hop).tag("hostPort", host_port);
        self.get_conn = Some(span.start());
    }

    pub(super) fn dns(&mut self, tracer: &Tracer, host: &str) {
        let span = tracer.span("http.dns").child_of(self.get_conn.as_ref()).tag("host", host);
        self.part = Some(span.start());
    }

    pub(super) fn connect(&mut self, tracer: &Tracer, network: &str, address: SocketAddr) {
        let span = tracer.span("http.connect").child_of(self.get_conn.as_ref());
        let address = address.to_string();
        self.part = Some(span.tag("network", network).tag("addr", &address).start());
    }

    pub(super) fn tls(&mut self, tracer: &Tracer) {
        self.part = Some(tracer.span("http.tls").child_of(self.get_conn.as_ref()).start());
    }

    /// Ends a part of getting a connection.
    pub(super) fn done(&mut self, error: Option<&(dyn StdError + 'static)>) {
        finish(self.part.take(), error);
    }

    pub(super) fn got_conn(&mut self, tracer: &Tracer, hop: &Span) {
        finish(self.get_conn.take(), None);
        self.send = Some(tracer.span("http.send").child_of(hop).start());
    }

    pub(super) fn wrote_request(
        &mut self,
        tracer: &Tracer,
        hop: &Span,
        error: Option<&(dyn StdError + 'static)>,
    ) {
        finish(self.send.take(), error);
        if self.response.is_none() {
            self.response = Some(tracer.span("http.wait").child_of(hop).start());
        }
    }

    pub(super) fn got_first_byte(&mut self, tracer: &Tracer, hop: &Span) {
        finish(self.response.take(), None);
        self.response = Some(tracer.span("http.receive").child_of(hop).start());
    }

    /// With HTTP/2 there is no first byte, and the head of the response is the first to be known.
    pub(super) fn got_response(&mut self, tracer: &Tracer, hop: &Span) {
        if self.response.is_none() {
            finish(self.send.take(), None);
            self.got_first_byte(tracer, hop);
        }
    }

    pub(super) fn end(&mut self) {
        for span in [&mut self.part, &mut self.get_conn, &mut self.send, &mut self.response] {
            finish(span.take(), None);
        }
    }
}

fn finish(span: Option<Span>, error: Option<&(dyn StdError + 'static)>) {
    let Some(span) = span else { return };
    if let Some(error) = error {
        let text = error.to_string();
        span.set_tag("error", true);
        span.log(&[("event", "error".into()), ("error.object", (&text).into())]);
    }
    span.finish();
}
