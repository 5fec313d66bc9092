//! How jaeger-client-go reads B3 headers, with a switch for each difference that is meant.
//!
//! With all switches off the rules must give what was recorded; with all on they give what is
//! expected of this client. A switch that changes the outcome is a deviation of the case.

use crate::carrier::{Ids, Pairs};
use crate::deviations::Deviation;
use crate::extract_rules::{Found, number, trace_id};

/// What differs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mended {
    debug: bool,
    no_parent: bool,
    decision: bool,
}

impl Mended {
    /// This client.
    pub(crate) const ALL: Self = Self { debug: true, no_parent: true, decision: true };

    /// This client with one habit of Go's each, and its name.
    pub(crate) const fn all_but_one() -> [(Deviation, Self); 3] {
        [
            (Deviation::B3Debug, Self { debug: false, ..Self::ALL }),
            (Deviation::B3NoParent, Self { no_parent: false, ..Self::ALL }),
            (Deviation::B3Decision, Self { decision: false, ..Self::ALL }),
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
    let mut sampled = None;
    let mut debug = false;
    for (key, value) in pairs {
        let key = key.to_lowercase();
        let id = || number(value.as_bytes(), 16, u64::MAX);
        match key.as_str() {
            "x-b3-traceid" => {
                let (high, low) = trace_id(value.as_bytes())?;
                (found.ids.trace_high, found.ids.trace_low) = (high, low);
            }
            "x-b3-spanid" => found.ids.span = id()?,
            "x-b3-parentspanid" if mended.no_parent && value.is_empty() => found.ids.parent = 0,
            "x-b3-parentspanid" => found.ids.parent = id()?,
            "x-b3-sampled" => sampled = Some(value == "1" || value == "true"),
            "x-b3-flags" if mended.debug => debug = value == "1",
            other => {
                if let Some(item) = other.strip_prefix(&baggage_prefix.to_lowercase()) {
                    found.baggage.insert(item.to_owned(), value.as_bytes().to_vec());
                }
            }
        }
    }
    let flags = if debug { 3 } else { u8::from(sampled == Some(true)) };
    if found.ids.names_trace() {
        found.ids.flags = flags;
        return Ok(found);
    }
    if mended.decision && (debug || sampled.is_some()) {
        // The flags of the trace to begin.
        return Ok(Found { ids: Ids { flags, ..Ids::default() }, ..found });
    }
    Err("not_found")
}
