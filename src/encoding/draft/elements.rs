//! The bytes of a tag, a log and a reference.

use crate::encoding::list::List;
use crate::encoding::view::{LogView, ReferenceView, TagView, ValueView};
use crate::encoding::writer::{STOP, SliceWriter, zigzag};

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
pub(super) const OVERHANG: usize = 16;

/// Enough for all of a tag but the key and a value of variable size.
pub(super) const MAX_TAG_FRAME: usize = 32;

/// Enough for a log's bytes before its fields.
pub(super) const MAX_LOG_HEAD: usize = 32;

/// Enough for a reference.
pub(super) const MAX_REFERENCE: usize = 48;

/// Returns the size of a value, if it is variable.
pub(super) fn size(value: ValueView<'_>) -> usize {
    match value {
        ValueView::Str(bytes) | ValueView::Binary(bytes) => bytes.len(),
        ValueView::Double(_) | ValueView::Bool(_) | ValueView::Long(_) => 0,
    }
}

pub(super) fn write_tag(to: &mut SliceWriter<'_>, key: &[u8], value: ValueView<'_>) {
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

pub(super) fn write_log_head(to: &mut SliceWriter<'_>, timestamp_micros: i64, fields: usize) {
    to.byte(0x16);
    to.number(zigzag(timestamp_micros));
    to.list(1, 2, Some(List::new(fields, &[])));
}

pub(super) fn write_reference(to: &mut SliceWriter<'_>, reference: ReferenceView) {
    to.array([0x15, u8::from(reference.follows_from) << 1, 0x16]);
    to.number(zigzag(reference.trace_id.low().cast_signed()));
    to.byte(0x16);
    to.number(zigzag(reference.trace_id.high().cast_signed()));
    to.byte(0x16);
    to.number(zigzag(reference.span_id.get().cast_signed()));
    to.byte(STOP);
}

/// Returns the bytes after the key of a tag that is a floating-point number.
#[inline(always)]
pub(super) const fn double_value(double: f64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = double.to_le_bytes();
    [0x15, 2, 0x27, a, b, c, d, e, f, g, h, STOP]
}

/// Returns the bytes after the key of a boolean tag.
#[inline(always)]
pub(super) const fn bool_value(value: bool) -> [u8; 4] {
    [0x15, 4, if value { 0x31 } else { 0x32 }, STOP]
}
