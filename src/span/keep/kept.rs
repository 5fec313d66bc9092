//! What a trace's state knows of those of its spans that are held.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::ledger::Key;

/// Lies in the state that a trace's local spans share. It means something only while they are held.
#[derive(Debug, Default)]
pub(in crate::span) struct Kept {
    /// How many spans of the tracer that holds them are open.
    open: AtomicU32,
    /// Which tracer that is.
    owner: AtomicU32,
    /// Where they are held. Changed under the lock of their line.
    key: AtomicU64,
}

impl Kept {
    /// Begins, with no open span yet. Nobody else knows of the state.
    pub(super) fn begin(&self, owner: u32) {
        self.open.store(0, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Relaxed);
        self.key.store(Key::NONE.bits(), Ordering::Relaxed);
    }

    pub(super) fn owner(&self) -> u32 {
        self.owner.load(Ordering::Relaxed)
    }

    /// Counts a span that was started.
    pub(super) fn join(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a span as over if no other one is open. Whoever finds that so sees what the others
    /// have left in the key.
    pub(super) fn leave_last(&self) -> bool {
        self.open.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Counts a span as over, and tells whether no other one is open. The key must be set by then.
    pub(super) fn leave(&self) -> bool {
        self.open.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(super) fn is_over(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    pub(super) fn key(&self) -> Key {
        Key::from_bits(self.key.load(Ordering::Acquire))
    }

    pub(super) fn set_key(&self, key: Key) {
        self.key.store(key.bits(), Ordering::Release);
    }

    pub(super) fn take_key(&self) -> Key {
        Key::from_bits(self.key.swap(Key::NONE.bits(), Ordering::AcqRel))
    }
}
