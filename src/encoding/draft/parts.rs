//! The parts of a span that ends, and writing them.

use super::ids::{IdFields, Ids};
use super::timestamp::Timestamp;
use super::{SpanDraft, put_reference};
use crate::encoding::MAX_FIXED_BYTES;
use crate::encoding::compact::list_header_len;
use crate::encoding::list::List;
use crate::encoding::view::SpanView;
use crate::encoding::writer::{FixedWindow, SHORT, STOP, SliceWriter, Varint, varint_len, zigzag};

/// The parts of a span that is about to be written for the first time.
///
/// Passed by value: a reference would keep the struct in memory, where its parts are in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanParts<'a> {
    pub(crate) ids: &'a Ids,
    pub(crate) flags: u8,
    /// The start in nanoseconds since the Unix epoch, which is sent in microseconds.
    pub(crate) start_nanos: i64,
    pub(crate) duration_nanos: u64,
    pub(crate) draft: &'a SpanDraft,
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
    pub(super) fn duration_micros(&self) -> u64 {
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
        ids.write(&mut to);
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        to.array([0x18, name.len() as u8]);
        to.short_text(name);
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
        ids.write(&mut ids_to);
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
            ids.write_trace(to);
            ids.write_parent(to);
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
