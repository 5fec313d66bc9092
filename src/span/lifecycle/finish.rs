//! The ends of a span: every way in which a live span becomes a finished one.
//!
//! | case | what ends it | its trace | function | what becomes of it |
//! |---|---|---|---|---|
//! | 1 | drop of the last handle | sampled, on the fast path | [`finish_last`], or [`finish_last_unusual`] | written out, without a lock |
//! | 2 | drop of the last handle | not sampled, not observed, not on the slow path | [`finish_last_other`] | counted |
//! | 3 | drop of the last handle | observed when finished alone, not on the slow path | [`finish_last_observed`] | observers of finished spans · written out |
//! | 4 | drop of the last handle | on the slow path | [`finish_last_slow`] | deferred · tail · observers of finished spans · written out, or buffered |
//! | 5 | drop of the last handle | on the slow path, and the span has observers or callbacks of its own | [`finish_observed`] | case 8, through a handle made for it |
//! | 6 | `finish`, `finish_at` | neither observed nor on the slow path | [`finish`] | written out with the data locked |
//! | 7 | `finish`, `finish_at` | observed when finished alone, not on the slow path | [`finish_and_notify`] | as case 6, then observers of finished spans |
//! | 8 | `finish*` with logs or on the slow path | any | [`finish_slow`] | tail · observers · deferred · written out, or buffered · observers of finished spans |
//! | 9 | `finish` or drop of a non-recording span | not sampled, no record | [`finish`], `Drop for NonRecording` | counted |
//! | 10 | two last handles dropped at the same moment | any | `Drop for SpanRecord` | case 1 to 5 |
//! | 11 | `restart_as_child_of`, `start_in_place_of` | any | [`finish_unsent`] | counted as not sampled: it continues as another span, with its observers |
//!
//! What is not sampled is counted where others are written out. In a forked process nobody is notified.
//!
//! A span is finished once: the call that sets [`SpanData::finished`] accounts for it. All other
//! calls are misuse. Callbacks (samplers, observers, clocks, loggers) run without the lock of the
//! span's data.

use std::mem;
use std::time::SystemTime;

use super::{deferred, tail};
use crate::buffers::Accepted;
use crate::clock::Clock;
use crate::encoding::{Ids, SpanDraft, SpanParts, ValueView};
use crate::span::counters::Stripe;
use crate::span::observer::{self, FinishClaim};
use crate::span::record::{
    self, End, NonRecording, OwnedRecord, SAMPLED, SharedRecord, SpanData, SpanRecord, TraceState,
};
use crate::span::repr::{RecordHandle, Repr};
use crate::span::shared::SpanShared;
use crate::span::sink::{Sink, SpanSink};
use crate::span::{FinishOptions, LogRecord, Span, inspect};

/// Whether the last handle has finished its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum LastHandle {
    Finished,
    /// The span is not finished yet: observers are to be notified, and need a handle on the span.
    IsObserved,
}

impl Drop for RecordHandle {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(record) = self.take() {
            release(record);
        }
    }
}

impl Drop for NonRecording {
    #[inline]
    fn drop(&mut self) {
        if !self.is_untouched() {
            release_touched(self);
        } else if let Some(stripe) = self.take_stripe() {
            record::count_not_sampled(stripe);
        }
    }
}

/// Not inlined, so that the usual drop of a non-recording span is small enough to be inlined.
#[inline(never)]
fn release_touched(span: &mut NonRecording) {
    let Some(state) = span.take_state_alone() else { return release_shared(span) };
    if let Some(stripe) = span.take_stripe() {
        record::count_not_sampled(stripe);
    }
    record::recycle_state(state);
}

/// Ends a non-recording span that has a record, was finished before, or whose trace was forced to
/// be recorded by other spans. In the last case, a record is made, so that the span is sent.
#[inline(never)]
fn release_shared(span: &mut NonRecording) {
    let _ = span.record();
    let was_finished = span.is_finished();
    let (record, state) = span.take_record();
    let Some(stripe) = span.take_stripe() else { return };
    if record.is_none() && !was_finished {
        return record::count_not_sampled(stripe);
    }
    // The record's own state is dropped first, as the record keeps it for its next life.
    let state = state.filter(|_| record.as_ref().is_none_or(|record| record.shares_state()));
    if let Some(record) = record {
        release(record);
    }
    if let Some(state) = state {
        record::recycle_state(state);
    }
    record::retain_stripe(stripe);
}

/// Drops a handle. The last one finishes the span, unless that was done, and returns its record to
/// the pool.
#[inline(never)]
fn release(handle: SharedRecord) {
    let Some(mut last) = OwnedRecord::of_last(handle) else { return };
    if !last.data.get_mut().finished && finish_last(&mut last) == LastHandle::IsObserved {
        return finish_observed(last.into_shared());
    }
    if last.recycle() {
        record::return_to_pool(last);
    }
}

