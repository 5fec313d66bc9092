//! The grammar of environment variables: Go's, and for durations also Java's and Node's, so that
//! one environment configures clients of every language alike.

use std::time::Duration;

use crate::propagation;

/// Parses a boolean, in the spellings of Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Parses an integer in decimal digits, perhaps with a sign.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Parses a number as Go's `strconv.ParseFloat` does: decimal or hex, with underscores between
/// digits.
pub(super) fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with(['+', '-']) {
        return None;
    }
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    if ["inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let hex = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let digits = without_underscores(unsigned, hex.is_some())?;
    let value = match hex {
        Some(_) => hex_float(digits.get(2..)?)?,
        None => digits.parse().ok()?,
    };
    let value: f64 = if text.starts_with('-') { -value } else { value };
    value.is_finite().then_some(value)
}

/// Removes underscores between digits; `None` if there is one elsewhere.
fn without_underscores(text: &str, hex: bool) -> Option<String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit());
    let bytes = text.as_bytes();
    let misplaced = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let prefix = hex && *at == 2;
        let before = before.is_some_and(|byte| is_digit(*byte) || prefix);
        bytes[*at] == b'_' && !(before && bytes.get(at + 1).is_some_and(|byte| is_digit(*byte)))
    };
    let digits = (0..bytes.len()).find(misplaced).is_none().then(|| text.replace('_', ""))?;
    // Rust parses these words with digits, and Go only alone.
    (hex || !digits.bytes().any(|b| b.is_ascii_alphabetic() && !matches!(b, b'e' | b'E')))
        .then_some(digits)
}

/// Parses `{digits}.{digits}p{exponent}`, with a decimal exponent of 2.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2.0_f64.powi(exponent.checked_sub(places)?))
}

/// Returns the nanoseconds of a duration such as `500ms` or `1m1.5s`, or of a bare `0`, as Go's
/// `time.ParseDuration`.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit_nanos(unit)?;
        rest = after;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let whole = whole.checked_mul(unit).filter(|nanos| *nanos <= LIMIT)?;
        total = total.checked_add(whole)?.checked_add(part(fraction, unit))?;
        if total > LIMIT {
            return None;
        }
    }
    match i64::try_from(total) {
        Ok(total) => Some(if negative { -total } else { total }),
        Err(_) => negative.then_some(i64::MIN),
    }
}

/// Parses a duration, or a bare number of milliseconds; negative ones become zero, which means the
/// default where there is one.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let millis = || integer(text)?.checked_mul(1_000_000);
    let nanos = nanoseconds(text).or_else(millis)?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// 2^63: one more than the maximum of nanoseconds, and the magnitude of the minimum.
const LIMIT: u64 = 1 << 63;

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Returns the nanoseconds of the digits after a point, as far as they fit.
fn part(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
        match next.filter(|next| *next <= LIMIT) {
            Some(next) => value = next,
            None => break,
        }
        scale *= 10.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "as Go: the result is below the unit")]
    let nanos = value as f64 * (unit as f64 / scale);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the unit")]
    let nanos = nanos as u64;
    nanos
}

/// The error of `JAEGER_TAGS`: the entry that is not a tag.
pub(super) struct NoTag(pub(super) String);

