//! The writer of a whole span as compact Thrift, from a view of it.
//!
//! A tracer's own spans are written by [`SpanParts`](super::SpanParts).

use super::list::List;
use super::view::SpanView;
use super::writer::{STOP, SliceWriter, varint_len, zigzag};

impl SpanView<'_> {
    /// Returns the exact number of bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let number = |value: i64| 1 + varint_len(zigzag(value));
        let list = |list: Option<List<'_>>| {
            list.map_or(0, |l| {
                1 + list_header_len(l.count) + if l.count > 0 { l.bytes.len() } else { 0 }
            })
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

    /// Returns an upper bound of the length, without looking at the numbers.
    fn max_len(&self) -> usize {
        let list = |list: Option<List<'_>>| list.map_or(0, |list| list.bytes.len());
        MAX_FIXED_BYTES
            + self.operation_name.len()
            + list(self.references)
            + list(self.tags)
            + list(self.logs)
    }

    /// Writes the span at the start of `room`, which must hold [`max_len`](Self::max_len) bytes,
    /// and returns its length.
    pub(crate) fn write(&self, room: &mut [u8]) -> usize {
        let mut to = SliceWriter { room, at: 0 };
        let ids = [
            self.trace_id.low(),
            self.trace_id.high(),
            self.span_id.get(),
            self.parent_span_id.get(),
        ];
        for id in ids {
            to.byte(0x16);
            to.number(zigzag(id.cast_signed()));
        }
        to.head(0x18, self.operation_name.len());
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

/// The maximum length of a span beside its name and lists: seven numbers of up to ten bytes, the
/// reference to a parent, four lengths of up to six, eleven field headers, a stop, and the overhang
/// of the windows that it is written through.
pub(crate) const MAX_FIXED_BYTES: usize = 512;

pub(super) fn list_header_len(count: usize) -> usize {
    if count < 15 { 1 } else { 1 + varint_len(count as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{
        LogView, ReferenceView, TagView, ValueView, put_log, put_reference, put_tag,
    };

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
