//! The record of a live span, and the pool that makes the next one free.
//!
//! Walk steps 3 to 5. A record is taken from the calling thread's pool, filled while the span lives,
//! and given back when its last handle is gone, so that in steady state nothing is allocated.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::context::{Baggage, SpanContext};
use super::core::{Core, CoreRef};
use super::state::{SAMPLED, TraceState};
use crate::encoding::{List, Scratch, SpanView};
use crate::id::{SpanId, TraceId};

/// A live span. What does not change while it lives lies beside the lock, the rest behind it.
#[derive(Debug, Default)]
pub(crate) struct SpanInner {
    /// None while it lies in a pool.
    pub(crate) core: Option<Arc<CoreRef>>,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: SpanId,
    /// The state of the trace where it began in another span of this process.
    pub(crate) joined: Option<Arc<TraceState>>,
    /// The state of the trace where it begins here. Kept with the record, to be used again.
    pub(crate) own: Arc<TraceState>,
    pub(crate) body: Mutex<Body>,
}

/// What changes while a span lives.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) name: Cow<'static, str>,
    /// The monotonic count at the start; none if the span began unrecorded or was given its start.
    pub(crate) start: Option<u64>,
    /// Nanoseconds since the Unix epoch at the start.
    pub(crate) start_wall: i64,
    pub(crate) start_given: bool,
    pub(crate) finished: bool,
    pub(crate) tags: Scratch,
    pub(crate) tag_count: usize,
    pub(crate) logs: Scratch,
    pub(crate) log_count: usize,
    pub(crate) references: Scratch,
    /// Tags given before the span was started; they come behind the sampler's.
    pub(crate) pending: Scratch,
    pub(crate) pending_count: usize,
    pub(crate) reference_count: usize,
    pub(crate) baggage: Option<Arc<Baggage>>,
}

impl SpanInner {
    /// What the trace's spans in this process share.
    #[inline]
    pub(crate) fn state(&self) -> &Arc<TraceState> {
        self.joined.as_ref().unwrap_or(&self.own)
    }

    /// Begins a state of its own.
    #[inline]
    pub(crate) fn begin_state(&mut self, flags: u8) {
        if Arc::strong_count(&self.own) == 1 {
            self.own.reset(flags);
        } else {
            // A context of the record's last life is still held somewhere.
            self.own = Arc::new(TraceState::with_flags(flags));
        }
    }

    pub(crate) fn context(&self) -> SpanContext {
        SpanContext {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            flags: 0,
            remote: false,
            decided: false,
            state: Some(Arc::clone(self.state())),
            baggage: self.body.lock().baggage.clone(),
            debug_id: None,
        }
    }

    /// Finishes the span through its last handle, without a lock.
    #[inline]
    pub(crate) fn finish_alone(&mut self) {
        let Some(core) = &self.core else { return };
        let state = self.joined.as_ref().unwrap_or(&self.own);
        let ids = (self.trace_id, self.span_id, self.parent_id);
        if !self.body.get_mut().finish(core, ids, state, None) {
            core.report_closed();
        }
    }

    /// Finishes the span with the body locked. `end` is nanoseconds since the Unix epoch.
    /// False if the tracer had been closed, which is to be reported when the lock is gone.
    pub(crate) fn finish_locked(&self, core: &Core, body: &mut Body, end: Option<i64>) -> bool {
        body.finish(core, (self.trace_id, self.span_id, self.parent_id), self.state(), end)
    }
}

impl Body {
    /// Counts the span as finished, and writes it to the sink if it is sampled. False if that was
    /// closed.
    #[inline]
    fn finish(
        &mut self,
        core: &Core,
        (trace_id, span_id, parent_span_id): (TraceId, SpanId, SpanId),
        state: &TraceState,
        end: Option<i64>,
    ) -> bool {
        self.finished = true;
        let lane = lane();
        let flags = state.flags();
        if flags & SAMPLED == 0 {
            core.lanes.of(lane).count_not_sampled();
            return true;
        }
        let (start_nanos, duration) = self.times(core, state, end);
        let span = SpanView {
            trace_id,
            span_id,
            parent_span_id,
            operation_name: self.name.as_bytes(),
            flags: i32::from(flags),
            start_time_micros: start_nanos / 1000,
            duration_micros: duration / 1000,
            references: Some(List::new(self.reference_count, self.references.bytes())),
            tags: Some(List::new(self.tag_count, self.tags.bytes())),
            logs: Some(List::new(self.log_count, self.logs.bytes())),
        };
        core.sink.accept(lane, &span)
    }

