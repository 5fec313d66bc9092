//! Serialization of ids and contexts as text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde_core::de::{Deserialize, Deserializer, Error, Visitor};
use serde_core::ser::{Serialize, Serializer};

use crate::id::{SpanId, TraceId};
use crate::span::SpanContext;

macro_rules! as_text {
    ($($kind:ty, $looks:literal;)*) => {$(
        /// Serializes as text.
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        /// Deserializes from text.
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text { looks: $looks, kind: PhantomData })
            }
        }
    )*};
}

as_text! {
    TraceId, "a trace id, 1 to 32 hex digits";
    SpanId, "a span id, 1 to 16 hex digits";
    SpanContext, "a span context, trace:span:parent:flags in hex";
}

/// A visitor that parses a value from text.
struct Text<T> {
    looks: &'static str,
    kind: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.looks)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
