//! Reads traces back from Jaeger's query API.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::burst::{QUIET, settled};
use crate::command::INTERVAL;
use crate::opt_in::StepResult;
use crate::span;

/// The query API of a running Jaeger.
#[derive(Clone, Debug)]
pub struct Query {
    address: String,
}

impl Query {
    /// Makes a client of the API at `address`, `host:port`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Returns the spans of a trace that are stored now, in the form of [`span::read_back`].
    ///
    /// # Errors
    ///
    /// The response, if it is neither a trace nor "not found".
    pub fn spans(&self, trace_id: &str) -> StepResult<Vec<Value>> {
        // Raw: otherwise the times of spans are adjusted to those of their parents.
        let url = format!("http://{}/api/traces/{trace_id}?raw=true", self.address);
        let response = get(&url, &[])?;
        if response.status == 404 {
            return Ok(Vec::new());
        }
        let body: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("{url} answered {}: {error}", response.status))?;
        let trace = &body["data"][0];
        let spans = trace["spans"]
            .as_array()
            .ok_or_else(|| format!("{url} answered {}: {}", response.status, response.body))?;
        Ok(spans.iter().map(|span| span::read_back(span, &trace["processes"])).collect())
    }

    /// Searches the traces of a service, as the UI does: their ids, and the warnings on their spans. Of any
    /// time with `ever`, of the last hour otherwise.
    ///
    /// # Errors
    ///
    /// The response, if it is not a list of traces.
    pub fn search(&self, service: &str, ever: bool) -> StepResult<Vec<(String, Vec<String>)>> {
        let time = if ever { format!("start=0&end={LATEST_MICROS}") } else { "lookback=1h".into() };
        let path = format!("api/traces?service={service}&limit=20000&{time}");
        let url = format!("http://{}/{path}", self.address);
        let response = get(&url, &[])?;
        let body: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("{url} answered {}: {error}", response.status))?;
        let traces = body["data"].as_array().filter(|_| response.status == 200);
        let traces = traces
            .ok_or_else(|| format!("{url} answered {}: {}", response.status, response.body))?;
        let read = |trace: &Value| {
            let id = trace["traceID"].as_str().unwrap_or_default().to_owned();
            let spans = span::list(&trace["spans"]);
            let warnings = spans.flat_map(|span| span::list(&span["warnings"]));
            (id, warnings.filter_map(Value::as_str).map(str::to_owned).collect())
        };
        Ok(traces.iter().map(read).collect())
    }

    /// Returns the names of a service's operations.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub fn operations(&self, service: &str) -> StepResult<Vec<String>> {
        let url = format!("http://{}/api/services/{service}/operations", self.address);
        let response = get(&url, &[])?;
        let body: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("{url} answered {}: {error}", response.status))?;
        let names = span::list(&body["data"]).filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// Waits until a trace has `count` spans, or for `deadline`, and returns its spans.
    ///
    /// # Errors
    ///
    /// As [`spans`](Self::spans).
    pub fn wait(&self, trace_id: &str, count: usize, deadline: Instant) -> StepResult<Vec<Value>> {
        loop {
            let spans = self.spans(trace_id)?;
            if spans.len() >= count || Instant::now() >= deadline {
                return Ok(spans);
            }
            thread::sleep(INTERVAL);
        }
    }
}

impl Query {
    /// Waits until the server has stored `enough` spans of these traces, or their number no longer changes, and
    /// returns the number.
    ///
    /// # Errors
    ///
    /// As [`spans`](Self::spans).
    pub fn count_settled(&self, traces: &[String], enough: u64) -> StepResult<u64> {
        settled(enough, QUIET, || traces.iter().map(|trace_id| self.count(trace_id)).sum())
    }

    fn count(&self, trace_id: &str) -> StepResult<u64> {
        let url = format!("http://{}/api/traces/{trace_id}?raw=true", self.address);
        let response = get(&url, &[])?;
        if !matches!(response.status, 200 | 404) {
            return Err(format!("{url} answered {}: {}", response.status, response.body));
        }
        // Each span has one. Parsing the JSON would take many times as long.
        Ok(response.body.matches("\"operationName\":").count() as u64)
    }
}

/// A response of an HTTP server.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends a GET request to `url` with these headers.
///
/// # Errors
///
/// A message, if there was no response in time. A response of any status is no error.
pub fn get(url: &str, headers: &[(String, String)]) -> StepResult<HttpResponse> {
    let mut request = client().get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    read_response(url, request.call())
}

/// Sends a POST request without a body to `url`.
///
/// # Errors
///
/// As [`get`].
pub fn post(url: &str) -> StepResult<HttpResponse> {
    read_response(url, client().post(url).send_empty())
}

/// Posts a body to `url`, and returns the status and body of the response.
///
/// # Errors
///
/// As [`get`].
pub fn post_bytes(url: &str, content_type: &str, body: &[u8]) -> StepResult<(u16, Vec<u8>)> {
    let responded = client().post(url).header("content-type", content_type).send(body);
    let mut response = responded.map_err(|error| format!("{url}: {error}"))?;
    let limited = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
    let body = limited.map_err(|error| format!("{url}: {error}"))?;
    Ok((response.status().as_u16(), body))
}

fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST_LIMIT))
        .http_status_as_error(false)
        .build()
        .into()
}

type Responded = Result<http::Response<ureq::Body>, ureq::Error>;

fn read_response(url: &str, responded: Responded) -> StepResult<HttpResponse> {
    let mut response = responded.map_err(|error| format!("{url}: {error}"))?;
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_BODY_BYTES)
        .read_to_string()
        .map_err(|error| format!("{url}: {error}"))?;
    Ok(HttpResponse { status: response.status().as_u16(), body })
}

/// The latest time whose nanoseconds fit 63 bits.
const LATEST_MICROS: i64 = i64::MAX / 1000;

/// A peer may be waiting for the next one.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// A trace of a hundred spans takes about 100 kB.
const MAX_BODY_BYTES: u64 = 64 << 20;
