//! The record of a live span, and the pool that makes the next one free.
//!
//! Walk steps 3 to 5. A record is taken from the calling thread's pool, filled while the span lives,
//! and given back when its last handle is gone, so that in steady state nothing is allocated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::reference::StartExtras;
use super::state::TraceState;
use crate::clock::Clock;
use crate::encoding::{Ids, SpanDraft};
use crate::id::SpanId;
use crate::lock;
use crate::span::TagValue;
use crate::span::baggage::Baggage;
use crate::span::context::SpanContext;
use crate::span::counters::{Counts, Sampled, Stripe};
use crate::span::observer::SpanObservers;
use crate::span::shared::SpanShared;

/// A live span. What does not change while it lives lies beside the lock, the rest behind it.
#[derive(Debug, Default)]
pub(crate) struct SpanRecord {
    /// None while it lies in a pool.
    pub(crate) core: Option<Arc<Stripe>>,
    pub(crate) ids: Ids,
    /// What the trace's spans in this process share.
    pub(crate) state: Arc<TraceState>,
    /// The record's own state while it uses that of another span; kept to be used again.
    own: Option<Arc<TraceState>>,
    /// Whether the body has baggage: most spans have none, and their children need no lock then.
    pub(crate) has_baggage: AtomicBool,
    pub(crate) data: Mutex<SpanData>,
}

/// What changes while a span lives.
#[derive(Debug, Default)]
pub(crate) struct SpanData {
    pub(crate) draft: SpanDraft,
    /// When it began.
    pub(crate) start: Start,
    pub(crate) finished: bool,
    pub(crate) baggage: Option<Arc<Baggage>>,
    /// What few spans are started with, or have.
    pub(in crate::span) extras: Option<Box<StartExtras>>,
    /// Who is told of the span, until it is finished.
    pub(in crate::span) observers: Option<Arc<SpanObservers>>,
}

/// When a span ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Now: the clock is not read yet.
    Now,
    /// At a monotonic count.
    Read { count: u64 },
    /// The caller said when, in nanoseconds since the Unix epoch.
    Given { wall: i64 },
}

/// When a span began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Start {
    /// It began unrecorded: nobody looked at the clock.
    #[default]
    Unknown,
    /// At a monotonic count, and in nanoseconds since the Unix epoch.
    Read { count: u64, wall: i64 },
    /// The caller said when, in nanoseconds since the Unix epoch.
    Given { wall: i64 },
}

impl SpanRecord {
    /// Locks the body. None in a forked process if a thread that was left behind may hold the lock.
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
        lock::wait(&self.data, || self.core.as_ref().is_some_and(|core| core.origin.is_forked()))
    }

    /// Whether the trace began in this process with this very span, or another of the same id: one
    /// that refers to itself shares the state and has no parent.
    pub(in crate::span) fn is_local_root(&self) -> bool {
        self.own.is_none() || self.ids.parent == SpanId::NONE
    }

    /// Begins a state of its own.
    #[inline]
    pub(crate) fn begin_state(&mut self, flags: u8) {
        self.leave_state();
        if Arc::strong_count(&self.state) == 1 {
            self.state.reset(flags);
        } else {
            // A context of the record's last life is still held somewhere.
            self.state = Arc::new(TraceState::with_flags(flags));
        }
    }

    /// Whether it shares the state of another span, or of a context.
    pub(in crate::span) fn shares_state(&self) -> bool {
        self.own.is_some()
    }

    /// Shares the state of another span.
    #[inline]
    pub(in crate::span) fn join_state(&mut self, state: Arc<TraceState>) {
        let own = std::mem::replace(&mut self.state, state);
        if self.own.is_none() {
            self.own = Some(own);
        }
    }

    /// Goes back to its own state.
    #[inline]
    pub(in crate::span) fn leave_state(&mut self) {
        if let Some(own) = self.own.take() {
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
        let baggage = self.baggage();
        match baggage.as_ref().and_then(|baggage| baggage.caller.as_ref()) {
            Some(caller) => caller.clone(),
            None => self.context_of(baggage),
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
            decided: false,
            undecided: false,
            state: Some(Arc::clone(&self.state)),
            baggage,
            debug_id: None,
        }
    }

    /// Gives the span baggage while nobody else has it.
    #[inline]
    pub(in crate::span) fn set_baggage(&mut self, baggage: Option<Arc<Baggage>>) {
        let data = self.data.get_mut();
        *self.has_baggage.get_mut() = baggage.is_some();
        data.draft.extras |= baggage.is_some();
        data.baggage = baggage;
    }

    #[inline]
    pub(crate) fn baggage(&self) -> Option<Arc<Baggage>> {
        if self.has_baggage.load(Ordering::Acquire) { self.lock()?.baggage.clone() } else { None }
    }

    /// Empties it for the next span. False if it holds so much that it is better not used again.
    #[inline]
    pub(in crate::span) fn recycle(&mut self) -> bool {
        self.core = None;
        self.leave_state();
        let data = self.data.get_mut();
        if data.draft.extras {
            *self.has_baggage.get_mut() = false;
        }
        if data.draft.held_bytes() > MAX_HELD_BYTES {
            return false;
        }
        data.clear();
        true
    }
}

