//! The sampler that records all traces, or none.

use super::{
    BuiltIn, Decision, DecisionById, Rule, Sampler, SamplerParams, SamplerStatus, SamplerTags,
    SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;

/// Records every trace, or none at all.
///
/// # Cost
///
/// A decision is a constant; a positive one copies 44 bytes of tags.
///
/// # Source
///
/// `ConstSampler` in jaeger-client-go, `sampler.go`.
#[derive(Clone)]
pub struct ConstSampler {
    sample: bool,
    tags: SamplerTags,
}

impl ConstSampler {
    /// Samples all traces if `sample`, and no trace otherwise.
    #[must_use]
    pub fn new(sample: bool) -> Self {
        Self { sample, tags: SamplerTags::new("const", ValueView::Bool(sample)) }
    }
}

impl Sampler for ConstSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::constant(DecisionById::new(self.sample, &self.tags)))
    }

    #[inline]
    fn decide_by_id(&self, _trace_id: TraceId) -> DecisionById<'_> {
        DecisionById::new(self.sample, &self.tags)
    }

    #[inline]
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        if self.sample {
            span.set_sampler_tags(&self.tags);
        }
        Decision::new(self.sample)
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Const { sample: self.sample })
    }
}

/// Builds the sampler from configuration: any parameter but zero samples, as in Go.
pub(super) fn build(params: &SamplerParams<'_>) -> Result<Box<dyn Sampler>, ConfigError> {
    if params.param.is_nan() {
        return Err(ConfigError::invalid(
            "sampler.param",
            params.param.to_string(),
            "0 or 1 for a const sampler",
        ));
    }
    Ok(Box::new(ConstSampler::new(params.param != 0.0)))
}
