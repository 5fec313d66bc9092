//! The sampler with an upper bound of traces per second.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    BuiltIn, Decision, Rule, Sampler, SamplerParams, SamplerStatus, SamplerTags, SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;

/// Records at most a given number of traces per second, in the order in which they begin.
///
/// # Cost
///
/// A decision reads the clock and takes a lock that is held for a few instructions.
///
/// # Source
///
/// `RateLimitingSampler` in jaeger-client-go, `sampler.go`. There, a rate of 0 lets one trace pass,
/// and an idle limiter lets twice its burst pass.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// use jaeger_client::sampler::{ManualSpan, RateLimitingSampler};
/// let sampler = RateLimitingSampler::new(2.0)?;
/// let sampled = |id| {
///     let mut span = ManualSpan::new(TraceId::new(0, id), "op");
///     span.start(&sampler);
///     span.is_sampled()
/// };
/// assert_eq!([sampled(1), sampled(2), sampled(3)], [true, true, false]);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RateLimitingSampler {
    max_traces_per_second: f64,
    /// The token bucket, shared with the samplers that this one was updated from and to.
    bucket: Arc<Mutex<TokenBucket>>,
    tags: SamplerTags,
}

impl RateLimitingSampler {
    /// Samples up to `max_traces_per_second` traces per second.
    ///
    /// # Shape and units
    ///
    /// Fractions are allowed: 0.1 is a trace every ten seconds. 0 samples none. After a pause, the
    /// traces of one second may come at once, and at least one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the rate is negative, infinite or not a number.
    pub fn new(max_traces_per_second: f64) -> Result<Self, ConfigError> {
        let rate = checked(max_traces_per_second)?;
        let bucket = Arc::new(Mutex::new(TokenBucket::new(rate, burst(rate))));
        Ok(Self { max_traces_per_second: rate, bucket, tags: tags(rate) })
    }

    /// Begins with a part of the burst, from 0 to 1, instead of all of it. With a random part,
    /// processes that start together do not let through a burst together.
    ///
    /// # Source
    ///
    /// `initBalance` in jaeger-client-node, `rate_limiter.js`.
    #[must_use]
    pub fn with_initial_fill(self, fraction: f64) -> Self {
        let rate = self.max_traces_per_second;
        let mut bucket = TokenBucket::new(rate, burst(rate));
        bucket.balance *= if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        // Time is credited from the first decision on.
        let bucket = Arc::new(Mutex::new(bucket));
        Self { bucket, ..self }
    }

    /// Returns a sampler with another rate that continues with the same token bucket: with a new
    /// bucket, every change of the rate would let a burst through. `now_nanos` is on the clock of
    /// the spans that are sampled.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn updated(&self, max_traces_per_second: f64, now_nanos: u64) -> Result<Self, ConfigError> {
        let rate = checked(max_traces_per_second)?;
        if rate != self.max_traces_per_second {
            self.bucket.lock().update(rate, burst(rate), now_nanos);
        }
        let bucket = Arc::clone(&self.bucket);
        Ok(Self { max_traces_per_second: rate, bucket, tags: tags(rate) })
    }

    /// Returns the maximum number of traces per second.
    #[must_use]
    pub const fn max_traces_per_second(&self) -> f64 {
        self.max_traces_per_second
    }
}

impl Sampler for RateLimitingSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::SELF_CONTAINED)
    }

    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        // Read outside the lock: a clock may be a user callback.
        let now = span.monotonic_nanos();
        let sample = self.bucket.lock().check(1.0, now);
        if sample {
            span.set_sampler_tags(&self.tags);
        }
        Decision::new(sample)
    }

    fn status(&self) -> SamplerStatus {
        let max_traces_per_second = self.max_traces_per_second;
        SamplerStatus::new(Rule::RateLimiting { max_traces_per_second })
    }
}

fn tags(rate: f64) -> SamplerTags {
    SamplerTags::new("ratelimiting", ValueView::Double(rate))
}

fn checked(rate: f64) -> Result<f64, ConfigError> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(rate);
    }
    Err(ConfigError::invalid(
        "sampler.param",
        rate.to_string(),
        "traces a second, 0 or more, for a ratelimiting sampler",
    ))
}

