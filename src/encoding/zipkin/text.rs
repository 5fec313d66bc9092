//! What Zipkin has as text: logs, values of every kind, addresses, JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use crate::encoding::view::{LogView, TagView, ValueView};

/// A log's event if it says nothing else, or a JSON object of its fields, sorted by key. Doubles are
/// shown by `double`.
pub(super) fn log_text(log: LogView<'_>, double: fn(f64) -> String) -> Cow<'_, [u8]> {
    let mut fields = BTreeMap::new();
    for TagView { key, value } in log.fields() {
        let value = match value {
            ValueView::Double(number) => double(number).into_bytes().into(),
            other => text(other),
        };
        fields.insert(key, value);
    }
    if fields.len() == 1
        && let Some(event) = fields.remove(b"event".as_slice())
    {
        return event;
    }
    let mut json = Vec::from(b"{");
    for (key, value) in &fields {
        if json.len() > 1 {
            json.push(b',');
        }
        json_string(&mut json, key);
        json.push(b':');
        json_string(&mut json, value);
    }
    json.push(b'}');
    json.into()
}

/// Appends a JSON string as Go's encoding/json writes it: safe within HTML, too.
pub(super) fn json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    // Writing into a vector does not fail.
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // One replacement for each byte that is no part of a character.
        chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
    }
    out.push(b'"');
}

/// A value as Go's `%+v` shows it.
pub(super) fn text(value: ValueView<'_>) -> Cow<'_, [u8]> {
    match value {
        ValueView::Str(text) => text.into(),
        ValueView::Double(double) => shortest(double).into_bytes().into(),
        ValueView::Bool(truth) => truth.to_string().into_bytes().into(),
        ValueView::Long(long) => long.to_string().into_bytes().into(),
        ValueView::Binary(bytes) => {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("[{}]", numbers.join(" ")).into_bytes().into()
        }
    }
}

/// The shortest digits that name `value`; with an exponent below -4 or above 5, as Go's `%g`.
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return fixed(value);
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

/// Six digits behind the point, as Go's `%f`.
pub(super) fn fixed(value: f64) -> String {
    if value.is_infinite() {
        return String::from(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    format!("{value:.6}")
}

/// The first `max` bytes, less if a character would be torn.
pub(super) fn cut(text: Cow<'_, [u8]>, max: usize) -> Cow<'_, [u8]> {
    if text.len() <= max {
        return text;
    }
    let is_inner = |at: &usize| text[*at] & 0xc0 == 0x80;
    // Bytes that go on for longer than a character does are none: those are cut where it says.
    let end = (0..=max).rev().take(4).find(|at| !is_inner(at)).unwrap_or(max);
    text[..end].to_vec().into()
}

pub(super) fn ipv4(value: ValueView<'_>) -> Option<i32> {
    match value {
        ValueView::Str(b"localhost") => Some(0x7f00_0001),
        ValueView::Str(text) => {
            let octets: Option<Vec<u8>> =
                str::from_utf8(text).ok()?.split('.').map(|octet| octet.parse().ok()).collect();
            Some(i32::from_be_bytes(octets?.try_into().ok()?))
        }
        ValueView::Long(long) => {
            u32::try_from(long).map(u32::cast_signed).or_else(|_| i32::try_from(long)).ok()
        }
        _ => None,
    }
}

pub(super) fn port(value: ValueView<'_>) -> Option<i16> {
    match value {
        ValueView::Str(text) => str::from_utf8(text).ok()?.parse().ok().map(u16::cast_signed),
        #[expect(clippy::cast_possible_truncation, reason = "as Go: the low 16 bits")]
        ValueView::Long(long) => Some(long as i16),
        _ => None,
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * n) & 63];
            out.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{List, put_tag};

    #[test]
    fn numbers_read_as_go_prints_them() {
        let shown = [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.5, "0.5"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in shown {
            assert_eq!(shortest(value), text);
        }
        assert_eq!(fixed(-2.25), "-2.250000");
        assert_eq!(fixed(f64::INFINITY), "+Inf");
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut out = Vec::new();
        json_string(&mut out, b"a\"\\\n\x01\x08<>&\xe2\x80\xa8\xc3\xa9\xff\xe2\x80");
        let expected = [
            br#""a\"\\\n\u0001\b\u003c\u003e\u0026\u2028"#.as_slice(),
            "\u{e9}".as_bytes(),
            br#"\ufffd\ufffd\ufffd""#,
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn a_cut_falls_between_characters() {
        let cut_text = |text: &'static str, max| cut(text.as_bytes().into(), max).into_owned();
        assert_eq!(cut_text("x\u{e9}\u{e9}", 4), "x\u{e9}".as_bytes());
        assert_eq!(cut_text("x\u{e9}\u{e9}", 5), "x\u{e9}\u{e9}".as_bytes());
        assert_eq!(cut_text("\u{1f980}", 3), b"");
        assert_eq!(cut([0x80; 9].as_slice().into(), 5).len(), 5);
    }

    #[test]
    fn a_log_reads_as_its_event_or_as_json() {
        let mut fields = Vec::new();
        put_tag(&mut fields, TagView::new(b"event", ValueView::Str(b"<hi>")));
        assert_eq!(&*log_text(LogView::new(1, List::new(1, &fields)), fixed), b"<hi>");
        put_tag(&mut fields, TagView::new(b"a", ValueView::Binary(&[1, 2])));
        let json = log_text(LogView::new(1, List::new(2, &fields)), fixed).into_owned();
        assert_eq!(json, br#"{"a":"[1 2]","event":"\u003chi\u003e"}"#);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let shown =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (text, encoded) in shown {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[251, 255, 191]), "+/+/");
    }

    #[test]
    fn addresses_are_read_from_text_and_numbers() {
        assert_eq!(ipv4(ValueView::Str(b"10.1.2.3")), Some(0x0a01_0203));
        assert_eq!(ipv4(ValueView::Str(b"localhost")), Some(0x7f00_0001));
        assert_eq!(ipv4(ValueView::Long(-1)), Some(-1));
        for nonsense in ["", "10.1.2", "10.1.2.3.4", "10.1.2.256", "::1"] {
            assert_eq!(ipv4(ValueView::Str(nonsense.as_bytes())), None);
        }
        assert_eq!(port(ValueView::Str(b"65535")), Some(-1));
        assert_eq!(port(ValueView::Str(b"65536")), None);
    }
}
