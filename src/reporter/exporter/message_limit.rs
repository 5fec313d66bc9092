//! The learned limit of message sizes.
//!
//! A message that was too large lowers the limit, down to the smallest useful one. While messages
//! pass, the limit grows again: to twice its size, or half the way to a size that failed lately.
//! How long a failure is remembered doubles each time that a larger message failed again, so that a
//! path or server with a constant limit gets few messages that are too large.

use std::time::{Duration, Instant};

use crate::transport::MAX_PACKET_BYTES;

#[derive(Debug)]
pub(super) struct MessageLimit {
    /// The limit of configuration and transport.
    ceiling: usize,
    current: usize,
    /// The largest message that passed since one of no more bytes failed.
    passed: usize,
    /// The size that failed last, and the time until which that counts.
    failed: Option<(usize, Instant)>,
    /// How long the next failure counts.
    expiry: Duration,
    /// The number of messages that passed since the limit was changed.
    good: u32,
}

impl MessageLimit {
    pub(super) fn new(ceiling: usize) -> Self {
        Self { ceiling, current: ceiling, passed: 0, failed: None, expiry: FIRST_EXPIRY, good: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.current
    }

    /// Returns the limit of configuration and transport.
    pub(super) fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Counts a message that passed. Returns whether the limit grew.
    pub(super) fn passed(&mut self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        self.passed = self.passed.max(bytes);
        self.good = self.good.saturating_add(1);
        if self.current >= self.ceiling {
            return false;
        }
        if let Some((size, until)) = self.failed {
            if bytes >= size {
                self.expiry = FIRST_EXPIRY;
            }
            if bytes >= size || now() >= until {
                self.failed = None;
            }
        }
        if self.good < MESSAGES_BEFORE_GROWTH {
            return false;
        }
        let next = match self.failed {
            Some((size, _)) => {
                let step = size.saturating_sub(self.current) / 2;
                if step < self.current / 32 {
                    return false;
                }
                self.current + step
            }
            None => self.current.saturating_mul(2),
        };
        self.current = next.min(self.ceiling);
        self.good = 0;
        true
    }

    /// Allows a message that is larger than the limit, unless one failed lately: otherwise, if no
    /// span fits, nothing would ever be tried. Returns false if it is too large for any limit.
    pub(super) fn allow_larger(&mut self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        let is_remembered = |(_, until): (usize, Instant)| now() < until;
        if bytes > self.ceiling || self.failed.is_some_and(is_remembered) {
            return false;
        }
        self.failed = None;
        self.current = self.current.max(bytes);
        true
    }

    /// Lowers the limit after a message of `bytes` failed, but not below `least`. Returns false if
    /// it was that small already.
    pub(super) fn failed(&mut self, bytes: usize, least: usize, now: Instant) -> bool {
        if (1..bytes).contains(&self.passed) {
            self.expiry = self.expiry.saturating_mul(2).min(LONGEST_EXPIRY);
        } else {
            self.passed = 0;
        }
        self.failed = now.checked_add(self.expiry).map(|until| (bytes, until));
        self.good = 0;
        let lower = below(bytes).max(self.passed).max(least).min(self.current);
        if lower >= bytes {
            return false;
        }
        self.current = lower;
        true
    }
}

/// Returns the next smaller size to try.
fn below(bytes: usize) -> usize {
    if bytes > MAX_PACKET_BYTES {
        return (bytes / 2).max(MAX_PACKET_BYTES);
    }
    let known = KNOWN_LIMITS.into_iter().find(|limit| *limit < bytes);
    known.unwrap_or(bytes / 4 * 3)
}

/// Sizes that often pass if larger ones do not: macOS's default, and an Ethernet frame's payload
/// with room for tunnels.
const KNOWN_LIMITS: [usize; 3] = [9_216, 1_432, 1_200];

/// How many messages pass before a larger one is tried.
const MESSAGES_BEFORE_GROWTH: u32 = 4;

/// How long a failure counts, at first and at most.
const FIRST_EXPIRY: Duration = Duration::from_millis(100);
const LONGEST_EXPIRY: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Sends messages of the largest allowed size, `pause` apart, over a path with limit `width`.
    /// Returns how many failed.
    fn send(
        limit: &mut MessageLimit,
        now: &mut Instant,
        width: usize,
        count: u32,
        pause: Duration,
    ) -> u32 {
        let mut failures = 0;
        for _ in 0..count {
            *now += pause;
            while limit.bytes() > width {
                failures += 1;
                assert!(limit.failed(limit.bytes(), 100, *now), "{limit:?}");
            }
            limit.passed(limit.bytes(), || *now);
        }
        failures
    }

