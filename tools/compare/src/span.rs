//! A span of the query API, and the differences of its copies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

/// A trace as it is stored.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredTrace {
    #[serde(default, deserialize_with = "null_is_default")]
    spans: Vec<StoredSpan>,
    #[serde(default, deserialize_with = "null_is_default")]
    processes: HashMap<String, Process>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredSpan {
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default)]
    operation_name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    references: Vec<Reference>,
    #[serde(default)]
    start_time: Value,
    #[serde(default)]
    duration: Value,
    #[serde(default)]
    flags: Value,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<Tag>,
    #[serde(default, deserialize_with = "null_is_default")]
    logs: Vec<Log>,
    #[serde(rename = "processID", default)]
    process_id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "refType", default)]
    kind: String,
    #[serde(rename = "traceID", default)]
    trace_id: String,
    #[serde(rename = "spanID", default)]
    span_id: String,
}

#[derive(Debug, Deserialize)]
struct Tag {
    key: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    value: Value,
}

#[derive(Debug, Deserialize)]
struct Log {
    #[serde(default)]
    timestamp: Value,
    #[serde(default, deserialize_with = "null_is_default")]
    fields: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
struct Process {
    #[serde(rename = "serviceName", default)]
    service: String,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<Tag>,
}

/// The protocol by which a copy of a span was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Jaeger's Thrift, over UDP or HTTP.
    Thrift,
    /// OTLP.
    Otlp,
}

/// One copy of a span, in a normal form for comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Copy {
    pub(crate) operation: String,
    /// All other fields, by their names in differences. Lists without an order are sorted.
    fields: BTreeMap<String, Vec<String>>,
}

/// A field that differs between copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Such as `duration`, or `tag http.url`.
    pub(crate) field: String,
    pub(crate) thrift: Vec<String>,
    pub(crate) otlp: Vec<String>,
}

/// Fields whose differences are ignored.
#[derive(Clone, Debug)]
pub(crate) struct Ignored(BTreeSet<String>);

impl Ignored {
    /// Makes it of the given fields, and of those that every OTLP span has: the library's name and version.
    pub(crate) fn new(given: Vec<String>) -> Self {
        let always = ALWAYS_DIFFERENT.iter().map(|field| (*field).to_owned());
        Self(given.into_iter().chain(always).collect())
    }
}

/// The span of a trace to which a copy belongs. Two services may share a span id, as clients and servers of
/// Zipkin do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SpanKey {
    pub(crate) service: String,
    pub(crate) span_id: String,
}

impl StoredTrace {
    /// Returns the copies of spans in a trace, each with its protocol.
    pub(crate) fn into_copies(self) -> impl Iterator<Item = (SpanKey, Protocol, Copy)> {
        let Self { spans, processes } = self;
        let nobody = Process::default();
        let read = move |span: StoredSpan| {
            let process = processes.get(&span.process_id).unwrap_or(&nobody);
            let key = SpanKey { service: process.service.clone(), span_id: span.span_id.clone() };
            let protocol = protocol(&span.tags, &process.tags);
            (key, protocol, Copy::new(span, process))
        };
        spans.into_iter().map(read)
    }
}

impl Copy {
    fn new(span: StoredSpan, process: &Process) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut put = |field: String, value: String| fields.entry(field).or_default().push(value);
        put("start".to_owned(), plain(&span.start_time));
        put("duration".to_owned(), plain(&span.duration));
        // Every stored span was sampled, whether the server shows the flag or not.
        let flags = span.flags.as_u64().unwrap_or_default() & !SAMPLED;
        if flags != 0 {
            put("flags".to_owned(), flags.to_string());
        }
        for tag in span.tags.iter().filter(|tag| tag.key != FORMAT_TAG) {
            put(format!("tag {}", tag.key), tag.shown());
        }
        for tag in &process.tags {
            put(format!("{PROCESS_TAG}{}", tag.key), tag.shown());
        }
        for Reference { kind, trace_id, span_id } in &span.references {
            put("references".to_owned(), format!("{kind} {}:{span_id}", short_id(trace_id)));
        }
        for log in &span.logs {
            let mut shown: Vec<_> = log
                .fields
                .iter()
                .map(|field| format!("{} = {}", field.key, field.shown()))
                .collect();
            shown.sort();
            put("logs".to_owned(), format!("{}: {}", plain(&log.timestamp), shown.join(", ")));
        }
        for warning in span.warnings {
            put("warnings".to_owned(), warning);
        }
        fields.values_mut().for_each(|values| values.sort());
        Self { operation: span.operation_name, fields }
    }

    /// Returns the differences between this copy, received by Thrift, and one received by OTLP.
    pub(crate) fn differences(&self, otlp: &Self, ignored: &Ignored) -> Vec<Difference> {
        let mut differences = Vec::new();
        if self.operation != otlp.operation {
            differences.push(Difference {
                field: "operation".to_owned(),
                thrift: vec![self.operation.clone()],
                otlp: vec![otlp.operation.clone()],
            });
        }
        let names: BTreeSet<_> = self.fields.keys().chain(otlp.fields.keys()).collect();
        for name in names.into_iter().filter(|name| !ignored.0.contains(*name)) {
            let of = |copy: &Self| copy.fields.get(name).cloned().unwrap_or_default();
            let (mut thrift, mut by_otlp) = (of(self), of(otlp));
            if thrift != by_otlp {
                leave_what_is_alone(&mut thrift, &mut by_otlp);
                differences.push(Difference { field: name.clone(), thrift, otlp: by_otlp });
            }
        }
        differences
    }
}

