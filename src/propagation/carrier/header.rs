//! HTTP headers as a carrier, and what one of them says. Repeated costs are avoided: names are checked once,
//! and the memory of values is reused.

#[cfg(feature = "http")]
use std::cell::RefCell;

#[cfg(feature = "http")]
use bytes::{Bytes, BytesMut};
#[cfg(feature = "http")]
use http::header::Entry;

#[cfg(feature = "http")]
use super::known::{KnownName, KnownParts};
#[cfg(feature = "http")]
use super::{CarrierKind, ExtractCarrier, InjectCarrier};
use crate::error::ExtractError;

/// The one value of a header. Proxies repeat headers, on their own line or behind a comma:
/// repetitions of the same value are accepted, and different values are an error.
#[derive(Debug)]
pub(in crate::propagation) struct SingleValue<T>(Option<T>);

impl<T> Default for SingleValue<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> SingleValue<T> {
    /// Makes one that has a value.
    pub(in crate::propagation) fn of(value: T) -> Self {
        Self(Some(value))
    }

    /// Parses the text of a header, and adds its values.
    pub(in crate::propagation) fn add_text(
        &mut self,
        header: &str,
        text: &[u8],
        parse: impl Fn(&[u8]) -> Result<T, ExtractError>,
    ) -> Result<(), ExtractError> {
        if !text.contains(&b',') {
            return self.add(header, parse(text)?);
        }
        let values = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let mut values = values.filter(|value| !value.is_empty()).peekable();
        if values.peek().is_none() {
            return self.add(header, parse(text)?);
        }
        values.try_for_each(|value| self.add(header, parse(value)?))
    }

    /// Does the same with a text that mostly has the form in which this client writes it. `canonical`
    /// reads that form alone, which has no comma.
    #[inline]
    pub(in crate::propagation) fn add_canonical(
        &mut self,
        header: &str,
        text: &[u8],
        canonical: impl Fn(&[u8]) -> Option<T>,
        parse: impl Fn(&[u8]) -> Result<T, ExtractError>,
    ) -> Result<(), ExtractError> {
        match canonical(text) {
            Some(value) => self.add(header, value),
            None => self.add_text(header, text, parse),
        }
    }

    /// Returns whether nothing was added.
    pub(in crate::propagation) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a value.
    #[inline]
    pub(in crate::propagation) fn add(
        &mut self,
        header: &str,
        value: T,
    ) -> Result<(), ExtractError> {
        if self.0.as_ref().is_some_and(|earlier| *earlier != value) {
            return Err(conflicting(header));
        }
        self.0 = Some(value);
        Ok(())
    }

    /// Returns the value, if the header was there.
    pub(in crate::propagation) fn into_value(self) -> Option<T> {
        self.0
    }
}

#[cold]
fn conflicting(header: &str) -> ExtractError {
    ExtractError::Conflicting { header: header.to_owned() }
}

#[cfg(feature = "http")]
impl InjectCarrier for http::HeaderMap {
    fn set(&mut self, key: &str, value: &str) -> bool {
        let Some(value) = self::value(value.as_bytes()) else { return false };
        // A name that is there already is not allocated again.
        match self.try_entry(key) {
            Ok(Entry::Occupied(mut entry)) => {
                entry.insert(value);
                true
            }
            Ok(Entry::Vacant(entry)) => entry.try_insert(value).is_ok(),
            Err(_) => false,
        }
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        if !self.keys().any(|name| is_stale(name.as_str())) {
            return;
        }
        let stale: Vec<_> = self.keys().filter(|name| is_stale(name.as_str())).cloned().collect();
        for name in stale {
            self.remove(name);
        }
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }

    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        if let Some(name) = known.single() {
            let value = value(known.text().as_bytes());
            return set_part(self, name, value);
        }
        let mut values = Parts::new(known);
        known.written().all(|(name, length)| set_part(self, name, values.next(length)))
    }

    /// They are mostly there in the order in which they are written, or not at all: to look at each name once
    /// takes less than to look up one of them.
    fn replace_known(&mut self, known: &KnownParts<'_>) -> bool {
        let mut values = Parts::new(known);
        let mut rest = known.written();
        let mut next = rest.next();
        for (name, held) in self.iter_mut() {
            let name = name.as_str();
            if let Some((_, length)) = next.filter(|(known, _)| known.is(name)) {
                let Some(value) = values.next(length) else { return false };
                *held = value;
                next = rest.next();
            } else if known.covers(name) {
                // It is repeated, in another place, or stale.
                return false;
            }
        }
        let mut rest = next.into_iter().chain(rest);
        rest.all(|(name, length)| set_part(self, name, values.next(length)))
    }
}

