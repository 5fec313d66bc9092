//! A record with one handle: of a span that is not started yet, or that has ended.

use std::ops::{Deref, DerefMut};

use triomphe::{Arc, UniqueArc};

use super::span_record::SpanRecord;

/// A span's record that its handles share.
pub(in crate::span) type SharedRecord = Arc<SpanRecord>;

/// A span's record that no other handle shares, so that it is written to without a lock.
///
/// Unique by its type. There are no weak handles, so that one load tells whether a handle is the last one;
/// the standard library's `Arc` takes a locked instruction for that.
pub(in crate::span) struct OwnedRecord(UniqueArc<SpanRecord>);

impl OwnedRecord {
    /// Makes an empty record. It counts as finished until its span begins, so that dropping it
    /// finishes none.
    pub(super) fn new() -> Self {
        let mut record = SpanRecord::default();
        record.data.get_mut().finished = true;
        Self(UniqueArc::new(record))
    }

    /// Returns the record of the last handle; `None` if others share it.
    #[inline(always)]
    pub(in crate::span) fn of_last(handle: SharedRecord) -> Option<Self> {
        // By hand, as `ok` moves the result through memory.
        match Arc::try_unique(handle) {
            Ok(record) => Some(Self(record)),
            Err(_shared) => None,
        }
    }

    /// Lets other handles share the record.
    #[inline(always)]
    pub(in crate::span) fn into_shared(self) -> SharedRecord {
        self.0.shareable()
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
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_owned_by_its_last_handle_alone() {
        let mut record = OwnedRecord::new();
        record.data.get_mut().draft.set_name("op".into());
        let first = record.into_shared();
        let second = Arc::clone(&first);
        assert!(OwnedRecord::of_last(first).is_none());
        let mut last = OwnedRecord::of_last(second).unwrap();
        assert_eq!(last.data.get_mut().draft.name(), "op");
    }
}
