//! Tags, logs and references, encoded as they are set.
//!
//! Step 4 in the life of a span: a live span appends to its [`TagBuffer`], so that the bytes are
//! already those that will be sent.

use super::Timestamp;
use super::key::{Key, SHORT_KEY};
use crate::encoding::list::List;
use crate::encoding::parse::tags_found;
use crate::encoding::read::Reader;
use crate::encoding::view::{LogView, ReferenceView, TagView, ValueView};
use crate::encoding::writer::{FixedWindow, SHORT, STOP, SliceWriter, Varint, zigzag};

/// Appends a tag's compact bytes to `out`.
///
/// # Shape and units
///
/// A `Tag` structure: key, type, the one value field of that type, stop.
///
/// # Cost
///
/// At most one growth of `out`.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::{TagView, ValueView, put_tag};
/// let mut bytes = Vec::new();
/// put_tag(&mut bytes, TagView::new(b"k", ValueView::Bool(true)));
/// assert_eq!(bytes, b"\x18\x01k\x15\x04\x31\x00");
/// ```
pub fn put_tag(out: &mut Vec<u8>, tag: TagView<'_>) {
    put(out, tag.key.len() + size(tag.value) + MAX_TAG_FRAME, |to| {
        write_tag(to, tag.key, tag.value);
    });
}

/// Appends a log's compact bytes to `out`; `fields` holds the compact bytes of its fields.
///
/// # Shape and units
///
/// A `Log` structure: timestamp in microseconds since the Unix epoch, list of tags, stop.
pub fn put_log(out: &mut Vec<u8>, log: LogView<'_>) {
    put(out, log.fields.bytes.len() + MAX_LOG_HEAD + 1, |to| {
        write_log_head(to, log.timestamp_micros, log.fields.count);
        to.bytes(log.fields.bytes);
        to.byte(STOP);
    });
}

/// Appends a reference's compact bytes to `out`.
///
/// # Shape and units
///
/// A `SpanRef` structure: kind, trace id low and high, span id, stop.
pub fn put_reference(out: &mut Vec<u8>, reference: ReferenceView) {
    put(out, MAX_REFERENCE, |to| write_reference(to, reference));
}

