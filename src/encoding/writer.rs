//! Writes compact Thrift into memory of known size: bytes, numbers, headers.

use super::list::List;

pub(super) const STOP: u8 = 0;

/// A writer into memory whose size was checked beforehand. If it does not suffice after all, the
/// rest is left out: the reader then refuses the span, and nothing panics.
pub(super) struct SliceWriter<'a> {
    pub(super) room: &'a mut [u8],
    pub(super) at: usize,
}

impl SliceWriter<'_> {
    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.room.get_mut(self.at) {
            *slot = byte;
        }
        self.at += 1;
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(slot) = self.room.get_mut(self.at..self.at + N) {
            slot.copy_from_slice(&bytes);
        }
        self.at += N;
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, varint: Varint) {
        if let Some(slot) = self.room.get_mut(self.at..self.at + 10) {
            slot[..8].copy_from_slice(&varint.first.to_le_bytes());
            slot[8..].copy_from_slice(&varint.last.to_le_bytes());
        }
        self.at += varint.len;
    }

    #[inline(always)]
    pub(super) fn number(&mut self, value: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits each")]
        if value < 0x80 {
            self.byte(value as u8);
        } else if value < 0x4000 {
            self.array([value as u8 | 0x80, (value >> 7) as u8]);
        } else {
            self.varint(Varint::of(value));
        }
    }

    /// Copies many bytes.
    #[inline(always)]
    pub(super) fn many(&mut self, bytes: &[u8]) {
        if let Some(slot) = self.room.get_mut(self.at..self.at.wrapping_add(bytes.len())) {
            slot.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// Copies bytes, short ones without a call: most keys and values are short.
    #[inline(always)]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        if let Some(slot) = self.room.get_mut(self.at..self.at + len) {
            match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
                (Some(first), Some(last)) if len <= 16 => {
                    if let Some(to) = slot.first_chunk_mut::<8>() {
                        *to = *first;
                    }
                    if let Some(to) = slot.last_chunk_mut::<8>() {
                        *to = *last;
                    }
                }
                _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                    (Some(first), Some(last)) if len < 8 => {
                        if let Some(to) = slot.first_chunk_mut::<4>() {
                            *to = *first;
                        }
                        if let Some(to) = slot.last_chunk_mut::<4>() {
                            *to = *last;
                        }
                    }
                    _ => slot.copy_from_slice(bytes),
                },
            }
        }
        self.at += len;
    }

    /// Writes a list field with structures, if there is a list. Returns the last field's number.
    #[inline(always)]
    pub(super) fn list(&mut self, last_field: u8, field: u8, list: Option<List<'_>>) -> u8 {
        let Some(list) = list else { return last_field };
        self.list_head(field - last_field, list.count);
        if list.count > 0 {
            self.bytes(list.bytes);
        }
        field
    }

    /// Writes the header of a list field that is `delta` after the last, with `count` structures.
    #[inline(always)]
    pub(super) fn list_head(&mut self, delta: u8, count: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "below 15")]
        if count < 15 {
            self.array([(delta << 4) | 9, ((count as u8) << 4) | 12]);
        } else {
            self.array([(delta << 4) | 9, 0xfc]);
            self.number(count as u64);
        }
    }

    /// Writes a field's header and a length.
    #[inline(always)]
    pub(super) fn head(&mut self, field: u8, length: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        if length < 0x80 {
            self.array([field, length as u8]);
        } else {
            self.byte(field);
            self.number(length as u64);
        }
    }
}

/// A part of the memory with a size that the compiler knows: one check in place of one for each write.
///
/// A large window has a size that is a power of two, and takes writes to half of it. A small one has the
/// size of what is written, with offsets that the compiler knows for the most part.
pub(crate) struct FixedWindow<'a, const SIZE: usize> {
    bytes: &'a mut [u8; SIZE],
    pub(super) at: usize,
}

impl<'a, const SIZE: usize> FixedWindow<'a, SIZE> {
    /// Returns the bytes from `at` on, if there are enough.
    #[inline(always)]
    pub(super) fn at(room: &'a mut [u8], at: usize) -> Option<Self> {
        let bytes = room.get_mut(at..at.wrapping_add(SIZE))?;
        bytes.first_chunk_mut().map(|bytes| Self { bytes, at: 0 })
    }

    /// Returns the next offset, for a write of `N` bytes.
    #[inline(always)]
    fn here<const N: usize>(&self) -> usize {
        Self::limited::<N>(self.at)
    }

    /// Returns the offset as it is: the mask or the minimum gives the compiler the limit.
    #[inline(always)]
    fn limited<const N: usize>(at: usize) -> usize {
        if SIZE.is_power_of_two() { at & (SIZE / 2 - 1) } else { at.min(SIZE - N) }
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        let here = self.here::<1>();
        self.bytes[here] = byte;
        self.at += 1;
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        let here = self.here::<N>();
        self.bytes[here..here + N].copy_from_slice(&bytes);
        self.at += N;
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, varint: Varint) {
        let here = self.here::<10>();
        self.bytes[here..here + 8].copy_from_slice(&varint.first.to_le_bytes());
        self.bytes[here + 8..here + 10].copy_from_slice(&varint.last.to_le_bytes());
        self.at += varint.len;
    }

    #[inline(always)]
    pub(super) fn number(&mut self, value: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        if value < 0x80 {
            self.byte(value as u8);
        } else {
            self.varint(Varint::of_most(value));
        }
    }

