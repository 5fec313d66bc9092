//! Keys of tags: text, or encoded beforehand.

use std::fmt;

use crate::encoding::writer::{FixedWindow, SHORT};

/// The maximum size of a short key with its header.
pub(super) const SHORT_KEY: usize = 2 + SHORT;

/// The key of a tag or log field, encoded once for many spans.
///
/// # Cost
///
/// Writing it takes a few moves of fixed size, where a key given as text is copied by its length. A key of
/// more than 32 bytes is written as text all the same.
///
/// # Examples
///
/// ```
/// use jaeger_client::TagKey;
/// static ROWS: TagKey = TagKey::new("rows");
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let mut span = tracer.start_owned_span("query");
/// span.set_keyed_tag(&ROWS, 12);
/// assert_eq!(ROWS.as_str(), "rows");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy)]
pub struct TagKey {
    text: &'static str,
    /// Field header, length and text, if the key is short.
    bytes: [u8; SHORT_KEY],
    /// The length of the bytes; 0 if the key is long.
    len: u8,
}

impl TagKey {
    /// Encodes a key.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut bytes = [0; SHORT_KEY];
        let mut rest = text.as_bytes();
        if rest.len() > SHORT {
            return Self { text, bytes, len: 0 };
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        let length = rest.len() as u8;
        (bytes[0], bytes[1]) = (0x18, length);
        let mut at = 2;
        while let [first, others @ ..] = rest {
            bytes[at] = *first;
            (at, rest) = (at + 1, others);
        }
        Self { text, bytes, len: length + 2 }
    }

    /// Returns the key as text.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.text
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TagKey").field(&self.text).finish()
    }
}

/// A key that is written before a value.
pub(crate) trait Key: Copy {
    /// Returns the length of its text, in bytes.
    fn text_len(self) -> usize;

    /// Returns whether [`write_short`](Self::write_short) writes all of it.
    fn is_short(self) -> bool;

    /// Writes a short key and its header at the beginning of a window.
    fn write_short<const SIZE: usize>(self, window: &mut FixedWindow<'_, SIZE>);
}

impl Key for &[u8] {
    #[inline(always)]
    fn text_len(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn is_short(self) -> bool {
        self.len() <= SHORT
    }

    #[inline(always)]
    fn write_short<const SIZE: usize>(self, window: &mut FixedWindow<'_, SIZE>) {
        window.byte(0x18);
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        window.byte(self.len() as u8);
        window.short_text(self);
    }
}

impl Key for &str {
    #[inline(always)]
    fn text_len(self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn is_short(self) -> bool {
        self.as_bytes().is_short()
    }

    #[inline(always)]
    fn write_short<const SIZE: usize>(self, window: &mut FixedWindow<'_, SIZE>) {
        self.as_bytes().write_short(window);
    }
}

impl Key for &TagKey {
    #[inline(always)]
    fn text_len(self) -> usize {
        self.text.len()
    }

    #[inline(always)]
    fn is_short(self) -> bool {
        self.len > 0
    }

    #[inline(always)]
    fn write_short<const SIZE: usize>(self, window: &mut FixedWindow<'_, SIZE>) {
        window.first_of(&self.bytes, usize::from(self.len));
    }
}
