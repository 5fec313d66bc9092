//! Text of tags: what is formatted where it is stored, and what is truncated.

use std::fmt;

use super::key::TagKey;
use super::{MAX_LIST_BYTES, TagBuffer};
use crate::encoding::view::ValueView;
use crate::encoding::writer::{STOP, Varint};

/// The text of a field, written in place by [`EncodedFields::push_text`](crate::EncodedFields::push_text).
#[derive(Debug)]
pub struct FieldText<'b> {
    buffer: &'b mut TagBuffer,
    /// Where the tag begins, unless all of it is written.
    tag: Option<usize>,
    /// Where its text begins.
    from: usize,
    /// How many bytes it may have.
    max_bytes: usize,
    /// Whether text was left out: what is written after it would not follow what is there.
    is_truncated: bool,
}

impl<'b> FieldText<'b> {
    /// Begins a tag with an empty text, to which at most `max_bytes` can be written.
    #[inline]
    pub(crate) fn new(buffer: &'b mut TagBuffer, key: &TagKey, max_bytes: usize) -> Self {
        let tag = buffer.len();
        if !buffer.try_tag_text(key, b"") {
            buffer.tag(key.as_str().as_bytes(), ValueView::Str(b""));
        }
        buffer.truncate(buffer.len() - 1);
        let from = buffer.len();
        // So that a text without end comes to its limit.
        let max_bytes = max_bytes.min((MAX_LIST_BYTES as usize).saturating_sub(from));
        Self { buffer, tag: Some(tag), from, max_bytes, is_truncated: false }
    }

    /// Removes what was written so far.
    pub fn clear(&mut self) {
        self.buffer.truncate(self.from);
        self.is_truncated = false;
    }

    /// Ends the tag.
    #[inline]
    pub(crate) fn finish(mut self) {
        let length = self.buffer.len() - self.from;
        if length < 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
            self.buffer.replace(self.from - 1, length as u8);
        } else {
            self.finish_long(length);
        }
        self.buffer.push(STOP);
        self.tag = None;
    }

    /// Sets a length of several bytes, for which the text is moved.
    #[cold]
    #[inline(never)]
    fn finish_long(&mut self, length: usize) {
        let varint = Varint::of(length as u64);
        let end = self.buffer.len();
        for byte in varint.first.to_le_bytes().iter().take(varint.len) {
            self.buffer.push(*byte);
        }
        self.buffer.move_last(end, self.from - 1);
        // The byte that was reserved is behind the length now, before the text.
        let unused = self.from - 1 + varint.len;
        self.buffer.remove(unused, unused + 1);
    }
}

impl FieldText<'_> {
    #[cold]
    fn write_truncated(&mut self, text: &str, room: usize) -> fmt::Result {
        if !self.is_truncated {
            self.is_truncated = true;
            self.buffer.extend(truncate(text, room).as_bytes());
        }
        Err(fmt::Error)
    }
}

/// Text beyond the limit is left out, and an error says so: the writer is to stop.
impl fmt::Write for FieldText<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.max_bytes.saturating_sub(self.buffer.len() - self.from);
        if text.len() > room || self.is_truncated {
            return self.write_truncated(text, room);
        }
        self.buffer.extend(text.as_bytes());
        Ok(())
    }
}

/// Removes a tag that was not finished: the function that writes its text has panicked.
impl Drop for FieldText<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(tag) = self.tag {
            self.buffer.truncate(tag);
        }
    }
}

/// Returns the longest prefix of `text` of at most `max_bytes` that ends between characters.
#[inline]
pub(crate) fn truncate(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
