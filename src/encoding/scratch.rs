//! Tags, logs and references, encoded as they are set.
//!
//! Walk step 4: a live span appends to its [`Scratch`], so that what it holds is already what will
//! be sent.

use super::cursor::{Cursor, STOP, zigzag};
use super::view::{List, LogView, ReferenceView, TagView, ValueView};

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
    let mut scratch = Scratch::from(std::mem::take(out));
    scratch.tag(tag.key, tag.value);
    *out = scratch.into_vec();
}

/// Appends a log's compact bytes to `out`; `fields` holds the compact bytes of its fields.
///
/// # Shape and units
///
/// A `Log` structure: timestamp in microseconds since the Unix epoch, list of tags, stop.
pub fn put_log(out: &mut Vec<u8>, log: LogView<'_>) {
    let mut scratch = Scratch::from(std::mem::take(out));
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
    let mut scratch = Scratch::from(std::mem::take(out));
    scratch.reference(reference);
    *out = scratch.into_vec();
}

/// Bytes that grow: the tags and logs of a live span.
///
/// The vector is always filled to its end, so that writing needs no more than a place in it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    room: Vec<u8>,
    at: usize,
    /// Whether it is somebody's vector, of which only what is needed is filled.
    whole: bool,
}

impl From<Vec<u8>> for Scratch {
    fn from(room: Vec<u8>) -> Self {
        Self { at: room.len(), room, whole: true }
    }
}

impl Scratch {
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.room.truncate(self.at);
        self.room
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(..self.at).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.at = 0;
    }

    #[inline]
    pub(crate) fn truncate(&mut self, length: usize) {
        self.at = self.at.min(length);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// A cursor with room for `bytes` and what a number's write goes beyond its end.
    #[inline(always)]
    fn cursor(&mut self, bytes: usize) -> Cursor<'_> {
        if self.room.len() - self.at < bytes + 16 {
            self.grow(bytes);
        }
        Cursor { room: &mut self.room, at: self.at }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        // To what the vector has got already, and it doubles that: filling it all at once would make
        // appending to a long one by `put_tag` quadratic.
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

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        let mut to = self.cursor(1);
        to.byte(byte);
        self.at = to.at;
    }

    /// Appends a tag.
    #[inline]
    pub(crate) fn tag(&mut self, key: &[u8], value: ValueView<'_>) {
        let text = match value {
            ValueView::Str(text) | ValueView::Binary(text) => text.len(),
            _ => 0,
        };
        // One check for room: 32 bytes hold all headers and every value of fixed size.
        let mut to = self.cursor(key.len() + text + 32);
        to.head(0x18, key.len());
        to.bytes(key);
        match value {
            ValueView::Str(text) => {
                to.array([0x15, 0]);
                to.head(0x18, text.len());
                to.bytes(text);
                to.byte(STOP);
            }
            ValueView::Double(double) => {
                to.array([0x15, 2, 0x27]);
                to.array(double.to_le_bytes());
                to.byte(STOP);
            }
            ValueView::Bool(truth) => {
                to.array([0x15, 4, if truth { 0x31 } else { 0x32 }, STOP]);
            }
            ValueView::Long(long) => {
                to.array([0x15, 6, 0x46]);
                to.number(zigzag(long));
                to.byte(STOP);
            }
            ValueView::Binary(bytes) => {
                to.array([0x15, 8]);
                to.head(0x58, bytes.len());
                to.bytes(bytes);
                to.byte(STOP);
            }
        }
        self.at = to.at;
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

    /// What precedes the fields of a log.
    #[inline]
    pub(crate) fn log_head(&mut self, timestamp_micros: i64, fields: usize) {
        let mut to = self.cursor(32);
        to.byte(0x16);
        to.number(zigzag(timestamp_micros));
        to.list(1, 2, Some(List::new(fields, &[])));
        self.at = to.at;
    }
}

/// The longest start of `text` that is at most `max_bytes` long and ends between characters.
#[inline]
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