/// Appends at most `bytes` to `out`.
fn put(out: &mut Vec<u8>, bytes: usize, write: impl FnOnce(&mut SliceWriter<'_>)) {
    let at = out.len();
    out.resize(at + bytes + OVERHANG, 0);
    let mut to = SliceWriter { room: out, at };
    write(&mut to);
    let end = to.at;
    out.truncate(end);
}

/// How far a number's write may go beyond its end.
const OVERHANG: usize = 16;

/// Enough for all of a tag but the key and a value of variable size.
const MAX_TAG_FRAME: usize = 32;

/// Enough for a log's bytes before its fields.
const MAX_LOG_HEAD: usize = 32;

/// Enough for a reference.
const MAX_REFERENCE: usize = 48;

/// Returns the size of a value, if it is variable.
fn size(value: ValueView<'_>) -> usize {
    match value {
        ValueView::Str(bytes) | ValueView::Binary(bytes) => bytes.len(),
        ValueView::Double(_) | ValueView::Bool(_) | ValueView::Long(_) => 0,
    }
}

fn write_tag(to: &mut SliceWriter<'_>, key: &[u8], value: ValueView<'_>) {
    to.head(0x18, key.len());
    to.bytes(key);
    match value {
        ValueView::Str(text) => {
            to.array([0x15, 0]);
            to.head(0x18, text.len());
            to.bytes(text);
            to.byte(STOP);
        }
        ValueView::Binary(bytes) => {
            to.array([0x15, 8]);
            to.head(0x58, bytes.len());
            to.bytes(bytes);
            to.byte(STOP);
        }
        ValueView::Long(long) => {
            to.array([0x15, 6, 0x46]);
            to.number(zigzag(long));
            to.byte(STOP);
        }
        ValueView::Double(double) => to.array(double_value(double)),
        ValueView::Bool(value) => to.array(bool_value(value)),
    }
}

fn write_log_head(to: &mut SliceWriter<'_>, timestamp_micros: i64, fields: usize) {
    to.byte(0x16);
    to.number(zigzag(timestamp_micros));
    to.list(1, 2, Some(List::new(fields, &[])));
}

fn write_reference(to: &mut SliceWriter<'_>, reference: ReferenceView) {
    to.array([0x15, u8::from(reference.follows_from) << 1, 0x16]);
    to.number(zigzag(reference.trace_id.low().cast_signed()));
    to.byte(0x16);
    to.number(zigzag(reference.trace_id.high().cast_signed()));
    to.byte(0x16);
    to.number(zigzag(reference.span_id.get().cast_signed()));
    to.byte(STOP);
}

/// A growing buffer for the tags and logs of a live span.
#[derive(Debug, Default)]
pub(crate) struct TagBuffer {
    /// Initialized memory: the bytes in use, and zeros or earlier bytes behind them.
    room: Box<[u8]>,
    /// The number of bytes in use, in 32 bits, so that no sum of it and a size overflows.
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

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.at = 0;
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Writes at most `bytes`. What goes beyond 4 GiB is left out.
    #[inline(always)]
    fn write(&mut self, bytes: usize, write: impl FnOnce(&mut SliceWriter<'_>)) {
        let at = self.len();
        if self.room.len() - at < bytes + OVERHANG {
            self.grow(bytes);
        }
        let mut to = SliceWriter { room: &mut self.room, at };
        write(&mut to);
        if let Ok(end) = u32::try_from(to.at) {
            self.at = end;
        }
    }

    /// Makes the memory at least twice as large, with room for so many bytes behind those in use.
    #[cold]
    fn grow(&mut self, bytes: usize) {
        let needed = (self.len() + bytes + OVERHANG).max(MIN_ROOM).max(2 * self.room.len());
        let mut room = std::mem::take(&mut self.room).into_vec();
        room.reserve_exact(needed - room.len());
        room.resize(needed, 0);
        self.room = room.into_boxed_slice();
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.write(bytes.len(), |to| to.bytes(bytes));
    }

    /// Returns a part of the buffer behind the bytes in use, if there is so much room.
    #[inline(always)]
    fn window<const SIZE: usize>(&mut self) -> Option<FixedWindow<'_, SIZE>> {
        let at = self.len();
        FixedWindow::at(&mut self.room, at)
    }

    /// Ends a write to a window.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the size of a window")]
    fn advance(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes as u32);
    }

    /// Appends tags that were encoded beforehand.
    #[inline(always)]
    pub(crate) fn extend_short(&mut self, tags: &ShortTags) {
        let Some(mut to) = self.window::<SHORT_TAGS>() else { return self.extend_cold(tags) };
        to.array(tags.bytes);
        self.advance(tags.len);
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
        if !self.try_tag_of::<_, 8, 0x58>(key, bytes) {
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
        if !self.try_tag_of_array::<_, 12, { SHORT_KEY + 12 }>(key, double_value(double)) {
            self.long_tag(key, ValueView::Double(double));
        }
    }

    #[inline]
    pub(crate) fn tag_long(&mut self, key: &[u8], long: i64) {
        if !self.try_tag_long(key, long) {
            self.long_tag(key, ValueView::Long(long));
        }
    }

    // Each of these functions returns early if key or value are long, or the buffer has to grow, so
    // that the usual case needs no call.

    #[inline(always)]
    pub(crate) fn try_tag_text(&mut self, key: impl Key, text: &[u8]) -> bool {
        self.try_tag_of::<_, 0, 0x18>(key, text)
    }

    #[inline(always)]
    pub(crate) fn try_tag_bool(&mut self, key: impl Key, value: bool) -> bool {
        self.try_tag_of_array::<_, 4, { SHORT_KEY + 4 }>(key, bool_value(value))
    }

    #[inline(always)]
    pub(crate) fn try_tag_long(&mut self, key: impl Key, long: i64) -> bool {
        let Some(mut to) = self.short_key::<_, { SHORT_KEY + 14 }>(key) else { return false };
        to.array([0x15, 6, 0x46]);
        to.number(zigzag(long));
        to.byte(STOP);
        let bytes = to.at;
        self.advance(bytes);
        true
    }

    #[inline(always)]
    fn try_tag_of<K: Key, const KIND: u8, const FIELD: u8>(
        &mut self,
        key: K,
        value: &[u8],
    ) -> bool {
        if value.len() > SHORT {
            return false;
        }
        let Some(mut to) = self.short_key::<K, MAX_SHORT_TAG>(key) else { return false };
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        to.array([0x15, KIND, FIELD, value.len() as u8]);
        to.short(value);
        to.byte(STOP);
        let bytes = to.at;
        self.advance(bytes);
        true
    }

    #[inline(always)]
    fn try_tag_of_array<K: Key, const N: usize, const SIZE: usize>(
        &mut self,
        key: K,
        rest: [u8; N],
    ) -> bool {
        let Some(mut to) = self.short_key::<K, SIZE>(key) else { return false };
        to.array(rest);
        let bytes = to.at;
        self.advance(bytes);
        true
    }

    /// Returns a window for a tag with a short key, with the key written.
    #[inline(always)]
    fn short_key<K: Key, const SIZE: usize>(&mut self, key: K) -> Option<FixedWindow<'_, SIZE>> {
        if !key.is_short() {
            return None;
        }
        let mut window = self.window::<SIZE>()?;
        key.write_short(&mut window);
        Some(window)
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

    /// Writes the bytes before the fields of a log, if the fields are few and there is room.
    #[inline(always)]
    pub(crate) fn try_log_head(&mut self, timestamp: Timestamp, fields: usize) -> bool {
        if fields >= 15 {
            return false;
        }
        let Some(mut to) = self.window::<SHORT_LOG_HEAD>() else { return false };
        to.byte(0x16);
        to.varint(Varint::of(timestamp.zigzag()));
        to.short_list_head(fields);
        let bytes = to.at;
        self.advance(bytes);
        true
    }

    /// Writes the bytes after the fields of a log, if there is room.
    #[inline(always)]
    pub(crate) fn try_stop(&mut self) -> bool {
        let at = self.len();
        let Some(slot) = self.room.get_mut(at) else { return false };
        *slot = STOP;
        self.advance(1);
        true
    }

    /// Removes the bytes between two offsets.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        let end = self.len();
        if from < to && to <= end {
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
        self.at = u32::try_from(len).map_or(self.at, |len| self.at.min(len));
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

/// The maximum size of a tag with a short key and a short value.
const MAX_SHORT_TAG: usize = SHORT_KEY + 4 + SHORT + 1;

/// The size of a log's bytes before its fields, which are few.
const SHORT_LOG_HEAD: usize = 1 + 10 + 2;

/// The size of a buffer that is not empty, enough for the tags of a sampler and three or four more:
/// most live spans need no more.
const MIN_ROOM: usize = 128;

/// Returns the bytes after the key of a tag that is a floating-point number.
#[inline(always)]
const fn double_value(double: f64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = double.to_le_bytes();
    [0x15, 2, 0x27, a, b, c, d, e, f, g, h, STOP]
}

/// Returns the bytes after the key of a boolean tag.
#[inline(always)]
const fn bool_value(value: bool) -> [u8; 4] {
    [0x15, 4, if value { 0x31 } else { 0x32 }, STOP]
}

/// Marks what cannot happen as unlikely, so that the compiler lays out the usual path straight.
#[cold]
fn nothing() -> &'static [u8] {
    &[]
}