/// Parses tags from `key=value, key=${VARIABLE:default}`. The default is used where the variable is
/// unset or empty, and the value is empty without a default. Empty entries, such as after a
/// trailing comma, are ignored. An entry is one line: if another one begins in it, a comma was
/// forgotten.
pub(super) fn tags(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, NoTag> {
    let mut tags = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let pair = entry.split_once('=').filter(|_| !entry.contains(['\n', '\r']));
        let (key, value) = pair.ok_or_else(|| NoTag(entry.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        let reference = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let value = match reference {
            Some(reference) => {
                let (name, default) = reference.split_once(':').unwrap_or((reference, ""));
                variable(name)
                    .filter(|value| !value.is_empty())
                    .unwrap_or_else(|| default.to_owned())
            }
            None => value.to_owned(),
        };
        tags.push((key.to_owned(), value));
    }
    Ok(tags)
}

/// Parses `key=value,key=value` with percent-encoded values, as in OpenTelemetry's variables. A
/// value may contain `=`.
pub(super) fn encoded_pairs(text: &str) -> Result<Vec<(String, String)>, NoTag> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pairs = entries.map(|entry| {
        let pair = entry.split_once('=').filter(|_| !entry.contains(['\n', '\r']));
        let decode = |part: &str| {
            let bytes = propagation::percent_decoded(part.trim().as_bytes())?;
            String::from_utf8(bytes).ok()
        };
        let decoded = pair.and_then(|(key, value)| Some((decode(key)?, decode(value)?)));
        decoded.filter(|(key, _)| !key.is_empty()).ok_or_else(|| NoTag(entry.to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_boolean_has_twelve_spellings() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(text), Some(true));
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(text), Some(false));
        }
        for text in ["on", "yes", "tRUE", " true", "2", ""] {
            assert_eq!(boolean(text), None, "{text:?}");
        }
    }

    #[test]
    fn whole_numbers_are_decimal() {
        for (text, number) in [("10", 10), ("+5", 5), ("-5", -5), ("007", 7)] {
            assert_eq!(integer(text), Some(number));
        }
        for text in ["1e3", "0x10", "1_000", " 1", "1.0", "", "9223372036854775808"] {
            assert_eq!(integer(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (text, number) in [
            ("0.5", 0.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e-3", 0.001),
            ("+1E2", 100.0),
            ("-0.25", -0.25),
            ("1_23.50_0_0e+1_2", 1.235e14),
            ("0x1p-2", 0.25),
            ("0X_1.8P1", 3.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(float(text), Some(number), "{text}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan));
        for text in [
            "0,5", "", ".", "e1", "+nan", "1e400", "0x1", "0xp1", "_1", "1_", "1__0", "1_e2", "1 ",
            "--1", "+-1", "1f", "infinit",
        ] {
            assert_eq!(float(text), None, "{text:?}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        const S: i64 = 1_000_000_000;
        for (text, nanos) in [
            ("500ms", S / 2),
            ("1m1s", 61 * S),
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("1h", 3600 * S),
            ("1.5s", 3 * S / 2),
            (".5s", S / 2),
            ("5.s", 5 * S),
            ("-1.5h", -5400 * S),
            ("1us2\u{b5}s3\u{3bc}s", 6_000),
            ("1ns", 1),
            ("0.3333333333333333333h", 1_200 * S),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(nanoseconds(text), Some(nanos), "{text}");
        }
        for text in [
            "",
            "5",
            "soon",
            "-",
            "s",
            ".s",
            "1.",
            "3 s",
            "1d",
            "1S",
            "00",
            "1e3s",
            "1m1",
            "+-1s",
            "9223372036854775808ns",
            "3000000h",
            "1s ",
        ] {
            assert_eq!(nanoseconds(text), None, "{text:?}");
        }
        assert_eq!(duration("-5s"), Some(Duration::ZERO));
        for (text, millis) in [("1000", 1000), ("0", 0), ("-5", 0), ("+5", 5), ("1s", 1000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["1.5", "1e3", "1_000", "9223372036855", "5 "] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn tags_are_read_around_what_is_missing() {
        let variable = |name: &str| (name == "SET").then(|| "v".to_owned());
        let read = |text: &str| tags(text, variable).ok();
        for (text, expected) in [
            (" a = 1 , b=two words ", vec![("a", "1"), ("b", "two words")]),
            ("a=1,", vec![("a", "1")]),
            (",,a=1", vec![("a", "1")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("=v", vec![("", "v")]),
            ("a=", vec![("a", "")]),
            ("a=${SET:d},b=${NOT:d:e},c=${NOT:}", vec![("a", "v"), ("b", "d:e"), ("c", "")]),
            ("a=${SET},b=${NOT},c=${},d=${", vec![("a", "v"), ("b", ""), ("c", ""), ("d", "${")]),
            (" ", vec![]),
        ] {
            let expected = expected.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
            assert_eq!(read(text), Some(expected.collect()), "{text:?}");
        }
        assert_eq!(read("a=1,\n b=2\n"), read("a=1,b=2"));
        let two = tags("a=1\nb=2", variable).err().map(|NoTag(entry)| entry);
        assert_eq!(two.as_deref(), Some("a=1\nb=2"));
        assert_eq!(tags("a=1,b", variable).err().map(|NoTag(entry)| entry), Some("b".to_owned()));
    }

    #[test]
    fn encoded_pairs_are_decoded_and_what_is_none_is_reported() {
        let read = |text: &str| encoded_pairs(text).map_err(|NoTag(entry)| entry);
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
        };
        for (text, expected) in [
            ("a=1", pairs(&[("a", "1")])),
            (" a = 1 ,, b=two words,", pairs(&[("a", "1"), ("b", "two words")])),
            ("a=Basic%20dXNlcg==", pairs(&[("a", "Basic dXNlcg==")])),
            ("a=b=c%3D%2C+", pairs(&[("a", "b=c=,+")])),
            ("a=,b=%C3%BC", pairs(&[("a", ""), ("b", "\u{fc}")])),
            ("", pairs(&[])),
            ("a=1,b", Err("b".to_owned())),
            ("=1", Err("=1".to_owned())),
            ("a=%", Err("a=%".to_owned())),
            ("a=%zz", Err("a=%zz".to_owned())),
            ("a=%ff", Err("a=%ff".to_owned())),
            ("a=1\nb=2", Err("a=1\nb=2".to_owned())),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn law_any_text_is_taken(text in "\\PC{0,30}|[0-9a-z.+_:${}=,-]{0,30}") {
            let _ = (boolean(&text), integer(&text), float(&text), duration(&text));
            let _ = tags(&text, |name| Some(name.to_owned()));
            let _ = encoded_pairs(&text);
        }

        #[test]
        fn law_what_rust_shows_of_a_number_is_read(number: f64) {
            if number.is_finite() {
                prop_assert_eq!(float(&number.to_string()), Some(number));
                prop_assert_eq!(float(&format!("{number:e}")), Some(number));
            }
        }

        #[test]
        fn law_nanoseconds_are_read_exactly(nanos: i64) {
            prop_assert_eq!(nanoseconds(&format!("{nanos}ns")), Some(nanos));
        }
    }
}
