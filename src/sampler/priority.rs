//! Several samplers in order, of which the first that samples decides.

use super::built_in::holds_other_values;
use super::{
    BuiltIn, Decision, ParentDecision, RemoteCounts, Rule, Sampler, SamplerHost, SamplerStatus,
    SamplingParameters, guarded,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use std::fmt;

/// Calls several samplers in order; the first that samples decides.
///
/// A sampler whose decision is final is not called again for the same trace. The decision is deferred
/// as long as none samples and at least one may change its decision.
///
/// # Cost
///
/// That of the samplers called, and one atomic operation for each final decision. Whether a
/// decision is final is one of 64 bits that the local spans of a trace share.
///
/// # Source
///
/// `PrioritySampler` in jaeger-client-go, `x/priority_sampler.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::{PrioritySampler, ProbabilisticSampler, TagMatchingSampler};
/// let marked = TagMatchingSampler::new("tenant").matching("acme");
/// let sampler = PrioritySampler::new()
///     .then(marked)
///     .then(ProbabilisticSampler::new(0.001)?)
///     .build()?;
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct PrioritySampler {
    delegates: Vec<Delegate>,
}

#[derive(Debug)]
struct Delegate {
    sampler: Box<dyn Sampler>,
    /// The first of the bits that belong to this sampler.
    first_bit: u32,
}

impl PrioritySampler {
    /// Begins a list that [`then`](PrioritySamplerBuilder::then) continues.
    #[expect(clippy::new_ret_no_self, reason = "the list is checked when it is complete")]
    pub fn new() -> PrioritySamplerBuilder {
        PrioritySamplerBuilder { samplers: Vec::new() }
    }

    fn call(
        &self,
        span: &mut SamplingParameters<'_>,
        callback: impl Fn(&dyn Sampler, &mut SamplingParameters<'_>) -> Decision,
    ) -> Decision {
        let mut retryable = false;
        for (bit, delegate) in (0..).zip(&self.delegates) {
            if span.remembers(bit) {
                continue;
            }
            let sampler = &*delegate.sampler;
            let mut decision =
                span.with_bits_from(delegate.first_bit, |span| callback(sampler, span));
            decision.retryable &= sampler.may_defer();
            if !decision.retryable {
                span.remember(bit);
            }
            if decision.sample {
                return decision;
            }
            retryable |= decision.retryable;
        }
        Decision { retryable, ..Decision::new(false) }
    }
}

impl Sampler for PrioritySampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        let holds = self.delegates.iter().any(|delegate| holds_other_values(&*delegate.sampler));
        Some(BuiltIn::SELF_CONTAINED.holding_other_values(holds))
    }

    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.call(span, |sampler, span| sampler.on_create_span(span))
    }

    fn may_defer(&self) -> bool {
        self.delegates.iter().any(|delegate| delegate.sampler.may_defer())
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.call(span, |sampler, span| sampler.on_set_operation_name(span))
    }

    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        self.call(span, |sampler, span| sampler.on_set_tag(span, key, value))
    }

    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.call(span, |sampler, span| sampler.on_finish(span))
    }

    fn decides_on_join(&self) -> bool {
        self.delegates.iter().any(|delegate| delegate.sampler.decides_on_join())
    }

    /// Decides as the first sampler that has a decision.
    fn on_join(
        &self,
        span: &mut SamplingParameters<'_>,
        parent: ParentDecision,
    ) -> Option<Decision> {
        let mut requested =
            self.delegates.iter().filter(|delegate| delegate.sampler.decides_on_join());
        requested.find_map(|delegate| delegate.sampler.on_join(span, parent))
    }

    fn memory_bits(&self) -> u32 {
        self.delegates
            .iter()
            .map(|delegate| delegate.first_bit.saturating_add(delegate.sampler.memory_bits()))
            .fold(u32::try_from(self.delegates.len()).unwrap_or(u32::MAX), u32::max)
    }

    fn status(&self) -> SamplerStatus {
        let statuses: Vec<_> =
            self.delegates.iter().map(|delegate| delegate.sampler.status()).collect();
        let remote = statuses.iter().find_map(|status| status.remote.clone());
        let rules = statuses.into_iter().map(|status| status.rule).collect();
        SamplerStatus { remote, ..SamplerStatus::new(Rule::Priority { rules }) }
    }

    fn remote_counts(&self) -> RemoteCounts {
        let counts = self.delegates.iter().map(|delegate| delegate.sampler.remote_counts());
        counts.fold(RemoteCounts::default(), |sum, counts| sum + counts)
    }

    fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
        for (started, delegate) in self.delegates.iter().enumerate() {
            if let Err(error) = delegate.sampler.start(host) {
                self.delegates[..started].iter().for_each(|delegate| delegate.sampler.close());
                return Err(error);
            }
        }
        Ok(())
    }

    fn close(&self) {
        self.delegates.iter().for_each(|delegate| delegate.sampler.close());
    }
}

/// The builder of a [`PrioritySampler`].
#[must_use = "the sampler is made by `build`"]
pub struct PrioritySamplerBuilder {
    samplers: Vec<Box<dyn Sampler>>,
}

