//! The one way of a context to a carrier, whatever the format and whatever the carrier.

use super::{CarrierKind, InjectCarrier, KnownName};
use crate::propagation::keys::FormatKey;
use crate::span::SpanContext;

/// Writes a context to a carrier, in place of one that it may hold, and gives how many baggage items
/// were left out.
pub(in crate::propagation) fn write_context(
    keys: &[FormatKey],
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
    write: impl FnOnce(&SpanContext, &mut dyn InjectCarrier) -> usize,
) -> usize {
    if carrier.is_checked() {
        return write(context, carrier);
    }
    let http = carrier.kind() == CarrierKind::HttpHeaders;
    // Headers are replaced where they are written, and what is always written need not be removed.
    let replaces = http && context.is_valid();
    let is_left = |key: &FormatKey| key.is_written() && !(replaces && key.is_always_written());
    carrier.remove_if(&mut |name| keys.iter().any(|key| is_left(key) && key.is_of(name)));
    write(context, &mut Checked(carrier))
}

/// A carrier in which nothing is stale.
struct Checked<'c>(&'c mut dyn InjectCarrier);

impl InjectCarrier for Checked<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.0.set(key, value)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.remove_if(is_stale);
    }

    fn kind(&self) -> CarrierKind {
        self.0.kind()
    }

    fn set_known(&mut self, name: &KnownName, value: &str) -> bool {
        self.0.set_known(name, value)
    }

    fn is_checked(&self) -> bool {
        true
    }
}
