//! How jaeger-client-go reads Jaeger's headers, with a switch for each defect this client mends.
//!
//! With all switches off the rules must give what was recorded; with all on they give what is
//! expected of this client. A switch that changes the outcome is a deviation of the case.

use crate::carrier::{Baggage, Ids, Names, Pairs};
use crate::deviations::{self, Deviation};

/// The defects that are mended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mended {
    hex_flags: bool,
    debug_id_kept: bool,
    names_of_any_case: bool,
    text_map_keys_kept: bool,
    one_context: bool,
    debug_id_acts: bool,
}

impl Mended {
    /// This client.
    pub(crate) const ALL: Self = Self {
        hex_flags: true,
        debug_id_kept: true,
        names_of_any_case: true,
        text_map_keys_kept: true,
        one_context: true,
        debug_id_acts: true,
    };

    /// Whether a debug id acts whatever the context beside it is.
    pub(crate) const fn debug_id_acts(self) -> bool {
        self.debug_id_acts
    }

    /// This client with one defect of Go's each, and its name.
    pub(crate) const fn all_but_one() -> [(Deviation, Self); 6] {
        [
            (deviations::HEX_FLAGS, Self { hex_flags: false, ..Self::ALL }),
            (deviations::DEBUG_ID_KEPT, Self { debug_id_kept: false, ..Self::ALL }),
            (deviations::HEADER_NAMES_OF_ANY_CASE, Self { names_of_any_case: false, ..Self::ALL }),
            (deviations::TEXT_MAP_KEYS_KEPT, Self { text_map_keys_kept: false, ..Self::ALL }),
            (deviations::ONE_CONTEXT, Self { one_context: false, ..Self::ALL }),
            (deviations::DEBUG_ID_ACTS, Self { debug_id_acts: false, ..Self::ALL }),
        ]
    }
}

/// What a carrier holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) ids: Ids,
    pub(crate) debug_id: Vec<u8>,
    pub(crate) baggage: Baggage,
    /// Whether there was a context that could not be read, beside a debug id.
    pub(crate) broken: bool,
}

/// Reads a carrier, of HTTP headers or a plain text map.
pub(crate) fn extract(
    http: bool,
    pairs: &Pairs,
    names: &Names,
    mended: Mended,
) -> Result<Found, &'static str> {
    let names = if mended.names_of_any_case {
        Names {
            trace_context: names.trace_context.to_lowercase(),
            baggage_prefix: names.baggage_prefix.to_lowercase(),
            debug: names.debug.to_lowercase(),
            baggage: names.baggage.to_lowercase(),
        }
    } else {
        names.clone()
    };
    let value_of = |value: &str| match unescape(value) {
        Some(decoded) if http => decoded,
        _ => value.as_bytes().to_vec(),
    };
    let mut found = Found::default();
    let (mut is_there, mut failed) = (false, None);
    for (raw_key, value) in pairs {
        let key = raw_key.to_lowercase();
        if key == names.trace_context {
            for value in values(&value_of(value), mended.one_context) {
                match ids(value, mended) {
                    Ok(ids) if mended.one_context && is_there && ids != found.ids => {
                        failed = failed.or(Some("malformed"));
                    }
                    Ok(ids) => (found.ids, is_there) = (ids, true),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if !mended.debug_id_kept && failed.is_none() {
                found.debug_id.clear();
            }
        } else if key == names.debug {
            found.debug_id = value_of(value);
        } else if key == names.baggage {
            found.baggage.extend(list(value));
        } else if let Some(item) = key.strip_prefix(&names.baggage_prefix) {
            let kept = raw_key.get(names.baggage_prefix.len()..).unwrap_or(item);
            let item = if mended.text_map_keys_kept && !http { kept } else { item };
            found.baggage.insert(item.to_owned(), value_of(value));
        }
    }
    if let Some(error) = failed {
        if !mended.debug_id_acts || found.debug_id.is_empty() {
            return Err(error);
        }
        (found.ids, found.broken) = (Ids::default(), true);
    }
    if !found.ids.names_trace() && found.debug_id.is_empty() && found.baggage.is_empty() {
        return Err("not_found");
    }
    Ok(found)
}

/// The values of a header that commas join, if they do.
pub(crate) fn values(value: &[u8], joined: bool) -> Vec<&[u8]> {
    let values = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
    if joined && value.contains(&b',') && !values.is_empty() { values } else { vec![value] }
}

fn ids(value: &[u8], mended: Mended) -> Result<Ids, &'static str> {
    if value.is_empty() {
        return Err("empty_value");
    }
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b':').collect();
    let [trace, span, parent, flags] = parts[..] else {
        return Err("malformed");
    };
    let (trace_high, trace_low) = trace_id(trace)?;
    let span_id = |digits: &[u8]| match digits.len() {
        0..=16 => number(digits, 16, u64::MAX),
        _ => Err("span_id_too_long"),
    };
    let (span, parent) = (span_id(span)?, span_id(parent)?);
    let flags = number(flags, if mended.hex_flags { 16 } else { 10 }, u64::from(u8::MAX))?;
    Ok(Ids { trace_high, trace_low, span, parent, flags: u8::try_from(flags).unwrap_or(u8::MAX) })
}

/// Both halves of a trace id.
pub(crate) fn trace_id(digits: &[u8]) -> Result<(u64, u64), &'static str> {
    if digits.len() > 32 {
        return Err("trace_id_too_long");
    }
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    let high = if high.is_empty() { 0 } else { number(high, 16, u64::MAX)? };
    Ok((high, number(low, 16, u64::MAX)?))
}

/// A number without sign; too large is said as soon as it is.
pub(crate) fn number(digits: &[u8], base: u32, max: u64) -> Result<u64, &'static str> {
    if digits.is_empty() {
        return Err("bad_number");
    }
    let mut number = 0_u64;
    for digit in digits {
        let digit = char::from(*digit).to_digit(base).ok_or("bad_number")?;
        let next = number
            .checked_mul(u64::from(base))
            .and_then(|number| number.checked_add(u64::from(digit)));
        number = next.filter(|next| *next <= max).ok_or("number_out_of_range")?;
    }
    Ok(number)
}

/// The `key=value` pairs of the header for baggage by hand.
fn list(value: &str) -> Baggage {
    let decoded = unescape(value).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded);
    decoded
        .split(',')
        .filter_map(|pair| match pair.trim().split('=').collect::<Vec<_>>()[..] {
            [key, value] => Some((key.trim().to_owned(), value.as_bytes().to_vec())),
            _ => None,
        })
        .collect()
}

/// Decodes a form's value; none if a percent sign is not followed by two hex digits.
pub(crate) fn unescape(value: &str) -> Option<Vec<u8>> {
    percent_decoded(value.replace('+', "%20").as_bytes())
}

/// Decodes a value; none if a percent sign is not followed by two hex digits.
pub(crate) fn percent_decoded(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                let digit = |at: usize| char::from(digits[at]).to_digit(16);
                out.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
                rest = after;
            }
            other => out.push(*other),
        }
    }
    Some(out)
}

/// Encodes a value as a form's, which has `+` for a space.
pub(crate) fn escape(value: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b' ' => String::from("+"),
        b'-' | b'_' | b'.' | b'~' => String::from(char::from(*byte)),
        byte if byte.is_ascii_alphanumeric() => String::from(char::from(*byte)),
        byte => format!("%{byte:02X}"),
    };
    value.iter().map(one).collect()
}
