//! Time: a monotonic count for durations, anchored to the wall clock for timestamps.
//!
//! The only file that reads the operating system's clocks. The hot path reads the monotonic clock
//! alone; the reporter's thread renews the [`Anchor`] that converts its count to wall time, so that
//! a stepped wall clock never makes a duration negative.

#[cfg(feature = "fast-clock")]
mod fast;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

#[cfg(unix)]
use rustix::time::{ClockId, clock_gettime};

#[cfg(feature = "fast-clock")]
use self::fast::FastClock;
use crate::diag::Diagnostics;
pub(crate) use crate::instant::now;
use crate::panics::Callback;

/// The clock of a tracer.
///
/// # Cost
///
/// [`monotonic_nanos`](Self::monotonic_nanos) is called twice for a sampled or tracked span, and
/// once for each log; [`wall_nanos`](Self::wall_nanos) only when a tracer is built and by the
/// reporter's thread.
///
/// # Source
///
/// `Clock` in jaeger-client-java, and `TracerOptions.TimeNow` in jaeger-client-go, which has no
/// monotonic side.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns nanoseconds since some fixed time, up to 146 years; never runs backwards.
    fn monotonic_nanos(&self) -> u64;

    /// Returns nanoseconds since the Unix epoch. A time before that, or after the year 2116, is
    /// clamped, and [counted](crate::Stats::clamped_times).
    fn wall_nanos(&self) -> i64;
}

/// The operating system's clocks, the default.
///
/// On Unix, the monotonic clock is read without the C library where the kernel allows it, so that libfaketime does not
/// change durations. Tests use a [`ManualClock`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SystemClock {
    /// The start of the count where the raw clock is not used.
    #[cfg(not(unix))]
    base: std::time::Instant,
}

impl SystemClock {
    /// Returns the clocks of the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self {
            #[cfg(not(unix))]
            base: now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// Reads the raw clock where there is one: an `Instant` gives its value only as a difference,
    /// which costs more instructions than the reading.
    #[cfg(unix)]
    #[inline]
    fn monotonic_nanos(&self) -> u64 {
        system_nanos()
    }

    #[cfg(not(unix))]
    fn monotonic_nanos(&self) -> u64 {
        let elapsed = now().saturating_duration_since(self.base);
        // `as_nanos` has 128 bits, for more than 584 years.
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    fn wall_nanos(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        unix_nanos(SystemTime::now())
    }
}

/// Reads the system's monotonic clock.
#[cfg(unix)]
#[inline(always)]
fn system_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    #[allow(clippy::useless_conversion, reason = "it has 32 bits on some platforms")]
    let nanos = i64::from(now.tv_nsec);
    (now.tv_sec * 1_000_000_000 + nanos).cast_unsigned()
}

/// The clock that a tracer [reads](crate::Tracer::clock_source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockSource {
    /// The operating system's clock.
    System,
    /// The processor's counter, kept to the operating system's clock.
    Counter,
    /// The clock [given](crate::TracerBuilder::clock) by the application.
    Custom,
}

/// What a comparison of the clocks has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "fast-clock"), expect(dead_code, reason = "only a fast clock changes"))]
pub(crate) enum ClockChange {
    /// The counter is read from here on.
    Counter,
    /// The system's clock is read from here on.
    System(CounterRefusal),
}

/// Why the processor's counter is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "fast-clock"), expect(dead_code, reason = "only a fast clock changes"))]
pub(crate) enum CounterRefusal {
    /// The operating system does not take its own time from it.
    Untrusted,
    /// There is none of constant rate.
    Missing,
    /// It ran at another rate than before: the machine was suspended, or a virtual one was moved.
    Unsteady,
}

impl fmt::Display for ClockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "the processor's counter",
            Self::System(CounterRefusal::Untrusted) => {
                "the system's: it does not take its own time from the processor's counter"
            }
            Self::System(CounterRefusal::Missing) => {
                "the system's: the processor has no counter of constant rate"
            }
            Self::System(CounterRefusal::Unsteady) => {
                "the system's: the processor's counter changed its rate"
            }
        })
    }
}

/// The clock that a tracer was configured with.
#[derive(Debug, Default)]
pub(crate) enum ClockChoice {
    #[default]
    System,
    #[cfg(feature = "fast-clock")]
    Fast,
    Custom(Box<dyn Clock>),
}

/// The clock of a tracer: the system's clock without a virtual call, as it is read twice for every
/// span.
#[derive(Debug)]
pub(crate) enum TracerClock {
    System(SystemClock),
    #[cfg(feature = "fast-clock")]
    Fast(Box<FastClock>),
    Other(UserClock),
}

