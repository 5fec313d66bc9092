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
use crate::encoding::{HEADER_MAX, Parts, SpanView, TRAILER_MAX};
use crate::span::core::SpanSink;
use crate::stats::{Dropped, Stats};

/// Finished spans in one piece of memory, with room for what surrounds them on the wire.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// `headroom` bytes that the header will take, then the spans.
    pub(crate) bytes: Vec<u8>,
    /// How many spans.
    pub(crate) spans: usize,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    buffer: Buffer,
    closed: bool,
}

/// The places a span can be in after it has left its shard.
#[derive(Debug, Default)]
struct Flow {
    in_queue: u64,
    sent: u64,
    datagrams: u64,
    trimmed: u64,
    dropped: Dropped,
}

/// All buffers of a tracer.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Box<[Shard]>,
    headroom: usize,
    /// The most bytes of spans a buffer takes; less once a smaller datagram size was learned.
    room: AtomicUsize,
    full: Sender<Buffer>,
    spare: Receiver<Vec<u8>>,
    flow: Mutex<Flow>,
}

impl Shards {
    /// `count` buffers for datagrams of `max_bytes`, of which `process_bytes` are the process.
    pub(crate) fn new(
        count: usize,
        (max_bytes, process_bytes): (usize, usize),
        full: Sender<Buffer>,
        spare: Receiver<Vec<u8>>,
    ) -> Self {
        let headroom = HEADER_MAX + process_bytes;
        let empty = || Shard {
            // Memory is taken when the first span comes.
            slot: Mutex::new(Slot {
                buffer: Buffer { bytes: Vec::new(), spans: 0 },
                closed: false,
            }),
        };
        Self {
            shards: (0..count.next_power_of_two()).map(|_| empty()).collect(),
            headroom,
            room: AtomicUsize::new(room_in(max_bytes, process_bytes)),
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
    pub(crate) fn shrink(&self, max_bytes: usize) {
        let process_bytes = self.headroom - HEADER_MAX;
        self.room.store(room_in(max_bytes, process_bytes), Ordering::Relaxed);
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

    /// Hands a full buffer over. If the queue is full its spans are dropped and counted: the newest
    /// go, and the application never waits.
    #[cold]
    fn hand_over(&self, slot: &mut Slot) {
        let spans = slot.buffer.spans as u64;
        if spans == 0 {
            return;
        }
        let buffer = std::mem::replace(&mut slot.buffer, Buffer { bytes: Vec::new(), spans: 0 });
        let mut flow = self.flow.lock();
        match self.full.try_send(buffer) {
            Ok(()) => flow.in_queue += spans,
            Err(TrySendError::Full(mut refused) | TrySendError::Disconnected(mut refused)) => {
                flow.dropped.queue_full += spans;
                refused.bytes.truncate(self.headroom);
                refused.spans = 0;
                slot.buffer = refused;
            }
        }
    }

    /// Gives an empty slot memory: used before, if there is any.
    #[cold]
    fn furnish(&self, slot: &mut Slot) {
        slot.buffer.bytes = self.spare.try_recv().unwrap_or_else(|_| {
            let mut bytes = Vec::with_capacity(self.headroom + self.room() + TRAILER_MAX);
            bytes.resize(self.headroom, 0);
            bytes
        });
    }

    /// Writes a span whose size is known into the slot.
    #[inline]
    fn write(&self, slot: &mut Slot, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let room = self.room();
        let mut used = slot.buffer.bytes.len().saturating_sub(self.headroom);
        if used + len > room {
            self.hand_over(slot);
            used = 0;
        }
        if slot.buffer.bytes.capacity() == 0 {
            self.furnish(slot);
        }
        write(&mut slot.buffer.bytes);
        slot.buffer.spans += 1;
        if used + len == room {
            self.hand_over(slot);
        }
    }

    /// A span that does not fit a datagram: trimmed to fit, or dropped.
    #[cold]
    fn accept_large(&self, lane: usize, span: &SpanView<'_>) -> bool {
        let trimmed = trim::to_fit(span, self.room());
        let mut slot = self.lock(lane);
        let closed = slot.closed;
        let mut flow = self.flow.lock();
        match trimmed {
            _ if closed => flow.dropped.closed += 1,
            None => flow.dropped.too_large += 1,
            Some(bytes) => {
                flow.trimmed += 1;
                drop(flow);
                self.write(&mut slot, bytes.len(), |out| out.extend_from_slice(&bytes));
            }
        }
        !closed
    }

    /// Takes what lies in the buffers, full or not. With `close`, nothing gets into them after it.
    pub(crate) fn steal(&self, close: bool, mut take: impl FnMut(Buffer)) {
        for shard in &self.shards {
            let mut slot = shard.slot.lock();
            slot.closed |= close;
            if slot.buffer.spans == 0 {
                continue;
            }
            let empty = Buffer { bytes: Vec::new(), spans: 0 };
            let buffer = std::mem::replace(&mut slot.buffer, empty);
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
}

/// What became of spans in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Sent,
    SendFailed,
    TooLarge,
}

impl SpanSink for Shards {
    #[inline]
    fn accept(&self, lane: usize, span: &SpanView<'_>) -> bool {
        let parts = Parts::of(span);
        let len = parts.len(span);
        if len > self.room() {
            return self.accept_large(lane, span);
        }
        let mut slot = self.lock(lane);
        if slot.closed {
            self.flow.lock().dropped.closed += 1;
            return false;
        }
        self.write(&mut slot, len, |out| parts.write(out, span));
        true
    }

    fn read(&self, stats: &mut Stats) {
        // With all locks held nothing moves, so that no span is counted twice or not at all.
        let slots: Vec<_> = self.shards.iter().map(|shard| shard.slot.lock()).collect();
        let flow = self.flow.lock();
        let in_buffers: u64 = slots.iter().map(|slot| slot.buffer.spans as u64).sum();
        stats.queued = in_buffers + flow.in_queue;
        stats.sent = flow.sent;
        stats.datagrams = flow.datagrams;
        stats.trimmed = flow.trimmed;
        stats.dropped = flow.dropped;
    }
}

/// What is left for spans in a datagram of `max_bytes`. 70 bytes are for the message around them,
/// the reserve of jaeger-client-go; the process counts too, which Go forgets.
fn room_in(max_bytes: usize, process_bytes: usize) -> usize {
    max_bytes.saturating_sub(MESSAGE_RESERVE_BYTES + process_bytes)
}

const MESSAGE_RESERVE_BYTES: usize = 70;
