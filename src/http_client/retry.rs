//! The retry policy of all requests over HTTP: which failures are retried, how often, for how long,
//! and with which delays.
//!
//! | an attempt ends with | the server may have processed it | another attempt |
//! |---|---|---|
//! | no connection: name, port, proxy, time to connect | no | yes |
//! | a connection that ends before the whole message is written | no | yes |
//! | 408, 429, 503 | no | yes |
//! | 500, 502, 504 | yes | yes |
//! | 408, 500 from a server of OTLP | 500: yes | no |
//! | a connection that ends after the whole message is written, without a response | yes | one |
//! | no response in time, or a malformed one | yes | no |
//! | a certificate that is not trusted | no | no |
//! | any other status | no | no |
//!
//! 500 is tried again because Jaeger's collector responds with it when its queue is full. 502 and
//! 504 come from gateways, which do not know the outcome. OTLP allows retries only after these
//! statuses: 429, 502, 503 and 504.
//!
//! A delay is never shorter than the one before. The server's `Retry-After` lengthens a delay and
//! never shortens it; where it exceeds the remaining time, the message is given up at once. Each
//! poll is one attempt, and polls have no bound but their interval, which is also the longest of
//! their delays.

use std::time::Duration;
#[cfg(feature = "collector-http")]
use std::time::Instant;

use crate::id::generator::random_63;

/// The delays between attempts, of which none is shorter than the one before.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    last: Duration,
}

impl Backoff {
    /// Returns delays from about `first` on, each about twice the one before, up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first: first.min(longest), longest, last: Duration::ZERO }
    }

    /// Returns the next delay: at least the server's `Retry-After`.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        // Random, so that many clients do not retry at the same moment.
        let grown = if self.last.is_zero() {
            self.first.mul_f64(random_between(0.75, 1.25))
        } else {
            self.last.min(self.longest).mul_f64(random_between(1.5, 2.5))
        };
        let own = grown.min(self.longest).max(self.last);
        self.last = own.max(retry_after.unwrap_or_default());
        self.last
    }

    /// Begins with the first delay again.
    #[cfg(feature = "remote-sampler")]
    pub(crate) fn reset(&mut self) {
        self.last = Duration::ZERO;
    }
}

/// Returns a random number from `low` to `high`.
fn random_between(low: f64, high: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the highest digits count")]
    let fraction = random_63(0) as f64 / i64::MAX as f64;
    low + fraction * (high - low)
}

/// The failure of an attempt, as far as it matters for retries.
#[cfg(feature = "collector-http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    pub(crate) retry: Retry,
    /// Whether the server may have processed the message all the same.
    pub(crate) may_be_processed: bool,
    /// The server's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

/// The use of a retry.
#[cfg(feature = "collector-http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Yes,
    /// Limited by the number of attempts without a response: the server may process each.
    Unanswered,
    No,
}

#[cfg(feature = "collector-http")]
impl FailedAttempt {
    /// Returns the failure of an error status.
    pub(crate) fn by_status(
        status: u16,
        retry_after: Option<Duration>,
        retried: RetriedStatuses,
    ) -> Self {
        let retry = match (status, retried) {
            (429 | 502..=504, _) | (408 | 500, RetriedStatuses::Usual) => Retry::Yes,
            _ => Retry::No,
        };
        Self { retry, may_be_processed: matches!(status, 500 | 502 | 504), retry_after }
    }

    /// Returns a failure without a response.
    pub(crate) const fn without_response(retry: Retry, may_be_processed: bool) -> Self {
        Self { retry, may_be_processed, retry_after: None }
    }
}

/// The statuses that are retried.
#[cfg(feature = "collector-http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetriedStatuses {
    /// 408, 429, 500, 502, 503 and 504.
    Usual,
    /// The statuses that OTLP names: 429, 502, 503 and 504.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "nobody speaks OTLP"))]
    Otlp,
}

/// The limits of retries.
#[cfg(feature = "collector-http")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// The maximum number of attempts, the first one included.
    pub(crate) max_attempts: u32,
    /// The time after which no further attempt begins.
    pub(crate) max_elapsed: Duration,
}

/// The state of a destination, from one message to the next.
#[cfg(feature = "collector-http")]
#[derive(Debug)]
pub(crate) struct RetryState {
    policy: RetryPolicy,
    /// Whether a message was given up, and none succeeded since.
    is_failing: bool,
    /// Whether other destinations use the same thread, and must not be delayed.
    shares_thread: bool,
    /// The time until which nothing is sent, so that others can use the thread.
    paused_until: Option<Instant>,
}

