//! The remote sampler: it polls a server for its sampling strategy.
//!
//! `source` sends requests, `strategy` parses responses, `current` applies them on the polling thread, and
//! decides. A failure of any of them leaves the sampler in use as it is.

mod builder;
mod current;
mod source;
mod strategy;

use std::sync::Arc;
use std::time::Duration;

pub use self::builder::RemoteSamplerBuilder;
pub(super) use self::builder::build;
use self::current::{Current, Shared};
pub use self::source::{HttpSource, StrategySource};
use super::{
    BuiltIn, Decision, DecisionById, FetchOutcome, RemoteCounts, Sampler, SamplerHost,
    SamplerStatus, SamplingParameters,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::id::TraceId;
pub use crate::polling::FetchError;
use crate::polling::SharedPoller;

/// Samples by a strategy that it polls from a server: usually the agent, at port 5778.
///
/// The sampler polls at once when the tracer is built, then at each interval, or sooner while there
/// was no response. A strategy of the same kind is applied in place, so that the allowance of a
/// second is not given out anew. A response that is missing, malformed or out of range leaves the
/// strategy in use as it is; it is counted, and logged at most once a minute. The strategy in use
/// and the outcome of the last poll are in
/// [`Tracer::sampler_status`](crate::Tracer::sampler_status).
///
/// # Shape and units
///
/// The response is JSON. The first present member of `operationSampling`, `probabilisticSampling`
/// and `rateLimitingSampling` counts; `strategyType`, which servers write as a number, a word or
/// not at all, is ignored. Responses of up to 1 MiB and 16,384 operations are accepted.
///
/// # Cost
///
/// A trace that a probability refuses takes one atomic read. Any other decision is that of the sampler in use, and
/// two locked instructions for the reference to it. The thread sleeps between polls.
///
/// # Source
///
/// `RemotelyControlledSampler` in jaeger-client-go, `sampler_remote.go`. There, the first poll
/// comes after a whole interval, a number as `strategyType` is an error, as are fractions of a
/// trace per second, and a strategy without a rate ends the process.
///
/// # Examples
///
/// ```no_run
/// use jaeger_client::{Tracer, sampler::RemoteSampler};
/// let sampler = RemoteSampler::builder("checkout")
///     .sampling_server_url("http://127.0.0.1:5778/sampling")
///     .initial_rate(0.001)
///     .build()?;
/// let (tracer, _closer) = Tracer::builder("checkout").sampler(sampler).build()?;
/// println!("{}", tracer.sampler_status());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct RemoteSampler {
    shared: Arc<Shared>,
    refresh_interval: Duration,
    polling: SharedPoller,
    holds_other_values: bool,
}

impl RemoteSampler {
    /// Begins a sampler for the service with that name.
    pub fn builder(service_name: impl Into<String>) -> RemoteSamplerBuilder {
        RemoteSamplerBuilder::new(service_name.into())
    }

    /// Polls now, on the calling thread, and applies the response. For tests, and for programs that
    /// need the strategy before they begin; otherwise the sampler polls by itself.
    pub fn refresh(&self) -> FetchOutcome {
        self.shared.refresh()
    }
}

impl Sampler for RemoteSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::SELF_CONTAINED.holding_other_values(self.holds_other_values))
    }

    /// Decides only that a trace is not sampled, the most frequent case: tags could not be borrowed
    /// from a sampler that may be replaced in the next moment.
    #[inline]
    fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
        let refused = self.shared.refuses(trace_id);
        if refused { DecisionById::NO } else { DecisionById::CALL_SAMPLER }
    }

    #[inline]
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.shared.current().on_create_span(span)
    }

    fn may_defer(&self) -> bool {
        self.shared.may_defer()
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.shared.current().on_set_operation_name(span)
    }

    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        self.shared.current().on_set_tag(span, key, value)
    }

    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.shared.current().on_finish(span)
    }

    fn memory_bits(&self) -> u32 {
        self.shared.memory_bits()
    }

    fn status(&self) -> SamplerStatus {
        self.shared.status()
    }

    fn remote_counts(&self) -> RemoteCounts {
        self.shared.remote_counts()
    }

    fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
        self.shared.set_host(host);
        if let Current::Other(initial) = &**self.shared.current() {
            initial.report_to(host);
        }
        self.polling.begin(|| current::start_polling(&self.shared, self.refresh_interval))
    }

    /// Does not wait: a request in flight ends by its own timeout, and its response is dropped.
    fn close(&self) {
        self.polling.end();
    }
}
