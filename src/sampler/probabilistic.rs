//! The sampler with a probability, which decides by trace id.

use super::{
    BuiltIn, Decision, DecisionById, Rule, Sampler, SamplerParams, SamplerStatus, SamplerTags,
    SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;

/// Records traces with a given probability, the same ones in every service with the same rate.
///
/// # Cost
///
/// A decision is one mask and one comparison: no lock, no allocation, no random number.
///
/// # Source
///
/// `ProbabilisticSampler` in jaeger-client-go v2.30, `sampler.go`. The Java client compares signed
/// ids and so differs for ids whose top bit is set; ours never set it.
///
/// # Examples
///
/// ```
/// use jaeger_client::{TraceId, Tracer, sampler::ProbabilisticSampler};
/// let half = ProbabilisticSampler::new(0.5)?;
/// assert!(half.is_sampled(TraceId::new(0, 1)) && !half.is_sampled(TraceId::new(0, u64::MAX >> 1)));
/// let (tracer, _closer) = Tracer::builder("svc").sampler(half).null_reporter().build()?;
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ProbabilisticSampler {
    boundary: u64,
    rate: f64,
    tags: SamplerTags,
}

impl ProbabilisticSampler {
    /// Samples with probability `rate`.
    ///
    /// # Shape and units
    ///
    /// `rate` is a probability, not a percentage: `1.0` records all traces, `0.001` one in a
    /// thousand, `0.0` only ids whose low 63 bits are zero. It is converted once to a boundary on
    /// those bits.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `rate` is below `0.0`, above `1.0` or not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{TraceId, sampler::ProbabilisticSampler};
    /// let half = ProbabilisticSampler::new(0.5)?;
    /// assert!(half.is_sampled(TraceId::new(0, 1)));
    /// assert!(ProbabilisticSampler::new(50.0).is_err());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn new(rate: f64) -> Result<Self, ConfigError> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(ConfigError::invalid(
                "sampler.param",
                rate.to_string(),
                "a probability from 0 to 1",
            ));
        }
        Ok(Self::clamped(rate))
    }

    /// Like [`new`](Self::new) with the rate clamped to 0 and 1; not-a-number is 0.
    pub(super) fn clamped(rate: f64) -> Self {
        // Drops the sign of a negative zero, which the tag would show.
        let rate = if rate > 0.0 { rate.min(1.0) } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the product is from 0 to 2^63 and truncated towards zero, as in Go"
        )]
        let boundary = (MAX_ID_PLUS_ONE * rate) as u64;
        let tags = SamplerTags::new("probabilistic", ValueView::Double(rate));
        Self { boundary, rate, tags }
    }

    pub(super) fn tags(&self) -> &SamplerTags {
        &self.tags
    }

    /// Decides, and adds the sampler's tags if it samples.
    #[inline]
    pub(super) fn decide(&self, span: &mut SamplingParameters<'_>) -> bool {
        let sample = self.is_sampled(span.trace_id());
        if sample {
            span.set_sampler_tags(&self.tags);
        }
        sample
    }

    /// Returns the probability of sampling.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns the largest value of an id's low 63 bits that is sampled; 2⁶³ if all are.
    #[must_use]
    pub fn boundary(&self) -> u64 {
        self.boundary
    }

    /// Returns whether the trace with this id is sampled.
    #[inline]
    #[must_use]
    pub fn is_sampled(&self, trace_id: TraceId) -> bool {
        is_within(self.boundary, trace_id)
    }
}

/// Returns whether the low bits of a trace id are at most the boundary.
#[inline]
pub(super) const fn is_within(boundary: u64, trace_id: TraceId) -> bool {
    boundary >= trace_id.low() & ID_MASK
}

impl Sampler for ProbabilisticSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::BY_ID)
    }

    #[inline]
    fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
        DecisionById::new(self.is_sampled(trace_id), &self.tags)
    }

    #[inline]
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(self.decide(span))
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Probabilistic { rate: self.rate })
    }
}

pub(super) fn build(params: &SamplerParams<'_>) -> Result<Box<dyn Sampler>, ConfigError> {
    Ok(Box::new(ProbabilisticSampler::new(params.param)?))
}

/// 2⁶³, as a double.
const MAX_ID_PLUS_ONE: f64 = 9_223_372_036_854_775_808.0;

/// The bits of an id that decide.
const ID_MASK: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_outside_of_zero_to_one_are_refused() {
        for rate in [-0.1, -1e-300, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(ProbabilisticSampler::new(rate).is_err(), "{rate}");
        }
        assert_eq!(ProbabilisticSampler::new(-0.0).unwrap().boundary(), 0);
    }

    #[test]
    fn the_top_bit_of_an_id_does_not_decide() {
        let sampler = ProbabilisticSampler::new(0.25).unwrap();
        for low in [0, 1, 1 << 60, 1 << 61, (1 << 61) + 1, 1 << 62] {
            let top = TraceId::new(0, low | 1 << 63);
            assert_eq!(sampler.is_sampled(TraceId::new(0, low)), sampler.is_sampled(top));
        }
    }
}
