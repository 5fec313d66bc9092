//! The bytes of a live span: name, tags, logs and references are encoded as they are set. A
//! finished span is written once.
//!
//! Steps 4 and 5 in the life of a span. Hand-written because the crate exists for it: the `thrift`
//! crate's writer takes several times as long. `tests/it/encoding/oracle.rs` holds the two to the
//! same bytes.

mod elements;
mod ids;
mod key;
mod lists;
mod tag_buffer;
mod text;
mod timestamp;

use std::borrow::Cow;
use std::mem;

pub use self::elements::{put_log, put_reference, put_tag};
use self::ids::IdFields;
pub(crate) use self::ids::Ids;
pub(crate) use self::key::Key;
pub use self::key::TagKey;
use self::lists::SpanLists;
pub(crate) use self::tag_buffer::{MAX_LIST_BYTES, ShortTags, TagBuffer};
pub use self::text::FieldText;
pub(crate) use self::text::truncate;
pub(crate) use self::timestamp::Timestamp;
use super::MAX_FIXED_BYTES;
use super::compact::list_header_len;
use super::list::List;
use super::view::{ReferenceView, SpanView};
use super::writer::{FixedWindow, SHORT, STOP, SliceWriter, Varint, varint_len, zigzag};
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
    pub(crate) name: Cow<'static, str>,
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
        mem::forget(mem::replace(&mut self.name, name));
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

    /// Adds a reference to a context with ids. The first one is to the parent, unless there is a
    /// `parent_so_far` already; of several, each is encoded here.
    #[inline]
    pub(crate) fn add_reference(
        &mut self,
        kind: ReferenceKind,
        (trace_id, span_id): (TraceId, SpanId),
        parent_so_far: Option<(TraceId, SpanId)>,
    ) {
        let Some(parent_so_far) = parent_so_far else {
            self.parent = Some(kind);
            return;
        };
        self.encode_parent_reference(parent_so_far);
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

    /// Clears everything but keeps the memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if matches!(self.name, Cow::Owned(_)) {
            self.name = Cow::Borrowed("");
        }
        self.parent = None;
        self.tags.clear();
        self.tag_count = 0;
        if self.has_rare_fields {
            self.has_rare_fields = false;
            if let Some(lists) = &mut self.lists {
                lists.clear();
            }
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

/// The parts of a span that is about to be written for the first time.
///
/// Passed by value: a reference would keep the struct in memory, where its parts are in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanParts<'a> {
    pub(crate) ids: &'a Ids,
    pub(crate) flags: u8,
    /// The start in nanoseconds since the Unix epoch, which is sent in microseconds.
    pub(crate) start_nanos: i64,
    duration_nanos: u64,
    draft: &'a SpanDraft,
}

impl<'a> SpanParts<'a> {
    /// Makes the parts of a span with this start, in nanoseconds since the Unix epoch, and this
    /// duration.
    #[inline(always)]
    pub(crate) fn new(
        ids: &'a Ids,
        flags: u8,
        (start_nanos, duration_nanos): (i64, u64),
        draft: &'a SpanDraft,
    ) -> Self {
        Self { ids, flags, start_nanos, duration_nanos, draft }
    }

    #[inline(always)]
    fn start_time(&self) -> Timestamp {
        Timestamp::of_nanos(self.start_nanos)
    }

    /// Returns the duration, of at least a microsecond: Jaeger v2 takes zero for a negative one, and
    /// Zipkin for an unknown one.
    #[inline(always)]
    fn duration_micros(&self) -> u64 {
        (self.duration_nanos / 1000).max(1)
    }

    /// Returns an upper bound of the length, without looking at the numbers.
    #[inline]
    pub(crate) fn max_len(self) -> usize {
        let SpanDraft { name, tags, .. } = self.draft;
        MAX_FIXED_BYTES + name.len() + tags.len() + self.draft.extra_bytes()
    }

    pub(crate) fn name(&self) -> &str {
        &self.draft.name
    }

    /// Returns whether the span cannot be written: it is so large that nothing is left of one of its lists.
    pub(crate) fn is_too_large(&self) -> bool {
        self.draft.is_too_large()
    }

    /// Returns the exact length that [`write`](Self::write) takes.
    pub(crate) fn encoded_len(&self) -> usize {
        let number = |value: u64| 1 + varint_len(zigzag(value.cast_signed()));
        let reference = self.draft.parent.map_or(0, |_| {
            let ids = [self.ids.trace.low(), self.ids.trace.high(), self.ids.parent.get()];
            // The header of the list, and the kind before and the stop behind the ids.
            let header = 1 + list_header_len(1) - list_header_len(0);
            header + 2 + ids.map(number).iter().sum::<usize>()
        });
        self.view().encoded_len() + self.draft.first_tags().len() + reference
    }

