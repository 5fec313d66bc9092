//! The keys of each format, so that an earlier context can be replaced, and no header has two
//! meanings.

use super::carrier::{KnownName, is_token};
use crate::error::ConfigError;
use crate::span::SpanContext;

/// A key that a [`Format`](super::Format) reads or writes: a header name or a prefix of header
/// names.
#[derive(Clone, Debug)]
pub struct FormatKey {
    field: &'static str,
    name: KnownName,
    /// A bit for its length, and one for its first letter in either case.
    bits: (u64, u32),
    is_prefix: bool,
    is_written: bool,
    /// Whether the format certainly writes the key for a context, or, of a prefix, for each of its
    /// baggage items. What a carrier holds under the key is then replaced, and need not be removed.
    is_written_for: fn(&SpanContext) -> bool,
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
        let name = KnownName::new(text);
        Self {
            field,
            bits: (length(name.text()), letter(name.text())),
            name,
            is_prefix: false,
            is_written: true,
            is_written_for: |_| false,
        }
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

    /// Marks a key that a built-in format writes for those contexts.
    pub(super) fn written_for(self, is_written_for: fn(&SpanContext) -> bool) -> Self {
        Self { is_written_for, ..self }
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

    /// Returns whether writing a context replaces what a carrier holds under a name, which the key
    /// covers. In a map of text only the same key is replaced.
    pub(super) fn is_replaced(&self, name: &str, context: &SpanContext, is_header: bool) -> bool {
        (self.is_written_for)(context)
            && match self.is_prefix {
                true => {
                    let key = name.strip_prefix(self.text());
                    key.is_some_and(|key| context.baggage_item(key).is_some())
                }
                false => is_header || name == self.text(),
            }
    }

    /// Returns whether writing a context replaces what headers hold under the key, which is no prefix.
    pub(super) fn is_header_replaced(&self, context: &SpanContext) -> bool {
        (self.is_written_for)(context)
    }

    /// Returns whether both keys cover the same headers, whatever they are for.
    fn is_read_alike(&self, other: &Self) -> bool {
        self.is_prefix == other.is_prefix && other.name.is(self.text())
    }
}

/// Returns whether a name in a carrier was left by another context: it belongs to a key that is written,
/// and to none whose write replaces it.
#[inline(always)]
pub(super) fn is_stale(
    keys: &[FormatKey],
    name: &str,
    is_replaced: impl Fn(&FormatKey) -> bool,
) -> bool {
    let mut is_written = false;
    for key in keys.iter().filter(|key| key.is_written && key.is_of(name)) {
        if is_replaced(key) {
            return false;
        }
        is_written = true;
    }
    is_written
}

/// Excludes most names that are not stale, by their lengths and first letters: a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameFilter {
    /// Lengths of names that may be stale, and first letters of prefixes.
    stale: (u64, u32),
    /// Lengths and first letters of names that are replaced.
    replaced: (u64, u32),
}

impl NameFilter {
    #[inline]
    pub(super) fn new(keys: &[FormatKey], is_replaced: impl Fn(&FormatKey) -> bool) -> Self {
        let mut filter = Self::default();
        for key in keys.iter().filter(|key| key.is_written) {
            let (length, letter) = key.bits;
            if key.is_prefix {
                filter.stale.1 |= letter;
            } else if is_replaced(key) {
                filter.replaced = (filter.replaced.0 | length, filter.replaced.1 | letter);
            } else {
                filter.stale.0 |= length;
            }
        }
        filter
    }

    /// Returns whether a name may be one that is replaced.
    #[inline]
    pub(super) fn may_be_replaced(self, name: &str) -> bool {
        self.replaced.0 & length(name) != 0 && self.replaced.1 & letter(name) != 0
    }

    /// Returns whether a name may be stale.
    #[inline]
    pub(super) fn may_be_stale(self, name: &str) -> bool {
        self.stale.0 & length(name) != 0 || self.stale.1 & letter(name) != 0
    }
}

/// Returns a bit for the length of a name.
#[inline]
fn length(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// Returns a bit for the first letter of a name, in either case.
#[inline]
fn letter(name: &str) -> u32 {
    name.as_bytes().first().map_or(0, |byte| 1 << (byte & 31))
}

/// Returns whether a name begins with a prefix, in any case. No name begins with an empty prefix:
/// every header of a request would be baggage.
#[inline]
pub(super) fn begins_with(name: &str, prefix: &str) -> bool {
    let prefix = prefix.as_bytes();
    let Some(head) = name.as_bytes().get(..prefix.len()) else { return false };
    // The ends are compared first: many names begin alike.
    let (Some(last), Some(end)) = (head.last(), prefix.last()) else { return false };
    last.eq_ignore_ascii_case(end) && (head == prefix || head.eq_ignore_ascii_case(prefix))
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
