//! Tail sampling, as spans see it: what of an unsampled trace is buffered, and when the trace is retained.
//!
//! A tracer without it pays nothing. Where a trace, or the part of a trace that came from elsewhere,
//! begins in this process unsampled, its state is tracked: its open spans are counted. A trace that began
//! here is also found by its id while spans are open, so that a span that comes into it by whatever way
//! shares the state. And the state has the bit for being buffered. Whoever takes that bit away moves what
//! is buffered, with the buffer of the trace locked: to the sink if the trace is sampled now, and else to
//! the count of what is not. A span that is finished meanwhile sees either all of that or nothing.

use crate::clock::Clock;
use crate::encoding::{Ids, List, SpanParts, ValueView, tags_of};
use crate::id::TraceId;
use crate::sampler::{SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG};
use crate::span::counters::{SpanOrigin, Stripe};
use crate::span::record::{End, SAMPLED, SharedState, SpanData, SpanRecord, Start, TraceState};
use crate::span::shared::SpanShared;
use crate::span::{Span, TagValue, observer};
use crate::tail::{TailSampler, TraceBuffer};

/// Why a trace is retained.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Error,
    Slow,
    Forced,
}

impl Reason {
    const fn text(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Forced => "forced",
        }
    }
}

/// A finished span, as it is accounted for.
enum Finished<'s> {
    Parts(SpanParts<'s>),
    /// It is not to be sent, whatever becomes of its trace.
    Unsent,
}

impl TailSampler<SharedState> {
    /// Returns whether the trace's open spans are counted by this tracer.
    fn tracks(&self, state: &TraceState) -> bool {
        state.is_tracked() && state.tail_state.owner() == self.id
    }

    /// Returns whether the trace's spans are buffered, and by this tracer.
    fn is_buffering(&self, state: &TraceState) -> bool {
        state.is_buffered() && state.tail_state.owner() == self.id
    }

    /// Brings a span into a trace of which it knows no open span. If there are any, and the trace
    /// began here, the span shares their state and adds the flags that it came with. Otherwise a
    /// part of the trace begins with it.
    fn enter(&self, record: &mut SpanRecord, shared: &SpanShared, span_origin: SpanOrigin) {
        let (flags, is_sampled) = (record.state.flags(), record.state.is_sampled());
        // Read without the lock, as a clock may be a user callback. 0 means not forced.
        let now = if is_sampled { shared.clock.monotonic_nanos().max(1) } else { 0 };
        let was_tracked = self.tracks(&record.state);
        let began_here =
            span_origin == SpanOrigin::Trace || was_tracked && record.state.began_here();
        let trace_id = record.ids.trace;
        let Some(mut buffer) = self.buffer(trace_id) else { return };
        match buffer.open(trace_id).filter(|open| open.tail_state.add_span()).cloned() {
            Some(open) if is_sampled => {
                open.force(flags, now);
                flush(&mut buffer, shared, &open);
                record.join_state(open);
            }
            Some(open) => {
                open.add(flags);
                record.join_state(open);
            }
            // Another thread has already restored its own state.
            None if was_tracked && record.state.tail_state.add_span() => {}
            None if is_sampled && !was_tracked => {}
            None => {
                record.state.tail_state.begin(self.id);
                record.state.track(began_here);
                if began_here {
                    buffer.set_open(trace_id, SharedState::clone(&record.state));
                }
            }
        }
    }

    /// Sends what is buffered of a trace and has it sampled from here on. False if it was not buffered.
    fn flush(&self, shared: &SpanShared, state: &TraceState, trace_id: TraceId) -> bool {
        self.buffer(trace_id).is_some_and(|mut buffer| flush(&mut buffer, shared, state))
    }

    /// Discards what is buffered of a trace that is not wanted.
    fn discard(&self, counts: &Stripe, state: &TraceState, trace_id: TraceId) {
        let Some(mut buffer) = self.buffer(trace_id) else { return };
        state.stop_buffering();
        counts.count_not_sampled_by(buffer.discard(state.tail_state.take_key()));
    }

