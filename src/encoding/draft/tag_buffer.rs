//! Tags, logs and references, encoded as they are set.
//!
//! Step 4 in the life of a span: a live span appends to its [`TagBuffer`], so that the bytes are
//! already those that will be sent.

use super::Timestamp;
use crate::encoding::list::List;
use crate::encoding::view::{LogView, ReferenceView, TagView, ValueView};
use crate::encoding::writer::{FixedWindow, SHORT, STOP, SliceWriter, Varint, WINDOW, zigzag};

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
    let mut scratch = TagBuffer::from(std::mem::take(out));
    scratch.tag(tag.key, tag.value);
    *out = scratch.into_vec();
}

/// Appends a log's compact bytes to `out`; `fields` holds the compact bytes of its fields.
///
/// # Shape and units
///
/// A `Log` structure: timestamp in microseconds since the Unix epoch, list of tags, stop.
pub fn put_log(out: &mut Vec<u8>, log: LogView<'_>) {
    let mut scratch = TagBuffer::from(std::mem::take(out));
    scratch.log_head(log.timestamp_micros, log.fields.count);
    scratch.extend(log.fields.bytes);
    scratch.push(STOP);
    *out = scratch.into_vec();
}

/// Appends a reference's compact bytes to `out`.
///
/// # Shape and units
///
/// A `SpanRef` structure: kind, trace id low and high, span id, stop.
pub fn put_reference(out: &mut Vec<u8>, reference: ReferenceView) {
    let mut scratch = TagBuffer::from(std::mem::take(out));
    scratch.reference(reference);
    *out = scratch.into_vec();
}

/// A growing buffer for the tags and logs of a live span.
///
/// The vector is always filled to its end, so that writing needs only an offset.
#[derive(Debug, Default)]
pub(crate) struct TagBuffer {
    room: Vec<u8>,
    at: usize,
    /// Whether the vector belongs to a caller, and is only filled as far as it is used.
    whole: bool,
}

impl From<Vec<u8>> for TagBuffer {
    fn from(room: Vec<u8>) -> Self {
        Self { at: room.len(), room, whole: true }
    }
}

impl TagBuffer {
    pub(super) const fn new() -> Self {
        Self { room: Vec::new(), at: 0, whole: false }
    }

    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.room.truncate(self.at);
        self.room
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.room.get(..self.at) {
            Some(bytes) => bytes,
            None => nothing(),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.at = 0;
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Returns a writer with room for `bytes`, plus the overhang of a number's write.
    #[inline(always)]
    fn cursor(&mut self, bytes: usize) -> SliceWriter<'_> {
        if self.room.len() - self.at < bytes + 16 {
            self.grow(bytes);
        }
        SliceWriter { room: &mut self.room, at: self.at }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        // The vector grows to its capacity, and doubles that: filling a new capacity at once would
        // make appending to a long one by `put_tag` quadratic.
        let needed = (self.at + bytes + 16).max(256);
        self.room.reserve(needed - self.room.len());
        let filled = if self.whole { needed } else { self.room.capacity() };
        self.room.resize(filled, 0);
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let mut to = self.cursor(bytes.len());
        to.bytes(bytes);
        self.at = to.at;
    }

    /// Appends tags that were encoded beforehand.
    #[inline(always)]
    pub(crate) fn extend_short(&mut self, tags: &ShortTags) {
        let Some(mut to) = FixedWindow::<WINDOW>::at(&mut self.room, self.at) else {
            return self.extend_cold(tags);
        };
        to.array(tags.bytes);
        self.at += tags.len;
    }

    #[cold]
    #[inline(never)]
    fn extend_cold(&mut self, tags: &ShortTags) {
        self.cursor(tags.len + WINDOW).bytes(tags.bytes());
        self.at += tags.len;
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        let mut to = self.cursor(1);
        to.byte(byte);
        self.at = to.at;
    }

