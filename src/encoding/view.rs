//! Views: a span, tag, log, reference read in place from canonical bytes, or about to be written.
//!
//! Parsing one checks the bytes once, with hard limits, so that the iterators over a parsed view
//! need not fail: what they cannot read they would never have let in.

use std::fmt;

use super::canonical::{Canonical, Visit};
use super::read::{DecodeError, Reader, wire};
use crate::id::{SpanId, TraceId};

/// The elements of a Thrift list as they lie in the bytes: how many, and where.
///
/// # Shape and units
///
/// `bytes` holds the elements only; the list's own header (element type and count) is written by
/// whoever encodes what the list belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct List<'a> {
    /// How many elements there are.
    pub count: usize,
    /// Their compact Thrift bytes, one behind the other.
    pub bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// A list of `count` elements whose compact bytes are `bytes`.
    #[must_use]
    pub const fn new(count: usize, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }
}

/// A finished span, in its canonical bytes.
///
/// Strings are byte slices: what this crate writes is UTF-8, what the network brings need not be.
/// A list that is `None` is not written at all; spans of this crate always carry all three, as
/// jaeger-client-go's do.
///
/// # Cost
///
/// [`parse`](Self::parse) walks the span once and copies nothing; so does each iterator.
///
/// # Source
///
/// `struct Span` of jaeger.thrift in jaeger-idl.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanView<'a> {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The id of its parent, [`SpanId::NONE`] for a root.
    pub parent_span_id: SpanId,
    /// What it did.
    pub operation_name: &'a [u8],
    /// Bit 1 sampled, 2 debug, 8 firehose.
    pub flags: i32,
    /// Microseconds since the Unix epoch.
    pub start_time_micros: i64,
    /// Microseconds from start to finish.
    pub duration_micros: i64,
    /// Spans it refers to.
    pub references: Option<List<'a>>,
    /// Its tags, in the order they were set.
    pub tags: Option<List<'a>>,
    /// Its logs, in the order they were written.
    pub logs: Option<List<'a>>,
}

impl<'a> SpanView<'a> {
    /// Reads the span at the start of `bytes`; gives it and the number of bytes it takes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes end early, nest too deeply, claim more elements than there are
    /// bytes, lack a required field, or have a field of the wrong type. Nothing is reserved and
    /// nothing panics, whatever the bytes are.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), DecodeError> {
        let mut reader = Reader::new(bytes);
        let span = reader.span()?;
        Ok((span, reader.position()))
    }

    /// The operation name as text; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn operation(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.operation_name)
    }

    /// The spans it refers to.
    pub fn references(&self) -> impl Iterator<Item = ReferenceView> + 'a {
        let list = self.references.unwrap_or_default();
        let mut reader = Reader::new(list.bytes);
        (0..list.count).map_while(move |_| reader.reference().ok())
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = TagView<'a>> + 'a {
        tags_of(self.tags)
    }

    /// Its logs.
    pub fn logs(&self) -> impl Iterator<Item = LogView<'a>> + 'a {
        let list = self.logs.unwrap_or_default();
        let mut reader = Reader::new(list.bytes);
        (0..list.count).map_while(move |_| reader.log().ok())
    }

    /// The value of the last tag with this key, which is the one a map of the tags would show.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<ValueView<'a>> {
        self.tags().filter(|tag| tag.key == key.as_bytes()).last().map(|tag| tag.value)
    }
}

/// Reads the tags of a list that was checked when it was parsed.
pub(crate) fn tags_of<'a>(list: Option<List<'a>>) -> impl Iterator<Item = TagView<'a>> + 'a {
    let list = list.unwrap_or_default();
    let mut reader = Reader::new(list.bytes);
    (0..list.count).map_while(move |_| reader.tag().ok())
}

/// A key and its value: a tag of a span or process, or a field of a log.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TagView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: ValueView<'a>,
}

/// With the key as text.
impl fmt::Debug for TagView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagView")
            .field("key", &String::from_utf8_lossy(self.key))
            .field("value", &self.value)
            .finish()
    }
}

impl<'a> TagView<'a> {
    /// A key with its value.
    #[must_use]
    pub const fn new(key: &'a [u8], value: ValueView<'a>) -> Self {
        Self { key, value }
    }
}

