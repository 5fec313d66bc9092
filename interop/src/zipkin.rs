//! Reads spans back from Zipkin.

use serde_json::{Value, json};

use crate::opt_in::StepResult;
use crate::query;
use crate::span::list;

/// The query API of a running Zipkin.
#[derive(Clone, Debug)]
pub struct Zipkin {
    address: String,
}

impl Zipkin {
    /// Makes a client of the API at `address`, `host:port`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Returns the spans of a trace that are stored now, in the form of [`crate::span::read_back`].
    ///
    /// # Errors
    ///
    /// The response, if it is neither a trace nor "not found".
    pub fn spans(&self, trace_id: &str) -> StepResult<Vec<Value>> {
        let url = format!("http://{}/api/v2/trace/{trace_id}", self.address);
        let response = query::get(&url, &[])?;
        if response.status == 404 {
            return Ok(Vec::new());
        }
        let spans: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("{url} answered {}: {error}", response.status))?;
        Ok(list(&spans).map(read_back).collect())
    }

    /// Searches the traces of a service, as the UI does: their ids. Of any time with `ever`, of the last hour
    /// otherwise.
    ///
    /// # Errors
    ///
    /// The response, if it is not a list of traces.
    pub fn search(&self, service: &str, ever: bool) -> StepResult<Vec<String>> {
        // In milliseconds.
        let lookback = if ever { i64::MAX / 1_000_000 } else { 3_600_000 };
        let path = format!("api/v2/traces?serviceName={service}&limit=20000&lookback={lookback}");
        let url = format!("http://{}/{path}", self.address);
        let response = query::get(&url, &[])?;
        let traces: Value = serde_json::from_str(&response.body)
            .map_err(|error| format!("{url} answered {}: {error}", response.status))?;
        let id = |trace: &Value| trace[0]["traceId"].as_str().unwrap_or_default().to_owned();
        match &traces {
            Value::Array(traces) if response.status == 200 => Ok(traces.iter().map(id).collect()),
            _ => Err(format!("{url} answered {}: {}", response.status, response.body)),
        }
    }
}

/// Converts a span to the form of [`crate::span::read_back`], with tags for its kind and peer.
fn read_back(span: &Value) -> Value {
    let references: Vec<_> = span["parentId"]
        .as_str()
        .map(|parent| json!(["CHILD_OF", span["traceId"], parent]))
        .into_iter()
        .collect();
    let mut tags: Vec<_> = span["tags"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| json!([key, "string", value]))
        .collect();
    if let Some(kind) = span["kind"].as_str() {
        tags.push(json!(["span.kind", "string", kind.to_lowercase()]));
    }
    let peer = &span["remoteEndpoint"];
    for (name, key) in
        [("serviceName", "peer.service"), ("ipv4", "peer.ipv4"), ("port", "peer.port")]
    {
        match &peer[name] {
            Value::Null => {}
            Value::String(text) => tags.push(json!([key, "string", text])),
            other => tags.push(json!([key, "string", other.to_string()])),
        }
    }
    let logs: Vec<_> = list(&span["annotations"])
        .map(|annotation| {
            json!([annotation["timestamp"], [["event", "string", annotation["value"]]]])
        })
        .collect();
    json!({
        "trace": span["traceId"],
        "span": span["id"],
        "flags": if span["debug"] == true { 2 } else { 0 },
        "operation": span["name"].as_str().unwrap_or_default(),
        "references": references,
        "start": span["timestamp"],
        "duration": span["duration"].as_i64().unwrap_or_default(),
        "tags": tags,
        "logs": logs,
        "service": span["localEndpoint"]["serviceName"],
        "process_tags": [["ip", "string", span["localEndpoint"]["ipv4"]]],
        "warnings": null,
    })
}
