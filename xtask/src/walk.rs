//! Reads the number of spans in a datagram, as cheaply as possible.
//!
//! It does not use the client's reader, so that errors of that are not shared.

/// Returns the length of the span list of an `emitBatch` message in compact Thrift; `None` for other bytes.
///
/// Reads up to the header of the list, and not the spans.
pub(crate) fn span_count(datagram: &[u8]) -> Option<u64> {
    let mut walk = Walk { rest: datagram };
    let known = walk.byte()? == 0x82 && walk.byte()? & 0x1f == 1;
    walk.varint()?;
    if !known || walk.bytes()? != b"emitBatch" {
        return None;
    }
    walk.seek(1, STRUCT)?;
    walk.seek(2, LIST)?;
    let (count, kind) = walk.list_header()?;
    (kind == STRUCT).then_some(count)
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
const MAX_DEPTH: u32 = 8;

struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(length)
    }

    fn list_header(&mut self) -> Option<(u64, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        Some((count, header & 0x0f))
    }

    /// Returns the next field of a structure; `None` at its end.
    fn field(&mut self, last: &mut u64) -> Option<(u64, u8)> {
        let header = self.byte()?;
        if header == 0 {
            return None;
        }
        *last = match header >> 4 {
            0 => self.varint()? >> 1,
            delta => *last + u64::from(delta),
        };
        Some((*last, header & 0x0f))
    }

    /// Skips to the value of a field of the structure that begins here.
    fn seek(&mut self, field: u64, kind: u8) -> Option<()> {
        let mut last = 0;
        while let Some(found) = self.field(&mut last) {
            if found == (field, kind) {
                return Some(());
            }
            self.skip(found.1, MAX_DEPTH)?;
        }
        None
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE => {}
            3 => drop(self.take(1)?),
            4..=6 => drop(self.varint()?),
            7 => drop(self.take(8)?),
            8 => drop(self.bytes()?),
            LIST | 10 => {
                let (count, kind) = self.list_header()?;
                for _ in 0..count {
                    // A boolean is a byte in a list, and part of the header in a field.
                    self.skip(if kind <= FALSE { 3 } else { kind }, depth)?;
                }
            }
            STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last) {
                    self.skip(kind, depth)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use jaeger_client::SpanId;
    use jaeger_client::encoding::{
        BatchView, List, ProcessView, SpanView, TagView, ValueView, put_tag,
    };

    use super::*;

    fn message(spans: usize) -> Vec<u8> {
        let mut span = SpanView::default();
        span.span_id = SpanId::new(1);
        let (mut tags, mut bytes) = (Vec::new(), Vec::new());
        for value in [ValueView::Bool(true), ValueView::Double(1.5), ValueView::Str(b"v")] {
            put_tag(&mut tags, TagView::new(b"k", value));
        }
        (0..spans).for_each(|_| span.encode(&mut bytes));
        let process = ProcessView::new(b"service", Some(List::new(3, &tags)));
        BatchView::new(process, List::new(spans, &bytes)).to_message(1)
    }

    #[test]
    fn the_list_length_is_found_behind_the_process() {
        for spans in [0, 1, 14, 15, 480] {
            assert_eq!(span_count(&message(spans)), Some(spans as u64));
        }
    }

    #[test]
    fn what_is_no_batch_has_no_count() {
        let message = message(1);
        for end in 0..30 {
            assert_eq!(span_count(&message[..end]), None, "{end} bytes");
        }
        assert_eq!(span_count(&[0xff; 100]), None);
    }
}
