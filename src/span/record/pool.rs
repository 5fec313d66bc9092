//! The pool of records: each thread has some, and exchanges more with a shared pool.

use std::cell::{Cell, RefCell};
use std::hint;

use crate::lock::{Mutex, MutexGuard};

use super::owned::OwnedRecord;
use super::span_record::SpanRecord;
use super::trace_state::SharedState;

/// The `count` entries that a thread returned last.
struct Recent<T> {
    last: [Cell<Option<T>>; MAX_RECENT],
    count: Cell<usize>,
}

/// A power of two.
const MAX_RECENT: usize = 16;

impl<T> Recent<T> {
    const fn new() -> Self {
        Self { last: [const { Cell::new(None) }; MAX_RECENT], count: Cell::new(0) }
    }

    #[inline]
    fn take(&self) -> Option<T> {
        let at = self.count.get().checked_sub(1)?;
        self.count.set(at);
        self.last[at % MAX_RECENT].take()
    }

    /// Adds an entry, or returns it if there are enough.
    #[inline]
    fn give(&self, item: T) -> Option<T> {
        let at = self.count.get();
        if at >= MAX_RECENT {
            return Some(item);
        }
        self.count.set(at + 1);
        self.last[at % MAX_RECENT].replace(Some(item))
    }
}

/// The pool of a thread.
struct Pool {
    /// Records; they alone serve the spans of a recorded trace.
    recent: Recent<OwnedRecord>,
    others: RefCell<Vec<OwnedRecord>>,
    /// States of unrecorded traces whose context was read: the one returned last, and those before
    /// it.
    state: Cell<Option<SharedState>>,
    other_states: Recent<SharedState>,
}

impl Pool {
    const fn new() -> Self {
        Self {
            recent: Recent::new(),
            others: RefCell::new(Vec::new()),
            state: Cell::new(None),
            other_states: Recent::new(),
        }
    }
}

thread_local! {
    static POOL: Pool = const { Pool::new() };
}

/// Records beyond the threads' own pools: spans are often finished on another thread than they were
/// started on.
static SHARED: Mutex<Vec<OwnedRecord>> = Mutex::new(Vec::new());

/// The number of records of a thread; when it has more, half of them go to the shared pool, and
/// when it has none it takes as many from there.
const POOL_RECORDS: usize = 64;
const SHARED_RECORDS: usize = 1024;

/// Takes a record from the pool, or makes one.
#[inline]
pub(in crate::span) fn take() -> OwnedRecord {
    POOL.try_with(|pool| pool.recent.take()).ok().flatten().unwrap_or_else(take_other)
}

#[inline(never)]
fn take_other() -> OwnedRecord {
    let pooled = POOL.try_with(|pool| {
        let mut others = pool.others.try_borrow_mut().ok()?;
        if others.is_empty()
            && let Some(mut shared) = lock_shared()
        {
            let keep = shared.len().saturating_sub(POOL_RECORDS / 2);
            others.extend(shared.drain(keep..));
        }
        others.pop()
    });
    pooled.ok().flatten().unwrap_or_else(OwnedRecord::new)
}

/// Returns an empty record to the pool, unless there are enough.
#[inline]
pub(in crate::span) fn give(record: OwnedRecord) {
    let _ = POOL.try_with(|pool| {
        if let Some(other) = pool.recent.give(record) {
            give_back(pool, other);
        }
    });
}

/// Returns a record to the pool that no span was started with.
#[cold]
pub(in crate::span) fn give_unstarted(mut record: OwnedRecord) {
    if record.recycle() {
        give(record);
    }
}

/// Returns a copy of the options that do not depend on a parent: name, start time, tags and priority.
#[cold]
#[inline(never)]
pub(in crate::span) fn copy_of(record: &mut SpanRecord) -> OwnedRecord {
    let from = record.data.get_mut();
    let mut copy = take();
    let start = from.extras.as_ref().and_then(|extras| extras.start.as_ref());
    let priority = start.and_then(|start| start.priority);
    if priority.is_some() {
        copy.extras().priority = priority;
    }
    let to = copy.data.get_mut();
    to.set_start(from.start());
    to.draft.set_first_name(from.draft.name.clone());
    to.draft.tags.append(&from.draft.tags);
    to.draft.set_tag_count(from.draft.tag_count());
    copy
}