    /// Start and duration in nanoseconds. The duration is never negative.
    #[inline]
    fn times(&self, core: &Core, state: &TraceState, end: Option<i64>) -> (i64, i64) {
        let start = self.start.unwrap_or_else(|| {
            // It began unrecorded; what is known is when recording was forced.
            match state.forced_at() {
                0 => core.clock.monotonic_nanos(),
                forced => forced,
            }
        });
        let start_wall = if self.start.is_some() || self.start_given {
            self.start_wall
        } else {
            core.anchor.wall(start)
        };
        let duration = match end {
            Some(end) => end.saturating_sub(start_wall),
            None if self.start_given => {
                core.anchor.wall(core.clock.monotonic_nanos()).saturating_sub(start_wall)
            }
            None => core.clock.monotonic_nanos().saturating_sub(start).cast_signed(),
        };
        (start_wall, duration.max(0))
    }

    /// Lets the span begin now.
    #[inline]
    pub(crate) fn start_now(&mut self, core: &Core) {
        let now = core.clock.monotonic_nanos();
        self.start = Some(now);
        self.start_wall = core.anchor.wall(now);
    }

    /// The wall time now, consistent with the span's start: the same anchor, so that logs lie
    /// within the span even if the wall clock was stepped meanwhile.
    #[inline]
    pub(crate) fn now_wall(&self, core: &Core) -> i64 {
        let now = core.clock.monotonic_nanos();
        match self.start {
            Some(start) if !self.start_given => {
                self.start_wall.wrapping_add(now.wrapping_sub(start).cast_signed())
            }
            _ => core.anchor.wall(now),
        }
    }

    #[inline]
    fn clear(&mut self) {
        self.name = Cow::Borrowed("");
        self.start = None;
        self.start_given = false;
        self.finished = true;
        self.tags.clear();
        self.tag_count = 0;
        self.logs.clear();
        self.log_count = 0;
        self.references.clear();
        self.pending.clear();
        self.pending_count = 0;
        self.reference_count = 0;
        self.baggage = None;
    }

    fn held_bytes(&self) -> usize {
        self.tags.capacity()
            + self.logs.capacity()
            + self.references.capacity()
            + self.pending.capacity()
    }
}

impl Drop for SpanInner {
    fn drop(&mut self) {
        // Only where the last two handles went at the same moment, and each saw the other.
        if !self.body.get_mut().finished {
            self.finish_alone();
        }
    }
}

thread_local! {
    static POOL: RefCell<Vec<Arc<SpanInner>>> = const { RefCell::new(Vec::new()) };
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Records that threads had no room for, or will have need of: spans are often finished on another
/// thread than they were started on.
static SHARED: Mutex<Vec<Arc<SpanInner>>> = Mutex::new(Vec::new());

/// Records a thread keeps; when it has more, half of them go to the shared pool, and when it has
/// none it takes as many from there.
const POOL_RECORDS: usize = 64;
const SHARED_RECORDS: usize = 1024;

/// A record that holds more than this is not kept: one huge span must not hold memory for ever.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// The number of the calling thread, by which it chooses its counters and its buffer.
#[inline]
pub(crate) fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let lane = LANE.try_with(Cell::get).unwrap_or(0);
    if lane != usize::MAX {
        return lane;
    }
    let lane = NEXT.fetch_add(1, Ordering::Relaxed);
    let _ = LANE.try_with(|cell| cell.set(lane));
    lane
}

/// Takes a record from the pool, or makes one.
#[inline]
pub(crate) fn take() -> Arc<SpanInner> {
    let pooled = POOL.try_with(|pool| {
        let mut pool = pool.try_borrow_mut().ok()?;
        match pool.pop() {
            Some(record) => Some(record),
            None => refill(&mut pool),
        }
    });
    pooled.ok().flatten().unwrap_or_else(fresh)
}

#[cold]
fn fresh() -> Arc<SpanInner> {
    let mut inner = SpanInner::default();
    inner.body.get_mut().finished = true;
    Arc::new(inner)
}

#[cold]
fn refill(pool: &mut Vec<Arc<SpanInner>>) -> Option<Arc<SpanInner>> {
    let mut shared = SHARED.lock();
    let keep = shared.len().saturating_sub(POOL_RECORDS / 2);
    pool.extend(shared.drain(keep..));
    pool.pop()
}

/// Ends a span through its last handle, and gives its record back for the next one.
#[inline]
pub(crate) fn end(mut record: Arc<SpanInner>) {
    let Some(inner) = Arc::get_mut(&mut record) else { return };
    if !inner.body.get_mut().finished {
        inner.finish_alone();
    }
    inner.core = None;
    inner.joined = None;
    let body = inner.body.get_mut();
    if body.held_bytes() > MAX_HELD_BYTES {
        return;
    }
    body.clear();
    let _ = POOL.try_with(|pool| {
        let Ok(mut pool) = pool.try_borrow_mut() else { return };
        if pool.len() >= POOL_RECORDS {
            spill(&mut pool);
        }
        pool.push(record);
    });
}

#[cold]
fn spill(pool: &mut Vec<Arc<SpanInner>>) {
    let mut spilled = pool.split_off(POOL_RECORDS / 2);
    let mut shared = SHARED.lock();
    let room = SHARED_RECORDS.saturating_sub(shared.len());
    spilled.truncate(room);
    shared.append(&mut spilled);
}
