//! The sampler in use: a poll's response replaces it on the polling thread, and other threads sample by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::strategy::{self, Strategy, StrategyError};
use super::{FetchError, StrategySource};
use crate::clock::{Clock, SystemClock};
use crate::diag::Cause;
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;
use crate::panics;
use crate::polling::PollResult;
use crate::polling::Poller;
use crate::sampler::probabilistic::is_within;
use crate::sampler::{
    Decision, Fetch, FetchOutcome, GuardedSampler, PerOperationSampler, ProbabilisticSampler,
    RateLimitingSampler, RemoteCounts, RemoteStatus, Sampler, SamplerHost, SamplerStatus,
    SamplingParameters,
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

    /// Returns the sampler that decides by the trace id alone, if it is that.
    fn probabilistic(&self) -> Option<&ProbabilisticSampler> {
        match self {
            Self::Probabilistic(sampler) => Some(sampler),
            _ => None,
        }
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

/// The boundary of the probabilistic sampler in use, which the polling thread replaces; `u64::MAX` while another
/// sampler is in use.
#[derive(Debug)]
struct SharedBoundary(AtomicU64);

impl SharedBoundary {
    fn of(sampler: Option<&ProbabilisticSampler>) -> Self {
        Self(AtomicU64::new(Self::value_of(sampler)))
    }

    /// Takes the boundary of a sampler.
    fn set(&self, sampler: Option<&ProbabilisticSampler>) {
        self.0.store(Self::value_of(sampler), Ordering::Release);
    }

    /// Returns the boundary of a sampler. Without one no id is beyond it.
    fn value_of(sampler: Option<&ProbabilisticSampler>) -> u64 {
        sampler.map_or(u64::MAX, ProbabilisticSampler::boundary)
    }

    /// Returns whether the trace id alone says that the trace is not sampled.
    #[inline]
    fn refuses(&self, trace_id: TraceId) -> bool {
        !is_within(self.0.load(Ordering::Acquire), trace_id)
    }
}

/// The state of a remote sampler.
#[derive(Debug)]
pub(super) struct Shared {
    service_name: String,
    source: Box<dyn StrategySource>,
    source_name: String,
    current: ArcSwap<Current>,
    /// The boundary of `current`: most traces are refused by it, and a guard of `current` costs more than the rest of
    /// their start.
    boundary: SharedBoundary,
    operations: OperationLimits,
    may_defer: bool,
    memory_bits: u32,
    /// The progress, locked while a strategy is applied, so that one is finished before the next
    /// begins.
    progress: Mutex<RemoteStatus>,
    /// The tracer that the sampler works for; the last of several.
    host: Mutex<Option<SamplerHost>>,
    /// The clock for samplers without a tracer.
    clock: SystemClock,
}

impl Shared {
    pub(super) fn new(
        service_name: String,
        source: Box<dyn StrategySource>,
        initial: Current,
        operations: OperationLimits,
    ) -> Self {
        let source_name = panics::catch(|| source.name()).unwrap_or_else(|_| "unknown".to_owned());
        let progress = RemoteStatus { source: source_name.clone(), ..RemoteStatus::default() };
        Self {
            service_name,
            source,
            source_name,
            operations,
            may_defer: operations.late_binding || initial.may_defer(),
            memory_bits: initial.memory_bits(),
            boundary: SharedBoundary::of(initial.probabilistic()),
            current: ArcSwap::from_pointee(initial),
            progress: Mutex::new(progress),
            host: Mutex::new(None),
            clock: SystemClock::new(),
        }
    }

    #[inline]
    pub(super) fn current(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    /// Returns whether the trace id alone says that the trace is not sampled. While a strategy is replaced, that may
    /// be by the one before.
    #[inline]
    pub(super) fn refuses(&self, trace_id: TraceId) -> bool {
        self.boundary.refuses(trace_id)
    }

    /// Replaces the sampler in use. Called with `progress` locked.
    fn replace(&self, next: Current) {
        self.boundary.set(next.probabilistic());
        self.current.store(Arc::new(next));
    }

    pub(super) fn may_defer(&self) -> bool {
        self.may_defer
    }

    pub(super) fn memory_bits(&self) -> u32 {
        self.memory_bits
    }

    pub(super) fn status(&self) -> SamplerStatus {
        let progress = self.progress.lock();
        SamplerStatus::new(self.current().status().rule).with_remote(progress.clone())
    }

    pub(super) fn remote_counts(&self) -> RemoteCounts {
        self.progress.lock().counts()
    }

    pub(super) fn set_host(&self, host: &SamplerHost) {
        *self.host.lock() = Some(host.clone());
    }

    /// Polls, and applies the response.
    pub(super) fn refresh(&self) -> FetchOutcome {
        self.poll(|| false).0
    }

    /// Polls, and applies the response unless it is unwanted by then. Also returns the server's
    /// `Retry-After`, if there is one.
    fn poll(&self, unwanted: impl FnOnce() -> bool) -> (FetchOutcome, Option<Duration>) {
        let fetched = panics::catch(|| self.source.fetch(&self.service_name));
        let response = fetched.unwrap_or_else(|_| Err(FetchError::new("the source panicked")));
        let retry_after = response.as_ref().err().and_then(FetchError::retry_after);
        if unwanted() {
            return (FetchOutcome::Failed { error: "closed meanwhile".to_owned() }, None);
        }
        let host = self.host.lock().clone();
        let now = host.as_ref().and_then(SamplerHost::monotonic_nanos);
        let now = now.unwrap_or_else(|| self.clock.monotonic_nanos());
        let (outcome, is_new) = {
            let mut progress = self.progress.lock();
            let replaced = progress.replaced;
            let outcome = self.take_over(&mut progress, response, now);
            let recovered = progress.last_fetch.as_ref().is_some_and(|last| {
                last.outcome != FetchOutcome::Updated && outcome == FetchOutcome::Updated
            });
            progress.last_fetch = Some(Fetch::new(wall(&self.clock), outcome.clone()));
            (outcome, recovered || progress.replaced > replaced)
        };
        // A logger is a user callback, so no lock is held here.
        if let Some(host) = host {
            self.log_outcome(&host, &outcome, is_new);
        }
        (outcome, retry_after)
    }

    fn take_over(
        &self,
        progress: &mut RemoteStatus,
        response: Result<Vec<u8>, FetchError>,
        now_nanos: u64,
    ) -> FetchOutcome {
        let body = match response {
            Ok(body) => body,
            Err(error) => {
                progress.queries_err += 1;
                return FetchOutcome::Failed { error: error.to_string() };
            }
        };
        let strategy = match strategy::read(&body) {
            Ok(strategy) => strategy,
            Err(StrategyError::Unreadable(error)) => {
                progress.updates_err += 1;
                return FetchOutcome::Unreadable { error };
            }
            Err(StrategyError::Refused(error)) => {
                progress.queries_ok += 1;
                progress.updates_err += 1;
                return FetchOutcome::Refused { error };
            }
        };
        progress.queries_ok += 1;
        match self.current.load().change(&strategy, self.operations, now_nanos) {
            Ok(Change::InPlace) => {}
            Ok(Change::Continued(next)) => self.replace(next),
            Ok(Change::Replaced(next)) => {
                progress.replaced += 1;
                self.replace(next);
            }
            Err(error) => {
                progress.updates_err += 1;
                return FetchOutcome::Refused { error: error.to_string() };
            }
        }
        progress.updates_ok += 1;
        progress.last_update = Some(wall(&self.clock));
        FetchOutcome::Updated
    }

    fn log_outcome(&self, host: &SamplerHost, outcome: &FetchOutcome, is_new: bool) {
        let cause = match outcome {
            FetchOutcome::Updated if is_new => {
                let rule = self.current().status().rule;
                return host.info(&format!("sampling now {rule}, from {}", self.source_name));
            }
            FetchOutcome::Updated => return,
            FetchOutcome::Failed { .. } => Cause::SamplerFetch,
            FetchOutcome::Unreadable { .. } | FetchOutcome::Refused { .. } => Cause::SamplerUpdate,
        };
        host.report_as(cause, || {
            let rule = self.current().status().rule;
            let source = &self.source_name;
            format!("no strategy from {source}, still sampling {rule}: {outcome}")
        });
    }
}

/// Starts polling on its own thread, until the poller is dropped.
pub(super) fn start_polling(
    shared: &Arc<Shared>,
    interval: Duration,
) -> Result<Poller, ConfigError> {
    let shared = Arc::clone(shared);
    Poller::start("jaeger-client-sampler", interval, move |is_stopped| {
        match shared.poll(is_stopped) {
            (FetchOutcome::Failed { .. }, retry_after) => PollResult::Failed { retry_after },
            _ => PollResult::Responded,
        }
    })
}

fn wall(clock: &SystemClock) -> SystemTime {
    let nanos = u64::try_from(clock.wall_nanos()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
