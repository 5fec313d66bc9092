//! The start and the end of a span.

/// The end of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Now: the clock is not read yet, as the span is not locked and the clock may still be read, or as the
    /// trace was not sampled when that was looked at.
    Now,
    /// A reading of the monotonic clock, in nanoseconds.
    Read { monotonic_nanos: u64 },
    /// The given time, in nanoseconds since the Unix epoch.
    Explicit { wall: i64 },
}

/// The start of a span.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Start {
    /// Unknown, as the span was not recorded then and the clock was not read.
    #[default]
    Unknown,
    /// A reading of the monotonic clock, in nanoseconds, and its wall time in nanoseconds since the Unix
    /// epoch.
    Read { monotonic_nanos: u64, wall: i64 },
    /// The given time, in nanoseconds since the Unix epoch.
    Explicit { wall: i64 },
}

/// A start in 16 bytes, as a live span stores it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredStart {
    /// The reading of the monotonic clock, or [`NOT_READ`].
    monotonic_nanos: u64,
    /// The wall time, or [`UNKNOWN`].
    wall: i64,
}

/// The reading of a clock that was not read. Nanoseconds do not reach it in 500 years.
const NOT_READ: u64 = u64::MAX;

/// The wall time of an unknown start. Given times are never before the epoch.
const UNKNOWN: i64 = -1;

impl StoredStart {
    /// Returns whether the start is unknown.
    #[inline(always)]
    pub(super) fn is_unknown(self) -> bool {
        self.wall == UNKNOWN
    }
}

impl Default for StoredStart {
    fn default() -> Self {
        Self::from(Start::Unknown)
    }
}

impl From<Start> for StoredStart {
    #[inline(always)]
    fn from(start: Start) -> Self {
        match start {
            Start::Unknown => Self { monotonic_nanos: NOT_READ, wall: UNKNOWN },
            Start::Read { monotonic_nanos, wall } => Self { monotonic_nanos, wall },
            Start::Explicit { wall } => Self { monotonic_nanos: NOT_READ, wall },
        }
    }
}

impl From<StoredStart> for Start {
    #[inline(always)]
    fn from(StoredStart { monotonic_nanos, wall }: StoredStart) -> Self {
        match (monotonic_nanos, wall) {
            (NOT_READ, UNKNOWN) => Self::Unknown,
            (NOT_READ, wall) => Self::Explicit { wall },
            (monotonic_nanos, wall) => Self::Read { monotonic_nanos, wall },
        }
    }
}
