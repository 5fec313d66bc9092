//! How jaeger-client-go reads B3 headers, with a switch for each difference that is meant.
//!
//! With all switches off the rules must give what was recorded; with all on they give what is
//! expected of this client. A switch that changes the outcome is a deviation of the case.

use crate::carrier::{Ids, Pairs};
use crate::deviations::{self, Deviation};
use crate::extract_rules::{Found, number, percent_decoded, trace_id, values};

/// What differs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mended {
    debug: bool,
    no_parent: bool,
    decision: bool,
    single: bool,
    encoded: bool,
    one_context: bool,
}

impl Mended {
    /// This client.
    pub(crate) const ALL: Self = Self {
        debug: true,
        no_parent: true,
        decision: true,
        single: true,
        encoded: true,
        one_context: true,
    };

    /// This client with one habit of Go's each, and its name.
    pub(crate) const fn all_but_one() -> [(Deviation, Self); 6] {
        [
            (deviations::B3_DEBUG, Self { debug: false, ..Self::ALL }),
            (deviations::B3_NO_PARENT, Self { no_parent: false, ..Self::ALL }),
            (deviations::B3_DECISION, Self { decision: false, ..Self::ALL }),
            (deviations::B3_SINGLE, Self { single: false, ..Self::ALL }),
            (deviations::B3_ENCODED, Self { encoded: false, ..Self::ALL }),
            (deviations::ONE_CONTEXT, Self { one_context: false, ..Self::ALL }),
        ]
    }
}

/// Reads a carrier.
pub(crate) fn extract(
    pairs: &Pairs,
    baggage_prefix: &str,
    mended: Mended,
) -> Result<Found, &'static str> {
    let mut found = Found::default();
    let (mut several, mut single) = (Several::default(), Part::default());
    let (mut failed, mut single_failed) = (None, None);
    for (key, value) in pairs {
        let key = key.to_lowercase();
        if key == "b3" && mended.single {
            for value in values(value.as_bytes(), mended.one_context) {
                let taken = one_header(value).and_then(|ids| single.put(ids, mended));
                single_failed = single_failed.or_else(|| taken.err());
            }
            continue;
        }
        let is_part = match failed {
            // The others are looked at all the same, as they may be baggage.
            Some(_) => Several::default().take(&key, value, mended).unwrap_or(true),
            None => several.take(&key, value, mended).unwrap_or_else(|error| {
                failed = Some(error);
                true
            }),
        };
        if let (false, Some(item)) = (is_part, key.strip_prefix(&baggage_prefix.to_lowercase())) {
            let value = value.as_bytes();
            let decoded = percent_decoded(value).filter(|_| mended.encoded);
            found.baggage.insert(item.to_owned(), decoded.unwrap_or_else(|| value.to_vec()));
        }
    }
    let several = failed.map_or_else(|| several.finish(mended), Err);
    let single = single_failed.map_or_else(|| single.0.ok_or("not_found"), Err);
    found.ids = match (several, single) {
        (Ok(ids), Ok(other)) if other.names_trace() && !ids.names_trace() => other,
        (Ok(ids), Ok(other)) if ids.is_of_trace_of(&other) && ids.span == other.span => {
            let parent = if ids.parent == 0 { other.parent } else { ids.parent };
            Ids { flags: ids.flags | other.flags & !1, parent, ..ids }
        }
        (Ok(ids), _) | (Err(_), Ok(ids)) => ids,
        (Err("not_found"), Err(error)) => return Err(error),
        (Err(error), Err(_)) => return Err(error),
    };
    Ok(found)
}

/// A part of a context that has one value.
#[derive(Debug)]
struct Part<T>(Option<T>);

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Part<T> {
    /// Go takes the last one.
    fn put(&mut self, value: T, mended: Mended) -> Result<(), &'static str> {
        if mended.one_context && self.0.as_ref().is_some_and(|known| *known != value) {
            return Err("malformed");
        }
        self.0 = Some(value);
        Ok(())
    }
}

/// The parts that have headers of their own.
#[derive(Debug, Default)]
struct Several {
    trace: Part<(u64, u64)>,
    span: Part<u64>,
    parent: Part<u64>,
    flags: Part<u8>,
    debug: bool,
}

impl Several {
    /// Takes a header; false if it is another one.
    fn take(&mut self, key: &str, value: &str, mended: Mended) -> Result<bool, &'static str> {
        let id = |digits: &[u8]| number(digits, 16, u64::MAX);
        for value in values(value.as_bytes(), mended.one_context) {
            match key {
                "x-b3-traceid" => self.trace.put(trace_id(value)?, mended)?,
                "x-b3-spanid" => self.span.put(id(value)?, mended)?,
                "x-b3-parentspanid" if mended.no_parent && value.is_empty() => {}
                "x-b3-parentspanid" => self.parent.put(id(value)?, mended)?,
                "x-b3-sampled" if value.is_empty() => {}
                "x-b3-sampled" => {
                    let flags = match value {
                        b"1" | b"true" => 1,
                        b"d" if mended.debug => 3,
                        _ => 0,
                    };
                    // To Go a decision to sample stands.
                    let before = self.flags.0.filter(|_| !mended.one_context);
                    self.flags.put(flags | before.unwrap_or_default(), mended)?;
                }
                "x-b3-flags" => self.debug |= mended.debug && value == b"1",
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn finish(self, mended: Mended) -> Result<Ids, &'static str> {
        let flags = if self.debug { Some(3) } else { self.flags.0 };
        let (trace_high, trace_low) = self.trace.0.unwrap_or_default();
        let ids = Ids {
            trace_high,
            trace_low,
            span: self.span.0.unwrap_or_default(),
            parent: self.parent.0.unwrap_or_default(),
            flags: flags.unwrap_or_default(),
        };
        if ids.names_trace() {
            return Ok(ids);
        }
        // The flags of the trace to begin.
        let decided = mended.decision && flags.is_some();
        if decided { Ok(Ids { flags: ids.flags, ..Ids::default() }) } else { Err("not_found") }
    }
}

/// Reads the single header.
fn one_header(value: &[u8]) -> Result<Ids, &'static str> {
    let decision = |text: &[u8]| match text {
        b"0" => Ok(0),
        b"1" => Ok(1),
        b"d" => Ok(3),
        _ => Err("invalid"),
    };
    if let Ok(flags) = decision(value) {
        return Ok(Ids { flags, ..Ids::default() });
    }
    if value.is_empty() {
        return Err("empty_value");
    }
    let parts: Vec<_> = value.split(|byte| *byte == b'-').collect();
    let (trace, span) = match parts[..] {
        [] | [_] | [_, _, _, _, _, ..] => return Err("invalid"),
        [trace, span, ..] => (trace, span),
    };
    let (trace_high, trace_low) = trace_id(trace)?;
    let parent = parts.get(3).filter(|parent| !parent.is_empty());
    let ids = Ids {
        trace_high,
        trace_low,
        span: number(span, 16, u64::MAX)?,
        parent: parent.map_or(Ok(0), |parent| number(parent, 16, u64::MAX))?,
        flags: parts.get(2).map_or(Ok(0), |text| decision(text))?,
    };
    if ids.is_valid() { Ok(ids) } else { Err("invalid") }
}
