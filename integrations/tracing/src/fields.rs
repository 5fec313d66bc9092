//! Fields of spans and events, held until they are written: their texts lie one behind the other in
//! memory that is used again.

use std::borrow::Cow;
use std::cell::Cell;

use jaeger_client::{EncodedFields, TagValue};

/// Fields in the order in which they were recorded.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    entries: Vec<(Name, Held)>,
    text: String,
    bytes: Vec<u8>,
}

/// A field's name is that of its callsite, but for the sources of an error.
pub(crate) type Name = Cow<'static, str>;

/// A value; texts and bytes are from and to where they lie.
#[derive(Clone, Copy, Debug)]
enum Held {
    Text(usize, usize),
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Bytes(usize, usize),
}

impl Fields {
    pub(crate) fn push(&mut self, name: impl Into<Name>, value: TagValue<'_>) {
        let held = match value {
            TagValue::Str(text) => {
                let from = self.text.len();
                self.text.push_str(text);
                Held::Text(from, self.text.len())
            }
            TagValue::Bool(boolean) => Held::Bool(boolean),
            TagValue::I64(number) => Held::I64(number),
            TagValue::U64(number) => Held::U64(number),
            TagValue::F64(number) => Held::F64(number),
            TagValue::Bytes(bytes) => {
                let from = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                Held::Bytes(from, self.bytes.len())
            }
            _ => return,
        };
        self.entries.push((name.into(), held));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, TagValue<'_>)> {
        self.entries.iter().map(|(name, held)| {
            let value = match *held {
                Held::Text(from, to) => TagValue::Str(self.text.get(from..to).unwrap_or_default()),
                Held::Bool(boolean) => TagValue::Bool(boolean),
                Held::I64(number) => TagValue::I64(number),
                Held::U64(number) => TagValue::U64(number),
                Held::F64(number) => TagValue::F64(number),
                Held::Bytes(from, to) => {
                    TagValue::Bytes(self.bytes.get(from..to).unwrap_or_default())
                }
            };
            (name, value)
        })
    }

    /// Forgets all but the memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.text.clear();
        self.bytes.clear();
    }

    /// Returns whether the memory is small enough to be reused: one huge event must not keep it for
    /// ever.
    pub(crate) fn is_small(&self) -> bool {
        self.text.capacity() <= MAX_HELD_BYTES
            && self.bytes.capacity() <= MAX_HELD_BYTES
            && self.entries.capacity() <= MAX_HELD_FIELDS
    }
}

const MAX_HELD_BYTES: usize = 16 * 1024;
const MAX_HELD_FIELDS: usize = 256;

thread_local! {
    /// The buffer in which a thread formats. Each use takes it and returns it, so that a `Debug`
    /// that logs gets another one.
    static TEXT: Cell<String> = const { Cell::new(String::new()) };
    static FIELDS: Cell<Option<Box<Fields>>> = const { Cell::new(None) };
    /// The fields of an event, in the same way.
    static ENCODED: Cell<Option<EncodedFields>> = const { Cell::new(None) };
}

/// A text to format into.
#[inline]
pub(crate) fn take_text() -> String {
    TEXT.try_with(Cell::take).unwrap_or_default()
}

#[inline]
pub(crate) fn recycle_text(mut text: String) {
    text.clear();
    if text.capacity() <= MAX_HELD_BYTES {
        let _ = TEXT.try_with(|retained| retained.set(text));
    }
}

/// Memory for the fields of an event.
#[inline]
pub(crate) fn take_encoded() -> EncodedFields {
    ENCODED.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

#[inline]
pub(crate) fn recycle_encoded(mut fields: EncodedFields) {
    fields.clear();
    if fields.capacity() <= MAX_HELD_BYTES {
        let _ = ENCODED.try_with(|retained| retained.set(Some(fields)));
    }
}

impl Fields {
    #[inline]
    pub(crate) fn take() -> Box<Self> {
        FIELDS.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn recycle(mut self: Box<Self>) {
        self.clear();
        if self.is_small() {
            let _ = FIELDS.try_with(|retained| retained.set(Some(self)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let mut fields = Fields::default();
        let values = [
            ("text", TagValue::Str("é")),
            ("none", TagValue::Str("")),
            ("boolean", TagValue::Bool(true)),
            ("i64", TagValue::I64(-1)),
            ("u64", TagValue::U64(u64::MAX)),
            ("f64", TagValue::F64(0.5)),
            ("bytes", TagValue::Bytes(&[0, 255])),
        ];
        values.iter().for_each(|(name, value)| fields.push(*name, *value));
        let read: Vec<_> = fields.iter().map(|(name, value)| (&**name, value)).collect();
        assert_eq!(read, values);
        fields.clear();
        assert_eq!(fields.iter().count(), 0);
    }
}
