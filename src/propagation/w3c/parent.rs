//! The header `traceparent`: version, trace id, span id, flags.

use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId, read_lower_hex_16};
use crate::span::SpanContext;

/// The flags that W3C defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// The caller records the trace.
    pub(super) sampled: bool,
    /// The last 56 bits of the trace id are random, according to the caller (level 2).
    pub(super) random: bool,
}

/// Trace, span, flags.
pub(super) type Parsed = (TraceId, SpanId, Flags);

/// The length of version 00, and of the part that later versions begin with.
const LENGTH: usize = 55;

const RANDOM: u8 = 2;

/// Returns whether a context is written. The format has no place for one without a decision: the flag
/// would say *not sampled*.
pub(super) fn is_written(context: &SpanContext) -> bool {
    context.is_valid() && !context.lacks_decision
}

/// Appends the header's value.
#[inline]
pub(super) fn write(text: &mut IdText, context: &SpanContext, flags: Flags) {
    text.push(*b"00-");
    text.number(context.trace_id.high());
    text.number(context.trace_id.low());
    text.push([b'-']);
    text.span_id(context.span_id);
    text.push([b'-', b'0', b'0' + u8::from(flags.sampled) + RANDOM * u8::from(flags.random)]);
}

/// Parses version 00 as it is written, and nothing else.
pub(super) fn canonical(text: &[u8]) -> Option<Parsed> {
    let text: &[u8; LENGTH] = text.try_into().ok()?;
    let separators = (text[0], text[1], text[2], text[35], text[52], text[53]);
    if separators != (b'0', b'0', b'-', b'-', b'-', b'0') {
        return None;
    }
    let id = |at: usize| read_lower_hex_16(text.get(at..)?.first_chunk()?);
    let (trace_id, span_id) = (TraceId::new(id(3)?, id(19)?), SpanId::new(id(36)?));
    let bits = text[54].wrapping_sub(b'0');
    let is_valid = trace_id.is_valid() && span_id != SpanId::NONE && bits < 4;
    let flags = Flags { sampled: bits & 1 != 0, random: bits & RANDOM != 0 };
    is_valid.then_some((trace_id, span_id, flags))
}

/// Parses version 00, and the part of later versions that agrees with it.
pub(super) fn parse(text: &[u8]) -> Result<Parsed, ExtractError> {
    if text.is_empty() {
        return Err(ExtractError::EmptyValue);
    }
    let (Some(known), later) = (text.first_chunk::<LENGTH>(), text.get(LENGTH)) else {
        return Err(invalid("it is shorter than 55 characters"));
    };
    if [known[2], known[35], known[52]] != [b'-'; 3] {
        return Err(invalid("its parts are not separated by '-' where they should be"));
    }
    let version = lower_hex(&known[..2]).ok_or_else(|| invalid("its version is not lower hex"))?;
    match (version, later) {
        (0xff, _) => return Err(invalid("its version is ff")),
        (0, Some(_)) => return Err(invalid("it is longer than 55 characters in version 00")),
        (_, Some(after)) if *after != b'-' => {
            return Err(invalid("what follows its flags is not separated by '-'"));
        }
        _ => {}
    }
    let id = |digits| lower_hex(digits).ok_or_else(|| invalid("an id is not lower hex"));
    let trace_id = TraceId::new(id(&known[3..19])?, id(&known[19..35])?);
    let span_id = SpanId::new(id(&known[36..52])?);
    let flags = lower_hex(&known[53..]).ok_or_else(|| invalid("its flags are not lower hex"))?;
    if !trace_id.is_valid() || span_id.get() == 0 {
        return Err(invalid("an id is zero"));
    }
    let has = |flag: u8| flags & u64::from(flag) != 0;
    Ok((trace_id, span_id, Flags { sampled: has(1), random: has(RANDOM) }))
}

fn invalid(what: &'static str) -> ExtractError {
    ExtractError::Invalid { header: TRACE_PARENT, what }
}

/// Parses a number of up to 16 digits. W3C forbids capitals.
pub(super) fn lower_hex(digits: &[u8]) -> Option<u64> {
    if let Ok(digits) = digits.try_into() {
        return read_lower_hex_16(digits);
    }
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u64::from(digit))
    })
}

/// The name of the header.
pub(super) const TRACE_PARENT: &str = "traceparent";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDS: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

    fn read(text: &str) -> Option<Flags> {
        parse(text.as_bytes()).ok().map(|(_, _, flags)| flags)
    }

    #[test]
    fn flags_are_read_by_bit_in_any_version() {
        for (flags, sampled, random) in
            [("00", false, false), ("01", true, false), ("03", true, true), ("fe", false, true)]
        {
            for (version, rest) in [("00", ""), ("01", ""), ("cc", "-what-will-be"), ("fe", "-")] {
                let text = format!("{version}-{IDS}-{flags}{rest}");
                assert_eq!(read(&text), Some(Flags { sampled, random }), "{text}");
            }
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{IDS}-0"),
            format!("00-{IDS}-01-"),
            format!("00-{IDS}-01-more"),
            format!("01-{IDS}-01.more"),
            format!("ff-{IDS}-01"),
            format!("0-{IDS}-001"),
            format!("0x-{IDS}-01"),
            format!("00-{IDS}-0X"),
            format!("00_{IDS}-01"),
            format!("00-{}-01", IDS.to_uppercase()),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-{}-{}-01", &IDS[..32], &zeros[..16]),
            "00-4bf92f3577b34da6-a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            IDS.to_owned(),
        ] {
            assert!(read(&text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn law_reading_undoes_writing(
            ids in (any::<u64>(), 1..=u64::MAX, 1..=u64::MAX), sampled: bool, random: bool,
        ) {
            let (trace, span) = (TraceId::new(ids.0, ids.1), SpanId::new(ids.2));
            let flags = Flags { sampled, random };
            let mut text = IdText::new();
            write(&mut text, &SpanContext::new(trace, span, SpanId::NONE, 0), flags);
            prop_assert_eq!(text.as_bytes().len(), LENGTH);
            prop_assert_eq!(parse(text.as_bytes()), Ok((trace, span, flags)));
            prop_assert_eq!(canonical(text.as_bytes()), Some((trace, span, flags)));
        }

        #[test]
        fn law_the_fast_parser_agrees_with_the_general_parser_on_all_that_it_reads(
            at in 0..LENGTH, byte: u8, length in 0..=LENGTH + 2,
        ) {
            let mut text = format!("00-{IDS}-01-a").into_bytes();
            text[at] = byte;
            text.truncate(length);
            if let Some(read) = canonical(&text) {
                prop_assert_eq!(parse(&text), Ok(read));
            }
        }

        #[test]
        fn law_any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}
