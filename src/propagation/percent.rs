//! Percent-encoding of header values, as every Jaeger client reads it.
//!
//! Go and Java write a space as `+` and read `+` as a space; Node and Python, and OpenTelemetry's
//! propagators in both, write `%20` and take `+` for itself. So a space is written as `%20` and a
//! plus sign as `%2B`, which all of them read, and `+` is read as a space, which is what it means
//! wherever values are encoded.

use std::borrow::Cow;

use crate::id::digit;

/// Encodes a value: unreserved characters stay, the rest becomes `%XX`. If that changes it, it is written
/// to `scratch`.
pub(super) fn encode_into<'v>(value: &'v str, scratch: &'v mut String) -> &'v str {
    if value.bytes().all(is_unreserved) {
        return value;
    }
    scratch.clear();
    push_encoded(scratch, value, is_unreserved);
    scratch
}

/// Appends a value, encoded but for the bytes that may stay.
pub(super) fn push_encoded(text: &mut String, value: &str, stays: impl Fn(u8) -> bool) {
    for byte in value.bytes() {
        if stays(byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(UPPER_HEX[usize::from(byte >> 4)]));
            text.push(char::from(UPPER_HEX[usize::from(byte & 15)]));
        }
    }
}

/// How a value is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoding {
    /// `+` is a space.
    PlusIsSpace,
    /// `+` is a plus sign.
    Plus,
    /// The same, and a `%` that two hex digits do not follow stands for itself.
    Lenient,
}

/// Decodes a value, into `scratch` if that changes it; `None` if a `%` is not followed by two hex digits.
pub(super) fn decode_into<'v>(
    value: &'v [u8],
    decoding: Decoding,
    scratch: &'v mut Vec<u8>,
) -> Option<&'v [u8]> {
    let space = if decoding == Decoding::PlusIsSpace { b'+' } else { b'%' };
    // Eight bytes at once are compared, and copied, for less than each by itself.
    let (mut from, mut next) = (0, word_at(value, 0));
    while next.is_some_and(|word| plain_bytes(word) == WORD) {
        from += WORD;
        next = word_at(value, from);
    }
    if from >= value.len() {
        return Some(value);
    }
    // What is decoded is never longer, but the last word is written as a whole.
    if scratch.len() < value.len() + WORD {
        scratch.resize(value.len() + WORD, 0);
    }
    if from > 0 {
        scratch.get_mut(..from)?.copy_from_slice(value.get(..from)?);
    }
    let mut to = from;
    while let Some(word) = next {
        *scratch.get_mut(to..)?.first_chunk_mut()? = word.to_le_bytes();
        let plain = plain_bytes(word).min(value.len() - from);
        (from, to) = (from + plain, to + plain);
        if plain < WORD {
            let Some(&byte) = value.get(from) else { break };
            from += 1;
            let mut decoded = byte;
            if byte == b'%' {
                match value.get(from..).and_then(byte_of) {
                    Some(byte) => (decoded, from) = (byte, from + 2),
                    None if decoding == Decoding::Lenient => {}
                    None => return None,
                }
            } else if byte == space {
                decoded = b' ';
            }
            *scratch.get_mut(to)? = decoded;
            to += 1;
        }
        next = word_at(value, from);
    }
    scratch.get(..to)
}

const WORD: usize = 8;
const EACH: u64 = 0x0101_0101_0101_0101;

/// Returns the next eight bytes, the first one lowest, with zeros behind the last one; `None` if there is none.
#[inline]
fn word_at(value: &[u8], from: usize) -> Option<u64> {
    let rest = value.get(from..)?;
    match (rest.first_chunk(), value.last_chunk()) {
        (Some(word), _) => Some(u64::from_le_bytes(*word)),
        _ if rest.is_empty() => None,
        (_, Some(last)) => Some(u64::from_le_bytes(*last) >> (8 * (WORD - rest.len()))),
        _ => Some(rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))),
    }
}

/// Returns how many bytes of a word come before the first that may be `%` or `+`: one of the sixteen that begin
/// with the same four bits, which letters and digits do not.
#[inline]
fn plain_bytes(word: u64) -> usize {
    let other = (word & (0xf0 * EACH)) ^ (0x20 * EACH);
    // The lowest bit that is set marks a byte of zero. Those above it may not be.
    let same = other.wrapping_sub(EACH) & !other & (0x80 * EACH);
    same.trailing_zeros() as usize / 8
}

/// Reads the two hex digits behind a `%`.
#[inline]
fn byte_of(digits: &[u8]) -> Option<u8> {
    let [high, low] = *digits.first_chunk()?;
    let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
    (high | low < 16).then_some((high << 4) | low)
}

/// The values of hex digits, and a greater one of all other bytes.
static DIGITS: [u8; 256] = {
    let (mut digits, mut byte) = ([u8::MAX; 256], 0);
    while byte < u8::MAX {
        if let Some(value) = digit(byte) {
            digits[byte as usize] = value;
        }
        byte += 1;
    }
    digits
};