/// Finishes an observed span through a handle, of which observers may make clones.
#[cold]
#[inline(never)]
fn finish_observed(handle: SharedRecord) {
    let mut span = Span::recorded(handle);
    finish(&span, None);
    let Some(mut last) = span.take_record().and_then(OwnedRecord::of_last) else { return };
    // The span is finished, unless a sampler panicked when it was called for that.
    drop(last.data.get_mut().take_observers());
    release(last.into_shared());
}

impl Drop for SpanRecord {
    fn drop(&mut self) {
        // Happens only if the last two handles were dropped at the same time, and each saw the
        // other.
        if !self.data.get_mut().finished {
            finish_lost(self);
        } else if let Some(retained) = self.stripe.take() {
            record::release(retained);
        }
    }
}

#[cold]
#[inline(never)]
fn finish_lost(record: &mut SpanRecord) {
    if finish_last(record) == LastHandle::IsObserved {
        release(SharedRecord::new(mem::take(record)));
    }
}

#[inline(always)]
fn finish_last(last: &mut SpanRecord) -> LastHandle {
    let SpanRecord { stripe, ids, state, data, .. } = &mut *last;
    let Some(stripe) = stripe else { return LastHandle::Finished };
    let Some(flags) = state.flags_of_only_sent() else { return finish_last_other(last) };
    if write_sampled(data.get_mut(), stripe, ids, (state, flags), End::Now) == Accepted::Closed {
        stripe.report_closed();
    }
    LastHandle::Finished
}

#[inline(never)]
fn finish_last_other(last: &mut SpanRecord) -> LastHandle {
    if last.state.has_observed_end() {
        return finish_last_observed(last);
    }
    if !last.state.is_only_counted() {
        let is_slow = last.state.is_on_slow_path();
        return if is_slow { finish_last_slow(last) } else { finish_last_unusual(last) };
    }
    last.data.get_mut().finished = true;
    if let Some(stripe) = &last.stripe {
        stripe.count_not_sampled();
    }
    LastHandle::Finished
}

/// Ends a sampled span with unusual flags.
#[cold]
#[inline(never)]
fn finish_last_unusual(last: &mut SpanRecord) -> LastHandle {
    let SpanRecord { stripe, ids, state, data, .. } = &mut *last;
    let Some(stripe) = stripe else { return LastHandle::Finished };
    let end = end_of(state, stripe, None);
    if write_out_at(data.get_mut(), stripe, ids, state, end) == Accepted::Closed {
        stripe.report_closed();
    }
    LastHandle::Finished
}

/// Ends an observed span: on the fast path in all else.
#[inline(never)]
fn finish_last_observed(last: &mut SpanRecord) -> LastHandle {
    let SpanRecord { stripe, ids, state, data, .. } = &mut *last;
    let Some(stripe) = stripe else { return LastHandle::Finished };
    let data = data.get_mut();
    let end = End::Read { monotonic_nanos: stripe.clock.monotonic_nanos() };
    // The record has no other handle, so that nothing is copied.
    observer::last_finished(data, stripe, state, end);
    if write_out_at(data, stripe, ids, state, end) == Accepted::Closed {
        stripe.report_closed();
    }
    LastHandle::Finished
}

#[cold]
#[inline(never)]
fn finish_last_slow(last: &mut SpanRecord) -> LastHandle {
    let Some(stripe) = &last.stripe else { return LastHandle::Finished };
    if last.data.get_mut().observers().is_some() {
        return LastHandle::IsObserved;
    }
    if last.state.may_be_sampled_later() {
        deferred::finishing(last, stripe);
        tail::finishing(last, stripe);
    }
    let data = last.data.get_mut();
    data.close_logs();
    let end = end_of(&last.state, stripe, data.finish_wall());
    if data.is_observed {
        observer::last_finished_slowly(data, stripe, &last.state, end);
    }
    if write_out_slow(data, stripe, &last.ids, &last.state, end) == Accepted::Closed {
        stripe.report_closed();
    }
    LastHandle::Finished
}

impl Span {
    /// Finishes the span now.
    #[inline]
    pub fn finish(&self) {
        finish(self, None);
    }

    /// Finishes the span at the given time. If that is before its start, the duration is a
    /// microsecond, the minimum; a time that servers do not store is clamped, as [at the
    /// start](crate::SpanBuilder::start_time).
    pub fn finish_at(&self, time: SystemTime) {
        finish(self, Some(self.checked_nanos("finish_at", time)));
    }

