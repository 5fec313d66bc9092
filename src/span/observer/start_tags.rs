//! The tags that a span is started with, for observers.

use crate::encoding::{List, SpanDraft};
use crate::span::tag::{TagValue, read_tags};

/// The tags that a span is started with, not truncated.
#[derive(Debug, Default)]
pub(in crate::span) struct StartTags {
    is_taken: bool,
    /// Whether they were too large, so that nothing is left of them.
    are_too_large: bool,
    count: usize,
    bytes: Vec<u8>,
    /// The tags of a priority, which come behind the others.
    last_count: usize,
    last: Vec<u8>,
}

impl StartTags {
    /// Takes the tags out of the draft of a span about to be started.
    pub(in crate::span) fn take(draft: &mut SpanDraft) -> Self {
        let (count, bytes) = (draft.tag_count(), draft.tags.bytes().to_vec());
        let are_too_large = draft.is_too_large();
        draft.clear_tags();
        Self { is_taken: true, are_too_large, count, bytes, ..Self::default() }
    }

    /// Returns the tags, if they were taken.
    pub(in crate::span) fn list(&self) -> Option<List<'_>> {
        self.is_taken.then(|| List::new(self.count, &self.bytes))
    }

    /// Returns the number and the length of the draft's tags before a priority takes effect.
    pub(in crate::span) fn before_last(&self, draft: &SpanDraft) -> (usize, usize) {
        (draft.tag_count(), draft.tags.len())
    }

    /// Takes the tags that a priority has added since, if the others were taken.
    pub(in crate::span) fn take_last(
        &mut self,
        draft: &mut SpanDraft,
        (count, len): (usize, usize),
    ) {
        if self.is_taken {
            self.last_count = draft.tag_count() - count;
            self.last = draft.tags.bytes().get(len..).unwrap_or_default().to_vec();
            draft.tags.truncate(len);
            draft.set_tag_count(count);
        }
    }

    /// Appends the tags of a priority, behind the others. If those were too large, so is the span.
    pub(in crate::span) fn append_last(&self, draft: &mut SpanDraft) {
        draft.tags.extend(&self.last);
        draft.add_tags(self.last_count);
        if self.are_too_large {
            draft.become_too_large();
        }
    }

    pub(in crate::span) fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        read_tags(List::new(self.count, &self.bytes))
    }
}