    /// Returns the span without `first_tags` and the implicit reference to the parent.
    fn view(&self) -> SpanView<'_> {
        let draft = self.draft;
        SpanView {
            trace_id: self.ids.trace,
            span_id: self.ids.span,
            parent_span_id: self.ids.parent,
            operation_name: draft.name.as_bytes(),
            flags: i32::from(self.flags),
            start_time_micros: self.start_time().micros(),
            duration_micros: self.duration_micros().cast_signed(),
            references: Some(draft.encoded_references()),
            tags: Some(List::new(draft.tag_count(), draft.tags.bytes())),
            logs: Some(draft.logs()),
        }
    }

    /// Returns the span with all of its parts, those in several pieces copied to `memory`.
    pub(crate) fn as_view<'m>(&'m self, memory: &'m mut (Vec<u8>, Vec<u8>)) -> SpanView<'m> {
        let (tags, references) = memory;
        let mut span = self.view();
        let first = self.draft.first_tags();
        if !first.is_empty() {
            tags.extend_from_slice(first);
            tags.extend_from_slice(self.draft.tags.bytes());
            span.tags = Some(List::new(self.draft.tag_count(), tags));
        }
        if let Some(kind) = self.draft.parent {
            let parent = kind.view(self.ids.trace, self.ids.parent);
            put_reference(references, parent);
            span.references = Some(List::new(1, references));
        }
        span
    }

    /// Writes the span at the start of `room`, which must hold [`max_len`](Self::max_len) bytes,
    /// and returns its length.
    #[inline(always)]
    pub(crate) fn write(self, room: &mut [u8]) -> usize {
        let draft = self.draft;
        let lists = if draft.has_rare_fields { draft.lists.as_deref() } else { None };
        let has_references = lists.is_some_and(|lists| lists.reference_count > 0);
        let at = match self.ids.encoded() {
            Some(ids) if draft.name.len() <= SHORT && !has_references => self.usual_head(room, ids),
            _ => self.other_head(room),
        };
        let mut to = SliceWriter { room, at };
        if let Some(lists) = lists
            && lists.first_tags.len() > 0
        {
            to.bytes(lists.first_tags.bytes());
        }
        to.many(draft.tags.bytes());
        if let Some(lists) = lists
            && lists.log_count > 0
        {
            to.list_head(1, lists.log_count);
            to.many(lists.logs.bytes());
            to.byte(STOP);
        } else {
            to.array([0x19, 0x0c, STOP]);
        }
        to.at
    }

    /// Writes the span where that is seldom done: inlined there as well, the writer would no longer
    /// be inlined where it counts.
    #[cold]
    #[inline(never)]
    pub(crate) fn write_cold(self, room: &mut [u8]) -> usize {
        self.write(room)
    }

    /// Writes the fields before the tags of a span with a short name and at most the reference to
    /// its parent.
    #[inline(always)]
    fn usual_head(self, room: &mut [u8], ids: &IdFields) -> usize {
        let name = self.draft.name.as_bytes();
        let Some(mut to) = FixedWindow::<HEAD>::at(room, 0) else { return 0 };
        to.first_of(ids.bytes(), ids.len());
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        to.array([0x18, name.len() as u8]);
        to.short(name);
        self.write_parent_reference(&mut to, ids);
        self.write_times(&mut to);
        to.at
    }

    /// Writes the fields before the tags of any span.
    #[cold]
    #[inline(never)]
    fn other_head(self, room: &mut [u8]) -> usize {
        let draft = self.draft;
        let Some(mut ids_to) = FixedWindow::<HEAD>::at(room, 0) else { return 0 };
        let ids = &self.ids.fields();
        ids_to.first_of(ids.bytes(), ids.len());
        let mut to = SliceWriter { at: ids_to.at, room };
        to.head(0x18, draft.name.len());
        to.bytes(draft.name.as_bytes());
        let references = draft.encoded_references();
        if references.count > 0 {
            to.list(5, 6, Some(references));
        }
        let Some(mut rest) = FixedWindow::<REST>::at(to.room, to.at) else { return 0 };
        if references.count == 0 {
            self.write_parent_reference(&mut rest, ids);
        }
        self.write_times(&mut rest);
        to.at + rest.at
    }

    /// Writes the list of references of a span that has none, or one to its parent.
    #[inline(always)]
    fn write_parent_reference<const SIZE: usize>(
        self,
        to: &mut FixedWindow<'_, SIZE>,
        ids: &IdFields,
    ) {
        if let Some(kind) = self.draft.parent {
            to.array([0x19, 0x1c, 0x15, u8::from(kind.is_follows_from()) << 1]);
            to.first_of(ids.trace(), ids.trace_len());
            let (parent, len) = ids.parent();
            to.first_of(&parent, len);
            to.byte(STOP);
        } else {
            to.array([0x19, 0x0c]);
        }
    }

    /// Writes the fields between the references and the tags.
    #[inline(always)]
    fn write_times<const SIZE: usize>(self, to: &mut FixedWindow<'_, SIZE>) {
        to.byte(0x15);
        to.number(u64::from(self.flags) << 1);
        to.byte(0x16);
        to.varint(Varint::of(self.start_time().zigzag()));
        to.byte(0x16);
        to.number(self.duration_micros() << 1);
        to.list_head(self.draft.tag_count());
    }
}

/// The window for the fields before the tags: at most 10 bytes for each of ten numbers, a short
/// name, and a few single bytes, which is less than half of it.
const HEAD: usize = MAX_FIXED_BYTES;

/// The window for the fields after the name: six numbers and a few single bytes. With the ids
/// before it, it lies within the room that the name is granted beside its own length.
const REST: usize = HEAD / 2;
