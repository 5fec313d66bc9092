//! The one place where contexts are written to carriers.

use std::borrow::Cow;

use super::{CarrierKind, InjectCarrier, KnownName, is_field_value, is_token};
use crate::id::IdText;
use crate::propagation::keys::{FormatKey, is_stale};
use crate::propagation::limits::{self, repeated_in_other_case};
use crate::span::SpanContext;

/// Which keys of a format are removed from a carrier before a context is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::propagation) enum Removal {
    /// All that the format may write: a custom one can leave out any.
    All,
    /// Those that it will not replace.
    Stale,
}

/// Writes a context to a carrier, replaces one that the carrier may hold, and returns how many
/// baggage items were left out.
///
/// `write` is called with the context and as much of its baggage as a carrier takes, and with a
/// carrier that accepts only valid headers.
pub(in crate::propagation) fn write_context(
    keys: &[FormatKey],
    removal: Removal,
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
    write: impl FnOnce(&SpanContext, &mut dyn InjectCarrier) -> usize,
) -> usize {
    if carrier.is_checked() {
        return write(context, carrier);
    }
    let is_header = carrier.kind() == CarrierKind::HttpHeaders;
    let (context, left_out) = if context.baggage.is_none() {
        (Cow::Borrowed(context), 0)
    } else {
        let repeated = if is_header && keys.iter().any(FormatKey::is_prefix) {
            repeated_in_other_case(context)
        } else {
            Vec::new()
        };
        limits::fitting(context, |key, value| {
            (key.is_empty() || is_token(key))
                && (is_header || is_field_value(value))
                && !repeated.contains(&key)
        })
    };
    carrier.remove_if(&mut |name| {
        is_stale(keys, name, |key| {
            removal == Removal::Stale && key.is_replaced(name, &context, is_header)
        })
    });
    left_out + write(&context, &mut Checked(carrier))
}

/// A carrier that refuses what is not valid in a header.
struct Checked<'c>(&'c mut dyn InjectCarrier);

impl Checked<'_> {
    /// Removes the value of an earlier context, which was to be replaced. Returns false.
    #[cold]
    fn refused(&mut self, key: &str) -> bool {
        let is_header = self.0.kind() == CarrierKind::HttpHeaders;
        self.0.remove_if(&mut |existing| {
            existing == key || (is_header && existing.eq_ignore_ascii_case(key))
        });
        false
    }
}

impl InjectCarrier for Checked<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        let is_set = is_token(key) && is_field_value(value) && self.0.set(key, value);
        is_set || self.refused(key)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.remove_if(is_stale);
    }

    fn kind(&self) -> CarrierKind {
        self.0.kind()
    }

    /// The value is not checked: it consists of ids.
    fn set_known(&mut self, name: &KnownName, value: &IdText) -> bool {
        (name.is_token() && self.0.set_known(name, value)) || self.refused(name.text())
    }

    fn is_checked(&self) -> bool {
        true
    }
}
