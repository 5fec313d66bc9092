//! The one place where contexts are written to carriers.

use super::{CarrierKind, InjectCarrier, KnownName, is_field_value, is_token};
use crate::propagation::keys::FormatKey;
use crate::propagation::limits::{self, repeated_in_other_case};
use crate::span::SpanContext;

/// Writes a context to a carrier, replaces one that the carrier may hold, and returns how many
/// baggage items were left out.
///
/// `write` is called with the context and as much of its baggage as a carrier takes, and with a
/// carrier that accepts only valid headers.
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
    // Headers that are always written replace old ones, and need not be removed.
    let replaces = http && context.is_valid() && !context.undecided;
    let is_left = |key: &FormatKey| key.is_written() && !(replaces && key.is_always_written());
    carrier.remove_if(&mut |name| keys.iter().any(|key| is_left(key) && key.is_of(name)));
    if context.baggage.is_none() {
        return write(context, &mut Checked(carrier));
    }
    let repeated = if http && keys.iter().any(FormatKey::is_prefix) {
        repeated_in_other_case(context)
    } else {
        Vec::new()
    };
    let (context, left_out) = limits::fitting(context, |key, value| {
        (key.is_empty() || is_token(key))
            && (http || is_field_value(value))
            && !repeated.contains(&key)
    });
    left_out + write(&context, &mut Checked(carrier))
}

/// A carrier that refuses what is not valid in a header.
struct Checked<'c>(&'c mut dyn InjectCarrier);

impl InjectCarrier for Checked<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        is_token(key) && is_field_value(value) && self.0.set(key, value)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.remove_if(is_stale);
    }

    fn kind(&self) -> CarrierKind {
        self.0.kind()
    }

    /// The value is not checked: it consists of ids.
    fn set_known(&mut self, name: &KnownName, value: &str) -> bool {
        name.is_token() && self.0.set_known(name, value)
    }

    fn is_checked(&self) -> bool {
        true
    }
}
