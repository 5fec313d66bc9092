//! The bounded reader of Thrift's binary protocol, for untrusted bytes.
//!
//! The reader converts to canonical, that is compact, bytes, which never take more room than the
//! binary ones. Every size is checked against the remaining bytes before it is used, negative ones
//! are refused, and nesting is bounded, so hostile input costs at most one pass over itself and a
//! copy no larger than it.

use jaeger_client::encoding::{
    BatchView, ClientStats, DecodeError, List, LogView, ProcessView, ReferenceView, SpanView,
    TagView, ValueView, put_log, put_reference, put_tag,
};
use jaeger_client::{SpanId, TraceId};

/// A batch in separate bytes, canonical whatever it came as.
#[derive(Debug, Default)]
pub(crate) struct OwnedBatch {
    service_name: Vec<u8>,
    tags: Option<OwnedList>,
    spans: OwnedList,
    seq_no: Option<i64>,
    stats: Option<ClientStats>,
}

impl OwnedBatch {
    pub(crate) fn view(&self) -> BatchView<'_> {
        let tags = self.tags.as_ref().map(OwnedList::view);
        BatchView::new(ProcessView::new(&self.service_name, tags), self.spans.view())
            .with_seq_no(self.seq_no)
            .with_stats(self.stats)
    }
}

#[derive(Debug, Default)]
struct OwnedList {
    count: usize,
    bytes: Vec<u8>,
}

impl OwnedList {
    fn view(&self) -> List<'_> {
        List::new(self.count, &self.bytes)
    }
}

/// Reads an `emitBatch` message of the binary protocol, as an agent gets it on port 6832.
///
/// # Shape and units
///
/// Strict: `8001 0001`, name, sequence id, arguments. Old: name, type byte, sequence id, arguments.
pub(crate) fn parse_message(datagram: &[u8]) -> Result<OwnedBatch, DecodeError> {
    let mut reader = Reader { bytes: datagram, at: 0, depth: 0 };
    let first = reader.i32()?.cast_unsigned();
    let (name, kind) = if first & 0xffff_0000 == VERSION_1 {
        (reader.string()?, first & 0xff)
    } else if first >> 31 == 0 {
        let name = reader.sized(first.cast_signed())?;
        (name, u32::from(reader.byte()?))
    } else {
        return Err(unknown("protocol is not thrift binary"));
    };
    if name != b"emitBatch" {
        return Err(unknown("method is not emitBatch"));
    }
    if !matches!(kind, CALL | ONE_WAY) {
        return Err(unknown("neither a call nor one-way"));
    }
    let _seq_id = reader.i32()?;
    let mut batch = None;
    reader.fields(|reader, field, kind| {
        if (field, kind) != (1, STRUCT) {
            return Ok(false);
        }
        batch = Some(reader.batch()?);
        Ok(true)
    })?;
    batch.ok_or(DecodeError::MissingField { of: "emitBatch" })
}

const VERSION_1: u32 = 0x8001_0000;
const CALL: u32 = 1;
const ONE_WAY: u32 = 4;

const BOOL: u8 = 2;
const DOUBLE: u8 = 4;
const I32: u8 = 8;
const I64: u8 = 10;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const LIST: u8 = 15;

/// The nesting depth of the compact reader: room for structures of a later model.
const MAX_DEPTH: usize = 16;

