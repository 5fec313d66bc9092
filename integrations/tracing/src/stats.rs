//! The layer's counts: tracing's spans and events that do not become part of a span.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of spans, events and parents that could not be used; see
/// [`LayerHandle::stats`](crate::LayerHandle::stats).
///
/// Spans themselves are in the tracer's [span accounting](jaeger_client::Stats), but for those that are
/// still [`pending`](Self::pending).
///
/// # Shape and units
///
/// Counts since the layer was built; `pending` is as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerStats {
    /// Spans that tracing has made and nobody has entered, asked for or closed yet: the tracer does
    /// not know of them until then, so that they can still get their parent from elsewhere.
    pub pending: u64,
    /// Events outside of every span. They are no part of any trace.
    pub events_without_span: u64,
    /// Parents given to a span that has ended, or that the layer's filter has turned off.
    pub parents_refused: u64,
    /// References of `follows_from` that could not be stored. Of those to a span that has ended, or that
    /// the layer's filter has turned off, tracing-subscriber does not tell the layer.
    pub references_lost: u64,
    /// Values of fields whose `Debug`, `Display` or `source` panicked. The field says so.
    pub field_panics: u64,
    /// Uses of a span that could not wait until another thread, or a sampler that used the span which
    /// it was asked about, had started it.
    pub not_started_in_time: u64,
}

/// The atomic counters behind [`LayerStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) events_without_span: AtomicU64,
    pub(crate) parents_refused: AtomicU64,
    pub(crate) references_lost: AtomicU64,
    pub(crate) field_panics: AtomicU64,
    pub(crate) not_started_in_time: AtomicU64,
}

impl Counters {
    #[cold]
    pub(crate) fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, pending: u64) -> LayerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LayerStats {
            pending,
            events_without_span: read(&self.events_without_span),
            parents_refused: read(&self.parents_refused),
            references_lost: read(&self.references_lost),
            field_panics: read(&self.field_panics),
            not_started_in_time: read(&self.not_started_in_time),
        }
    }
}
