//! The text forms of Zipkin: logs, values of every type, addresses, JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::encoding::json::json_string;
use crate::encoding::view::{LogView, TagView, ValueView, not_finite};

/// Returns a log's event if that is its only field, or a JSON object of its fields. Doubles are
/// written by `double`.
pub(super) fn log_text(log: LogView<'_>, double: fn(f64) -> String) -> Cow<'_, [u8]> {
    let mut fields = texts(log, double);
    if fields.len() == 1
        && let Some(event) = fields.remove(b"event".as_slice())
    {
        return event;
    }
    object(&fields).into()
}

/// Returns a log as a JSON object of its fields.
pub(super) fn log_object(log: LogView<'_>, double: fn(f64) -> String) -> Vec<u8> {
    object(&texts(log, double))
}

/// The fields of a log as text, sorted by key.
type Texts<'a> = BTreeMap<&'a [u8], Cow<'a, [u8]>>;

fn texts(log: LogView<'_>, double: fn(f64) -> String) -> Texts<'_> {
    let shown = |TagView { key, value }| match value {
        ValueView::Double(number) => (key, double(number).into_bytes().into()),
        other => (key, text(other)),
    };
    log.fields().map(shown).collect()
}

fn object(fields: &Texts<'_>) -> Vec<u8> {
    let mut json = Vec::from(b"{");
    for (key, value) in fields {
        if json.len() > 1 {
            json.push(b',');
        }
        json_string(&mut json, key);
        json.push(b':');
        json_string(&mut json, value);
    }
    json.push(b'}');
    json
}

/// Returns a value as Go's `%+v` shows it.
pub(super) fn text(value: ValueView<'_>) -> Cow<'_, [u8]> {
    match value {
        ValueView::Str(text) => text.into(),
        ValueView::Double(double) => shortest(double).into_bytes().into(),
        ValueView::Bool(value) => value.to_string().into_bytes().into(),
        ValueView::Long(long) => long.to_string().into_bytes().into(),
        ValueView::Binary(bytes) => {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("[{}]", numbers.join(" ")).into_bytes().into()
        }
    }
}

/// Returns the shortest digits of `value`; with an exponent below -4 or above 5, as Go's `%g`.
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
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

/// Returns six digits behind the point, as Go's `%f`.
pub(super) fn fixed(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    format!("{value:.6}")
}

/// Returns the first `max` bytes, ending between characters.
pub(super) fn truncate(text: Cow<'_, [u8]>, max: usize) -> Cow<'_, [u8]> {
    if text.len() <= max {
        return text;
    }
    let is_inner = |at: &usize| text[*at] & 0xc0 == 0x80;
    // Longer runs of continuation bytes are invalid UTF-8, and are cut anywhere.
    let end = (0..=max).rev().take(4).find(|at| !is_inner(at)).unwrap_or(max);
    text[..end].to_vec().into()
}

/// Returns a text that Zipkin can show. If one has a line or paragraph separator (U+2028, U+2029)
/// and other characters beyond ASCII, Zipkin's responses with it are not valid JSON, lists of other
/// traces included: it reserves too many bytes, and sends the rest as zeros. Line breaks replace
/// the separators.
pub(super) fn showable(text: &[u8]) -> Cow<'_, [u8]> {
    let is_separator = |window: &[u8]| matches!(window, [0xe2, 0x80, 0xa8 | 0xa9]);
    let separators = text.windows(3).filter(|window| is_separator(window)).count();
    let beyond_ascii = text.iter().filter(|byte| !byte.is_ascii()).count();
    if separators == 0 || beyond_ascii == 3 * separators {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(3).position(is_separator) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    out.into()
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
    fn a_cut_falls_between_characters() {
        let cut_text = |text: &'static str, max| truncate(text.as_bytes().into(), max).into_owned();
        assert_eq!(cut_text("x\u{e9}\u{e9}", 4), "x\u{e9}".as_bytes());
        assert_eq!(cut_text("x\u{e9}\u{e9}", 5), "x\u{e9}\u{e9}".as_bytes());
        assert_eq!(cut_text("\u{1f980}", 3), b"");
        assert_eq!(truncate([0x80; 9].as_slice().into(), 5).len(), 5);
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
    fn separators_beside_other_characters_beyond_ascii_become_line_breaks() {
        let shown = [
            ("", ""),
            ("caf\u{e9}", "caf\u{e9}"),
            ("a\u{2028}\u{2029}b", "a\u{2028}\u{2029}b"),
            ("\u{e9}\u{2028}", "\u{e9}\n"),
            ("\u{2029}\u{2028}\u{1f980}", "\n\n\u{1f980}"),
            ("\u{202e}\u{2027}\u{202a}", "\u{202e}\u{2027}\u{202a}"),
        ];
        for (text, wanted) in shown {
            assert_eq!(showable(text.as_bytes()), wanted.as_bytes(), "{text:?}");
        }
    }
}
