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
    let mut stage = Stage::<48>::new();
    stage.byte(0x15);
    stage.varint(zigzag(i64::from(reference.follows_from)));
    stage.byte(0x16);
    stage.varint(zigzag(reference.trace_id.low().cast_signed()));
    stage.byte(0x16);
    stage.varint(zigzag(reference.trace_id.high().cast_signed()));
    stage.byte(0x16);
    stage.varint(zigzag(reference.span_id.get().cast_signed()));
    stage.byte(STOP);
    out.extend_from_slice(stage.bytes());
}

pub(super) const STOP: u8 = 0;

impl SpanView<'_> {
    /// The exact number of bytes [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Parts::of(self).len(self)
    }

    /// Appends the span's canonical bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let parts = Parts::of(self);
        out.reserve(parts.len(self));
        parts.write(out, self);
    }
}

/// A span's fields of fixed kinds, encoded; what lies between them is copied from where it is.
pub(crate) struct Parts {
    /// Ids, and the header of the operation name.
    ids: Stage<64>,
    /// The header of the references.
    references: Stage<8>,
    /// Flags, start, duration, and the header of the tags.
    times: Stage<48>,
    /// The header of the logs.
    logs: Stage<8>,
}

impl Parts {
    #[inline]
    pub(crate) fn of(span: &SpanView<'_>) -> Self {
        let mut ids = Stage::new();
        let low = span.trace_id.low().cast_signed();
        let id = span.span_id.get().cast_signed();
        ids.byte(0x16);
        let start = ids.at;
        ids.varint(zigzag(low));
        let end = ids.at;
        ids.byte(0x16);
        ids.varint(zigzag(span.trace_id.high().cast_signed()));
        ids.byte(0x16);
        if id == low {
            // A root's span id is its trace id, so its ten bytes are there already.
            ids.repeat(start, end);
        } else {
            ids.varint(zigzag(id));
        }
        ids.byte(0x16);
        ids.varint(zigzag(span.parent_span_id.get().cast_signed()));
        ids.byte(0x18);
        ids.varint(span.operation_name.len() as u64);

        let mut last_field = 5;
        let mut references = Stage::new();
        references.list_field(&mut last_field, 6, span.references);
        let mut times = Stage::new();
        times.byte(((7 - last_field) << 4) | 5);
        times.varint(zigzag(i64::from(span.flags)));
        times.byte(0x16);
        times.varint(zigzag(span.start_time_micros));
        times.byte(0x16);
        times.varint(zigzag(span.duration_micros));
        last_field = 9;
        times.list_field(&mut last_field, 10, span.tags);
        let mut logs = Stage::new();
        logs.list_field(&mut last_field, 11, span.logs);
        Self { ids, references, times, logs }
    }

    #[inline]
    pub(crate) fn len(&self, span: &SpanView<'_>) -> usize {
        let list = |list: Option<List<'_>>| list.map_or(0, |list| list.bytes.len());
        self.ids.at
            + span.operation_name.len()
            + self.references.at
            + list(span.references)
            + self.times.at
            + list(span.tags)
            + self.logs.at
            + list(span.logs)
            + 1
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, span: &SpanView<'_>) {
        out.extend_from_slice(self.ids.bytes());
        out.extend_from_slice(span.operation_name);
        out.extend_from_slice(self.references.bytes());
        for list in span.references.iter().filter(|list| list.count > 0) {
            out.extend_from_slice(list.bytes);
        }
        out.extend_from_slice(self.times.bytes());
        for list in span.tags.iter().filter(|list| list.count > 0) {
            out.extend_from_slice(list.bytes);
        }
        out.extend_from_slice(self.logs.bytes());
        for list in span.logs.iter().filter(|list| list.count > 0) {
            out.extend_from_slice(list.bytes);
        }
        out.push(STOP);
    }
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
    fn repeat(&mut self, start: usize, end: usize) {
        self.buffer.copy_within(start..end, self.at);
        self.at += end - start;
    }