impl SpanData {
    /// Makes it a span that has begun. Last, as a sampler, a clock or a generator of ids may panic
    /// before: then there was no span, and dropping the record does not finish one.
    #[inline]
    pub(in crate::span) fn begin(&mut self, counts: &Counts, sampled: Sampled) {
        counts.add(sampled);
        self.finished = false;
    }

    /// The end that was set ahead, in nanoseconds since the Unix epoch.
    pub(in crate::span) fn finish_wall(&self) -> Option<i64> {
        self.extras.as_ref()?.finish_wall
    }

    /// Sets the end ahead. Only the slow path of an end looks for it.
    pub(in crate::span) fn set_finish_wall(&mut self, wall: i64) {
        self.draft.extras = true;
        self.extras.get_or_insert_default().finish_wall = Some(wall);
    }

    /// Start and duration in nanoseconds. The duration is never negative.
    #[inline]
    pub(in crate::span) fn times(
        &self,
        core: &SpanShared,
        state: &TraceState,
        end: End,
    ) -> (i64, u64) {
        match (self.start, end) {
            (Start::Read { count, wall }, End::Now) => {
                (wall, core.clock.monotonic_nanos().saturating_sub(count))
            }
            (Start::Read { count, wall }, End::Read { count: end }) => {
                (wall, end.saturating_sub(count))
            }
            _ => self.other_times(core, state, end),
        }
    }

    #[cold]
    fn other_times(&self, core: &SpanShared, state: &TraceState, end: End) -> (i64, u64) {
        let end = match end {
            End::Now => core.anchor.wall(core.clock.monotonic_nanos()),
            End::Read { count } => core.anchor.wall(count),
            End::Given { wall } => wall,
        };
        let start = match self.start {
            Start::Read { wall, .. } | Start::Given { wall } => wall,
            // What is known is when recording was forced.
            Start::Unknown => match state.forced_at() {
                0 => end,
                forced => core.anchor.wall(forced),
            },
        };
        // A clock that ran backwards may give a start before the epoch, which is not sent.
        let start = start.max(0);
        (start, end.saturating_sub(start).max(0).cast_unsigned())
    }

    /// Lets the span begin now.
    #[inline]
    pub(crate) fn start_now(&mut self, core: &SpanShared) {
        let count = core.clock.monotonic_nanos();
        self.start_at(core, count);
    }

    /// Lets the span begin at a monotonic count.
    #[inline]
    pub(crate) fn start_at(&mut self, core: &SpanShared, count: u64) {
        self.start = Start::Read { count, wall: core.anchor.wall(count) };
    }

    /// The wall time at a monotonic count, consistent with the span's start: the same anchor, so
    /// that logs lie within the span even if the wall clock was stepped meanwhile.
    #[inline]
    pub(crate) fn wall(&self, core: &SpanShared, now: u64) -> i64 {
        match self.start {
            Start::Read { count, wall } => wall.wrapping_add(now.wrapping_sub(count).cast_signed()),
            _ => core.anchor.wall(now),
        }
    }

    /// Appends a tag. A text or bytes of more than `max_bytes`, which is the tracer's limit or none,
    /// are cut.
    #[inline]
    pub(crate) fn tag(
        &mut self,
        key: &str,
        value: TagValue<'_>,
        core: &SpanShared,
        max_bytes: usize,
    ) {
        let (key, draft) = (key.as_bytes(), &mut self.draft);
        match value {
            TagValue::Str(text) if text.len() > max_bytes => tag_too_long(draft, key, text, core),
            TagValue::Str(text) => draft.tags.tag_text(key, text.as_bytes()),
            TagValue::Bool(truth) => draft.tags.tag_bool(key, truth),
            TagValue::I64(number) => draft.tags.tag_long(key, number),
            TagValue::U64(number) => draft.tags.tag_long(key, number.cast_signed()),
            TagValue::F64(_) => draft.tags.tag(key, value.view(max_bytes)),
            TagValue::Bytes(bytes) => {
                if bytes.len() > max_bytes {
                    core.count_cut_tag();
                }
                draft.tags.tag_bytes(key, &bytes[..bytes.len().min(max_bytes)]);
            }
        }
        draft.tag_count += 1;
    }

    #[cold]
    #[inline(never)]
    fn clear_extras(&mut self) {
        self.extras = None;
        self.observers = None;
    }

    /// Forgets all but the memory.
    #[inline]
    pub(in crate::span) fn clear(&mut self) {
        if self.draft.extras {
            self.baggage = None;
            if self.extras.is_some() || self.observers.is_some() {
                self.clear_extras();
            }
        }
        self.draft.clear();
        self.start = Start::Unknown;
    }
}

#[cold]
#[inline(never)]
fn tag_too_long(draft: &mut SpanDraft, key: &[u8], text: &str, core: &SpanShared) {
    draft.tags.tag_text(key, core.within_limit(text).as_bytes());
}

/// A record that holds more than this is not used again: one huge span must not hold memory for ever.
pub(super) const MAX_HELD_BYTES: usize = 16 * 1024;
