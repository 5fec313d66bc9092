//! Where visited fields go: to a span that is started, to one that is not, to a log.

use jaeger_client::{Span, TagValue};
use tracing::field::Field;

use crate::callsite::Names;
use crate::fields::Fields;
use crate::special::{Special, Specials};
use crate::visit::Target;

/// Sets the tags of a span at a callsite none of whose fields means more than that.
pub(crate) struct PlainTags<'t> {
    pub(crate) span: &'t Span,
}

impl Target for PlainTags<'_> {
    #[inline]
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        self.span.set_tag(field.name(), value);
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.span.set_tag(&chain_of(field), sources);
    }

    fn wants_text(&self, _field: &Field) -> bool {
        self.span.is_recording()
    }
}

/// Holds such fields.
pub(crate) struct PlainFields<'h> {
    pub(crate) fields: &'h mut Fields,
}

impl Target for PlainFields<'_> {
    #[inline]
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        self.fields.push(field.name(), value);
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.fields.push(chain_of(field), TagValue::Str(sources));
    }
}

/// The key for the sources of an error.
fn chain_of(field: &Field) -> String {
    format!("{}.chain", field.name())
}

/// Sets the tags of a span.
pub(crate) struct Tags<'t> {
    pub(crate) span: &'t Span,
    pub(crate) specials: &'t mut Specials,
    /// Whether values may have been set before.
    pub(crate) replaces: bool,
}

impl Tags<'_> {
    fn set(&self, key: &str, value: TagValue<'_>) {
        if self.replaces {
            self.span.replace_tag(key, value);
        } else {
            self.span.set_tag(key, value);
        }
    }
}

impl Target for Tags<'_> {
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        let name = field.name();
        match Special::of(name) {
            None => self.set(name, value),
            Some(special) if self.specials.note(special, value) => {}
            Some(Special::Error) => each_of_error(value, |key, value| self.set(key, value)),
            Some(_) => self.set(name, value),
        }
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.set(&chain_of(field), TagValue::Str(sources));
    }

    fn wants_text(&self, field: &Field) -> bool {
        self.span.is_recording() || Special::of(field.name()).is_some()
    }
}

/// Holds what a span is to be given.
pub(crate) struct Held<'h> {
    pub(crate) fields: &'h mut Fields,
    pub(crate) specials: &'h mut Specials,
}

impl Target for Held<'_> {
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        let name = field.name();
        match Special::of(name) {
            None => self.fields.push(name, value),
            Some(special) if self.specials.note(special, value) => {}
            Some(Special::Error) => each_of_error(value, |key, value| self.fields.push(key, value)),
            Some(_) => self.fields.push(name, value),
        }
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.fields.push(chain_of(field), TagValue::Str(sources));
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

/// Holds the fields of an event.
pub(crate) struct Log<'l> {
    pub(crate) fields: &'l mut Fields,
    pub(crate) names: Names,
    /// Where a record of the crate `log` comes from.
    pub(crate) target: Option<String>,
}

impl Target for Log<'_> {
    #[inline]
    fn put(&mut self, field: &Field, value: TagValue<'_>) {
        let name = field.name();
        if self.names.log && name.starts_with("log.") {
            return self.put_of_log(name, value);
        }
        // Jaeger shows this field of a log first.
        let name = if name == "message" && !self.names.event { "event" } else { name };
        self.fields.push(name, value);
    }

    fn put_sources(&mut self, field: &Field, sources: &str) {
        self.fields.push(chain_of(field), TagValue::Str(sources));
    }
}

impl Log<'_> {
    #[cold]
    fn put_of_log(&mut self, name: &'static str, value: TagValue<'_>) {
        match (name, value) {
            ("log.target", TagValue::Str(target)) => self.target = Some(target.to_owned()),
            // The location, which is not asked for.
            ("log.module_path" | "log.file" | "log.line", _) => {}
            _ => self.fields.push(name, value),
        }
    }
}
