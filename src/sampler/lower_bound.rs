//! The sampler with a probability and a lower bound of traces per second.

use std::sync::Arc;

use parking_lot::Mutex;

use super::rate_limiting::burst;
use super::{
    BuiltIn, Decision, ProbabilisticSampler, Rule, Sampler, SamplerStatus, SamplerTags,
    SamplingParameters, TokenBucket,
};
use crate::encoding::ValueView;

/// Records traces with a given probability, and at least a given number per second.
///
/// The sampler names itself `probabilistic` for a trace that the probability selects, and
/// `lowerbound` for one that only the lower bound lets through; the parameter is the probability in
/// both cases.
///
/// # Cost
///
/// A decision reads the clock and takes a lock that is held for a few instructions.
///
/// # Source
///
/// `GuaranteedThroughputProbabilisticSampler` in jaeger-client-go, `sampler.go`. There, a lower bound
/// of 0 lets one trace pass.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// use jaeger_client::sampler::{GuaranteedThroughputSampler, ManualSpan};
/// let sampler = GuaranteedThroughputSampler::new(1.0, 0.0);
/// let mut span = ManualSpan::new(TraceId::new(0, 7), "op");
/// span.start(&sampler);
/// assert!(span.is_sampled());
/// ```
#[derive(Clone)]
pub struct GuaranteedThroughputSampler {
    probabilistic: ProbabilisticSampler,
    lower_bound: f64,
    /// The token bucket, shared with the samplers that this one was updated from and to.
    bucket: Arc<Mutex<TokenBucket>>,
    tags: SamplerTags,
}

impl GuaranteedThroughputSampler {
    /// Samples with probability `rate`, and at least `lower_bound` traces per second if as many
    /// begin.
    ///
    /// # Shape and units
    ///
    /// `rate` is clamped to 0 and 1, `lower_bound` as 0 below 0, and what is not a number as 0: of
    /// a list of many, one that is wrong should not cost the others.
    #[must_use]
    pub fn new(lower_bound: f64, rate: f64) -> Self {
        let lower_bound = bounded(lower_bound);
        let bucket = TokenBucket::new(lower_bound, burst(lower_bound));
        Self::with(Arc::new(Mutex::new(bucket)), lower_bound, rate)
    }

    /// Returns a sampler with another lower bound and probability that continues with the same
    /// token bucket. `now_nanos` is on the clock of the spans that are sampled.
    #[must_use]
    pub fn updated(&self, lower_bound: f64, rate: f64, now_nanos: u64) -> Self {
        let lower_bound = bounded(lower_bound);
        if lower_bound != self.lower_bound {
            self.bucket.lock().update(lower_bound, burst(lower_bound), now_nanos);
        }
        Self::with(Arc::clone(&self.bucket), lower_bound, rate)
    }

    fn with(bucket: Arc<Mutex<TokenBucket>>, lower_bound: f64, rate: f64) -> Self {
        let probabilistic = ProbabilisticSampler::clamped(rate);
        let tags = SamplerTags::new("lowerbound", ValueView::Double(probabilistic.rate()));
        Self { probabilistic, lower_bound, bucket, tags }
    }

    /// Returns the probability of sampling.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.probabilistic.rate()
    }

    /// Returns the lower bound in traces per second.
    #[must_use]
    pub const fn lower_bound(&self) -> f64 {
        self.lower_bound
    }

    /// Decides at a time that the caller has read.
    pub(super) fn decide(&self, span: &mut SamplingParameters<'_>, now_nanos: u64) -> bool {
        // Traces that the probability selects count towards the bound, too.
        let within = self.bucket.lock().check(1.0, now_nanos);
        if self.probabilistic.is_sampled(span.trace_id()) {
            span.set_sampler_tags(self.probabilistic.tags());
            return true;
        }
        if within {
            span.set_sampler_tags(&self.tags);
        }
        within
    }
}

impl Sampler for GuaranteedThroughputSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::SELF_CONTAINED)
    }

    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let now = span.monotonic_nanos();
        Decision::new(self.decide(span, now))
    }

    fn status(&self) -> SamplerStatus {
        let (lower_bound, rate) = (self.lower_bound, self.rate());
        SamplerStatus::new(Rule::GuaranteedThroughput { lower_bound, rate })
    }
}

/// Limits a lower bound to numbers that can be computed with.
pub(super) fn bounded(lower_bound: f64) -> f64 {
    if lower_bound.is_nan() { 0.0 } else { lower_bound.clamp(0.0, f64::MAX) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ManualSpan;
    use super::*;
    use crate::clock::ManualClock;
    use crate::id::TraceId;

    const ALWAYS: u64 = 1;
    const NEVER: u64 = u64::MAX >> 1;

    fn decide(sampler: &GuaranteedThroughputSampler, clock: &Arc<ManualClock>, id: u64) -> String {
        let mut span = ManualSpan::new(TraceId::new(0, id), "op").with_clock(Arc::clone(clock));
        span.start(sampler);
        let text = |value| match value {
            ValueView::Str(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        span.tags().map(|tag| text(tag.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn traces_sampled_by_probability_count_towards_the_bound() {
        let (sampler, clock) =
            (GuaranteedThroughputSampler::new(1.0, 0.5), Arc::new(ManualClock::new()));
        assert_eq!(decide(&sampler, &clock, ALWAYS), "probabilistic Double(0.5)");
        assert_eq!(decide(&sampler, &clock, NEVER), "");
        clock.advance(Duration::from_secs(1));
        assert_eq!(decide(&sampler, &clock, NEVER), "lowerbound Double(0.5)");
        assert_eq!(decide(&sampler, &clock, NEVER), "");
        assert_eq!(decide(&sampler, &clock, ALWAYS), "probabilistic Double(0.5)");
    }

    #[test]
    fn a_bound_of_zero_samples_nothing_beyond_the_probability() {
        let (sampler, clock) =
            (GuaranteedThroughputSampler::new(0.0, 0.0), Arc::new(ManualClock::new()));
        for _ in 0..10 {
            assert_eq!(decide(&sampler, &clock, NEVER), "");
            clock.advance(Duration::from_secs(3600));
        }
    }

    #[test]
    fn numbers_out_of_range_are_taken_as_the_nearest() {
        for (bound, rate, taken) in [
            (-1.0, -3.0, (0.0, 0.0)),
            (2.0, 1.5, (2.0, 1.0)),
            (f64::NAN, f64::NAN, (0.0, 0.0)),
            (f64::INFINITY, 0.5, (f64::MAX, 0.5)),
        ] {
            let sampler = GuaranteedThroughputSampler::new(bound, rate);
            assert_eq!((sampler.lower_bound(), sampler.rate()), taken);
        }
    }

    #[test]
    fn an_update_of_the_probability_leaves_the_bound_alone() {
        let clock = Arc::new(ManualClock::new());
        let sampler = GuaranteedThroughputSampler::new(1.0, 0.0);
        assert_eq!(decide(&sampler, &clock, NEVER), "lowerbound Double(0.0)");
        let sampler = sampler.updated(1.0, 0.25, 0);
        assert_eq!(decide(&sampler, &clock, NEVER), "");
        assert_eq!(
            sampler.status().rule,
            Rule::GuaranteedThroughput { lower_bound: 1.0, rate: 0.25 }
        );
    }
}