/// A value as Jaeger's model has it.
///
/// # Source
///
/// `enum TagType` of jaeger.thrift; the discriminants are its numbers.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueView<'a> {
    /// Text.
    Str(&'a [u8]),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A whole number; unsigned ones are wrapped into it.
    Long(i64),
    /// Bytes that are no text.
    Binary(&'a [u8]),
}

impl<'a> ValueView<'a> {
    /// The value if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            Self::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

/// With text as text.
impl fmt::Debug for ValueView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.debug_tuple("Str").field(&String::from_utf8_lossy(text)).finish(),
            Self::Double(double) => f.debug_tuple("Double").field(double).finish(),
            Self::Bool(truth) => f.debug_tuple("Bool").field(truth).finish(),
            Self::Long(number) => f.debug_tuple("Long").field(number).finish(),
            Self::Binary(bytes) => f.debug_tuple("Binary").field(bytes).finish(),
        }
    }
}

impl PartialEq<str> for ValueView<'_> {
    fn eq(&self, other: &str) -> bool {
        matches!(self, Self::Str(text) if *text == other.as_bytes())
    }
}

impl PartialEq<&str> for ValueView<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<i64> for ValueView<'_> {
    fn eq(&self, other: &i64) -> bool {
        matches!(self, Self::Long(number) if number == other)
    }
}

impl PartialEq<bool> for ValueView<'_> {
    fn eq(&self, other: &bool) -> bool {
        matches!(self, Self::Bool(truth) if truth == other)
    }
}

impl PartialEq<f64> for ValueView<'_> {
    fn eq(&self, other: &f64) -> bool {
        matches!(self, Self::Double(double) if double == other)
    }
}

/// The text that stands for a double that is infinite or not a number: JSON has no number for it,
/// and Jaeger's query service fails on a trace, and on every list of traces, with one.
pub(crate) const fn not_finite(double: f64) -> &'static str {
    match (double.is_nan(), double > 0.0) {
        (true, _) => "NaN",
        (false, true) => "+Inf",
        (false, false) => "-Inf",
    }
}

/// What was logged at one moment of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogView<'a> {
    /// Microseconds since the Unix epoch.
    pub timestamp_micros: i64,
    /// Its fields.
    pub fields: List<'a>,
}

impl<'a> LogView<'a> {
    /// A moment and the fields logged at it.
    #[must_use]
    pub const fn new(timestamp_micros: i64, fields: List<'a>) -> Self {
        Self { timestamp_micros, fields }
    }

    /// Its fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = TagView<'a>> + 'a {
        tags_of(Some(self.fields))
    }
}

/// A span another one refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReferenceView {
    /// Whether the referring span follows from this one; otherwise it is its child.
    pub follows_from: bool,
    /// The trace of the span referred to.
    pub trace_id: TraceId,
    /// The span referred to.
    pub span_id: SpanId,
}

impl ReferenceView {
    /// A reference to a span.
    #[must_use]
    pub const fn new(follows_from: bool, trace_id: TraceId, span_id: SpanId) -> Self {
        Self { follows_from, trace_id, span_id }
    }
}

