//! A buffer of finished spans, and the bounds of a queue of them.

use crate::encoding::{ShortRoom, TRAILER_MAX};
use crate::stats::QueueStats;

/// Finished spans in one piece of memory, with room for the header and trailer of the message.
// The two numbers are not next to each other: otherwise the compiler merges their updates into one
// of a vector register, which is slower.
#[derive(Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Buffer {
    /// The end of the spans.
    pub(crate) end: usize,
    /// `headroom` bytes for the header, then the spans, then free room. Empty until the first span
    /// is written.
    pub(crate) bytes: Vec<u8>,
    /// The number of spans.
    pub(crate) spans: usize,
}

impl Buffer {
    /// Returns the memory for a short span behind the others, if all of it is before `limit`.
    #[inline(always)]
    pub(super) fn short_room(&mut self, limit: usize) -> Option<&mut ShortRoom> {
        // The mask gives the compiler a limit, so that the sum needs no check.
        let at = self.end & u32::MAX as usize;
        let end = at.wrapping_add(size_of::<ShortRoom>());
        if end > limit {
            return None;
        }
        self.bytes.get_mut(at..end)?.first_chunk_mut()
    }

    /// Copies the spans of another buffer into this one's memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&other.bytes[..other.end]);
        (self.end, self.spans) = (other.end, other.spans);
    }

    /// Returns the memory that the buffer takes, in bytes.
    fn held_bytes(&self) -> usize {
        self.bytes.capacity() + size_of::<Self>()
    }

    /// Returns what the buffer takes of a queue.
    pub(crate) fn usage(&self) -> QueueUse {
        QueueUse { spans: self.spans, bytes: self.held_bytes() }
    }

    /// Returns what the buffer takes once it is compact.
    pub(super) fn compact_usage(&self) -> QueueUse {
        let bytes = self.compact_len() + size_of::<Self>();
        if self.is_compact() { self.usage() } else { QueueUse { bytes, ..self.usage() } }
    }

    /// The spans with room for a header and a trailer.
    fn compact_len(&self) -> usize {
        self.end + TRAILER_MAX
    }

    /// Returns whether at most a quarter of the memory is unused.
    fn is_compact(&self) -> bool {
        self.compact_len() >= self.bytes.capacity() / 4 * 3
    }

    /// Moves the spans to memory of their size, unless they use most of theirs. Returns the memory
    /// that is free then.
    pub(crate) fn compact(&mut self) -> Option<Vec<u8>> {
        if self.is_compact() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.compact_len());
        bytes.extend_from_slice(self.bytes.get(..self.end)?);
        bytes.resize(self.compact_len(), 0);
        Some(std::mem::replace(&mut self.bytes, bytes))
    }

    pub(super) fn empty(headroom: usize) -> Self {
        Self { bytes: Vec::new(), end: headroom, spans: 0 }
    }
}

/// What buffers take of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueUse {
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
}

impl QueueUse {
    pub(crate) const fn add(&mut self, more: Self) {
        self.spans += more.spans;
        self.bytes += more.bytes;
    }

    pub(crate) const fn remove(&mut self, less: Self) {
        self.spans = self.spans.saturating_sub(less.spans);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// The maximum number of spans.
    pub(crate) spans: usize,
    /// The maximum memory of all buffers together.
    pub(crate) bytes: usize,
}

impl QueueLimits {
    /// Returns whether a queue of these limits has room for more. A queue without spans accepts any
    /// buffer, so that one that exceeds the limits is sent.
    pub(crate) const fn admit(self, used: QueueUse, more: QueueUse) -> bool {
        let fits = used.spans.saturating_add(more.spans) <= self.spans
            && used.bytes.saturating_add(more.bytes) <= self.bytes;
        fits || used.spans == 0
    }

    pub(crate) const fn stats(self, used: QueueUse) -> QueueStats {
        QueueStats {
            spans: used.spans as u64,
            max_spans: self.spans as u64,
            bytes: used.bytes as u64,
            max_bytes: self.bytes as u64,
        }
    }
}
