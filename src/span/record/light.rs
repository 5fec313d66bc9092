//! A span that is surely not recorded: its ids and its name, and no record until somebody needs one.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::inner::SpanInner;
use super::pool;
use crate::id::{SpanId, TraceId};
use crate::span::core::CoreRef;

/// The first span of a trace that is not sampled.
///
/// It gets a record when it is shared: when it has children, is handed on, or cloned. Until then
/// there is nobody who could force its trace to be recorded but itself.
#[derive(Debug)]
pub(in crate::span) struct Light {
    core: Arc<CoreRef>,
    trace_id: TraceId,
    name: &'static str,
    /// What became of it; none if it was finished before anybody needed a record.
    record: OnceLock<Option<Arc<SpanInner>>>,
}

impl Light {
    #[inline]
    pub(in crate::span) fn new(core: Arc<CoreRef>, trace_id: TraceId, name: &'static str) -> Self {
        Self { core, trace_id, name, record: OnceLock::new() }
    }

    pub(in crate::span) fn core(&self) -> &Arc<CoreRef> {
        &self.core
    }

    /// The record, if somebody needed one.
    #[inline]
    pub(in crate::span) fn shared(&self) -> Option<&Arc<SpanInner>> {
        self.record.get()?.as_ref()
    }

    /// The record, made now if there is none; none if the span was finished before.
    pub(in crate::span) fn share(&self) -> Option<&Arc<SpanInner>> {
        self.record.get_or_init(|| Some(self.make_record(false))).as_ref()
    }

    /// A record for a span that was finished, so that it can still be referred to.
    pub(in crate::span) fn finished_record(&self) -> Arc<SpanInner> {
        self.make_record(true)
    }

    fn make_record(&self, finished: bool) -> Arc<SpanInner> {
        let mut record = pool::take();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(&self.core));
            inner.begin_state(0);
            inner.ids.set(self.trace_id, SpanId::new(self.trace_id.low()), SpanId::NONE);
            let body = inner.body.get_mut();
            body.finished = finished;
            body.draft.name = Cow::Borrowed(self.name);
        }
        record
    }

    /// Finishes it if it has no record. False if it has, or was finished before.
    #[inline]
    pub(in crate::span) fn finish(&self) -> bool {
        let first = self.record.set(None).is_ok();
        if first {
            self.core.count_not_sampled();
        }
        first
    }
}

impl Drop for Light {
    #[inline]
    fn drop(&mut self) {
        match self.record.take() {
            None => self.core.count_not_sampled(),
            Some(None) => {}
            Some(Some(record)) => end_shared(record),
        }
    }
}

/// Apart, so that the usual end stays small enough to be inlined.
#[cold]
#[inline(never)]
fn end_shared(record: Arc<SpanInner>) {
    pool::end(record);
}
