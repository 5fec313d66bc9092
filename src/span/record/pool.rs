//! The pool of records: each thread has some, and exchanges more with a shared pool.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{hint, mem};

use crate::lock::{Mutex, MutexGuard};

use super::data::SpanData;
use super::owned::OwnedRecord;
use super::span_record::SpanRecord;
use super::trace_state::{Sampled, SharedState};
use crate::encoding::SHORT;
use crate::span::counters::{SpanOrigin, Stripe, Stripes};
use crate::thread_index::{start_retaining, stop_retaining};

/// The `count` entries that a thread returned last, in the first places. All others are empty.
struct Recent<T> {
    last: [Cell<Option<T>>; MAX_RECENT],
    count: Cell<usize>,
    /// The maximum count.
    room: Cell<usize>,
}

/// A power of two.
const MAX_RECENT: usize = 16;

impl<T> Recent<T> {
    const fn with_room(room: usize) -> Self {
        Self {
            last: [const { Cell::new(None) }; MAX_RECENT],
            count: Cell::new(0),
            room: Cell::new(room),
        }
    }

    #[inline]
    fn take(&self) -> Option<T> {
        // Without a look at the count: of no entries, the last place is before the first, and empty.
        let at = self.count.get().wrapping_sub(1);
        let item = self.last[at % MAX_RECENT].take()?;
        self.count.set(at);
        Some(item)
    }

    /// Adds an entry, or returns it if there are enough.
    #[inline]
    fn put(&self, item: T) -> Option<T> {
        let at = self.count.get();
        if at >= self.room.get() {
            return Some(item);
        }
        self.count.set(at.wrapping_add(1));
        self.last[at % MAX_RECENT].set(Some(item));
        None
    }
}

/// The pool of a thread, beside [`RECENT`].
struct Pool {
    /// Records.
    others: RefCell<Vec<OwnedRecord>>,
    /// States of unrecorded traces whose context was read: the one returned last, and those before
    /// it.
    state: Cell<Option<SharedState>>,
    other_states: Recent<SharedState>,
    /// The value of [`DROPPED_TRACERS`] when references to dropped tracers were last dropped.
    seen_drops: Cell<usize>,
}