    /// Counts a span of a trace as over. If that is not sampled, the span is accounted for: it is buffered,
    /// or discarded with the others if it is the last. False if it is sampled, and so to be sent. A span
    /// that is [`Unsent`](Finished::Unsent) is never buffered, and counted as not sampled whatever its trace is.
    fn account_finished(
        &self,
        counts: &Stripe,
        state: &TraceState,
        trace_id: TraceId,
        span: Finished<'_>,
    ) -> bool {
        let buffer = self.buffer(trace_id);
        // With the buffer locked: whoever has the trace sampled moves what is buffered before it is unlocked.
        let is_sampled = state.is_sampled();
        let is_lost = !is_sampled || matches!(span, Finished::Unsent);
        let Some(mut buffer) = buffer else {
            counts.count_not_sampled_by(u64::from(is_lost));
            return is_lost;
        };
        if is_sampled {
            // The thread that sampled the trace may not have flushed it yet.
            flush(&mut buffer, counts, state);
        }
        let mut lost = 0;
        if state.tail_state.remove_last_span() {
            if state.began_here() {
                buffer.set_finished(trace_id);
            }
            lost += buffer.discard(state.tail_state.take_key()) + u64::from(is_lost);
        } else {
            match span {
                Finished::Parts(span) if state.is_buffered() => {
                    let mut key = state.tail_state.key();
                    lost += buffer.push(&mut key, span);
                    state.tail_state.set_key(key);
                }
                Finished::Parts(_) | Finished::Unsent => lost += u64::from(is_lost),
            }
            state.tail_state.remove_span();
        }
        counts.count_not_sampled_by(lost);
        is_lost
    }
}

/// Sends what is buffered of a trace, whose buffer is locked, and has it sampled from here on. False if it
/// was not buffered.
fn flush(buffer: &mut TraceBuffer<SharedState>, shared: &SpanShared, state: &TraceState) -> bool {
    if !state.release() {
        return false;
    }
    let (key, flags) = (state.tail_state.take_key(), i32::from(state.flags()));
    buffer.flush(key, |mut span| {
        span.flags = flags;
        // Never closed: at the close what is buffered is discarded first, and nothing comes after.
        let _ = shared.output.sink.accept_view(&span);
    });
    true
}

/// The tracer's tail sampler, if it buffers the span's trace.
fn of<'c>(record: &SpanRecord, shared: &'c SpanShared) -> Option<&'c TailSampler<SharedState>> {
    shared
        .sampling
        .tail_sampler
        .as_ref()
        .filter(|tail_sampler| tail_sampler.is_buffering(&record.state))
}

/// The tracer's tail sampler, if it counts the open spans of the trace.
fn tracking<'c>(
    shared: &'c SpanShared,
    state: &TraceState,
) -> Option<&'c TailSampler<SharedState>> {
    shared.sampling.tail_sampler.as_ref().filter(|tail_sampler| tail_sampler.tracks(state))
}

/// Brings a span into its trace, if that is tracked or is to be. Done before any callback, so that
/// all decisions use the same state.
#[cold]
pub(in crate::span) fn track_start(
    record: &mut SpanRecord,
    shared: &SpanShared,
    span_origin: SpanOrigin,
) {
    let Some(tail_sampler) = &shared.sampling.tail_sampler else { return };
    let is_tracked = tail_sampler.tracks(&record.state);
    if is_tracked && record.state.tail_state.add_span() {
        return;
    }
    // The shared state was sampled from the start, or is another tracer's.
    let is_not_ours = record.shares_state() && !is_tracked;
    // Of a trace that begins sampled nothing can be buffered.
    let begins_sampled = span_origin == SpanOrigin::Trace && record.state.is_sampled();
    if !(is_not_ours || begins_sampled) {
        tail_sampler.enter(record, shared, span_origin);
    }
}

/// Brings a span of a forked process into its trace, if that is tracked: no other thread and no user
/// callback is needed for that. If its spans are over, the span begins a part of the trace that is not tracked.
#[cold]
pub(in crate::span) fn track_in_fork(record: &mut SpanRecord, shared: &SpanShared) {
    if tracking(shared, &record.state).is_some() && !record.state.tail_state.add_span() {
        record.reset_state(record.state.flags());
    }
}

/// Checks the tags that a span was started with.
#[cold]
pub(in crate::span) fn started(record: &SpanRecord, shared: &SpanShared) {
    if of(record, shared).is_none() {
        return;
    }
    let errs = {
        let Some(data) = record.lock() else { return };
        let tags = List::new(data.draft.tag_count(), data.draft.tags.bytes());
        tags_of(Some(tags)).any(|tag| is_error(tag.key, tag.value))
    };
    if errs {
        retain_on_error(record, shared);
    }
}

/// Checks a tag that is about to be set.
#[cold]
pub(in crate::span) fn tag_set(
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: ValueView<'_>,
) {
    if is_error(key.as_bytes(), value) {
        retain_on_error(record, shared);
    }
}

/// Does what follows from a decision that others have made: what is buffered is sent, or discarded.
#[cold]
pub(in crate::span) fn decided(record: &SpanRecord, shared: &SpanShared) {
    let Some((tail_sampler, counts)) = of(record, shared).zip(record.stripe.as_ref()) else {
        return;
    };
    if record.state.is_sampled() {
        tail_sampler.flush(shared, &record.state, record.ids.trace);
    } else {
        tail_sampler.discard(counts, &record.state, record.ids.trace);
    }
}