impl fmt::Debug for PrioritySamplerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrioritySamplerBuilder")
            .field("samplers", &self.samplers.len())
            .finish_non_exhaustive()
    }
}

impl PrioritySamplerBuilder {
    /// Adds a sampler, called after those before it.
    pub fn then(mut self, sampler: impl Sampler + 'static) -> Self {
        self.samplers.push(guarded(sampler));
        self
    }

    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the samplers need more than 64 bits for each trace.
    pub fn build(self) -> Result<PrioritySampler, ConfigError> {
        let mut bits = u32::try_from(self.samplers.len()).unwrap_or(u32::MAX);
        let mut delegates = Vec::with_capacity(self.samplers.len());
        for sampler in self.samplers {
            let first_bit = bits;
            bits = bits.saturating_add(sampler.memory_bits());
            delegates.push(Delegate { sampler, first_bit });
        }
        if bits > MAX_BITS {
            return Err(ConfigError::invalid(
                "priority sampler",
                format!("{} samplers, {bits} bits", delegates.len()),
                "64 bits: one for each sampler, and what each remembers",
            ));
        }
        Ok(PrioritySampler { delegates })
    }
}

/// The bits that the local spans of a trace share.
const MAX_BITS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::super::{ConstSampler, ManualSpan};
    use super::*;
    use crate::id::TraceId;

    /// Waits for a name, and stores a bit when it was called.
    #[derive(Debug)]
    struct Named(&'static str);

    impl Sampler for Named {
        fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
            if span.operation_name() == self.0 {
                return Decision::new(true);
            }
            let again = !span.remembers(0);
            span.remember(0);
            Decision { retryable: again, ..Decision::new(false) }
        }

        fn may_defer(&self) -> bool {
            true
        }

        fn memory_bits(&self) -> u32 {
            1
        }
    }

    /// Decides not to sample, and must be called no more than once.
    #[derive(Debug, Default)]
    struct Once(std::sync::atomic::AtomicBool);

    impl Sampler for Once {
        fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
            assert!(!self.0.swap(true, std::sync::atomic::Ordering::SeqCst), "asked again");
            Decision::retryable(false)
        }
    }

    fn span() -> ManualSpan {
        ManualSpan::new(TraceId::new(0, 1), "op")
    }

    #[test]
    fn a_sampler_whose_decision_is_final_is_not_called_again() {
        let sampler =
            PrioritySampler::new().then(Once::default()).then(Named("good")).build().unwrap();
        let mut span = span();
        assert_eq!(span.start(&sampler), Decision::retryable(false));
        assert_eq!(span.set_operation_name(&sampler, "good"), Some(Decision::new(true)));
        assert!(span.is_sampled() && span.is_final());
    }

    #[test]
    fn the_first_that_samples_decides_though_one_before_it_would_be_called_again() {
        let sampler =
            PrioritySampler::new().then(Named("good")).then(ConstSampler::new(true)).build();
        let mut span = span();
        assert_eq!(span.start(&sampler.unwrap()), Decision::new(true));
        let tags: Vec<_> = span.tags().map(|tag| tag.key.to_vec()).collect();
        assert_eq!(tags, [b"sampler.type".to_vec(), b"sampler.param".to_vec()]);
    }

    #[test]
    fn a_trace_is_decided_when_no_sampler_would_be_called_again() {
        let sampler = PrioritySampler::new()
            .then(Named("never"))
            .then(ConstSampler::new(false))
            .build()
            .unwrap();
        assert!(sampler.may_defer());
        let mut span = span();
        assert_eq!(span.start(&sampler), Decision::retryable(false));
        assert_eq!(span.set_operation_name(&sampler, "other"), Some(Decision::new(false)));
        assert_eq!(span.set_operation_name(&sampler, "never"), None);
    }

    #[test]
    fn samplers_within_one_another_remember_apart() {
        let inner = PrioritySampler::new().then(Named("a")).then(Named("b")).build().unwrap();
        assert_eq!(inner.memory_bits(), 4);
        let outer = PrioritySampler::new().then(inner).then(Named("c")).build().unwrap();
        assert_eq!(outer.memory_bits(), 7);
        let mut span = span();
        assert_eq!(span.start(&outer), Decision::retryable(false));
        // Each was called once before, so that each gives up now; had they shared a bit, the second
        // would have given up at the start.
        assert_eq!(span.set_operation_name(&outer, "other"), Some(Decision::new(false)));
    }

    #[test]
    fn more_than_the_memory_holds_is_refused() {
        let many = |count| {
            let list = (0..count).fold(PrioritySampler::new(), |list, _| list.then(Named("x")));
            list.build().map_err(|error| error.to_string())
        };
        assert!(many(32).is_ok());
        let error = many(33).unwrap_err();
        assert!(error.contains("33 samplers, 66 bits") && error.contains("64 bits"), "{error}");
    }

    #[test]
    fn without_one_that_may_defer_no_decision_is_put_off() {
        let sampler = PrioritySampler::new()
            .then(Once::default())
            .then(ConstSampler::new(false))
            .build()
            .unwrap();
        assert!(!sampler.may_defer());
        assert_eq!(span().start(&sampler), Decision::new(false));
    }
}
