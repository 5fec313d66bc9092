//! Writes compact Thrift into a place whose room is known: bytes, numbers, headers.

use super::view::List;

pub(super) const STOP: u8 = 0;

/// A place in bytes whose room was checked beforehand. Where it was not enough after all, what does
/// not fit is left out: the reader then refuses the span, and nothing panics.
pub(super) struct Cursor<'a> {
    pub(super) room: &'a mut [u8],
    pub(super) at: usize,
}

impl Cursor<'_> {
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

    /// Copies bytes, short ones without a call: most keys and values are.
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

    /// A list field with structures in it, if there is a list. Gives the last field's number.
    #[inline(always)]
    pub(super) fn list(&mut self, last_field: u8, field: u8, list: Option<List<'_>>) -> u8 {
        let Some(list) = list else { return last_field };
        #[expect(clippy::cast_possible_truncation, reason = "below 15")]
        if list.count < 15 {
            self.array([((field - last_field) << 4) | 9, ((list.count as u8) << 4) | 12]);
        } else {
            self.array([((field - last_field) << 4) | 9, 0xfc]);
            self.number(list.count as u64);
        }
        if list.count > 0 {
            self.bytes(list.bytes);
        }
        field
    }

    /// A field's header and a length.
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

/// Maps a signed number to an unsigned one whose size follows its distance from zero.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// How many bytes a number's variable-length form takes.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let significant = 64 - (value | 1).leading_zeros() as usize;
    (significant * 9 + 64) / 64
}

/// A number's variable-length form: seven bits a byte, lowest first.
///
/// Made without a loop: the groups are spread by three shifts, and the marks of continuation are one
/// mask. A random 64-bit id takes ten bytes, where the loop was a quarter of a span's cost.
#[derive(Clone, Copy)]
pub(super) struct Varint {
    /// The first eight bytes.
    pub(super) first: u64,
    /// The other two.
    pub(super) last: u16,
    /// How many of them count.
    pub(super) len: usize,
}

impl Varint {
    #[inline(always)]
    pub(super) const fn of(value: u64) -> Self {
        let len = varint_len(value);
        let mut x = value & 0x00ff_ffff_ffff_ffff;
        x = (x & 0x0000_0000_0fff_ffff) | ((x << 4) & 0x0fff_ffff_0000_0000);
        x = (x & 0x0000_3fff_0000_3fff) | ((x << 2) & 0x3fff_0000_3fff_0000);
        x = (x & 0x007f_007f_007f_007f) | ((x << 1) & 0x7f00_7f00_7f00_7f00);
        let marks = 0x8080_8080_8080_8080_u64;
        if len <= 8 {
            return Self { first: x | (marks & !(u64::MAX << (8 * (len - 1)))), last: 0, len };
        }
        // Bits 56 to 62 in the ninth byte, which goes on where there is a tenth with bit 63.
        let tenth = ((value >> 63) as u16) << 8;
        let ninth = ((value >> 56) & 0x7f) as u16 | (tenth >> 1);
        Self { first: x | marks, last: ninth | tenth, len }
    }
}

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
        }
    }
}
