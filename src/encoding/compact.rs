//! The writer of the hot path: tags, logs, references and whole spans as compact Thrift.
//!
//! Walk steps 4 and 5. [`Span`](crate::Span) appends each tag and log as it is set, and
//! `finish` writes the whole span once into a datagram's buffer whose room it has checked: the
//! exact size is known before the first byte.
//!
//! Hand-written because it is what this crate exists for: the `thrift` crate's writer takes several
//! times as long. `tests/oracle.rs` holds the two to the same bytes.

use super::view::{List, LogView, ReferenceView, SpanView, TagView, ValueView};

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

pub(super) const STOP: u8 = 0;

impl SpanView<'_> {
    /// The exact number of bytes [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let number = |value: i64| 1 + varint_len(zigzag(value));
        let list = |list: Option<List<'_>>| {
            list.map_or(0, |l| 1 + list_header_len(l.count) + l.bytes.len())
        };
        number(self.trace_id.low().cast_signed())
            + number(self.trace_id.high().cast_signed())
            + number(self.span_id.get().cast_signed())
            + number(self.parent_span_id.get().cast_signed())
            + 1
            + varint_len(self.operation_name.len() as u64)
            + self.operation_name.len()
            + list(self.references)
            + number(i64::from(self.flags))
            + number(self.start_time_micros)
            + number(self.duration_micros)
            + list(self.tags)
            + list(self.logs)
            + 1
    }

    /// Appends the span's canonical bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.max_len(), 0);
        let written = self.write(&mut out[start..]);
        out.truncate(start + written);
    }

    /// A number of bytes that is surely enough, found without looking at the numbers.
    #[inline]
    pub(crate) fn max_len(&self) -> usize {
        let list = |list: Option<List<'_>>| list.map_or(0, |list| list.bytes.len());
        MAX_FIXED_BYTES
            + self.operation_name.len()
            + list(self.references)
            + list(self.tags)
            + list(self.logs)
    }

    /// Writes the span at the start of `room`, which must hold [`max_len`](Self::max_len) bytes, and
    /// gives how many it took.
    #[inline]
    pub(crate) fn write(&self, room: &mut [u8]) -> usize {
        let mut to = Cursor { room, at: 0 };
        let low = Varint::of(zigzag(self.trace_id.low().cast_signed()));
        to.byte(0x16);
        to.varint(low);
        to.byte(0x16);
        to.number(zigzag(self.trace_id.high().cast_signed()));
        to.byte(0x16);
        if self.span_id.get() == self.trace_id.low() {
            // A root's span id is its trace id.
            to.varint(low);
        } else {
            to.number(zigzag(self.span_id.get().cast_signed()));
        }
        to.byte(0x16);
        to.number(zigzag(self.parent_span_id.get().cast_signed()));
        to.byte(0x18);
        to.number(self.operation_name.len() as u64);
        to.bytes(self.operation_name);
        let mut last_field = to.list(5, 6, self.references);
        to.byte(((7 - last_field) << 4) | 5);
        to.number(zigzag(i64::from(self.flags)));
        to.byte(0x16);
        to.number(zigzag(self.start_time_micros));
        to.byte(0x16);
        to.number(zigzag(self.duration_micros));
        last_field = to.list(9, 10, self.tags);
        to.list(last_field, 11, self.logs);
        to.byte(STOP);
        to.at
    }
}

/// What a span takes at most beside its name and lists: seven numbers of up to ten bytes, four
/// lengths of up to six, eleven field headers, a stop; and the bytes that a number's fixed-size
/// write goes beyond its own.
pub(crate) const MAX_FIXED_BYTES: usize = 120;

