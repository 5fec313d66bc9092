//! The buffers of unsampled traces, each behind its own lock.

use super::buffer::TraceBuffer;
use crate::fork::ProcessOrigin;
use crate::id::TraceId;
use crate::lock::{self, Mutex, MutexGuard};
use crate::stats::Stats;

/// The buffers, each with a part of the memory. The id of a trace determines its buffer.
#[derive(Debug)]
pub(crate) struct TraceBuffers<S> {
    buffers: Box<[LockedBuffer<S>]>,
    origin: ProcessOrigin,
}

#[derive(Debug)]
#[repr(align(128))]
struct LockedBuffer<S> {
    buffer: Mutex<TraceBuffer<S>>,
}

impl<S> TraceBuffers<S> {
    /// Makes at most `buffers` buffers of `max_bytes` in total; fewer if they would be small.
    pub(crate) fn new(max_bytes: usize, buffers: usize, origin: &ProcessOrigin) -> Self {
        let count = buffers.min(max_bytes / MIN_BUFFER_BYTES).max(1);
        // Rounded down to a power of two.
        let count = 1 << count.ilog2();
        let locked = |_| LockedBuffer { buffer: Mutex::new(TraceBuffer::new(max_bytes / count)) };
        Self { buffers: (0..count).map(locked).collect(), origin: origin.clone() }
    }

    /// Locks the buffer of a trace. Returns `None` in a forked process that may never get the lock.
    pub(crate) fn buffer(&self, trace_id: TraceId) -> Option<MutexGuard<'_, TraceBuffer<S>>> {
        // The upper bits of the product depend on the whole id, however it was generated.
        let [.., high] = trace_id.low().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let at = usize::from(high) & (self.buffers.len() - 1);
        lock::acquire(&self.buffers[at].buffer, &self.origin)
    }

    /// Locks all buffers. Until they are unlocked, no buffered span moves.
    pub(crate) fn lock(&self) -> LockedTraceBuffers<'_, S> {
        LockedTraceBuffers { buffers: self.each().collect() }
    }

    /// Locks the buffers one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, TraceBuffer<S>>> {
        self.buffers.iter().filter_map(|locked| lock::acquire(&locked.buffer, &self.origin))
    }
}

/// All buffers, locked.
pub(crate) struct LockedTraceBuffers<'h, S> {
    buffers: Vec<MutexGuard<'h, TraceBuffer<S>>>,
}

impl<S> LockedTraceBuffers<'_, S> {
    pub(crate) fn read(&self, stats: &mut Stats) {
        stats.buffered = self.buffers.iter().map(|buffer| buffer.spans()).sum();
        stats.evicted = self.buffers.iter().map(|buffer| buffer.evicted()).sum();
    }
}

/// The minimum memory of a buffer, which is the most that one trace may use.
const MIN_BUFFER_BYTES: usize = 256 * 1024;
