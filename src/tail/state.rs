//! The tail sampling state of a trace.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::buffer::SlotId;

/// Part of the state that a trace's local spans share. It is valid only while they are tracked.
///
/// The count of open spans goes from 0 to 1, and from 1 to 0, only under the lock of the trace's
/// buffer, and with it the trace's entry there.
#[derive(Debug, Default)]
pub(crate) struct TailState {
    /// The number of open spans of the tracer that tracks the trace.
    open: AtomicU32,
    /// The id of that tracer.
    owner: AtomicU32,
    /// The slot of the buffered spans. Changed under the lock of their buffer.
    key: AtomicU64,
}

impl TailState {
    /// Begins with one open span, with the buffer locked.
    pub(crate) fn begin(&self, owner: u32) {
        self.owner.store(owner, Ordering::Relaxed);
        self.key.store(SlotId::NONE.bits(), Ordering::Relaxed);
        self.open.store(1, Ordering::Release);
    }

    pub(crate) fn owner(&self) -> u32 {
        self.owner.load(Ordering::Relaxed)
    }

    /// Counts a started span, if others are open.
    pub(crate) fn add_span(&self) -> bool {
        let others = |open| (open > 0).then(|| open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, others).is_ok()
    }

    /// Counts a finished span if no other one is open, with the buffer locked.
    pub(crate) fn remove_last_span(&self) -> bool {
        self.open.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Counts a finished span that is not the last one, with the buffer locked.
    pub(crate) fn remove_span(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn key(&self) -> SlotId {
        SlotId::from_bits(self.key.load(Ordering::Acquire))
    }

    pub(crate) fn set_key(&self, key: SlotId) {
        self.key.store(key.bits(), Ordering::Release);
    }

    pub(crate) fn take_key(&self) -> SlotId {
        SlotId::from_bits(self.key.swap(SlotId::NONE.bits(), Ordering::AcqRel))
    }
}
