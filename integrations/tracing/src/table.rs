//! The layer's data of each span, by its number in the registry.
//!
//! The table is here and not in the registry's extensions: those allocate for every span, and have
//! a lock that other layers hold while they call user callbacks.
//!
//! A number has one possible place in an array of slots, which a registry's numbers of the spans that are
//! open at the same time hardly ever share. Where two do, the later one is in a map.

use std::array;
use std::collections::HashMap;
use std::mem;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaeger_client::{CompactSpan, PreparedSpan};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::special::Status;

/// A span of tracing.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The number of the span; 0, which no span has, where there is none.
    id: u64,
    pub(crate) state: State,
    /// The span, once it has begun.
    pub(crate) span: Option<CompactSpan>,
    /// The data for the start. It is needed again for the first span of an unsampled trace, which may yet become part
    /// of a sampled one.
    pub(crate) pending: Option<PreparedSpan>,
    pub(crate) status: Option<Status>,
    pub(crate) status_message: Option<Box<str>>,
    /// In nanoseconds since the Unix epoch, where it is asked for.
    pub(crate) last_exit: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// The tracer does not know of it yet.
    #[default]
    Pending,
    /// A thread is about to start it.
    Starting,
    /// The span has begun.
    Live,
    /// The span has begun, is not recorded, and keeps the data for its start, which is copied where it is
    /// [needed](Slot::retained).
    Retaining,
}

impl Slot {
    /// Fills an empty slot with the contents of another one.
    pub(crate) fn replace_contents(&mut self, contents: Self) {
        *self = Self { id: self.id, ..contents };
    }

    /// Takes the contents, and leaves an empty slot.
    fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// Starts a span that the tracer does not know of yet, if that calls nothing of users.
    #[inline(never)]
    pub(crate) fn try_start(&mut self) {
        if self.state == State::Pending
            && let Some(pending) = &mut self.pending
            && let Some((span, is_recording)) = pending.try_start_storing()
        {
            // Nothing is left of it, which a drop would look for.
            mem::forget(self.pending.take());
            self.state = if is_recording { State::Live } else { State::Retaining };
            self.span = Some(span);
        }
    }

    /// Returns whether the data for the start is still there.
    pub(crate) fn has_retained(&self) -> bool {
        self.state == State::Retaining || self.pending.is_some()
    }

    /// Returns the data for the start, if it is still there.
    pub(crate) fn retained(&mut self) -> &mut Option<PreparedSpan> {
        if self.state == State::Retaining {
            self.state = State::Live;
            self.pending = self.span.as_ref().and_then(CompactSpan::prepared_again);
        }
        &mut self.pending
    }

    /// Returns whether the span has begun, and is only to be ended.
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.state, State::Live | State::Retaining)
            && self.status.is_none()
            && self.status_message.is_none()
            && self.last_exit.is_none()
    }
}

/// A locked slot. No code of users may be called meanwhile.
pub(crate) type SlotGuard<'t> = MappedMutexGuard<'t, Slot>;

/// The spans of a layer.
#[derive(Debug)]
pub(crate) struct Table {
    /// The slots, made when they are needed first.
    pages: [OnceLock<Box<Page>>; PAGES],
    /// Spans whose place was taken.
    others: [Mutex<Others>; OTHER_SHARDS],
    other_count: AtomicUsize,
}

type Others = HashMap<u64, Slot>;

type Page = [Mutex<Slot>; PAGE_SLOTS];

/// Powers of two.
const PAGES: usize = 256;
const PAGE_SLOTS: usize = 32;
const OTHER_SHARDS: usize = 16;

/// Where the number of the thread is in a registry's number. Of other numbers, only the places are less
/// evenly distributed.
const THREAD_SHIFT: u32 = 38;

impl Default for Table {
    fn default() -> Self {
        Self {
            pages: [const { OnceLock::new() }; PAGES],
            others: array::from_fn(|_| Mutex::default()),
            other_count: AtomicUsize::new(0),
        }
    }
}

/// Returns the place of a span. A registry's number has in its lowest bits the index among the spans of
/// a thread, the number of the thread above, and then how often the index was used before.
#[inline]
fn place(id: u64) -> (usize, usize) {
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits are used")]
    let (index, thread) = (id as usize, (id >> THREAD_SHIFT) as u8);
    // The first pages of few threads are far from each other, so that each has many pages of its own.
    let first = usize::from(REVERSED[usize::from(thread)]);
    ((index / PAGE_SLOTS + first) % PAGES, index % PAGE_SLOTS)
}

