//! Fields of a log, encoded before it is known where they go.

use std::fmt;

use super::record::{FieldList, try_write};
use super::set_tag::IntoTagValue;
use super::tag::TagValue;
use crate::encoding::{Appender, FieldText, TagBuffer, TagKey};

/// The fields of a log, encoded as they are added, for [`Span::log_encoded`](crate::Span::log_encoded).
///
/// For instrumentation facades: the constant fields of a place in the source are encoded once, and values
/// that are formatted need no buffer of their own. The memory is used again after [`clear`](Self::clear).
///
/// # Cost
///
/// Logging copies their bytes. Nothing is allocated while they fit the memory.
///
/// # Source
///
/// None of the clients has it.
///
/// # Examples
///
/// ```
/// use std::fmt::Write as _;
/// use jaeger_client::{EncodedFields, TagKey};
/// static EVENT: TagKey = TagKey::new("event");
/// static ATTEMPT: TagKey = TagKey::new("attempt");
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// # let span = tracer.start_span("get");
/// let mut fields = EncodedFields::new();
/// fields.push_text(&EVENT, 1_024, |text| {
///     let _ = write!(text, "retry of {:?}", "GET");
/// });
/// fields.push(&ATTEMPT, 2);
/// span.log_encoded(&fields);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Default)]
pub struct EncodedFields {
    tags: TagBuffer,
    count: usize,
}

impl EncodedFields {
    /// Makes an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[inline]
    pub fn push(&mut self, key: &TagKey, value: impl IntoTagValue) {
        value.set_with(
            #[inline(always)]
            |value| {
                if self.tags.try_append(|to| try_write(to, key, value)) {
                    self.count += 1;
                } else {
                    self.push_any(key.as_str(), value);
                }
            },
        );
    }

    /// Adds a field with a key that is not encoded beforehand.
    pub fn push_named(&mut self, key: &str, value: impl IntoTagValue) {
        value.set_with(|value| self.push_any(key, value));
    }

    /// Adds any field.
    #[inline(never)]
    fn push_any(&mut self, key: &str, value: TagValue<'_>) {
        self.tags.tag(key.as_bytes(), value.view(usize::MAX));
        self.count += 1;
    }

    /// Adds a field whose text `write` writes, of which the first `max_bytes` are stored. If it panics, no
    /// field is added.
    #[inline]
    pub fn push_text(
        &mut self,
        key: &TagKey,
        max_bytes: usize,
        write: impl FnOnce(&mut FieldText<'_>),
    ) {
        let mut text = FieldText::new(&mut self.tags, key, max_bytes);
        write(&mut text);
        text.finish();
        self.count += 1;
    }

    /// Adds copies of other fields.
    #[inline]
    pub fn extend(&mut self, fields: &Self) {
        if fields.count > 0 {
            self.tags.append(&fields.tags);
            self.count += fields.count;
        }
    }

    /// Returns the number of fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the size of the memory, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.tags.capacity()
    }

    /// Removes all fields, but not the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.tags.clear();
        self.count = 0;
    }
}

impl fmt::Debug for EncodedFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedFields").field("len", &self.count).finish_non_exhaustive()
    }
}

impl FieldList for &EncodedFields {
    #[inline(always)]
    fn count(self) -> usize {
        self.count
    }

    #[inline(always)]
    fn try_append_to(self, logs: &mut Appender<'_>) -> bool {
        !self.tags.is_too_large() && logs.extend(self.tags.bytes())
    }

    #[inline(always)]
    fn append_to(self, logs: &mut TagBuffer) {
        logs.append(&self.tags);
    }
}