    /// Appends a tag.
    #[inline]
    pub(crate) fn tag(&mut self, key: &[u8], value: ValueView<'_>) {
        match value {
            ValueView::Str(text) => self.tag_text(key, text),
            ValueView::Binary(bytes) => self.tag_bytes(key, bytes),
            ValueView::Double(double) => self.tag_double(key, double),
            ValueView::Bool(truth) => self.tag_bool(key, truth),
            ValueView::Long(long) => self.tag_long(key, long),
        }
    }

    #[inline]
    pub(crate) fn tag_text(&mut self, key: &[u8], text: &[u8]) {
        if !self.try_tag_text(key, text) {
            self.long_tag_of(key, [0, 0x18], text);
        }
    }

    #[inline]
    pub(crate) fn tag_bytes(&mut self, key: &[u8], bytes: &[u8]) {
        if !self.try_tag_of::<8, 0x58>(key, bytes) {
            self.long_tag_of(key, [8, 0x58], bytes);
        }
    }

    #[inline]
    pub(crate) fn tag_bool(&mut self, key: &[u8], truth: bool) {
        if !self.try_tag_bool(key, truth) {
            self.long_tag_of_array(key, &truth_value(truth));
        }
    }

    #[inline]
    pub(crate) fn tag_double(&mut self, key: &[u8], double: f64) {
        let [a, b, c, d, e, f, g, h] = double.to_le_bytes();
        let rest = [0x15, 2, 0x27, a, b, c, d, e, f, g, h, STOP];
        if !self.try_tag_of_array(key, rest) {
            self.long_tag_of_array(key, &rest);
        }
    }

    #[inline]
    pub(crate) fn tag_long(&mut self, key: &[u8], long: i64) {
        if !self.try_tag_long(key, long) {
            self.long_tag_long(key, long);
        }
    }

    // Each of these functions returns early if key or value are long, or the buffer has to grow, so
    // that the usual case needs no call.

    #[inline(always)]
    pub(crate) fn try_tag_text(&mut self, key: &[u8], text: &[u8]) -> bool {
        self.try_tag_of::<0, 0x18>(key, text)
    }

    #[inline(always)]
    pub(crate) fn try_tag_bool(&mut self, key: &[u8], truth: bool) -> bool {
        self.try_tag_of_array(key, truth_value(truth))
    }

    #[inline(always)]
    pub(crate) fn try_tag_long(&mut self, key: &[u8], long: i64) -> bool {
        let Some(mut to) = self.short_key(key) else { return false };
        to.array([0x15, 6, 0x46]);
        to.number(zigzag(long));
        to.byte(STOP);
        self.at += to.at;
        true
    }

    #[inline(always)]
    fn try_tag_of<const KIND: u8, const FIELD: u8>(&mut self, key: &[u8], value: &[u8]) -> bool {
        if value.len() > SHORT {
            return false;
        }
        let Some(mut to) = self.short_key(key) else { return false };
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        to.array([0x15, KIND, FIELD, value.len() as u8]);
        to.short(value);
        to.last_byte(STOP);
        self.at += to.at;
        true
    }

    #[inline(always)]
    fn try_tag_of_array<const N: usize>(&mut self, key: &[u8], rest: [u8; N]) -> bool {
        let Some(mut to) = self.short_key(key) else { return false };
        to.array(rest);
        self.at += to.at;
        true
    }

