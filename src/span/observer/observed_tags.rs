//! The tags of a live span for observers of the finished span.

use super::interest::WantedTags;
use crate::encoding::TagBuffer;
use crate::span::tag::TagValue;

/// The tags of a live span that are wanted by observers of finished spans.
///
/// Most spans need none: their tags are in the draft, and are read when they are finished. From when
/// one is set that is not stored there as it was given, all of them are stored here too.
#[derive(Debug, Default)]
pub(in crate::span) struct ObservedTags {
    /// Whether the tags are here, and not in the draft.
    are_here: bool,
    tags: TagBuffer,
}

impl ObservedTags {
    /// Returns the tags if they are here, and not in the draft.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.are_here.then(|| self.tags.bytes())
    }

    /// Returns whether the tags are here.
    #[inline]
    pub(super) fn are_here(&self) -> bool {
        self.are_here
    }

    /// Takes over the wanted tags from the draft.
    pub(super) fn take_over(&mut self, of_draft: &[u8], wanted: &WantedTags) {
        self.are_here = true;
        if !of_draft.is_empty() {
            self.tags.extend_tags(of_draft, |key| wanted.contains(key));
        }
    }

    /// Stores the wanted tags of a span that this one continues, in place of others.
    pub(super) fn replace(&mut self, tags: TagBuffer) {
        *self = Self { are_here: true, tags };
    }

    /// Adds a wanted tag.
    #[inline]
    pub(super) fn add(&mut self, key: &str, value: TagValue<'_>, max_bytes: usize) {
        let key = key.as_bytes();
        if self.tags.len() > MAX_BYTES {
            self.tags.remove_tags(key, &mut 0);
        }
        match value {
            TagValue::Bool(value) => self.tags.tag_bool(key, value),
            TagValue::I64(number) => self.tags.tag_long(key, number),
            value => self.tags.tag(key, value.view(max_bytes.max(MAX_VALUE_BYTES))),
        }
    }

    /// Removes all tags with a key.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.tags.remove_tags(key, &mut 0);
    }

    /// Forgets the tags but keeps the memory.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.are_here = false;
        self.tags.clear();
    }

    /// Returns whether the memory is too large to be kept for the next span.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.tags.capacity() > MAX_BYTES
    }
}

/// The number of bytes beyond which the earlier values of a key are removed when it is set again.
const MAX_BYTES: usize = 16 * 1024;

/// The length of text and bytes that are stored at least.
const MAX_VALUE_BYTES: usize = 4096;