#[cfg(feature = "collector-http")]
impl RetryState {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, is_failing: false, shares_thread: false, paused_until: None }
    }

    /// Makes the state of a destination that shares its thread: each message is tried once, and
    /// after a failure nothing is sent for as long as that took.
    pub(crate) fn sharing_its_thread(mut self) -> Self {
        self.shares_thread = true;
        self.policy.max_attempts = 1;
        self
    }

    /// Begins the attempts of a message, or returns `None` while the destination is paused.
    pub(crate) fn begin(&self, now: Instant) -> Option<Attempts> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        let mut policy = self.policy;
        if self.is_failing {
            policy.max_attempts = 1;
        }
        Some(Attempts {
            policy,
            began: now,
            made: 0,
            unanswered: 0,
            may_be_processed: false,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        })
    }

    /// Notes that a message was accepted, or refused by a working server.
    pub(crate) fn recovered(&mut self) {
        self.is_failing = false;
        self.paused_until = None;
    }

    /// Notes that a message was given up although a retry might have helped.
    pub(crate) fn gave_up(&mut self, attempts: &Attempts, now: Instant) {
        self.is_failing = true;
        if self.shares_thread {
            let spent = now.saturating_duration_since(attempts.began);
            self.paused_until = now.checked_add(spent.min(MAX_SHARED_PAUSE));
        }
    }
}

/// The attempts of one message.
#[cfg(feature = "collector-http")]
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    began: Instant,
    made: u32,
    unanswered: u32,
    may_be_processed: bool,
    backoff: Backoff,
}

#[cfg(feature = "collector-http")]
impl Attempts {
    /// Counts a failed attempt. Returns the delay before the next one, or `None` if the message is
    /// to be given up.
    pub(crate) fn failed(&mut self, failed: FailedAttempt, now: Instant) -> Option<Duration> {
        self.made = self.made.saturating_add(1);
        self.may_be_processed |= failed.may_be_processed;
        let may_help = match failed.retry {
            Retry::Yes => true,
            Retry::Unanswered => {
                self.unanswered += 1;
                self.unanswered < MAX_UNANSWERED
            }
            Retry::No => false,
        };
        if !may_help || self.made >= self.policy.max_attempts {
            return None;
        }
        let pause = self.backoff.next(failed.retry_after);
        let spent = now.saturating_duration_since(self.began);
        (spent.saturating_add(pause) < self.policy.max_elapsed).then_some(pause)
    }

    /// Returns the number of failed attempts.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Returns whether the server may have processed a failed attempt.
    pub(crate) fn may_be_processed(&self) -> bool {
        self.may_be_processed
    }
}

/// The approximate first delay between attempts of a message.
#[cfg(feature = "collector-http")]
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest delay between attempts of a message without a `Retry-After`.
#[cfg(feature = "collector-http")]
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a message is written as a whole without a response before it is given up.
#[cfg(feature = "collector-http")]
const MAX_UNANSWERED: u32 = 2;

/// The longest pause of a destination that shares its thread.
#[cfg(feature = "collector-http")]
const MAX_SHARED_PAUSE: Duration = Duration::from_secs(3600);

