//! The buffers that finished spans are written into, and the span accounting.
//!
//! Step 6 in the life of a span. There are a few datagram-sized buffers, each behind its own lock;
//! each thread has one that it tries first. A full buffer is passed to the reporter's thread
//! through a bounded queue, once for hundreds of spans. Every span is in exactly one place at any
//! moment: in a buffer, in the queue, or in one of the final counts; moving it between them is one
//! step under the locks that [`ShardedBuffers::read`] takes.
//!
//! The functions are in the order of a span's path: `accept`, `place_span`, `hand_over`, `next_queued`, the queue's
//! `push` and `pop` behind them.

mod accounting;
#[cfg(test)]
mod tests;
mod views;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::buffer::{Buffer, QueueLimits, QueueUse};
use super::outcome::{Accepted, OutcomeCounts};
use super::trim;
use crate::encoding::{
    HEADER_MAX, Ids, MAX_FIXED_BYTES, MAX_LIST_BYTES, SpanDraft, SpanParts, TRAILER_MAX,
};
use crate::fork::ProcessOrigin;
use crate::lock::{self, Mutex, MutexGuard};
use crate::stats::QueueStats;
use crate::thread_index::{assigned_index, thread_index};

#[derive(Debug)]
#[repr(align(128))]
struct LockedShard {
    shard: Mutex<Shard>,
}

#[derive(Debug)]
struct Shard {
    buffer: Buffer,
    /// Spans that surely end before this offset are written without further checks; 0 if there is
    /// no memory, or a new limit, or the shard is closed.
    limit: usize,
    closed: bool,
}

/// The counts of spans that have left their shard.
#[derive(Debug)]
struct BufferCounts {
    queue: Queue,
    /// Spans in the queue, and those that the reporter's thread is sending.
    in_queue: u64,
    outcomes: OutcomeCounts,
    /// The description of the last span that was too large, for the log.
    too_large: Option<String>,
}

/// All buffers of a tracer.
#[derive(Debug)]
pub(crate) struct ShardedBuffers {
    shards: Box<[LockedShard]>,
    headroom: usize,
    /// The maximum length of the spans in a buffer; smaller once a smaller datagram size was
    /// learned.
    room: AtomicUsize,
    /// The size of the largest span that some destination accepts without trimming; such a span gets
    /// its own buffer if necessary.
    max_whole_span: usize,
    /// Memory of sent buffers; none once all is closed.
    spare: Mutex<Option<Receiver<Vec<u8>>>>,
    counts: Mutex<BufferCounts>,
    origin: ProcessOrigin,
    /// The number of spans that a forked process has lost.
    lost_in_fork: AtomicU64,
}

impl ShardedBuffers {
    /// Makes `count` buffers for datagrams of `max_bytes`, of which the process takes
    /// `process_bytes`; spans of up to `max_whole_span` bytes are accepted even if that is more. `wake`
    /// notifies the reporter's thread of a full buffer.
    pub(crate) fn new(
        count: usize,
        (max_bytes, process_bytes, max_whole_span): (usize, usize, usize),
        limits: QueueLimits,
        (wake, spare): (Sender<()>, Receiver<Vec<u8>>),
        origin: &ProcessOrigin,
    ) -> Self {
        let headroom = HEADER_MAX + process_bytes;
        let empty = || LockedShard {
            // Memory is allocated for the first span.
            shard: Mutex::new(Shard { buffer: Buffer::empty(headroom), limit: 0, closed: false }),
        };
        Self {
            shards: (0..count.next_power_of_two()).map(|_| empty()).collect(),
            headroom,
            room: AtomicUsize::new(room_in(max_bytes, process_bytes)),
            max_whole_span,
            spare: Mutex::new(Some(spare)),
            counts: Mutex::new(BufferCounts {
                queue: Queue::new(limits, wake),
                in_queue: 0,
                outcomes: OutcomeCounts::default(),
                too_large: None,
            }),
            origin: origin.clone(),
            lost_in_fork: AtomicU64::new(0),
        }
    }

