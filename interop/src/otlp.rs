//! Reads spans back from the file of the OpenTelemetry Collector, which has a line of OTLP JSON for each batch.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::opt_in::StepResult;
use crate::span::{double, list};

/// The file to which a collector writes spans.
#[derive(Clone, Debug)]
pub struct Lines {
    file: PathBuf,
}

impl Lines {
    /// Makes a reader of this file.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: Path::new(file).to_owned() }
    }

    /// Returns the spans of a trace that were written so far, in the form of [`crate::span::read_back`].
    ///
    /// # Errors
    ///
    /// A message, if the file cannot be read. An incomplete last line is ignored.
    pub fn spans(&self, trace_id: &str) -> StepResult<Vec<Value>> {
        let bytes =
            fs::read(&self.file).map_err(|error| format!("{}: {error}", self.file.display()))?;
        // The collector writes text that is not UTF-8 as it is.
        let text = String::from_utf8_lossy(&bytes);
        let trace_id = format!("{trace_id:0>32}");
        let mut spans = Vec::new();
        for line in text.lines().filter(|line| line.contains(&trace_id)) {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            for of_resource in list(&line["resourceSpans"]) {
                for of_scope in list(&of_resource["scopeSpans"]) {
                    let same = |span: &&Value| span["traceId"] == *trace_id;
                    let found = list(&of_scope["spans"]).filter(same);
                    let around = [&of_resource["resource"], &of_scope["scope"]];
                    spans.extend(found.map(|span| read_back(span, around)));
                }
            }
        }
        Ok(spans)
    }
}

/// Converts a span to the form of [`crate::span::read_back`].
fn read_back(span: &Value, [resource, scope]: [&Value; 2]) -> Value {
    let parent = span["parentSpanId"].as_str().unwrap_or_default();
    let mut references: Vec<_> = list(&span["links"])
        .map(|link| {
            let mut attributes = list(&link["attributes"]);
            let follows = attributes.any(|attribute| {
                attribute["key"] == "opentracing.ref_type"
                    && attribute["value"]["stringValue"] == "follows_from"
            });
            let kind = if follows { "FOLLOWS_FROM" } else { "CHILD_OF" };
            json!([kind, short(&link["traceId"]), link["spanId"]])
        })
        .collect();
    if !parent.is_empty() && !references.iter().any(|reference| reference[2] == *parent) {
        references.push(json!(["CHILD_OF", short(&span["traceId"]), parent]));
    }
    let mut tags = attributes(&span["attributes"]);
    if let Some(kind) =
        span["kind"].as_u64().and_then(|kind| *KINDS.get(usize::try_from(kind).ok()?)?)
    {
        tags.push(json!(["span.kind", "string", kind]));
    }
    match span["status"]["code"].as_u64() {
        Some(1) => tags.push(json!(["otel.status_code", "string", "OK"])),
        Some(2) => tags.push(json!(["error", "bool", true])),
        _ => {}
    }
    for (key, text) in [
        ("w3c.tracestate", &span["traceState"]),
        ("otel.status_description", &span["status"]["message"]),
        ("otel.scope.name", &scope["name"]),
        ("otel.scope.version", &scope["version"]),
    ] {
        if text.is_string() {
            tags.push(json!([key, "string", text]));
        }
    }
    let logs: Vec<_> = list(&span["events"])
        .map(|event| {
            let mut fields = attributes(&event["attributes"]);
            if let Some(name) = event["name"].as_str().filter(|name| !name.is_empty()) {
                fields.push(json!(["event", "string", name]));
            }
            json!([micros(&event["timeUnixNano"]), fields])
        })
        .collect();
    let mut process_tags = attributes(&resource["attributes"]);
    let service = process_tags.iter().position(|tag| tag[0] == "service.name");
    let service = service.map(|at| process_tags.remove(at)[2].clone());
    let (start, end) = (micros(&span["startTimeUnixNano"]), micros(&span["endTimeUnixNano"]));
    json!({
        "trace": short(&span["traceId"]),
        "span": span["spanId"],
        "flags": span["flags"],
        "operation": span["name"].as_str().unwrap_or_default(),
        "references": references,
        "start": start,
        "duration": end - start,
        "tags": tags,
        "logs": logs,
        "service": service,
        "process_tags": process_tags,
        "warnings": null,
    })
}

/// The numbers of span kinds in OTLP.
const KINDS: [Option<&str>; 6] =
    [None, Some("internal"), Some("server"), Some("client"), Some("producer"), Some("consumer")];

fn attributes(attributes: &Value) -> Vec<Value> {
    list(attributes)
        .map(|attribute| {
            let value = &attribute["value"];
            let (kind, plain) = if let Some(text) = value["stringValue"].as_str() {
                ("string", json!(text))
            } else if let Some(number) = value["intValue"].as_str() {
                ("int64", json!(number))
            } else if let Some(number) = value["doubleValue"].as_f64() {
                ("float64", double(number))
            } else if let Some(value) = value["boolValue"].as_bool() {
                ("bool", json!(value))
            } else {
                ("binary", value["bytesValue"].clone())
            };
            json!([attribute["key"], kind, plain])
        })
        .collect()
}

/// Returns a trace id without its upper half if that is zero.
fn short(id: &Value) -> Value {
    let id = id.as_str().unwrap_or_default();
    json!(id.strip_prefix("0000000000000000").unwrap_or(id))
}

fn micros(nanos: &Value) -> i64 {
    nanos.as_str().and_then(|nanos| nanos.parse::<i64>().ok()).unwrap_or_default() / 1000
}