impl TracerClock {
    /// Returns the chosen clock.
    pub(crate) fn new(choice: ClockChoice, diagnostics: &Arc<Diagnostics>) -> Self {
        match choice {
            ClockChoice::System => Self::System(SystemClock::new()),
            #[cfg(feature = "fast-clock")]
            ClockChoice::Fast => Self::Fast(Box::new(FastClock::new())),
            ClockChoice::Custom(clock) => {
                Self::Other(UserClock::new(clock, Arc::clone(diagnostics)))
            }
        }
    }

    /// Returns which clock is read at present.
    pub(crate) fn source(&self) -> ClockSource {
        match self {
            Self::System(_) => ClockSource::System,
            #[cfg(feature = "fast-clock")]
            Self::Fast(clock) if clock.reads_counter() => ClockSource::Counter,
            #[cfg(feature = "fast-clock")]
            Self::Fast(_) => ClockSource::System,
            Self::Other(_) => ClockSource::Custom,
        }
    }

    /// Compares a clock that may drift with the system's. Returns when to do that again, if at all,
    /// and what changed.
    pub(crate) fn discipline(&self) -> (Option<Duration>, Option<ClockChange>) {
        match self {
            #[cfg(feature = "fast-clock")]
            Self::Fast(clock) => clock.discipline(),
            Self::System(_) | Self::Other(_) => (None, None),
        }
    }

    /// Returns the readings of both clocks, or `None` if one of them panics.
    fn both_nanos(&self) -> Option<(u64, i64)> {
        let read_user = |user: &UserClock| Some((user.read_monotonic()?, user.read_wall()?));
        self.own_nanos().map_or_else(read_user, Some)
    }

    /// Returns the readings of both clocks at about the same moment, or the clock if it is the application's.
    fn own_nanos(&self) -> Result<(u64, i64), &UserClock> {
        match self {
            Self::System(clock) => Ok(read_together(clock)),
            #[cfg(feature = "fast-clock")]
            Self::Fast(clock) => Ok(read_together(&**clock)),
            Self::Other(user) => Err(user),
        }
    }
}

impl Clock for TracerClock {
    #[inline]
    fn monotonic_nanos(&self) -> u64 {
        match self {
            Self::System(clock) => clock.monotonic_nanos(),
            #[cfg(feature = "fast-clock")]
            Self::Fast(clock) => clock.monotonic_nanos(),
            Self::Other(user) => user.monotonic_nanos(),
        }
    }

    fn wall_nanos(&self) -> i64 {
        match self {
            Self::System(clock) => clock.wall_nanos(),
            #[cfg(feature = "fast-clock")]
            Self::Fast(clock) => clock.wall_nanos(),
            Self::Other(user) => {
                user.read_wall().unwrap_or_else(|| SystemClock::new().wall_nanos())
            }
        }
    }
}

/// The application's clock, and its latest reading, which is used if it panics.
#[derive(Debug)]
pub(crate) struct UserClock {
    clock: Box<dyn Clock>,
    latest: AtomicU64,
    diagnostics: Arc<Diagnostics>,
}

impl UserClock {
    fn new(clock: Box<dyn Clock>, diagnostics: Arc<Diagnostics>) -> Self {
        Self { clock, latest: AtomicU64::new(0), diagnostics }
    }

    fn read_monotonic(&self) -> Option<u64> {
        let read = || self.clock.monotonic_nanos();
        let now = self.diagnostics.call(Callback::ClockMonotonicNanos, read)?.min(MAX_COUNT);
        self.latest.fetch_max(now, Ordering::Relaxed);
        Some(now)
    }

    fn read_wall(&self) -> Option<i64> {
        self.diagnostics.call(Callback::ClockWallNanos, || self.clock.wall_nanos())
    }

    /// Never inlined: it would make every path longer that reads the system's clock.
    #[inline(never)]
    fn monotonic_nanos(&self) -> u64 {
        self.read_monotonic().unwrap_or_else(|| self.latest.load(Ordering::Relaxed))
    }
}

/// A clock that stands still until it is moved, for tests. Clones share the time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::{InMemoryReporter, ManualClock, Tracer};
/// let (clock, memory) = (ManualClock::new(), InMemoryReporter::new());
/// let (tracer, _closer) = Tracer::builder("svc").clock(clock.clone()).in_memory(&memory).build()?;
/// let span = tracer.start_span("op");
/// clock.advance(Duration::from_micros(5));
/// span.finish();
/// assert_eq!(memory.spans()[0].duration(), Duration::from_micros(5));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Times>);

/// The two times of a [`ManualClock`], in nanoseconds.
#[derive(Debug, Default)]
struct Times {
    monotonic: AtomicU64,
    wall: AtomicI64,
}