    #[inline]
    pub(super) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
            self.byte(value as u8);
            return;
        }
        let (bytes, len) = varint(value);
        match self.buffer[self.at..].first_chunk_mut::<10>() {
            Some(room) => *room = bytes,
            None => self.buffer[self.at..self.at + len].copy_from_slice(&bytes[..len]),
        }
        self.at += len;
    }

    /// The header of a list field with structures in it, if there is a list.
    #[inline]
    fn list_field(&mut self, last_field: &mut u8, field: u8, list: Option<List<'_>>) {
        if let Some(list) = list {
            self.byte(((field - *last_field) << 4) | 9);
            *last_field = field;
            self.list_header(list.count);
        }
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

/// A number's variable-length form: seven bits a byte, lowest first; and how many bytes it takes.
///
/// Without a loop: the groups are spread by three shifts, and the marks of continuation are one
/// mask. A random 64-bit id takes ten bytes, where the loop was a quarter of a span's cost.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each narrowing follows a mask")]
pub(super) const fn varint(value: u64) -> ([u8; 10], usize) {
    let significant = 64 - (value | 1).leading_zeros() as usize;
    let len = (significant * 9 + 64) / 64;
    let mut x = value & 0x00ff_ffff_ffff_ffff;
    x = (x & 0x0000_0000_0fff_ffff) | ((x << 4) & 0x0fff_ffff_0000_0000);
    x = (x & 0x0000_3fff_0000_3fff) | ((x << 2) & 0x3fff_0000_3fff_0000);
    x = (x & 0x007f_007f_007f_007f) | ((x << 1) & 0x7f00_7f00_7f00_7f00);
    let (mut ninth, tenth) = (((value >> 56) & 0x7f) as u8, (value >> 63) as u8);
    if len > 8 {
        x |= 0x8080_8080_8080_8080;
        if len > 9 {
            ninth |= 0x80;
        }
    } else {
        x |= 0x8080_8080_8080_8080 & !(u64::MAX << (8 * (len - 1)));
    }
    let b = x.to_le_bytes();
    ([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], ninth, tenth], len)
}

/// Bytes that grow: the tags, logs and references of a live span.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for Scratch {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl Scratch {
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    #[inline]
    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    #[inline]
    fn small(&mut self, stage: &Stage<16>) {
        self.bytes.extend_from_slice(stage.bytes());
    }

    /// Appends a tag.
    #[inline]
    pub(crate) fn tag(&mut self, key: &[u8], value: ValueView<'_>) {
        let text = match value {
            ValueView::Str(text) | ValueView::Binary(text) => text.len(),
            _ => 0,
        };
        // One check for room: 32 bytes hold all headers and every value of fixed size.
        self.bytes.reserve(key.len() + text + 32);
        self.head(0x18, key.len());
        self.bytes.extend_from_slice(key);
        match value {
            ValueView::Str(text) => {
                self.bytes.extend_from_slice(&[0x15, 0]);
                self.head(0x18, text.len());
                self.bytes.extend_from_slice(text);
                self.bytes.push(STOP);
            }
            ValueView::Double(double) => {
                let b = double.to_le_bytes();
                self.bytes.extend_from_slice(&[
                    0x15, 2, 0x27, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], STOP,
                ]);
            }
            ValueView::Bool(truth) => {
                let kind = if truth { 0x31 } else { 0x32 };
                self.bytes.extend_from_slice(&[0x15, 4, kind, STOP]);
            }
            ValueView::Long(long) => {
                let mut stage = Stage::<16>::new();
                stage.byte(0x15);
                stage.byte(6);
                stage.byte(0x46);
                stage.varint(zigzag(long));
                stage.byte(STOP);
                self.small(&stage);
            }
            ValueView::Binary(bytes) => {
                self.bytes.extend_from_slice(&[0x15, 8]);
                self.head(0x58, bytes.len());
                self.bytes.extend_from_slice(bytes);
                self.bytes.push(STOP);
            }
        }
    }

    /// A field's header and a length.
    #[inline]
    fn head(&mut self, field: u8, length: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        if length < 0x80 {
            self.bytes.extend_from_slice(&[field, length as u8]);
        } else {
            let mut stage = Stage::<16>::new();
            stage.byte(field);
            stage.varint(length as u64);
            self.small(&stage);
        }
    }

    /// What precedes the fields of a log.
    #[inline]
    pub(crate) fn log_head(&mut self, timestamp_micros: i64, fields: usize) {
        let mut stage = Stage::<32>::new();
        stage.byte(0x16);
        stage.varint(zigzag(timestamp_micros));
        stage.byte(0x19);
        stage.list_header(fields);
        self.bytes.extend_from_slice(stage.bytes());
    }
}

/// The longest start of `text` that is at most `max_bytes` long and ends between characters.
#[inline]
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes { text } else { &text[..text.floor_char_boundary(max_bytes)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    #[test]
    fn law_varint_agrees_with_the_loop() {
        let edges = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power.wrapping_sub(1), power, power.wrapping_add(1), power | 0x5555_5555]
        });
        for value in edges.chain([0, u64::MAX, u64::MAX - 1]) {
            let (bytes, len) = varint(value);
            assert_eq!(&bytes[..len], naive(value), "{value:#x}");
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
