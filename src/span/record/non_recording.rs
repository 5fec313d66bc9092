//! A non-recording span: ids and a name, and no record until one is needed.

use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::owned::SharedRecord;
use super::pool;
use super::span_record::SpanRecord;
use super::trace_state::SharedState;
use crate::id::{SpanId, TraceId};
use crate::lock::{self, Mutex};
use crate::span::context::SpanContext;
use crate::span::counters::Stripe;
use crate::span::shared::SpanShared;

/// The first span of a trace that is not sampled.
///
/// The span gets a record when it is shared: when it has children or is cloned. Until then only
/// itself could force its trace to be recorded. Its context needs only the state of the trace,
/// which a record that is made later shares.
#[derive(Debug)]
pub(in crate::span) struct NonRecording {
    /// Moved out by the drop in `lifecycle/finish.rs`, which leaves nothing to be dropped: the
    /// compiler need not check that once more.
    parts: ManuallyDrop<Parts>,
}

#[derive(Debug)]
struct Parts {
    /// The stripe; none once the span has ended.
    stripe: Option<Arc<Stripe>>,
    trace_id: TraceId,
    name: &'static str,
    /// The state of the trace, from when its context was read or a record was made.
    trace_state: Mutex<Option<SharedState>>,
    /// Whether anything was done to the span that its end must look at: there is a state of the trace,
    /// so that other spans may force it to be recorded, or an outcome. Without either the span is
    /// accounted for where it is dropped.
    is_touched: AtomicBool,
    /// The outcome of the span, once there is one.
    outcome: OnceLock<Outcome>,
    /// The outcome in a forked process, where another thread may have been about to set the other
    /// field, which then blocks for ever.
    outcome_in_fork: OnceLock<Box<OnceLock<Outcome>>>,
}

/// The outcome of a span that had no record at the start.
#[derive(Debug)]
pub(in crate::span) enum Outcome {
    /// A record was needed while the span lived.
    Promoted(SharedRecord),
    /// The span was finished before, and can still be referred to, always by the same record.
    Finished(OnceLock<SharedRecord>),
}

impl NonRecording {
    #[inline]
    pub(in crate::span) fn new(stripe: Arc<Stripe>, trace_id: TraceId, name: &'static str) -> Self {
        let parts = Parts {
            stripe: Some(stripe),
            trace_id,
            name,
            trace_state: Mutex::new(None),
            is_touched: AtomicBool::new(false),
            outcome: OnceLock::new(),
            outcome_in_fork: OnceLock::new(),
        };
        Self { parts: ManuallyDrop::new(parts) }
    }

    pub(in crate::span) fn stripe(&self) -> Option<&Arc<Stripe>> {
        self.parts.stripe.as_ref()
    }

