//! The pauses between requests over HTTP.
//!
//! A pause is never shorter than the one before. What a server says in `Retry-After` lengthens a
//! pause and never shortens it. Polls have no bound but their interval, which is also the longest of
//! their pauses.

use std::time::Duration;

/// Pauses between attempts, of which none is shorter than the one before.
#[cfg(feature = "remote-sampler")]
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    last: Duration,
}

#[cfg(feature = "remote-sampler")]
impl Backoff {
    /// Pauses from about `first` on, of which each is about twice the one before, up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first: first.min(longest), longest, last: Duration::ZERO }
    }

    /// The next pause: at least what the server asked for.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        // By chance, so that many clients do not come back at the same moment.
        let grown = if self.last.is_zero() {
            self.first.mul_f64(rand::random_range(0.75..1.25))
        } else {
            self.last.min(self.longest).mul_f64(rand::random_range(1.5..2.5))
        };
        let own = grown.min(self.longest).max(self.last);
        self.last = own.max(retry_after.unwrap_or_default());
        self.last
    }

    /// Begins with the first pause again.
    pub(crate) fn reset(&mut self) {
        self.last = Duration::ZERO;
    }
}

/// What a `Retry-After` asks for: a number of seconds, or a date of HTTP in any of its three forms.
/// None if it is neither. A date that has passed is no pause.
pub(crate) fn parse_retry_after(value: &str, wall_nanos: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is longer than anybody waits.
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

    #[cfg(feature = "remote-sampler")]
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

    #[cfg(feature = "remote-sampler")]
    #[test]
    fn what_a_server_asks_for_lengthens_a_pause_and_never_shortens_one() {
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
}
