//! The bytes of a live span: name, tags, logs and references are encoded as they are set. A
//! finished span is written once.
//!
//! Steps 4 and 5 in the life of a span. Hand-written because the crate exists for it: the `thrift`
//! crate's writer takes several times as long. `tests/it/encoding/oracle.rs` holds the two to the
//! same bytes.

mod appender;
mod elements;
mod ids;
mod key;
mod lists;
mod parts;
mod short;
mod tag_buffer;
mod text;
mod timestamp;

use std::borrow::Cow;
use std::mem;

pub(crate) use self::appender::Appender;
pub use self::elements::{put_log, put_reference, put_tag};
pub(crate) use self::ids::Ids;
pub(crate) use self::key::Key;
pub use self::key::TagKey;
use self::lists::SpanLists;
pub(crate) use self::parts::SpanParts;
pub(crate) use self::short::ShortRoom;
pub(crate) use self::tag_buffer::{MAX_LIST_BYTES, ShortTags, TagBuffer};
pub use self::text::FieldText;
pub(crate) use self::text::truncate;
pub(crate) use self::timestamp::Timestamp;
use super::list::List;
use super::view::{ReferenceView, SpanView};
use super::writer::SHORT;
use crate::id::{SpanId, TraceId};

/// The kind of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReferenceKind {
    ChildOf,
    FollowsFrom,
}

impl ReferenceKind {
    #[inline(always)]
    const fn is_follows_from(self) -> bool {
        matches!(self, Self::FollowsFrom)
    }

    #[inline(always)]
    const fn view(self, trace_id: TraceId, span_id: SpanId) -> ReferenceView {
        ReferenceView::new(self.is_follows_from(), trace_id, span_id)
    }
}

/// The parts of a live span. The memory is reused for the next span.
#[derive(Debug, Default)]
pub(crate) struct SpanDraft {
    /// The name. One that is long, or has memory of its own, is a rare field.
    name: Cow<'static, str>,
    /// The kind of the reference to the parent, if that is the only reference: the parent's ids are
    /// written anyway.
    pub(crate) parent: Option<ReferenceKind>,
    /// The number of all tags, those of `first_tags` included.
    tag_count: u32,
    pub(crate) tags: TagBuffer,
    /// Whether anything is in use that most spans do not use: the following fields, and some of those
    /// that a span has beside its draft, like baggage. One check instead of one for each.
    pub(crate) has_rare_fields: bool,
    /// First tags, logs and references. Behind a pointer, as open spans without any need no room for them.
    lists: Option<Box<SpanLists>>,
}

impl SpanDraft {
    /// Sets the name of a new span. A cleared draft has no name that is to be dropped, which the compiler
    /// does not know.
    #[inline(always)]
    pub(crate) fn set_first_name(&mut self, name: Cow<'static, str>) {
        self.has_rare_fields |= is_rare(&name);
        mem::forget(mem::replace(&mut self.name, name));
    }

    /// Changes the name.
    pub(crate) fn set_name(&mut self, name: Cow<'static, str>) {
        self.has_rare_fields |= is_rare(&name);
        self.name = name;
    }

