//! Waiting for locks that may be locked for ever in a forked process.
//!
//! No thread is ever parked on such a lock: parked threads are in a table that all locks of the
//! process share, and whose own locks may be left locked likewise.

use std::hint;
use std::thread;
use std::time::Duration;

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::fork::ProcessOrigin;

/// A mutex that no thread is parked on. Unlocking it is a plain store, where a mutex with parked threads
/// takes a locked instruction to find out whether there are any.
///
/// It has no `lock`, which would wait for ever for a holder that a forked process does not have.
pub(crate) type Mutex<T> = SpinMutex<T, NeverSpins>;

/// The strategy of a mutex whose `lock` does not exist.
#[derive(Debug)]
pub(crate) enum NeverSpins {}

/// The guard of a locked [`Mutex`].
pub(crate) type MutexGuard<'m, T> = SpinMutexGuard<'m, T, NeverSpins>;

/// Locks a mutex that was created in the process `origin`. Returns `None` if it is locked and this
/// is a forked process: its holder may not exist here.
#[inline]
pub(crate) fn acquire<'m, T>(
    mutex: &'m Mutex<T>,
    origin: &ProcessOrigin,
) -> Option<MutexGuard<'m, T>> {
    match mutex.try_lock() {
        Some(guard) => Some(guard),
        None => wait(mutex, || origin.is_forked()),
    }
}

/// Waits for a mutex as long as `is_forked` is false.
#[cold]
pub(crate) fn wait<T>(mutex: &Mutex<T>, is_forked: impl Fn() -> bool) -> Option<MutexGuard<'_, T>> {
    let mut attempt = 0;
    loop {
        if is_forked() {
            return None;
        }
        pause(attempt);
        // A look takes the cache line from the holder for less long than an attempt.
        if !mutex.is_locked()
            && let Some(guard) = mutex.try_lock()
        {
            return Some(guard);
        }
        attempt += 1;
    }
}

/// Locks are held for less than a microsecond, unless their holder was preempted.
fn pause(attempt: u32) {
    match attempt {
        0..SPINS => (0..1 << attempt).for_each(|_| hint::spin_loop()),
        SPINS..YIELDS => thread::yield_now(),
        _ => thread::sleep(SLEEP),
    }
}

const SPINS: u32 = 7;
const YIELDS: u32 = 40;
const SLEEP: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_lock_is_waited_for_until_it_is_free_or_its_holder_is_known_to_be_gone() {
        let mutex = Arc::new(Mutex::new(0));
        let origin = ProcessOrigin::here().unwrap();
        let held = mutex.try_lock().unwrap();
        let gone = AtomicBool::new(false);
        assert!(wait(&mutex, || gone.swap(true, Ordering::Relaxed)).is_none());
        drop(held);
        for _ in 0..1000 {
            *acquire(&mutex, &origin).unwrap() += 1;
        }
        assert_eq!(*mutex.try_lock().unwrap(), 1000);
    }

    #[test]
    fn threads_that_contend_for_a_lock_all_get_it() {
        let (mutex, origin) = (Mutex::new(0), ProcessOrigin::here().unwrap());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        *acquire(&mutex, &origin).unwrap() += 1;
                    }
                });
            }
        });
        assert_eq!(mutex.into_inner(), 40_000);
    }
}
