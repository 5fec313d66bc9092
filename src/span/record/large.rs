//! The memory of large records, bounded in bytes for the process.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of all large records, live or in pools, that counts against [`MAX_BYTES`].
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// A record's share in the memory that large records may keep for later spans.
///
/// A record is large once its memory exceeds [`SMALL_BYTES`]. It is reused like any other as long as its
/// memory is counted here, and as some of its spans need that much.
#[derive(Debug, Default)]
pub(super) struct LargeMemory {
    /// The bytes that are counted.
    counted: u32,
    /// The number of spans in a row that needed less.
    small_spans: u32,
}

impl LargeMemory {
    /// Returns whether a record with so much memory may be reused, of which its last span used a
    /// part.
    #[cold]
    pub(super) fn may_reuse(&mut self, held: usize, used: usize) -> bool {
        self.small_spans = if used > SMALL_BYTES / 2 { 0 } else { self.small_spans + 1 };
        self.small_spans < MAX_SMALL_SPANS && self.count(held)
    }

    /// Counts `held` bytes. Returns false if the bound does not allow it.
    fn count(&mut self, held: usize) -> bool {
        let Ok(held) = u32::try_from(held) else { return false };
        let Some(more) = held.checked_sub(self.counted).map(|more| more as usize) else {
            return true;
        };
        let grown = |counted: usize| counted.checked_add(more).filter(|total| *total <= MAX_BYTES);
        let fits = held as usize <= MAX_RECORD_BYTES
            && COUNTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.counted = held;
        }
        fits
    }
}

impl Drop for LargeMemory {
    fn drop(&mut self) {
        if self.counted > 0 {
            COUNTED.fetch_sub(self.counted as usize, Ordering::Relaxed);
        }
    }
}

/// The maximum memory of a record that is reused without conditions.
pub(super) const SMALL_BYTES: usize = 16 * 1024;

/// The maximum memory of a record that is reused: twice that of the largest span that a datagram
/// holds, as memory grows by doubling.
const MAX_RECORD_BYTES: usize = 128 * 1024;

/// The maximum memory of all large records that are reused, for the process.
const MAX_BYTES: usize = 4 << 20;

/// The number of spans in a row that need less, after which a record's memory is returned.
const MAX_SMALL_SPANS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_large_records_is_bounded_as_a_whole_and_returned() {
        // Other tests have large records at the same time.
        let mut records = Vec::new();
        while records.len() < 2 * MAX_BYTES / SMALL_BYTES {
            let mut record = LargeMemory::default();
            if !record.may_reuse(MAX_RECORD_BYTES, MAX_RECORD_BYTES) {
                break;
            }
            records.push(record);
        }
        assert!(records.len() <= MAX_BYTES / MAX_RECORD_BYTES, "{}", records.len());
        assert!(records.len() > 1 && COUNTED.load(Ordering::Relaxed) <= MAX_BYTES);
        let last = records.last_mut().unwrap();
        assert!(last.may_reuse(MAX_RECORD_BYTES, SMALL_BYTES), "it is counted");
        assert!(!last.may_reuse(MAX_RECORD_BYTES + 1, SMALL_BYTES), "too large for any record");
        let before = records.len() * MAX_RECORD_BYTES;
        assert!(COUNTED.load(Ordering::Relaxed) >= before);
        drop(records);
        assert!(COUNTED.load(Ordering::Relaxed) <= MAX_BYTES - before + MAX_RECORD_BYTES);
    }

    #[test]
    fn memory_that_spans_no_longer_need_is_returned() {
        let mut record = LargeMemory::default();
        assert!(record.may_reuse(SMALL_BYTES + 1, SMALL_BYTES));
        for _ in 1..MAX_SMALL_SPANS {
            assert!(record.may_reuse(SMALL_BYTES + 1, 100));
        }
        assert!(record.may_reuse(SMALL_BYTES + 1, SMALL_BYTES), "it is needed again");
        assert!((1..MAX_SMALL_SPANS).all(|_| record.may_reuse(SMALL_BYTES + 1, 100)));
        assert!(!record.may_reuse(SMALL_BYTES + 1, 100));
    }
}