impl Pool {
    const fn new() -> Self {
        Self {
            others: RefCell::new(Vec::new()),
            state: Cell::new(None),
            other_states: Recent::with_room(MAX_RECENT),
            seen_drops: Cell::new(0),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        stop_retaining();
        take_spare().into_iter().for_each(release);
        let _ = RECENT.try_with(|recent| recent.room.set(0));
        while let Some(record) = take_recent() {
            drop(record);
        }
    }
}

thread_local! {
    static POOL: Pool = const { Pool::new() };
    /// The records that were returned last; they alone serve the spans of a recorded trace. Without a destructor,
    /// which would be looked for at each access: that of the pool drops them. There is room as long as it will.
    static RECENT: Recent<ManuallyDrop<OwnedRecord>> = const { Recent::with_room(0) };
    /// A reference for the next span without a record. Without a destructor either.
    static SPARE: Cell<Option<ManuallyDrop<Arc<Stripe>>>> = const { Cell::new(None) };
}

/// Records beyond the threads' own pools: spans are often finished on another thread than they were
/// started on.
static SHARED: Mutex<Vec<OwnedRecord>> = Mutex::new(Vec::new());

/// The number of records of a thread; when it has more, half of them go to the shared pool, and
/// when it has none it takes as many from there.
const POOL_RECORDS: usize = 64;
const SHARED_RECORDS: usize = 1024;

/// The number of tracers that were dropped.
static DROPPED_TRACERS: AtomicUsize = AtomicUsize::new(0);

/// Takes a record from the pool, or makes one.
#[inline]
pub(in crate::span) fn take() -> OwnedRecord {
    take_recent().unwrap_or_else(take_other)
}

#[inline(always)]
fn take_recent() -> Option<OwnedRecord> {
    RECENT.try_with(Recent::take).ok().flatten().map(ManuallyDrop::into_inner)
}

#[cold]
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
pub(in crate::span) fn return_to_pool(record: OwnedRecord) {
    let refused = RECENT.try_with(|recent| recent.put(ManuallyDrop::new(record)));
    if let Ok(Some(other)) = refused {
        put_other(ManuallyDrop::into_inner(other));
    }
}

/// Takes the reference that is retained for the next span without a record.
fn take_spare() -> Option<Arc<Stripe>> {
    SPARE.try_with(Cell::take).ok().flatten().map(ManuallyDrop::into_inner)
}

/// Returns a record to the pool that no span was started with.
#[inline(never)]
pub(in crate::span) fn recycle_unstarted(mut record: OwnedRecord) {
    // The reference may be that of a forked process's parent.
    if let Some(stripe) = record.stripe.take_if(|stripe| !stripe.may_be_retained_here()) {
        release(stripe);
    }
    if record.clear_but_tracer() {
        return_to_pool(record);
    }
}

/// Returns a copy of the options of a span that do not depend on a parent: name, start time, tags and priority.
#[cold]
#[inline(never)]
pub(in crate::span) fn copy_of(from: &mut SpanData, stripe: &Arc<Stripe>) -> OwnedRecord {
    let mut copy = take();
    copy.set_tracer(stripe);
    let start = from.extras.as_ref().and_then(|extras| extras.start.as_ref());
    let priority = start.and_then(|start| start.priority);
    if priority.is_some() {
        copy.extras().priority = priority;
    }
    let to = copy.data.get_mut();
    to.set_start(from.start());
    to.draft.set_first_name(from.draft.name().clone());
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
pub(in crate::span) fn recycle_state(state: SharedState) {
    // Other threads cannot clone the only handle.
    if state.is_unique() {
        state.reset(0);
        let before = POOL.try_with(|pool| pool.state.replace(Some(state)));
        if let Ok(Some(before)) = before {
            recycle_other_state(before);
        }
    }
}

#[cold]
#[inline(never)]
fn recycle_other_state(state: SharedState) {
    let _ = POOL.try_with(|pool| pool.other_states.put(state));
}

/// Adds a record for which there is no room among those that were returned last. The first one makes room.
#[cold]
#[inline(never)]
fn put_other(record: OwnedRecord) {
    let _ = POOL.try_with(|pool| {
        let had_room = RECENT.try_with(|recent| recent.room.replace(MAX_RECENT) > 0);
        if had_room == Ok(false) {
            return_to_pool(record);
        } else {
            put_in(pool, record);
        }
    });
}

fn put_in(pool: &Pool, record: OwnedRecord) {
    let spilled = {
        let Ok(mut others) = pool.others.try_borrow_mut() else { return };
        let is_full = others.len() >= POOL_RECORDS;
        let spilled = if is_full { others.split_off(POOL_RECORDS / 2) } else { Vec::new() };
        others.push(record);
        spilled
    };
    if !spilled.is_empty() {
        spill(spilled);
    }
}

#[cold]
fn spill(mut spilled: Vec<OwnedRecord>) {
    // The thread that gets a record has its own stripes, and a reference would stay for ever.
    spilled.iter_mut().filter_map(|record| record.stripe.take()).for_each(release);
    let Some(mut shared) = lock_shared() else { return };
    let room = SHARED_RECORDS.saturating_sub(shared.len());
    spilled.truncate(room);
    shared.append(&mut spilled);
}

impl SpanRecord {
    /// Sets the tracer. A pooled record mostly refers to it already.
    #[inline(always)]
    pub(in crate::span) fn set_tracer(&mut self, stripe: &Arc<Stripe>) {
        if !self.stripe.as_ref().is_some_and(|retained| Arc::ptr_eq(retained, stripe)) {
            replace(&mut self.stripe, stripe);
            self.truncates_short_text = stripe.options.max_tag_value_length < SHORT;
        }
    }
}

/// Counts a span without a record that starts a trace, and returns its reference to the stripe, which is that
/// of the calling thread: the reference that is retained, if there is one.
#[inline(always)]
pub(in crate::span) fn count_non_recording(stripe: &Arc<Stripe>) -> Arc<Stripe> {
    match SPARE.try_with(Cell::take) {
        Ok(Some(spare)) if Arc::ptr_eq(&spare, stripe) => {
            spare.count_started_by_owner(SpanOrigin::Trace, Sampled::No);
            ManuallyDrop::into_inner(spare)
        }
        spare => other_stripe(spare.ok().flatten(), stripe),
    }
}

#[inline(never)]
fn other_stripe(spare: Option<ManuallyDrop<Arc<Stripe>>>, stripe: &Arc<Stripe>) -> Arc<Stripe> {
    stripe.count_started(SpanOrigin::Trace, Sampled::No);
    let mut retained = spare.map(ManuallyDrop::into_inner);
    replace(&mut retained, stripe);
    retained.unwrap_or_else(|| Arc::clone(stripe))
}

/// Counts a span without a record that ends and is not sampled, and keeps its reference to the stripe for the
/// next one, if it may be retained here.
#[inline(always)]
pub(in crate::span) fn count_not_sampled(stripe: Arc<Stripe>) {
    if !stripe.may_be_retained_here() {
        return count_and_drop(stripe);
    }
    stripe.count_not_sampled_by_owner();
    retain(stripe);
}

#[inline(never)]
fn count_and_drop(stripe: Arc<Stripe>) {
    stripe.count_not_sampled();
}

#[inline(always)]
fn retain(stripe: Arc<Stripe>) {
    if let Ok(Some(before)) = SPARE.try_with(|spare| spare.replace(Some(ManuallyDrop::new(stripe))))
    {
        release(ManuallyDrop::into_inner(before));
    }
}

/// Retains a reference to the stripe for the next span without a record, if it may be retained here.
pub(in crate::span) fn retain_stripe(stripe: Arc<Stripe>) {
    if stripe.may_be_retained_here() {
        retain(stripe);
    }
}

/// Refers to another stripe, in place of one that was retained.
#[inline(never)]
fn replace(retained: &mut Option<Arc<Stripe>>, stripe: &Arc<Stripe>) {
    if let Some(before) = retained.replace(Arc::clone(stripe)) {
        release(before);
    }
    let dropped = DROPPED_TRACERS.load(Ordering::Acquire);
    let seen = POOL.try_with(|pool| {
        if stripe.may_be_retained() {
            // From here on it is dropped when the thread ends.
            start_retaining();
        }
        pool.seen_drops.replace(dropped)
    });
    if seen.is_ok_and(|seen| seen != dropped) {
        release_of_dropped_tracers();
    }
}

/// Drops a reference that no span needs. In a forked process the tracer may be the parent's, whose parts
/// may be locked for ever: it is left.
#[cold]
#[inline(never)]
pub(in crate::span) fn release(stripe: Arc<Stripe>) {
    if stripe.is_forked() {
        mem::forget(stripe);
    }
}

/// Has references to a dropped tracer dropped: those of this thread now, those of each other one when
/// it next replaces a reference, as for a span of another tracer, or ends.
pub(crate) fn evict_from_pools(stripes: &Stripes) {
    stripes.evict_from_pools();
    DROPPED_TRACERS.fetch_add(1, Ordering::Release);
    release_of_dropped_tracers();
}

/// Drops the thread's references to tracers that were dropped.
#[cold]
#[inline(never)]
fn release_of_dropped_tracers() {
    let mut unneeded = Vec::new();
    let is_of_dropped_tracer = |stripe: &mut Arc<Stripe>| !stripe.may_be_retained();
    let _ = RECENT.try_with(|recent| {
        for retained in &recent.last {
            let mut record = retained.take();
            unneeded.extend(
                record.as_mut().and_then(|record| record.stripe.take_if(is_of_dropped_tracer)),
            );
            retained.set(record);
        }
    });
    let _ = POOL.try_with(|pool| {
        if let Ok(mut others) = pool.others.try_borrow_mut() {
            unneeded.extend(
                others.iter_mut().filter_map(|record| record.stripe.take_if(is_of_dropped_tracer)),
            );
        }
        let mut spare = take_spare();
        unneeded.extend(spare.take_if(is_of_dropped_tracer));
        spare.into_iter().for_each(retain);
    });
    unneeded.into_iter().for_each(release);
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
mod tests;