/// Returns the capacity of a bucket with this rate: at least one credit, or a rate below one would
/// never let anything pass; none for a rate of 0.
pub(super) fn burst(rate: f64) -> f64 {
    if rate > 0.0 { rate.max(1.0) } else { 0.0 }
}

pub(super) fn build(params: &SamplerParams<'_>) -> Result<Box<dyn Sampler>, ConfigError> {
    Ok(Box::new(RateLimitingSampler::new(params.param)?))
}

/// A token bucket for samplers: it starts full, fills with time, and each trace takes a credit from
/// it.
///
/// # Shape and units
///
/// Times are nanoseconds on any clock that does not run backwards; if it does, no time has passed.
///
/// # Source
///
/// `ReconfigurableRateLimiter` in jaeger-client-go, `utils/rate_limiter.go`. There, time is credited
/// only when the balance is short, so that after a pause twice a full bucket passes; a bucket that
/// once held nothing never passes anything again; and time that runs backwards takes credit away.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::TokenBucket;
/// let mut bucket = TokenBucket::new(2.0, 1.0);
/// assert!(bucket.check(1.0, 0));
/// assert!(!bucket.check(1.0, 499_999_999));
/// assert!(bucket.check(1.0, 500_000_000));
/// ```
#[derive(Clone, Debug)]
pub struct TokenBucket {
    credits_per_second: f64,
    max_balance: f64,
    balance: f64,
    /// The time up to which credits were added; none before the first use, when the bucket is full.
    credited_at: Option<u64>,
}

impl TokenBucket {
    /// Returns a full bucket.
    #[must_use]
    pub const fn new(credits_per_second: f64, max_balance: f64) -> Self {
        Self { credits_per_second, max_balance, balance: max_balance, credited_at: None }
    }

    /// Takes `cost` credits and returns whether there were as many.
    pub fn check(&mut self, cost: f64, now_nanos: u64) -> bool {
        let filled = self.filled(now_nanos);
        if filled >= self.max_balance {
            // Credits beyond the maximum are lost now; left uncredited, they would be added later.
            self.credit(self.max_balance, now_nanos);
        } else if self.balance < cost {
            self.credit(filled, now_nanos);
        }
        let enough = self.balance >= cost;
        if enough {
            self.balance -= cost;
        }
        enough
    }

    /// Changes the rate and the capacity. The bucket stays as full, in proportion, as it is.
    pub fn update(&mut self, credits_per_second: f64, max_balance: f64, now_nanos: u64) {
        let filled = self.filled(now_nanos).min(self.max_balance);
        let scaled =
            if self.max_balance > 0.0 { filled * max_balance / self.max_balance } else { 0.0 };
        self.credit(scaled, now_nanos);
        self.credits_per_second = credits_per_second;
        self.max_balance = max_balance;
    }

    /// Returns the balance, without the credits of the time since it was last short or full.
    #[must_use]
    pub const fn balance(&self) -> f64 {
        self.balance
    }

    /// Returns the balance that the bucket would have without a maximum.
    fn filled(&self, now_nanos: u64) -> f64 {
        let since = self.credited_at.unwrap_or(now_nanos);
        let elapsed = Duration::from_nanos(now_nanos.saturating_sub(since));
        self.balance + elapsed.as_secs_f64() * self.credits_per_second
    }

    fn credit(&mut self, balance: f64, now_nanos: u64) {
        self.balance = balance;
        // Threads may bring times slightly out of order.
        self.credited_at = self.credited_at.max(Some(now_nanos));
    }
}

#[cfg(test)]
mod tests {
    use super::super::ManualSpan;
    use super::*;
    use crate::clock::ManualClock;
    use crate::id::TraceId;

    const SECOND: u64 = 1_000_000_000;

    fn passed(bucket: &mut TokenBucket, now_nanos: u64) -> usize {
        (0..100).filter(|_| bucket.check(1.0, now_nanos)).count()
    }