/// Sets one of several headers.
#[cfg(feature = "http")]
fn set_part(
    headers: &mut http::HeaderMap,
    name: &KnownName,
    value: Option<http::HeaderValue>,
) -> bool {
    let (Some(name), Some(value)) = (name.header(), value) else { return false };
    headers.try_insert(name, value).is_ok()
}

/// A text of ids whose parts become header values, one after the other.
#[cfg(feature = "http")]
struct Parts<'t> {
    text: &'t [u8],
    /// The text without the digits at its end, which take no share in memory.
    ids: Bytes,
}

#[cfg(feature = "http")]
impl<'t> Parts<'t> {
    fn new(known: &KnownParts<'t>) -> Self {
        let text = known.text().as_bytes();
        let digits = known.digits_at_end();
        let ids = text.get(..text.len().saturating_sub(digits)).unwrap_or_default();
        Self { text, ids: shared(ids).unwrap_or_default() }
    }

    #[inline]
    fn next(&mut self, length: usize) -> Option<http::HeaderValue> {
        let (part, rest) = self.text.split_at_checked(length)?;
        self.text = rest;
        if length <= self.ids.len() {
            return http::HeaderValue::from_maybe_shared(self.ids.split_to(length)).ok();
        }
        match part {
            b"0" => Some(http::HeaderValue::from_static("0")),
            b"1" => Some(http::HeaderValue::from_static("1")),
            _ => http::HeaderValue::from_bytes(part).ok(),
        }
    }
}

#[cfg(feature = "http")]
impl ExtractCarrier for http::HeaderMap {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.iter().for_each(|(name, value)| visit(name.as_str(), value.as_bytes()));
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }

    fn is_lower_case(&self) -> bool {
        true
    }
}

#[cfg(feature = "http")]
thread_local! {
    /// The memory that header values are written to, one after the other.
    static VALUES: RefCell<Values> = RefCell::default();
}

/// Returns a header value made of text, or `None` if the text is not valid in a header.
///
/// # Cost
///
/// Short values share a piece of memory, which is reused when all of them are gone, so that in
/// steady state nothing is allocated. A value that lives on keeps at most [`PIECE`] bytes
/// allocated.
#[cfg(feature = "http")]
#[inline]
fn value(text: &[u8]) -> Option<http::HeaderValue> {
    match shared(text) {
        Some(bytes) => http::HeaderValue::from_maybe_shared(bytes).ok(),
        None => http::HeaderValue::from_bytes(text).ok(),
    }
}

/// Returns text in shared memory, unless it is long or the thread is being torn down.
#[cfg(feature = "http")]
#[inline(always)]
fn shared(text: &[u8]) -> Option<Bytes> {
    if text.len() > MAX_SHARED {
        return None;
    }
    VALUES.try_with(|values| Some(values.try_borrow_mut().ok()?.put(text))).ok().flatten()
}

/// Two pieces of memory: while values of one are in use, the other is written to.
#[cfg(feature = "http")]
#[derive(Default)]
struct Values {
    current: BytesMut,
    other: BytesMut,
}

#[cfg(feature = "http")]
impl Values {
    #[inline]
    fn put(&mut self, text: &[u8]) -> Bytes {
        if self.current.capacity() < text.len() {
            self.next();
        }
        self.current.extend_from_slice(text);
        self.current.split().freeze()
    }

    #[cold]
    fn next(&mut self) {
        std::mem::swap(&mut self.current, &mut self.other);
        if !self.current.try_reclaim(PIECE) {
            self.current = BytesMut::with_capacity(PIECE);
        }
    }
}

/// The size of a piece in bytes: some thirty trace contexts.
#[cfg(feature = "http")]
const PIECE: usize = 2048;

/// The longest value that shares memory; longer ones are allocated by themselves.
#[cfg(feature = "http")]
const MAX_SHARED: usize = 128;

#[cfg(feature = "http")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_on_keep_their_text() {
        let text = |n| format!("value {n}");
        let values: Vec<_> = (0..1_000).map(|n| value(text(n).as_bytes()).unwrap()).collect();
        for (n, value) in values.iter().enumerate() {
            assert_eq!(value.to_str().unwrap(), text(n));
        }
    }

    #[test]
    fn short_and_long_values_are_refused_alike_where_no_header_may_hold_them() {
        for text in ["a\nb".to_owned(), format!("{}\n", "x".repeat(MAX_SHARED))] {
            assert!(value(text.as_bytes()).is_none());
        }
        for text in ["\u{e9}".to_owned(), "x".repeat(5_000), "\u{e9}".repeat(MAX_SHARED)] {
            assert_eq!(value(text.as_bytes()).unwrap().as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn a_name_that_is_no_header_is_distinguished_from_those_that_are() {
        let name = KnownName::new("no header");
        assert!(!name.is_token() && name.is("No Header") && !name.is("header"));
    }
}
