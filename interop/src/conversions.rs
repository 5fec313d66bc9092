//! The changes that each route and server makes to a span. Everything else must be returned as it was sent.
//!
//! A rule either changes the expected content, where something is lost or renamed, or converts what the
//! server returned, where the server has another form for the same content. No rule makes one side depend
//! on the other.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::span::{Rule, double, from_base64, list};

/// Jaeger's Thrift to a server that stores OTLP: Jaeger v2, the OpenTelemetry Collector.
pub const OTLP: &[Rule] = &[
    flags_are_lost,
    the_process_is_a_resource,
    an_error_is_a_status,
    tags_are_maps,
    order_is_lost,
];

/// OTLP to any server.
pub const POSTED_OTLP: &[Rule] = &[
    flags_are_lost_or_say_sampled,
    the_process_is_a_resource,
    the_library_names_itself,
    an_error_is_a_status,
    tags_are_maps,
    order_is_lost,
];

/// Zipkin's Thrift to an old agent.
pub const ZIPKIN_COMPACT: &[Rule] = &[
    only_the_debug_flag_stays,
    zipkin_has_one_parent,
    the_process_goes_with_its_first_spans,
    numbers_are_text,
    annotations_round_doubles,
    annotations_are_text,
    annotations_are_read_as_fields,
    what_is_local_has_a_component,
    an_agent_reads_addresses_as_numbers,
    order_is_lost,
];

/// Zipkin's Thrift to a server that stores OTLP, or converts to it.
pub const ZIPKIN_V1_OTLP: &[Rule] = &[
    flags_are_lost,
    zipkin_has_one_parent,
    the_process_goes_with_its_first_spans,
    numbers_are_text,
    bytes_are_base64,
    annotations_round_doubles,
    annotations_are_text,
    annotations_are_read_as_fields,
    what_is_local_has_a_component,
    otlp_drops_the_peers_of_zipkin_v1,
    an_error_is_a_status,
    tags_are_maps,
    order_is_lost,
];

/// Zipkin's JSON to a server that stores OTLP, or converts to it.
pub const ZIPKIN_V2_OTLP: &[Rule] = &[
    flags_are_lost,
    zipkin_has_one_parent,
    the_process_goes_with_its_first_spans,
    numbers_are_text,
    booleans_are_text,
    bytes_are_base64,
    annotations_are_text,
    annotations_are_read_as_fields,
    otlp_names_addresses_its_way,
    an_error_is_a_status,
    tags_are_maps,
    order_is_lost,
];

/// Zipkin's Thrift to Zipkin.
pub const ZIPKIN_V1: &[Rule] = &[
    only_the_debug_flag_stays,
    zipkin_has_one_parent,
    the_process_goes_with_its_first_spans,
    zipkin_drops_booleans_and_bytes,
    numbers_are_text,
    annotations_round_doubles,
    annotations_are_text,
    annotations_are_read_as_fields,
    zipkin_knows_no_producers_in_v1,
    what_is_local_has_an_lc,
    names_are_in_lower_case,
    tags_are_maps,
    order_is_lost,
];

/// Zipkin's JSON to Zipkin.
pub const ZIPKIN_V2: &[Rule] = &[
    only_the_debug_flag_stays,
    zipkin_has_one_parent,
    the_process_goes_with_its_first_spans,
    numbers_are_text,
    booleans_are_text,
    bytes_are_base64,
    annotations_are_text,
    annotations_are_read_as_fields,
    names_are_in_lower_case,
    tags_are_maps,
    order_is_lost,
];

/// Of several tags or fields with the same key, the last one remains.
fn tags_are_maps(wanted: &mut Value, got: &mut Value) {
    for side in [wanted, got] {
        each_list(side, |fields| {
            let map: BTreeMap<_, _> =
                fields.drain(..).map(|field| (field[0].to_string(), field)).collect();
            fields.extend(map.into_values());
        });
    }
}