impl<'a> Reader<'a> {
    /// Reads a `Span`, checking the lists in it element by element.
    pub(super) fn span(&mut self) -> Result<SpanView<'a>, DecodeError> {
        self.span_with(&mut ())
    }

    /// The same, and shows what is in it.
    #[inline(always)]
    pub(super) fn span_with(
        &mut self,
        visitor: &mut impl Visit<'a>,
    ) -> Result<SpanView<'a>, DecodeError> {
        match self.canonical(|reader| reader.span(visitor)) {
            Some(span) => Ok(span),
            None => self.any_span(visitor),
        }
    }

    /// Reads a `Span` whose fields may be in any order, absent, or beside others.
    #[inline(never)]
    pub(super) fn any_span(
        &mut self,
        visitor: &mut impl Visit<'a>,
    ) -> Result<SpanView<'a>, DecodeError> {
        visitor.begin();
        let mut span = SpanView::default();
        let (mut high, mut low) = (0, 0);
        let mut seen = 0_u16;
        self.fields(|reader, field, kind| {
            match field {
                1 => low = reader.expect_i64(kind)?,
                2 => high = reader.expect_i64(kind)?,
                3 => span.span_id = SpanId::new(reader.expect_i64(kind)?.cast_unsigned()),
                4 => span.parent_span_id = SpanId::new(reader.expect_i64(kind)?.cast_unsigned()),
                5 => span.operation_name = reader.expect_bytes(kind)?,
                6 => {
                    visitor.begin_references();
                    let reference =
                        |r: &mut Self| r.reference().map(|other| visitor.reference(other));
                    span.references = Some(reader.list(kind, reference)?);
                }
                7 => span.flags = reader.expect_i32(kind)?,
                8 => span.start_time_micros = reader.expect_i64(kind)?,
                9 => span.duration_micros = reader.expect_i64(kind)?,
                10 => {
                    visitor.begin_tags();
                    let tag = |r: &mut Self| r.tag().map(|tag| visitor.tag(tag));
                    span.tags = Some(reader.list(kind, tag)?);
                }
                11 => {
                    visitor.begin_logs();
                    let log = |r: &mut Self| r.log_with(visitor).map(|log| visitor.log(log));
                    span.logs = Some(reader.list(kind, log)?);
                }
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
        Ok(span)
    }

    #[inline]
    pub(super) fn tag(&mut self) -> Result<TagView<'a>, DecodeError> {
        self.canonical(Canonical::tag).map_or_else(|| self.any_tag(), Ok)
    }

    #[inline(never)]
    pub(super) fn any_tag(&mut self) -> Result<TagView<'a>, DecodeError> {
        let (mut key, mut v_type) = (None, None);
        let (mut text, mut double, mut truth, mut long, mut binary) =
            (None, None, None, None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => key = Some(reader.expect_bytes(kind)?),
                2 => v_type = Some(reader.expect_i32(kind)?),
                3 => text = Some(reader.expect_bytes(kind)?),
                4 => double = Some(reader.expect_double(kind)?),
                5 => truth = Some(reader.expect_bool(kind)?),
                6 => long = Some(reader.expect_i64(kind)?),
                7 => binary = Some(reader.expect_bytes(kind)?),
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
            2 => ValueView::Bool(truth.unwrap_or_default()),
            3 => ValueView::Long(long.unwrap_or_default()),
            4 => ValueView::Binary(binary.unwrap_or_default()),
            value => return Err(DecodeError::UnknownTagType { value }),
        };
        Ok(TagView { key, value })
    }

    pub(super) fn log(&mut self) -> Result<LogView<'a>, DecodeError> {
        self.log_with(&mut ())
    }

    #[inline]
    fn log_with(&mut self, visitor: &mut impl Visit<'a>) -> Result<LogView<'a>, DecodeError> {
        match self.canonical(|reader| reader.log(visitor)) {
            Some(log) => Ok(log),
            None => self.any_log(visitor),
        }
    }

    #[inline(never)]
    pub(super) fn any_log(
        &mut self,
        visitor: &mut impl Visit<'a>,
    ) -> Result<LogView<'a>, DecodeError> {
        let (mut timestamp, mut fields) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => timestamp = Some(reader.expect_i64(kind)?),
                2 => {
                    visitor.begin_fields();
                    let field = |r: &mut Self| r.tag().map(|field| visitor.field(field));
                    fields = Some(reader.list(kind, field)?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        match (timestamp, fields) {
            (Some(timestamp_micros), Some(fields)) => Ok(LogView { timestamp_micros, fields }),
            _ => Err(DecodeError::MissingField { of: "Log" }),
        }
    }

    pub(super) fn reference(&mut self) -> Result<ReferenceView, DecodeError> {
        self.canonical(Canonical::reference).map_or_else(|| self.any_reference(), Ok)
    }

    #[inline(never)]
    pub(super) fn any_reference(&mut self) -> Result<ReferenceView, DecodeError> {
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
        Ok(ReferenceView {
            follows_from: kind_of == wire::FOLLOWS_FROM,
            trace_id: TraceId::new(high.cast_unsigned(), low.cast_unsigned()),
            span_id: SpanId::new(span_id.cast_unsigned()),
        })
    }
}