const fn unknown(what: &'static str) -> DecodeError {
    DecodeError::UnknownMessage { what }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.left() {
            return Err(DecodeError::Truncated { at: self.at });
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| DecodeError::Truncated { at })
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A size that was read, if it is one: not negative, and not beyond what is left. Every element
    /// of a collection takes a byte or more, so this holds for counts too.
    fn bounded(&self, size: i32) -> Result<usize, DecodeError> {
        let Ok(claimed) = usize::try_from(size) else { return Err(unknown("a negative size")) };
        if claimed > self.left() {
            return Err(DecodeError::TooLong { claimed: claimed as u64, left: self.left() });
        }
        Ok(claimed)
    }

    fn sized(&mut self, size: i32) -> Result<&'a [u8], DecodeError> {
        let length = self.bounded(size)?;
        self.take(length)
    }

    fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let size = self.i32()?;
        self.sized(size)
    }

    fn expect_i32(&mut self, kind: u8) -> Result<i32, DecodeError> {
        expect(kind, I32)?;
        self.i32()
    }

    fn expect_i64(&mut self, kind: u8) -> Result<i64, DecodeError> {
        expect(kind, I64)?;
        self.array().map(i64::from_be_bytes)
    }

    fn expect_double(&mut self, kind: u8) -> Result<f64, DecodeError> {
        expect(kind, DOUBLE)?;
        self.array().map(f64::from_be_bytes)
    }

    fn expect_bool(&mut self, kind: u8) -> Result<bool, DecodeError> {
        expect(kind, BOOL)?;
        self.byte().map(|byte| byte != 0)
    }

    fn expect_string(&mut self, kind: u8) -> Result<&'a [u8], DecodeError> {
        expect(kind, STRING)?;
        self.string()
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads a structure's fields. `known` reads the value of a known field and returns whether it
    /// did; all other fields are skipped.
    fn fields(
        &mut self,
        mut known: impl FnMut(&mut Self, i16, u8) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        self.enter()?;
        loop {
            let kind = self.byte()?;
            if kind == 0 {
                break;
            }
            let field = self.array().map(i16::from_be_bytes)?;
            if !known(self, field, kind)? {
                self.skip(kind)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a list of structures, each appended by `element` in canonical bytes.
    fn list(
        &mut self,
        kind: u8,
        mut element: impl FnMut(&mut Self, &mut Vec<u8>) -> Result<(), DecodeError>,
    ) -> Result<OwnedList, DecodeError> {
        expect(kind, LIST)?;
        let element_kind = self.byte()?;
        let size = self.i32()?;
        let count = self.bounded(size)?;
        if count > 0 {
            expect(element_kind, STRUCT)?;
        }
        let mut bytes = Vec::new();
        for _ in 0..count {
            element(self, &mut bytes)?;
        }
        Ok(OwnedList { count, bytes })
    }

    fn skip(&mut self, kind: u8) -> Result<(), DecodeError> {
        match kind {
            BOOL | 3 => drop(self.take(1)?),
            6 => drop(self.take(2)?),
            I32 => drop(self.take(4)?),
            DOUBLE | I64 => drop(self.take(8)?),
            16 => drop(self.take(16)?),
            STRING => drop(self.string()?),
            STRUCT => self.fields(|_, _, _| Ok(false))?,
            13 => {
                self.enter()?;
                let (key, value) = (self.byte()?, self.byte()?);
                let size = self.i32()?;
                for _ in 0..self.bounded(size)? {
                    self.skip(key)?;
                    self.skip(value)?;
                }
                self.depth -= 1;
            }
            14 | LIST => {
                self.enter()?;
                let element = self.byte()?;
                let size = self.i32()?;
                for _ in 0..self.bounded(size)? {
                    self.skip(element)?;
                }
                self.depth -= 1;
            }
            found => return Err(DecodeError::WrongType { found }),
        }
        Ok(())
    }
}

fn expect(found: u8, wanted: u8) -> Result<(), DecodeError> {
    if found == wanted { Ok(()) } else { Err(DecodeError::WrongType { found }) }
}

/// The model of jaeger.thrift.
impl<'a> Reader<'a> {
    fn batch(&mut self) -> Result<OwnedBatch, DecodeError> {
        let mut batch = OwnedBatch::default();
        let (mut process, mut spans) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => process = Some(reader.process(kind)?),
                2 => spans = Some(reader.list(kind, Self::span)?),
                3 => batch.seq_no = Some(reader.expect_i64(kind)?),
                4 => batch.stats = Some(reader.stats(kind)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some((service_name, tags)), Some(spans)) = (process, spans) else {
            return Err(DecodeError::MissingField { of: "Batch" });
        };
        Ok(OwnedBatch { service_name, tags, spans, ..batch })
    }

    fn process(&mut self, kind: u8) -> Result<(Vec<u8>, Option<OwnedList>), DecodeError> {
        expect(kind, STRUCT)?;
        let (mut service_name, mut tags) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => service_name = Some(reader.expect_string(kind)?),
                2 => tags = Some(reader.list(kind, Self::tag)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let service_name = service_name.ok_or(DecodeError::MissingField { of: "Process" })?;
        Ok((service_name.to_vec(), tags))
    }

    fn stats(&mut self, kind: u8) -> Result<ClientStats, DecodeError> {
        expect(kind, STRUCT)?;
        let mut stats = ClientStats::default();
        self.fields(|reader, field, kind| {
            match field {
                1 => stats.full_queue_dropped_spans = reader.expect_i64(kind)?,
                2 => stats.too_large_dropped_spans = reader.expect_i64(kind)?,
                3 => stats.failed_to_emit_spans = reader.expect_i64(kind)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(stats)
    }

    fn span(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut span = SpanView::default();
        let (mut high, mut low) = (0, 0);
        let (mut references, mut tags, mut logs) = (None, None, None);
        let mut seen = 0_u16;
        self.fields(|reader, field, kind| {
            match field {
                1 => low = reader.expect_i64(kind)?,
                2 => high = reader.expect_i64(kind)?,
                3 => span.span_id = SpanId::new(reader.expect_i64(kind)?.cast_unsigned()),
                4 => span.parent_span_id = SpanId::new(reader.expect_i64(kind)?.cast_unsigned()),
                5 => span.operation_name = reader.expect_string(kind)?,
                6 => references = Some(reader.list(kind, Self::reference)?),
                7 => span.flags = reader.expect_i32(kind)?,
                8 => span.start_time_micros = reader.expect_i64(kind)?,
                9 => span.duration_micros = reader.expect_i64(kind)?,
                10 => tags = Some(reader.list(kind, Self::tag)?),
                11 => logs = Some(reader.list(kind, Self::log)?),
                _ => return Ok(false),
            }
            seen |= 1 << field;
            Ok(true)
        })?;
        const REQUIRED: u16 = 0b11_1011_1110;
        if seen & REQUIRED != REQUIRED {
            return Err(DecodeError::MissingField { of: "Span" });
        }
        span.trace_id = TraceId::new(high.cast_unsigned(), low.cast_unsigned());
        span.references = references.as_ref().map(OwnedList::view);
        span.tags = tags.as_ref().map(OwnedList::view);
        span.logs = logs.as_ref().map(OwnedList::view);
        span.encode(out);
        Ok(())
    }

    fn tag(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let (mut key, mut v_type) = (None, None);
        let (mut text, mut double, mut boolean, mut long, mut binary) =
            (None, None, None, None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => key = Some(reader.expect_string(kind)?),
                2 => v_type = Some(reader.expect_i32(kind)?),
                3 => text = Some(reader.expect_string(kind)?),
                4 => double = Some(reader.expect_double(kind)?),
                5 => boolean = Some(reader.expect_bool(kind)?),
                6 => long = Some(reader.expect_i64(kind)?),
                7 => binary = Some(reader.expect_string(kind)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(key), Some(v_type)) = (key, v_type) else {
            return Err(DecodeError::MissingField { of: "Tag" });
        };
        // A type whose value is absent reads as that type's zero, as the generated readers have it.
        let value = match v_type {
            0 => ValueView::Str(text.unwrap_or_default()),
            1 => ValueView::Double(double.unwrap_or_default()),
            2 => ValueView::Bool(boolean.unwrap_or_default()),
            3 => ValueView::Long(long.unwrap_or_default()),
            4 => ValueView::Binary(binary.unwrap_or_default()),
            value => return Err(DecodeError::UnknownTagType { value }),
        };
        put_tag(out, TagView::new(key, value));
        Ok(())
    }

    fn log(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let (mut timestamp, mut fields) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => timestamp = Some(reader.expect_i64(kind)?),
                2 => fields = Some(reader.list(kind, Self::tag)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(timestamp), Some(fields)) = (timestamp, fields) else {
            return Err(DecodeError::MissingField { of: "Log" });
        };
        put_log(out, LogView::new(timestamp, fields.view()));
        Ok(())
    }

    fn reference(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let (mut kind_of, mut low, mut high, mut span_id) = (None, None, None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => kind_of = Some(reader.expect_i32(kind)?),
                2 => low = Some(reader.expect_i64(kind)?),
                3 => high = Some(reader.expect_i64(kind)?),
                4 => span_id = Some(reader.expect_i64(kind)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(kind_of), Some(low), Some(high), Some(span_id)) = (kind_of, low, high, span_id)
        else {
            return Err(DecodeError::MissingField { of: "SpanRef" });
        };
        let trace_id = TraceId::new(high.cast_unsigned(), low.cast_unsigned());
        let span_id = SpanId::new(span_id.cast_unsigned());
        put_reference(out, ReferenceView::new(kind_of == 1, trace_id, span_id));
        Ok(())
    }
}
