//! The buffers that finished spans are written into, and the ledger of what became of them.
//!
//! Walk step 6. There are a few datagram-sized buffers, each behind its own lock; a thread has one
//! it tries first. A full one is handed to the reporter's thread through a bounded channel, once for
//! hundreds of spans. Every span is in exactly one place at any moment: in a buffer, in the queue,
//! or in one of the final counts; moving it between them is one step under the locks that
//! [`Shards::read`] takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::{Mutex, MutexGuard};

use super::trim;
use crate::encoding::{Finished, HEADER_MAX, MAX_FIXED_BYTES, SpanView, TRAILER_MAX};
use crate::stats::{Dropped, Stats};

/// Finished spans in one piece of memory, with room for what surrounds them on the wire.
// In this order: side by side, the two numbers would be changed by one instruction for both, and five
// that prepare it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Buffer {
    /// Where the spans end.
    pub(crate) end: usize,
    /// `headroom` bytes that the header will take, then the spans, then room for more. Empty until
    /// the first span comes.
    pub(crate) bytes: Vec<u8>,
    /// How many spans.
    pub(crate) spans: usize,
}

impl Buffer {
    fn empty(headroom: usize) -> Self {
        Self { bytes: Vec::new(), end: headroom, spans: 0 }
    }
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    buffer: Buffer,
    /// Spans that surely end before it are written without a further look; 0 if there is no memory,
    /// or a new limit, or the slot is closed.
    limit: usize,
    closed: bool,
}

/// The places a span can be in after it has left its shard.
#[derive(Debug, Default)]
struct Flow {
    in_queue: u64,
    sent: u64,
    datagrams: u64,
    trimmed: u64,
    possible_duplicates: u64,
    unconfirmed: u64,
    dropped: Dropped,
    /// The span that was lost last because it was too large, for people.
    too_large: Option<String>,
}

/// All buffers of a tracer.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Box<[Shard]>,
    headroom: usize,
    /// The most bytes of spans a buffer takes; less once a smaller datagram size was learned.
    room: AtomicUsize,
    /// The largest span that some output takes whole; it has a buffer to itself if it must.
    whole: usize,
    full: Sender<Buffer>,
    spare: Receiver<Vec<u8>>,
    flow: Mutex<Flow>,
}

impl Shards {
    /// `count` buffers for datagrams of `max_bytes`, of which `process_bytes` are the process; spans
    /// of `whole` bytes are taken even if that is more.
    pub(crate) fn new(
        count: usize,
        (max_bytes, process_bytes, whole): (usize, usize, usize),
        full: Sender<Buffer>,
        spare: Receiver<Vec<u8>>,
    ) -> Self {
        let headroom = HEADER_MAX + process_bytes;
        let empty = || Shard {
            // Memory is taken when the first span comes.
            slot: Mutex::new(Slot { buffer: Buffer::empty(headroom), limit: 0, closed: false }),
        };
        Self {
            shards: (0..count.next_power_of_two()).map(|_| empty()).collect(),
            headroom,
            room: AtomicUsize::new(room_in(max_bytes, process_bytes)),
            whole,
            full,
            spare,
            flow: Mutex::default(),
        }
    }

    pub(crate) fn headroom(&self) -> usize {
        self.headroom
    }

    /// The most bytes of spans that one datagram takes.
    pub(crate) fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Makes datagrams of `max_bytes` the largest from here on.
    pub(crate) fn resize(&self, max_bytes: usize) {
        let process_bytes = self.headroom - HEADER_MAX;
        self.room.store(room_in(max_bytes, process_bytes), Ordering::Relaxed);
        // Whoever writes next looks at the new limit.
        for shard in &self.shards {
            shard.slot.lock().limit = 0;
        }
    }

