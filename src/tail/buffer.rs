//! The buffer of finished spans of unsampled traces, ordered by age.
//!
//! Each trace has one piece of memory with its spans one after the other, so that they are flushed
//! or discarded together. The total memory is bounded: when it is used up, the trace that has been
//! buffered longest is evicted, and a trace that needs more than there is loses its own oldest
//! spans. The memory of a discarded trace is reused for the next one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;

use crate::encoding::{SpanParts, SpanView};
use crate::id::{IdHasher, TraceId};

/// Identifies a trace in its buffer. The id of a discarded trace identifies nothing, even if its
/// slot is in use again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

impl SlotId {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    fn new(slot: usize, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | (slot as u64 & SLOT_BITS))
    }

    fn slot(self) -> usize {
        usize::try_from(self.0 & SLOT_BITS).unwrap_or(usize::MAX)
    }
}

/// The bits of an id that are a slot; the others are a generation, which is never zero.
const SLOT_BITS: u64 = 0xffff_ffff;

/// The spans of one trace.
#[derive(Debug)]
struct Trace {
    /// Always filled to its end, so that writing needs only an offset.
    bytes: Vec<u8>,
    end: usize,
    spans: u64,
    generation: u32,
    /// The neighbours by age; [`NO_SLOT`] at the ends.
    older: usize,
    newer: usize,
}

const NO_SLOT: usize = usize::MAX;

/// The traces that share one lock, and the state `S` of those that have open spans.
#[derive(Debug)]
pub(crate) struct TraceBuffer<S> {
    open: HashMap<TraceId, S, BuildHasherDefault<IdHasher>>,
    slots: Vec<Trace>,
    oldest: usize,
    newest: usize,
    /// Free slots with the memory of their last trace.
    free: Vec<usize>,
    /// Free slots without memory.
    without_memory: Vec<usize>,
    /// The memory of all slots, and its limit.
    used: usize,
    max_bytes: usize,
    spans: u64,
    evicted: u64,
    closed: bool,
}

