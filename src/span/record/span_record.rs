//! The record of a live span.
//!
//! A record is taken from the calling thread's pool, filled while the span lives, and returned when
//! its last handle is dropped, so that in steady state nothing is allocated.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::data::SpanData;
use super::extras::StartExtras;
use super::large::SMALL_BYTES;
use super::trace_state::{SharedState, TraceState};
use crate::encoding::Ids;
use crate::id::SpanId;
use crate::lock::{self, Mutex, MutexGuard};
use crate::span::baggage::Baggage;
use crate::span::context::SpanContext;
use crate::span::counters::Stripe;

/// A live span, which its drop finishes (`lifecycle/finish.rs`). Fields that do not change while it lives
/// are beside the lock, the rest behind it.
#[derive(Debug)]
pub(crate) struct SpanRecord {
    /// The tracer. In a pool it is that of the last span, which the next one is likely to need, if that
    /// [may be retained](Stripe::may_be_retained_here).
    pub(crate) stripe: Option<Arc<Stripe>>,
    pub(crate) ids: Ids,
    /// The state that the trace's spans in this process share.
    pub(crate) state: SharedState,
    /// The record's own state while it uses that of another span; reused later.
    own: Option<SharedState>,
    /// Whether the data has baggage or a caller's context: most spans have neither, and their children
    /// need no lock then.
    pub(crate) has_baggage: AtomicBool,
    /// Whether the tracer's limit may truncate even short text, which then is not written on the fast path.
    pub(in crate::span) truncates_short_text: bool,
    pub(crate) data: Mutex<SpanData>,
}

thread_local! {
    /// The state of new records until they need one of their own, which those of children never do.
    /// It is always shared, and so never changed.
    static NO_STATE: SharedState = SharedState::default();
}

impl Default for SpanRecord {
    fn default() -> Self {
        Self {
            stripe: None,
            ids: Ids::default(),
            state: NO_STATE.try_with(SharedState::clone).unwrap_or_default(),
            own: None,
            has_baggage: AtomicBool::new(false),
            truncates_short_text: false,
            data: Mutex::default(),
        }
    }
}

impl SpanRecord {
    /// Returns the rare options of the builder.
    pub(in crate::span) fn extras(&mut self) -> &mut StartExtras {
        let data = self.data.get_mut();
        data.draft.has_rare_fields = true;
        data.extras.get_or_insert_default().start.get_or_insert_default()
    }

