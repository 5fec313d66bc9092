//! The parser of views, which uses the fast reader where possible.
//!
//! Parsing a span checks the bytes once, with hard limits, so that the iterators over a parsed view
//! cannot fail.

use super::canonical::{Canonical, Visit};
use super::list::List;
use super::read::{DecodeError, Reader, wire};
use super::view::{LogView, ReferenceView, SpanView, TagView, ValueView};
use crate::id::{SpanId, TraceId};

impl<'a> SpanView<'a> {
    /// Reads the span at the start of `bytes`, and returns it with its length.
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

    /// Returns the references to other spans.
    pub fn references(&self) -> impl Iterator<Item = ReferenceView> + 'a {
        let list = self.references.unwrap_or_default();
        let mut reader = Reader::new(list.bytes);
        (0..list.count).map_while(move |_| reader.reference().ok())
    }

    /// Returns the tags, in order.
    pub fn tags(&self) -> impl Iterator<Item = TagView<'a>> + 'a {
        tags_of(self.tags)
    }

    /// Returns the logs, in order.
    pub fn logs(&self) -> impl Iterator<Item = LogView<'a>> + 'a {
        let list = self.logs.unwrap_or_default();
        let mut reader = Reader::new(list.bytes);
        (0..list.count).map_while(move |_| reader.log().ok())
    }

    /// Returns the value of the last tag with this key, which is the one that a map of the tags
    /// would have.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<ValueView<'a>> {
        self.tags().filter(|tag| tag.key == key.as_bytes()).last().map(|tag| tag.value)
    }
}

impl<'a> LogView<'a> {
    /// Returns the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = TagView<'a>> + 'a {
        tags_of(Some(self.fields))
    }
}

/// Reads the tags of a list that was checked when it was parsed.
pub(crate) fn tags_of<'a>(list: Option<List<'a>>) -> impl Iterator<Item = TagView<'a>> + 'a {
    let list = list.unwrap_or_default();
    let mut reader = Reader::new(list.bytes);
    (0..list.count).map_while(move |_| reader.tag().ok())
}

/// Reads those tags whose key is found, of bytes that a [`TagBuffer`](super::TagBuffer) has written.
pub(crate) fn tags_found<'a, K, F: Fn(&'a [u8]) -> Option<K>>(
    bytes: &'a [u8],
    find: F,
) -> TagsFound<'a, F> {
    TagsFound { left: Canonical(bytes), find }
}

/// The tags of [`tags_found`].
pub(crate) struct TagsFound<'a, F> {
    left: Canonical<'a>,
    find: F,
}

impl<'a, K, F: Fn(&'a [u8]) -> Option<K>> Iterator for TagsFound<'a, F> {
    type Item = (K, ValueView<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left.next_found(&self.find)
    }
}

impl<'a> Reader<'a> {
    /// Calls the fast reader, and restores the position if it fails.
    #[inline(always)]
    pub(super) fn canonical<T>(
        &mut self,
        read: impl FnOnce(&mut Canonical<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut canonical = Canonical(self.rest());
        let value = read(&mut canonical)?;
        self.skip_to(canonical.0.len());
        Some(value)
    }

    /// Reads a `Span`, checking the lists in it element by element.
    pub(super) fn span(&mut self) -> Result<SpanView<'a>, DecodeError> {
        self.span_with(&mut ())
    }

    /// Reads a `Span`, and visits its parts.
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

    /// Reads a `Span` whose fields may be in any order, absent, or beside unknown ones.
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
        let (mut text, mut double, mut boolean, mut long, mut binary) =
            (None, None, None, None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => key = Some(reader.expect_bytes(kind)?),
                2 => v_type = Some(reader.expect_i32(kind)?),
                3 => text = Some(reader.expect_bytes(kind)?),
                4 => double = Some(reader.expect_double(kind)?),
                5 => boolean = Some(reader.expect_bool(kind)?),
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
            2 => ValueView::Bool(boolean.unwrap_or_default()),
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
