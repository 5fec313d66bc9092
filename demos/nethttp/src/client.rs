//! The client: asks the server for `/`, and has the time in the end.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{Request, StatusCode};
use jaeger_client::{Span, TraceId, Tracer};
use jaeger_client_http::{Error, TracedClient};

/// A request that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Called {
    /// The trace it is in; what failed has one as well.
    pub trace_id: TraceId,
    /// What the server answered.
    pub result: Result<String, CallError>,
}

/// Asks the server at that port of `localhost`.
///
/// All of it is the span `client`, a trace's root unless another span is active. A failure is
/// tagged and logged there.
pub async fn call(tracer: &Tracer, port: u16) -> Called {
    let span = tracer.span("client").tag("component", "client").start();
    let result = fetch(tracer, port, &span).await;
    if let Err(error) = &result {
        let text = error.to_string();
        span.set_tag("error", true);
        span.log(&[("event", "error".into()), ("error.object", (&text).into())]);
    }
    span.finish();
    Called { trace_id: span.context().trace_id(), result }
}

async fn fetch(tracer: &Tracer, port: u16, span: &Span) -> Result<String, CallError> {
    let url = format!("http://localhost:{port}/");
    let failed = |source| CallError::Failed { url: url.clone(), source };
    let client = TracedClient::builder(tracer.clone()).timeout(TIMEOUT).build();
    let request = Request::get(&url).body(()).map_err(|_| CallError::Port)?;
    let response = client.request(request).child_of(span).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(CallError::Status(response.status()));
    }
    let body = response.into_body().read_to_end(MAX_BODY_BYTES).await.map_err(failed)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A longer body is refused: what is asked for is a line.
const MAX_BODY_BYTES: usize = 64 << 10;

/// How long the request may take with all of its hops.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the client has no time to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// There was no response, or one that broke off.
    Failed {
        /// What was asked for.
        url: String,
        /// What went wrong.
        source: Error,
    },
    /// The response was another.
    Status(StatusCode),
    /// The port makes no URL.
    Port,
}

impl fmt::Display for CallError {
    /// With all causes: that a request failed says nothing, why it did is in the last of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { url, source } => {
                write!(f, "GET {url}: {source}")?;
                let mut cause = source.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::Status(status) => write!(f, "the server answered {status}: is it this demo's?"),
            Self::Port => f.write_str("the port makes no URL"),
        }
    }
}

// No `source`: `Display` includes it already.
impl StdError for CallError {}
