//! The start and the end of a span.

/// The end of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Now: the clock is not read yet.
    Now,
    /// A monotonic count.
    Read { count: u64 },
    /// The given time, in nanoseconds since the Unix epoch.
    Explicit { wall: i64 },
}

/// The start of a span.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Start {
    /// Unknown, as the span was not recorded then and the clock was not read.
    #[default]
    Unknown,
    /// A monotonic count, and its wall time in nanoseconds since the Unix epoch.
    Read { count: u64, wall: i64 },
    /// The given time, in nanoseconds since the Unix epoch.
    Explicit { wall: i64 },
}

/// A start in 16 bytes, as a live span stores it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredStart {
    /// The monotonic count, or [`NOT_READ`].
    count: u64,
    /// The wall time, or [`UNKNOWN`].
    wall: i64,
}

/// The count of a start that was not read from the clock. Nanoseconds do not reach it in 500 years.
const NOT_READ: u64 = u64::MAX;

/// The wall time of an unknown start. Given times are never before the epoch.
const UNKNOWN: i64 = i64::MIN;

impl Default for StoredStart {
    fn default() -> Self {
        Self::from(Start::Unknown)
    }
}

impl From<Start> for StoredStart {
    #[inline(always)]
    fn from(start: Start) -> Self {
        match start {
            Start::Unknown => Self { count: NOT_READ, wall: UNKNOWN },
            Start::Read { count, wall } => Self { count, wall },
            Start::Explicit { wall } => Self { count: NOT_READ, wall },
        }
    }
}

impl From<StoredStart> for Start {
    #[inline(always)]
    fn from(StoredStart { count, wall }: StoredStart) -> Self {
        match (count, wall) {
            (NOT_READ, UNKNOWN) => Self::Unknown,
            (NOT_READ, wall) => Self::Explicit { wall },
            (count, wall) => Self::Read { count, wall },
        }
    }
}