    /// Writes the header of the next list field, with `count` structures.
    #[inline(always)]
    pub(super) fn list_head(&mut self, count: usize) {
        if count < 15 {
            self.short_list_head(count);
        } else {
            self.array([0x19, 0xfc]);
            self.number(count as u64);
        }
    }

    /// Writes the header of the next list field, with fewer than 15 structures.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "below 15")]
    pub(super) fn short_list_head(&mut self, count: usize) {
        self.array([0x19, ((count as u8) << 4) | 12]);
    }

    /// Writes the first `len` bytes that were encoded beforehand.
    #[inline(always)]
    pub(super) fn first_of<const MOST: usize>(&mut self, bytes: &[u8; MOST], len: usize) {
        let here = self.here::<MOST>();
        self.bytes[here..here + MOST].copy_from_slice(bytes);
        self.at += len;
    }

    /// Copies bytes, at most [`SHORT`] of them, by a few moves that may overlap.
    #[inline(always)]
    pub(super) fn short_text(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            if len <= 16 {
                self.put(0, *first);
                self.put(len - 8, *last);
            } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
                self.put::<16>(0, *first);
                self.put::<16>(len - 16, *last);
            }
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            self.put::<4>(0, *first);
            self.put::<4>(len - 4, *last);
        } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            self.put(0, [*first]);
            self.put(len / 2, [bytes[len / 2]]);
            self.put(len - 1, [*last]);
        }
        self.at += len;
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, step: usize, bytes: [u8; N]) {
        let here = Self::limited::<N>(self.at + step);
        self.bytes[here..here + N].copy_from_slice(&bytes);
    }
}

/// The maximum length that [`FixedWindow::short_text`] copies.
pub(crate) const SHORT: usize = 32;

/// Maps a signed number to an unsigned one (zigzag), small if the absolute value is small.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Returns the length of a number's variable-length form.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let significant = 64 - (value | 1).leading_zeros() as usize;
    (significant * 9 + 64) / 64
}

/// A number's variable-length form: seven bits per byte, lowest first.
///
/// Encoded without a loop: the groups are spread in three steps, and the continuation bits are one
/// mask. A random 64-bit id takes ten bytes, where the loop was a quarter of a span's cost.
#[derive(Clone, Copy)]
pub(super) struct Varint {
    /// The first eight bytes.
    pub(super) first: u64,
    /// The last two bytes.
    pub(super) last: u16,
    /// The length.
    pub(super) len: usize,
}

impl Varint {
    /// Encodes any number.
    #[inline(always)]
    pub(super) const fn of(value: u64) -> Self {
        let (x, marks) = (Self::spread(value & 0x00ff_ffff_ffff_ffff), MARKS);
        if value >> 56 == 0 {
            if value >> 49 != 0 {
                // The usual case of times since 1978.
                return Self { first: x | (marks >> 8), last: 0, len: 8 };
            }
            let len = varint_len(value);
            return Self { first: x | (marks & !(u64::MAX << (8 * (len - 1)))), last: 0, len };
        }
        // The ninth byte has bits 56 to 62, and its continuation bit is set if there is a tenth
        // byte with bit 63: the top byte as it is, and its top bit once more above.
        let top = (value >> 56) as u16;
        let tenth = top >> 7;
        Self { first: x | marks, last: top | (tenth << 8), len: 9 + tenth as usize }
    }

    /// Encodes a number of 50 to 56 bits.
    #[inline(always)]
    pub(super) const fn of_eight_bytes(value: u64) -> u64 {
        Self::spread(value) | (MARKS >> 8)
    }

    /// Spreads 56 bits to the lower seven bits of eight bytes.
    #[inline(always)]
    const fn spread(value: u64) -> u64 {
        // Each step moves the upper half of every group up: adding 15 times what is at an offset
        // moves it by four bits, 3 times by two, once by one.
        let mut x = value;
        x += 15 * (x & 0x00ff_ffff_f000_0000);
        x += 3 * (x & 0x0fff_c000_0fff_c000);
        x += x & 0x3f80_3f80_3f80_3f80;
        x
    }

    /// Encodes an id.
    #[inline(always)]
    pub(super) const fn of_id(id: u64) -> Self {
        Self::of(zigzag(id.cast_signed()))
    }

    /// Encodes a number that is often small, by a fast path for small ones.
    #[inline(always)]
    pub(super) const fn of_most(value: u64) -> Self {
        if value < 0x80 {
            return Self { first: value, last: 0, len: 1 };
        }
        if value < 0x4000 {
            return Self { first: (value & 0x7f) | 0x80 | ((value >> 7) << 8), last: 0, len: 2 };
        }
        Self::of(value)
    }
}

/// The continuation bits of eight bytes.
const MARKS: u64 = 0x8080_8080_8080_8080;

/// The header of a 64-bit number's field that follows the field before.
pub(super) const FIELD: u8 = 0x16;

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value % 0x80) as u8 | 0x80);
            value >>= 7;
        }
        out.extend(u8::try_from(value));
        out
    }

    #[test]
    fn law_varint_agrees_with_the_loop() {
        let edges = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power.wrapping_sub(1), power, power.wrapping_add(1), power | 0x5555_5555]
        });
        for value in edges.chain([0, u64::MAX, u64::MAX - 1]) {
            let varint = Varint::of(value);
            let mut bytes = varint.first.to_le_bytes().to_vec();
            bytes.extend(varint.last.to_le_bytes());
            assert_eq!(&bytes[..varint.len], naive(value), "{value:#x}");
            assert_eq!(varint_len(value), varint.len);
            if varint.len == 8 {
                assert_eq!(Varint::of_eight_bytes(value), varint.first);
            }
        }
    }
}
