//! Hex digits of ids, and the texts that are made of them.

use super::{SpanId, TraceId};

/// A short text of ids and what separates them, as headers have it. It is made without an allocation,
/// and consists of visible ASCII characters.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl IdText {
    /// The length of the longest text, of W3C's: 55 characters of `traceparent`, and 43 of `tracestate` with the
    /// member `jaeger`; and some more.
    const MAX_LEN: usize = 112;

    #[inline]
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::MAX_LEN], len: 0 }
    }

    /// Returns the text as bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Whole blocks are checked for less than the rest of one, and the bytes after the text are zeros.
        let blocks = self.bytes.get(..self.len.next_multiple_of(BLOCK)).unwrap_or(&self.bytes);
        let text = str::from_utf8(blocks).unwrap_or_default();
        text.get(..self.len).unwrap_or_default()
    }

    /// Appends characters. There must be room for them: what does not fit is left out.
    #[inline]
    pub(crate) fn push<const N: usize>(&mut self, text: [u8; N]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + N) {
            room.copy_from_slice(&text);
            self.len += N;
        }
    }

    /// Appends 16 digits.
    #[inline]
    pub(crate) fn number(&mut self, value: u64) {
        self.push(hex_16(value));
    }

    /// Appends 32 digits, or 16 if the upper half is zero.
    #[inline]
    pub(crate) fn trace_id(&mut self, id: TraceId) {
        if id.high() != 0 {
            self.number(id.high());
        }
        self.number(id.low());
    }

    /// Appends 16 digits.
    #[inline]
    pub(crate) fn span_id(&mut self, id: SpanId) {
        self.number(id.get());
    }

    /// Appends one digit or two.
    #[inline]
    pub(crate) fn flags(&mut self, flags: u8) {
        let [high, low] = [flags >> 4, flags & 15].map(|nibble| HEX[usize::from(nibble)]);
        if flags < 16 { self.push([low]) } else { self.push([high, low]) }
    }
}

/// How many bytes the standard library's check of text looks at in one step.
const BLOCK: usize = 16;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `value` as 16 lower-case hex digits.
#[inline]
fn hex_16(value: u64) -> [u8; 16] {
    // Four bits to a byte in three doublings, then digit by arithmetic: no table, no loop.
    #[inline]
    fn spread(half: u32) -> u64 {
        let mut x = u64::from(half);
        x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
        x = (x | (x << 8)) & 0x00ff_00ff_00ff_00ff;
        (x | (x << 4)) & 0x0f0f_0f0f_0f0f_0f0f
    }
    let mut out = [0; 16];
    let (high, low) = out.split_at_mut(8);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    {
        high.copy_from_slice(&hex_digits(spread((value >> 32) as u32)).to_be_bytes());
        low.copy_from_slice(&hex_digits(spread(value as u32)).to_be_bytes());
    }
    out
}

/// Returns the lower-case digits of eight values below 16, one in each byte.
#[inline]
fn hex_digits(nibbles: u64) -> u64 {
    let above_nine = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    nibbles + 0x3030_3030_3030_3030 + above_nine * 39
}

/// Parses 16 hex digits of either case; `None` if there is any other character.
#[inline]
pub(crate) fn read_hex_16(digits: &[u8; 16]) -> Option<u64> {
    read_16::<false>(digits)
}

/// Parses 16 lower-case hex digits; `None` if there is any other character.
#[inline]
pub(crate) fn read_lower_hex_16(digits: &[u8; 16]) -> Option<u64> {
    read_16::<true>(digits)
}

#[inline]
fn read_16<const LOWER: bool>(digits: &[u8; 16]) -> Option<u64> {
    // Eight digits at once: their values, and their errors, byte by byte.
    #[inline]
    fn read_8<const LOWER: bool>(digits: u64) -> (u64, u64) {
        let letters = (digits >> 6) & 0x0101_0101_0101_0101;
        let nibbles = ((digits & 0x0f0f_0f0f_0f0f_0f0f) + letters * 9) & 0x0f0f_0f0f_0f0f_0f0f;
        // What is no digit has a value whose digit is another character.
        let small = if LOWER { digits } else { digits | (letters << 5) };
        (nibbles, small ^ hex_digits(nibbles))
    }
    #[inline]
    fn pack(nibbles: u64) -> u64 {
        let x = (nibbles | (nibbles >> 4)) & 0x00ff_00ff_00ff_00ff;
        let x = (x | (x >> 8)) & 0x0000_ffff_0000_ffff;
        (x | (x >> 16)) & 0xffff_ffff
    }
    let both = u128::from_be_bytes(*digits);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    let (high, low) = (read_8::<LOWER>((both >> 64) as u64), read_8::<LOWER>(both as u64));
    (high.1 | low.1 == 0).then(|| (pack(high.0) << 32) | pack(low.0))
}

/// Returns the value of a hex digit.
#[inline]
pub(crate) const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_agrees_with_the_formatter() {
        for value in [0, 1, 9, 10, 15, 16, 0xdead_beef, u64::MAX, 0x0123_4567_89ab_cdef, 1 << 63] {
            assert_eq!(hex_16(value).as_slice(), format!("{value:016x}").as_bytes());
        }
        for value in 0..=255_u8 {
            let mut text = IdText::new();
            text.flags(value);
            assert_eq!(text.as_str(), format!("{value:x}"));
        }
    }

    #[test]
    fn every_byte_that_is_no_hex_digit_is_refused_in_every_place() {
        for at in 0..16 {
            for byte in 0..=255_u8 {
                let mut digits = *b"0123456789abcDEF";
                digits[at] = byte;
                let text = str::from_utf8(&digits).ok().filter(|text| !text.contains('+'));
                let read = text.and_then(|text| u64::from_str_radix(text, 16).ok());
                assert_eq!(read_hex_16(&digits), read, "{byte:#x} at {at}");
                digits.make_ascii_lowercase();
                digits[at] = byte;
                let read = read.filter(|_| !byte.is_ascii_uppercase());
                assert_eq!(read_lower_hex_16(&digits), read, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_text_has_no_more_than_fits() {
        let mut text = IdText::new();
        (1..7).for_each(|n| text.number(n));
        assert_eq!(text.as_str().len(), 96);
        text.push([b'-'; 16]);
        text.push(*b"9");
        assert!(text.as_str().ends_with("06----------------"), "{text:?}");
    }
}