/// A place in bytes whose room was checked beforehand. Where it was not enough after all, what does
/// not fit is left out: the reader then refuses the span, and nothing panics.
struct Cursor<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.room.get_mut(self.at) {
            *slot = byte;
        }
        self.at += 1;
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(slot) = self.room.get_mut(self.at..self.at + N) {
            slot.copy_from_slice(&bytes);
        }
        self.at += N;
    }

    #[inline(always)]
    fn varint(&mut self, varint: Varint) {
        if let Some(slot) = self.room.get_mut(self.at..self.at + 10) {
            slot[..8].copy_from_slice(&varint.first.to_le_bytes());
            slot[8..].copy_from_slice(&varint.last.to_le_bytes());
        }
        self.at += varint.len;
    }

    #[inline(always)]
    fn number(&mut self, value: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits each")]
        if value < 0x80 {
            self.byte(value as u8);
        } else if value < 0x4000 {
            self.array([value as u8 | 0x80, (value >> 7) as u8]);
        } else {
            self.varint(Varint::of(value));
        }
    }

    /// Copies bytes, short ones without a call: most keys and values are.
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        if let Some(slot) = self.room.get_mut(self.at..self.at + len) {
            match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
                (Some(first), Some(last)) if len <= 16 => {
                    if let Some(to) = slot.first_chunk_mut::<8>() {
                        *to = *first;
                    }
                    if let Some(to) = slot.last_chunk_mut::<8>() {
                        *to = *last;
                    }
                }
                _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                    (Some(first), Some(last)) if len < 8 => {
                        if let Some(to) = slot.first_chunk_mut::<4>() {
                            *to = *first;
                        }
                        if let Some(to) = slot.last_chunk_mut::<4>() {
                            *to = *last;
                        }
                    }
                    _ => slot.copy_from_slice(bytes),
                },
            }
        }
        self.at += len;
    }

    /// A list field with structures in it, if there is a list. Gives the last field's number.
    #[inline(always)]
    fn list(&mut self, last_field: u8, field: u8, list: Option<List<'_>>) -> u8 {
        let Some(list) = list else { return last_field };
        #[expect(clippy::cast_possible_truncation, reason = "below 15")]
        if list.count < 15 {
            self.array([((field - last_field) << 4) | 9, ((list.count as u8) << 4) | 12]);
        } else {
            self.array([((field - last_field) << 4) | 9, 0xfc]);
            self.number(list.count as u64);
        }
        if list.count > 0 {
            self.bytes(list.bytes);
        }
        field
    }

    /// A field's header and a length.
    #[inline(always)]
    fn head(&mut self, field: u8, length: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        if length < 0x80 {
            self.array([field, length as u8]);
        } else {
            self.byte(field);
            self.number(length as u64);
        }
    }
}

fn list_header_len(count: usize) -> usize {
    if count < 15 { 1 } else { 1 + varint_len(count as u64) }
}

/// Bytes being put together on the stack, with a capacity that the caller has proved sufficient.
#[derive(Clone, Copy)]
pub(super) struct Stage<const N: usize> {
    buffer: [u8; N],
    at: usize,
}

impl<const N: usize> Stage<N> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { buffer: [0; N], at: 0 }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.at]
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.buffer[self.at] = byte;
        self.at += 1;
    }

    #[inline]
    pub(super) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
            self.byte(value as u8);
            return;
        }
        let Varint { first, last, len } = Varint::of(value);
        let first = first.to_le_bytes();
        let last = last.to_le_bytes();
        for (slot, byte) in
            self.buffer[self.at..self.at + len].iter_mut().zip(first.iter().chain(&last))
        {
            *slot = *byte;
        }
        self.at += len;
    }

    #[inline]
    pub(super) fn list_header(&mut self, count: usize) {
        const STRUCT: u8 = 12;
        #[expect(clippy::cast_possible_truncation, reason = "below 15")]
        if count < 15 {
            self.byte(((count as u8) << 4) | STRUCT);
        } else {
            self.byte(0xf0 | STRUCT);
            self.varint(count as u64);
        }
    }
}

/// Maps a signed number to an unsigned one whose size follows its distance from zero.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// How many bytes a number's variable-length form takes.
#[inline]
const fn varint_len(value: u64) -> usize {
    let significant = 64 - (value | 1).leading_zeros() as usize;
    (significant * 9 + 64) / 64
}

/// A number's variable-length form: seven bits a byte, lowest first.
///
/// Made without a loop: the groups are spread by three shifts, and the marks of continuation are one
/// mask. A random 64-bit id takes ten bytes, where the loop was a quarter of a span's cost.
#[derive(Clone, Copy)]
struct Varint {
    /// The first eight bytes.
    first: u64,
    /// The other two.
    last: u16,
    /// How many of them count.
    len: usize,
}

