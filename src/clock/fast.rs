//! The processor's counter as a clock, kept to the system's.
//!
//! Readings of the counter are converted by a [`Line`]: where it begins, and how many nanoseconds a
//! tick has. The reporter's thread compares both clocks every second and begins a new line where the
//! last one has got to, with a slope that takes back the difference. So the count is continuous, and
//! never far from the system's monotonic clock.

use std::fmt;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Clock, ClockChange, CounterRefusal, SystemClock};
use crate::threads::start_thread;

/// A clock that reads the processor's counter where that can be trusted, and the system's elsewhere.
pub(crate) struct FastClock {
    system: SystemClock,
    /// Set by a thread of its own.
    counter: Arc<OnceLock<quanta::Clock>>,
    /// The latest lines. The current one is at `current`, modulo their number.
    lines: [Line; LINES],
    current: AtomicUsize,
    /// What only the thread that compares the clocks uses.
    state: Mutex<State>,
}

/// The number of lines. A reader that is interrupted by a renewal reads again.
const LINES: usize = 8;

/// The conversion of ticks to nanoseconds, from one comparison of the clocks to the next.
#[derive(Debug, Default)]
struct Line {
    /// The counter where the line begins.
    ticks: AtomicU64,
    /// The count there; where the system's clock is read, what is added to it.
    nanos: AtomicU64,
    /// Nanoseconds of 2³² ticks; 0 where the system's clock is read.
    scale: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Unused,
    /// The counter is being prepared, since this reading of the system's monotonic clock.
    Opening(u64),
    /// The counter was read for the first time; its rate is not known.
    Measuring(Reading),
    /// The counter is in use, since this comparison.
    InUse(Reading),
    /// The system's clock is read from here on.
    GivenUp,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The system's monotonic clock.
    nanos: u64,
    ticks: u64,
    /// How long the reading took, within which the system's clock is not known.
    took: u64,
}

impl fmt::Debug for FastClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastClock").field("reads_counter", &self.reads_counter()).finish()
    }
}

