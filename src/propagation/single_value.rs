//! Headers with one value that may be repeated.

use crate::error::ExtractError;

/// The one value of a header. Proxies repeat headers, on their own line or behind a comma:
/// repetitions of the same value are accepted, and different values are an error.
#[derive(Debug)]
pub(super) struct SingleValue<T>(Option<T>);

impl<T> Default for SingleValue<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> SingleValue<T> {
    /// Parses the text of a header, and adds its values.
    pub(super) fn add_text(
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
    pub(super) fn add_canonical(
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
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a value.
    #[inline]
    pub(super) fn add(&mut self, header: &str, value: T) -> Result<(), ExtractError> {
        if self.0.as_ref().is_some_and(|earlier| *earlier != value) {
            return Err(conflicting(header));
        }
        self.0 = Some(value);
        Ok(())
    }

    /// Returns the value, if the header was there.
    pub(super) fn into_value(self) -> Option<T> {
        self.0
    }
}

#[cold]
fn conflicting(header: &str) -> ExtractError {
    ExtractError::Conflicting { header: header.to_owned() }
}
