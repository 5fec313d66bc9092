//! The lists that many live spans do not have.

use super::TagBuffer;

/// The lists that many spans do not have.
#[derive(Debug, Default)]
pub(crate) struct SpanLists {
    /// Tags that come before all others: the sampler's, if tags were given before the start.
    pub(crate) first_tags: TagBuffer,
    pub(crate) log_count: usize,
    pub(crate) logs: TagBuffer,
    /// All references, unless there is only one, to the parent.
    pub(super) reference_count: usize,
    pub(super) references: TagBuffer,
}

impl SpanLists {
    #[cold]
    pub(super) fn boxed() -> Box<Self> {
        Box::default()
    }

    /// Returns the number of bytes in use.
    pub(super) fn used_bytes(&self) -> usize {
        self.first_tags.len() + self.logs.len() + self.references.len()
    }

    /// Returns whether any of the lists is too large to be sent.
    pub(super) fn is_too_large(&self) -> bool {
        [&self.first_tags, &self.logs, &self.references].iter().any(|list| list.is_too_large())
    }

    pub(super) fn capacity(&self) -> usize {
        self.first_tags.capacity() + self.logs.capacity() + self.references.capacity()
    }

    pub(super) fn clear(&mut self) {
        (self.log_count, self.reference_count) = (0, 0);
        self.first_tags.clear();
        self.logs.clear();
        self.references.clear();
    }
}
