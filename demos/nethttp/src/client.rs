//! The client: asks the server for `/`, and has the time in the end.

use std::error::Error;
use std::fmt;

use hyper::{StatusCode, Uri};
use jaeger_client::{Span, Tracer};

use crate::get::{GetError, TracedClient};

/// Asks the server at that port of `localhost`, and gives what it answered.
///
/// All of it is the span `client`, a trace's root unless another span is active. A failure is
/// tagged and logged there.
///
/// # Errors
///
/// [`CallError`] if there is no answer, or not the one asked for.
pub async fn call(tracer: &Tracer, port: u16) -> Result<String, CallError> {
    let span = tracer.span("client").tag("component", "client").start();
    let result = ask(tracer, port, &span).await;
    if let Err(error) = &result {
        let text = error.to_string();
        span.set_tag("error", true);
        span.log(&[("event", "error".into()), ("error.object", (&text).into())]);
    }
    span.finish();
    result
}

async fn ask(tracer: &Tracer, port: u16, span: &Span) -> Result<String, CallError> {
    let url: Uri = format!("http://localhost:{port}/").parse().map_err(|_| CallError::Port)?;
    let answer = TracedClient::new(tracer.clone()).get(url, span).await?;
    if !answer.status.is_success() {
        return Err(CallError::Status(answer.status));
    }
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// Why the client has no time to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// There was no answer.
    Get(GetError),
    /// The answer was another.
    Status(StatusCode),
    /// The port makes no URL.
    Port,
}

impl From<GetError> for CallError {
    fn from(error: GetError) -> Self {
        Self::Get(error)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the server answered {status}: is it this demo's?"),
            Self::Port => f.write_str("the port makes no URL"),
        }
    }
}

impl Error for CallError {}