    #[test]
    fn after_a_pause_no_more_than_a_full_bucket_passes() {
        let mut bucket = TokenBucket::new(2.0, 2.0);
        assert!(bucket.check(1.0, 10 * SECOND));
        assert_eq!(passed(&mut bucket, 20 * SECOND), 2);
        assert!(bucket.check(1.0, 21 * SECOND));
        assert_eq!(passed(&mut bucket, 30 * SECOND), 2);
    }

    #[test]
    fn over_time_as_many_pass_as_the_rate_allows() {
        for rate in [0.1, 0.5, 1.0, 3.0, 7.5] {
            let mut bucket = TokenBucket::new(rate, burst(rate));
            let steps = (0..=100_000_u64).map(|step| step * SECOND / 1000);
            let passed: f64 = steps.map(|now| f64::from(u8::from(bucket.check(1.0, now)))).sum();
            let expected = 100.0 * rate + burst(rate);
            assert!((passed - expected).abs() <= 1.0, "{rate}: {passed} of {expected}");
        }
    }

    #[test]
    fn time_that_runs_backwards_takes_nothing_away() {
        let mut bucket = TokenBucket::new(1.0, 1.0);
        assert!(bucket.check(1.0, 5 * SECOND));
        assert!(!bucket.check(1.0, 3 * SECOND) && bucket.balance() == 0.0);
        assert!(!bucket.check(1.0, 5 * SECOND), "the same second is not credited twice");
        assert!(bucket.check(1.0, 6 * SECOND));
    }

    #[test]
    fn a_bucket_that_held_nothing_fills_again() {
        let mut bucket = TokenBucket::new(1.0, 1.0);
        bucket.update(1.0, 0.0, 0);
        assert!(!bucket.check(1.0, SECOND));
        bucket.update(1.0, 1.0, 2 * SECOND);
        assert!(!bucket.check(1.0, 2 * SECOND), "it begins empty");
        assert!(bucket.check(1.0, 3 * SECOND));
    }

    fn sampled(sampler: &RateLimitingSampler, clock: &Arc<ManualClock>) -> bool {
        let mut span = ManualSpan::new(TraceId::new(0, 1), "op").with_clock(Arc::clone(clock));
        span.start(sampler);
        span.is_sampled()
    }

    #[test]
    fn a_rate_of_zero_samples_nothing_ever() {
        let (sampler, clock) =
            (RateLimitingSampler::new(0.0).unwrap(), Arc::new(ManualClock::new()));
        for _ in 0..100 {
            assert!(!sampled(&sampler, &clock));
            clock.advance(Duration::from_secs(3600));
        }
        let one = sampler.updated(1.0, 0).unwrap();
        let none = one.updated(0.0, 0).unwrap();
        assert!(!sampled(&none, &clock));
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for rate in [-5.0, -1e-9, f64::NAN, f64::INFINITY] {
            let error = RateLimitingSampler::new(rate).unwrap_err().to_string();
            assert!(error.contains("traces a second"), "{error}");
            assert!(RateLimitingSampler::new(1.0).unwrap().updated(rate, 0).is_err());
        }
    }

    #[test]
    fn another_rate_goes_on_with_what_is_left() {
        let clock = Arc::new(ManualClock::new());
        let slow = RateLimitingSampler::new(1.0).unwrap();
        assert!(sampled(&slow, &clock));
        let fast = slow.updated(10.0, 0).unwrap();
        assert!(!sampled(&fast, &clock));
        clock.advance(Duration::from_millis(100));
        assert!(sampled(&fast, &clock) && !sampled(&fast, &clock));
        assert_eq!(fast.status().rule, Rule::RateLimiting { max_traces_per_second: 10.0 });
    }

    #[test]
    fn a_part_of_the_first_second_may_be_left_out() {
        let clock = Arc::new(ManualClock::new());
        let half = RateLimitingSampler::new(4.0).unwrap().with_initial_fill(0.5);
        assert!(sampled(&half, &clock) && sampled(&half, &clock) && !sampled(&half, &clock));
        clock.advance(Duration::from_millis(250));
        assert!(sampled(&half, &clock) && !sampled(&half, &clock));
        for nothing in [0.0, -1.0, f64::NAN] {
            let empty = RateLimitingSampler::new(4.0).unwrap().with_initial_fill(nothing);
            assert!(!sampled(&empty, &clock));
        }
    }
}
