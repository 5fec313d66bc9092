//! Tags, logs and references, encoded as they are set.
//!
//! Step 4 in the life of a span: a live span appends to its [`TagBuffer`], so that the bytes are
//! already those that will be sent.

use super::appender::{Appender, MAX_SHORT_TAG};
use super::elements::{
    MAX_LOG_HEAD, MAX_REFERENCE, MAX_TAG_FRAME, OVERHANG, size, write_log_head, write_reference,
    write_tag,
};
use super::key::Key;
use crate::encoding::parse::tags_found;
use crate::encoding::read::Reader;
use crate::encoding::view::{ReferenceView, ValueView};
use crate::encoding::writer::SliceWriter;

/// A growing buffer for the tags and logs of a live span.
#[derive(Debug, Default)]
pub(crate) struct TagBuffer {
    /// Initialized memory: the bytes in use, and zeros or earlier bytes behind them.
    room: Box<[u8]>,
    /// The number of bytes in use, in 32 bits, so that no sum of it and a size overflows; or [`MAX_LIST_BYTES`], if
    /// more than that were written. There are none then, until the buffer is cleared.
    at: u32,
}

impl TagBuffer {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.room.get(..self.len()) {
            Some(bytes) => bytes,
            None => nothing(),
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.at as usize
    }

