//! Setting a tag of a live span: from any value that converts to one, to the bytes of the span's record.
//!
//! Step 4 in the life of a span. Short tags of a sampled span are written without a call, on the fast path. A
//! function `…_cold` takes over where something is long, the buffer has to grow, or another thread has the lock;
//! it leads to the slow path in `lifecycle/write.rs`.

use std::borrow::Cow;

use super::record::{SpanData, may_be_priority};
use super::repr::Span;
use super::tag::{OwnedTagValue, TagValue};
use crate::encoding::{TagBuffer, TagKey};
use crate::lock::MutexGuard;
use crate::tags::SpanKind;

impl Span {
    /// Sets a tag. A key may be set more than once; all values are sent, and the last one counts.
    ///
    /// `sampling.priority` takes effect: a number above 0 forces the trace to be recorded, any other
    /// number prevents it. It is stored only if it forces, and ignored if it is no number.
    #[inline]
    pub fn set_tag(&self, key: &str, value: impl IntoTagValue) -> &Self {
        value.set_with(
            #[inline(always)]
            |value| match value {
                TagValue::Str(text) => self.set_text_tag(key, text),
                TagValue::Bool(value) => self.set_bool_tag(key, value),
                TagValue::I64(number) => self.set_long_tag(key, number),
                value => self.set_any_tag(key, value),
            },
        );
        self
    }

    /// Sets a tag whose key is encoded beforehand.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::TagKey;
    /// static ROWS: TagKey = TagKey::new("rows");
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("query");
    /// span.set_keyed_tag(&ROWS, 12);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn set_keyed_tag(&self, key: &TagKey, value: impl IntoTagValue) -> &Self {
        value.set_with(
            #[inline(always)]
            |value| {
                if let Some(record) = self.fast_path_record()
                    && let Some(stripe) = &record.stripe
                    && let Some(mut data) = record.data.try_lock()
                    && !data.finished
                    && data.try_tag(key, value, stripe.options.max_tag_value_length)
                {
                    return;
                }
                self.set_keyed_tag_cold(key.as_str(), value);
            },
        );
        self
    }

    /// Sets several tags, as [`set_tag`](Self::set_tag) does each of them.
    ///
    /// # Cost
    ///
    /// The span is locked once for all tags before the first that is a double, an unsigned number or bytes, or
    /// is long; from then on, and where there are observers, as by [`set_tag`](Self::set_tag).
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("get");
    /// span.set_tags(&[("http.method", "GET".into()), ("http.status_code", 200.into())]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn set_tags(&self, tags: &[(&str, TagValue<'_>)]) -> &Self {
        self.set_tag_slice(tags);
        self
    }
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a tag",
    note = "a tag is text, a number, a boolean or bytes, or an `Option` of those",
    note = "convert other types: `value.to_string()` or `format!(\"{{value:?}}\")`, and for a `Duration` a \
            number whose unit the key says, such as `took.as_millis()`"
)]
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

impl Span {
    // One function for each usual type, inlined where a tag is set: of a literal key then only a
    // few moves are left. The cold functions are tail calls, so that the fast path needs no registers
    // for them.

    #[inline]
    fn set_text_tag(&self, key: &str, text: &str) {
        let Some(record) = self.fast_path_record() else {
            return self.set_tag_off_fast_path(key, TagValue::Str(text));
        };
        if may_be_priority(key) || record.truncates_short_text {
            return self.set_text_tag_cold(key, text, None);
        }
        let Some(mut data) = record.data.try_lock() else {
            return self.set_text_tag_cold(key, text, None);
        };
        if !append_tag(&mut data, |tags| tags.try_tag_text(key.as_bytes(), text.as_bytes())) {
            self.set_text_tag_cold(key, text, Some(data));
        }
    }

    #[inline]
    fn set_bool_tag(&self, key: &str, value: bool) {
        let Some(record) = self.fast_path_record() else {
            return self.set_tag_off_fast_path(key, TagValue::Bool(value));
        };
        if may_be_priority(key) {
            return self.set_bool_tag_cold(key, value, None);
        }
        let Some(mut data) = record.data.try_lock() else {
            return self.set_bool_tag_cold(key, value, None);
        };
        if !append_tag(&mut data, |tags| tags.try_tag_bool(key.as_bytes(), value)) {
            self.set_bool_tag_cold(key, value, Some(data));
        }
    }

    #[inline]
    fn set_long_tag(&self, key: &str, number: i64) {
        if may_be_priority(key) {
            // The tag may take effect, and then on any span.
            return self.set_long_tag_cold(key, number, None);
        }
        let Some(record) = self.fast_path_record() else {
            return self.set_tag_off_fast_path(key, TagValue::I64(number));
        };
        let Some(mut data) = record.data.try_lock() else {
            return self.set_long_tag_cold(key, number, None);
        };
        if !append_tag(&mut data, |tags| tags.try_tag_long(key.as_bytes(), number)) {
            self.set_long_tag_cold(key, number, Some(data));
        }
    }

    // The cold functions take the lock guard: unlocking before the call would cost the fast path
    // registers.

    #[cold]
    #[inline(never)]
    fn set_text_tag_cold(&self, key: &str, text: &str, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.set_any_tag(key, TagValue::Str(text));
    }

    #[cold]
    #[inline(never)]
    fn set_bool_tag_cold(&self, key: &str, value: bool, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.set_any_tag(key, TagValue::Bool(value));
    }

    #[cold]
    #[inline(never)]
    fn set_long_tag_cold(&self, key: &str, number: i64, locked: Option<MutexGuard<'_, SpanData>>) {
        drop(locked);
        self.set_any_tag(key, TagValue::I64(number));
    }

    /// Sets a tag with a key that is encoded beforehand off the fast path, where that is of no use.
    #[inline(never)]
    fn set_keyed_tag_cold(&self, key: &str, value: TagValue<'_>) {
        self.set_tag(key, value);
    }

    /// Sets tags under one lock, as far as all are usual.
    #[inline]
    fn set_tag_slice(&self, tags: &[(&str, TagValue<'_>)]) {
        let Some(record) = self.fast_path_record() else {
            return self.set_tag_slice_cold(tags, None);
        };
        let Some(stripe) = &record.stripe else { return };
        let Some(mut data) = record.data.try_lock() else {
            return self.set_tag_slice_cold(tags, None);
        };
        let max_bytes = stripe.options.max_tag_value_length;
        let mut rest = tags;
        while let Some(((key, value), others)) = rest.split_first() {
            if data.finished || !data.try_tag(*key, *value, max_bytes) {
                return self.set_tag_slice_cold(rest, Some(data));
            }
            rest = others;
        }
    }

    /// Sets tags one by one.
    #[cold]
    #[inline(never)]
    fn set_tag_slice_cold(
        &self,
        tags: &[(&str, TagValue<'_>)],
        locked: Option<MutexGuard<'_, SpanData>>,
    ) {
        drop(locked);
        for (key, value) in tags {
            self.set_tag(key, *value);
        }
    }
}

/// Appends a tag, if the span is not finished, the tag is short, and there is room for it. Otherwise returns
/// false.
#[inline(always)]
fn append_tag(data: &mut SpanData, append: impl FnOnce(&mut TagBuffer) -> bool) -> bool {
    if data.finished || !append(&mut data.draft.tags) {
        return false;
    }
    data.draft.add_tags(1);
    true
}