/// Takes the state of an unsampled trace from the pool, or makes one.
#[inline]
pub(super) fn take_state() -> SharedState {
    POOL.try_with(|pool| pool.state.take()).ok().flatten().unwrap_or_else(take_other_state)
}

#[cold]
#[inline(never)]
fn take_other_state() -> SharedState {
    POOL.try_with(|pool| pool.other_states.take()).ok().flatten().unwrap_or_default()
}

/// Returns a state to the pool, if no context shares it and there are not enough.
#[inline(always)]
pub(in crate::span) fn give_state(state: SharedState) {
    // Other threads cannot clone the only handle.
    if state.is_unique() {
        state.reset(0);
        let before = POOL.try_with(|pool| pool.state.replace(Some(state)));
        if let Ok(Some(before)) = before {
            give_other_state(before);
        }
    }
}

#[cold]
#[inline(never)]
fn give_other_state(state: SharedState) {
    let _ = POOL.try_with(|pool| pool.other_states.give(state));
}

#[inline(never)]
fn give_back(pool: &Pool, record: OwnedRecord) {
    let Ok(mut others) = pool.others.try_borrow_mut() else { return };
    if others.len() >= POOL_RECORDS {
        spill(&mut others);
    }
    others.push(record);
}

#[cold]
fn spill(pool: &mut Vec<OwnedRecord>) {
    let mut spilled = pool.split_off(POOL_RECORDS / 2);
    let Some(mut shared) = lock_shared() else { return };
    let room = SHARED_RECORDS.saturating_sub(shared.len());
    spilled.truncate(room);
    shared.append(&mut spilled);
}

/// Locks the shared pool, unless that takes longer than making a record. In a forked process it may
/// be locked for ever.
fn lock_shared() -> Option<MutexGuard<'static, Vec<OwnedRecord>>> {
    (0..MAX_TRIES).find_map(|_| {
        let shared = SHARED.try_lock();
        if shared.is_none() {
            hint::spin_loop();
        }
        shared
    })
}

const MAX_TRIES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::large::SMALL_BYTES;
    use super::*;
    use crate::Tracer;

    fn tracer() -> (Tracer, crate::Closer) {
        Tracer::builder("s").null_reporter().build().unwrap()
    }

    /// Returns the memory of the record that the next span gets.
    fn pooled_bytes() -> usize {
        let record = take();
        let held = record.data.try_lock().unwrap().draft.held_bytes();
        give(record);
        held
    }

    #[test]
    fn a_record_of_a_huge_span_is_not_reused_and_that_of_a_large_one_while_spans_are_large() {
        let (tracer, _closer) = tracer();
        for (bytes, reused) in [(50, true), (30_000, true), (100_000, false)] {
            let log = "x".repeat(bytes);
            let span = tracer.start_span("op");
            for _ in 0..2 {
                span.log_event(&log);
            }
            drop(span);
            assert_eq!(pooled_bytes() >= 2 * bytes, reused, "{bytes}");
        }
        let span = tracer.start_span("op");
        span.set_tag("t", "x").log_event("x".repeat(60_000));
        drop(span);
        assert!(pooled_bytes() >= 60_000);
        // Spans that need neither logs nor much memory.
        (0..1_000).for_each(|_| drop(tracer.start_span("op")));
        assert!(pooled_bytes() <= SMALL_BYTES, "{} bytes", pooled_bytes());
    }

    #[test]
    fn the_number_of_pooled_records_is_bounded_however_many_spans_end_at_once() {
        let (tracer, _closer) = tracer();
        let spans: Vec<_> = (0..4 * SHARED_RECORDS).map(|_| tracer.start_span("op")).collect();
        drop(spans);
        let mut attempts =
            std::iter::repeat_with(|| SHARED.try_lock().map(|records| records.len()));
        let shared = attempts.find_map(|count| count).unwrap();
        assert!(shared > 0 && shared <= SHARED_RECORDS, "{shared} records");
    }
}
