//! Limits of baggage that is read and written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::span::{Baggage, BaggageItem, SpanContext};

/// The maximum number of items in a carrier. Go's limit for binary carriers.
pub(super) const MAX_ITEMS: usize = 180;

/// The maximum length of keys, values and properties in a carrier, before they are encoded.
pub(super) const MAX_BYTES: usize = 8_192;

/// Collects baggage up to the limits.
#[derive(Debug, Default)]
pub(super) struct BoundedBaggage {
    /// The items; none until there is one.
    baggage: Option<Baggage>,
    pub(super) dropped: usize,
}

impl BoundedBaggage {
    /// Sets an item, or counts it as dropped if it does not fit.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.put(BaggageItem { key, value, properties: "" });
    }

    /// Sets an item with properties, or counts it as dropped if it does not fit.
    pub(super) fn put(&mut self, item: BaggageItem<'_>) {
        let baggage = self.baggage.get_or_insert_default();
        self.dropped += usize::from(!baggage.set_within(item, MAX_ITEMS, MAX_BYTES));
    }

    /// Sets the W3C members of other vendors.
    pub(super) fn set_tracestate(&mut self, tracestate: Option<Arc<str>>, random: bool) {
        if tracestate.is_some() || random {
            let baggage = self.baggage.get_or_insert_default();
            (baggage.tracestate, baggage.random) = (tracestate, random);
        }
    }

    /// Returns the baggage, if there is any.
    pub(super) fn finish(self) -> Option<Arc<Baggage>> {
        self.baggage.filter(|baggage| !baggage.is_empty()).map(Arc::new)
    }
}

/// Returns the context with as much of its baggage as a carrier takes, and how many items are left
/// out: those that `takes` refuses, and the last ones beyond the limits of reading.
pub(super) fn fitting<'c>(
    context: &'c SpanContext,
    takes: impl Fn(&str, &str) -> bool,
) -> (Cow<'c, SpanContext>, usize) {
    let Some(baggage) = &context.baggage else { return (Cow::Borrowed(context), 0) };
    let within = baggage.len() <= MAX_ITEMS && baggage.bytes() <= MAX_BYTES;
    if within && baggage.items().all(|item| takes(item.key, item.value)) {
        return (Cow::Borrowed(context), 0);
    }
    let mut bounded = BoundedBaggage::default();
    for item in baggage.items() {
        if takes(item.key, item.value) {
            bounded.put(item);
        } else {
            bounded.dropped += 1;
        }
    }
    bounded.set_tracestate(baggage.tracestate.clone(), baggage.random);
    let dropped = bounded.dropped;
    (Cow::Owned(SpanContext { baggage: bounded.finish(), ..context.clone() }), dropped)
}

/// Returns the keys that a later item has in another case: as headers they are the same.
pub(super) fn repeated_in_other_case(context: &SpanContext) -> Vec<&str> {
    let is_upper = |key: &str| key.bytes().any(|byte| byte.is_ascii_uppercase());
    if !context.baggage().any(|(key, _)| is_upper(key)) {
        return Vec::new();
    }
    let keys: Vec<_> = context.baggage().map(|(key, _)| key).collect();
    let mut later = HashSet::new();
    let repeated = keys.into_iter().rev().filter(|key| !later.insert(key.to_ascii_lowercase()));
    repeated.collect()
}