impl<S> TraceBuffer<S> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            open: HashMap::default(),
            slots: Vec::new(),
            oldest: NO_SLOT,
            newest: NO_SLOT,
            free: Vec::new(),
            without_memory: Vec::new(),
            used: 0,
            max_bytes,
            spans: 0,
            evicted: 0,
            closed: false,
        }
    }

    /// Returns the number of buffered spans.
    pub(crate) fn spans(&self) -> u64 {
        self.spans
    }

    /// Returns the number of evicted spans, including those that were never buffered for want of
    /// room.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the state of a trace with open spans.
    pub(crate) fn open(&self, trace_id: TraceId) -> Option<&S> {
        self.open.get(&trace_id)
    }

    /// Stores the state of a trace at the start of its first open span.
    pub(crate) fn set_open(&mut self, trace_id: TraceId, state: S) {
        self.open.insert(trace_id, state);
    }

    /// Removes the state of a trace at the end of its last open span.
    pub(crate) fn set_finished(&mut self, trace_id: TraceId) {
        self.open.remove(&trace_id);
        // After a burst of open traces, the memory of the map is freed.
        if self.open.capacity() > MANY_TRACES && self.open.len() < self.open.capacity() / 8 {
            self.open.shrink_to(MANY_TRACES);
        }
    }

    /// Buffers a span of the trace that `key` identifies; `key` is set if it identified nothing.
    /// Returns how many spans were evicted to make room, this one included if there is none.
    pub(crate) fn push(&mut self, key: &mut SlotId, span: SpanParts<'_>) -> u64 {
        if self.closed {
            return 1;
        }
        let before = self.evicted;
        if self.find(*key).is_none() {
            *key = self.begin();
        }
        if !self.write(*key, span) {
            self.evicted += 1;
        }
        if self.find(*key).is_some_and(|slot| self.slots[slot].spans == 0) {
            self.discard(*key);
            *key = SlotId::NONE;
        }
        self.evicted - before
    }

    /// Calls `each` with all spans of a trace, the oldest first, and removes them.
    pub(crate) fn flush(&mut self, key: SlotId, mut each: impl FnMut(SpanView<'_>)) {
        if let Some(slot) = self.find(key) {
            let trace = &self.slots[slot];
            let mut rest = trace.bytes.get(..trace.end).unwrap_or_default();
            // The bytes are from the crate's own writer, so that all of them parse.
            while let Ok((span, taken)) = SpanView::parse(rest) {
                each(span);
                rest = rest.get(taken..).unwrap_or_default();
            }
            self.discard(key);
        }
    }

    /// Discards the spans of a trace, and returns how many they were.
    pub(crate) fn discard(&mut self, key: SlotId) -> u64 {
        let Some(slot) = self.find(key) else { return 0 };
        self.unlink(slot);
        let trace = &mut self.slots[slot];
        let spans = mem::take(&mut trace.spans);
        trace.end = 0;
        trace.generation = trace.generation.wrapping_add(1).max(1);
        self.spans -= spans;
        self.free.push(slot);
        if self.slots[slot].bytes.len() > MAX_SPARE_BYTES {
            self.free_spare();
        }
        spans
    }

    /// Discards all spans, frees all memory and buffers nothing any more. Returns how many spans
    /// were discarded.
    pub(crate) fn close(&mut self) -> u64 {
        let (spans, evicted) = (self.spans, self.evicted);
        *self = Self { evicted, closed: true, ..Self::new(0) };
        spans
    }

    fn find(&self, key: SlotId) -> Option<usize> {
        let slot = key.slot();
        let trace = self.slots.get(slot)?;
        (SlotId::new(slot, trace.generation) == key).then_some(slot)
    }

    /// Takes a slot for a trace, as the youngest.
    fn begin(&mut self) -> SlotId {
        // Under pressure the oldest trace's memory is reused, rather than freed and allocated
        // again.
        if self.free.is_empty() && self.used + SLOT_BYTES + MIN_BYTES > self.max_bytes {
            self.evict_oldest();
        }
        let slot = self.free.pop().or_else(|| self.without_memory.pop()).unwrap_or_else(|| {
            let (bytes, generation) = (Vec::new(), 1);
            let (older, newer) = (NO_SLOT, NO_SLOT);
            self.slots.push(Trace { bytes, end: 0, spans: 0, generation, older, newer });
            self.used += SLOT_BYTES;
            self.slots.len() - 1
        });
        self.link_newest(slot);
        SlotId::new(slot, self.slots[slot].generation)
    }

    /// Writes a span behind the others of its trace. Returns false if there is no room even after
    /// all evictions.
    fn write(&mut self, key: SlotId, span: SpanParts<'_>) -> bool {
        let Some(slot) = self.find(key).filter(|_| !span.is_too_large()) else { return false };
        let len = span.max_len();
        loop {
            let trace = &mut self.slots[slot];
            let (has, needs) = (trace.bytes.len(), trace.end + len);
            if let Some(room) = trace.bytes.get_mut(trace.end..needs) {
                trace.end += span.write_cold(room);
                trace.spans += 1;
                self.spans += 1;
                return true;
            }
            let wanted = needs.checked_next_power_of_two().unwrap_or(needs).max(MIN_BYTES);
            let size = wanted.min(has + self.max_bytes.saturating_sub(self.used));
            if size >= needs {
                // Reserved exactly, as the size is accounted for.
                trace.bytes.reserve_exact(size - has);
                trace.bytes.resize(size, 0);
                self.used += size - has;
            } else if !self.make_room(slot) {
                return false;
            }
        }
    }

    /// Evicts spans in favour of `slot`. Returns false if there is nothing to evict.
    #[cold]
    fn make_room(&mut self, slot: usize) -> bool {
        if !self.free.is_empty() {
            self.free_spare();
        } else if self.oldest != slot {
            self.evict_oldest();
        } else {
            return self.evict_older_half(slot);
        }
        true
    }

    /// Frees the memory of the slot that was freed last.
    fn free_spare(&mut self) {
        if let Some(slot) = self.free.pop() {
            self.used -= mem::take(&mut self.slots[slot].bytes).len();
            self.without_memory.push(slot);
        }
    }

    #[cold]
    fn evict_oldest(&mut self) {
        if let Some(trace) = self.slots.get(self.oldest) {
            self.evicted += self.discard(SlotId::new(self.oldest, trace.generation));
        }
    }

    /// Evicts the older half of a trace's spans. Returns false if there are none.
    #[cold]
    fn evict_older_half(&mut self, slot: usize) -> bool {
        let trace = &mut self.slots[slot];
        let (mut gone, mut spans) = (0, 0);
        while gone <= trace.end / 2
            && let Some(rest) = trace.bytes.get(gone..trace.end)
            && let Ok((_, taken)) = SpanView::parse(rest)
        {
            (gone, spans) = (gone + taken, spans + 1);
        }
        trace.bytes.copy_within(gone..trace.end, 0);
        trace.end -= gone;
        trace.spans -= spans;
        self.spans -= spans;
        self.evicted += spans;
        // The remaining spans are no older than those of the other traces.
        self.unlink(slot);
        self.link_newest(slot);
        spans > 0
    }

    /// Links a slot as the youngest.
    fn link_newest(&mut self, slot: usize) {
        let before = mem::replace(&mut self.newest, slot);
        (self.slots[slot].older, self.slots[slot].newer) = (before, NO_SLOT);
        match self.slots.get_mut(before) {
            Some(trace) => trace.newer = slot,
            None => self.oldest = slot,
        }
    }

    /// Unlinks a slot.
    fn unlink(&mut self, slot: usize) {
        let (older, newer) = (self.slots[slot].older, self.slots[slot].newer);
        match self.slots.get_mut(older) {
            Some(trace) => trace.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer) {
            Some(trace) => trace.older = older,
            None => self.newest = older,
        }
    }
}