    /// Locks the data. Returns `None` in a forked process that may never get the lock.
    #[inline]
    pub(in crate::span) fn lock(&self) -> Option<MutexGuard<'_, SpanData>> {
        match self.data.try_lock() {
            Some(data) => Some(data),
            None => self.wait_for_data(),
        }
    }

    #[cold]
    #[inline(never)]
    fn wait_for_data(&self) -> Option<MutexGuard<'_, SpanData>> {
        lock::wait(&self.data, || self.stripe.as_ref().is_some_and(|stripe| stripe.is_forked()))
    }

    /// Returns whether the span is the first of the trace's local part, or has the id of that one: a span
    /// that refers to itself shares the state and has no parent.
    pub(in crate::span) fn is_local_root(&self) -> bool {
        self.own.is_none() || { self.ids.parent } == SpanId::NONE
    }

    /// Resets the record's own state to these flags, and uses it.
    #[inline]
    pub(crate) fn reset_state(&mut self, flags: u8) {
        self.leave_state();
        self.reset_own_state(flags);
    }

    /// Does the same for a record that uses its own state.
    #[inline]
    pub(in crate::span) fn reset_own_state(&mut self, flags: u8) {
        if self.state.is_unique() {
            self.state.reset(flags);
        } else {
            // It is not the record's own yet, or a context of its last span still uses it.
            self.state = SharedState::new(TraceState::with_flags(flags));
        }
    }

    /// Returns whether the state is shared with another span, or a context.
    pub(in crate::span) fn shares_state(&self) -> bool {
        self.own.is_some()
    }

    /// Shares the state of another span.
    #[inline]
    pub(in crate::span) fn join_state(&mut self, state: SharedState) {
        if self.own.is_none() {
            self.own = Some(mem::replace(&mut self.state, state));
        } else {
            self.state = state;
        }
    }

    /// Returns to the record's own state.
    #[inline]
    pub(in crate::span) fn leave_state(&mut self) {
        // Looked at first, as `take` would write where there is none, too.
        if self.own.is_some()
            && let Some(own) = self.own.take()
        {
            self.state = own;
        }
    }

    #[inline]
    pub(crate) fn context(&self) -> SpanContext {
        if self.has_baggage.load(Ordering::Acquire) {
            return self.context_with_baggage();
        }
        self.context_of(None)
    }

    #[cold]
    #[inline(never)]
    fn context_with_baggage(&self) -> SpanContext {
        match self.caller() {
            Some(caller) => SpanContext::clone(&caller),
            None => self.context_of(self.baggage()),
        }
    }

    #[inline(always)]
    fn context_of(&self, baggage: Option<Arc<Baggage>>) -> SpanContext {
        SpanContext {
            trace_id: self.ids.trace,
            span_id: self.ids.span,
            parent_id: self.ids.parent,
            flags: 0,
            remote: false,
            decision_for_new_trace: false,
            lacks_decision: false,
            state: Some(SharedState::clone(&self.state)),
            baggage,
            debug_id: None,
        }
    }

    /// Returns the context that a span of a disabled tracer forwards in place of its own.
    pub(in crate::span) fn caller(&self) -> Option<Arc<SpanContext>> {
        if self.has_baggage.load(Ordering::Acquire) { self.lock()?.caller() } else { None }
    }

    /// Has the span forward a context in place of its own.
    pub(in crate::span) fn set_caller(&mut self, caller: Arc<SpanContext>) {
        let data = self.data.get_mut();
        *self.has_baggage.get_mut() = true;
        data.draft.has_rare_fields = true;
        let extras = data.extras.get_or_insert_default();
        (extras.caller, extras.baggage) = (Some(caller), None);
    }

    /// Returns the value of a baggage item that it forwards.
    pub(in crate::span) fn baggage_item(&self, key: &str) -> Option<String> {
        match self.caller() {
            Some(caller) => caller.baggage_item(key).map(str::to_owned),
            None => self.baggage()?.get(key).map(str::to_owned),
        }
    }

    /// Sets the baggage while no other handle exists.
    #[inline]
    pub(in crate::span) fn set_baggage(&mut self, baggage: Option<Arc<Baggage>>) {
        let data = self.data.get_mut();
        *self.has_baggage.get_mut() = baggage.is_some();
        if baggage.is_some() || data.baggage().is_some() {
            *data.baggage_mut() = baggage;
        }
    }

    #[inline]
    pub(crate) fn baggage(&self) -> Option<Arc<Baggage>> {
        if self.has_baggage.load(Ordering::Acquire) {
            self.lock()?.baggage().cloned()
        } else {
            None
        }
    }

    /// Clears the record for the next span. Returns false if it is too large to be reused.
    #[inline]
    pub(in crate::span) fn recycle(&mut self) -> bool {
        if self.stripe.as_ref().is_some_and(|stripe| !stripe.may_be_retained_here()) {
            self.stripe = None;
        }
        self.clear_but_tracer()
    }

    /// Does the same, but for the tracer, which stays.
    #[inline(always)]
    pub(super) fn clear_but_tracer(&mut self) -> bool {
        self.leave_state();
        let data = self.data.get_mut();
        if data.draft.has_rare_fields {
            *self.has_baggage.get_mut() = false;
        }
        let held = data.draft.held_bytes();
        if held > SMALL_BYTES {
            return data.clear_large(held);
        }
        data.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    /// What they make of a live span is measured in `tests/alloc.rs`.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_parts_of_a_live_span_are_small() {
        let sizes = [size_of::<SpanRecord>(), size_of::<TraceState>(), size_of::<Span>()];
        assert!(sizes.iter().zip([216, 40, 80]).all(|(size, most)| *size <= most), "{sizes:?}");
    }
}
