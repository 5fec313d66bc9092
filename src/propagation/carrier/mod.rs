//! Carriers: the maps and headers that contexts are written to and read from.

mod checked;
mod header;
mod known;
mod map;
mod syntax;

pub(super) use self::checked::{fitting, write_any, write_context};
pub(super) use self::header::SingleValue;
pub use self::known::{KnownName, KnownParts};
pub use self::map::HttpHeaders;
pub(super) use self::syntax::{begins_with, is_field_value, is_same_name, is_token};

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

    /// Sets names that were checked to parts of a text of ids. Returns false if that must be done by
    /// [`set`](Self::set), even if a part is done already: only a carrier that replaces values may do that.
    ///
    /// The default does nothing.
    #[doc(hidden)]
    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        let _ = known;
        false
    }

    /// Does the same for a context without baggage, and removes what another one left. Returns false if that
    /// must be done by [`remove_if`](Self::remove_if) and [`set_known`](Self::set_known), even if a part is
    /// done already.
    ///
    /// The default does nothing.
    #[doc(hidden)]
    fn replace_known(&mut self, known: &KnownParts<'_>) -> bool {
        let _ = known;
        false
    }

    /// Returns whether keys and values were checked, and stale ones removed.
    #[doc(hidden)]
    fn is_checked(&self) -> bool {
        false
    }
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

    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        (**self).set_known(known)
    }

    fn replace_known(&mut self, known: &KnownParts<'_>) -> bool {
        (**self).replace_known(known)
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
