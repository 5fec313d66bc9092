//! A rule that a server tells, asked for again and again.
//!
//! `source` asks, `answer` reads, `in_force` takes over, `poll` does that on a thread of its own. A
//! failure of any of them leaves the rule in force as it is.

mod answer;
mod builder;
mod in_force;
mod poll;
mod source;

use std::sync::Arc;
use std::time::Duration;

pub use self::builder::RemoteSamplerBuilder;
pub(super) use self::builder::build;
use self::in_force::InForce;
use self::poll::Shared;
pub use self::source::{HttpSource, StrategySource};
use super::{
    Decision, DecisionById, FetchOutcome, NewSpan, RemoteCounts, Sampler, SamplerHost,
    SamplerStatus,
};
use crate::encoding::ValueView;
use crate::error::ConfigError;
pub use crate::fetch::FetchError;
use crate::fetch::SharedPoller;
use crate::id::TraceId;

/// Records what a server tells it to, which it asks again and again: usually the agent, at port
/// 5778.
///
/// It asks at once when the tracer is built, then at each interval, or sooner while there was no
/// answer. A rule of the same kind is taken over in place, so that the allowance of a second is not
/// given out anew. An answer that is missing, broken or out of range leaves the rule before in
/// force; it is counted, and told to the tracer's logger at most once a minute. What is in force,
/// and how the last question went, is in [`Tracer::sampler_status`](crate::Tracer::sampler_status).
///
/// # Shape and units
///
/// The answer is JSON. Of its members `operationSampling`, `probabilisticSampling` and
/// `rateLimitingSampling` the first that is there counts; `strategyType`, which servers write as a
/// number, a word or not at all, does not. 1 MiB and 16,384 operations are taken at most.
///
/// # Cost
///
/// A decision is that of the rule in force, and one atomic read. The thread sleeps between
/// questions.
///
/// # Source
///
/// `RemotelyControlledSampler` in jaeger-client-go, `sampler_remote.go`. There, the first question
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
}

impl RemoteSampler {
    /// Begins a sampler for the service of that name.
    pub fn builder(service_name: impl Into<String>) -> RemoteSamplerBuilder {
        RemoteSamplerBuilder::new(service_name.into())
    }

    /// Asks now, on the calling thread, and takes the answer over. For those who want to know the
    /// rule before they begin, and for tests; otherwise the sampler asks by itself.
    pub fn refresh(&self) -> FetchOutcome {
        self.shared.refresh()
    }
}

impl Sampler for RemoteSampler {
    fn is_built_in(&self) -> bool {
        true
    }

    /// Only what is not sampled, which is most: tags could not be lent from a rule that may be gone
    /// in the next moment.
    #[inline]
    fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
        let refused = self.shared.in_force().refuses(trace_id);
        if refused { DecisionById::NO } else { DecisionById::ASK }
    }

    #[inline]
    fn on_create_span(&self, span: &mut NewSpan<'_>) -> Decision {
        self.shared.in_force().on_create_span(span)
    }

    fn may_defer(&self) -> bool {
        self.shared.may_defer()
    }

    fn on_set_operation_name(&self, span: &mut NewSpan<'_>) -> Decision {
        self.shared.in_force().on_set_operation_name(span)
    }

    fn on_set_tag(&self, span: &mut NewSpan<'_>, key: &str, value: ValueView<'_>) -> Decision {
        self.shared.in_force().on_set_tag(span, key, value)
    }

    fn on_finish(&self, span: &mut NewSpan<'_>) -> Decision {
        self.shared.in_force().on_finish(span)
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
        self.shared.work_for(host);
        if let InForce::Other(initial) = &**self.shared.in_force() {
            initial.report_to(host);
        }
        self.polling.begin(|| poll::start(&self.shared, self.refresh_interval))
    }

    /// Does not wait: a question under way ends by its own limit, and its answer is dropped.
    fn close(&self) {
        self.polling.end();
    }
}