/// Tags, fields, references and logs are returned in any order.
fn order_is_lost(wanted: &mut Value, got: &mut Value) {
    for side in [wanted, got] {
        each_list(side, |fields| fields.sort_by_key(Value::to_string));
        for (name, at) in [("references", 2), ("logs", 1)] {
            if let Some(items) = side[name].as_array_mut() {
                items.sort_by_key(|item| item[at].to_string());
            }
        }
    }
}

/// OTLP has no place for Jaeger's flags.
fn flags_are_lost(wanted: &mut Value, _got: &mut Value) {
    wanted["flags"] = Value::Null;
}

/// OTLP has only the flag of sampled spans, and Jaeger does not show it.
fn flags_are_lost_or_say_sampled(wanted: &mut Value, got: &mut Value) {
    wanted["flags"] = json!(1);
    if got["flags"].is_null() || got["flags"] == 0 {
        got["flags"] = json!(1);
    }
}

/// OTLP has the name of the library: three attributes of the resource, and the scope.
fn the_library_names_itself(wanted: &mut Value, _got: &mut Value) {
    for (key, value) in [
        ("telemetry.sdk.name", json!("jaeger-client")),
        ("telemetry.sdk.language", json!("rust")),
        ("telemetry.sdk.version", json!({"begins": "0."})),
    ] {
        items(&mut wanted["process_tags"]).push(json!([key, "string", value]));
    }
    for (key, value) in [
        ("otel.scope.name", json!("jaeger-client")),
        ("otel.scope.version", json!({"begins": "0."})),
    ] {
        items(&mut wanted["tags"]).push(json!([key, "string", value]));
    }
}

/// Two tags of the process have other names as attributes of a resource.
fn the_process_is_a_resource(wanted: &mut Value, _got: &mut Value) {
    for tag in items(&mut wanted["process_tags"]) {
        if tag[0] == "hostname" {
            tag[0] = json!("host.name");
        } else if tag[0] == "jaeger.version" {
            tag[0] = json!("opencensus.exporterversion");
            tag[2] = json!({"begins": "Jaeger-Rust-"});
        }
    }
}

/// The tag `error` becomes a status, for which Jaeger v2 shows two tags.
fn an_error_is_a_status(wanted: &mut Value, got: &mut Value) {
    for tag in items(&mut wanted["tags"]).iter_mut().filter(|tag| tag[0] == "error") {
        tag[1] = json!("bool");
        tag[2] = json!(true);
    }
    let is_code = |tag: &Value| *tag == json!(["otel.status_code", "string", "ERROR"]);
    items(&mut got["tags"]).retain(|tag| !is_code(tag));
}

/// Zipkin has only the debug flag.
fn only_the_debug_flag_stays(wanted: &mut Value, got: &mut Value) {
    let debug = wanted["flags"].as_u64().unwrap_or_default() & 2;
    wanted["flags"] = json!(debug);
    if got["flags"].is_null() {
        got["flags"] = json!(0);
    }
}

/// Zipkin has a parent instead of references: that of the first `CHILD_OF`, or the last reference.
fn zipkin_has_one_parent(wanted: &mut Value, _got: &mut Value) {
    let trace = wanted["trace"].clone();
    let references = items(&mut wanted["references"]);
    let child = references.iter().find(|reference| reference[0] == "CHILD_OF");
    let parent = child.or_else(|| references.last()).map(|parent| parent[2].clone());
    *references = parent.into_iter().map(|parent| json!(["CHILD_OF", trace, parent])).collect();
}

/// The first spans in a process have the tags of the process; its address is that of the span.
fn the_process_goes_with_its_first_spans(wanted: &mut Value, got: &mut Value) {
    let process = std::mem::take(items(&mut wanted["process_tags"]));
    let has = |name: &str, value: &str, span: &Value| {
        list(&span["tags"]).any(|tag| tag[0] == name && tag[2] == value)
    };
    if wanted["references"] == json!([]) || has("span.kind", "server", wanted) {
        let goes = |tag: &Value| tag[0] != "ip" && tag[0] != "client-uuid";
        items(&mut wanted["tags"]).extend(process.into_iter().filter(goes));
    }
    // An agent makes the version a tag of the process.
    let mut version = None;
    items(&mut got["process_tags"]).retain(|tag| {
        let is_version = tag[0] == "jaeger.version";
        if is_version {
            version = Some(tag.clone());
        }
        !is_version && tag[0] != "ip" && tag[0] != "ipv4"
    });
    items(&mut got["tags"]).extend(version);
}

