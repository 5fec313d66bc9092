//! Carriers: the maps and headers that contexts are written to and read from.

mod checked;
mod header;
mod map;
mod syntax;

pub(super) use self::checked::{Removal, write_context};
pub use self::header::KnownName;
pub(super) use self::header::{SingleValue, is_same_name};
pub use self::map::HttpHeaders;
pub(super) use self::syntax::{is_field_value, is_token};
use crate::id::IdText;

/// How a carrier's values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierKind {
    /// Values are any text, keys keep their case.
    #[default]
    TextMap,
    /// Values are percent-encoded, the case of keys does not count.
    HttpHeaders,
}

/// A target that a context can be written to.
pub trait InjectCarrier {
    /// Sets a key and replaces its value, in headers whatever the case of the key. Returns false if
    /// the carrier cannot hold the key or the value.
    fn set(&mut self, key: &str, value: &str) -> bool;

    /// Removes each key that is stale: left by another context.
    ///
    /// The default removes nothing, which is right for a carrier that is used once; in others the
    /// baggage of an earlier context stays beside that of a later one.
    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        let _ = is_stale;
    }

    /// Returns how values are written.
    fn kind(&self) -> CarrierKind {
        CarrierKind::TextMap
    }

    /// Sets a key whose name was checked, to a text of ids.
    #[doc(hidden)]
    fn set_known(&mut self, name: &KnownName, value: &IdText) -> bool {
        self.set(name.text(), value.as_str())
    }

    /// Sets keys whose names were checked, to parts of a text of ids: each has that many bytes and follows
    /// the one before; one of 0 bytes is not set. Returns false if the carrier cannot hold one of them.
    #[doc(hidden)]
    fn set_known_parts(&mut self, parts: &[(&KnownName, usize)], text: &IdText) -> bool {
        set_each(parts, text, |key, value| self.set(key, value))
    }

    /// Does the same where the carrier probably has them all.
    #[doc(hidden)]
    fn replace_known_parts(&mut self, parts: &[(&KnownName, usize)], text: &IdText) -> bool {
        self.set_known_parts(parts, text)
    }

    /// Returns whether keys and values were checked, and stale ones removed.
    #[doc(hidden)]
    fn is_checked(&self) -> bool {
        false
    }
}

/// Sets several keys to parts of a text, one after the other.
fn set_each(
    parts: &[(&KnownName, usize)],
    text: &IdText,
    mut set: impl FnMut(&str, &str) -> bool,
) -> bool {
    let (mut rest, mut all) = (text.as_str(), true);
    for (name, length) in parts.iter().filter(|(_, length)| *length > 0) {
        let Some((value, after)) = rest.split_at_checked(*length) else { return false };
        all &= set(name.text(), value);
        rest = after;
    }
    all
}

/// A source that a context can be read from.
pub trait ExtractCarrier {
    /// Calls `visit` for every key and value, in order.
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8]));

    /// Returns how values are written.
    fn kind(&self) -> CarrierKind {
        CarrierKind::TextMap
    }

    /// Returns whether no key has an upper-case letter, whatever it holds.
    #[doc(hidden)]
    fn is_lower_case(&self) -> bool {
        false
    }
}

impl dyn ExtractCarrier + '_ {
    /// Returns the first value of a key, for a custom format; in headers the case of a key does not
    /// count. `None` also if the value is not UTF-8.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let is_header = self.kind() == CarrierKind::HttpHeaders;
        let mut found: Option<Vec<u8>> = None;
        self.visit(&mut |name, value| {
            let is_same = if is_header { name.eq_ignore_ascii_case(key) } else { name == key };
            if found.is_none() && is_same {
                found = Some(value.to_vec());
            }
        });
        String::from_utf8(found?).ok()
    }
}

impl<T: InjectCarrier + ?Sized> InjectCarrier for &mut T {
    fn set(&mut self, key: &str, value: &str) -> bool {
        (**self).set(key, value)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        (**self).remove_if(is_stale);
    }

    fn kind(&self) -> CarrierKind {
        (**self).kind()
    }

    fn set_known(&mut self, name: &KnownName, value: &IdText) -> bool {
        (**self).set_known(name, value)
    }

    fn set_known_parts(&mut self, parts: &[(&KnownName, usize)], text: &IdText) -> bool {
        (**self).set_known_parts(parts, text)
    }

    fn replace_known_parts(&mut self, parts: &[(&KnownName, usize)], text: &IdText) -> bool {
        (**self).replace_known_parts(parts, text)
    }

    fn is_checked(&self) -> bool {
        (**self).is_checked()
    }
}

impl<T: ExtractCarrier + ?Sized> ExtractCarrier for &T {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        (**self).visit(visit);
    }

    fn kind(&self) -> CarrierKind {
        (**self).kind()
    }

    fn is_lower_case(&self) -> bool {
        (**self).is_lower_case()
    }
}
