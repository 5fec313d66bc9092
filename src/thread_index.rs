//! The index of a thread, which determines its counters and its buffer.
//!
//! Low indices are exclusive: of the threads that live, one has it. So what it alone writes needs no
//! locked instructions. When a thread ends, its index goes to the next thread that needs one, which
//! sees all that was written before. Further threads share what they write.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many threads have an exclusive index at a time: those below this number.
pub(crate) const EXCLUSIVE: usize = 64;

/// The index of a thread that did not need one yet.
const UNASSIGNED: usize = usize::MAX;

/// How many indices are not exclusive. Threads with the same one only share more.
const MAX_SHARED: usize = 1 << 16;

/// The exclusive indices of threads that live, a bit each. In a forked process those of threads that
/// are not there stay set.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// How many indices that are not exclusive were given to threads.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Without a destructor of its own, so that there is an index while a thread is torn down.
    static INDEX: Cell<usize> = const { Cell::new(UNASSIGNED) };
    /// The exclusive index while the thread retains what its next work may need.
    static RETAINING: Cell<usize> = const { Cell::new(UNASSIGNED) };
    static RELEASE: ReleaseOnExit = const { ReleaseOnExit(Cell::new(None)) };
}

/// Gives an exclusive index back when its thread ends.
struct ReleaseOnExit(Cell<Option<usize>>);

impl Drop for ReleaseOnExit {
    fn drop(&mut self) {
        if let Some(index) = self.0.take() {
            // Destructors that run after this one may start and finish spans.
            stop_retaining();
            set_index(next_shared());
            TAKEN.fetch_and(!(1 << index), Ordering::Release);
        }
    }
}

/// Returns the index of the calling thread.
#[inline]
pub(crate) fn thread_index() -> usize {
    match assigned_index() {
        UNASSIGNED => assign(),
        index => index,
    }
}

/// Returns the index of the calling thread, or a number that is no index if it has none yet.
#[inline(always)]
pub(crate) fn assigned_index() -> usize {
    // Where thread-local memory is the library's, it may be gone in a thread that is torn down.
    INDEX.try_with(Cell::get).unwrap_or(EXCLUSIVE)
}

/// Returns the exclusive index of the calling thread while it [retains](start_retaining) what its next work
/// may need, or a number that is no index.
#[inline(always)]
pub(crate) fn retaining_index() -> usize {
    RETAINING.try_with(Cell::get).unwrap_or(EXCLUSIVE)
}

/// Allows the calling thread to retain what its next work may need, if it has an exclusive index. What it retains
/// must be dropped when it ends, after [`stop_retaining`].
pub(crate) fn start_retaining() {
    if assigned_index() < EXCLUSIVE {
        let _ = RETAINING.try_with(|cell| cell.set(assigned_index()));
    }
}

/// Disallows the calling thread to retain more.
pub(crate) fn stop_retaining() {
    let _ = RETAINING.try_with(|cell| cell.set(UNASSIGNED));
}

fn set_index(index: usize) {
    let _ = INDEX.try_with(|cell| cell.set(index));
}

#[cold]
fn assign() -> usize {
    let index = take_exclusive().unwrap_or_else(next_shared);
    set_index(index);
    index
}

/// Takes the lowest exclusive index that is free, if the thread can give it back.
fn take_exclusive() -> Option<usize> {
    let taken_on = |release: &ReleaseOnExit| {
        // The thread has forgotten its index: its memory was freed before this one's.
        if let Some(index) = release.0.get() {
            return Some(index);
        }
        let with_lowest_free = |taken: u64| taken.checked_add(1).map(|next| taken | next);
        // What earlier threads wrote by this index is seen from here on.
        let before = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, with_lowest_free);
        let index = before.ok()?.trailing_ones() as usize;
        release.0.set(Some(index));
        Some(index)
    };
    RELEASE.try_with(taken_on).ok().flatten()
}

fn next_shared() -> usize {
    EXCLUSIVE + NEXT.fetch_add(1, Ordering::Relaxed) % MAX_SHARED
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Returns the indices of that many threads that live at the same time.
    fn indices_of_threads(count: usize) -> Vec<usize> {
        let all_live = Barrier::new(count);
        std::thread::scope(|scope| {
            let index = || {
                let index = thread_index();
                all_live.wait();
                assert_eq!(thread_index(), index);
                index
            };
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(index)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn exclusive_indices_are_those_of_one_thread_at_a_time_and_used_again() {
        let mut exclusive = 0;
        for _ in 0..20 {
            let indices = indices_of_threads(EXCLUSIVE + 10);
            let own: Vec<_> = indices.iter().filter(|index| **index < EXCLUSIVE).collect();
            assert_eq!(own.len(), own.iter().collect::<BTreeSet<_>>().len(), "{indices:?}");
            exclusive += own.len();
        }
        // Threads of other tests have some of them.
        assert!(exclusive > 2 * EXCLUSIVE, "{exclusive}");
    }

    /// Sends the index that its thread has when it is torn down, and whether that is taken.
    struct AtThreadExit(Sender<(usize, bool)>);

    impl Drop for AtThreadExit {
        fn drop(&mut self) {
            let index = thread_index();
            let is_taken = index < EXCLUSIVE && TAKEN.load(Ordering::Relaxed) & (1 << index) != 0;
            self.0.send((index, is_taken)).unwrap();
        }
    }

    #[test]
    fn a_thread_that_is_torn_down_does_not_use_an_index_that_it_gave_back() {
        thread_local! {
            static AT_EXIT: RefCell<Option<AtThreadExit>> = const { RefCell::new(None) };
        }
        for _ in 0..20 {
            let (sender, receiver) = channel();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Before the index, so that it is dropped after that was given back.
                    AT_EXIT.set(Some(AtThreadExit(sender)));
                    thread_index()
                });
            });
            let (index, is_taken) = receiver.recv().unwrap();
            assert!(index >= EXCLUSIVE || is_taken, "{index}");
        }
    }
}