impl ManualClock {
    /// Returns a clock at the Unix epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances both clocks.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let order = Ordering::SeqCst;
        let later = |now: u64| Some(now.saturating_add(nanos));
        let _ = self.0.monotonic.fetch_update(order, order, later);
        let later = |now: i64| Some(now.saturating_add_unsigned(nanos));
        let _ = self.0.wall.fetch_update(order, order, later);
    }

    /// Steps the wall clock alone, as an administrator or a time server does.
    pub fn set_wall(&self, time: SystemTime) {
        self.0.wall.store(unix_nanos(time), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic_nanos(&self) -> u64 {
        self.0.monotonic.load(Ordering::SeqCst)
    }

    fn wall_nanos(&self) -> i64 {
        self.0.wall.load(Ordering::SeqCst)
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn monotonic_nanos(&self) -> u64 {
        (**self).monotonic_nanos()
    }

    fn wall_nanos(&self) -> i64 {
        (**self).wall_nanos()
    }
}

/// The difference between wall time and the monotonic count.
#[derive(Debug, Default)]
pub(crate) struct Anchor {
    offset: AtomicI64,
}

impl Anchor {
    pub(crate) fn new(clock: &TracerClock) -> Self {
        let anchor = Self::default();
        let readings = clock.own_nanos();
        let (monotonic, wall) =
            readings.unwrap_or_else(|user| (user.monotonic_nanos(), clock.wall_nanos()));
        anchor.set(monotonic, wall);
        anchor
    }

    /// Reads both clocks again, unless one of them panics. A wall clock outside of the storable
    /// range is clamped; its reading is then returned.
    pub(crate) fn renew(&self, clock: &TracerClock) -> Option<i64> {
        let (monotonic, wall) = clock.both_nanos()?;
        self.set(monotonic, wall)
    }

    fn set(&self, monotonic: u64, read: i64) -> Option<i64> {
        let wall = read.clamp(0, MAX_CLOCK_NANOS);
        self.offset.store(wall.wrapping_sub(monotonic.cast_signed()), Ordering::Relaxed);
        (wall != read).then_some(read)
    }

    /// Returns the wall time, in nanoseconds since the Unix epoch, at a monotonic count.
    #[inline]
    pub(crate) fn wall(&self, monotonic: u64) -> i64 {
        monotonic.cast_signed().wrapping_add(self.offset.load(Ordering::Relaxed))
    }
}

/// Returns the readings of both clocks at about the same moment. A thread that loses the processor between
/// the two would move all times until the next renewal, so that they are read again then.
fn read_together(clock: &impl Clock) -> (u64, i64) {
    let read = || {
        let monotonic = clock.monotonic_nanos();
        let wall = clock.wall_nanos();
        (clock.monotonic_nanos().saturating_sub(monotonic), monotonic, wall)
    };
    let mut best = read();
    for _ in 1..MAX_READINGS {
        if best.0 <= MAX_NANOS_BETWEEN {
            break;
        }
        best = best.min(read());
    }
    (best.1, best.2)
}

/// How often both clocks are read on a machine that interrupts every reading.
const MAX_READINGS: u32 = 10;

/// How long reading both clocks takes at most on a thread that is not interrupted.
const MAX_NANOS_BETWEEN: u64 = 20_000;

/// The maximum of a monotonic clock: about 146 years. Only an application's clock gets there.
const MAX_COUNT: u64 = MAX_CLOCK_NANOS.cast_unsigned();

/// The latest time of a wall clock, in the year 2116. Plus the longest count, it is still storable.
const MAX_CLOCK_NANOS: i64 = LATEST_NANOS / 2;

/// The latest time that is sent, in nanoseconds since the Unix epoch: in the year 2262, when 63
/// bits of nanoseconds end, in which Jaeger and OpenTelemetry keep times. Two microseconds less, so
/// that a span that begins then can end later.
const LATEST_NANOS: i64 = i64::MAX - 2_000;

/// Returns the storable time nearest to `time`, in nanoseconds since the Unix epoch, as an error if
/// it differs: Jaeger's agent reads a time before 1970 as an unsigned number, and loses the whole
/// datagram.
pub(crate) fn storable_nanos(time: SystemTime) -> Result<i64, i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Err(_) => Err(0),
        Ok(after) => match i64::try_from(after.as_nanos()) {
            Ok(nanos) if nanos <= LATEST_NANOS => Ok(nanos),
            _ => Err(LATEST_NANOS),
        },
    }
}

/// Returns nanoseconds from the Unix epoch to `time`; negative before it, bounded at about 292
/// years.
pub(crate) fn unix_nanos(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// Returns the time so many nanoseconds after the Unix epoch, or before it.
pub(crate) fn system_time(unix_nanos: i64) -> SystemTime {
    let from_epoch = Duration::from_nanos(unix_nanos.unsigned_abs());
    let moment = if unix_nanos < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(from_epoch)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(from_epoch)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
