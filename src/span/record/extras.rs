//! What few spans are started with, or have.

use std::sync::Arc;

use super::log_limit::LogRing;
use super::trace_state::DEBUG;
use crate::span::context::SpanContext;
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;

/// What few spans are started with, or have. It lies in the record.
#[derive(Debug, Default)]
pub(in crate::span) struct StartExtras {
    pub(in crate::span) itself: Option<SpanContext>,
    pub(in crate::span) priority: Option<TagValue<'static>>,
    pub(in crate::span) request: SamplingRequest,
    log_ring: LogRing,
    /// The end that was set ahead, in nanoseconds since the Unix epoch.
    pub(in crate::span) finish_wall: Option<i64>,
}

impl StartExtras {
    pub(in crate::span) fn log_ring(&mut self) -> &mut LogRing {
        &mut self.log_ring
    }
}

/// What a context says of the sampling of a span that begins below it, besides its flags.
#[derive(Clone, Debug, Default)]
pub(in crate::span) struct SamplingRequest {
    pub(in crate::span) debug_id: Option<Arc<str>>,
    /// Flags of a trace to begin, so that no sampler is asked.
    pub(in crate::span) decided: Option<u8>,
    /// Nobody has decided about the trace that it joins, so that the sampler is asked.
    pub(in crate::span) undecided: bool,
}

impl SamplingRequest {
    pub(in crate::span) fn of(context: &SpanContext) -> Self {
        Self {
            debug_id: context.debug_id.clone(),
            decided: context.decided.then_some(context.flags),
            undecided: context.undecided,
        }
    }

    pub(in crate::span) fn is_empty(&self) -> bool {
        self.debug_id.is_none() && self.decided.is_none() && !self.undecided
    }

    /// Leaves out the request for debugging, if there is one that is not allowed. The span then starts
    /// like any other. Nobody is asked about a trace that is debugged already.
    pub(in crate::span) fn throttle(&mut self, core: &SpanShared, operation: &str, flags: u8) {
        let asks = self.debug_id.is_some() || self.decided.is_some_and(|flags| flags & DEBUG != 0);
        if asks && flags & DEBUG == 0 && !core.is_debug_allowed(operation) {
            self.debug_id = None;
            self.decided = self.decided.filter(|flags| flags & DEBUG == 0);
        }
    }
}