impl Tag {
    /// Its value, and the type where the value does not show it.
    fn shown(&self) -> String {
        match (&*self.kind, &self.value) {
            // Servers return numbers beyond 53 bits as text.
            ("int64", Value::String(digits)) => digits.clone(),
            ("string", Value::String(text)) => format!("{text:?}"),
            ("bool" | "int64", value) => plain(value),
            (kind, value) => format!("{kind} {}", plain(value)),
        }
    }
}

/// Returns the protocol by which a copy was received: OTLP has the name of the library, and the collector of
/// Jaeger v1 adds a tag with the format.
fn protocol(tags: &[Tag], process_tags: &[Tag]) -> Protocol {
    let text = |tags: &[Tag], key: &str| {
        let tag = tags.iter().rfind(|tag| tag.key == key);
        tag.and_then(|tag| tag.value.as_str()).map(str::to_owned)
    };
    if text(tags, FORMAT_TAG).is_some_and(|format| format == "otlp") {
        return Protocol::Otlp;
    }
    match text(process_tags, "telemetry.sdk.name").as_deref() {
        None => Protocol::Thrift,
        Some("jaeger-client") => Protocol::Otlp,
        // OpenTelemetry SDKs add their name by any protocol; Jaeger's clients add theirs by Thrift alone.
        Some(_) => {
            let by_client = text(process_tags, "jaeger.version").is_some()
                || text(process_tags, "opencensus.exporterversion")
                    .is_some_and(|version| version.starts_with("Jaeger-"));
            if by_client { Protocol::Thrift } else { Protocol::Otlp }
        }
    }
}

/// Removes from two sorted lists what both have.
fn leave_what_is_alone(these: &mut Vec<String>, those: &mut Vec<String>) {
    these.retain(|item| match those.iter().position(|other| other == item) {
        Some(at) => {
            those.remove(at);
            false
        }
        None => true,
    });
}

