//! The time of a span's start or of a log, as it is encoded.

use crate::encoding::writer::Varint;

/// A time in microseconds since the Unix epoch, encoded as a signed number of Thrift. It is never
/// before the epoch, which no server stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamp {
    zigzag: u64,
}

impl Timestamp {
    /// Converts from nanoseconds since the Unix epoch.
    #[inline(always)]
    pub(crate) fn of_nanos(nanos: i64) -> Self {
        if nanos < 0 {
            return Self::before_the_epoch();
        }
        // With a value that is known not to be negative, the compiler needs half as many
        // instructions.
        Self { zigzag: (nanos.cast_unsigned() / 1000) << 1 }
    }

    /// Handles times before the epoch. Given times were clamped and counted before; these are from
    /// a monotonic clock that ran backwards.
    #[cold]
    fn before_the_epoch() -> Self {
        Self { zigzag: 0 }
    }

    /// Returns whether the microseconds of a time, given in nanoseconds since the Unix epoch, take eight bytes: those
    /// of all times after 1978.
    #[inline(always)]
    pub(super) fn is_usual(nanos: i64) -> bool {
        nanos >= EIGHT_BYTES_FROM
    }

    /// Encodes a [usual](Self::is_usual) time.
    #[inline(always)]
    pub(super) fn eight_bytes(nanos: i64) -> [u8; 8] {
        Varint::of_eight_bytes((nanos.cast_unsigned() / 1000) << 1).to_le_bytes()
    }

    #[inline(always)]
    pub(super) const fn zigzag(self) -> u64 {
        self.zigzag
    }

    pub(crate) const fn micros(self) -> i64 {
        (self.zigzag >> 1).cast_signed()
    }
}

/// The first time, in nanoseconds since the Unix epoch, whose microseconds take eight bytes.
const EIGHT_BYTES_FROM: i64 = (1 << 48) * 1000;