    pub(in crate::span) fn name(&self) -> &'static str {
        self.parts.name
    }

    /// Returns the ids before there is a record.
    pub(in crate::span) fn ids(&self) -> SpanContext {
        SpanContext::new(self.parts.trace_id, self.span_id(), SpanId::NONE, 0)
    }

    fn span_id(&self) -> SpanId {
        SpanId::new(self.parts.trace_id.low())
    }

    /// Returns the context, without making a record if there is none.
    #[inline]
    pub(in crate::span) fn context(&self) -> SpanContext {
        let has_record =
            self.parts.outcome.get().is_some_and(|outcome| outcome.promoted().is_some());
        if has_record || self.is_forked() || self.is_disabled() {
            return self.context_of_record();
        }
        let (trace_id, span_id) = (self.parts.trace_id, self.span_id());
        let state = self.shared_state(pool::take_state);
        SpanContext { trace_id, span_id, state, ..SpanContext::default() }
    }

    #[cold]
    #[inline(never)]
    fn context_of_record(&self) -> SpanContext {
        self.record_or_promote().context()
    }

    /// Returns the state of the trace, set to the given one if there was none. `None` in a forked
    /// process where another thread may be about to set it.
    #[inline(always)]
    fn shared_state(&self, new: impl FnOnce() -> SharedState) -> Option<SharedState> {
        let mut state = match self.parts.trace_state.try_lock() {
            Some(state) => state,
            None => lock::wait(&self.parts.trace_state, || self.is_forked())?,
        };
        self.parts.is_touched.store(true, Ordering::Relaxed);
        Some(SharedState::clone(state.get_or_insert_with(new)))
    }

    #[inline]
    fn is_forked(&self) -> bool {
        self.parts.stripe.as_ref().is_some_and(|stripe| stripe.is_forked())
    }

    #[inline]
    fn is_disabled(&self) -> bool {
        self.parts.stripe.as_ref().is_some_and(|stripe| stripe.is_disabled())
    }

    /// Returns the record, if one was made while the span lived.
    #[inline]
    pub(in crate::span) fn made_record(&self) -> Option<&SharedRecord> {
        self.outcome().and_then(Outcome::promoted)
    }

    /// Returns the outcome of the span, once there is one.
    #[inline]
    fn outcome(&self) -> Option<&Outcome> {
        let Parts { outcome, outcome_in_fork, .. } = &*self.parts;
        outcome.get().or_else(|| outcome_in_fork.get()?.get())
    }

    /// Returns the record, if one was made while the span lived. One is made now if the trace was
    /// forced to be recorded by spans below its context.
    #[inline]
    pub(in crate::span) fn record(&self) -> Option<&SharedRecord> {
        if self.parts.is_touched.load(Ordering::Relaxed) { self.record_of_touched() } else { None }
    }

    #[inline(never)]
    fn record_of_touched(&self) -> Option<&SharedRecord> {
        if let Some(outcome) = self.outcome() {
            return outcome.promoted();
        }
        let state = self.shared_state(pool::take_state)?;
        if state.is_surely_unsampled() { None } else { self.promote() }
    }

    /// Returns the record, made now if there is none; `None` if the span was finished before.
    pub(in crate::span) fn promote(&self) -> Option<&SharedRecord> {
        self.outcome_cell().get_or_init(|| Outcome::Promoted(self.make_record(false))).promoted()
    }

    /// Returns the record, made now if there is none, even for a span that was finished before.
    pub(in crate::span) fn record_or_promote(&self) -> &SharedRecord {
        match self.outcome_cell().get_or_init(|| Outcome::Promoted(self.make_record(false))) {
            Outcome::Promoted(record) => record,
            Outcome::Finished(record) => record.get_or_init(|| self.make_record(true)),
        }
    }

    /// Returns the cell for the outcome, which is about to be set.
    #[inline]
    fn outcome_cell(&self) -> &OnceLock<Outcome> {
        self.parts.is_touched.store(true, Ordering::Relaxed);
        if self.is_forked() && self.parts.outcome.get().is_none() {
            self.parts.outcome_in_fork.get_or_init(Box::default)
        } else {
            &self.parts.outcome
        }
    }

    fn make_record(&self, finished: bool) -> SharedRecord {
        let mut owned = pool::take();
        let record = &mut *owned;
        record.stripe.clone_from(&self.parts.stripe);
        record.reset_state(0);
        let state = self.shared_state(|| SharedState::clone(&record.state));
        if let Some(state) = state.filter(|state| !SharedState::ptr_eq(state, &record.state)) {
            record.join_state(state);
        }
        record.ids.set(self.parts.trace_id, self.span_id(), SpanId::NONE);
        let data = record.data.get_mut();
        data.finished = finished;
        data.draft.name = Cow::Borrowed(self.parts.name);
        if let Some(stripe) = self.parts.stripe.as_ref().filter(|stripe| stripe.is_disabled()) {
            become_disabled(record, stripe);
        }
        owned.into_shared()
    }

    /// Notes that the span was finished, if it needs no record for that. Returns false if it has
    /// one, or was finished before.
    #[inline]
    pub(in crate::span) fn mark_finished(&self) -> bool {
        self.record().is_none()
            && self.outcome_cell().set(Outcome::Finished(OnceLock::new())).is_ok()
    }

    /// Returns whether the span was neither shared nor finished, and its context was never read.
    #[inline]
    pub(in crate::span) fn is_untouched(&mut self) -> bool {
        !*self.parts.is_touched.get_mut()
    }

    /// Takes the state of the trace, if there is nothing else: no record, and no forced recording.
    #[inline(always)]
    pub(in crate::span) fn take_state_alone(&mut self) -> Option<SharedState> {
        if self.outcome().is_some() {
            return None;
        }
        self.parts.trace_state.get_mut().take_if(|state| state.is_only_counted())
    }

    /// Takes the tracer's stripe, with the only handle.
    #[inline]
    pub(in crate::span) fn take_stripe(&mut self) -> Option<Arc<Stripe>> {
        self.parts.stripe.take()
    }

    /// Takes the outcome, and the state of the trace, if there is one.
    pub(in crate::span) fn take_outcome(&mut self) -> (Option<Outcome>, Option<SharedState>) {
        let Parts { outcome, outcome_in_fork, trace_state, .. } = &mut *self.parts;
        let outcome = outcome.take().or_else(|| outcome_in_fork.take()?.take());
        (outcome, trace_state.get_mut().take())
    }
}

/// Returns the empty context of a disabled tracer.
#[cold]
#[inline(never)]
fn become_disabled(record: &mut SpanRecord, shared: &SpanShared) {
    if let Some(without_caller) = &shared.disabled {
        record.set_caller(Arc::clone(without_caller));
    }
}

impl Outcome {
    pub(in crate::span) fn into_record(self) -> Option<SharedRecord> {
        match self {
            Self::Promoted(record) => Some(record),
            Self::Finished(record) => record.into_inner(),
        }
    }

    fn promoted(&self) -> Option<&SharedRecord> {
        match self {
            Self::Promoted(record) => Some(record),
            Self::Finished(_) => None,
        }
    }
}