/// Returns a trace id without leading zeros, which only some servers return.
pub(crate) fn short_id(id: &str) -> &str {
    let short = id.trim_start_matches('0');
    if short.is_empty() { "0" } else { short }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Go's empty lists are null in JSON.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The prefix of the names of fields that are tags of the process.
pub(crate) const PROCESS_TAG: &str = "process tag ";

/// The flag of sampled spans.
const SAMPLED: u64 = 1;

/// The tag with a span's format that the collector of Jaeger v1 adds.
const FORMAT_TAG: &str = "internal.span.format";

/// The tags of every OTLP span that Thrift does not have.
const ALWAYS_DIFFERENT: [&str; 5] = [
    "process tag telemetry.sdk.language",
    "process tag telemetry.sdk.name",
    "process tag telemetry.sdk.version",
    "tag otel.scope.name",
    "tag otel.scope.version",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn copy(span: Value, process_tags: Value) -> (SpanKey, Protocol, Copy) {
        let mut span = span;
        span["processID"] = json!("p1");
        span["spanID"] = json!("a");
        let processes = json!({"p1": {"serviceName": "shop", "tags": process_tags}});
        let trace = json!({"traceID": "1", "spans": [span], "processes": processes});
        let trace: StoredTrace = serde_json::from_value(trace).unwrap();
        trace.into_copies().next().unwrap()
    }

    fn text(key: &str, value: &str) -> Value {
        json!({"key": key, "type": "string", "value": value})
    }

    fn differences(thrift: Value, otlp: Value) -> Vec<(String, Vec<String>, Vec<String>)> {
        let [thrift, otlp] = [thrift, otlp].map(|span| copy(span, Value::Null).2);
        let differences = thrift.differences(&otlp, &Ignored::new(Vec::new()));
        differences.into_iter().map(|found| (found.field, found.thrift, found.otlp)).collect()
    }

    #[test]
    fn the_order_of_tags_logs_and_their_fields_is_no_difference() {
        let [a, b] = [text("a", "1"), text("b", "2")];
        let log = |at: u64, fields: Value| json!({"timestamp": at, "fields": fields});
        let one = json!({"tags": [a, b], "logs": [log(1, json!([a, b])), log(2, json!([]))]});
        let other = json!({"tags": [b, a], "logs": [log(2, Value::Null), log(1, json!([b, a]))]});
        assert_eq!(differences(one, other), []);
        let spans = [json!({"flags": 1, "warnings": null, "references": []}), json!({})];
        let [one, other] = spans;
        assert_eq!(differences(one, other), []);
    }

    #[test]
    fn a_difference_names_its_field_and_what_each_side_has_alone() {
        let long = |value: Value| json!({"key": "n", "type": "int64", "value": value});
        let of = |field: &str, thrift: &[&str], otlp: &[&str]| {
            let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
            (field.to_owned(), list(thrift), list(otlp))
        };
        for (thrift, otlp, expected) in [
            (json!({"duration": 1}), json!({"duration": 2}), of("duration", &["1"], &["2"])),
            (
                json!({"startTime": 18_437_520_701_673_696_840_u64}),
                json!({"startTime": 1}),
                of("start", &["18437520701673696840"], &["1"]),
            ),
            (
                json!({"tags": [text("k", "1")]}),
                json!({"tags": [{"key": "k", "type": "int64", "value": 1}]}),
                of("tag k", &["\"1\""], &["1"]),
            ),
            (
                json!({"tags": [text("k", "a"), text("k", "b")]}),
                json!({"tags": [text("k", "b")]}),
                of("tag k", &["\"a\""], &[]),
            ),
            (
                json!({"tags": [long(json!("9007199254740993"))]}),
                json!({"tags": [long(json!(9_007_199_254_740_992_u64))]}),
                of("tag n", &["9007199254740993"], &["9007199254740992"]),
            ),
            (
                json!({"references": [{"refType": "CHILD_OF", "traceID": "0a", "spanID": "0b"}]}),
                json!({"references": [{"refType": "FOLLOWS_FROM", "traceID": "a", "spanID": "0b"}]}),
                of("references", &["CHILD_OF a:0b"], &["FOLLOWS_FROM a:0b"]),
            ),
            (json!({"flags": 3}), json!({}), of("flags", &["2"], &[])),
            (json!({"warnings": ["w"]}), json!({}), of("warnings", &["w"], &[])),
            (
                json!({"operationName": "a"}),
                json!({"operationName": "b"}),
                of("operation", &["a"], &["b"]),
            ),
        ] {
            assert_eq!(differences(thrift, otlp), [expected]);
        }
    }

    #[test]
    fn what_is_ignored_is_no_difference() {
        let spans = [json!({"duration": 1, "tags": [text("a", "1")]}), json!({"duration": 2})];
        let [thrift, otlp] = spans.map(|span| copy(span, Value::Null).2);
        let ignored = Ignored::new(vec!["duration".to_owned()]);
        let found = thrift.differences(&otlp, &ignored);
        assert_eq!(found.iter().map(|found| &*found.field).collect::<Vec<_>>(), ["tag a"]);
        let ignored = Ignored::new(vec!["duration".to_owned(), "tag a".to_owned()]);
        assert_eq!(thrift.differences(&otlp, &ignored), []);
    }

    #[test]
    fn a_copy_shows_the_protocol_that_it_was_received_over() {
        let sdk = |name: &str| text("telemetry.sdk.name", name);
        let old = text("opencensus.exporterversion", "Jaeger-Rust-0.1.0");
        for (tags, process_tags, expected) in [
            (json!(null), json!([old]), Protocol::Thrift),
            (json!(null), json!([old, sdk("jaeger-client")]), Protocol::Otlp),
            (json!(null), json!([sdk("opentelemetry")]), Protocol::Otlp),
            (json!(null), json!([sdk("opentelemetry"), old]), Protocol::Thrift),
            (
                json!(null),
                json!([sdk("opentelemetry"), text("jaeger.version", "Rust-1")]),
                Protocol::Thrift,
            ),
            (json!([text(FORMAT_TAG, "otlp")]), json!(null), Protocol::Otlp),
            (json!([text(FORMAT_TAG, "proto")]), json!(null), Protocol::Thrift),
        ] {
            let (_, protocol, _) = copy(json!({"tags": tags}), process_tags.clone());
            assert_eq!(protocol, expected, "{process_tags}");
        }
    }

    #[test]
    fn a_span_of_an_unknown_process_is_of_no_service() {
        let trace = json!({"traceID": "1", "spans": [{"spanID": "a", "processID": "p9"}]});
        let trace: StoredTrace = serde_json::from_value(trace).unwrap();
        assert_eq!(trace.into_copies().next().unwrap().0.service, "");
    }
}