/// Accounts for a finished span, if its trace is tracked by this tracer and still not sampled. A
/// slow span has its trace sampled first. Returns false if another part accounts for the span: it
/// is sampled, not wanted, or another tracer's.
pub(super) fn account_finished(
    data: &mut SpanData,
    stripe: &Stripe,
    ids: &Ids,
    state: &TraceState,
    end: End,
) -> bool {
    let Some(tail_sampler) = tracking(stripe, state) else { return false };
    let times = data.times(stripe, state, end);
    let is_slow = times.1 > tail_sampler.longest_nanos && tail_sampler.is_buffering(state);
    if is_slow && tail_sampler.flush(stripe, state, ids.trace) {
        data.mark(Reason::Slow, stripe);
    }
    let span = SpanParts::new(ids, state.flags(), times, &data.draft);
    tail_sampler.account_finished(stripe, state, ids.trace, Finished::Parts(span))
}

/// Accounts for a finished span that is not to be sent, if its trace is tracked by this tracer. Otherwise
/// returns false.
pub(super) fn account_unsent(stripe: &Stripe, trace_id: TraceId, state: &TraceState) -> bool {
    tracking(stripe, state).is_some_and(|tail_sampler| {
        tail_sampler.account_finished(stripe, state, trace_id, Finished::Unsent)
    })
}

/// Sends what is buffered if another tracer's span has had the trace sampled.
#[cold]
pub(in crate::span) fn finishing(record: &SpanRecord, shared: &SpanShared) {
    if record.state.is_sampled() {
        decided(record, shared);
    }
}

/// Retains a trace because a span errs, unless that is over: what is done to it then is misuse, and is
/// counted where it is done.
fn retain_on_error(record: &SpanRecord, shared: &SpanShared) {
    let Some(tail_sampler) = of(record, shared).filter(|tail_sampler| tail_sampler.on_error_tag)
    else {
        return;
    };
    let Some(mut data) = record.lock() else { return };
    if !data.finished && tail_sampler.flush(shared, &record.state, record.ids.trace) {
        data.mark(Reason::Error, shared);
    }
}

fn is_error(key: &[u8], value: ValueView<'_>) -> bool {
    key == b"error" && matches!(value, ValueView::Bool(true) | ValueView::Str(b"true"))
}

impl SpanData {
    /// Tags the span with why the trace is retained.
    fn mark(&mut self, reason: Reason, shared: &SpanShared) {
        observer::store_tags_so_far(self, shared);
        let max = shared.options.max_tag_value_length;
        self.tag(SAMPLER_TYPE_TAG, TagValue::Str("tail"), shared, max);
        self.tag(SAMPLER_PARAM_TAG, TagValue::Str(reason.text()), shared, max);
    }
}

impl Span {
    /// Has the trace recorded, and what is [buffered](crate::TailSamplingConfig) of it sent. On a trace that is
    /// recorded, or of a disabled tracer, it does nothing.
    ///
    /// Where nothing is buffered, what is recorded begins here, as with `sampling.priority`; in contrast
    /// to that, the trace does not get the flag for debugging. The span has the tags `sampler.type`,
    /// which is `tail`, and `sampler.param`, which is `forced`.
    ///
    /// # Source
    ///
    /// None of the clients has it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use jaeger_client::{TailSamplingConfig, Tracer, sampler::ConstSampler};
    /// let (tracer, _closer) = Tracer::builder("svc")
    ///     .sampler(ConstSampler::new(false))
    ///     .tail_sampling(TailSamplingConfig::default())
    ///     .null_reporter()
    ///     .build()?;
    /// let span = tracer.start_span("charge");
    /// span.log_event("refused").retain_trace();
    /// assert!(span.is_sampled());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn retain_trace(&self) -> &Self {
        let Some((record, stripe)) = self.parts() else { return self.misused("retain_trace") };
        if stripe.is_disabled() {
            return self;
        }
        // Read without the lock, as a clock may be a user callback. 0 means not forced.
        let now = stripe.clock.monotonic_nanos().max(1);
        let state = &record.state;
        let Some(mut data) = record.lock() else { return self };
        if data.finished {
            drop(data);
            stripe.report_misuse("retain_trace");
            return self;
        }
        let buffered = of(record, stripe)
            .is_some_and(|tail_sampler| tail_sampler.flush(stripe, state, record.ids.trace));
        if !buffered && state.is_sampled() {
            return self;
        }
        if !buffered {
            if matches!(data.start(), Start::Unknown) {
                data.start_at(stripe, now);
            }
            state.set_deferred(false);
            state.force(SAMPLED, now);
        }
        data.mark(Reason::Forced, stripe);
        self
    }
}
