//! Values of tags and log fields, what converts to them, and the options of a span's end.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::encoding::{List, ValueView, not_finite, tags_of, truncate};
use crate::tags::SpanKind;

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

macro_rules! from {
    ($($kind:ty => |$value:ident| $made:expr;)*) => {$(
        impl<'a> From<$kind> for TagValue<'a> {
            #[inline]
            fn from($value: $kind) -> Self {
                $made
            }
        }
    )*};
}

from! {
    &'a str => |text| Self::Str(text);
    &'a String => |text| Self::Str(text);
    &'a Cow<'_, str> => |text| Self::Str(text);
    &'a [u8] => |bytes| Self::Bytes(bytes);
    &'a Vec<u8> => |bytes| Self::Bytes(bytes);
    bool => |value| Self::Bool(value);
    i8 => |number| Self::I64(i64::from(number));
    i16 => |number| Self::I64(i64::from(number));
    i32 => |number| Self::I64(i64::from(number));
    i64 => |number| Self::I64(number);
    isize => |number| Self::I64(number as i64);
    u8 => |number| Self::I64(i64::from(number));
    u16 => |number| Self::I64(i64::from(number));
    u32 => |number| Self::I64(i64::from(number));
    u64 => |number| Self::U64(number);
    usize => |number| Self::U64(number as u64);
    f32 => |double| Self::F64(f64::from(double));
    f64 => |double| Self::F64(double);
    &'a &'a str => |text| Self::Str(text);
    SpanKind => |kind| Self::Str(kind.as_str());
}

macro_rules! from_reference {
    ($($kind:ty),*) => {$(
        impl<'a> From<&$kind> for TagValue<'a> {
            #[inline]
            fn from(value: &$kind) -> Self {
                Self::from(*value)
            }
        }
    )*};
}

from_reference!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64);

impl<'a, const N: usize> From<&'a [u8; N]> for TagValue<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
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

/// A value that a tag can be set to: text, a number, a boolean, bytes, or an [`Option`] of those,
/// which sets no tag if it is `None`.
///
/// # Cost
///
/// The value is encoded in place; nothing is allocated, except for 128-bit integers, which become
/// text beyond the range of 64 bits.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let span = tracer.start_span("get");
/// span.set_tag("user", format!("u{}", 7)).set_tag("page", Some(2)).set_tag("next", None::<i64>);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait IntoTagValue: Sized {
    /// Calls `set` with the value, if there is one.
    fn set_with(self, set: impl FnOnce(TagValue<'_>));
}

impl<T: IntoTagValue> IntoTagValue for Option<T> {
    #[inline]
    fn set_with(self, set: impl FnOnce(TagValue<'_>)) {
        if let Some(value) = self {
            value.set_with(set);
        }
    }
}

macro_rules! by_value {
    ($($kind:ty),* $(,)?) => {$(
        impl IntoTagValue for $kind {
            #[inline]
            fn set_with(self, set: impl FnOnce(TagValue<'_>)) {
                set(TagValue::from(self));
            }
        }
    )*};
}

by_value!(
    &str,
    &&str,
    &String,
    &Cow<'_, str>,
    &[u8],
    &Vec<u8>,
    bool,
    &bool,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    &i8,
    &i16,
    &i32,
    &i64,
    &isize,
    &u8,
    &u16,
    &u32,
    &u64,
    &usize,
    &f32,
    &f64,
    &OwnedTagValue,
    TagValue<'_>,
    SpanKind,
);

macro_rules! by_reference {
    ($($kind:ty),* $(,)?) => {$(
        impl IntoTagValue for $kind {
            #[inline]
            fn set_with(self, set: impl FnOnce(TagValue<'_>)) {
                set(TagValue::from(&self));
            }
        }
    )*};
}

by_reference!(String, Cow<'_, str>, Vec<u8>, OwnedTagValue);

impl<const N: usize> IntoTagValue for &[u8; N] {
    #[inline]
    fn set_with(self, set: impl FnOnce(TagValue<'_>)) {
        set(TagValue::from(self));
    }
}

macro_rules! wide {
    ($($kind:ty),*) => {$(
        impl IntoTagValue for $kind {
            fn set_with(self, set: impl FnOnce(TagValue<'_>)) {
                match i64::try_from(self) {
                    Ok(number) => set(TagValue::I64(number)),
                    Err(_) => set(TagValue::Str(&self.to_string())),
                }
            }
        }
    )*};
}

wide!(i128, u128);
