//! When a span begins and ends.

/// When a span ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Now: the clock is not read yet.
    Now,
    /// At a monotonic count.
    Read { count: u64 },
    /// The caller said when, in nanoseconds since the Unix epoch.
    Given { wall: i64 },
}

/// When a span began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Start {
    /// It began unrecorded: nobody looked at the clock.
    #[default]
    Unknown,
    /// At a monotonic count, and in nanoseconds since the Unix epoch.
    Read { count: u64, wall: i64 },
    /// The caller said when, in nanoseconds since the Unix epoch.
    Given { wall: i64 },
}
