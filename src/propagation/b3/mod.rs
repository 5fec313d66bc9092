//! Zipkin's B3: what its two forms have in common.
//!
//! Baggage, which B3 knows nothing of, is carried as jaeger-client-go does it: as it is, one header
//! an item, under a prefix.

mod multi;
mod single;

use super::carrier::InjectCarrier;
use super::keys::{FormatKey, begins_with};
use super::limits::BoundedBaggage;
use super::percent::{self, lower_case};
use super::{Extracted, Format, HeadersConfig};
use crate::error::ExtractError;
use crate::span::SpanContext;
use crate::span::{DEBUG, SAMPLED};

pub use self::multi::B3Format;
pub use self::single::B3SingleFormat;

pub(super) fn build_multi(_headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(B3Format::default())
}

pub(super) fn build_single(_headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(B3SingleFormat::default())
}

const DEFAULT_BAGGAGE_PREFIX: &str = "baggage-";

fn baggage_key(prefix: &str) -> FormatKey {
    FormatKey::prefix("the prefix of B3 baggage", prefix)
}

/// Writes baggage under a prefix, and gives how many items were refused.
fn inject_baggage(context: &SpanContext, prefix: &str, carrier: &mut dyn InjectCarrier) -> usize {
    let mut name = String::new();
    let mut refused = 0;
    for (key, value) in context.baggage() {
        name.clear();
        name.push_str(prefix);
        name.push_str(key);
        refused += usize::from(!carrier.set(&name, value));
    }
    refused
}

/// Takes an item if the key has the prefix. Keys know no case.
fn take_baggage(key: &str, value: &[u8], prefix: &str, baggage: &mut BoundedBaggage) {
    if begins_with(key, prefix) {
        baggage.set(&lower_case(&key[prefix.len()..]), &percent::text(value.into()));
    }
}

/// What was read: a context that names a span, or a decision about one to come.
fn extracted(
    mut context: SpanContext,
    decision: Option<u8>,
    baggage: BoundedBaggage,
) -> Result<Extracted, ExtractError> {
    let flags = decision.unwrap_or_default();
    if context.trace_id.is_valid() {
        context.flags = flags;
    } else if decision.is_some() {
        context = SpanContext { flags, decided: true, ..SpanContext::default() };
    } else {
        return Err(ExtractError::NotFound);
    }
    let baggage_dropped = baggage.dropped;
    context.remote = true;
    context.baggage = baggage.finish();
    Ok(Extracted { context, baggage_dropped, ..Extracted::default() })
}

/// The flags that a debug request has: it is a decision to sample as well.
const DEBUGGED: u8 = DEBUG | SAMPLED;

/// Whether there is a span to name. Go names even one without ids, where nothing was decided.
fn names_span(context: &SpanContext) -> bool {
    context.is_valid() || !context.decided
}
