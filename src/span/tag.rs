//! Values of tags and log fields, and the options of a span's end.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::encoding::{List, ValueView, not_finite, tags_of, truncate};

/// The value of a tag or log field, borrowed: it is encoded at once.
///
/// # Shape and units
///
/// Every integer becomes a 64-bit signed number on the wire; a `u64` above `i64::MAX` wraps, as
/// jaeger-client-go's does. A double that is infinite or not a number becomes the text `+Inf`,
/// `-Inf` or `NaN`: Jaeger's query service has no other way to show it. Text and bytes longer than
/// the tracer's maximum are truncated, text between characters.
///
/// # Examples
///
/// ```
/// use jaeger_client::TagValue;
/// assert_eq!(TagValue::from(200_u16), TagValue::I64(200));
/// assert_eq!(TagValue::from("GET"), TagValue::Str("GET"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TagValue<'a> {
    /// Text.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A double.
    F64(f64),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Returns encoded tags as keys and values.
pub(in crate::span) fn read_tags(list: List<'_>) -> impl Iterator<Item = (&str, TagValue<'_>)> {
    tags_of(Some(list))
        .map(|tag| (str::from_utf8(tag.key).unwrap_or_default(), TagValue::of(tag.value)))
}

impl<'a> TagValue<'a> {
    /// Returns the value of an encoded one; unsigned integers have become signed ones, and doubles
    /// that are not finite text.
    pub(crate) fn of(view: ValueView<'a>) -> Self {
        match view {
            ValueView::Str(text) => Self::Str(str::from_utf8(text).unwrap_or_default()),
            ValueView::Bool(value) => Self::Bool(value),
            ValueView::Long(number) => Self::I64(number),
            ValueView::Double(double) => Self::F64(double),
            ValueView::Binary(bytes) => Self::Bytes(bytes),
        }
    }

    /// Returns the length of text or bytes; 0 for other values.
    #[inline]
    pub(crate) fn byte_len(self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Bool(_) | Self::I64(_) | Self::U64(_) | Self::F64(_) => 0,
        }
    }

    /// Returns the value to be encoded, text and bytes truncated to `max_bytes`.
    #[inline]
    pub(crate) fn view(self, max_bytes: usize) -> ValueView<'a> {
        match self {
            Self::Str(text) => ValueView::Str(truncate(text, max_bytes).as_bytes()),
            Self::Bool(value) => ValueView::Bool(value),
            Self::I64(number) => ValueView::Long(number),
            Self::U64(number) => ValueView::Long(number.cast_signed()),
            Self::F64(double) if double.is_finite() => ValueView::Double(double),
            Self::F64(double) => ValueView::Str(not_finite(double).as_bytes()),
            Self::Bytes(bytes) => ValueView::Binary(&bytes[..bytes.len().min(max_bytes)]),
        }
    }
}

/// Text that is not UTF-8 becomes bytes.
impl<'a> From<ValueView<'a>> for TagValue<'a> {
    fn from(view: ValueView<'a>) -> Self {
        match view {
            ValueView::Str(text) => str::from_utf8(text).map_or(Self::Bytes(text), Self::Str),
            other => Self::of(other),
        }
    }
}

impl<'a> From<&'a OwnedTagValue> for TagValue<'a> {
    fn from(value: &'a OwnedTagValue) -> Self {
        match value {
            OwnedTagValue::Str(text) => Self::Str(text),
            OwnedTagValue::Bool(value) => Self::Bool(*value),
            OwnedTagValue::I64(number) => Self::I64(*number),
            OwnedTagValue::U64(number) => Self::U64(*number),
            OwnedTagValue::F64(double) => Self::F64(*double),
            OwnedTagValue::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// Returns the retained part of a text that is longer than `max_bytes`: its beginning and, if that
/// is wanted and fits, a mark with the original length.
#[cold]
pub(crate) fn truncate_value(text: &str, max_bytes: usize, marked: bool) -> Cow<'_, str> {
    let mark = if marked { format!("… [{} bytes]", text.len()) } else { String::new() };
    match max_bytes.checked_sub(mark.len()) {
        Some(room) if marked => Cow::Owned(format!("{}{mark}", truncate(text, room))),
        _ => Cow::Borrowed(truncate(text, max_bytes)),
    }
}

/// The owned value of a tag, for tags of the process in a [`Configuration`](crate::Configuration).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OwnedTagValue {
    /// Text.
    Str(String),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A double.
    F64(f64),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<String> for OwnedTagValue {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<Cow<'_, str>> for OwnedTagValue {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Str(text.into_owned())
    }
}

impl From<Vec<u8>> for OwnedTagValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, T: Into<TagValue<'a>>> From<T> for OwnedTagValue {
    fn from(value: T) -> Self {
        match value.into() {
            TagValue::Str(text) => Self::Str(text.to_owned()),
            TagValue::Bool(value) => Self::Bool(value),
            TagValue::I64(number) => Self::I64(number),
            TagValue::U64(number) => Self::U64(number),
            TagValue::F64(double) => Self::F64(double),
            TagValue::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

/// A log with a given time, for [`FinishOptions`].
///
/// # Source
///
/// `LogRecord` of OpenTracing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written as a literal")]
pub struct LogRecord<'a> {
    /// The time of the log.
    pub timestamp: SystemTime,
    /// The fields.
    pub fields: &'a [(&'a str, TagValue<'a>)],
}

/// The options of a span's end; see [`Span::finish_with`](super::Span::finish_with).
///
/// # Source
///
/// `FinishOptions` of OpenTracing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct FinishOptions<'a> {
    /// The end time; now by default. A time before the start gives the minimum duration, a
    /// microsecond.
    pub finish_time: Option<SystemTime>,
    /// Logs that are appended to the span's logs, however many they are.
    pub log_records: &'a [LogRecord<'a>],
}