    /// The thread's own shard, or the next one that is not in use.
    #[inline]
    fn lock(&self, lane: usize) -> MutexGuard<'_, Slot> {
        let mask = self.shards.len() - 1;
        match self.shards[lane & mask].slot.try_lock() {
            Some(slot) => slot,
            None => self.lock_contended(lane & mask),
        }
    }

    #[cold]
    fn lock_contended(&self, first: usize) -> MutexGuard<'_, Slot> {
        let mask = self.shards.len() - 1;
        let next = (1..=mask).find_map(|step| self.shards[(first + step) & mask].slot.try_lock());
        next.unwrap_or_else(|| self.shards[first].slot.lock())
    }

    /// Takes a finished, sampled span. `lane` is the number of the calling thread. False if the
    /// tracer is closed; the span is counted all the same.
    #[inline(always)]
    pub(crate) fn accept(&self, lane: usize, span: Finished<'_>) -> bool {
        let bound = span.max_len();
        let mut slot = self.lock(lane);
        let Slot { buffer, limit, .. } = &mut *slot;
        if buffer.end + bound < *limit
            && let Some(free) = buffer.bytes.get_mut(buffer.end..)
        {
            buffer.end += span.write(free);
            buffer.spans += 1;
            return true;
        }
        self.accept_slowly(lane, slot, span)
    }

    /// Takes a span that may not fit beside those that are there.
    #[cold]
    #[inline(never)]
    fn accept_slowly(
        &self,
        lane: usize,
        mut slot: MutexGuard<'_, Slot>,
        span: Finished<'_>,
    ) -> bool {
        if slot.closed {
            self.flow.lock().dropped.closed += 1;
            return false;
        }
        // Near the end of a buffer the size has to be known exactly.
        let (room, len) = (self.room(), span.encoded_len());
        if len > room {
            drop(slot);
            return self.accept_large(lane, room, &span.as_view(&mut Default::default()));
        }
        self.write(&mut slot, (room, len), |out| span.write_aside(out));
        true
    }

    /// Takes a finished span that was encoded before it became a sampled one. False if the tracer is
    /// closed; the span is counted all the same.
    #[cold]
    pub(crate) fn accept_view(&self, lane: usize, span: &SpanView<'_>) -> bool {
        let (room, len) = (self.room(), span.encoded_len());
        if len > room {
            return self.accept_large(lane, room, span);
        }
        let mut slot = self.lock(lane);
        if slot.closed {
            self.flow.lock().dropped.closed += 1;
            return false;
        }
        self.write(&mut slot, (room, len), |out| span.write(out));
        true
    }

    /// Adds what became of the spans taken so far, as one consistent reading.
    pub(crate) fn read(&self, stats: &mut Stats) {
        // With all locks held nothing moves, so that no span is counted twice or not at all.
        let slots: Vec<_> = self.shards.iter().map(|shard| shard.slot.lock()).collect();
        let flow = self.flow.lock();
        let in_buffers: u64 = slots.iter().map(|slot| slot.buffer.spans as u64).sum();
        stats.queued = in_buffers + flow.in_queue;
        stats.sent = flow.sent;
        stats.datagrams = flow.datagrams;
        stats.trimmed = flow.trimmed;
        stats.possible_duplicates = flow.possible_duplicates;
        stats.unconfirmed = flow.unconfirmed;
        stats.dropped = flow.dropped;
    }

    /// Hands a full buffer over. If the queue is full its spans are dropped and counted: the newest
    /// go, and the application never waits.
    #[cold]
    fn hand_over(&self, slot: &mut Slot) {
        let spans = slot.buffer.spans as u64;
        if spans == 0 {
            return;
        }
        let buffer = std::mem::replace(&mut slot.buffer, Buffer::empty(self.headroom));
        let mut flow = self.flow.lock();
        match self.full.try_send(buffer) {
            Ok(()) => {
                flow.in_queue += spans;
                slot.limit = 0;
            }
            Err(TrySendError::Full(mut refused) | TrySendError::Disconnected(mut refused)) => {
                flow.dropped.queue_full += spans;
                refused.end = self.headroom;
                refused.spans = 0;
                slot.buffer = refused;
            }
        }
    }

    /// Writes a span that may not fit beside those that are there, whose exact size is known.
    #[cold]
    fn write(
        &self,
        slot: &mut Slot,
        (room, len): (usize, usize),
        write: impl FnOnce(&mut [u8]) -> usize,
    ) {
        if slot.buffer.end - self.headroom + len > room {
            self.hand_over(slot);
        }
        let buffer = &mut slot.buffer;
        if buffer.bytes.is_empty() {
            // Memory that was used before, if there is any.
            buffer.bytes = self.spare.try_recv().unwrap_or_default();
        }
        // A writer may go beyond a span's end by as much as it may overestimate its size, and the
        // trailer comes behind the last span. The memory may be from before a change of the limit.
        let full = self.headroom + room.max(len) + MAX_FIXED_BYTES + TRAILER_MAX;
        if buffer.bytes.len() < full {
            buffer.bytes.resize(full, 0);
        }
        buffer.end += write(&mut buffer.bytes[buffer.end..]);
        buffer.spans += 1;
        // The room is read again: it may have been learned meanwhile.
        slot.limit = (self.headroom + self.room()).min(buffer.bytes.len() - TRAILER_MAX);
        if buffer.end - self.headroom >= room {
            self.hand_over(slot);
        }
    }

    /// A span that does not fit a datagram: kept whole for an output that takes it so, trimmed to
    /// fit, or dropped.
    #[cold]
    fn accept_large(&self, lane: usize, room: usize, span: &SpanView<'_>) -> bool {
        // Before the lock: it takes its time, and others may want the slot.
        let keep = span.encoded_len() <= self.whole;
        let bytes = if keep {
            let mut bytes = Vec::new();
            span.encode(&mut bytes);
            Some(bytes)
        } else {
            trim::to_fit(span, room.max(self.whole))
        };
        let mut slot = self.lock(lane);
        if slot.closed {
            self.flow.lock().dropped.closed += 1;
            return false;
        }
        match bytes {
            None => {
                let which = Some(trim::described(span));
                let mut flow = self.flow.lock();
                flow.dropped.too_large += 1;
                flow.too_large = which;
            }
            Some(bytes) => {
                self.flow.lock().trimmed += u64::from(!keep);
                self.write(&mut slot, (room, bytes.len()), |out| {
                    if let Some(out) = out.get_mut(..bytes.len()) {
                        out.copy_from_slice(&bytes);
                    }
                    bytes.len()
                });
            }
        }
        true
    }

    /// Counts a span that was cut on its way out.
    pub(crate) fn count_trimmed(&self) {
        self.flow.lock().trimmed += 1;
    }

    /// Counts spans that were sent again, and may have been processed before.
    pub(crate) fn count_possible_duplicates(&self, spans: usize) {
        self.flow.lock().possible_duplicates += spans as u64;
    }

    /// Counts spans that were lost, and may have been processed all the same.
    pub(crate) fn count_unconfirmed(&self, spans: usize) {
        self.flow.lock().unconfirmed += spans as u64;
    }

    /// Takes what lies in the buffers, full or not. With `close`, nothing gets into them after it.
    pub(crate) fn steal(&self, close: bool, mut take: impl FnMut(Buffer)) {
        for shard in &self.shards {
            let mut slot = shard.slot.lock();
            slot.closed |= close;
            if close {
                slot.limit = 0;
            }
            if slot.buffer.spans == 0 {
                continue;
            }
            let buffer = std::mem::replace(&mut slot.buffer, Buffer::empty(self.headroom));
            slot.limit = 0;
            self.flow.lock().in_queue += buffer.spans as u64;
            drop(slot);
            take(buffer);
        }
    }

    /// Counts spans that have left the queue.
    pub(crate) fn settle(&self, spans: usize, outcome: Outcome) {
        let spans = spans as u64;
        let mut flow = self.flow.lock();
        flow.in_queue = flow.in_queue.saturating_sub(spans);
        match outcome {
            Outcome::Sent => {
                flow.sent += spans;
                flow.datagrams += 1;
            }
            Outcome::SendFailed => flow.dropped.send_failed += spans,
            Outcome::TooLarge => flow.dropped.too_large += spans,
        }
    }

    /// Spans counted as sent turn out to have been refused.
    pub(crate) fn unsend(&self, spans: usize) {
        let mut flow = self.flow.lock();
        let spans = flow.sent.min(spans as u64);
        flow.sent -= spans;
        flow.dropped.send_failed += spans;
    }

    pub(crate) fn dropped(&self) -> Dropped {
        self.flow.lock().dropped
    }

    /// Which span was lost last because it was too large, if any was since this was asked.
    pub(crate) fn take_too_large(&self) -> Option<String> {
        self.flow.lock().too_large.take()
    }
}

/// What became of spans in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Sent,
    SendFailed,
    TooLarge,
}

/// What is left for spans in a datagram of `max_bytes`. 70 bytes are for the message around them,
/// the reserve of jaeger-client-go; the process counts too, which Go forgets.
pub(crate) fn room_in(max_bytes: usize, process_bytes: usize) -> usize {
    max_bytes.saturating_sub(MESSAGE_RESERVE_BYTES + process_bytes)
}

const MESSAGE_RESERVE_BYTES: usize = 70;
