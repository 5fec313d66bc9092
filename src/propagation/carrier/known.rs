//! What a built-in format writes under names that were checked: ids, in one text.

use super::syntax::{begins_with, is_same_name, is_token};
use crate::id::IdText;

/// A header name that was checked once: to check it for each request costs more than to write the
/// header.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownName {
    text: String,
    is_token: bool,
    #[cfg(feature = "http")]
    header: Option<http::HeaderName>,
}

impl KnownName {
    pub(in crate::propagation) fn new(name: impl Into<String>) -> Self {
        let text = name.into();
        Self {
            is_token: is_token(&text),
            #[cfg(feature = "http")]
            header: http::HeaderName::from_bytes(text.as_bytes()).ok(),
            text,
        }
    }

    /// Returns the name as given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether a key is this name.
    #[inline]
    pub(in crate::propagation) fn is(&self, key: &str) -> bool {
        is_same_name(key, &self.text)
    }

    /// Returns whether the name is valid for a header.
    pub(super) fn is_token(&self) -> bool {
        self.is_token
    }

    /// Returns the checked name, or `None` if it is not valid for a header.
    #[cfg(feature = "http")]
    pub(super) fn header(&self) -> Option<&http::HeaderName> {
        self.header.as_ref()
    }
}

/// Parts of a text of ids, each of which is the value of a name.
///
/// What a carrier has under the other names and below the prefix was left by another context.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct KnownParts<'p> {
    /// The names in the order in which they are written, each with the length of its part. A name with a
    /// part of 0 bytes is not written.
    parts: &'p [(&'p KnownName, usize)],
    /// The prefix of baggage, which is written by other means; empty if there is none.
    prefix: &'p str,
    text: &'p IdText,
}

/// What a carrier has under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExistingEntry {
    /// The value of a part, which is replaced.
    Part(usize),
    /// A value that another context left.
    Stale,
    /// Nothing of the format's.
    Other,
}

impl<'p> KnownParts<'p> {
    #[inline]
    pub(in crate::propagation) fn new(
        parts: &'p [(&'p KnownName, usize)],
        prefix: &'p str,
        text: &'p IdText,
    ) -> Self {
        Self { parts, prefix, text }
    }

    /// Returns the parts that are written.
    #[cfg(feature = "http")]
    #[inline]
    pub(super) fn written(&self) -> impl Iterator<Item = (&'p KnownName, usize)> + use<'p> {
        self.parts.iter().copied().filter(|(_, length)| *length > 0)
    }

    /// Returns the name, if there is one alone, and it is written.
    #[cfg(feature = "http")]
    #[inline]
    pub(super) fn single(&self) -> Option<&'p KnownName> {
        match self.parts {
            [(name, length)] if *length > 0 => Some(name),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> &'p IdText {
        self.text
    }

    /// Returns how many of the last parts are digits.
    #[cfg(feature = "http")]
    pub(super) fn digits_at_end(&self) -> usize {
        let lengths = self.parts.iter().rev().map(|(_, length)| *length);
        lengths.take_while(|length| *length <= 1).sum()
    }

    /// Returns whether all names are valid for headers.
    #[inline]
    pub(super) fn are_tokens(&self) -> bool {
        self.parts.iter().all(|(name, _)| name.is_token())
    }

    pub(super) fn has_prefix(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Returns what a map of text has under a key, where there is no baggage to be written. The key of a
    /// part is replaced only if it is the same in each letter.
    #[inline]
    pub(super) fn classify(&self, key: &str) -> ExistingEntry {
        for (at, (name, length)) in self.parts.iter().enumerate() {
            if name.is(key) {
                let is_replaced = *length > 0 && key == name.text();
                return if is_replaced { ExistingEntry::Part(at) } else { ExistingEntry::Stale };
            }
        }
        if begins_with(key, self.prefix) { ExistingEntry::Stale } else { ExistingEntry::Other }
    }

    /// Returns whether a header is one of the format's.
    #[cfg(feature = "http")]
    #[inline]
    pub(super) fn covers(&self, name: &str) -> bool {
        self.parts.iter().any(|(known, _)| known.is(name)) || begins_with(name, self.prefix)
    }

    /// Returns the part of `text`, which is the text of all.
    #[inline]
    pub(super) fn value<'t>(&self, text: &'t str, at: usize) -> &'t str {
        let (before, rest) = self.parts.split_at_checked(at).unwrap_or_default();
        let start: usize = before.iter().map(|(_, length)| length).sum();
        let length = rest.first().map_or(0, |(_, length)| *length);
        text.get(start..start + length).unwrap_or_default()
    }

    /// Returns whether another context left what a carrier has under a name. `is_item` says of a key whether
    /// baggage is written under it.
    pub(super) fn is_stale(
        &self,
        name: &str,
        is_header: bool,
        is_item: impl Fn(&str) -> bool,
    ) -> bool {
        let part = self.parts.iter().find(|(known, _)| known.is(name));
        match part {
            Some((known, length)) => *length == 0 || !(is_header || name == known.text()),
            None => {
                begins_with(name, self.prefix)
                    && !name.strip_prefix(self.prefix).is_some_and(is_item)
            }
        }
    }

    /// Returns the parts that are written: their places, names and values.
    #[inline]
    pub(super) fn values<'t>(
        &self,
        text: &'t str,
    ) -> impl Iterator<Item = (usize, &'p str, &'t str)> + use<'p, 't> {
        let mut rest = text;
        self.parts.iter().enumerate().filter(|(_, (_, length))| *length > 0).map(
            move |(at, (name, length))| {
                let (value, after) = rest.split_at_checked(*length).unwrap_or_default();
                rest = after;
                (at, name.text(), value)
            },
        )
    }

    /// Sets each part, one after the other. Returns false if one of them could not be set.
    #[inline]
    pub(in crate::propagation) fn set_each(&self, mut set: impl FnMut(&str, &str) -> bool) -> bool {
        let values = self.values(self.text.as_str());
        values.fold(true, |all, (_, name, value)| set(name, value) && all)
    }
}
