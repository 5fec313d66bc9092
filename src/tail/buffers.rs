//! What is held of traces that are not sampled, in as many lines as there are locks.

use parking_lot::{Mutex, MutexGuard};

use super::buffer::TraceBuffer;
use crate::fork::ProcessOrigin;
use crate::id::TraceId;
use crate::lock;
use crate::stats::Stats;

/// The lines, each with a share of the memory. A trace is in one of them, found by its id.
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
    /// `max_bytes` in all, in at most `shares` lines; fewer if a share would be small.
    pub(crate) fn new(max_bytes: usize, shares: usize, origin: &ProcessOrigin) -> Self {
        let count = shares.min(max_bytes / MIN_SHARE_BYTES).max(1);
        // The next smaller power of two.
        let count = 1 << count.ilog2();
        let share = |_| Share { line: Mutex::new(TraceBuffer::new(max_bytes / count)) };
        Self { shares: (0..count).map(share).collect(), origin: origin.clone() }
    }

    /// The line of a trace. None in a forked process if a thread that was left behind may have it.
    pub(crate) fn line(&self, trace_id: TraceId) -> Option<MutexGuard<'_, TraceBuffer<S>>> {
        // The upper bits of the product depend on all of the id, whatever its maker draws.
        let [.., high] = trace_id.low().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let share = usize::from(high) & (self.shares.len() - 1);
        lock::acquire(&self.shares[share].line, &self.origin)
    }

    /// All lines. As long as they are locked, nothing that is held goes anywhere.
    pub(crate) fn lock(&self) -> LockedTraceBuffers<'_, S> {
        LockedTraceBuffers { lines: self.each().collect() }
    }

    /// The lines one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, TraceBuffer<S>>> {
        self.shares.iter().filter_map(|share| lock::acquire(&share.line, &self.origin))
    }
}

/// All lines, locked.
pub(crate) struct LockedTraceBuffers<'h, S> {
    lines: Vec<MutexGuard<'h, TraceBuffer<S>>>,
}

impl<S> LockedTraceBuffers<'_, S> {
    pub(crate) fn read(&self, stats: &mut Stats) {
        stats.buffered = self.lines.iter().map(|line| line.spans()).sum();
        stats.evicted = self.lines.iter().map(|line| line.evicted()).sum();
    }
}

/// A share is what one trace may hold, so that it must not be too small.
const MIN_SHARE_BYTES: usize = 256 * 1024;
