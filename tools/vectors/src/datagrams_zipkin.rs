//! Why a Zipkin body may be another: Go converts the values that the application gave, this client
//! canonical bytes, which do not have unsigned numbers, 32-bit floats, times in
//! nanoseconds, or how a span was started.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::json::{bits, integer, string, text_or_hex};
use crate::value::TypedValue;

/// Returns whether a case has such a value.
pub(crate) fn is_converted_otherwise(case: &Value) -> bool {
    let max = case["input"]["max_tag_value_length"].as_u64().unwrap_or_default();
    let max = if max == 0 { 256 } else { usize::try_from(max).unwrap_or(usize::MAX) };
    let process = &case["thrift_batch"]["process"]["tags"];
    let mut addresses = entries(process).filter(|tag| tag["key"] == "ip");
    // The recorded host's address is a tag, which may be cut.
    max < 8
        || addresses.any(|tag| !is_address(tag["vStr"].as_str().unwrap_or_default()))
        // The process's tags are shown as they are cut, and are those of its first spans too.
        || entries(process).any(|tag| {
            is_lost(tag, max) || is_meaning_lost(tag, max - 1) || may_be_converted(tag)
        })
        || entries(&case["input"]["spans"]).any(|span| is_span_lost(span, max))
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn is_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified())
}

fn is_span_lost(span: &Value, max: usize) -> bool {
    let nanos = |key| integer(span, key).unwrap_or_default();
    let (start, duration) = (nanos("start_unix_ns"), nanos("duration_ns"));
    let mut logs = entries(&span["logs"]);
    let is_early = |log: &Value| integer(log, "timestamp_unix_ns").is_ok_and(|at| at < 0);
    let text = |tag: &Value| match TypedValue::read(tag) {
        Ok(TypedValue::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    let kinds = entries(&span["tags"]).filter(|tag| tag["key"] == "span.kind");
    let kind = kinds.last().map(text).unwrap_or_default();
    // Go adds nanoseconds, canonical bytes have microseconds.
    let has_end = ["client", "server"].contains(&kind.as_str());
    let is_rounded = has_end && (start % 1_000 + duration % 1_000) >= 1_000;
    let is_half = bits(span, "trace_id_low").is_ok_and(|low| low == 0);
    let is_operation_lost = string(&span["operation"]).is_ok_and(|name| is_text_lost(&name, None));
    is_half
        || start < 0
        || duration < 0
        || is_rounded
        || is_operation_lost
        || (kind == "server") != (span["started_as_rpc_server"] == true)
        || logs.any(|log| {
            // The fields of a log are one text.
            let length: usize = entries(&log["fields"]).map(|field| field.to_string().len()).sum();
            let whole = log["fields"].to_string();
            is_early(log)
                || (length > max && !whole.is_ascii())
                || entries(&log["fields"]).any(|field| is_lost(field, usize::MAX))
        })
        || entries(&span["tags"]).any(|tag| is_lost(tag, max) || is_meaning_lost(tag, max))
}

/// Returns whether a value is of a type that canonical bytes do not have, or a text that is not
/// sent as it is.
fn is_lost(tag: &Value, max: usize) -> bool {
    let is_value_lost = match TypedValue::read(tag) {
        Ok(TypedValue::Text(text)) => is_text_lost(&text, Some(max)),
        Ok(TypedValue::Whole(whole)) => i64::try_from(whole).is_err(),
        Ok(TypedValue::Float(_)) => true,
        _ => false,
    };
    is_value_lost || text_or_hex(tag, "key").is_ok_and(|key| is_text_lost(&key, None))
}

/// Returns whether a tag of the process may have been given as another type: a double as one of 32
/// bits, which has fewer digits, or a negative number as an unsigned one.
fn may_be_converted(tag: &Value) -> bool {
    let double = match TypedValue::read(tag) {
        Ok(TypedValue::Double(double)) => double,
        Ok(TypedValue::Whole(whole)) => return whole < 0,
        _ => return false,
    };
    #[expect(clippy::cast_possible_truncation, reason = "it is compared with what is left")]
    let narrow = double as f32;
    f64::from(narrow) == double && narrow.to_string() != double.to_string()
}

/// Returns whether a text has separators of lines, or is cut within a character.
fn is_text_lost(text: &[u8], max: Option<usize>) -> bool {
    let Ok(text) = str::from_utf8(text) else { return true };
    let is_cut = max.is_some_and(|max| !text.is_char_boundary(max.min(text.len())));
    is_cut || text.contains(['\u{2028}', '\u{2029}'])
}

/// Returns whether a tag means something to the conversion, by its type or in a form of Go's.
fn is_meaning_lost(tag: &Value, max: usize) -> bool {
    let value = TypedValue::read(tag);
    let text = match &value {
        Ok(TypedValue::Text(text)) => str::from_utf8(text).ok(),
        _ => None,
    };
    let is_of = |types: &[&str]| types.iter().any(|known| tag["go_type"] == *known);
    match tag["key"].as_str().unwrap_or_default() {
        "span.kind" | "peer.service" => text.is_none(),
        "ip" => !text.is_some_and(is_address),
        "peer.ipv4" => match text {
            Some(text) => !is_address(text),
            None => !is_of(&["uint32", "int32"]),
        },
        "peer.port" => match (text, &value) {
            (Some(text), _) => text.parse::<u16>().map(|port| port.to_string()) != Ok(text.into()),
            (None, Ok(TypedValue::Whole(port))) => {
                !is_of(&["uint16", "int"]) || u16::try_from(*port).is_err()
            }
            _ => true,
        },
        // Go names the local component by the whole value.
        "component" => match &value {
            Ok(TypedValue::Text(bytes) | TypedValue::Bytes(bytes)) => bytes.len() > max,
            _ => false,
        },
        _ => false,
    }
}