/// The numbers of a byte with their bits in reverse: to read one costs less than to reverse it.
static REVERSED: [u8; PAGES] = {
    let mut reversed = [0; PAGES];
    let mut number = 0;
    while number < PAGES {
        #[expect(clippy::cast_possible_truncation, reason = "there are as many pages as bytes")]
        let byte = number as u8;
        reversed[number] = byte.reverse_bits();
        number += 1;
    }
    reversed
};

impl Table {
    /// Locks the place of a span, whatever is there.
    #[inline]
    fn lock_place(&self, id: u64) -> Option<MutexGuard<'_, Slot>> {
        let (page, slot) = place(id);
        Some(self.pages[page].get()?[slot].lock())
    }

    /// Locks the slot of a span, if there is one.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<SlotGuard<'_>> {
        match self.get_in_place(id) {
            Some(slot) => Some(MutexGuard::map(slot, |slot| slot)),
            None => self.get_other(id),
        }
    }

    /// Locks the slot of a span that has its place, as nearly all have.
    #[inline]
    pub(crate) fn get_in_place(&self, id: u64) -> Option<MutexGuard<'_, Slot>> {
        self.lock_place(id).filter(|slot| slot.id == id)
    }

    /// Locks the part of the spans without a place that a span is in.
    fn lock_others(&self, id: u64) -> MutexGuard<'_, Others> {
        let mixed = id ^ (id >> THREAD_SHIFT);
        let shard = usize::try_from(mixed % OTHER_SHARDS as u64).unwrap_or(0);
        self.others[shard].lock()
    }

    fn has_others(&self) -> bool {
        self.other_count.load(Ordering::Acquire) > 0
    }

    #[inline(never)]
    fn get_other(&self, id: u64) -> Option<SlotGuard<'_>> {
        if !self.has_others() {
            return None;
        }
        MutexGuard::try_map(self.lock_others(id), |others| others.get_mut(&id)).ok()
    }

    /// Makes a slot for a span and locks it, if its place is free: otherwise
    /// [`insert_slow`](Self::insert_slow) does.
    #[inline(always)]
    pub(crate) fn insert_in_place(&self, id: u64) -> Option<MutexGuard<'_, Slot>> {
        let (page, slot) = place(id);
        let page = self.pages[page].get_or_init(|| Box::new(array::from_fn(|_| Mutex::default())));
        let mut slot = page[slot].lock();
        if slot.id != 0 || self.has_others() {
            return None;
        }
        slot.id = id;
        Some(slot)
    }

    /// Makes a slot for a span and locks it. What a registry has given the same number before is returned.
    #[inline(never)]
    pub(crate) fn insert_slow(&self, id: u64) -> (SlotGuard<'_>, Option<Slot>) {
        let before = self.remove(id);
        if let Some(mut slot) = self.lock_place(id).filter(|slot| slot.id == 0) {
            slot.id = id;
            return (MutexGuard::map(slot, |slot| slot), before);
        }
        let others = self.lock_others(id);
        // It was removed, if it was there.
        self.other_count.fetch_add(1, Ordering::Release);
        let empty = || Slot { id, ..Slot::default() };
        (MutexGuard::map(others, |others| others.entry(id).or_insert_with(empty)), before)
    }

    /// Takes out a span that is only to be ended: moving the rest would cost more than all else.
    #[inline]
    pub(crate) fn remove_plain(&self, id: u64) -> Option<CompactSpan> {
        let mut slot = self.lock_place(id)?;
        if slot.id != id || !slot.is_plain() {
            return None;
        }
        slot.id = 0;
        slot.state = State::Pending;
        if slot.pending.is_some() {
            // Its drop calls nothing of users.
            slot.pending = None;
        }
        slot.span.take()
    }

    /// Takes out what is known of a span.
    pub(crate) fn remove(&self, id: u64) -> Option<Slot> {
        if let Some(mut slot) = self.lock_place(id)
            && slot.id == id
        {
            return Some(slot.take());
        }
        self.remove_other(id)
    }

    #[inline(never)]
    fn remove_other(&self, id: u64) -> Option<Slot> {
        if !self.has_others() {
            return None;
        }
        let mut others = self.lock_others(id);
        let removed = others.remove(&id)?;
        self.other_count.fetch_sub(1, Ordering::Release);
        if others.is_empty() {
            // A burst of spans leaves no memory behind.
            others.shrink_to_fit();
        }
        Some(removed)
    }

    fn slots(&self) -> impl Iterator<Item = MutexGuard<'_, Slot>> {
        let pages = self.pages.iter().filter_map(OnceLock::get);
        pages.flat_map(|page| page.iter()).map(Mutex::lock).filter(|slot| slot.id != 0)
    }

    /// Counts the spans that the tracer does not know of yet.
    pub(crate) fn pending(&self) -> u64 {
        let is_pending = |slot: &Slot| slot.state == State::Pending;
        let others =
            |others: &Mutex<Others>| others.lock().values().filter(|slot| is_pending(slot)).count();
        let others: usize = self.others.iter().map(others).sum();
        (self.slots().filter(|slot| is_pending(slot)).count() + others) as u64
    }

    /// All that is left.
    pub(crate) fn take_all(&self) -> Vec<Slot> {
        let mut all: Vec<_> = self.slots().map(|mut slot| slot.take()).collect();
        for others in &self.others {
            let others = mem::take(&mut *others.lock());
            self.other_count.fetch_sub(others.len(), Ordering::Release);
            all.extend(others.into_values());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Table {
        fn insert(&self, id: u64) -> (SlotGuard<'_>, Option<Slot>) {
            match self.insert_in_place(id) {
                Some(slot) => (MutexGuard::map(slot, |slot| slot), None),
                None => self.insert_slow(id),
            }
        }
    }

    #[test]
    fn spans_of_the_same_place_do_not_know_of_one_another() {
        let table = Table::default();
        let slots = (PAGES * PAGE_SLOTS) as u64;
        let ids = [7, 7 + slots, 7 + 2 * slots];
        assert!(ids.iter().all(|id| place(*id) == place(7)));
        let time = |id: u64| i64::try_from(id).unwrap();
        for id in ids {
            assert!(table.get(id).is_none());
            let (mut slot, before) = table.insert(id);
            assert!(before.is_none());
            slot.last_exit = Some(time(id));
        }
        assert_eq!(table.pending(), 3);
        for id in ids {
            assert_eq!(table.get(id).unwrap().last_exit, Some(time(id)));
        }
        // The first one goes, and the others are found all the same.
        assert_eq!(table.remove(7).unwrap().last_exit, Some(7));
        assert!(table.get(7).is_none() && table.remove(7).is_none());
        assert!(table.get(ids[1]).is_some());
        assert_eq!(table.remove(ids[2]).unwrap().last_exit, Some(time(ids[2])));
        drop(table.insert(7));
        let mut left: Vec<_> = table.take_all().iter().map(|slot| slot.id).collect();
        left.sort_unstable();
        assert_eq!(left, [7, ids[1]]);
        assert_eq!(table.pending(), 0);
    }

    #[test]
    fn a_number_that_is_given_twice_returns_what_it_stood_for() {
        let table = Table::default();
        table.insert(5).0.last_exit = Some(1);
        let (slot, before) = table.insert(5);
        assert_eq!((slot.last_exit, before.unwrap().last_exit), (None, Some(1)));
        drop(slot);
        table.get(5).unwrap().last_exit = Some(2);
        let (slot, before) = table.insert(5);
        assert_eq!((slot.last_exit, before.unwrap().last_exit), (None, Some(2)));
        drop(slot);
        assert_eq!(table.take_all().len(), 1);
    }

    #[test]
    fn threads_of_a_registry_begin_with_different_pages() {
        let first = |thread: u64| place(1 + (thread << THREAD_SHIFT)).0;
        let pages: std::collections::HashSet<_> = (0..PAGES as u64).map(first).collect();
        assert_eq!(pages.len(), PAGES);
        // How often an index was used before is of no importance.
        assert_eq!(place(1 + (1 << 60)), place(1));
    }

    #[test]
    fn spans_of_few_threads_have_places_of_their_own() {
        for (threads, spans) in [(1, 8_192), (2, 4_096), (8, 1_024), (64, 128), (256, 32)] {
            let ids = (0..threads)
                .flat_map(|thread| (0..spans).map(move |n| n + (thread << THREAD_SHIFT)));
            let places: std::collections::HashSet<_> = ids.map(place).collect();
            assert_eq!(places.len(), PAGES * PAGE_SLOTS, "{threads} threads");
        }
    }
}
