//! Baggage from the network, bounded in number and size.

use std::sync::Arc;

use crate::span::Baggage;

/// The most items taken from one carrier. Go's limit for binary carriers.
pub(super) const MAX_ITEMS: usize = 180;

/// The most bytes of keys and values taken from one carrier.
pub(super) const MAX_BYTES: usize = 8_192;

/// Collects baggage up to the limits.
#[derive(Debug, Default)]
pub(super) struct BoundedBaggage {
    baggage: Baggage,
    pub(super) dropped: usize,
}

impl BoundedBaggage {
    /// Sets an item, or counts it as dropped if it does not fit.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        // A key that is there already is replaced, and takes no further place.
        let before = self.baggage.get(key).map(|value| key.len() + value.len());
        let items = self.baggage.len() - usize::from(before.is_some());
        let bytes = self.baggage.bytes() - before.unwrap_or(0) + key.len() + value.len();
        if items >= MAX_ITEMS || bytes > MAX_BYTES {
            self.dropped += 1;
        } else {
            self.baggage.set(key, value);
        }
    }

    /// Takes over what others carry in W3C's headers.
    pub(super) fn foreign(&mut self, trace_state: Option<Arc<str>>, random: bool) {
        self.baggage.trace_state = trace_state;
        self.baggage.random = random;
    }

    /// What was collected, if anything.
    pub(super) fn finish(self) -> Option<Arc<Baggage>> {
        (!self.baggage.is_empty()).then(|| Arc::new(self.baggage))
    }
}
