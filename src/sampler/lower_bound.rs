//! A share of traces, and so many a second at least.

use std::sync::Arc;

use parking_lot::Mutex;

use super::rate_limiting::burst;
use super::{
    Decision, ProbabilisticSampler, Rule, Sampler, SamplerStatus, SamplerTags, SamplingParameters,
    TokenBucket,
};
use crate::encoding::ValueView;

/// Records a share of traces, and so many a second even if they are not of the share.
///
/// It names itself `probabilistic` for a trace of the share, and `lowerbound` for one that was
/// recorded beside it; the parameter is the share in both cases.
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
    share: ProbabilisticSampler,
    lower_bound: f64,
    /// Shared with those it was updated from and to.
    bucket: Arc<Mutex<TokenBucket>>,
    tags: SamplerTags,
}

impl GuaranteedThroughputSampler {
    /// Samples the share `rate` of traces, and at least `lower_bound` traces each second, as far as
    /// there are as many.
    ///
    /// # Shape and units
    ///
    /// `rate` is taken as 0 below 0 and as 1 above 1, `lower_bound` as 0 below 0, and what is not a
    /// number as 0: of a list of many, one that is wrong should not cost the others.
    #[must_use]
    pub fn new(lower_bound: f64, rate: f64) -> Self {
        let lower_bound = bounded(lower_bound);
        let bucket = TokenBucket::new(lower_bound, burst(lower_bound));
        Self::with(Arc::new(Mutex::new(bucket)), lower_bound, rate)
    }

    /// One of another lower bound and share that goes on with what is left. `now_nanos` is on the
    /// clock of the spans that it is asked about.
    #[must_use]
    pub fn updated(&self, lower_bound: f64, rate: f64, now_nanos: u64) -> Self {
        let lower_bound = bounded(lower_bound);
        if lower_bound != self.lower_bound {
            self.bucket.lock().update(lower_bound, burst(lower_bound), now_nanos);
        }
        Self::with(Arc::clone(&self.bucket), lower_bound, rate)
    }

    fn with(bucket: Arc<Mutex<TokenBucket>>, lower_bound: f64, rate: f64) -> Self {
        let share = ProbabilisticSampler::clamped(rate);
        let tags = SamplerTags::new("lowerbound", ValueView::Double(share.rate()));
        Self { share, lower_bound, bucket, tags }
    }

    /// The share of traces it samples.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.share.rate()
    }

    /// How many traces it samples each second at least.
    #[must_use]
    pub const fn lower_bound(&self) -> f64 {
        self.lower_bound
    }

    /// Decides at a moment that was read before.
    pub(super) fn decide(&self, span: &mut SamplingParameters<'_>, now_nanos: u64) -> bool {
        // What the share samples counts towards the bound, too.
        let within = self.bucket.lock().check(1.0, now_nanos);
        if self.share.is_sampled(span.trace_id()) {
            span.set_sampler_tags(self.share.tags());
            return true;
        }
        if within {
            span.set_sampler_tags(&self.tags);
        }
        within
    }
}

impl Sampler for GuaranteedThroughputSampler {
    fn is_built_in(&self) -> bool {
        true
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

/// A number of traces a second that can be reckoned with.
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

    fn asked(sampler: &GuaranteedThroughputSampler, clock: &Arc<ManualClock>, id: u64) -> String {
        let mut span = ManualSpan::new(TraceId::new(0, id), "op").with_clock(Arc::clone(clock));
        span.start(sampler);
        let text = |value| match value {
            ValueView::Str(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        span.tags().map(|tag| text(tag.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_the_share_samples_counts_towards_the_bound() {
        let (sampler, clock) =
            (GuaranteedThroughputSampler::new(1.0, 0.5), Arc::new(ManualClock::new()));
        assert_eq!(asked(&sampler, &clock, ALWAYS), "probabilistic Double(0.5)");
        assert_eq!(asked(&sampler, &clock, NEVER), "");
        clock.advance(Duration::from_secs(1));
        assert_eq!(asked(&sampler, &clock, NEVER), "lowerbound Double(0.5)");
        assert_eq!(asked(&sampler, &clock, NEVER), "");
        assert_eq!(asked(&sampler, &clock, ALWAYS), "probabilistic Double(0.5)");
    }

    #[test]
    fn a_bound_of_zero_samples_nothing_beside_the_share() {
        let (sampler, clock) =
            (GuaranteedThroughputSampler::new(0.0, 0.0), Arc::new(ManualClock::new()));
        for _ in 0..10 {
            assert_eq!(asked(&sampler, &clock, NEVER), "");
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
    fn an_update_of_the_share_leaves_the_bound_alone() {
        let clock = Arc::new(ManualClock::new());
        let sampler = GuaranteedThroughputSampler::new(1.0, 0.0);
        assert_eq!(asked(&sampler, &clock, NEVER), "lowerbound Double(0.0)");
        let sampler = sampler.updated(1.0, 0.25, 0);
        assert_eq!(asked(&sampler, &clock, NEVER), "");
        assert_eq!(
            sampler.status().rule,
            Rule::GuaranteedThroughput { lower_bound: 1.0, rate: 0.25 }
        );
    }
}