    /// Finishes the span with options: an end time, logs made elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use jaeger_client::{FinishOptions, LogRecord};
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("query");
    /// let retried = LogRecord { timestamp: SystemTime::now(), fields: &[("event", "retry".into())] };
    /// span.finish_with(FinishOptions { log_records: &[retried], ..FinishOptions::default() });
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn finish_with(&self, options: FinishOptions<'_>) {
        let end = options.finish_time.map(|time| self.checked_nanos("finish_with", time));
        finish_with_logs(self, end, options.log_records);
    }
}

/// Finishes a span, at the given time, in nanoseconds since the Unix epoch, or now.
fn finish(span: &Span, end: Option<i64>) {
    if let Repr::NonRecording(non_recording) = &span.repr
        && non_recording.mark_finished()
    {
        if let Some(stripe) = non_recording.stripe() {
            stripe.count_not_sampled();
        }
        return;
    }
    let Some(record) = span.existing_record() else {
        span.misused("finish");
        return;
    };
    let Some(stripe) = &record.stripe else { return };
    if record.state.has_slow_end() {
        let is_slow = record.state.is_on_slow_path();
        return if is_slow {
            finish_slow(span, record, stripe, end, &[])
        } else {
            finish_and_notify(record, stripe, end)
        };
    }
    let end = end_of(&record.state, stripe, end);
    let Some(mut data) = record.lock() else { return };
    // Counted after the lock: a logger is a user callback, and may use this very span.
    if data.finished {
        drop(data);
        stripe.report_misuse("finish");
    } else if write_out_at(&mut data, stripe, &record.ids, &record.state, end) == Accepted::Closed {
        drop(data);
        stripe.report_closed();
    }
}

/// Finishes an observed span: on the fast path in all else.
#[inline(never)]
fn finish_and_notify(record: &SpanRecord, stripe: &Stripe, end: Option<i64>) {
    let end = end_of(&record.state, stripe, end);
    let Some(mut data) = record.lock() else { return };
    if data.finished {
        drop(data);
        return stripe.report_misuse("finish");
    }
    let observed = observer::CopiedSpan::take(&mut data, stripe, &record.state, end);
    let accepted = write_out_at(&mut data, stripe, &record.ids, &record.state, end);
    drop(data);
    if let Some(observed) = observed {
        observed.notify(stripe);
    }
    if accepted == Accepted::Closed {
        stripe.report_closed();
    }
}

