//! A non-recording span: ids and a name, and no record until one is needed.

use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use super::owned::SharedRecord;
use super::pool;
use super::span_record::SpanRecord;
use super::trace_state::SharedState;
use crate::id::{SpanId, TraceId};
use crate::lock::{self, Mutex, MutexGuard};
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
    /// The state of the trace, from when its context was read or a record was made. The record is made
    /// with this locked, so that no thread waits for another that makes it: in a forked process there may
    /// be no such thread.
    trace_state: Mutex<Option<SharedState>>,
    record: OnceLock<SharedRecord>,
    /// What was done to the span: one of the following constants. It never decreases, and is stored with the
    /// state locked.
    stage: AtomicU8,
}

/// Nothing was done that the span's end must look at: it is accounted for where it is dropped.
const UNTOUCHED: u8 = 0;

/// There is a state of the trace, so that other spans may force it to be recorded.
const STATE_SHARED: u8 = 1;

/// There is a record, made while the span lived.
const PROMOTED: u8 = 2;

/// The span was finished without a record. It can still be referred to, always by the same record.
const FINISHED: u8 = 3;

impl NonRecording {
    #[inline]
    pub(in crate::span) fn new(stripe: Arc<Stripe>, trace_id: TraceId, name: &'static str) -> Self {
        let parts = Parts {
            stripe: Some(stripe),
            trace_id,
            name,
            trace_state: Mutex::new(None),
            record: OnceLock::new(),
            stage: AtomicU8::new(UNTOUCHED),
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

    #[inline]
    fn stage(&self) -> u8 {
        self.parts.stage.load(Ordering::Acquire)
    }

    /// Returns the context, without making a record if there is none.
    #[inline]
    pub(in crate::span) fn context(&self) -> SpanContext {
        if self.stage() == PROMOTED || self.is_disabled() {
            return self.other_context();
        }
        let (trace_id, span_id) = (self.parts.trace_id, self.span_id());
        let state = self.shared_state();
        SpanContext { trace_id, span_id, state, ..SpanContext::default() }
    }

    /// Returns the context of the record, or of a disabled tracer.
    #[cold]
    #[inline(never)]
    fn other_context(&self) -> SpanContext {
        let of_record = self.made_record().map(|record| record.context());
        let of_disabled = || Some(SpanContext::clone(self.stripe()?.disabled.as_ref()?));
        of_record.or_else(of_disabled).unwrap_or_default()
    }

    /// Locks the state of the trace. `None` in a forked process that may never get the lock.
    #[inline(always)]
    fn lock(&self) -> Option<MutexGuard<'_, Option<SharedState>>> {
        match self.parts.trace_state.try_lock() {
            Some(state) => Some(state),
            None => lock::wait(&self.parts.trace_state, || self.is_forked()),
        }
    }

    /// Returns the state of the trace, made now if there is none; none in a forked process that may never get
    /// the lock.
    #[inline(always)]
    fn shared_state(&self) -> Option<SharedState> {
        let mut locked = self.lock()?;
        let state = locked.get_or_insert_with(pool::take_state);
        let state = SharedState::clone(state);
        if self.parts.stage.load(Ordering::Relaxed) == UNTOUCHED {
            self.parts.stage.store(STATE_SHARED, Ordering::Relaxed);
        }
        Some(state)
    }

    #[inline]
    fn is_forked(&self) -> bool {
        self.parts.stripe.as_ref().is_some_and(|stripe| stripe.is_forked())
    }

    #[inline]
    fn is_disabled(&self) -> bool {
        self.parts.stripe.as_ref().is_some_and(|stripe| stripe.is_disabled())
    }

    /// Returns whether the span was finished without a record.
    pub(in crate::span) fn is_finished(&self) -> bool {
        self.stage() == FINISHED
    }

    /// Returns the record, if one was made while the span lived.
    #[inline]
    pub(in crate::span) fn made_record(&self) -> Option<&SharedRecord> {
        if self.stage() == PROMOTED { self.parts.record.get() } else { None }
    }

    /// Returns the record, if one was made while the span lived. One is made now if the trace was
    /// forced to be recorded by spans below its context.
    #[inline]
    pub(in crate::span) fn record(&self) -> Option<&SharedRecord> {
        if self.stage() == UNTOUCHED { None } else { self.record_of_touched() }
    }

    #[inline(never)]
    fn record_of_touched(&self) -> Option<&SharedRecord> {
        if self.stage() != STATE_SHARED {
            return self.made_record();
        }
        let state = self.shared_state()?;
        if state.is_surely_unsampled() { None } else { self.promote() }
    }

    /// Returns the record, made now if there is none; `None` if the span was finished before, or in a forked
    /// process that may never get the lock.
    pub(in crate::span) fn promote(&self) -> Option<&SharedRecord> {
        if !self.is_finished() {
            self.record_or_promote();
        }
        self.made_record()
    }

    /// Returns the record, made now if there is none, even for a span that was finished before. `None` in a
    /// forked process that may never get the lock.
    pub(in crate::span) fn record_or_promote(&self) -> Option<&SharedRecord> {
        let record = self.parts.record.get();
        if record.is_some() {
            return record;
        }
        let mut state = self.lock()?;
        let is_finished = self.is_finished();
        // Never waits: all that initialize the cell have the lock.
        let record = self.parts.record.get_or_init(|| self.make_record(&mut state, is_finished));
        if !is_finished {
            self.parts.stage.store(PROMOTED, Ordering::Release);
        }
        Some(record)
    }

    /// Returns a share in the record, made now if there is none. In a forked process that may never get the
    /// lock, the record is one of a finished span, which is the context of this one alone.
    pub(in crate::span) fn share(&self) -> SharedRecord {
        match self.record_or_promote() {
            Some(record) => SharedRecord::clone(record),
            None => self.make_record(&mut None, true),
        }
    }

    fn make_record(&self, state: &mut Option<SharedState>, finished: bool) -> SharedRecord {
        let mut owned = pool::take();
        let record = &mut *owned;
        match &self.parts.stripe {
            Some(stripe) => record.set_tracer(stripe),
            None => record.stripe = None,
        }
        record.reset_state(0);
        match state {
            Some(state) => record.join_state(SharedState::clone(state)),
            None => *state = Some(SharedState::clone(&record.state)),
        }
        record.ids.set(self.parts.trace_id, self.span_id(), SpanId::NONE);
        let data = record.data.get_mut();
        data.finished = finished;
        data.draft.set_name(Cow::Borrowed(self.parts.name));
        if let Some(stripe) = self.parts.stripe.as_ref().filter(|stripe| stripe.is_disabled()) {
            become_disabled(record, stripe);
        }
        owned.into_shared()
    }

    /// Notes that the span was finished, if it needs no record for that. Returns false if it has
    /// one, or was finished before.
    #[inline]
    pub(in crate::span) fn mark_finished(&self) -> bool {
        self.record().is_none() && self.finish_without_record()
    }

    fn finish_without_record(&self) -> bool {
        // If a forked process may never get the lock, no thread of it makes a record either.
        let _locked = self.lock();
        let finished = |stage| (stage < PROMOTED).then_some(FINISHED);
        self.parts.stage.fetch_update(Ordering::AcqRel, Ordering::Relaxed, finished).is_ok()
    }

    /// Returns whether the span was neither shared nor finished, and its context was never read.
    #[inline]
    pub(in crate::span) fn is_untouched(&mut self) -> bool {
        *self.parts.stage.get_mut() == UNTOUCHED
    }

    /// Takes the state of the trace, if there is nothing else: no record, and no forced recording.
    #[inline(always)]
    pub(in crate::span) fn take_state_alone(&mut self) -> Option<SharedState> {
        if *self.parts.stage.get_mut() != STATE_SHARED {
            return None;
        }
        self.parts.trace_state.get_mut().take_if(|state| state.is_only_counted())
    }

    /// Takes the tracer's stripe, with the only handle.
    #[inline]
    pub(in crate::span) fn take_stripe(&mut self) -> Option<Arc<Stripe>> {
        self.parts.stripe.take()
    }

    /// Takes the record, and the state of the trace, if there are any.
    pub(in crate::span) fn take_record(&mut self) -> (Option<SharedRecord>, Option<SharedState>) {
        let Parts { record, trace_state, .. } = &mut *self.parts;
        (record.take(), trace_state.get_mut().take())
    }
}

/// Has the record forward the empty context of a disabled tracer.
#[cold]
#[inline(never)]
fn become_disabled(record: &mut SpanRecord, shared: &SpanShared) {
    if let Some(without_caller) = &shared.disabled {
        record.set_caller(Arc::clone(without_caller));
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::process::exit;

    use fork::Fork;

    use super::*;
    use crate::NullLogger;
    use crate::Tracer;
    use crate::sampler::ConstSampler;
    use crate::span::Span;
    use crate::span::repr::Repr;

    /// Returns the lock of a span without a record, as another thread has it that shares the span.
    fn lock(span: &Span) -> Option<MutexGuard<'_, Option<SharedState>>> {
        match &span.repr {
            Repr::NonRecording(span) => span.parts.trace_state.try_lock(),
            Repr::Recorded(_) => None,
        }
    }

    /// Does all that needs the lock, and returns the number of the step that went wrong.
    fn use_locked(tracer: &Tracer, span: &Span, is_finished: bool) -> Result<(), i32> {
        let step = |number, is_right: bool| if is_right { Ok(()) } else { Err(number) };
        let context = span.context();
        step(1, context.is_valid() && !context.is_sampled())?;
        let child = tracer.span("child").child_of(span).start().context();
        step(2, child.trace_id() == context.trace_id())?;
        step(3, child.parent_id() == context.span_id())?;
        let other = span.clone();
        other.set_tag("k", 1);
        step(4, other.context().span_id() == context.span_id())?;
        drop((other, span.activate()));
        span.set_baggage_item("k", "v").set_operation_name("new").set_tag("sampling.priority", 1);
        let before = tracer.stats();
        step(5, is_finished || before.misused == 0)?;
        span.finish();
        let after = tracer.stats();
        step(6, after.finished - before.finished == u64::from(!is_finished))?;
        step(7, after.misused - before.misused == u64::from(is_finished))?;
        step(8, after.is_balanced())
    }

    #[test]
    fn a_span_that_a_thread_has_locked_is_one_without_a_record_in_a_forked_process() {
        for is_finished in [false, true] {
            let builder = Tracer::builder("svc").null_reporter().logger(NullLogger);
            let (tracer, _closer) = builder.sampler(ConstSampler::new(false)).build().unwrap();
            let span = tracer.start_span("op");
            if is_finished {
                span.finish();
            }
            let locked = lock(&span).unwrap();
            match fork::fork().unwrap() {
                // Without output: another thread may have had the lock of standard error.
                Fork::Child => exit(use_locked(&tracer, &span, is_finished).err().unwrap_or(0)),
                Fork::Parent(pid) => {
                    assert_eq!(fork::waitpid(pid).unwrap(), 0, "the step, times 256");
                }
            }
            drop(locked);
            assert_eq!(tracer.stats().open, u64::from(!is_finished));
        }
    }
}
