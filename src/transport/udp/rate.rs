//! The rate limit of datagrams: a token bucket with an adaptive rate.

use std::time::{Duration, Instant};

/// The range of the rate, in bytes per second, and the burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The minimum.
    pub(super) min: f64,
    /// The maximum after the receiver was slow.
    pub(super) slow: f64,
    /// The rate at the start, also after a pause.
    pub(super) initial: f64,
    /// The maximum.
    pub(super) max: f64,
    /// The burst in bytes; a larger message may be sent alone.
    pub(super) burst: f64,
}

#[derive(Debug)]
pub(super) struct Rate {
    bounds: Bounds,
    current: f64,
    /// The available bytes; negative after a message larger than a burst.
    tokens: f64,
    /// The time of the last count; none before the first message.
    counted: Option<Instant>,
}

impl Rate {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, current: bounds.initial, tokens: bounds.burst, counted: None }
    }

    /// Returns a rate without limit.
    pub(super) fn unlimited() -> Self {
        let any = f64::INFINITY;
        Self::new(Bounds { min: any, slow: any, initial: any, max: any, burst: 0.0 })
    }

    /// Spends the tokens for a message. Returns how long to wait before the next try if there are
    /// not enough.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        let passed = self
            .counted
            .replace(now)
            .map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
        if passed >= PAUSE {
            self.current = self.bounds.initial;
        }
        if self.current >= UNLIMITED {
            self.tokens = self.bounds.burst;
            return None;
        }
        let accrued = passed.as_secs_f64() * self.current;
        self.tokens = (self.tokens + accrued).min(self.bounds.burst);
        let bytes = bytes as f64;
        let missing = bytes.min(self.bounds.burst) - self.tokens;
        if missing > 0.0 {
            let wait = (missing / self.current).clamp(MIN_WAIT, MAX_WAIT);
            return Some(Duration::from_secs_f64(wait));
        }
        self.tokens -= bytes;
        None
    }

    /// Returns the tokens of a message that was not sent.
    pub(super) fn refund(&mut self, bytes: usize) {
        self.tokens = (self.tokens + bytes as f64).min(self.bounds.burst);
    }

    /// Slows down, as the receiver is slow, or does not get to read.
    pub(super) fn slow_down(&mut self) {
        self.current = self.current.min(self.bounds.slow);
    }

    /// Halves the rate, as something was lost, or this host has no room.
    pub(super) fn halve(&mut self) {
        let from = self.current.min(self.bounds.max).min(UNLIMITED);
        self.current = (from / 2.0).max(self.bounds.min);
    }

    /// Speeds up, after the rate has delayed messages for so long without a loss.
    pub(super) fn grow(&mut self, time: Duration) {
        let share = time.min(LONGEST_GROWTH).as_secs_f64() / GROWTH.as_secs_f64();
        self.current = (self.current * (1.0 + share)).min(self.bounds.max);
    }
}

/// From here on delays would be shorter than systems can sleep.
const UNLIMITED: f64 = 512e6;
const MIN_WAIT: f64 = 1e-6;
const MAX_WAIT: f64 = 1.0;
/// After such a pause the learned rate is out of date.
const PAUSE: Duration = Duration::from_secs(1);
/// The time to grow by a factor of about e.
const GROWTH: Duration = Duration::from_secs(1);
const LONGEST_GROWTH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const BOUNDS: Bounds = Bounds { min: 1e5, slow: 1e6, initial: 2e6, max: 8e6, burst: 50_000.0 };

    /// Takes so many messages, and waits as requested. Returns how long that took.
    fn drain(rate: &mut Rate, now: &mut Instant, count: usize, bytes: usize) -> Duration {
        let began = *now;
        for _ in 0..count {
            while let Some(wait) = rate.spend(bytes, *now) {
                *now += wait;
            }
        }
        *now - began
    }

    fn is_about(time: Duration, expected_ms: u128) -> bool {
        time.as_millis().abs_diff(expected_ms) <= 1
    }

    #[test]
    fn a_burst_leaves_at_once_and_what_follows_at_the_rate() {
        let (mut rate, mut now) = (Rate::new(BOUNDS), clock::now());
        assert_eq!(drain(&mut rate, &mut now, 50, 1_000), Duration::ZERO);
        let took = drain(&mut rate, &mut now, 100, 1_000);
        assert!(is_about(took, 50), "{took:?}");
        // A pause earns no more than one burst.
        now += Duration::from_millis(900);
        assert_eq!(drain(&mut rate, &mut now, 50, 1_000), Duration::ZERO);
        assert!(rate.spend(1_000, now).is_some());
    }

    #[test]
    fn a_message_larger_than_a_burst_leaves_alone_and_is_made_up_for() {
        let (mut rate, mut now) = (Rate::new(BOUNDS), clock::now());
        assert_eq!(drain(&mut rate, &mut now, 1, 65_000), Duration::ZERO);
        let took = drain(&mut rate, &mut now, 10, 65_000);
        assert!(is_about(took, 650_000 / 2_000), "{took:?}");
    }

    #[test]
    fn the_rate_falls_and_grows_within_its_bounds_and_starts_anew_after_a_pause() {
        let (mut rate, mut now) = (Rate::new(BOUNDS), clock::now());
        drain(&mut rate, &mut now, 50, 1_000);
        rate.slow_down();
        let took = drain(&mut rate, &mut now, 100, 1_000);
        assert!(is_about(took, 100), "{took:?}");
        (0..20).for_each(|_| rate.halve());
        let took = drain(&mut rate, &mut now, 10, 1_000);
        assert!(is_about(took, 100), "{took:?}");
        // It grows by a twentieth in 50 ms, and for a longer time by no more.
        for _ in 0..10 {
            rate.grow(Duration::from_secs(3600));
        }
        assert!((1.6e5..1.7e5).contains(&rate.current), "{rate:?}");
        (0..100).for_each(|_| rate.grow(Duration::from_millis(50)));
        assert_eq!(rate.current, BOUNDS.max);
        now += PAUSE;
        drain(&mut rate, &mut now, 50, 1_000);
        assert_eq!(rate.current, BOUNDS.initial);
    }

    #[test]
    fn what_was_not_sent_costs_nothing() {
        let (mut rate, now) = (Rate::new(BOUNDS), clock::now());
        for _ in 0..100 {
            assert_eq!(rate.spend(50_000, now), None);
            rate.refund(50_000);
        }
        assert_eq!(rate.spend(50_000, now), None);
        assert!(rate.spend(50_000, now).is_some());
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let (mut rate, now) = (Rate::unlimited(), clock::now());
        assert!((0..1_000).all(|_| rate.spend(65_000, now).is_none()));
        rate.halve();
        rate.slow_down();
        rate.grow(PAUSE);
        assert!((0..1_000).all(|_| rate.spend(65_000, now).is_none()));
    }
}