/// Numbers become text; doubles are compared as numbers.
fn numbers_are_text(wanted: &mut Value, got: &mut Value) {
    for tag in items(&mut wanted["tags"]) {
        match tag[1].as_str() {
            Some("int64") => tag[1] = json!("string"),
            Some("float64") => *tag = json!([tag[0], "string", shown(&tag[2])]),
            _ => {}
        }
    }
    for tag in items(&mut got["tags"]) {
        if let Some(number) = tag[2].as_str().and_then(as_double) {
            tag[2] = json!(number.to_string());
        }
    }
}

/// Booleans become text.
fn booleans_are_text(wanted: &mut Value, _got: &mut Value) {
    for tag in items(&mut wanted["tags"]).iter_mut().filter(|tag| tag[1] == "bool") {
        *tag = json!([tag[0], "string", tag[2].to_string()]);
    }
}

/// Bytes become text in base64, as they are compared here.
fn bytes_are_base64(wanted: &mut Value, _got: &mut Value) {
    for tag in items(&mut wanted["tags"]).iter_mut().filter(|tag| tag[1] == "binary") {
        tag[1] = json!("string");
    }
}

/// Zipkin stores only annotations that are text.
fn zipkin_drops_booleans_and_bytes(wanted: &mut Value, _got: &mut Value) {
    items(&mut wanted["tags"]).retain(|tag| tag[1] != "bool" && tag[1] != "binary");
}

/// A log becomes one text: its event, or a JSON object of its fields as text.
fn annotations_are_text(wanted: &mut Value, _got: &mut Value) {
    for log in items(&mut wanted["logs"]) {
        let mut map = Map::new();
        for field in list(&log[1]) {
            let text = match (field[1].as_str(), &field[2]) {
                (Some("float64"), number) => shown(number),
                (Some("binary"), bytes) => bytes_as_go_shows_them(bytes),
                (_, Value::String(text)) => text.clone(),
                (_, other) => other.to_string(),
            };
            map.insert(field[0].as_str().unwrap_or_default().to_owned(), json!(text));
        }
        log[1] = map.into_iter().map(|(key, text)| json!([key, "string", text])).collect();
    }
}

/// In v1, doubles in logs have six decimal places, as in Go.
fn annotations_round_doubles(wanted: &mut Value, _got: &mut Value) {
    for log in items(&mut wanted["logs"]) {
        for field in items(&mut log[1]).iter_mut().filter(|field| field[1] == "float64") {
            let six = format!("{:.6}", field[2].as_f64().unwrap_or_default());
            field[2] = double(six.parse().unwrap_or_default());
        }
    }
}

/// An annotation that is a JSON object of texts is converted back to fields, as agents do.
fn annotations_are_read_as_fields(_wanted: &mut Value, got: &mut Value) {
    for log in items(&mut got["logs"]) {
        let object = match items(&mut log[1]).as_slice() {
            [event] if event[0] == "event" => {
                event[2].as_str().and_then(|text| serde_json::from_str::<Map<_, _>>(text).ok())
            }
            _ => None,
        };
        if let Some(object) = object {
            log[1] = object.into_iter().map(|(key, text)| json!([key, "string", text])).collect();
        }
        for field in items(&mut log[1]) {
            if let Some(number) = field[2].as_str().and_then(as_double) {
                field[2] = json!(number.to_string());
            }
        }
    }
}

/// Spans that are neither client nor server have the tag `component` with their service.
fn what_is_local_has_a_component(wanted: &mut Value, _got: &mut Value) {
    local(wanted, "component");
}

/// Zipkin stores the annotation `lc` of spans that are neither client nor server as a tag.
fn what_is_local_has_an_lc(wanted: &mut Value, _got: &mut Value) {
    local(wanted, "lc");
}