/// Finishes a span with logs that were made elsewhere. They do not count towards a limit.
fn finish_with_logs(span: &Span, end: Option<i64>, logs: &[LogRecord<'_>]) {
    match span.existing_record() {
        Some(record) if !logs.is_empty() => {
            let Some(stripe) = &record.stripe else { return };
            finish_slow(span, record, stripe, end, logs);
        }
        // A span without a record is not sampled, and stores no logs.
        _ => finish(span, end),
    }
}

#[cold]
#[inline(never)]
fn finish_slow(
    span: &Span,
    record: &SpanRecord,
    stripe: &Stripe,
    end: Option<i64>,
    logs: &[LogRecord<'_>],
) {
    // Without the lock, as a logger may be called.
    let moment = |log: &LogRecord<'_>| stripe.checked_nanos("a log of finish_with", log.timestamp);
    let moments: Vec<_> = logs.iter().map(moment).collect();
    let end = end.or_else(|| record.lock()?.finish_wall());
    tail::finishing(record, stripe);
    let end = match claim(span, record, stripe, end) {
        FinishClaim::Granted { end } => Some(end_of(&record.state, stripe, end)),
        FinishClaim::Refused => None,
    };
    let Some(mut data) = record.lock() else { return };
    let Some(end) = end.filter(|_| !data.finished) else {
        drop(data);
        return stripe.report_misuse("finish");
    };
    data.close_logs();
    if record.state.is_recording() {
        for (log, at) in logs.iter().zip(moments) {
            data.append_log(at, log.fields);
        }
    }
    // Dropped without the lock: their drop is a user callback too.
    let observers = data.take_observers();
    let observed = observer::CopiedSpan::take(&mut data, stripe, &record.state, end);
    let accepted = write_out_slow(&mut data, stripe, &record.ids, &record.state, end);
    drop(data);
    drop(observers);
    if let Some(observed) = observed {
        observed.notify(stripe);
    }
    if accepted == Accepted::Closed {
        stripe.report_closed();
    }
}

/// Claims the end of a span on the slow path: notifies its observers, then calls a sampler that
/// deferred its decision.
fn claim(span: &Span, record: &SpanRecord, stripe: &Stripe, end: Option<i64>) -> FinishClaim {
    let claim = observer::finishing(span, record, stripe, end);
    if matches!(claim, FinishClaim::Granted { .. }) && record.state.is_deferred() {
        deferred::finishing(record, stripe);
        tail::finishing(record, stripe);
    }
    claim
}

/// Finishes a span that continues as another one. It is counted as not sampled, though it may be.
pub(super) fn finish_unsent(record: &SpanRecord, stripe: &Stripe, data: &mut SpanData) {
    data.finished = true;
    if !tail::account_unsent(stripe, record.ids.trace, &record.state) {
        stripe.count_not_sampled();
    }
}

/// Returns the end of the span: the given time, in nanoseconds since the Unix epoch, or now. Read
/// without the lock, as a clock may be a user callback, and only if it is needed.
#[inline]
fn end_of(state: &TraceState, shared: &SpanShared, finish_time: Option<i64>) -> End {
    match finish_time {
        Some(wall) => End::Explicit { wall },
        None if state.has_timed_end() => {
            End::Read { monotonic_nanos: shared.clock.monotonic_nanos() }
        }
        None => End::Now,
    }
}

/// Marks a sampled span as finished, and writes it to the sink.
#[inline(always)]
fn write_sampled(
    data: &mut SpanData,
    stripe: &Stripe,
    ids: &Ids,
    (state, flags): (&TraceState, u8),
    end: End,
) -> Accepted {
    data.finished = true;
    let times = data.times(stripe, state, end);
    match &stripe.output.sink {
        Sink::ShardedBuffers(shards) => {
            shards.accept(SpanParts::new(ids, flags, times, &data.draft))
        }
        Sink::Other(other) => write_to_sink(&**other, ids, flags, times, &data.draft),
    }
}

/// Not inlined, as it needs the parts of the span in memory.
#[inline(never)]
fn write_to_sink(
    sink: &dyn SpanSink,
    ids: &Ids,
    flags: u8,
    times: (i64, u64),
    draft: &SpanDraft,
) -> Accepted {
    sink.accept(SpanParts::new(ids, flags, times, draft))
}

/// Marks the span as finished, and writes it to the sink if it is sampled, or counts it. Not inlined, so
/// that the last drop does not branch on how the end is known. If it was neither read nor given, the trace
/// was not sampled when that was looked at, which holds for the span: the clock must not be read now, as
/// the span may be locked.
#[inline(never)]
fn write_out_at(
    data: &mut SpanData,
    stripe: &Stripe,
    ids: &Ids,
    state: &TraceState,
    end: End,
) -> Accepted {
    let flags = state.flags();
    if matches!(end, End::Now) || flags & SAMPLED == 0 {
        data.finished = true;
        stripe.count_not_sampled();
        return Accepted::Yes;
    }
    write_sampled(data, stripe, ids, (state, flags), end)
}

/// Calls [`write_out_at`] for a span that may be buffered, or whose sampler may not have decided.
fn write_out_slow(
    data: &mut SpanData,
    stripe: &Stripe,
    ids: &Ids,
    state: &TraceState,
    end: End,
) -> Accepted {
    if stripe.output.records_tracestate && data.baggage().is_some() {
        add_tracestate_tag(data);
    }
    if stripe.sampling.tail_sampler.is_some() {
        data.finished = true;
        if tail::account_finished(data, stripe, ids, state, end) {
            return Accepted::Yes;
        }
        return write_out_at(data, stripe, ids, state, end);
    }
    let deferred = if state.is_deferred() { count_deferred(stripe, state) } else { None };
    write_out_at(data, stripe, ids, deferred.as_ref().unwrap_or(state), end)
}

/// Adds the members of other vendors in `tracestate` as a tag, from which OTLP's field is made,
/// unless there is one.
fn add_tracestate_tag(data: &mut SpanData) {
    if inspect::tags(data).any(|(key, _)| key == TRACESTATE_TAG) {
        return;
    }
    let baggage = data.baggage().cloned();
    if let Some(text) = baggage.as_ref().and_then(|baggage| baggage.tracestate.as_ref()) {
        data.draft.tags.tag(TRACESTATE_TAG.as_bytes(), ValueView::Str(text.as_bytes()));
        data.draft.add_tags(1);
    }
}

/// The name by which servers know the tag when they translate Thrift and OTLP.
const TRACESTATE_TAG: &str = "w3c.tracestate";

/// Counts a span that is finished while the decision is deferred, and returns a copy of the trace's state
/// that is counted: other threads may decide at this very moment.
#[cold]
#[inline(never)]
fn count_deferred(stripe: &Stripe, state: &TraceState) -> Option<TraceState> {
    let state = Some(state.frozen()).filter(TraceState::is_deferred)?;
    stripe.count_deferred(state.is_sampled());
    Some(state)
}
