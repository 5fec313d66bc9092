//! A request that a layer has made a span of, from its start to the end of its response's body; the
//! same for client and server.

mod body;
mod future;
mod settings;

use std::fmt::{Debug, Display};

use http::{HeaderMap, Method, StatusCode, response};
use jaeger_client::{Scope, Span};

pub use self::body::TracedBody;
pub use self::future::ResponseFuture;
pub(crate) use self::settings::{Settings, options};
use crate::connector::{DialLog, in_request};
use crate::grpc::{self, Call, Code};
use crate::tags::{self, Role, SemanticConventions};

/// The span of a request, and what is to be known for its end. Dropped, the span is finished.
pub(crate) struct Exchange {
    span: Span,
    method: Method,
    role: Role,
    names: SemanticConventions,
    /// The gRPC call, if it is one.
    call: Option<Call>,
    /// The log of connections that are made for a client's request.
    dials: Option<DialLog>,
    /// Whether the service or its body runs. It still does after a panic.
    running: bool,
}

impl Exchange {
    pub(crate) fn new(
        span: Span,
        method: Method,
        role: Role,
        names: SemanticConventions,
        call: Option<Call>,
    ) -> Self {
        let dials = (role == Role::Client && span.is_recording()).then(|| DialLog::new(&span));
        Self { span, method, role, names, call, dials, running: false }
    }

    /// Runs `work` with the span active. If it panics, the span says so; it ends with what is dropped
    /// then.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        struct Unwinding<'a>(Option<&'a Exchange>);

        impl Drop for Unwinding<'_> {
            fn drop(&mut self) {
                if let Some(exchange) = self.0 {
                    exchange.error("panic");
                }
            }
        }

        self.running = true;
        let mut unwinding = Unwinding(Some(self));
        let result = {
            let _scope = self.span.activate();
            match &self.dials {
                Some(dials) => in_request(dials, work),
                None => work(),
            }
        };
        unwinding.0 = None;
        drop(unwinding);
        self.running = false;
        result
    }

    /// Makes the span active, for what is dropped with it.
    fn activate(&self) -> Scope {
        self.span.activate()
    }

    fn error(&self, kind: &str) {
        let names = if self.call.is_some() { self.names.rpc } else { self.names.http };
        tags::of_error(&self.span, names, kind);
    }

    /// The head of the response is there.
    fn responded(&mut self, head: &response::Parts) {
        if self.role == Role::Client {
            tags::of_version(&self.span, self.names.http, head.version);
        }
        if self.call.is_none() {
            tags::of_status(&self.span, self.names.http, self.role, head.status);
            return;
        }
        // A call that fails at once has its status among the headers.
        self.ended(&head.headers);
        if head.status != StatusCode::OK {
            // The response is of a proxy, or of another kind of server.
            tags::of_status(&self.span, self.names.http, self.role, head.status);
            if !self.call.is_some_and(|call| call.ended) {
                self.end(Code::of_http(head.status), "");
            }
        }
    }

    /// Reads how a call ended, if these headers or trailers have it.
    fn ended(&mut self, headers: &HeaderMap) {
        if self.call.is_some()
            && let Some(code) = Code::read(headers)
        {
            self.end(code, &grpc::message(headers));
        }
    }

    fn end(&mut self, code: Code, message: &str) {
        let Some(call) = &mut self.call else { return };
        if call.ended {
            return;
        }
        call.ended = true;
        let is_past_deadline = call.is_past_deadline();
        tags::of_code(&self.span, self.names.rpc, self.role, code);
        if self.role == Role::Server && code == Code::UNIMPLEMENTED {
            // The caller chooses the path: one that is not served is not a name.
            self.span.set_operation_name(grpc::UNKNOWN_METHOD);
        }
        if code == Code::CANCELLED && is_past_deadline {
            // So does tonic's server say it, and its client hear it.
            self.log_deadline();
        } else if code.is_error(self.role) && !message.is_empty() {
            let kind = ("error.kind", code.name().into());
            self.span.log(&[("event", "error".into()), kind, ("message", message.into())]);
        }
    }

    /// The call ends because its time is over, and not by what its server says.
    fn end_at_deadline(&mut self) {
        self.end(Code::DEADLINE_EXCEEDED, "");
        self.log_deadline();
    }

    fn log_deadline(&self) {
        self.span.log(&[
            ("event", "deadline exceeded".into()),
            ("message", "the time that grpc-timeout allows is over".into()),
        ]);
    }

    /// There is no response, or its body broke off. Says so, with the error.
    fn failed<E: Display + Debug>(&mut self, error: &E) {
        let kind = std::any::type_name::<E>();
        // A boxed error does not say what it is.
        self.error(if kind.contains("dyn ") { "_OTHER" } else { kind });
        if self.span.is_recording() {
            let (message, object) = (error.to_string(), format!("{error:?}"));
            self.span.log(&[
                ("event", "error".into()),
                ("message", (&message).into()),
                ("error.object", (&object).into()),
            ]);
        }
        if self.call.is_some_and(|call| call.is_past_deadline()) {
            self.end_at_deadline();
        }
    }

    /// Ends the exchange because its response, or more of its body, is no longer awaited.
    fn cancelled(&mut self, message: &str) {
        match self.call {
            Some(call) if call.is_past_deadline() => return self.end_at_deadline(),
            // A server is not to blame for it.
            Some(_) => self.end(Code::CANCELLED, ""),
            None => self.error("cancelled"),
        }
        self.span.log(&[("event", "cancelled".into()), ("message", message.into())]);
    }

    /// The body is at its end, or the caller has what was needed of it.
    fn complete(&mut self) {
        if self.role == Role::Client && self.method != Method::HEAD {
            self.span.log_event("ClosedBody");
        }
        let is_missing = |call: &Call| call.has_status && !call.ended;
        if self.call.as_ref().is_some_and(is_missing) {
            self.error("no grpc-status");
            let message = "the response ended without grpc-status";
            self.span.log(&[("event", "error".into()), ("message", message.into())]);
        }
    }

    /// Sets the size of the body.
    fn sized(&self, bytes: u64) {
        if bytes > 0 && self.role == Role::Server {
            tags::of_response_size(&self.span, self.names.http, bytes);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(dials) = &self.dials {
            dials.close();
        }
        self.span.finish();
    }
}

impl Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.span.fmt(f)
    }
}