    pub(crate) fn headroom(&self) -> usize {
        self.headroom
    }

    /// Returns the maximum length of the spans in a datagram.
    pub(crate) fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Writes a finished, sampled span.
    #[inline(always)]
    pub(crate) fn accept(&self, span: SpanParts<'_>) -> Accepted {
        // The parts one by one: the whole would be in memory from its beginning.
        let SpanParts { ids, flags, draft, .. } = span;
        let times = (span.start_nanos, span.duration_nanos);
        if !span.is_short() {
            return self.accept_long(ids, flags, times, draft);
        }
        let Some(mut shard) = self.lock() else { return self.reject_closed() };
        let Shard { buffer, limit, .. } = &mut *shard;
        let Some(room) = buffer.short_room(*limit) else {
            return self.accept_checked(shard, ids, flags, times, draft);
        };
        buffer.end += span.write_short(room);
        buffer.spans += 1;
        Accepted::Yes
    }

    /// Writes a span that is not short.
    #[cold]
    #[inline(never)]
    fn accept_long(&self, ids: &Ids, flags: u8, times: (i64, u64), draft: &SpanDraft) -> Accepted {
        match self.lock() {
            Some(shard) => self.accept_checked(shard, ids, flags, times, draft),
            None => self.reject_closed(),
        }
    }

    /// Writes a span that is not short, or for which the buffer may lack room.
    #[inline(never)]
    fn accept_checked(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        ids: &Ids,
        flags: u8,
        times: (i64, u64),
        draft: &SpanDraft,
    ) -> Accepted {
        let span = SpanParts::new(ids, flags, times, draft);
        let bound = span.max_len();
        let Shard { buffer, limit, .. } = &mut *shard;
        if buffer.end + bound < *limit
            && let Some(free) = buffer.bytes.get_mut(buffer.end..)
        {
            buffer.end += span.write(free);
            buffer.spans += 1;
            return Accepted::Yes;
        }
        self.accept_slowly(shard, span)
    }

    /// Writes a span that may not fit into the buffer.
    #[cold]
    #[inline(never)]
    fn accept_slowly(&self, mut shard: MutexGuard<'_, Shard>, span: SpanParts<'_>) -> Accepted {
        if shard.closed || self.origin.is_forked() {
            return self.reject_closed();
        }
        if span.is_too_large() {
            drop(shard);
            let name = trim::beginning_of(span.name().as_bytes());
            self.count_too_large(format!("span {name:?} of more than {MAX_LIST_BYTES} bytes"));
            return Accepted::Yes;
        }
        // Near the end of a buffer the exact size is needed.
        let (room, len) = (self.room(), span.encoded_len());
        if len > room {
            drop(shard);
            return self.accept_large(room, &span.as_view(&mut Default::default()));
        }
        self.place_span(&mut shard, (room, len), |out| span.write_cold(out));
        Accepted::Yes
    }

    /// Places a span of known size, which `encode` writes, in the buffer, or in an empty one if it does
    /// not fit.
    #[cold]
    fn place_span(
        &self,
        shard: &mut Shard,
        (room, len): (usize, usize),
        encode: impl FnOnce(&mut [u8]) -> usize,
    ) {
        if shard.buffer.end - self.headroom + len > room {
            self.hand_over(shard);
        }
        let buffer = &mut shard.buffer;
        if buffer.bytes.is_empty() {
            // Memory of an earlier buffer, if there is any.
            buffer.bytes = self.spare_memory().unwrap_or_default();
        }
        // A writer may go beyond a span's end by as much as it may overestimate its size, and the
        // trailer follows the last span. The memory may be from before a change of the limit.
        let full = self.headroom + room.max(len) + MAX_FIXED_BYTES + TRAILER_MAX;
        if buffer.bytes.len() < full && buffer.spans == 0 {
            // Zeroed pages come from the system; no memory is filled.
            buffer.bytes = vec![0; full];
        } else if buffer.bytes.len() < full {
            buffer.bytes.resize(full, 0);
        } else if buffer.spans == 0 && buffer.bytes.capacity() > 2 * full {
            // The queue is bounded in memory: unused memory must not count.
            buffer.bytes.truncate(full);
            buffer.bytes.shrink_to_fit();
        }
        buffer.end += encode(&mut buffer.bytes[buffer.end..]);
        buffer.spans += 1;
        // Read again, as a smaller limit may have been learned meanwhile.
        shard.limit = (self.headroom + self.room()).min(buffer.bytes.len() - TRAILER_MAX);
        if buffer.end - self.headroom >= room {
            self.hand_over(shard);
        }
    }

