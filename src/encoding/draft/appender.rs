//! Appending short tags and logs to memory that is there.

use super::elements::{bool_value, double_value};
use super::key::{Key, SHORT_KEY};
use super::timestamp::Timestamp;
use crate::encoding::writer::{FIELD, FixedWindow, SHORT, STOP, zigzag};

/// The end of a [`TagBuffer`](super::TagBuffer), to which short tags and logs are appended. The buffer has them only
/// when all are appended, so that the length is in a register meanwhile.
///
/// Each of its functions returns false early, and appends nothing, if key or value are long, or the buffer has to
/// grow, so that the usual case needs no call.
pub(crate) struct Appender<'b> {
    room: &'b mut [u8],
    at: u32,
}

impl<'b> Appender<'b> {
    /// Appends to a buffer of which `at` bytes are in use.
    #[inline(always)]
    pub(super) fn new(room: &'b mut [u8], at: u32) -> Self {
        Self { room, at }
    }

    /// Returns the number of bytes in use.
    #[inline(always)]
    pub(super) fn end(&self) -> u32 {
        self.at
    }

    /// Returns a part of the buffer behind the bytes in use, if there is so much room.
    #[inline(always)]
    fn window<const SIZE: usize>(&mut self) -> Option<FixedWindow<'_, SIZE>> {
        FixedWindow::at(self.room, self.at as usize)
    }

    /// Ends a write to a window.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the size of a window")]
    fn advance(&mut self, bytes: usize) -> bool {
        self.at = self.at.wrapping_add(bytes as u32);
        true
    }

    /// Appends the first `len` bytes.
    #[inline(always)]
    pub(super) fn first_of<const MOST: usize>(&mut self, bytes: &[u8; MOST], len: usize) -> bool {
        let Some(mut to) = self.window::<MOST>() else { return false };
        to.array(*bytes);
        self.advance(len)
    }

    /// Appends bytes.
    #[inline(always)]
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> bool {
        let at = self.at as usize;
        let Some(to) = self.room.get_mut(at..at.wrapping_add(bytes.len())) else { return false };
        to.copy_from_slice(bytes);
        self.advance(bytes.len())
    }

    #[inline(always)]
    pub(crate) fn text_tag(&mut self, key: impl Key, text: &[u8]) -> bool {
        self.tag_of::<_, 0, 0x18>(key, text)
    }

    #[inline(always)]
    pub(crate) fn bytes_tag(&mut self, key: impl Key, bytes: &[u8]) -> bool {
        self.tag_of::<_, 8, 0x58>(key, bytes)
    }

    #[inline(always)]
    pub(crate) fn bool_tag(&mut self, key: impl Key, value: bool) -> bool {
        self.tag_of_array::<_, 4, { SHORT_KEY + 4 }>(key, bool_value(value))
    }

    #[inline(always)]
    pub(super) fn double_tag(&mut self, key: impl Key, double: f64) -> bool {
        self.tag_of_array::<_, 12, { SHORT_KEY + 12 }>(key, double_value(double))
    }

    #[inline(always)]
    pub(crate) fn long_tag(&mut self, key: impl Key, long: i64) -> bool {
        let Some(mut to) = self.short_key::<_, { SHORT_KEY + 14 }>(key) else { return false };
        to.array([0x15, 6, 0x46]);
        to.number(zigzag(long));
        to.byte(STOP);
        let bytes = to.at;
        self.advance(bytes)
    }

    #[inline(always)]
    fn tag_of<K: Key, const KIND: u8, const FIELD: u8>(&mut self, key: K, value: &[u8]) -> bool {
        if value.len() > SHORT {
            return false;
        }
        let Some(mut to) = self.short_key::<K, MAX_SHORT_TAG>(key) else { return false };
        #[expect(clippy::cast_possible_truncation, reason = "it is short")]
        to.array([0x15, KIND, FIELD, value.len() as u8]);
        to.short_text(value);
        to.byte(STOP);
        let bytes = to.at;
        self.advance(bytes)
    }

    #[inline(always)]
    fn tag_of_array<K: Key, const N: usize, const SIZE: usize>(
        &mut self,
        key: K,
        rest: [u8; N],
    ) -> bool {
        let Some(mut to) = self.short_key::<K, SIZE>(key) else { return false };
        to.array(rest);
        let bytes = to.at;
        self.advance(bytes)
    }

    /// Returns a window for a tag with a short key, with the key written.
    #[inline(always)]
    fn short_key<K: Key, const SIZE: usize>(&mut self, key: K) -> Option<FixedWindow<'_, SIZE>> {
        if !key.is_short() {
            return None;
        }
        let mut window = self.window::<SIZE>()?;
        key.write_short(&mut window);
        Some(window)
    }

    /// Appends the bytes before the fields of a log, if these are few, and the time is usual: in nanoseconds since
    /// the Unix epoch.
    #[inline(always)]
    pub(crate) fn log_head(&mut self, nanos: i64, fields: usize) -> bool {
        if fields >= 15 || !Timestamp::is_usual(nanos) {
            return false;
        }
        let Some(mut to) = self.window::<SHORT_LOG_HEAD>() else { return false };
        to.byte(FIELD);
        to.array(Timestamp::eight_bytes(nanos));
        to.short_list_head(fields);
        self.advance(SHORT_LOG_HEAD)
    }

    /// Appends the byte after the fields of a log.
    #[inline(always)]
    pub(crate) fn stop(&mut self) -> bool {
        let Some(slot) = self.room.get_mut(self.at as usize) else { return false };
        *slot = STOP;
        self.advance(1)
    }
}

/// The maximum size of a tag with a short key and a short value.
pub(super) const MAX_SHORT_TAG: usize = SHORT_KEY + 4 + SHORT + 1;

/// The size of a log's bytes before its fields, which are few.
const SHORT_LOG_HEAD: usize = 1 + 8 + 2;
