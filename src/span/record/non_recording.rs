//! A span that is surely not recorded: its ids and its name, and no record until somebody needs one.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::pool;
use super::span_record::SpanRecord;
use crate::id::{SpanId, TraceId};
use crate::span::context::SpanContext;
use crate::span::counters::Stripe;

/// The first span of a trace that is not sampled.
///
/// It gets a record when it is shared: when it has children, is handed on, or cloned. Until then
/// there is nobody who could force its trace to be recorded but itself.
#[derive(Debug)]
pub(in crate::span) struct NonRecording {
    /// None once it has ended.
    core: Option<Arc<Stripe>>,
    trace_id: TraceId,
    name: &'static str,
    /// What became of it, as soon as anything did.
    record: OnceLock<Record>,
    /// The same in a process that was forked, where a thread that was left behind may have been about
    /// to set the other, which then blocks for ever. What it holds there is never given back.
    in_child: OnceLock<Record>,
}

/// What became of a span that had no record from the start.
#[derive(Debug)]
pub(in crate::span) enum Record {
    /// Somebody needed it while the span lived.
    Live(Arc<SpanRecord>),
    /// The span was finished before, and can still be referred to, always as the same.
    Finished(OnceLock<Arc<SpanRecord>>),
}

impl NonRecording {
    #[inline]
    pub(in crate::span) fn new(core: Arc<Stripe>, trace_id: TraceId, name: &'static str) -> Self {
        let (record, in_child) = (OnceLock::new(), OnceLock::new());
        Self { core: Some(core), trace_id, name, record, in_child }
    }

    pub(in crate::span) fn core(&self) -> Option<&Arc<Stripe>> {
        self.core.as_ref()
    }

    pub(in crate::span) fn name(&self) -> &'static str {
        self.name
    }

    /// Its ids, as they are before it has a record.
    pub(in crate::span) fn ids(&self) -> SpanContext {
        let id = SpanId::new(self.trace_id.low());
        SpanContext::new(self.trace_id, id, SpanId::NONE, 0)
    }

    /// The record, if somebody needed one.
    #[inline]
    pub(in crate::span) fn shared(&self) -> Option<&Arc<SpanRecord>> {
        self.record.get().and_then(Record::live)
    }

    /// The record, made now if there is none; none if the span was finished before.
    pub(in crate::span) fn promote(&self) -> Option<&Arc<SpanRecord>> {
        self.record_cell().get_or_init(|| Record::Live(self.make_record(false))).live()
    }

    /// The record, made now if there is none, if need be for a span that was finished before.
    pub(in crate::span) fn record_or_promote(&self) -> &Arc<SpanRecord> {
        match self.record_cell().get_or_init(|| Record::Live(self.make_record(false))) {
            Record::Live(record) => record,
            Record::Finished(record) => record.get_or_init(|| self.make_record(true)),
        }
    }

    /// Where it is noted what becomes of it.
    #[inline]
    fn record_cell(&self) -> &OnceLock<Record> {
        let is_forked = self.core.as_ref().is_some_and(|core| core.origin.is_forked());
        if is_forked && self.record.get().is_none() { &self.in_child } else { &self.record }
    }

    fn make_record(&self, finished: bool) -> Arc<SpanRecord> {
        let mut record = pool::take();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core.clone_from(&self.core);
            inner.begin_state(0);
            inner.ids.set(self.trace_id, SpanId::new(self.trace_id.low()), SpanId::NONE);
            let data = inner.data.get_mut();
            data.finished = finished;
            data.draft.name = Cow::Borrowed(self.name);
            if let Some(core) = self.core.as_ref().filter(|core| core.is_disabled()) {
                become_disabled(inner, core);
            }
        }
        record
    }

    /// Notes that it was finished, if it has no record. False if it has one, or was finished before.
    #[inline]
    pub(in crate::span) fn mark_finished(&self) -> bool {
        self.record_cell().set(Record::Finished(OnceLock::new())).is_ok()
    }

    /// Takes what there is of it, with its only handle: the tracer's stripe, unless that was taken
    /// before, and its record.
    #[inline]
    pub(in crate::span) fn take(&mut self) -> Option<(Arc<Stripe>, Option<Record>)> {
        Some((self.core.take()?, self.record.take()))
    }
}

/// Of a disabled tracer: its context is empty.
#[cold]
#[inline(never)]
fn become_disabled(inner: &mut SpanRecord, core: &Stripe) {
    inner.set_baggage(core.disabled.clone());
}

impl Record {
    pub(in crate::span) fn into_record(self) -> Option<Arc<SpanRecord>> {
        match self {
            Self::Live(record) => Some(record),
            Self::Finished(record) => record.into_inner(),
        }
    }

    fn live(&self) -> Option<&Arc<SpanRecord>> {
        match self {
            Self::Live(record) => Some(record),
            Self::Finished(_) => None,
        }
    }
}