impl FastClock {
    /// Returns a clock that reads the system's until [`discipline`](Self::discipline) has measured
    /// the counter.
    pub(crate) fn new() -> Self {
        Self {
            system: SystemClock::new(),
            counter: Arc::default(),
            lines: Default::default(),
            current: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// Returns whether the processor's counter is read.
    pub(crate) fn reads_counter(&self) -> bool {
        let current = self.current.load(Ordering::Acquire);
        self.lines[current % LINES].scale.load(Ordering::Relaxed) != 0
    }

    /// Compares the clocks. Returns when to do that again, and what changed.
    pub(crate) fn discipline(&self) -> (Option<Duration>, Option<ClockChange>) {
        let Some(mut state) = self.state.try_lock() else { return (Some(INTERVAL), None) };
        if matches!(*state, State::GivenUp) {
            return (None, None);
        }
        let is_trusted = match is_trusted() {
            Ok(is_trusted) => is_trusted,
            Err(_) if matches!(*state, State::Unused) => false,
            // The process may have no file descriptor left for a while.
            Err(_) => return (Some(INTERVAL), None),
        };
        let Some(counter) = self.counter.get() else {
            return if is_trusted {
                self.open_counter(&mut state)
            } else {
                self.give_up(&mut state, CounterRefusal::Untrusted, 0, 0)
            };
        };
        match Reading::take(&self.system, || counter.raw()) {
            Some(now) if is_trusted => self.compare(&mut state, now),
            Some(now) => {
                let count = self.at(now.ticks);
                self.give_up(&mut state, CounterRefusal::Untrusted, count, now.nanos)
            }
            // The thread was interrupted at each try.
            None => (Some(SHORTEST), None),
        }
    }

    /// Has the counter prepared by another thread: the library measures it once in a process, for up
    /// to 200 ms, and would wait for ever in a process that was forked meanwhile.
    fn open_counter(&self, state: &mut State) -> (Option<Duration>, Option<ClockChange>) {
        let now = self.system.monotonic_nanos();
        if let State::Opening(since) = *state {
            let is_long = now.saturating_sub(since) > INTERVAL_NANOS;
            return (Some(if is_long { INTERVAL } else { SHORTEST }), None);
        }
        let counter = Arc::clone(&self.counter);
        let open = move || {
            counter.get_or_init(quanta::Clock::new);
        };
        if start_thread("jaeger-client-clock", open).is_ok() {
            *state = State::Opening(now);
            (Some(SHORTEST), None)
        } else {
            (Some(INTERVAL), None)
        }
    }

    fn compare(&self, state: &mut State, now: Reading) -> (Option<Duration>, Option<ClockChange>) {
        let count = self.at(now.ticks);
        let (before, change) = match *state {
            State::GivenUp => return (None, None),
            State::Unused | State::Opening(_) if now.is_one_clock() => {
                return self.give_up(state, CounterRefusal::Missing, count, now.nanos);
            }
            State::Unused | State::Opening(_) => {
                *state = State::Measuring(now);
                return (Some(SHORTEST), None);
            }
            State::Measuring(before) => (before, Some(ClockChange::Counter)),
            State::InUse(before) => (before, None),
        };
        let steady = |scale: &u64| change.is_some() || self.is_steady(*scale);
        match now.rate_since(before) {
            Rate::TooSoon => (Some(SHORTEST), None),
            Rate::Nanos(scale) if steady(&scale) => {
                let count = if change.is_some() { now.nanos } else { count };
                self.begin_line(now.ticks, count, corrected(scale, count, now, before));
                *state = State::InUse(now);
                (Some(INTERVAL), change)
            }
            Rate::Nanos(_) | Rate::Unsteady => {
                self.give_up(state, CounterRefusal::Unsteady, count, now.nanos)
            }
        }
    }

    /// Has the system's clock read from here on. The count does not go back where the counter was
    /// ahead of it.
    fn give_up(
        &self,
        state: &mut State,
        why: CounterRefusal,
        count: u64,
        system_nanos: u64,
    ) -> (Option<Duration>, Option<ClockChange>) {
        if self.reads_counter() {
            self.begin_line(0, count.saturating_sub(system_nanos), 0);
        }
        *state = State::GivenUp;
        (None, Some(ClockChange::System(why)))
    }

    /// Returns whether a rate is that of the current line, but for what clocks are steered by.
    fn is_steady(&self, scale: u64) -> bool {
        let current = self.current.load(Ordering::Relaxed);
        let before = self.lines[current % LINES].scale.load(Ordering::Relaxed);
        before.abs_diff(scale) <= before / 1_000_000 * MAX_CHANGE_PPM
    }

    /// Returns the count at a reading of the counter.
    fn at(&self, ticks: u64) -> u64 {
        let line = &self.lines[self.current.load(Ordering::Relaxed) % LINES];
        let (start, nanos) =
            (line.ticks.load(Ordering::Relaxed), line.nanos.load(Ordering::Relaxed));
        nanos.wrapping_add(scaled(ticks.saturating_sub(start), line.scale.load(Ordering::Relaxed)))
    }

    fn begin_line(&self, ticks: u64, nanos: u64, scale: u64) {
        let next = self.current.load(Ordering::Relaxed).wrapping_add(1);
        let line = &self.lines[next % LINES];
        // What a reader of the line that is overwritten sees of it, it sees after the numbers before.
        fence(Ordering::Release);
        line.ticks.store(ticks, Ordering::Relaxed);
        line.nanos.store(nanos, Ordering::Relaxed);
        line.scale.store(scale, Ordering::Relaxed);
        self.current.store(next, Ordering::Release);
    }

    /// Not inlined, so that the usual reading needs no registers for it.
    #[cold]
    #[inline(never)]
    fn system_nanos(&self, ahead: u64) -> u64 {
        self.system.monotonic_nanos().wrapping_add(ahead)
    }

    #[cold]
    #[inline(never)]
    fn read_again(&self) -> u64 {
        self.monotonic_nanos()
    }
}

impl Clock for FastClock {
    #[inline]
    fn monotonic_nanos(&self) -> u64 {
        let current = self.current.load(Ordering::Acquire);
        let line = &self.lines[current % LINES];
        let (start, nanos) =
            (line.ticks.load(Ordering::Relaxed), line.nanos.load(Ordering::Relaxed));
        let scale = line.scale.load(Ordering::Relaxed);
        let count = match self.counter.get().filter(|_| scale != 0) {
            // The counters of two cores may differ by a few ticks.
            Some(counter) => nanos.wrapping_add(scaled(counter.raw().saturating_sub(start), scale)),
            None => self.system_nanos(nanos),
        };
        fence(Ordering::Acquire);
        // A later reading of this thread would be of another line, which may be behind this one.
        if self.current.load(Ordering::Relaxed) != current {
            return self.read_again();
        }
        count
    }

    fn wall_nanos(&self) -> i64 {
        self.system.wall_nanos()
    }
}

/// The rate of the counter between two readings.
enum Rate {
    /// Nanoseconds of 2³² ticks.
    Nanos(u64),
    TooSoon,
    Unsteady,
}

impl Reading {
    /// Reads both clocks; `None` if something always came between.
    fn take(system: &SystemClock, counter: impl Fn() -> u64) -> Option<Self> {
        let read = |_| {
            let (before, ticks) = (system.monotonic_nanos(), counter());
            let took = system.monotonic_nanos().saturating_sub(before);
            Self { nanos: before + took / 2, ticks, took }
        };
        let best = (0..TRIES).map(read).min_by_key(|reading| reading.took);
        best.filter(|reading| reading.took <= MAX_NANOS_OF_READING)
    }

    /// Returns whether the counter is the system's clock, which the library reads where there is no
    /// other.
    fn is_one_clock(self) -> bool {
        self.ticks.abs_diff(self.nanos) <= MAX_NANOS_OF_READING
    }

    fn rate_since(self, before: Self) -> Rate {
        let elapsed = self.nanos.saturating_sub(before.nanos);
        let unknown = (self.took + before.took) / 2;
        if elapsed < SHORTEST_NANOS || unknown > elapsed / 1_000_000 * MAX_ERROR_PPM {
            return Rate::TooSoon;
        }
        let ticks = self.ticks.saturating_sub(before.ticks);
        let scale = (u128::from(elapsed) << 32).checked_div(u128::from(ticks));
        match scale.map(u64::try_from) {
            Some(Ok(scale)) if scale > 0 => Rate::Nanos(scale),
            _ => Rate::Unsteady,
        }
    }
}

/// Returns the rate with which the count meets the system's clock at the next comparison, if it differs
/// by little, and else comes nearer to it as fast as clocks are steered.
///
/// The next comparison is taken to be as far away as the last one: a correction that goes on for longer
/// than it was made for overshoots, and the next one more.
fn corrected(scale: u64, count: u64, now: Reading, before: Reading) -> u64 {
    let interval = now.nanos.saturating_sub(before.nanos).max(INTERVAL_NANOS);
    let ahead = i128::from(count) - i128::from(now.nanos);
    let most = i128::from(interval / 1_000_000 * MAX_CORRECTION_PPM);
    let scale = i128::from(scale);
    let change = scale * ahead.clamp(-most, most) / i128::from(interval);
    u64::try_from(scale - change).unwrap_or(0)
}

#[inline]
fn scaled(ticks: u64, scale: u64) -> u64 {
    let nanos = (u128::from(ticks) * u128::from(scale)) >> 32;
    #[expect(clippy::cast_possible_truncation, reason = "584 years of nanoseconds fit")]
    let nanos = nanos as u64;
    nanos
}

/// Returns whether the operating system takes its own time from the counter, having compared it with
/// other clocks and between cores. Elsewhere than on Linux there is no way to know.
///
/// # Errors
///
/// The system does not report it.
fn is_trusted() -> io::Result<bool> {
    const IN_USE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    Ok(cfg!(target_os = "linux") && is_counter(&fs::read_to_string(IN_USE)?))
}

/// Returns whether a clock source of Linux is the counter that programs can read.
fn is_counter(name: &str) -> bool {
    let counter = if cfg!(target_arch = "x86_64") {
        "tsc"
    } else if cfg!(target_arch = "aarch64") {
        "arch_sys_counter"
    } else {
        return false;
    };
    name.trim_end() == counter
}

/// How often the clocks are compared.
const INTERVAL: Duration = Duration::from_nanos(INTERVAL_NANOS);
const INTERVAL_NANOS: u64 = 1_000_000_000;

/// The shortest time over which a rate is measured.
const SHORTEST: Duration = Duration::from_nanos(SHORTEST_NANOS);
const SHORTEST_NANOS: u64 = 20_000_000;

/// How often both clocks are read for a comparison, of which the fastest counts.
const TRIES: usize = 8;

/// A reading that took longer is not used.
const MAX_NANOS_OF_READING: u64 = 20_000;

/// How exact a rate is at least. Mostly it is to 3 ppm at first, and to 0.1 ppm from the second
/// comparison on.
const MAX_ERROR_PPM: u64 = 50;

/// A change of rate by more than this is none of a steered clock, which changes by 500 ppm at most.
const MAX_CHANGE_PPM: u64 = 2_000;

/// How much the rate is changed at most to meet the system's clock.
const MAX_CORRECTION_PPM: u64 = 500;

#[cfg(test)]
mod tests;
