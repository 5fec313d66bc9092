//! The guard around a user's sampler: its panics are caught.

use parking_lot::Mutex;

use super::{
    Decision, ParentDecision, RemoteCounts, Rule, SamplerHost, SamplerStatus, SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::panics::{self, Callback};
use crate::sampler::Sampler;

/// Catches the panics of a sampler. The decision by trace id alone is not forwarded: only built-in
/// samplers have one.
#[derive(Debug)]
pub(super) struct GuardedSampler {
    sampler: Box<dyn Sampler>,
    reports: Mutex<Reports>,
}

/// Where panics are reported.
#[derive(Debug, Default)]
struct Reports {
    /// The tracer; none until one is built with the sampler.
    host: Option<SamplerHost>,
    /// Panics from before a tracer was built.
    early: Vec<(Callback, String)>,
}

impl GuardedSampler {
    pub(super) fn new(sampler: impl Sampler + 'static) -> Self {
        Self { sampler: Box::new(sampler), reports: Mutex::default() }
    }

    /// Reports panics to this tracer, earlier ones included.
    pub(super) fn report_to(&self, host: &SamplerHost) {
        let early = {
            let mut reports = self.reports.lock();
            reports.host = Some(host.clone());
            std::mem::take(&mut reports.early)
        };
        early.iter().for_each(|(callback, message)| host.panicked(*callback, message));
    }

    fn call<T>(&self, callback: Callback, work: impl FnOnce(&dyn Sampler) -> T) -> Option<T> {
        panics::catch(|| work(&*self.sampler))
            .map_err(|message| self.report(callback, message))
            .ok()
    }

    #[cold]
    fn report(&self, callback: Callback, message: String) {
        let host = {
            let mut reports = self.reports.lock();
            if reports.host.is_none() && reports.early.len() < MAX_EARLY_REPORTS {
                reports.early.push((callback, message.clone()));
            }
            reports.host.clone()
        };
        // A logger is a user callback, so no lock is held here.
        if let Some(host) = host {
            host.panicked(callback, &message);
        }
    }

    fn decide(&self, callback: Callback, work: impl FnOnce(&dyn Sampler) -> Decision) -> Decision {
        self.call(callback, work).unwrap_or(NO_OPINION)
    }
}

/// Wraps a sampler in the guard, unless it is a built-in one.
pub(crate) fn guarded(sampler: impl Sampler + 'static) -> Box<dyn Sampler> {
    match sampler.built_in() {
        Some(_) => Box::new(sampler),
        None => Box::new(GuardedSampler::new(sampler)),
    }
}

impl Sampler for GuardedSampler {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.decide(Callback::SamplerOnCreateSpan, |sampler| sampler.on_create_span(span))
    }

    fn may_defer(&self) -> bool {
        self.call(Callback::SamplerMayDefer, |sampler| sampler.may_defer()).unwrap_or(false)
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let callback = Callback::SamplerOnSetOperationName;
        self.decide(callback, |sampler| sampler.on_set_operation_name(span))
    }

    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        self.decide(Callback::SamplerOnSetTag, |sampler| sampler.on_set_tag(span, key, value))
    }

    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.decide(Callback::SamplerOnFinish, |sampler| sampler.on_finish(span))
    }

    fn decides_on_join(&self) -> bool {
        self.call(Callback::SamplerDecidesOnJoin, |sampler| sampler.decides_on_join())
            .unwrap_or(false)
    }

    fn on_join(
        &self,
        span: &mut SamplingParameters<'_>,
        parent: ParentDecision,
    ) -> Option<Decision> {
        self.call(Callback::SamplerOnJoin, |sampler| sampler.on_join(span, parent)).flatten()
    }

    fn memory_bits(&self) -> u32 {
        self.call(Callback::SamplerMemoryBits, |sampler| sampler.memory_bits()).unwrap_or(u32::MAX)
    }

    fn status(&self) -> SamplerStatus {
        self.call(Callback::SamplerStatus, |sampler| sampler.status()).unwrap_or_else(|| {
            SamplerStatus::new(Rule::Other { description: "unknown".to_owned() })
        })
    }

    fn remote_counts(&self) -> RemoteCounts {
        self.call(Callback::SamplerRemoteCounts, |sampler| sampler.remote_counts())
            .unwrap_or_default()
    }

    fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
        self.report_to(host);
        let callback = Callback::SamplerStart;
        self.call(callback, |sampler| sampler.start(host))
            .unwrap_or_else(|| Err(ConfigError::Panicked { callback: callback.name() }))
    }

    fn close(&self) {
        let _ = self.call(Callback::SamplerClose, |sampler| sampler.close());
    }
}

/// The decision in place of one that panicked: not sampled, as far as this sampler is concerned.
const NO_OPINION: Decision = Decision::retryable(false);

const MAX_EARLY_REPORTS: usize = 8;
