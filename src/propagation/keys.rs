//! The keys of each format, so that an earlier context can be replaced, and no header has two
//! meanings.

use super::carrier::{KnownName, begins_with, is_token};
use crate::error::ConfigError;

/// A key that a [`Format`](super::Format) reads or writes: a header name or a prefix of header
/// names.
#[derive(Clone, Debug)]
pub struct FormatKey {
    field: &'static str,
    name: KnownName,
    is_prefix: bool,
    is_written: bool,
}

/// Compares what the keys cover and are for.
impl PartialEq for FormatKey {
    fn eq(&self, other: &Self) -> bool {
        (self.field, self.text()) == (other.field, other.text())
            && (self.is_prefix, self.is_written) == (other.is_prefix, other.is_written)
    }
}

impl Eq for FormatKey {}

impl FormatKey {
    /// Makes a key of one header name. `field` is the option that sets it, for errors.
    #[must_use]
    pub fn name(field: &'static str, text: impl Into<String>) -> Self {
        Self { field, name: KnownName::new(text), is_prefix: false, is_written: true }
    }

    /// Makes a key of all header names with that prefix.
    #[must_use]
    pub fn prefix(field: &'static str, text: impl Into<String>) -> Self {
        Self { is_prefix: true, ..Self::name(field, text) }
    }

    /// Marks a key that is not replaced when a context is written: the format only reads it, or
    /// does not always write it.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { is_written: false, ..self }
    }

    /// Returns the name, or the prefix.
    pub(super) fn known_name(&self) -> &KnownName {
        &self.name
    }

    fn text(&self) -> &str {
        self.name.text()
    }

    pub(super) fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// Returns whether the key covers a header name, in any case.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self.is_prefix {
            true => begins_with(name, self.text()),
            false => self.name.is(name),
        }
    }

    /// Returns whether both keys cover the same headers, whatever they are for.
    fn is_read_alike(&self, other: &Self) -> bool {
        self.is_prefix == other.is_prefix && other.name.is(self.text())
    }
}

/// Returns whether a name in a carrier belongs to a key that is written.
pub(super) fn is_written(keys: &[FormatKey], name: &str) -> bool {
    keys.iter().any(|key| key.is_written && key.is_of(name))
}

/// Returns whether two sets of keys cover the same headers.
pub(super) fn are_read_alike(some: &[FormatKey], others: &[FormatKey]) -> bool {
    let all_in = |these: &[FormatKey], those: &[FormatKey]| {
        these.iter().all(|key| those.iter().any(|other| key.is_read_alike(other)))
    };
    !some.is_empty() && all_in(some, others) && all_in(others, some)
}

/// Returns whether both sets write a common header.
pub(super) fn share_headers(some: &[FormatKey], others: &[FormatKey]) -> bool {
    let written = |keys| <[FormatKey]>::iter(keys).filter(|key| key.is_written);
    written(some).any(|key| written(others).any(|other| key.is_read_alike(other)))
}

/// Returns whether a header could belong to keys of both sets that are written.
pub(super) fn overlap(some: &[FormatKey], others: &[FormatKey]) -> bool {
    let written = |keys| <[FormatKey]>::iter(keys).filter(|key| key.is_written);
    written(some)
        .any(|key| written(others).any(|other| other.is_read_alike(key) || clash(key, other)))
}

/// Checks that the names are valid for headers, and that none has two meanings.
pub(crate) fn check(keys: &[FormatKey]) -> Result<(), ConfigError> {
    let mut errors = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let before = &keys[..at];
        if before.iter().any(|known| known.field == key.field && known.text() == key.text()) {
            // Formats that share a header.
            continue;
        }
        let allowed = if !is_token(key.text()) {
            "a header's name: letters, digits and !#$%&'*+-.^_`|~"
        } else if before.iter().any(|known| clash(known, key)) {
            "unlike all others, none of which may begin with a prefix of baggage"
        } else {
            continue;
        };
        errors.push(ConfigError::invalid(key.field, key.text(), allowed));
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(ConfigError::Several { errors }),
    }
}

/// Returns whether a header could belong to both keys.
fn clash(one: &FormatKey, other: &FormatKey) -> bool {
    if one.is_prefix && other.is_prefix {
        // Two formats may share a baggage prefix, but neither may have a prefix below the other's.
        let below = |a: &FormatKey, b: &FormatKey| begins_with(a.text(), b.text());
        !one.is_read_alike(other) && (below(one, other) || below(other, one))
    } else {
        one.is_of(other.text()) || other.is_of(one.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(keys: &[FormatKey]) -> String {
        check(keys).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_header_has_one_meaning() {
        let name = |text: &str| FormatKey::name("name", text);
        let debug = |text: &str| FormatKey::name("debug", text);
        let prefix = |text: &str| FormatKey::prefix("prefix", text);
        for (keys, field) in [
            (vec![name("a"), debug("b"), prefix("c-")], None),
            (vec![name("a"), name("a")], None),
            (vec![prefix("a-"), FormatKey::prefix("other", "A-")], None),
            (vec![name("a"), debug("A")], Some("debug")),
            (vec![prefix("a"), debug("ab")], Some("debug")),
            (vec![debug("AB"), prefix("a")], Some("prefix")),
            (vec![prefix("a"), debug("a")], Some("debug")),
            (vec![prefix("a"), FormatKey::prefix("other", "a-")], Some("other")),
            (vec![name("")], Some("name")),
            (vec![prefix("")], Some("prefix")),
            (vec![name("a b")], Some("name")),
            (vec![prefix("\u{e9}-")], Some("prefix")),
        ] {
            let wrong = wrong(&keys);
            let begins = field.map_or(wrong.is_empty(), |field| wrong.starts_with(field));
            assert!(begins, "{keys:?}: {wrong}");
        }
        assert!(wrong(&[name("a b"), debug("")]).contains("; debug is \"\""));
    }
}
