//! A record with one handle: of a span that is not started yet, or that has ended.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::span_record::SpanRecord;

/// A span's record that no other handle shares, so that it is written to without a lock.
///
/// Unique by construction: an owned record is made or found as such, and its handle is given away
/// only as a whole.
#[derive(Debug)]
pub(in crate::span) struct OwnedRecord(Arc<SpanRecord>);

impl OwnedRecord {
    /// Makes an empty record. It counts as finished until its span begins, so that dropping it
    /// finishes none.
    pub(super) fn new() -> Self {
        let mut record = SpanRecord::default();
        record.data.get_mut().finished = true;
        Self(Arc::new(record))
    }

    /// Returns the record of the last handle; `None` if others share it.
    #[inline(always)]
    pub(in crate::span) fn of_last(handle: Arc<SpanRecord>) -> Option<Self> {
        // There are no weak handles, and other threads cannot clone the only one. Their earlier
        // writes are visible from the first use of `get_mut` on, which acquires them.
        (Arc::strong_count(&handle) == 1).then_some(Self(handle))
    }

    /// Lets other handles share the record.
    #[inline(always)]
    pub(in crate::span) fn into_shared(self) -> Arc<SpanRecord> {
        self.0
    }
}

impl Deref for OwnedRecord {
    type Target = SpanRecord;

    #[inline(always)]
    fn deref(&self) -> &SpanRecord {
        &self.0
    }
}

impl DerefMut for OwnedRecord {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut SpanRecord {
        match Arc::get_mut(&mut self.0) {
            Some(record) => record,
            None => shared(),
        }
    }
}

/// Stands in for a record with another handle, which cannot happen. A change that broke this would
/// fail every test here; an application would lose a span, and continue.
#[cold]
#[inline(never)]
fn shared() -> &'static mut SpanRecord {
    debug_assert!(false, "a record that is owned has another handle");
    Box::leak(Box::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_owned_by_its_last_handle_alone() {
        let mut record = OwnedRecord::new();
        record.data.get_mut().draft.name = "op".into();
        let first = record.into_shared();
        let second = Arc::clone(&first);
        assert!(OwnedRecord::of_last(first).is_none());
        let mut last = OwnedRecord::of_last(second).unwrap();
        assert_eq!(last.data.get_mut().draft.name, "op");
    }
}
