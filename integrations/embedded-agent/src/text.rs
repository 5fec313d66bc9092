//! Text from the network made fit for a terminal, and durations made fit for people.

use std::borrow::Cow;
use std::fmt::Write as _;

use jaeger_client::encoding::ValueView;

/// Escapes everything in a text that moves a cursor, changes a colour, or turns the direction of
/// writing.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_invisible(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

/// Marks of direction and width, and line breaks that are no control characters.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// At most `width` letters of `text`; where some are missing, an ellipsis is the last.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(width) else { return Cow::Borrowed(text) };
    let last = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    Cow::Owned(format!("{}…", &text[..last]))
}

/// A tag's value as one line shows it.
pub(crate) fn value_text(value: &ValueView<'_>) -> String {
    match value {
        ValueView::Str(text) => printable(&String::from_utf8_lossy(text)),
        ValueView::Double(double) => double.to_string(),
        ValueView::Bool(boolean) => boolean.to_string(),
        ValueView::Long(long) => long.to_string(),
        ValueView::Binary(bytes) => hex(bytes),
        _ => "?".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = "0x".to_owned();
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// A time in the largest unit it has one of, three digits or so.
pub(crate) fn human(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let text = match micros {
        0..=999 => format!("{micros}µs"),
        1_000..=999_999 => format!("{}ms", decimals(micros, 1_000)),
        1_000_000..=59_999_999 => format!("{}s", decimals(micros, 1_000_000)),
        60_000_000..=3_599_999_999 => pair(micros, 60_000_000, 'm', 1_000_000, 's'),
        3_600_000_000..=86_399_999_999 => pair(micros, 3_600_000_000, 'h', 60_000_000, 'm'),
        _ => pair(micros, 86_400_000_000, 'd', 3_600_000_000, 'h'),
    };
    format!("{sign}{text}")
}

/// Two decimals below ten, one below a hundred, none above; zeros at the end are left out. Cut and
/// not rounded, so that 999.9ms does not read as 1000ms.
fn decimals(micros: u128, unit: u128) -> String {
    let whole = micros / unit;
    let hundredths = micros % unit * 100 / unit;
    let text = match whole {
        0..=9 => format!("{whole}.{hundredths:02}"),
        10..=99 => format!("{whole}.{}", hundredths / 10),
        _ => format!("{whole}.0"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn pair(micros: u128, large: u128, large_name: char, small: u128, small_name: char) -> String {
    format!("{}{large_name}{:02}{small_name}", micros / large, micros % large / small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_human_units() {
        let cases = [
            (0, "0µs"),
            (999, "999µs"),
            (1_000, "1ms"),
            (1_250, "1.25ms"),
            (12_345, "12.3ms"),
            (999_999, "999ms"),
            (1_000_000, "1s"),
            (59_999_999, "59.9s"),
            (100_000, "100ms"),
            (125_000_000, "2m05s"),
            (7_380_000_000, "2h03m"),
            (100_000_000_000, "1d03h"),
            (-1_500, "-1.5ms"),
            (i128::from(i64::MAX), "106751991d04h"),
        ];
        for (micros, text) in cases {
            assert_eq!(human(micros), text, "{micros}");
        }
    }

    #[test]
    fn terminals_get_no_commands() {
        let text = "a\u{1b}[31mred\r\n\u{202e}\u{9b}z\u{2066}é";
        assert_eq!(printable(text), r"a\u{1b}[31mred\r\n\u{202e}\u{9b}z\u{2066}é",);
    }

    #[test]
    fn text_is_cut_between_letters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("äöü", 1), "…");
    }
}
