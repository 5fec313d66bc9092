//! The syntax of header names and values, by RFC 9110, and what names begin with.

/// Returns whether a text is a token, as header names are.
pub(in crate::propagation) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Returns whether a text is valid as a header value: no control characters but tabs. Characters
/// beyond ASCII are allowed, and the receiver's to understand.
pub(in crate::propagation) fn is_field_value(text: &str) -> bool {
    // All bytes are looked at, which takes less than to stop at the first that is not valid.
    text.bytes().fold(true, |all, byte| all & ((byte == b'\t') | ((byte >= b' ') & (byte != 0x7f))))
}

/// Returns whether two header names are the same. They are nearly always lower case.
#[inline]
pub(in crate::propagation) fn is_same_name(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && end(one) == end(other)
        && (one == other || one.eq_ignore_ascii_case(other))
}

/// Returns the last bytes of a name without the bit that letters of either case differ by: it is compared
/// before the whole, as names of one format often have the same length.
#[inline]
fn end(name: &str) -> u32 {
    name.as_bytes().last_chunk().map_or(0, |end| u32::from_ne_bytes(*end) | 0x2020_2020)
}

/// Returns whether a name begins with a prefix, in any case. No name begins with an empty prefix:
/// every header of a request would be baggage.
#[inline]
pub(in crate::propagation) fn begins_with(name: &str, prefix: &str) -> bool {
    let prefix = prefix.as_bytes();
    let Some(head) = name.as_bytes().get(..prefix.len()) else { return false };
    // The ends are compared first: many names begin alike.
    let (Some(last), Some(end)) = (head.last(), prefix.last()) else { return false };
    last.eq_ignore_ascii_case(end) && (head == prefix || head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_values_have_no_control_characters() {
        for (text, token, value) in [
            ("x-Name_1", true, true),
            ("a!#$%&'*+-.^_`|~z", true, true),
            ("", false, true),
            ("a b", false, true),
            ("a:b", false, true),
            ("a\tb", false, true),
            ("\u{e9}", false, true),
            ("a\r\nb", false, false),
            ("a\0", false, false),
            ("\x7f", false, false),
        ] {
            assert_eq!((is_token(text), is_field_value(text)), (token, value), "{text:?}");
        }
    }
}