/// The memory of a slot beside its spans.
const SLOT_BYTES: usize = size_of::<Trace>() + 2 * size_of::<usize>();

/// The capacity below which the map of open traces is not shrunk.
const MANY_TRACES: usize = 1024;

/// The minimum memory of a trace: room for a few spans of usual size.
const MIN_BYTES: usize = 1024;

/// The largest memory that is reused for another trace, which will hardly need as much.
const MAX_SPARE_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::encoding::{Ids, SpanDraft, ValueView};

    fn push(buffer: &mut TraceBuffer<()>, key: &mut SlotId, n: i64, bytes: usize) -> u64 {
        let mut draft = SpanDraft::default();
        draft.set_tag_count(2);
        draft.tags.tag_long(b"n", n);
        draft.tags.tag(b"text", ValueView::Str(&vec![b'x'; bytes]));
        buffer.push(key, SpanParts::new(&Ids::default(), 0, (0, 0), &draft))
    }

    fn flushed(buffer: &mut TraceBuffer<()>, key: SlotId) -> Vec<i64> {
        let mut numbers = Vec::new();
        buffer.flush(key, |span| {
            if let Some(ValueView::Long(n)) = span.tag("n") {
                numbers.push(n);
            }
        });
        numbers
    }

    /// Returns the memory of a buffer, after checking that it is what the buffer counts.
    fn memory(buffer: &TraceBuffer<()>) -> usize {
        let slots = buffer.slots.iter().map(|trace| SLOT_BYTES + trace.bytes.capacity());
        let memory = slots.sum();
        assert_eq!(buffer.used, memory);
        memory
    }

    #[test]
    fn law_what_comes_out_is_the_end_of_what_was_put_in_and_the_memory_is_bounded() {
        let mut dice = 1_u64;
        let mut below = |bound: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % bound
        };
        for max_bytes in [4_096, 9_000, 100_000] {
            let mut buffer = TraceBuffer::new(max_bytes);
            let mut traces: Vec<(SlotId, VecDeque<i64>)> = vec![Default::default(); 12];
            let (mut put, mut lost, mut out) = (0, 0, 0);
            for n in 0..20_000 {
                let at = usize::try_from(below(12)).unwrap();
                let (key, numbers) = &mut traces[at];
                match below(10) {
                    0 => {
                        let there = flushed(&mut buffer, *key);
                        let start = numbers.len() - there.len();
                        assert!(there.iter().eq(numbers.iter().skip(start)), "{max_bytes}");
                        out += there.len() as u64;
                        *key = SlotId::NONE;
                        numbers.clear();
                    }
                    1 => {
                        out += buffer.discard(*key);
                        *key = SlotId::NONE;
                        numbers.clear();
                    }
                    _ => {
                        let large = if below(50) == 0 { 5_000 } else { 0 };
                        let bytes = usize::try_from(below(100)).unwrap() + large;
                        let spans = buffer.spans();
                        let now_lost = push(&mut buffer, key, n, bytes);
                        assert_eq!(spans + 1, buffer.spans() + now_lost);
                        (put, lost) = (put + 1, lost + now_lost);
                        numbers.push_back(n);
                        if *key == SlotId::NONE {
                            numbers.clear();
                        }
                    }
                }
                assert_eq!(buffer.spans() + out + lost, put);
                assert!(memory(&buffer) <= max_bytes, "{max_bytes}");
            }
            assert_eq!(buffer.evicted(), lost);
            assert!(lost > 0 && out > 0 || max_bytes == 100_000);
            let spans = buffer.spans();
            assert_eq!((buffer.close(), buffer.spans(), memory(&buffer)), (spans, 0, 0));
            assert_eq!(push(&mut buffer, &mut SlotId::NONE.clone(), 1, 1), 1, "closed");
        }
    }

    #[test]
    fn the_key_of_a_trace_that_is_gone_names_nothing_whoever_has_its_place() {
        let mut buffer = TraceBuffer::new(10_000);
        let (mut first, mut second) = (SlotId::NONE, SlotId::NONE);
        assert_eq!(push(&mut buffer, &mut first, 1, 10), 0);
        assert_eq!(buffer.discard(first), 1);
        assert_eq!(push(&mut buffer, &mut second, 2, 10), 0);
        assert_eq!(first.slot(), second.slot());
        assert_eq!((flushed(&mut buffer, first), buffer.discard(first)), (vec![], 0));
        assert_eq!(flushed(&mut buffer, second), [2]);
    }

    #[test]
    fn a_discarded_trace_leaves_no_more_memory_than_the_next_one_may_need() {
        let mut buffer = TraceBuffer::new(1_000_000);
        for bytes in [100, 50_000] {
            let mut key = SlotId::NONE;
            assert_eq!(push(&mut buffer, &mut key, 1, bytes), 0);
            assert!(memory(&buffer) > bytes);
            assert_eq!(buffer.discard(key), 1);
            let spare = memory(&buffer) - SLOT_BYTES;
            assert_eq!(spare > 0, bytes == 100, "{spare} bytes are kept");
        }
    }

    #[test]
    fn a_trace_that_is_too_large_alone_loses_the_older_half_of_its_spans() {
        let mut buffer = TraceBuffer::new(64 * 1024);
        let (mut key, mut n) = (SlotId::NONE, 0);
        let lost = loop {
            n += 1;
            match push(&mut buffer, &mut key, n, 100) {
                0 => {}
                lost => break i64::try_from(lost).unwrap(),
            }
        };
        let buffered = n - 1;
        assert!(
            buffered > 100 && (lost - buffered / 2).abs() <= 1,
            "{lost} of {buffered} were lost"
        );
        assert!(flushed(&mut buffer, key).into_iter().eq(lost + 1..=n), "the oldest");
    }
}
