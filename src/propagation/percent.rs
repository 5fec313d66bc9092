//! Percent-encoding of header values, as every Jaeger client reads it.
//!
//! Go and Java write a space as `+` and read `+` as a space; Node and Python, and OpenTelemetry's
//! propagators in both, write `%20` and take `+` for itself. So a space is written as `%20` and a
//! plus sign as `%2B`, which all of them read, and `+` is read as a space, which is what it means
//! wherever values are encoded.

use std::borrow::Cow;

use crate::id::digit;

/// Encodes a value: unreserved characters stay, the rest becomes `%XX`.
pub(super) fn encode(value: &str) -> Cow<'_, str> {
    encode_except(value, is_unreserved)
}

/// Encodes all but the bytes that may stay.
pub(super) fn encode_except(value: &str, stays: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if value.bytes().all(&stays) {
        return Cow::Borrowed(value);
    }
    let mut encoded = String::with_capacity(value.len() + 16);
    push_encoded(&mut encoded, value, stays);
    Cow::Owned(encoded)
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

/// Decodes a value in which `+` is a space; `None` if a `%` is not followed by two hex digits.
pub(super) fn decode(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    decoded(value, |byte| if byte == b'+' { b' ' } else { byte })
}

/// Decodes a value in which `+` is a plus sign; `None` if a `%` is not followed by two hex digits.
pub(crate) fn decode_with_plus(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    decoded(value, |byte| byte)
}

fn decoded(value: &[u8], plain: impl Fn(u8) -> u8) -> Option<Cow<'_, [u8]>> {
    if value.iter().all(|byte| *byte != b'%' && plain(*byte) == *byte) {
        return Some(Cow::Borrowed(value));
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte == b'%' {
            let [high, low, after @ ..] = rest else { return None };
            decoded.push((digit(*high)? << 4) | digit(*low)?);
            rest = after;
        } else {
            decoded.push(plain(*byte));
        }
    }
    Some(Cow::Owned(decoded))
}

/// Converts bytes to text; invalid UTF-8 is replaced.
pub(super) fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

/// Returns a header's key in lower case, which it nearly always is.
pub(super) fn lower_case(key: &str) -> Cow<'_, str> {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(key.to_ascii_lowercase())
    } else {
        Cow::Borrowed(key)
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
        assert_eq!(encode("a b+c"), "a%20b%2Bc");
        for (value, space, plus) in
            [("a+b%2B", Some("a b+"), Some("a+b+")), ("100%", None, None), ("%zz", None, None)]
        {
            let read = |decoded: Option<Cow<'_, [u8]>>| decoded.map(|d| text(d).into_owned());
            assert_eq!(read(decode(value.as_bytes())).as_deref(), space, "{value}");
            assert_eq!(read(decode_with_plus(value.as_bytes())).as_deref(), plus, "{value}");
        }
    }

    proptest! {
        #[test]
        fn law_both_ways_of_decoding_undo_encoding(value in "\\PC*|.*") {
            let encoded = encode(&value);
            prop_assert!(encoded.bytes().all(|b| is_unreserved(b) || b == b'%'));
            for decoded in [decode(encoded.as_bytes()), decode_with_plus(encoded.as_bytes())] {
                prop_assert_eq!(decoded.as_deref(), Some(value.as_bytes()));
            }
        }

        #[test]
        fn law_decoding_takes_any_bytes(value in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (decode(&value), decode_with_plus(&value));
        }
    }
}
