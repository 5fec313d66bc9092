//! The fast reader of spans whose fields are exactly those, in the order, that writers of
//! jaeger.thrift produce.
//!
//! The fast reader takes a fifth of the instructions of the general
//! [`Reader`](super::read::Reader), which calls it first and continues itself where something is
//! not as expected: the results are the same, and nothing is refused here.

use super::list::List;
use super::view::{LogView, ReferenceView, SpanView, TagView, ValueView};
use crate::id::{SpanId, TraceId};

/// Visits the parts of a span while it is read. A list that begins replaces one before.
pub(super) trait Visit<'a> {
    /// A span begins; parts visited before are not in it.
    fn begin(&mut self) {}

    /// The references of the span begin.
    fn begin_references(&mut self) {}

    /// The next reference.
    fn reference(&mut self, _reference: ReferenceView) {}

    /// The tags of the span begin.
    fn begin_tags(&mut self) {}

    /// The next tag.
    fn tag(&mut self, _tag: TagView<'a>) {}

    /// The logs of the span begin.
    fn begin_logs(&mut self) {}

    /// The fields of the next log begin.
    fn begin_fields(&mut self) {}

    /// The next field.
    fn field(&mut self, _field: TagView<'a>) {}

    /// The log whose fields were visited last.
    fn log(&mut self, _log: LogView<'a>) {}
}

impl Visit<'_> for () {}

/// The bytes that are left to read. A reader that returns `None` may have skipped some of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canonical<'a>(pub(super) &'a [u8]);

impl<'a> Canonical<'a> {
    /// Reads a `Span`.
    #[inline(always)]
    pub(super) fn span(&mut self, visitor: &mut impl Visit<'a>) -> Option<SpanView<'a>> {
        visitor.begin();
        let low = self.long_field()?.cast_unsigned();
        let high = self.long_field()?.cast_unsigned();
        let span_id = SpanId::new(self.long_field()?.cast_unsigned());
        let parent_span_id = SpanId::new(self.long_field()?.cast_unsigned());
        self.pass(0x18)?;
        let operation_name = self.bytes()?;
        self.pass(0x19)?;
        visitor.begin_references();
        let references =
            self.list(|r| r.reference().map(|reference| visitor.reference(reference)))?;
        self.pass(0x15)?;
        let flags = i32::try_from(self.long()?).ok()?;
        let start_time_micros = self.long_field()?;
        let duration_micros = self.long_field()?;
        self.pass(0x19)?;
        visitor.begin_tags();
        let tags = self.list(|r| r.tag().map(|tag| visitor.tag(tag)))?;
        self.pass(0x19)?;
        visitor.begin_logs();
        let logs = self.list(|r| r.log(visitor).map(|log| visitor.log(log)))?;
        self.pass(0)?;
        Some(SpanView {
            trace_id: TraceId::new(high, low),
            span_id,
            parent_span_id,
            operation_name,
            flags,
            start_time_micros,
            duration_micros,
            references: Some(references),
            tags: Some(tags),
            logs: Some(logs),
        })
    }

    /// Reads a `Tag`.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Option<TagView<'a>> {
        self.pass(0x18)?;
        let key = self.bytes()?;
        self.value().map(|value| TagView { key, value })
    }

    /// Reads the fields of a `Tag` behind its key.
    #[inline(always)]
    fn value(&mut self) -> Option<ValueView<'a>> {
        let ([0x15, kind, field], rest) = self.0.split_first_chunk()? else { return None };
        self.0 = rest;
        let value = match (kind, field) {
            (0, 0x18) => ValueView::Str(self.bytes()?),
            (2, 0x27) => {
                let (double, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                ValueView::Double(f64::from_le_bytes(*double))
            }
            (4, 0x31) => ValueView::Bool(true),
            (4, 0x32) => ValueView::Bool(false),
            (6, 0x46) => ValueView::Long(self.long()?),
            (8, 0x58) => ValueView::Binary(self.bytes()?),
            _ => return None,
        };
        self.pass(0)?;
        Some(value)
    }

    /// Reads tags up to the first whose key is found.
    #[inline(always)]
    pub(super) fn next_found<K>(
        &mut self,
        find: impl Fn(&'a [u8]) -> Option<K>,
    ) -> Option<(K, ValueView<'a>)> {
        loop {
            let bytes = self.0;
            let [0x18, len @ ..0x80, ..] = *bytes else {
                return if bytes.is_empty() { None } else { self.next_found_of_any(&find) };
            };
            let (key, rest) = bytes.get(2..)?.split_at_checked(usize::from(len))?;
            self.0 = rest;
            if let Some(found) = find(key) {
                return self.value().map(|value| (found, value));
            }
            // Of short values, only the length is looked at.
            let [_, kind, _, first, ..] = *rest else { return None };
            let len = match kind {
                4 => 4,
                0 | 8 if first < 0x80 => 5 + usize::from(first),
                2 => 12,
                6 if first < 0x80 => 5,
                6 if rest.get(4).is_some_and(|second| *second < 0x80) => 6,
                _ => {
                    self.value()?;
                    continue;
                }
            };
            self.0 = rest.get(len..)?;
        }
    }

    /// Does the same where the next tag has a long key.
    #[cold]
    #[inline(never)]
    fn next_found_of_any<K>(
        &mut self,
        find: &dyn Fn(&'a [u8]) -> Option<K>,
    ) -> Option<(K, ValueView<'a>)> {
        loop {
            let tag = self.tag()?;
            if let Some(found) = find(tag.key) {
                return Some((found, tag.value));
            }
        }
    }

    /// Reads a `Log`.
    #[inline(always)]
    pub(super) fn log(&mut self, visitor: &mut impl Visit<'a>) -> Option<LogView<'a>> {
        let timestamp_micros = self.long_field()?;
        self.pass(0x19)?;
        visitor.begin_fields();
        let fields = self.list(|r| r.tag().map(|field| visitor.field(field)))?;
        self.pass(0)?;
        Some(LogView { timestamp_micros, fields })
    }

    /// Reads a `SpanRef`.
    pub(super) fn reference(&mut self) -> Option<ReferenceView> {
        self.pass(0x15)?;
        let follows_from = match self.long()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let low = self.long_field()?.cast_unsigned();
        let trace_id = TraceId::new(self.long_field()?.cast_unsigned(), low);
        let span_id = SpanId::new(self.long_field()?.cast_unsigned());
        self.pass(0)?;
        Some(ReferenceView { follows_from, trace_id, span_id })
    }

    /// Reads a list of structures, after the field's header.
    #[inline(always)]
    fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<List<'a>> {
        const STRUCT: u8 = 12;
        let (header, rest) = self.0.split_first()?;
        self.0 = rest;
        if header & 15 != STRUCT {
            return None;
        }
        let count = match header >> 4 {
            15 => usize::try_from(self.number()?).ok()?,
            short => usize::from(short),
        };
        let start = self.0;
        for _ in 0..count {
            element(self)?;
        }
        Some(List { count, bytes: &start[..start.len() - self.0.len()] })
    }

    /// Reads the next field, of the type `i64`.
    #[inline(always)]
    fn long_field(&mut self) -> Option<i64> {
        self.pass(0x16)?;
        self.long()
    }

    #[inline(always)]
    fn pass(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(())
    }

    #[inline(always)]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a signed number.
    #[inline(always)]
    fn long(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        if *first < 0x80 {
            self.0 = rest;
            return Some(u64::from(*first));
        }
        let (value, len) = match self.0.first_chunk() {
            Some(chunk) => varint(chunk)?,
            None => varint(&self.last_bytes())?,
        };
        self.0 = self.0.get(len..)?;
        Some(value)
    }

    /// Reads fewer than ten bytes, padded with zeros.
    #[cold]
    fn last_bytes(&self) -> [u8; 10] {
        let mut chunk = [0; 10];
        chunk.iter_mut().zip(self.0).for_each(|(to, byte)| *to = *byte);
        chunk
    }
}

/// Returns the number at the start of these bytes and its length, or `None` if it is longer.
///
/// Decoded without a loop, as [`Varint`](super::writer::Varint) is: ids take nine or ten bytes.
#[inline(always)]
fn varint(bytes: &[u8; 10]) -> Option<(u64, usize)> {
    let [first @ .., ninth, tenth] = *bytes;
    let word = u64::from_le_bytes(first);
    let ends = !word & 0x8080_8080_8080_8080;
    let mut x = word & 0x7f7f_7f7f_7f7f_7f7f;
    let mut len = 8;
    if ends != 0 {
        // The bits up to the lowest end.
        x &= ends ^ (ends - 1);
        len = ends.trailing_zeros() as usize / 8 + 1;
    }
    // Each step moves the upper half of every group down to the lower one.
    x = (x & 0x007f_007f_007f_007f) | ((x & 0x7f00_7f00_7f00_7f00) >> 1);
    x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
    x = (x & 0x0000_0000_0fff_ffff) | ((x & 0x0fff_ffff_0000_0000) >> 4);
    match (ninth, tenth) {
        _ if ends != 0 => Some((x, len)),
        (..0x80, _) => Some((x | u64::from(ninth) << 56, 9)),
        (_, 0 | 1) => Some((x | u64::from(ninth & 0x7f) << 56 | u64::from(tenth) << 63, 10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::read::{DecodeError, Reader};
    use crate::encoding::writer::Varint;
    use crate::encoding::{put_log, put_reference, put_tag};

    const VALUES: [ValueView<'_>; 6] = [
        ValueView::Str(b"GET"),
        ValueView::Long(-200),
        ValueView::Double(0.25),
        ValueView::Bool(true),
        ValueView::Bool(false),
        ValueView::Binary(&[1, 2]),
    ];

    /// Changes every byte to every other value, and truncates at every place: wherever the fast
    /// reader succeeds, the general reader must return the same. Returns how often it did, and how
    /// often not.
    fn agree<'a, T: std::fmt::Debug>(
        damaged: &'a [Vec<u8>],
        short: impl Fn(&mut Canonical<'a>) -> Option<T>,
        general: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> (usize, usize) {
        let (mut read, mut not) = (0, 0);
        for bytes in damaged {
            let (mut canonical, mut reader) = (Canonical(bytes), Reader::new(bytes));
            let Some(value) = short(&mut canonical) else {
                not += 1;
                continue;
            };
            // Compared as text, in which not-a-number equals itself.
            assert_eq!(format!("{:?}", Ok::<_, ()>(value)), format!("{:?}", general(&mut reader)));
            assert_eq!(canonical.0, reader.rest(), "{bytes:02x?}");
            read += 1;
        }
        (read, not)
    }

    fn damaged(whole: &[u8]) -> Vec<Vec<u8>> {
        let mut damaged = vec![whole.to_vec()];
        for at in 0..whole.len() {
            damaged.push(whole[..at].to_vec());
            for byte in 0..=255 {
                let mut bytes = whole.to_vec();
                bytes[at] = byte;
                damaged.push(bytes);
            }
        }
        damaged
    }

    #[test]
    fn law_the_fast_parser_reads_what_the_general_reader_reads_whatever_the_damage() {
        let (mut tags, mut logs, mut references) = (Vec::new(), Vec::new(), Vec::new());
        for value in VALUES {
            let mut tag = Vec::new();
            put_tag(&mut tag, TagView::new(b"key", value));
            let (read, not) = agree(&damaged(&tag), |c| c.tag(), |r| r.any_tag());
            assert!(read > 3 * 256 && not > 256, "{value:?}: {read}, {not}");
            tags.extend(tag);
        }
        put_log(&mut logs, LogView::new(1 << 50, List::new(VALUES.len(), &tags)));
        let (read, not) = agree(&damaged(&logs), |c| c.log(&mut ()), |r| r.any_log(&mut ()));
        assert!(read > 3 * 256 && not > 256, "{read}, {not}");
        let reference = ReferenceView::new(true, TraceId::new(1, u64::MAX), SpanId::new(3));
        put_reference(&mut references, reference);
        let (read, not) = agree(&damaged(&references), |c| c.reference(), |r| r.any_reference());
        assert!(read > 256 && not > 256, "{read}, {not}");
        let span = SpanView {
            trace_id: TraceId::new(u64::MAX, 1 << 60),
            span_id: SpanId::new(1 << 40),
            parent_span_id: SpanId::new(300),
            operation_name: b"op",
            flags: 1,
            start_time_micros: 1_700_000_000_000_000,
            duration_micros: 127,
            references: Some(List::new(1, &references)),
            tags: Some(List::new(VALUES.len(), &tags)),
            logs: Some(List::new(1, &logs)),
        };
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        assert!(Canonical(&bytes).span(&mut ()).is_some(), "it is the way of our own spans");
        let (read, not) = agree(&damaged(&bytes), |c| c.span(&mut ()), |r| r.any_span(&mut ()));
        assert!(read > 3 * 256 && not > 256, "{read}, {not}");
    }

    #[test]
    fn law_numbers_are_read_as_the_general_reader_reads_them_at_any_distance_from_the_end() {
        let edges = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, u64::MAX << bit]);
        for value in edges {
            let varint = Varint::of(value);
            let mut bytes = varint.first.to_le_bytes().to_vec();
            bytes.extend(varint.last.to_le_bytes());
            bytes.truncate(varint.len);
            for behind in 0..12 {
                let mut bytes = bytes.clone();
                bytes.resize(bytes.len() + behind, 0xff);
                let mut canonical = Canonical(&bytes);
                assert_eq!(canonical.number(), Some(value));
                assert_eq!(canonical.0.len(), behind);
                assert_eq!(Reader::new(&bytes).varint(), Ok(value));
            }
            bytes.pop();
            assert!(Canonical(&bytes).number().is_none(), "{value:#x} cut short");
        }
        let too_long = [0xff; 12];
        assert!(Canonical(&too_long).number().is_none());
        assert!(
            Canonical(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])
                .number()
                .is_none()
        );
    }
}
