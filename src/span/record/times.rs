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
