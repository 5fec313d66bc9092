//! The sampler in use, and how a strategy replaces it.

use super::strategy::Strategy;
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;
use crate::sampler::{
    Decision, GuardedSampler, PerOperationSampler, ProbabilisticSampler, RateLimitingSampler,
    Sampler, SamplerStatus, SamplingParameters,
};

/// The sampler that decides at present.
#[derive(Debug)]
pub(super) enum Current {
    Probabilistic(ProbabilisticSampler),
    RateLimiting(RateLimitingSampler),
    PerOperation(PerOperationSampler),
    /// The user's initial sampler.
    Other(GuardedSampler),
}

/// The limits that samplers of operations have.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperationLimits {
    pub(super) max: usize,
    pub(super) late_binding: bool,
}

/// The effect of a strategy on the sampler in use.
#[derive(Debug)]
pub(super) enum Change {
    /// The sampler took the strategy over itself.
    InPlace,
    /// This sampler replaces it and continues with its token bucket.
    Continued(Current),
    /// This sampler replaces it.
    Replaced(Current),
}

impl Current {
    /// Applies a strategy.
    pub(super) fn change(
        &self,
        strategy: &Strategy,
        operations: OperationLimits,
        now_nanos: u64,
    ) -> Result<Change, ConfigError> {
        Ok(match (strategy, self) {
            (Strategy::PerOperation(strategies), Self::PerOperation(current)) => {
                current.update(strategies, now_nanos);
                Change::InPlace
            }
            (Strategy::PerOperation(strategies), _) => {
                let sampler = PerOperationSampler::new(strategies)
                    .max_operations(operations.max)
                    .late_binding(operations.late_binding);
                Change::Replaced(Self::PerOperation(sampler))
            }
            (Strategy::Probabilistic { rate }, current) => {
                let sampler = Self::Probabilistic(ProbabilisticSampler::new(*rate)?);
                match current {
                    Self::Probabilistic(_) => Change::Continued(sampler),
                    _ => Change::Replaced(sampler),
                }
            }
            (Strategy::RateLimiting { max_traces_per_second }, Self::RateLimiting(current)) => {
                let sampler = current.updated(*max_traces_per_second, now_nanos)?;
                Change::Continued(Self::RateLimiting(sampler))
            }
            (Strategy::RateLimiting { max_traces_per_second }, _) => {
                let sampler = RateLimitingSampler::new(*max_traces_per_second)?;
                Change::Replaced(Self::RateLimiting(sampler))
            }
        })
    }

    fn sampler(&self) -> &dyn Sampler {
        match self {
            Self::Probabilistic(sampler) => sampler,
            Self::RateLimiting(sampler) => sampler,
            Self::PerOperation(sampler) => sampler,
            Self::Other(sampler) => sampler,
        }
    }

    /// Returns whether the trace id alone says that the trace is not sampled.
    #[inline]
    pub(super) fn refuses(&self, trace_id: TraceId) -> bool {
        matches!(self, Self::Probabilistic(sampler) if !sampler.is_sampled(trace_id))
    }

    /// Dispatches by hand, as this is called for every trace.
    #[inline]
    pub(super) fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        match self {
            Self::Probabilistic(sampler) => sampler.on_create_span(span),
            Self::RateLimiting(sampler) => sampler.on_create_span(span),
            Self::PerOperation(sampler) => sampler.on_create_span(span),
            Self::Other(sampler) => sampler.on_create_span(span),
        }
    }

    pub(super) fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.sampler().on_set_operation_name(span)
    }

    pub(super) fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        self.sampler().on_set_tag(span, key, value)
    }

    pub(super) fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.sampler().on_finish(span)
    }

    pub(super) fn may_defer(&self) -> bool {
        self.sampler().may_defer()
    }

    pub(super) fn memory_bits(&self) -> u32 {
        self.sampler().memory_bits()
    }

    pub(super) fn status(&self) -> SamplerStatus {
        self.sampler().status()
    }
}
