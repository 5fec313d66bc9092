//! Reads the text form of a context, the value of the header `uber-trace-id`, and the digits of its ids.

use std::str::FromStr;

use crate::error::ExtractError;
use crate::id::{self, SpanId, TraceId};
use crate::span::SpanContext;

/// The ids of trace, span and parent, and the flags.
pub(super) type Parsed = (TraceId, SpanId, SpanId, u8);

/// Reads `{trace}:{span}:{parent}:{flags}`, with ids of any length that fits.
pub(super) fn parse(text: &[u8]) -> Result<Parsed, ExtractError> {
    if text.is_empty() {
        return Err(ExtractError::EmptyValue);
    }
    let mut parts = text.split(|byte| *byte == b':');
    let four = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(trace), Some(span), Some(parent), Some(flags), None) = four else {
        return Err(ExtractError::Malformed { parts: text.split(|byte| *byte == b':').count() });
    };
    Ok((
        trace_id(trace)?,
        span_id("span id", span)?,
        span_id("parent id", parent)?,
        read_flags(flags)?,
    ))
}

/// Reads a trace id of up to 32 digits; digits left of the last 16 are the upper half.
pub(super) fn trace_id(digits: &[u8]) -> Result<TraceId, ExtractError> {
    const PART: &str = "trace id";
    if digits.len() > 32 {
        return Err(ExtractError::TraceIdTooLong { digits: digits.len() });
    }
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    let high = if high.is_empty() { 0 } else { number(PART, high)? };
    Ok(TraceId::new(high, number(PART, low)?))
}

fn span_id(part: &'static str, digits: &[u8]) -> Result<SpanId, ExtractError> {
    if digits.len() > 16 {
        return Err(ExtractError::SpanIdTooLong { digits: digits.len() });
    }
    number(part, digits).map(SpanId::new)
}

fn read_flags(digits: &[u8]) -> Result<u8, ExtractError> {
    let value = number("flags", digits)?;
    u8::try_from(value).map_err(|_| out_of_range("flags", digits))
}

/// Reads a hex number that fits 64 bits, without sign, prefix or space.
pub(super) fn number(part: &'static str, digits: &[u8]) -> Result<u64, ExtractError> {
    // The length at which ids are written.
    match digits.try_into().ok().and_then(id::read_hex_16) {
        Some(value) => Ok(value),
        None => number_of_any_length(part, digits),
    }
}

/// Not inlined, so that the usual length needs no registers for it.
#[inline(never)]
fn number_of_any_length(part: &'static str, digits: &[u8]) -> Result<u64, ExtractError> {
    let bad = || ExtractError::BadNumber { part, value: shortened(digits) };
    if digits.is_empty() {
        return Err(bad());
    }
    let mut value = 0_u64;
    let mut overflow = false;
    for byte in digits {
        let digit = id::digit(*byte).ok_or_else(bad)?;
        overflow |= value >> 60 != 0;
        value = (value << 4) | u64::from(digit);
    }
    if overflow { Err(out_of_range(part, digits)) } else { Ok(value) }
}

/// Reads what `Display` writes, the value of the header `uber-trace-id`: ids and a decision that is
/// final.
impl FromStr for SpanContext {
    type Err = ExtractError;

    fn from_str(text: &str) -> Result<Self, ExtractError> {
        let (trace_id, span_id, parent_id, flags) = parse(text.as_bytes())?;
        Ok(Self::new(trace_id, span_id, parent_id, flags))
    }
}

fn out_of_range(part: &'static str, digits: &[u8]) -> ExtractError {
    ExtractError::NumberOutOfRange { part, value: shortened(digits) }
}

/// Returns enough of a value to identify it, never all of what the network sent.
fn shortened(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn law_the_text_form_is_what_display_says(
            high: u64, low: u64, span: u64, parent: u64, flags: u8,
        ) {
            let ids = (TraceId::new(high, low), SpanId::new(span), SpanId::new(parent));
            let context = SpanContext::new(ids.0, ids.1, ids.2, flags);
            let text = context.to_string();
            let upper = if high == 0 { String::new() } else { format!("{high:016x}") };
            let expected = format!("{upper}{low:016x}:{span:016x}:{parent:016x}:{flags:x}");
            prop_assert_eq!(&text, &expected);
            let parsed = (ids.0, ids.1, ids.2, flags);
            prop_assert_eq!(parse(text.as_bytes()), Ok(parsed));
        }
    }
}