    /// Returns the name.
    #[inline(always)]
    pub(crate) fn name(&self) -> &Cow<'static, str> {
        &self.name
    }

    /// Returns the number of tags.
    #[inline(always)]
    pub(crate) fn tag_count(&self) -> usize {
        self.tag_count as usize
    }

    /// Counts tags that were appended.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a buffer of tags is limited")]
    pub(crate) fn add_tags(&mut self, count: usize) {
        self.tag_count = self.tag_count.wrapping_add(count as u32);
    }

    /// Takes back what was counted, down to `count` tags.
    #[expect(clippy::cast_possible_truncation, reason = "it was counted before")]
    pub(crate) fn set_tag_count(&mut self, count: usize) {
        self.tag_count = count as u32;
    }

    /// Returns the bytes of the tags that come before all others.
    #[inline]
    pub(crate) fn first_tags(&self) -> &[u8] {
        self.lists.as_ref().map_or(&[], |lists| lists.first_tags.bytes())
    }

    /// Returns the logs.
    #[inline]
    pub(crate) fn logs(&self) -> List<'_> {
        let lists = self.lists.as_ref();
        lists.map_or(List::new(0, &[]), |lists| List::new(lists.log_count, lists.logs.bytes()))
    }

    /// Returns the references that are encoded.
    #[inline]
    fn encoded_references(&self) -> List<'_> {
        let lists = self.lists.as_ref();
        lists.map_or(List::new(0, &[]), |lists| {
            List::new(lists.reference_count, lists.references.bytes())
        })
    }

    /// Returns the lists to be changed.
    #[inline(always)]
    pub(crate) fn lists_mut(&mut self) -> &mut SpanLists {
        self.lists.get_or_insert_with(SpanLists::boxed)
    }

    /// Returns where the sampler's tags go: before all others, if there were any `before`.
    #[inline(always)]
    pub(crate) fn sampler_tags(&mut self, before: usize) -> &mut TagBuffer {
        if before == 0 {
            return &mut self.tags;
        }
        self.has_rare_fields = true;
        &mut self.lists_mut().first_tags
    }

    /// Appends an encoded reference.
    fn push_reference(&mut self, reference: ReferenceView) {
        let lists = self.lists_mut();
        lists.references.reference(reference);
        lists.reference_count += 1;
        self.has_rare_fields = true;
    }

    /// Adds the first reference, whose target is the parent: its ids are those of the span's parent.
    #[inline]
    pub(crate) fn refer_to_parent(&mut self, kind: ReferenceKind) {
        self.parent = Some(kind);
    }

    /// Adds another reference, to a context with ids, after one to the `parent`. Each is encoded here.
    #[inline]
    pub(crate) fn add_reference(
        &mut self,
        kind: ReferenceKind,
        (trace_id, span_id): (TraceId, SpanId),
        parent: (TraceId, SpanId),
    ) {
        self.encode_parent_reference(parent);
        self.push_reference(kind.view(trace_id, span_id));
    }

    /// Encodes the reference to the parent, which is no longer the only one, or no longer to the
    /// parent.
    #[cold]
    pub(crate) fn encode_parent_reference(&mut self, (trace_id, span_id): (TraceId, SpanId)) {
        if let Some(kind) = self.parent.take() {
            self.push_reference(kind.view(trace_id, span_id));
        }
    }

    /// Returns the references, given the ids of the parent.
    pub(crate) fn references(&self, trace_id: TraceId, parent: SpanId) -> Vec<ReferenceView> {
        match self.parent {
            Some(kind) => vec![kind.view(trace_id, parent)],
            None => {
                let list = Some(self.encoded_references());
                SpanView { references: list, ..SpanView::default() }.references().collect()
            }
        }
    }

    /// Discards the tags of a span that is not recorded.
    #[inline]
    pub(crate) fn clear_tags(&mut self) {
        self.tags.clear();
        self.tag_count = 0;
        if let Some(lists) = &mut self.lists {
            lists.first_tags.clear();
        }
    }

    /// Removes all tags with a key, and moves an offset in the tags with what is behind it.
    pub(crate) fn remove_tags(&mut self, key: &[u8], offset: &mut u32) {
        let mut removed = self.tags.remove_tags(key, offset);
        if let Some(lists) = &mut self.lists {
            removed += lists.first_tags.remove_tags(key, &mut 0);
        }
        self.set_tag_count(self.tag_count() - removed);
    }

    /// Returns whether nothing is left of a list, because it was too large: the span is not sent.
    pub(crate) fn is_too_large(&self) -> bool {
        let lists = self.lists.as_ref().filter(|_| self.has_rare_fields);
        self.tags.is_too_large() || lists.is_some_and(|lists| lists.is_too_large())
    }

    /// Makes the span one that is not sent, as that is what it was copied from.
    #[cold]
    pub(crate) fn become_too_large(&mut self) {
        self.tags.become_too_large();
    }

    /// Clears everything but rare fields, and keeps the memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.parent = None;
        self.tags.clear();
        self.tag_count = 0;
    }

    /// Clears the fields that are rare, which [`clear`](Self::clear) does not.
    #[inline(always)]
    pub(crate) fn clear_rare_fields(&mut self) {
        self.has_rare_fields = false;
        if let Cow::Owned(_) = self.name {
            self.name = Cow::Borrowed("");
        }
        if let Some(lists) = &mut self.lists {
            lists.clear();
        }
    }

    /// Returns the number of bytes in the fields that few spans use.
    #[inline]
    fn extra_bytes(&self) -> usize {
        if !self.has_rare_fields {
            return 0;
        }
        self.lists.as_ref().map_or(0, |lists| lists.used_bytes())
    }

    /// Returns the number of bytes of tags, logs and references.
    pub(crate) fn used_bytes(&self) -> usize {
        self.tags.len() + self.extra_bytes()
    }

    /// Returns the memory in use, in bytes, before it is cleared.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let lists = self.lists.as_ref().filter(|_| self.has_rare_fields);
        let extras = lists.map_or(0, |lists| lists.capacity());
        self.tags.capacity() + extras
    }
}

/// Returns whether a name is long, or has memory of its own.
#[inline(always)]
#[expect(clippy::ptr_arg, reason = "whether it owns memory is looked at")]
fn is_rare(name: &Cow<'static, str>) -> bool {
    matches!(name, Cow::Owned(_)) || name.len() > SHORT
}