impl Varint {
    #[inline(always)]
    const fn of(value: u64) -> Self {
        let len = varint_len(value);
        let mut x = value & 0x00ff_ffff_ffff_ffff;
        x = (x & 0x0000_0000_0fff_ffff) | ((x << 4) & 0x0fff_ffff_0000_0000);
        x = (x & 0x0000_3fff_0000_3fff) | ((x << 2) & 0x3fff_0000_3fff_0000);
        x = (x & 0x007f_007f_007f_007f) | ((x << 1) & 0x7f00_7f00_7f00_7f00);
        let marks = 0x8080_8080_8080_8080_u64;
        if len <= 8 {
            return Self { first: x | (marks & !(u64::MAX << (8 * (len - 1)))), last: 0, len };
        }
        // Bits 56 to 62 in the ninth byte, which goes on where there is a tenth with bit 63.
        let tenth = ((value >> 63) as u16) << 8;
        let ninth = ((value >> 56) & 0x7f) as u16 | (tenth >> 1);
        Self { first: x | marks, last: ninth | tenth, len }
    }
}

/// Bytes that grow: the tags and logs of a live span.
///
/// The vector is always filled to its end, so that writing needs no more than a place in it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    room: Vec<u8>,
    at: usize,
}

impl From<Vec<u8>> for Scratch {
    fn from(room: Vec<u8>) -> Self {
        Self { at: room.len(), room }
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
        let needed = self.at + bytes + 16;
        self.room.resize(needed.max(2 * self.room.len()).max(256), 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value % 0x80) as u8 | 0x80);
            value >>= 7;
        }
        out.extend(u8::try_from(value));
        out
    }

    #[test]
    fn law_varint_agrees_with_the_loop() {
        let edges = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power.wrapping_sub(1), power, power.wrapping_add(1), power | 0x5555_5555]
        });
        for value in edges.chain([0, u64::MAX, u64::MAX - 1]) {
            let varint = Varint::of(value);
            let mut bytes = varint.first.to_le_bytes().to_vec();
            bytes.extend(varint.last.to_le_bytes());
            assert_eq!(&bytes[..varint.len], naive(value), "{value:#x}");
            assert_eq!(varint_len(value), varint.len);
        }
    }

    #[test]
    fn a_span_says_its_length_before_it_is_written() {
        let mut tags = Vec::new();
        put_tag(&mut tags, TagView::new(b"key", ValueView::Str(b"value")));
        put_tag(&mut tags, TagView::new(b"n", ValueView::Long(-77)));
        put_tag(&mut tags, TagView::new(b"d", ValueView::Double(0.5)));
        put_tag(&mut tags, TagView::new(b"b", ValueView::Binary(&[1; 300])));
        let mut logs = Vec::new();
        put_log(&mut logs, LogView::new(5, List::new(4, &tags)));
        let mut references = Vec::new();
        let reference =
            ReferenceView::new(true, crate::TraceId::new(1, u64::MAX), crate::SpanId::new(3));
        put_reference(&mut references, reference);
        let span = SpanView {
            trace_id: crate::TraceId::new(u64::MAX, 1 << 63),
            span_id: crate::SpanId::new(77),
            operation_name: b"op",
            flags: 11,
            start_time_micros: i64::MIN,
            duration_micros: -1,
            references: Some(List::new(1, &references)),
            tags: Some(List::new(4, &tags)),
            logs: Some(List::new(1, &logs)),
            ..SpanView::default()
        };
        let mut out = Vec::new();
        span.encode(&mut out);
        assert_eq!(out.len(), span.encoded_len());
        let (read, taken) = SpanView::parse(&out).unwrap();
        assert_eq!(taken, out.len());
        assert_eq!(read, span);
        assert_eq!(read.references().collect::<Vec<_>>(), [reference]);
        assert_eq!(read.tag("n"), Some(ValueView::Long(-77)));
        assert_eq!(read.logs().next().unwrap().fields().count(), 4);
    }
}
