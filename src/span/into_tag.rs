//! Conversion to tag values.

use std::borrow::Cow;

use super::{OwnedTagValue, TagValue};
use crate::tags::SpanKind;

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
