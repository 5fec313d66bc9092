//! Values of tags and fields: as cases give them to spans, and as spans have them.

use jaeger_client::OwnedTagValue;
use jaeger_client::encoding::{TagView, ValueView};
use serde_json::{Value, json};

use crate::json::{
    self, bits, boolean, bytes, int, integer, items, only, present, text, text_or_hex, to_hex,
};

/// A value as the application of a case gave it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TypedValue {
    Text(Vec<u8>),
    Bool(bool),
    Whole(i128),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
}

/// The types of values in the Thrift model, and the member of each.
const THRIFT: &[(&str, &str)] = &[
    ("STRING", "vStr"),
    ("DOUBLE", "vDouble_bits"),
    ("BOOL", "vBool"),
    ("LONG", "vLong"),
    ("BINARY", "vBinary_hex"),
];

/// Returns whether a tag of the Thrift model has the member, by whatever name.
fn has(tag: &Value, member: &str) -> bool {
    let is_set =
        member != "vBinary_hex" || present(tag, "vBinary_set") != Some(&Value::Bool(false));
    let named = ["", "_hex", "_is"].map(|end| format!("{member}{end}"));
    is_set && named.iter().any(|name| present(tag, name).is_some())
}

/// Returns whether a batch has a tag without a value of its type, or with one of another, which this client
/// reads and never writes.
pub(crate) fn lacks_values(batch: &Value) -> bool {
    match batch {
        Value::Array(elements) => elements.iter().any(lacks_values),
        Value::Object(members) => match present(batch, "vType") {
            Some(own) => THRIFT.iter().any(|(kind, member)| has(batch, member) != (own == kind)),
            None => members.values().any(lacks_values),
        },
        _ => false,
    }
}

impl TypedValue {
    /// A value with its type, or as a tag of the Thrift model has it. What that lacks is nothing of
    /// its type; [`lacks_values`] returns which.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        if present(value, "type").is_none() && present(value, "vType").is_some() {
            let kind = text(value, "vType")?;
            let (_, member) = THRIFT
                .iter()
                .find(|(name, _)| *name == kind)
                .ok_or_else(|| format!("unknown tag type {kind:?}"))?;
            let is_there = has(value, member);
            return Ok(match *member {
                "vStr" if is_there => Self::Text(text_or_hex(value, member)?),
                "vStr" => Self::Text(Vec::new()),
                "vDouble_bits" if is_there => Self::Double(f64::from_bits(bits(value, member)?)),
                "vDouble_bits" => Self::Double(0.0),
                "vBool" => Self::Bool(is_there && boolean(value, member)?),
                "vLong" => {
                    Self::Whole(if is_there { int::<i64>(value, member)?.into() } else { 0 })
                }
                _ => Self::Bytes(if is_there { bytes(value, member)? } else { Vec::new() }),
            });
        }
        Ok(match text(value, "type")? {
            "string" => Self::Text(json::string(value)?),
            "bool" => Self::Bool(boolean(value, "value")?),
            "i64" | "integer" => Self::Whole(integer(value, "value")?),
            "f32" => {
                let bits =
                    u32::try_from(bits(value, "bits")?).map_err(|error| error.to_string())?;
                Self::Float(f32::from_bits(bits))
            }
            "f64" => Self::Double(f64::from_bits(bits(value, "bits")?)),
            "binary" => Self::Bytes(bytes(value, "hex")?),
            "nil" => Self::Text(b"<nil>".to_vec()),
            // Anything else, as `%+v` shows it.
            "object" => Self::Text(text_or_hex(value, "rendered")?),
            other => return Err(format!("unknown type of value {other:?}")),
        })
    }

    /// As a field of a log has it: Go shows bytes as text there, this interface leaves that to the
    /// caller.
    pub(crate) fn in_log(self) -> Self {
        match self {
            Self::Bytes(bytes) => {
                let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
                Self::Text(format!("[{}]", numbers.join(" ")).into_bytes())
            }
            other => other,
        }
    }

    /// As the Thrift model has it.
    pub(crate) fn view(&self) -> Result<ValueView<'_>, String> {
        Ok(match self {
            Self::Text(text) => ValueView::Str(text),
            Self::Bool(boolean) => ValueView::Bool(*boolean),
            Self::Whole(whole) => {
                ValueView::Long(i64::try_from(*whole).map_err(|e| e.to_string())?)
            }
            Self::Float(float) => ValueView::Double(f64::from(*float)),
            Self::Double(double) => ValueView::Double(*double),
            Self::Bytes(bytes) => ValueView::Binary(bytes),
        })
    }

    /// As our interface takes it; none if it is text that is not UTF-8.
    pub(crate) fn owned(self) -> Result<Option<OwnedTagValue>, String> {
        Ok(Some(match self {
            Self::Bool(boolean) => OwnedTagValue::from(boolean),
            Self::Whole(whole) => match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(signed), _) => OwnedTagValue::from(signed),
                (_, Ok(unsigned)) => OwnedTagValue::from(unsigned),
                _ => return Err(format!("{whole} has more than 64 bits")),
            },
            Self::Float(float) => OwnedTagValue::from(float),
            Self::Double(double) => OwnedTagValue::from(double),
            Self::Bytes(bytes) => OwnedTagValue::from(&bytes),
            Self::Text(text) => match String::from_utf8(text) {
                Ok(text) => OwnedTagValue::from(text),
                Err(_) => return Ok(None),
            },
        }))
    }
}

