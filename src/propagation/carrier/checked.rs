//! The one place where contexts are written to carriers.

use std::borrow::Cow;

use super::{
    CarrierKind, InjectCarrier, KnownName, KnownParts, is_field_value, is_same_name, is_token,
};
use crate::propagation::keys::{FormatKey, is_written};
use crate::propagation::limits::{self, repeated_in_other_case};
use crate::span::SpanContext;

/// Writes a context to a carrier in a built-in format, replaces one that the carrier may hold, and returns how
/// many baggage items were left out.
///
/// `later` is a name that `write` certainly sets. `write` is called for a context with more than ids, with as much
/// of its baggage as a carrier takes, and with a carrier that accepts only valid headers.
#[inline]
pub(in crate::propagation) fn write_context(
    known: &KnownParts<'_>,
    later: Option<&KnownName>,
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
    write: impl FnOnce(&SpanContext, &mut dyn InjectCarrier) -> usize,
) -> usize {
    let has_ids_alone = context.baggage.is_none() && context.debug_id.is_none();
    if has_ids_alone && known.are_tokens() && carrier.replace_known(known) {
        return 0;
    }
    if carrier.is_checked() {
        return usize::from(!carrier.set_known(known)) + write(context, carrier);
    }
    let (context, left_out) = fitting(context, carrier, known.has_prefix());
    remove_stale(known, later, &context, carrier);
    let carrier = &mut Checked { carrier };
    let refused = usize::from(!carrier.set_known(known));
    left_out + refused + write(&context, carrier)
}

/// Removes the keys of another context, which writing this one does not replace.
#[inline(never)]
fn remove_stale(
    known: &KnownParts<'_>,
    later: Option<&KnownName>,
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
) {
    let is_header = carrier.kind() == CarrierKind::HttpHeaders;
    let is_item = |key: &str| context.baggage_item(key).is_some();
    carrier.remove_if(&mut |name| match later.filter(|later| is_same_name(name, later.text())) {
        Some(later) => !is_header && name != later.text(),
        None => known.is_stale(name, is_header, is_item),
    });
}

/// Does the same with formats that may leave out any of their keys: all of them are removed first.
pub(in crate::propagation) fn write_any(
    keys: &[FormatKey],
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
    write: impl FnOnce(&SpanContext, &mut dyn InjectCarrier) -> usize,
) -> usize {
    if carrier.is_checked() {
        return write(context, carrier);
    }
    let (context, left_out) = fitting(context, carrier, keys.iter().any(FormatKey::is_prefix));
    carrier.remove_if(&mut |name| is_written(keys, name));
    left_out + write(&context, &mut Checked { carrier })
}

/// Returns the context with as much of its baggage as the carrier takes, and how many items are left out.
#[inline]
pub(in crate::propagation) fn fitting<'c>(
    context: &'c SpanContext,
    carrier: &dyn InjectCarrier,
    has_prefix: bool,
) -> (Cow<'c, SpanContext>, usize) {
    if context.baggage.is_none() {
        return (Cow::Borrowed(context), 0);
    }
    let is_header = carrier.kind() == CarrierKind::HttpHeaders;
    let repeated =
        if is_header && has_prefix { repeated_in_other_case(context) } else { Vec::new() };
    limits::fitting(context, |key, value| {
        (key.is_empty() || is_token(key))
            && (is_header || is_field_value(value))
            && !repeated.contains(&key)
    })
}

/// A carrier that refuses what is not valid in a header.
struct Checked<'c> {
    carrier: &'c mut dyn InjectCarrier,
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

    /// The values are not checked: they consist of ids.
    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        // Any of them may be the one that was refused.
        (known.are_tokens() && self.carrier.set_known(known))
            || known.set_each(|key, value| self.set(key, value))
    }

    fn is_checked(&self) -> bool {
        true
    }
}
