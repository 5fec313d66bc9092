//! The one place where contexts are written to carriers.

use std::borrow::Cow;

use super::{CarrierKind, InjectCarrier, KnownName, is_field_value, is_token, set_each};
use crate::id::IdText;
use crate::propagation::keys::{FormatKey, NameFilter, is_stale};
use crate::propagation::limits::{self, repeated_in_other_case};
use crate::span::SpanContext;

/// Which keys of a format are removed from a carrier before a context is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::propagation) enum Removal {
    /// All that the format may write: a custom one can leave out any.
    All,
    /// Those that it will not replace.
    Stale,
    /// The same, of a format with so many keys that names of headers are filtered before they are compared
    /// with all of them.
    StaleOfMany,
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
    let replaces = removal != Removal::All;
    let is_stale = |name: &str| {
        is_stale(keys, name, |key| replaces && key.is_replaced(name, &context, is_header))
    };
    let mut is_replacing = false;
    if removal == Removal::StaleOfMany && is_header {
        let filter = NameFilter::new(keys, |key| key.is_header_replaced(&context));
        carrier.remove_if(&mut |name| {
            is_replacing |= filter.may_be_replaced(name);
            filter.may_be_stale(name) && is_stale(name)
        });
    } else {
        carrier.remove_if(&mut |name| is_stale(name));
    }
    left_out + write(&context, &mut Checked { carrier, is_replacing })
}

/// A carrier that refuses what is not valid in a header.
struct Checked<'c> {
    carrier: &'c mut dyn InjectCarrier,
    /// Whether the carrier probably has keys that are written.
    is_replacing: bool,
}

impl Checked<'_> {
    /// Removes the value of an earlier context, which was to be replaced. Returns false.
    #[cold]
    fn refused(&mut self, key: &str) -> bool {
        let is_header = self.carrier.kind() == CarrierKind::HttpHeaders;
        self.carrier.remove_if(&mut |existing| {
            existing == key || (is_header && existing.eq_ignore_ascii_case(key))
        });
        false
    }
}

impl InjectCarrier for Checked<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        let is_set = is_token(key) && is_field_value(value) && self.carrier.set(key, value);
        is_set || self.refused(key)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.carrier.remove_if(is_stale);
    }

    fn kind(&self) -> CarrierKind {
        self.carrier.kind()
    }

    /// The value is not checked: it consists of ids.
    fn set_known(&mut self, name: &KnownName, value: &IdText) -> bool {
        (name.is_token() && self.carrier.set_known(name, value)) || self.refused(name.text())
    }

    fn set_known_parts(&mut self, parts: &[(&KnownName, usize)], text: &IdText) -> bool {
        let are_tokens = parts.iter().all(|(name, _)| name.is_token());
        let are_set = are_tokens
            && match self.is_replacing {
                true => self.carrier.replace_known_parts(parts, text),
                false => self.carrier.set_known_parts(parts, text),
            };
        // Any of them may be the one that was refused.
        are_set || set_each(parts, text, |key, value| self.set(key, value))
    }

    fn is_checked(&self) -> bool {
        true
    }
}