/// Parses a `Retry-After`: a number of seconds, or a date of HTTP in any of its three forms. `None`
/// if it is neither. A date in the past is no delay.
pub(crate) fn parse_retry_after(value: &str, wall_nanos: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is longer than any limit.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_nanos(u64::try_from(wall_nanos).unwrap_or(0));
    Some(since_epoch.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_only_grow_up_to_the_longest_and_are_not_all_the_same() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut firsts = Vec::new();
        for _ in 0..200 {
            let mut backoff = Backoff::new(first, longest);
            let pauses: Vec<_> = (0..12).map(|_| backoff.next(None)).collect();
            assert!(pauses.is_sorted() && pauses[11] == longest, "{pauses:?}");
            assert!(pauses[0] >= first.mul_f64(0.75) && pauses[0] <= first.mul_f64(1.25));
            firsts.push(pauses[0]);
        }
        assert!(firsts.iter().max() > firsts.iter().min());
    }

    #[test]
    fn retry_after_lengthens_a_pause_and_never_shortens_one() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        assert!(backoff.next(Some(Duration::ZERO)) >= Duration::from_millis(75));
        assert_eq!(backoff.next(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert!(backoff.next(Some(Duration::ZERO)) >= Duration::from_secs(3));
        assert_eq!(backoff.next(Some(Duration::MAX)), Duration::MAX);
        assert_eq!(backoff.next(None), Duration::MAX, "and nothing overflows");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_anything_else_is_nothing() {
        let now = 784_111_777 * 1_000_000_000; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("18446744073709551615", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799 - 784_111_777)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e9", None),
            ("0x10", None),
            ("soon", None),
            ("\u{661}", None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None),
        ] {
            assert_eq!(parse_retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(parse_retry_after("1", i64::MIN), Some(Duration::from_secs(1)));
        assert!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", -1).is_some());
    }

    proptest::proptest! {
        #[test]
        fn law_any_retry_after_is_read_or_ignored(value: String, now: i64) {
            let _ = parse_retry_after(&value, now);
        }
    }

    #[cfg(feature = "collector-http")]
    mod of_messages {
        use super::*;
        use crate::clock;

        fn by_status(status: u16, retry_after: Option<Duration>) -> FailedAttempt {
            FailedAttempt::by_status(status, retry_after, RetriedStatuses::Usual)
        }

        fn state(max_attempts: u32, max_elapsed: Duration) -> RetryState {
            RetryState::new(RetryPolicy { max_attempts, max_elapsed })
        }

        /// Returns the delays until a message is given up, if each attempt takes no time and fails
        /// like this.
        fn pauses(state: &RetryState, failed: FailedAttempt) -> Vec<Duration> {
            let mut now = clock::now();
            let mut attempts = state.begin(now).unwrap();
            let mut pauses = Vec::new();
            while let Some(pause) = attempts.failed(failed, now) {
                now += pause;
                pauses.push(pause);
            }
            assert_eq!(attempts.made() as usize, pauses.len() + 1);
            pauses
        }

        #[test]
        fn attempts_are_bounded_in_number_and_in_time() {
            let refused = FailedAttempt::without_response(Retry::Yes, false);
            assert_eq!(pauses(&state(4, Duration::from_secs(3600)), refused).len(), 3);
            let bound = Duration::from_secs(30);
            let pauses = pauses(&state(u32::MAX, bound), refused);
            assert!(pauses.iter().sum::<Duration>() < bound && pauses.len() > 5, "{pauses:?}");
        }

        #[test]
        fn retry_after_beyond_the_bound_ends_the_retries_at_once() {
            let bound = Duration::from_secs(30);
            for (requested, given) in [(0, 7), (29, 1), (30, 0), (u64::MAX, 0)] {
                let failed = by_status(503, Some(Duration::from_secs(requested)));
                let pauses = pauses(&state(8, bound), failed);
                assert_eq!(pauses.len(), given, "{requested}: {pauses:?}");
            }
            let later = by_status(503, Some(Duration::MAX));
            assert!(pauses(&state(9, Duration::MAX), later).is_empty(), "and nothing overflows");
        }

        #[test]
        fn each_status_is_tried_again_or_not_as_the_table_says() {
            for status in 300..600 {
                let FailedAttempt { retry, may_be_processed, .. } = by_status(status, None);
                let again = [408, 429, 500, 502, 503, 504].contains(&status);
                assert_eq!(retry == Retry::Yes, again, "{status}");
                assert_eq!(may_be_processed, [500, 502, 504].contains(&status), "{status}");
                let by_otlp = FailedAttempt::by_status(status, None, RetriedStatuses::Otlp);
                let again = [429, 502, 503, 504].contains(&status);
                assert_eq!(by_otlp.retry == Retry::Yes, again, "{status}");
                assert_eq!(by_otlp.may_be_processed, may_be_processed, "{status}");
            }
        }

        #[test]
        fn a_message_without_a_response_is_sent_twice_at_most() {
            let state = state(10, Duration::from_secs(30));
            let unanswered = FailedAttempt::without_response(Retry::Unanswered, true);
            assert_eq!(pauses(&state, unanswered).len(), 1);
            // A failure between does not count as a response.
            let (now, refused) = (clock::now(), FailedAttempt::without_response(Retry::Yes, false));
            let mut attempts = state.begin(now).unwrap();
            assert!(attempts.failed(unanswered, now).is_some());
            assert!(attempts.failed(refused, now).is_some() && attempts.may_be_processed());
            assert!(attempts.failed(unanswered, now).is_none());
        }

        #[test]
        fn once_given_up_messages_are_tried_once_until_one_gets_through() {
            let mut state = state(3, Duration::from_secs(30));
            let (now, failed) = (clock::now(), by_status(503, None));
            assert_eq!(pauses(&state, failed).len(), 2);
            state.gave_up(&state.begin(now).unwrap(), now);
            assert_eq!(pauses(&state, failed).len(), 0);
            state.recovered();
            assert_eq!(pauses(&state, failed).len(), 2);
        }

        #[test]
        fn a_destination_that_shares_its_thread_is_paused_for_as_long_as_a_failure_took() {
            let mut state = state(10, Duration::from_secs(30)).sharing_its_thread();
            let now = clock::now();
            let attempts = state.begin(now).unwrap();
            let second = Duration::from_secs(1);
            state.gave_up(&attempts, now + second);
            assert!(state.begin(now + second).is_none());
            assert!(state.begin(now + 2 * second).is_some());
            state.recovered();
            assert!(state.begin(now + second).is_some());
        }
    }
}
