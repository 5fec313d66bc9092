//! Members of JSON objects, with errors that name the one that is missing or invalid.

use serde_json::Value;

pub(crate) use crate::described::text as described;

pub(crate) fn member<'a>(object: &'a Value, key: &str) -> Result<&'a Value, String> {
    object.get(key).ok_or_else(|| format!("no member {key:?}"))
}

/// The member, unless it is missing or null.
pub(crate) fn present<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

pub(crate) fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str, String> {
    member(object, key)?.as_str().ok_or_else(|| format!("{key:?} is no text"))
}

pub(crate) fn items<'a>(object: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let items = member(object, key)?.as_array();
    items.map(Vec::as_slice).ok_or_else(|| format!("{key:?} is no array"))
}

/// A whole number, written as such or in decimal text.
pub(crate) fn integer(object: &Value, key: &str) -> Result<i128, String> {
    let value = member(object, key)?;
    let number = match value {
        Value::Number(number) => number.as_i128(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{key:?} is no whole number: {value}"))
}

pub(crate) fn int<T: TryFrom<i128>>(object: &Value, key: &str) -> Result<T, String> {
    let number = integer(object, key)?;
    T::try_from(number).map_err(|_| format!("{key:?} is out of range: {number}"))
}

pub(crate) fn boolean(object: &Value, key: &str) -> Result<bool, String> {
    member(object, key)?.as_bool().ok_or_else(|| format!("{key:?} is no boolean value"))
}

pub(crate) fn float(object: &Value, key: &str) -> Result<f64, String> {
    member(object, key)?.as_f64().ok_or_else(|| format!("{key:?} is no number"))
}

/// 64 bits in hex digits.
pub(crate) fn bits(object: &Value, key: &str) -> Result<u64, String> {
    let digits = text(object, key)?;
    u64::from_str_radix(digits, 16).map_err(|error| format!("{key:?} = {digits:?}: {error}"))
}

pub(crate) fn bytes(object: &Value, key: &str) -> Result<Vec<u8>, String> {
    let digits = text(object, key)?;
    from_hex(digits).ok_or_else(|| format!("{key:?} is not made of pairs of hex digits"))
}

pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A string description: `value`, or `hex` where it is not UTF-8.
pub(crate) fn string(description: &Value) -> Result<Vec<u8>, String> {
    match present(description, "hex") {
        Some(_) => bytes(description, "hex"),
        None => text_or_hex(description, "value"),
    }
}

/// The text of a member, which under another name is in hex where it is not UTF-8, or described
/// where it is long.
pub(crate) fn text_or_hex(object: &Value, key: &str) -> Result<Vec<u8>, String> {
    let error = match text(object, key) {
        Ok(text) => return Ok(text.as_bytes().to_vec()),
        Err(error) => error,
    };
    let (hex, is) = (format!("{key}_hex"), format!("{key}_is"));
    match (present(object, &hex), present(object, &is)) {
        (Some(_), _) => bytes(object, &hex),
        (None, Some(_)) => described(text(object, &is)?).map(String::into_bytes),
        (None, None) => Err(error),
    }
}

/// Returns whether a member is a remark for readers.
pub(crate) fn is_remark(key: &str) -> bool {
    const REMARKS: &str =
        "note notes comment remark why about go_message panic_text successor_should";
    REMARKS.split(' ').any(|remark| remark == key)
}

/// Refuses unknown members, whose meaning this program would ignore.
pub(crate) fn only(object: &Value, known: &str) -> Result<(), String> {
    let members = object.as_object().ok_or("not an object")?;
    let is_known = |key: &str| is_remark(key) || known.split(' ').any(|word| word == key);
    match members.keys().find(|key| !is_known(key)) {
        Some(key) => Err(format!("unknown member {key:?}")),
        None => Ok(()),
    }
}

/// The value without remarks, and without members that are null.
pub(crate) fn without_remarks(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(key, value)| !is_remark(key) && !value.is_null())
            .map(|(key, value)| (key.clone(), without_remarks(value)))
            .collect(),
        Value::Array(elements) => elements.iter().map(without_remarks).collect(),
        other => other.clone(),
    }
}
