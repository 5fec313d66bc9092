//! The buffers of unsampled traces, each behind its own lock.

use parking_lot::{Mutex, MutexGuard};

use super::buffer::TraceBuffer;
use crate::fork::ProcessOrigin;
use crate::id::TraceId;
use crate::lock;
use crate::stats::Stats;

/// The buffers, each with a share of the memory. The id of a trace determines its buffer.
#[derive(Debug)]
pub(crate) struct TraceBuffers<S> {
    shares: Box<[Share<S>]>,
    origin: ProcessOrigin,
}

#[derive(Debug)]
#[repr(align(128))]
struct Share<S> {
    line: Mutex<TraceBuffer<S>>,
}

impl<S> TraceBuffers<S> {
    /// Makes at most `shares` buffers of `max_bytes` in total; fewer if a share would be small.
    pub(crate) fn new(max_bytes: usize, shares: usize, origin: &ProcessOrigin) -> Self {
        let count = shares.min(max_bytes / MIN_SHARE_BYTES).max(1);
        // Rounded down to a power of two.
        let count = 1 << count.ilog2();
        let share = |_| Share { line: Mutex::new(TraceBuffer::new(max_bytes / count)) };
        Self { shares: (0..count).map(share).collect(), origin: origin.clone() }
    }

    /// Locks the buffer of a trace. Returns `None` in a forked process that may never get the lock.
    pub(crate) fn line(&self, trace_id: TraceId) -> Option<MutexGuard<'_, TraceBuffer<S>>> {
        // The upper bits of the product depend on the whole id, however it was generated.
        let [.., high] = trace_id.low().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let share = usize::from(high) & (self.shares.len() - 1);
        lock::acquire(&self.shares[share].line, &self.origin)
    }

    /// Locks all buffers. Until they are unlocked, no buffered span moves.
    pub(crate) fn lock(&self) -> LockedTraceBuffers<'_, S> {
        LockedTraceBuffers { lines: self.each().collect() }
    }

    /// Locks the buffers one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, TraceBuffer<S>>> {
        self.shares.iter().filter_map(|share| lock::acquire(&share.line, &self.origin))
    }
}

/// All buffers, locked.
pub(crate) struct LockedTraceBuffers<'h, S> {
    lines: Vec<MutexGuard<'h, TraceBuffer<S>>>,
}

impl<S> LockedTraceBuffers<'_, S> {
    pub(crate) fn read(&self, stats: &mut Stats) {
        stats.buffered = self.lines.iter().map(|line| line.spans()).sum();
        stats.evicted = self.lines.iter().map(|line| line.evicted()).sum();
    }
}

/// The minimum share of a buffer, which is the most that one trace may use.
const MIN_SHARE_BYTES: usize = 256 * 1024;