/// A key with a value, as our interface takes them.
pub(crate) type Field = (String, OwnedTagValue);

const TYPED: &str = "key key_hex key_is type value value_is hex bits rendered rendered_is go_type \
                     vType vStr vStr_hex vStr_is vBool vLong vDouble_bits vBinary_hex vBinary_set";

/// The tags of a list that may be missing, or the fields of a `log`; none if one is text that is not
/// UTF-8.
pub(crate) fn fields(of: &Value, list: &str, log: bool) -> Result<Option<Vec<Field>>, String> {
    let tags = present(of, list).map_or(Ok(&[][..]), |_| items(of, list))?;
    let mut fields = Vec::new();
    for tag in tags {
        only(tag, TYPED)?;
        let value = TypedValue::read(tag)?;
        let value = if log { value.in_log() } else { value }.owned()?;
        let (Ok(key), Some(value)) = (String::from_utf8(text_or_hex(tag, "key")?), value) else {
            return Ok(None);
        };
        fields.push((key, value));
    }
    Ok(Some(fields))
}

/// A tag that a case shows, in one shape whatever its own is.
pub(crate) fn recorded_tag(tag: &Value) -> Result<Value, String> {
    let key = text_or_hex(tag, "key")?;
    let value = TypedValue::read(tag)?;
    Ok(shown_tag(TagView::new(&key, value.view()?)))
}

/// A span's tag in the same shape.
pub(crate) fn shown_tag(tag: TagView<'_>) -> Value {
    let text = |bytes: &[u8]| match str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({"hex": to_hex(bytes)}),
    };
    let value = match tag.value {
        ValueView::Str(value) => json!({"vStr": text(value)}),
        ValueView::Bool(boolean) => json!({"vBool": boolean}),
        ValueView::Long(long) => json!({"vLong": long.to_string()}),
        ValueView::Double(double) => json!({"vDouble": double, "bits": double_bits(double)}),
        ValueView::Binary(bytes) => json!({"vBinary": to_hex(bytes)}),
        other => json!(format!("{other:?}")),
    };
    json!({"key": text(tag.key), "value": value})
}

/// The bits of a number, the same for all that is none.
pub(crate) fn double_bits(number: f64) -> String {
    format!("{:016x}", if number.is_nan() { u64::MAX } else { number.to_bits() })
}
