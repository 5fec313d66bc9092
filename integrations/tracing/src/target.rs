//! Where visited fields go: to a span that is started, to one that is not, to a log.

use std::fmt;

use jaeger_client::{EncodedFields, FieldText, OwnedSpan, PreparedSpan, Span, TagKey, TagValue};
use tracing::field::Field;

use crate::callsite::{Callsite, OfLog};
use crate::fields::{Fields, Name};
use crate::special::{Special, Specials};
use crate::stats::Counters;
use crate::visit::{MAX_TEXT_BYTES, Target, format};

/// What takes the tags of a span: one that is started, one that is not, or memory for fields.
pub(crate) trait TagSink {
    fn set_tag(&mut self, key: Name, value: TagValue<'_>);

    /// Sets a tag with the key of a field.
    fn set_keyed_tag(&mut self, key: &TagKey, value: TagValue<'_>) {
        self.set_tag(key.as_str().into(), value);
    }

    /// Returns whether tags are of any use: they are kept, or observers are notified of them.
    fn wants_tags(&self) -> bool {
        true
    }
}

impl TagSink for OwnedSpan {
    #[inline(always)]
    fn set_tag(&mut self, key: Name, value: TagValue<'_>) {
        Self::set_tag(self, &key, value);
    }

    #[inline(always)]
    fn set_keyed_tag(&mut self, key: &TagKey, value: TagValue<'_>) {
        Self::set_keyed_tag(self, key, value);
    }

    fn wants_tags(&self) -> bool {
        Self::wants_tags(self)
    }
}

impl TagSink for PreparedSpan {
    #[inline(always)]
    fn set_tag(&mut self, key: Name, value: TagValue<'_>) {
        Self::set_tag(self, &key, value);
    }

    #[inline(always)]
    fn set_keyed_tag(&mut self, key: &TagKey, value: TagValue<'_>) {
        Self::set_keyed_tag(self, key, value);
    }
}

/// A span whose tags may have been set before.
pub(crate) struct Replaced<'s>(pub(crate) &'s Span);

impl TagSink for Replaced<'_> {
    fn set_tag(&mut self, key: Name, value: TagValue<'_>) {
        self.0.replace_tag(&key, value);
    }

    fn wants_tags(&self) -> bool {
        self.0.wants_tags()
    }
}

impl TagSink for Fields {
    fn set_tag(&mut self, key: Name, value: TagValue<'_>) {
        self.push(key, value);
    }
}

/// A span whose name and tags can be replaced.
pub(crate) trait Replace {
    fn replace_tag(&mut self, key: &str, value: TagValue<'_>);

    fn rename(&mut self, name: &str);
}

impl Replace for Span {
    fn replace_tag(&mut self, key: &str, value: TagValue<'_>) {
        Self::replace_tag(self, key, value);
    }

    fn rename(&mut self, name: &str) {
        self.set_operation_name(name.to_owned());
    }
}

impl Replace for PreparedSpan {
    fn replace_tag(&mut self, key: &str, value: TagValue<'_>) {
        Self::replace_tag(self, key, value);
    }

    fn rename(&mut self, name: &str) {
        self.set_operation_name(name.to_owned());
    }
}

/// Sets the tags of a span at a callsite none of whose fields means more than that.
pub(crate) struct PlainTags<'t, S> {
    pub(crate) span: &'t mut S,
    pub(crate) callsite: &'static Callsite,
}

impl<S: TagSink> Target for PlainTags<'_, S> {
    #[inline(always)]
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        if let Some(key) = self.callsite.key(field) {
            self.span.set_keyed_tag(key, value);
        }
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.span.set_tag(chain_of(field).into(), TagValue::Str(sources));
    }

    fn wants_text(&self, _field: &Field) -> bool {
        self.span.wants_tags()
    }
}

/// The key for the sources of an error.
fn chain_of(field: &Field) -> String {
    format!("{}.chain", field.name())
}

/// Sets the tags of a span, and notes the fields that mean more.
pub(crate) struct Tags<'t, S> {
    pub(crate) span: &'t mut S,
    pub(crate) specials: &'t mut Specials,
}

impl<S: TagSink> Target for Tags<'_, S> {
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        let name = field.name();
        match Special::of(name) {
            None => self.span.set_tag(name.into(), value),
            Some(special) if self.specials.note(special, value) => {}
            Some(Special::Error) => {
                each_of_error(value, |key, value| self.span.set_tag(key.into(), value));
            }
            Some(_) => self.span.set_tag(name.into(), value),
        }
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.span.set_tag(chain_of(field).into(), TagValue::Str(sources));
    }

    fn wants_text(&self, field: &Field) -> bool {
        self.span.wants_tags() || Special::of(field.name()).is_some()
    }
}

/// Converts a span's field `error`: Jaeger marks a span as failed if that is `true`, and not if it
/// is text, which gets its own key.
fn each_of_error(value: TagValue<'_>, mut set: impl FnMut(&'static str, TagValue<'_>)) {
    if matches!(value, TagValue::Bool(_)) {
        return set("error", value);
    }
    set("error", TagValue::Bool(true));
    set("error.message", value);
}

/// Encodes the fields of an event.
pub(crate) struct Log<'l> {
    pub(crate) fields: &'l mut EncodedFields,
    pub(crate) callsite: &'static Callsite,
}

impl Target for Log<'_> {
    #[inline(always)]
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        if let Some(key) = self.callsite.key(field) {
            self.fields.push(key, value);
        }
    }

    #[inline(always)]
    fn try_format(
        &mut self,
        field: &Field,
        value: fmt::Arguments<'_>,
        counters: &Counters,
    ) -> bool {
        if let Some(key) = self.callsite.key(field) {
            let format = |text: &mut FieldText<'_>| format(text, value, counters);
            self.fields.push_text(key, MAX_TEXT_BYTES, format);
        }
        true
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.fields.push_named(&chain_of(field), TagValue::Str(sources));
    }
}

/// Encodes the fields of a record of the crate `log`, but for those that say where it comes from.
pub(crate) struct LogRecord<'l> {
    pub(crate) log: Log<'l>,
    /// The target that it was written with.
    pub(crate) target: Option<String>,
}

impl Target for LogRecord<'_> {
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        match (OfLog::of(field.name()), value) {
            (None, value) => self.log.put(field, value),
            (Some(OfLog::Target), TagValue::Str(target)) => self.target = Some(target.to_owned()),
            (Some(_), _) => {}
        }
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.log.put_sources(field, sources);
    }
}