fn local(wanted: &mut Value, key: &str) {
    let is_end = list(&wanted["tags"])
        .any(|tag| tag[0] == "span.kind" && (tag[2] == "client" || tag[2] == "server"));
    if !is_end {
        let service = wanted["service"].clone();
        items(&mut wanted["tags"]).push(json!([key, "string", service]));
    }
    zipkin_knows_no_producers_in_v1(wanted, &mut Value::Null);
}

/// V1 has only the kinds client and server, and no peers for other spans.
fn zipkin_knows_no_producers_in_v1(wanted: &mut Value, _got: &mut Value) {
    let is_peer = |tag: &Value| {
        tag[0].as_str().is_some_and(|key| key.starts_with("peer.") || key == "span.kind")
    };
    let produces = |tag: &Value| tag[0] == "span.kind" && tag[2] == "producer";
    if list(&wanted["tags"]).any(produces) {
        items(&mut wanted["tags"]).retain(|tag| !is_peer(tag));
    }
}

/// An old agent converts a peer's address and port to numbers.
fn an_agent_reads_addresses_as_numbers(wanted: &mut Value, _got: &mut Value) {
    for tag in items(&mut wanted["tags"]) {
        if tag[0] == "peer.ipv4" {
            *tag = json!(["peer.ipv4", "int64", 0x0a01_0203.to_string()]);
        } else if tag[0] == "peer.port" {
            tag[1] = json!("int64");
        }
    }
}

/// OTLP has only a boolean for the peer of a call.
fn otlp_drops_the_peers_of_zipkin_v1(wanted: &mut Value, _got: &mut Value) {
    let side = list(&wanted["tags"]).find_map(|tag| match tag[2].as_str() {
        Some("client") if tag[0] == "span.kind" => Some("sa"),
        Some("server") if tag[0] == "span.kind" => Some("ca"),
        _ => None,
    });
    if let Some(side) = side {
        let is_peer = |tag: &Value| tag[0].as_str().is_some_and(|key| key.starts_with("peer."));
        items(&mut wanted["tags"]).retain(|tag| !is_peer(tag));
        items(&mut wanted["tags"]).push(json!([side, "bool", true]));
    }
}

/// The addresses of the span and its peer have other names; ports become numbers.
fn otlp_names_addresses_its_way(wanted: &mut Value, got: &mut Value) {
    for tag in items(&mut wanted["tags"]) {
        if tag[0] == "peer.ipv4" {
            tag[0] = json!("net.peer.ip");
        } else if tag[0] == "peer.port" {
            tag[0] = json!("net.peer.port");
            tag[1] = json!("int64");
        }
    }
    items(&mut got["tags"]).retain(|tag| tag[0] != "net.host.ip");
}

/// Zipkin converts names to lower case.
fn names_are_in_lower_case(wanted: &mut Value, _got: &mut Value) {
    for name in ["operation", "service"] {
        wanted[name] = json!(wanted[name].as_str().unwrap_or_default().to_lowercase());
    }
    for tag in items(&mut wanted["tags"]).iter_mut().filter(|tag| tag[0] == "peer.service") {
        tag[2] = json!(tag[2].as_str().unwrap_or_default().to_lowercase());
    }
}

fn items(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("it was made an array"),
    }
}

/// Calls `change` for each list of tags or fields of a span.
fn each_list(span: &mut Value, mut change: impl FnMut(&mut Vec<Value>)) {
    change(items(&mut span["tags"]));
    change(items(&mut span["process_tags"]));
    for log in items(&mut span["logs"]) {
        change(items(&mut log[1]));
    }
}

fn shown(double: &Value) -> String {
    double.as_f64().unwrap_or_default().to_string()
}

/// Parses a text that is a number with a decimal point or an exponent.
fn as_double(text: &str) -> Option<f64> {
    let numeric = text.bytes().all(|byte| b"0123456789.+-e".contains(&byte));
    let double = numeric && text.contains(['.', 'e']) || text == "-0";
    text.parse().ok().filter(|_| double).map(|number| if number == 0.0 { 0.0 } else { number })
}

fn bytes_as_go_shows_them(base64: &Value) -> String {
    let bytes = from_base64(base64.as_str().unwrap_or_default());
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", numbers.join(" "))
}