    #[test]
    fn what_passes_is_found_from_above_to_within_a_sixteenth() {
        let pause = Duration::from_millis(1);
        for width in [100, 101, 300, 548, 600, 1_199, 1_200, 1_432, 5_000, 9_216, 64_999] {
            let (mut limit, mut now) = (MessageLimit::new(65_000), clock::now());
            send(&mut limit, &mut now, width, 90, pause);
            assert!(limit.bytes() * 17 / 16 + 1 >= width, "{width}: {limit:?}");
        }
        for width in [70_000, 100_000, 999_999] {
            let (mut limit, mut now) = (MessageLimit::new(1 << 20), clock::now());
            send(&mut limit, &mut now, width, 90, pause);
            assert!(limit.bytes() * 17 / 16 + 1 >= width, "{width}: {limit:?}");
        }
    }

    #[test]
    fn a_limit_that_stays_is_tried_less_and_less_often() {
        let (mut limit, mut now) = (MessageLimit::new(1 << 20), clock::now());
        let hour = |limit: &mut MessageLimit, now: &mut Instant| {
            send(limit, now, 100_000, 36_000, Duration::from_millis(100))
        };
        assert!(hour(&mut limit, &mut now) < 200);
        let later = hour(&mut limit, &mut now);
        assert!(later < 100, "{later} of 36,000 messages an hour are sent in vain");
    }

    #[test]
    fn a_limit_that_no_longer_exists_is_raised_soon() {
        let (mut limit, mut now) = (MessageLimit::new(1 << 20), clock::now());
        for _ in 0..15 {
            limit.failed(limit.bytes(), 300, now);
        }
        assert_eq!(limit.bytes(), 300);
        assert_eq!(send(&mut limit, &mut now, 1 << 20, 200, Duration::from_millis(10)), 0);
        assert_eq!(limit.bytes(), 1 << 20);
        // And after an hour at a limit that was there, within minutes.
        send(&mut limit, &mut now, 1_000, 36_000, Duration::from_millis(100));
        send(&mut limit, &mut now, 1 << 20, 3_600, Duration::from_millis(100));
        assert_eq!(limit.bytes(), 1 << 20);
    }

    #[test]
    fn what_fails_at_the_least_size_is_reported_and_nothing_goes_below() {
        let (mut limit, now) = (MessageLimit::new(65_000), clock::now());
        let mut steps = 0;
        while limit.failed(limit.bytes(), 300, now) {
            steps += 1;
        }
        assert_eq!(limit.bytes(), 300);
        assert!(steps < 12, "{steps}");
        assert!(!limit.failed(100, 300, now), "a message that small fails for another reason");
        assert_eq!(limit.bytes(), 300);
    }

    proptest::proptest! {
        #[test]
        fn law_the_limit_stays_within_its_bounds(
            ceiling in 1_usize.., events: Vec<(u8, usize, u32)>, least in 0_usize..2_000
        ) {
            let (mut limit, mut now) = (MessageLimit::new(ceiling), clock::now());
            for (event, bytes, millis) in events {
                now += Duration::from_millis(millis.into());
                let before = limit.bytes();
                if event % 3 == 0 {
                    limit.passed(bytes, || now);
                } else if event % 3 == 1 {
                    let is_allowed = limit.allow_larger(bytes, || now);
                    proptest::prop_assert!(!is_allowed || bytes <= limit.bytes());
                } else if limit.failed(bytes, least, now) {
                    proptest::prop_assert!(limit.bytes() < bytes && limit.bytes() <= before);
                }
                proptest::prop_assert!(limit.bytes() <= ceiling);
                proptest::prop_assert!(limit.bytes() >= least.min(before));
            }
        }
    }
}