    fn spare_memory(&self) -> Option<Vec<u8>> {
        lock::acquire(&self.spare, &self.origin)?.as_ref()?.try_recv().ok()
    }

    /// Pushes a full buffer to the queue. If the queue is full its spans are dropped and counted:
    /// the newest go, and the application never waits.
    #[cold]
    fn hand_over(&self, shard: &mut Shard) {
        let spans = shard.buffer.spans as u64;
        if spans == 0 {
            return;
        }
        let Some(mut counts) = self.counts() else { return };
        let buffer = std::mem::replace(&mut shard.buffer, Buffer::empty(self.headroom));
        match counts.queue.push(buffer) {
            Ok(unused) => {
                counts.in_queue += spans;
                shard.limit = 0;
                shard.buffer.bytes = unused.unwrap_or_default();
            }
            Err(mut refused) => {
                counts.outcomes.dropped.queue_full += spans;
                refused.end = self.headroom;
                refused.spans = 0;
                shard.buffer = refused;
            }
        }
    }

    /// Takes the oldest buffer from the queue. Its spans are `queued` until they are settled.
    pub(crate) fn next_queued(&self) -> Option<Buffer> {
        self.counts()?.queue.pop()
    }

    /// Returns the number of buffers in the queue.
    pub(crate) fn queued_buffers(&self) -> usize {
        self.counts().map_or(0, |counts| counts.queue.len())
    }

    /// Takes the contents of all buffers, full or not. With `close`, no span is accepted after it, and no
    /// memory is kept.
    pub(crate) fn take_partial(&self, close: bool, mut take: impl FnMut(Buffer)) {
        for locked in &self.shards {
            let Some(mut shard) = lock::acquire(&locked.shard, &self.origin) else { continue };
            shard.closed |= close;
            if close {
                shard.limit = 0;
            }
            if shard.buffer.spans == 0 && !close {
                continue;
            }
            let buffer = std::mem::replace(&mut shard.buffer, Buffer::empty(self.headroom));
            shard.limit = 0;
            self.change_counts(|counts| counts.in_queue += buffer.spans as u64);
            drop(shard);
            if buffer.spans > 0 {
                take(buffer);
            }
        }
        if close {
            let spare = lock::acquire(&self.spare, &self.origin).and_then(|mut spare| spare.take());
            drop(spare);
        }
    }

    /// Sets the maximum size of datagrams.
    pub(crate) fn resize(&self, max_bytes: usize) {
        let process_bytes = self.headroom - HEADER_MAX;
        self.room.store(room_in(max_bytes, process_bytes), Ordering::Relaxed);
        // The next writer of each shard reads the new limit.
        for locked in &self.shards {
            if let Some(mut shard) = lock::acquire(&locked.shard, &self.origin) {
                shard.limit = 0;
            }
        }
    }