/// Decodes a value in which `+` is a plus sign; `None` if a `%` is not followed by two hex digits.
pub(crate) fn decode_with_plus(value: &[u8]) -> Option<Vec<u8>> {
    let mut scratch = Vec::new();
    decode_into(value, Decoding::Plus, &mut scratch).map(<[u8]>::to_vec)
}

/// Converts bytes to text; invalid UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Returns a header's key in lower case, which it nearly always is; otherwise it is written to `scratch`.
pub(super) fn lower_case<'k>(key: &'k str, scratch: &'k mut String) -> &'k str {
    if !has_upper_case(key) {
        return key;
    }
    scratch.clear();
    scratch.push_str(key);
    scratch.make_ascii_lowercase();
    scratch
}

/// Returns whether there is an upper-case letter of ASCII.
#[inline]
fn has_upper_case(key: &str) -> bool {
    // Of a byte below 128, the sum with 63 has the high bit from `A` on, and that with 37 beyond `Z`.
    let upper_case = |word: &[u8; WORD]| {
        let word = u64::from_le_bytes(*word);
        let low = word & (0x7f * EACH);
        (low + 63 * EACH) & !(low + 37 * EACH) & !word & (EACH << 7)
    };
    let key = key.as_bytes();
    match (key.first_chunk(), key.last_chunk()) {
        // The words may overlap.
        (Some(begin), Some(end)) if key.len() <= 2 * WORD => {
            upper_case(begin) | upper_case(end) != 0
        }
        _ => key.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()),
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plus_sign_is_a_space_in_one_way_of_reading_and_itself_in_the_other() {
        let mut scratch = "of another value".to_owned();
        assert_eq!(encode_into("a b+c", &mut scratch), "a%20b%2Bc");
        for (value, space, plus) in
            [("a+b%2B", Some("a b+"), Some("a+b+")), ("100%", None, None), ("%zz", None, None)]
        {
            for (decoding, text) in [(Decoding::PlusIsSpace, space), (Decoding::Plus, plus)] {
                let mut scratch = b"of another value".to_vec();
                let decoded = decode_into(value.as_bytes(), decoding, &mut scratch);
                assert_eq!(decoded, text.map(str::as_bytes), "{value}, {decoding:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn law_both_ways_of_decoding_undo_encoding(value in "\\PC*|.*") {
            let mut scratch = String::new();
            let encoded = encode_into(&value, &mut scratch);
            prop_assert!(encoded.bytes().all(|b| is_unreserved(b) || b == b'%'));
            for decoding in [Decoding::PlusIsSpace, Decoding::Plus, Decoding::Lenient] {
                let mut scratch = Vec::new();
                let decoded = decode_into(encoded.as_bytes(), decoding, &mut scratch);
                prop_assert_eq!(decoded, Some(value.as_bytes()));
            }
        }

        #[test]
        fn law_decoding_does_what_decoding_byte_by_byte_does(
            parts in prop::collection::vec("%[0-9a-fA-F]{2}|[%+ -/]|[a-z]{1,9}|\\PC", 0..8),
            scratch in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let value = parts.concat().into_bytes();
            for decoding in [Decoding::PlusIsSpace, Decoding::Plus, Decoding::Lenient] {
                let (mut expected, mut rest, mut is_valid) = (Vec::new(), value.as_slice(), true);
                while let [byte, after @ ..] = rest {
                    let digits = after.get(..2).filter(|_| *byte == b'%');
                    let digits = digits.filter(|two| two.iter().all(u8::is_ascii_hexdigit));
                    let number = digits.and_then(|digits| str::from_utf8(digits).ok());
                    if let Some(number) = number {
                        expected.push(u8::from_str_radix(number, 16).unwrap());
                        rest = &after[2..];
                        continue;
                    }
                    is_valid &= *byte != b'%' || decoding == Decoding::Lenient;
                    let is_space = *byte == b'+' && decoding == Decoding::PlusIsSpace;
                    expected.push(if is_space { b' ' } else { *byte });
                    rest = after;
                }
                let mut scratch = scratch.clone();
                let decoded = decode_into(&value, decoding, &mut scratch);
                prop_assert_eq!(decoded, is_valid.then_some(expected.as_slice()));
            }
        }

        #[test]
        fn law_decoding_takes_any_text_and_lenient_decoding_agrees_with_strict(
            value in "[%+0-9a-zA-F]{0,20}|\\PC*",
        ) {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            let strict = decode_into(value.as_bytes(), Decoding::Plus, &mut one);
            let lenient = decode_into(value.as_bytes(), Decoding::Lenient, &mut other);
            prop_assert!(lenient.is_some());
            prop_assert!(strict.is_none() || strict == lenient);
        }
    }
}