    /// Returns the memory that a short list is in, unless there is none yet.
    #[inline(always)]
    pub(super) fn short_list(&self) -> Option<&[u8; SHORT_LIST]> {
        self.room.first_chunk()
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.at = 0;
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Returns whether more was written than a buffer holds, so that there is nothing left of it.
    #[inline]
    pub(crate) fn is_too_large(&self) -> bool {
        self.at == MAX_LIST_BYTES
    }

    /// Frees the memory, and has nothing left until it is cleared.
    #[cold]
    pub(super) fn become_too_large(&mut self) {
        *self = Self { room: Box::default(), at: MAX_LIST_BYTES };
    }

    /// Writes at most `bytes`, unless the buffer is too large then.
    #[inline(always)]
    fn write(&mut self, bytes: usize, write: impl FnOnce(&mut SliceWriter<'_>)) {
        let at = self.len();
        if self.room.len() < at + bytes + OVERHANG && !self.grow(bytes) {
            return;
        }
        let mut to = SliceWriter { room: &mut self.room, at };
        write(&mut to);
        let end = to.at;
        self.set_len(end);
    }

    /// Makes the memory at least twice as large, with room for so many bytes behind those in use. If these
    /// are too many, frees the memory and returns false.
    #[cold]
    fn grow(&mut self, bytes: usize) -> bool {
        let least = self.len() + bytes + OVERHANG;
        if least >= MAX_LIST_BYTES as usize {
            self.become_too_large();
            return false;
        }
        // Less than the limit, which as a length means that there was too much.
        let twice = (2 * self.room.len()).min(MAX_LIST_BYTES as usize - 1);
        let needed = least.max(MIN_ROOM).max(twice);
        let mut room = std::mem::take(&mut self.room).into_vec();
        room.reserve_exact(needed - room.len());
        room.resize(needed, 0);
        self.room = room.into_boxed_slice();
        true
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the memory is limited")]
    fn set_len(&mut self, len: usize) {
        self.at = len as u32;
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.write(bytes.len(), |to| to.bytes(bytes));
    }

    /// Appends what another buffer holds. If that is too large, so is this one then.
    #[inline]
    pub(crate) fn append(&mut self, other: &Self) {
        self.write(other.len(), |to| to.bytes(other.bytes()));
    }

    /// Appends what `append` does, or nothing if it returns false.
    #[inline(always)]
    pub(crate) fn try_append(&mut self, append: impl FnOnce(&mut Appender<'_>) -> bool) -> bool {
        let mut to = Appender::new(&mut self.room, self.at);
        let appended = append(&mut to);
        let end = to.end();
        if appended {
            self.at = end;
        }
        appended
    }

    /// Appends tags that were encoded beforehand.
    #[inline(always)]
    pub(crate) fn extend_short(&mut self, tags: &ShortTags) {
        if !self.try_append(|to| to.first_of(&tags.bytes, tags.len)) {
            self.extend_cold(tags);
        }
    }

    /// Puts tags before those that are here, by moves of fixed size. Returns false if these are longer than such a
    /// move, or there is no memory yet.
    #[inline(always)]
    pub(crate) fn try_prepend(&mut self, tags: &ShortTags) -> bool {
        let (len, at) = (self.len(), tags.len.min(SHORT_TAGS));
        let Some(room) = self.room.first_chunk_mut::<{ 2 * SHORT_TAGS }>() else { return false };
        if len > SHORT_TAGS {
            return false;
        }
        let mut moved = [0; SHORT_TAGS];
        moved.copy_from_slice(&room[..SHORT_TAGS]);
        room[..SHORT_TAGS].copy_from_slice(&tags.bytes);
        room[at..at + SHORT_TAGS].copy_from_slice(&moved);
        self.set_len(at + len);
        true
    }

    #[cold]
    #[inline(never)]
    fn extend_cold(&mut self, tags: &ShortTags) {
        self.write(tags.len + MAX_SHORT_TAG, |to| to.bytes(tags.bytes()));
    }

    /// Replaces a byte in use.
    #[inline]
    pub(super) fn replace(&mut self, at: usize, byte: u8) {
        if let Some(slot) = self.room.get_mut(at) {
            *slot = byte;
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.write(1, |to| to.byte(byte));
    }

    /// Appends a tag.
    #[inline]
    pub(crate) fn tag(&mut self, key: &[u8], value: ValueView<'_>) {
        match value {
            ValueView::Str(text) => self.tag_text(key, text),
            ValueView::Binary(bytes) => self.tag_bytes(key, bytes),
            ValueView::Double(double) => self.tag_double(key, double),
            ValueView::Bool(value) => self.tag_bool(key, value),
            ValueView::Long(long) => self.tag_long(key, long),
        }
    }

    #[inline]
    pub(crate) fn tag_text(&mut self, key: &[u8], text: &[u8]) {
        if !self.try_tag_text(key, text) {
            self.long_tag(key, ValueView::Str(text));
        }
    }

    #[inline]
    pub(crate) fn tag_bytes(&mut self, key: &[u8], bytes: &[u8]) {
        if !self.try_append(|to| to.bytes_tag(key, bytes)) {
            self.long_tag(key, ValueView::Binary(bytes));
        }
    }

    #[inline]
    pub(crate) fn tag_bool(&mut self, key: &[u8], value: bool) {
        if !self.try_tag_bool(key, value) {
            self.long_tag(key, ValueView::Bool(value));
        }
    }

    #[inline]
    pub(crate) fn tag_double(&mut self, key: &[u8], double: f64) {
        if !self.try_append(|to| to.double_tag(key, double)) {
            self.long_tag(key, ValueView::Double(double));
        }
    }

    #[inline]
    pub(crate) fn tag_long(&mut self, key: &[u8], long: i64) {
        if !self.try_tag_long(key, long) {
            self.long_tag(key, ValueView::Long(long));
        }
    }

    #[inline(always)]
    pub(crate) fn try_tag_text(&mut self, key: impl Key, text: &[u8]) -> bool {
        self.try_append(|to| to.text_tag(key, text))
    }

    #[inline(always)]
    pub(crate) fn try_tag_bool(&mut self, key: impl Key, value: bool) -> bool {
        self.try_append(|to| to.bool_tag(key, value))
    }

    #[inline(always)]
    pub(crate) fn try_tag_long(&mut self, key: impl Key, long: i64) -> bool {
        self.try_append(|to| to.long_tag(key, long))
    }

    /// Appends a tag where the key or value is long, or the buffer has to grow: by so much that the next
    /// short tag finds room.
    #[cold]
    #[inline(never)]
    fn long_tag(&mut self, key: &[u8], value: ValueView<'_>) {
        let bytes = key.len() + size(value) + MAX_TAG_FRAME + MAX_SHORT_TAG;
        self.write(bytes, |to| write_tag(to, key, value));
    }

    /// Appends a reference.
    #[inline]
    pub(crate) fn reference(&mut self, reference: ReferenceView) {
        self.write(MAX_REFERENCE, |to| write_reference(to, reference));
    }

    /// Removes the bytes between two offsets.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        let end = self.len();
        if from < to && to <= end && !self.is_too_large() {
            self.room.copy_within(to..end, from);
            self.truncate(end - (to - from));
        }
    }

    /// Removes all tags with a key, and returns how many there were. Moves an offset with what is behind
    /// it. The buffer holds only tags.
    pub(crate) fn remove_tags(&mut self, key: &[u8], offset: &mut u32) -> usize {
        let (mut from, mut removed) = (0, 0);
        while let Some(rest) = self.bytes().get(from..).filter(|rest| !rest.is_empty()) {
            let mut reader = Reader::new(rest);
            let Ok(tag) = reader.tag() else { break };
            let (is_of_key, to) = (tag.key == key, from + reader.position());
            if is_of_key {
                self.remove(from, to);
                let is_before = *offset as usize >= to;
                let moved = u32::try_from(to - from).unwrap_or(u32::MAX);
                *offset = offset.saturating_sub(if is_before { moved } else { 0 });
                removed += 1;
            } else {
                from = to;
            }
        }
        removed
    }

    /// Appends those of some encoded tags whose key is wanted.
    pub(crate) fn extend_tags(&mut self, tags: &[u8], is_wanted: impl Fn(&[u8]) -> bool) {
        let find = |key| is_wanted(key).then_some(key);
        for (key, value) in tags_found(tags, find) {
            self.tag(key, value);
        }
    }

    /// Moves the bytes behind `from` to an earlier offset.
    pub(crate) fn move_last(&mut self, from: usize, to: usize) {
        let end = self.len();
        let moved = end.saturating_sub(from);
        if let Some(bytes) = self.room.get_mut(to..end) {
            bytes.rotate_right(moved.min(bytes.len()));
        }
    }

    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len() && !self.is_too_large() {
            self.set_len(len);
        }
    }

    /// Writes the bytes before the fields of a log.
    #[inline]
    pub(crate) fn log_head(&mut self, timestamp_micros: i64, fields: usize) {
        self.write(MAX_LOG_HEAD, |to| write_log_head(to, timestamp_micros, fields));
    }
}

/// A few encoded tags in a piece of fixed size, so that copying them takes no call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortTags {
    bytes: [u8; SHORT_TAGS],
    len: usize,
}

/// Enough for the two tags of every sampler but the tag matching one, whose parameter is any text.
const SHORT_TAGS: usize = 64;

impl ShortTags {
    /// Returns the tags encoded in `tags`, or `None` if they are too long.
    pub(crate) fn new(tags: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT_TAGS];
        bytes.get_mut(..tags.len())?.copy_from_slice(tags);
        Some(Self { bytes, len: tags.len() })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The limit of a buffer's bytes, which no message of any transport reaches: a span with more is too large. Low
/// enough that the sum of all buffers of a span is below that of a 32-bit number.
pub(crate) const MAX_LIST_BYTES: u32 = 1 << 28;

/// The size of a buffer that is not empty, enough for the tags of a sampler and three or four more:
/// most live spans need no more.
const MIN_ROOM: usize = SHORT_LIST;

/// The size of the memory of a short list, which has less.
pub(super) const SHORT_LIST: usize = 128;

/// Marks what cannot happen as unlikely, so that the compiler lays out the usual path straight.
#[cold]
fn nothing() -> &'static [u8] {
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_put_before_others_that_are_no_longer_than_one_move() {
        let before = ShortTags::new(&[7; 30]).unwrap();
        for (len, fits) in [(1, true), (64, true), (65, false)] {
            let mut buffer = TagBuffer::default();
            buffer.extend(&vec![1; len]);
            assert_eq!(buffer.try_prepend(&before), fits, "{len}");
            let expected = [vec![7; if fits { 30 } else { 0 }], vec![1; len]].concat();
            assert_eq!(buffer.bytes(), expected);
        }
        let full = ShortTags::new(&[7; SHORT_TAGS]).unwrap();
        let mut buffer = TagBuffer::default();
        assert!(!buffer.try_prepend(&full), "there is no memory yet");
        buffer.extend(&[1; SHORT_TAGS]);
        assert!(buffer.try_prepend(&full));
        assert_eq!(buffer.bytes(), [[7; SHORT_TAGS], [1; SHORT_TAGS]].concat());
    }

    #[test]
    fn a_buffer_of_more_than_its_limit_has_nothing_left_and_holds_bytes_again_once_it_is_cleared() {
        // Zeroed memory that is not touched costs nothing.
        let used = MAX_LIST_BYTES - 1_000;
        let mut buffer = TagBuffer { room: vec![0; used as usize].into_boxed_slice(), at: used };
        buffer.tag_text(b"key", &[b'x'; 1_000]);
        for _ in 0..2 {
            assert!(buffer.is_too_large() && buffer.bytes().is_empty() && buffer.capacity() == 0);
            assert_eq!(
                buffer.len(),
                MAX_LIST_BYTES as usize,
                "so that the span does not seem to fit"
            );
            // Nothing that is done to it writes a part of a list.
            buffer.tag_text(b"key", b"short");
            buffer.tag_text(b"key", &[b'x'; 100]);
            assert!(!buffer.try_tag_bool("key", true) && !buffer.try_append(|to| to.stop()));
            buffer.extend(b"some bytes");
            buffer.remove(0, MAX_LIST_BYTES as usize);
            buffer.move_last(MAX_LIST_BYTES as usize, 10);
            buffer.truncate(10);
            assert_eq!(buffer.remove_tags(b"key", &mut 0), 0);
        }
        let half = MAX_LIST_BYTES / 2 + 10;
        let mut grown = TagBuffer { room: vec![0; half as usize].into_boxed_slice(), at: half };
        grown.tag_text(b"key", b"short");
        assert!(!grown.is_too_large() && grown.capacity() < MAX_LIST_BYTES as usize);

        buffer.clear();
        buffer.tag_long(b"key", 7);
        assert!(!buffer.is_too_large() && buffer.len() == buffer.bytes().len());
        assert_eq!(buffer.remove_tags(b"key", &mut 0), 1);
    }
}