    /// Returns a window for a tag with a short key and value, with the key written.
    #[inline(always)]
    fn short_key(&mut self, key: &[u8]) -> Option<FixedWindow<'_>> {
        if key.len() > SHORT {
            return None;
        }
        let mut window = FixedWindow::at(&mut self.room, self.at)?;
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        window.array([0x18, key.len() as u8]);
        window.short(key);
        Some(window)
    }

    // The slow paths, for long keys and values, or where the buffer has to grow. Each is a function
    // of its own, so that the fast paths need no registers for it.

    #[cold]
    #[inline(never)]
    fn long_tag_of(&mut self, key: &[u8], [kind, field]: [u8; 2], value: &[u8]) {
        let mut to = self.long_key(key, value.len());
        to.array([0x15, kind]);
        to.head(field, value.len());
        to.bytes(value);
        to.byte(STOP);
        self.at = to.at;
    }

    #[cold]
    #[inline(never)]
    fn long_tag_long(&mut self, key: &[u8], long: i64) {
        let mut to = self.long_key(key, 0);
        to.array([0x15, 6, 0x46]);
        to.number(zigzag(long));
        to.byte(STOP);
        self.at = to.at;
    }

    #[cold]
    #[inline(never)]
    fn long_tag_of_array(&mut self, key: &[u8], rest: &[u8]) {
        let mut to = self.long_key(key, 0);
        to.bytes(rest);
        self.at = to.at;
    }

    /// Returns a writer with room for a tag, and the key written. 32 bytes hold all headers and
    /// every value of fixed size; a whole window more, so that the next tag finds one.
    fn long_key(&mut self, key: &[u8], value: usize) -> SliceWriter<'_> {
        let mut to = self.cursor(key.len() + value + 32 + WINDOW);
        to.head(0x18, key.len());
        to.bytes(key);
        to
    }

    /// Appends a reference.
    #[inline]
    pub(crate) fn reference(&mut self, reference: ReferenceView) {
        let mut to = self.cursor(48);
        to.array([0x15, u8::from(reference.follows_from) << 1, 0x16]);
        to.number(zigzag(reference.trace_id.low().cast_signed()));
        to.byte(0x16);
        to.number(zigzag(reference.trace_id.high().cast_signed()));
        to.byte(0x16);
        to.number(zigzag(reference.span_id.get().cast_signed()));
        to.byte(STOP);
        self.at = to.at;
    }

    /// Writes the bytes before the fields of a log, if the fields are few and there is room.
    #[inline(always)]
    pub(crate) fn try_log_head(&mut self, timestamp: Timestamp, fields: usize) -> bool {
        if fields >= 15 {
            return false;
        }
        let Some(mut to) = FixedWindow::<WINDOW>::at(&mut self.room, self.at) else { return false };
        to.byte(0x16);
        to.varint(Varint::of(timestamp.zigzag()));
        to.list_head(fields);
        self.at += to.at;
        true
    }

    /// Writes the bytes after the fields of a log, if there is room.
    #[inline(always)]
    pub(crate) fn try_stop(&mut self) -> bool {
        let Some(slot) = self.room.get_mut(self.at) else { return false };
        *slot = STOP;
        self.at += 1;
        true
    }

    /// Removes the bytes between two offsets.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        if from < to && to <= self.at {
            self.room.copy_within(to..self.at, from);
            self.at -= to - from;
        }
    }

    /// Moves the bytes behind `from` to an earlier offset.
    pub(crate) fn move_last(&mut self, from: usize, to: usize) {
        let moved = self.at.saturating_sub(from);
        if let Some(bytes) = self.room.get_mut(to..self.at) {
            bytes.rotate_right(moved.min(bytes.len()));
        }
    }

    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.at = self.at.min(len);
    }

    /// Writes the bytes before the fields of a log.
    #[inline]
    pub(crate) fn log_head(&mut self, timestamp_micros: i64, fields: usize) {
        let mut to = self.cursor(32);
        to.byte(0x16);
        to.number(zigzag(timestamp_micros));
        to.list(1, 2, Some(List::new(fields, &[])));
        self.at = to.at;
    }
}

/// A few encoded tags in a piece of fixed size, so that copying them takes no call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortTags {
    bytes: [u8; SHORT_TAGS],
    len: usize,
}

/// Enough for the two tags of every sampler but the tag matching one, whose parameter is any text.
const SHORT_TAGS: usize = WINDOW / 2;

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

/// Returns the bytes after the key of a boolean tag.
#[inline(always)]
const fn truth_value(truth: bool) -> [u8; 4] {
    [0x15, 4, if truth { 0x31 } else { 0x32 }, STOP]
}

/// Marks what cannot happen as unlikely, so that the compiler lays out the usual path straight.
#[cold]
fn nothing() -> &'static [u8] {
    &[]
}

/// Returns the longest prefix of `text` of at most `max_bytes` that ends between characters.
#[inline]
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
