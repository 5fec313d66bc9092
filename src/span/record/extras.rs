//! The fields that few spans use.

use std::sync::Arc;

use super::large::LargeMemory;
use super::log_limit::LogRing;
use super::trace_state::DEBUG;
use crate::span::baggage::Baggage;
use crate::span::context::SpanContext;
use crate::span::observer::{ObservedTags, SpanObservers};
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;

/// The fields that few spans use, allocated once for each record that needs one of them.
#[derive(Debug, Default)]
pub(in crate::span) struct SpanExtras {
    /// What the builder has stored, until the span starts.
    pub(in crate::span) start: Option<Box<StartExtras>>,
    /// The end that was set in advance, in nanoseconds since the Unix epoch.
    pub(super) finish_wall: Option<i64>,
    /// The baggage, with other vendors' `tracestate`.
    pub(super) baggage: Option<Arc<Baggage>>,
    /// What a span of a disabled tracer forwards, in place of its own context; empty where it
    /// has no caller.
    pub(super) caller: Option<Arc<SpanContext>>,
    /// The limit of the logs, from the first one that was limited on. The memory is reused.
    pub(super) log_ring: Option<Box<LogRing>>,
    /// The tags for observers of the finished span, where they are not those of the draft. Cleared at each
    /// start of a tracer that has such observers; the memory is reused.
    pub(in crate::span) observed_tags: ObservedTags,
    /// The observers of the span, until it is finished.
    pub(super) observers: Option<Arc<SpanObservers>>,
    /// The record's share in what large records may take, which outlives the span.
    pub(super) large: LargeMemory,
}

impl SpanExtras {
    #[cold]
    #[inline(never)]
    pub(super) fn clear(&mut self) {
        (self.baggage, self.observers) = (None, None);
        (self.start, self.finish_wall, self.caller) = (None, None, None);
        if let Some(ring) = &mut self.log_ring {
            ring.clear();
        }
    }
}

/// The rare options of a span's builder.
#[derive(Debug, Default)]
pub(in crate::span) struct StartExtras {
    pub(in crate::span) itself: Option<SpanContext>,
    pub(in crate::span) priority: Option<TagValue<'static>>,
    pub(in crate::span) request: SamplingRequest,
}

/// The kind of the parent so far. Its ids, state and baggage are in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::span) enum ParentKind {
    None,
    /// Replaced by any later reference.
    FollowsFrom,
    ChildOf,
}

/// The sampling information of a context beside its flags, for a span that begins below it.
#[derive(Clone, Debug, Default)]
pub(in crate::span) struct SamplingRequest {
    pub(in crate::span) debug_id: Option<Arc<str>>,
    /// The flags of a trace to begin, so that no sampler is called.
    pub(in crate::span) decision_for_new_trace: Option<u8>,
    /// Whether the joined trace has no decision, so that the sampler is called.
    pub(in crate::span) lacks_decision: bool,
}

impl SamplingRequest {
    pub(in crate::span) fn of(context: &SpanContext) -> Self {
        Self {
            debug_id: context.debug_id.clone(),
            decision_for_new_trace: context.decision_for_new_trace.then_some(context.flags),
            lacks_decision: context.lacks_decision,
        }
    }

    pub(in crate::span) fn is_empty(&self) -> bool {
        self.debug_id.is_none() && self.decision_for_new_trace.is_none() && !self.lacks_decision
    }

    /// Removes a debug id, or a decision with the debug flag, that the throttler denies. The span then starts
    /// like any other. The throttler is not called for a trace that has the debug flag already.
    pub(in crate::span) fn throttle(&mut self, shared: &SpanShared, operation: &str, flags: u8) {
        let wants_debug = self.debug_id.is_some()
            || self.decision_for_new_trace.is_some_and(|flags| flags & DEBUG != 0);
        if wants_debug && flags & DEBUG == 0 && !shared.is_debug_allowed(operation) {
            self.debug_id = None;
            self.decision_for_new_trace =
                self.decision_for_new_trace.filter(|flags| flags & DEBUG == 0);
        }
    }
}