    /// Locks the calling thread's own shard, or the next one that is free. Returns `None` in a forked
    /// process whose own shard may be locked for ever.
    #[inline(always)]
    fn lock(&self) -> Option<MutexGuard<'_, Shard>> {
        // A thread that has no index yet uses the last shard.
        let own = assigned_index() & (self.shards.len() - 1);
        match self.shards[own].shard.try_lock() {
            Some(shard) => Some(shard),
            None => self.lock_contended(own),
        }
    }

    #[cold]
    fn lock_contended(&self, first: usize) -> Option<MutexGuard<'_, Shard>> {
        if self.origin.is_forked() {
            return None;
        }
        // A thread that only finishes spans has its own shard once it met another thread.
        let _ = thread_index();
        let mask = self.shards.len() - 1;
        let next = (1..=mask).find_map(|step| self.shards[(first + step) & mask].shard.try_lock());
        next.or_else(|| lock::acquire(&self.shards[first].shard, &self.origin))
    }

    /// Locks the counts of the buffers. Returns `None` in a forked process that may never get the
    /// lock.
    fn counts(&self) -> Option<MutexGuard<'_, BufferCounts>> {
        lock::acquire(&self.counts, &self.origin)
    }

    fn change_counts(&self, change: impl FnOnce(&mut BufferCounts)) {
        if let Some(mut counts) = self.counts() {
            change(&mut counts);
        }
    }

    /// Counts a span that is finished after the close, or whose lock was lost in a fork.
    #[cold]
    fn reject_closed(&self) -> Accepted {
        match self.counts() {
            Some(mut counts) => counts.outcomes.dropped.closed += 1,
            None => self.count_lost_in_fork(),
        }
        Accepted::Closed
    }

    /// Counts a span that is dropped because it is too large, with what is logged of it.
    fn count_too_large(&self, description: String) {
        self.change_counts(|counts| {
            counts.outcomes.dropped.too_large += 1;
            counts.too_large = Some(description);
        });
    }

    /// Counts a span that is lost because the process was forked.
    #[cold]
    fn count_lost_in_fork(&self) {
        self.lost_in_fork.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes what can be closed in a forked process, which has no reporter thread: the channels
    /// may have been left in the middle of a change, and are not used any more.
    #[cold]
    pub(crate) fn close_in_fork(&self) {
        for shard in self.shards.iter().filter_map(|locked| locked.shard.try_lock()) {
            let mut shard = shard;
            shard.closed = true;
            shard.limit = 0;
        }
    }
}

/// The queue of full buffers to the reporter's thread, bounded in spans and in bytes. It is behind the lock of the
/// counts: a buffer is pushed and counted in one step.
#[derive(Debug)]
struct Queue {
    buffers: VecDeque<Buffer>,
    used: QueueUse,
    limits: QueueLimits,
    /// Wakes the reporter's thread; has room for one message, which stands for any number.
    wake: Sender<()>,
}

impl Queue {
    fn new(limits: QueueLimits, wake: Sender<()>) -> Self {
        Self { buffers: VecDeque::new(), used: QueueUse::default(), limits, wake }
    }

    fn len(&self) -> usize {
        self.buffers.len()
    }

    fn stats(&self) -> QueueStats {
        self.limits.stats(self.used)
    }

    /// Pushes a buffer, or returns it if there is no room, or no thread to send it. Returns memory
    /// that the buffer did not need.
    fn push(&mut self, mut buffer: Buffer) -> Result<Option<Vec<u8>>, Buffer> {
        // While the reporter keeps up, memory is better reused than compacted.
        let compacts = self.used.bytes > self.limits.bytes / COMPACT_FROM;
        let more = if compacts { buffer.compact_usage() } else { buffer.usage() };
        let fits = self.limits.admit(self.used, more);
        if !fits || matches!(self.wake.try_send(()), Err(TrySendError::Disconnected(()))) {
            return Err(buffer);
        }
        let unused = if compacts { buffer.compact() } else { None };
        self.used.add(buffer.usage());
        self.buffers.push_back(buffer);
        Ok(unused)
    }

    fn pop(&mut self) -> Option<Buffer> {
        let buffer = self.buffers.pop_front()?;
        self.used.remove(buffer.usage());
        Some(buffer)
    }
}

/// Returns the room for spans in a datagram of `max_bytes`. 70 bytes are reserved for the message
/// around them, as in jaeger-client-go; the process counts too, which Go forgets.
pub(crate) fn room_in(max_bytes: usize, process_bytes: usize) -> usize {
    max_bytes.saturating_sub(MESSAGE_RESERVE_BYTES + process_bytes)
}

const MESSAGE_RESERVE_BYTES: usize = 70;

/// The part of the bytes from which on buffers are compacted: an eighth.
const COMPACT_FROM: usize = 8;
