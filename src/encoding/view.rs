//! Views: spans, tags, logs and references read in place from canonical bytes, or about to be
//! written.

use std::fmt;

use super::list::List;
use crate::id::{SpanId, TraceId};

/// A finished span, borrowed from its canonical bytes.
///
/// Strings are byte slices: those from this crate are UTF-8, those from the network need not be. A
/// list that is `None` is not written at all; spans of this crate always have all three, as in
/// jaeger-client-go.
///
/// # Cost
///
/// [`parse`](Self::parse) reads the span once and copies nothing; so does each iterator.
///
/// # Source
///
/// `struct Span` of jaeger.thrift in jaeger-idl.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanView<'a> {
    /// The trace id.
    pub trace_id: TraceId,
    /// The span id.
    pub span_id: SpanId,
    /// The id of its parent, [`SpanId::NONE`] for a root.
    pub parent_span_id: SpanId,
    /// The operation name.
    pub operation_name: &'a [u8],
    /// The flags: 1 is sampled, 2 debug, 8 firehose.
    pub flags: i32,
    /// The start, in microseconds since the Unix epoch.
    pub start_time_micros: i64,
    /// The duration in microseconds.
    pub duration_micros: i64,
    /// The references to other spans.
    pub references: Option<List<'a>>,
    /// The tags, in the order in which they were set.
    pub tags: Option<List<'a>>,
    /// The logs, in the order in which they were written.
    pub logs: Option<List<'a>>,
}

impl<'a> SpanView<'a> {
    /// Returns the operation name as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn operation_name(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.operation_name)
    }
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

/// Shows the key as text.
impl fmt::Debug for TagView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagView")
            .field("key", &String::from_utf8_lossy(self.key))
            .field("value", &self.value)
            .finish()
    }
}

impl<'a> TagView<'a> {
    /// Returns a tag with this key and value.
    #[must_use]
    pub const fn new(key: &'a [u8], value: ValueView<'a>) -> Self {
        Self { key, value }
    }
}

/// A value of Jaeger's data model.
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
    /// A boolean.
    Bool(bool),
    /// An integer; unsigned ones are wrapped into it.
    Long(i64),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> ValueView<'a> {
    /// Returns the value if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            Self::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

/// Shows text as text.
impl fmt::Debug for ValueView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.debug_tuple("Str").field(&String::from_utf8_lossy(text)).finish(),
            Self::Double(double) => f.debug_tuple("Double").field(double).finish(),
            Self::Bool(value) => f.debug_tuple("Bool").field(value).finish(),
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
        matches!(self, Self::Bool(value) if value == other)
    }
}

impl PartialEq<f64> for ValueView<'_> {
    fn eq(&self, other: &f64) -> bool {
        matches!(self, Self::Double(double) if double == other)
    }
}

/// Returns the text that replaces a double that is infinite or not a number: JSON has no number for
/// it, and Jaeger's query service fails on a trace, and on every list of traces, with one.
pub(crate) const fn not_finite(double: f64) -> &'static str {
    match (double.is_nan(), double > 0.0) {
        (true, _) => "NaN",
        (false, true) => "+Inf",
        (false, false) => "-Inf",
    }
}

/// A log of a span: fields with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogView<'a> {
    /// The time in microseconds since the Unix epoch.
    pub timestamp_micros: i64,
    /// The fields.
    pub fields: List<'a>,
}

impl<'a> LogView<'a> {
    /// Returns a log with this time and these fields.
    #[must_use]
    pub const fn new(timestamp_micros: i64, fields: List<'a>) -> Self {
        Self { timestamp_micros, fields }
    }
}

/// A reference to another span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReferenceView {
    /// Whether the kind is `FOLLOWS_FROM`; otherwise it is `CHILD_OF`.
    pub follows_from: bool,
    /// The trace id of the other span.
    pub trace_id: TraceId,
    /// The span id of the other span.
    pub span_id: SpanId,
}

impl ReferenceView {
    /// Returns a reference to a span.
    #[must_use]
    pub const fn new(follows_from: bool, trace_id: TraceId, span_id: SpanId) -> Self {
        Self { follows_from, trace_id, span_id }
    }
}
