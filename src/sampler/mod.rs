//! Samplers: the head-sampling decision.
//!
//! Step 2 in the life of a span. The sampler is called once for each new trace, on the
//! application's thread; child spans inherit the decision. A sampler that may defer is called again
//! until its decision is final. A sampler must not block, and should not allocate.
//!
//! To add a kind: write `src/sampler/<kind>.rs` with its type and tests, and add an entry to
//! [`SAMPLERS`], which configuration, the table in the docs and the conformance test read.

mod built_in;
mod constant;
mod decision;
mod guarded;
mod host;
mod lower_bound;
mod parameters;
mod per_operation;
mod pointer;
mod priority;
mod probabilistic;
mod rate_limiting;
#[cfg(feature = "remote-sampler")]
mod remote;
mod span_tags;
mod status;
mod tag_matching;
mod testing;

use std::fmt;
use std::time::Duration;

use crate::diag::Brief;
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::id::TraceId;
use crate::redact;

#[doc(hidden)]
pub use self::built_in::BuiltIn;
pub(crate) use self::built_in::has_user_destructor;
#[doc(hidden)]
pub use self::decision::DecisionById;
use self::decision::SamplerTags;
pub(crate) use self::decision::{ById, ConstantDecision, SAMPLER_TAGS};
pub use self::decision::{Decision, ParentDecision};
#[cfg(feature = "remote-sampler")]
use self::guarded::GuardedSampler;
pub(crate) use self::guarded::guarded;
pub(crate) use self::host::Host;
pub use self::host::SamplerHost;
pub use self::parameters::SamplingParameters;
pub(crate) use self::span_tags::SpanTags;
pub use self::status::{
    Fetch, FetchOutcome, OperationRule, RemoteCounts, RemoteStatus, Rule, SamplerStatus,
};
pub use self::testing::ManualSpan;

/// The tag with the type of the sampler that decided.
pub const SAMPLER_TYPE_TAG: &str = "sampler.type";

/// The tag with the parameter of the sampler that decided.
pub const SAMPLER_PARAM_TAG: &str = "sampler.param";
pub use self::constant::ConstSampler;
pub use self::lower_bound::GuaranteedThroughputSampler;
pub use self::per_operation::{OperationStrategies, PerOperationSampler};
pub use self::priority::{PrioritySampler, PrioritySamplerBuilder};
pub use self::probabilistic::ProbabilisticSampler;
pub use self::rate_limiting::{RateLimitingSampler, TokenBucket};
#[cfg(feature = "remote-sampler")]
pub use self::remote::{
    FetchError, HttpSource, RemoteSampler, RemoteSamplerBuilder, StrategySource,
};
pub use self::tag_matching::{MatchValue, TagMatchingSampler};

/// Decides whether a new trace is recorded.
///
/// # Cost
///
/// Called on the application's thread for each new trace. A sampler must not block, and its memory must be bounded.
///
/// # Source
///
/// `SamplerV2` in jaeger-client-go, `sampler_v2.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::{Decision, SamplingParameters, Sampler};
///
/// #[derive(Debug)]
/// struct Checkout;
///
/// impl Sampler for Checkout {
///     fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
///         let sample = span.operation_name().starts_with("checkout");
///         if sample {
///             span.set_tag("sampler.type", "checkout");
///         }
///         Decision::new(sample)
///     }
/// }
/// ```
pub trait Sampler: fmt::Debug + Send + Sync {
    /// Decides on the first span of a trace, or on a later span while the decision is not final.
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision;

    /// Decides by the trace id alone, which makes spans cheaper where nothing else counts. The
    /// result must be that of [`on_create_span`](Self::on_create_span).
    #[doc(hidden)]
    fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
        let _ = trace_id;
        DecisionById::CALL_SAMPLER
    }

    /// Returns what is known of a built-in sampler; `None` for all others. Called once, when a tracer is built.
    #[doc(hidden)]
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        None
    }

    /// Returns whether the sampler may defer its decision. Only then is a [retryable](Decision::retryable) decision
    /// not final, and only then are the three methods below called. Called once, when a tracer is built; by default
    /// no decision is deferred, and spans cost less.
    fn may_defer(&self) -> bool {
        false
    }

    /// Decides on a span that was renamed: [`operation_name`](SamplingParameters::operation_name)
    /// is the new name. By default as for a new span.
    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.on_create_span(span)
    }

    /// Decides on a span that was given a tag, whose value is not truncated yet. By default, no opinion.
    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        let _ = (span, key, value);
        Decision::retryable(false)
    }

    /// Decides on a span that was finished. By default, no opinion.
    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let _ = span;
        Decision::retryable(false)
    }

    /// Returns whether the sampler decides on traces that continue here, by [`on_join`](Self::on_join). Called once,
    /// when a tracer is built; by default the caller's decision stands, and spans cost less.
    fn decides_on_join(&self) -> bool {
        false
    }

    /// Decides on the first span here of a trace that began elsewhere, in place of the caller's decision: the result
    /// holds for the spans below it too, here and downstream. `None`, the default, lets the caller's decision stand.
    /// Called only if [`decides_on_join`](Self::decides_on_join) says so, and not for requests for debugging.
    ///
    /// A process that records less than its caller leaves gaps in traces; this is for limits that must hold
    /// for a process whatever its callers do.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::sampler::{Decision, ParentDecision, RateLimitingSampler, Sampler, SamplingParameters};
    ///
    /// /// A limit of traces per second, whichever service begins them.
    /// #[derive(Debug)]
    /// struct Limited(RateLimitingSampler);
    ///
    /// impl Sampler for Limited {
    ///     fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
    ///         self.0.on_create_span(span)
    ///     }
    ///
    ///     fn decides_on_join(&self) -> bool {
    ///         true
    ///     }
    ///
    ///     fn on_join(&self, span: &mut SamplingParameters<'_>, parent: ParentDecision) -> Option<Decision> {
    ///         (parent.is_sampled && !parent.is_debug).then(|| self.0.on_create_span(span))
    ///     }
    /// }
    /// ```
    fn on_join(
        &self,
        span: &mut SamplingParameters<'_>,
        parent: ParentDecision,
    ) -> Option<Decision> {
        let _ = (span, parent);
        None
    }

    /// Returns how many bits the sampler [stores](SamplingParameters::remember) for each trace, 64
    /// at most. None by default.
    fn memory_bits(&self) -> u32 {
        0
    }

    /// Returns the sampling rule that is in use. By default, the `Debug` text.
    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Other { description: format!("{self:?}") })
    }

    /// Returns the counts of polls and updates, which metrics read often: the numbers of
    /// [`status`](Self::status) without a copy of the rule. Zero by default.
    fn remote_counts(&self) -> RemoteCounts {
        RemoteCounts::default()
    }

    /// Starts background work, such as polling a server. Called when a tracer is built with the
    /// sampler, before the first span, and once more for each further tracer that shares it.
    ///
    /// # Errors
    ///
    /// Any error that makes the sampler unusable; the tracer is then not built.
    fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
        let _ = host;
        Ok(())
    }

    /// Ends the background work. Called when a tracer is closed, as often as [`start`](Self::start)
    /// was; decisions may still be requested. It must not block for long.
    fn close(&self) {}
}

/// Implements `Debug` as the sampler's rule: the fields are long and may hold secrets.
macro_rules! debug_by_rule {
    ($($sampler:ty),*) => {$(
        impl fmt::Debug for $sampler {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let rule = self.status().rule.to_string();
                f.debug_struct(stringify!($sampler))
                    .field("rule", &Brief(rule))
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_rule!(
    ConstSampler,
    GuaranteedThroughputSampler,
    PerOperationSampler,
    PrioritySampler,
    ProbabilisticSampler,
    RateLimitingSampler,
    TagMatchingSampler
);

#[cfg(feature = "remote-sampler")]
debug_by_rule!(RemoteSampler);

/// A built-in type of sampler.
#[derive(Debug)]
#[non_exhaustive]
pub struct SamplerKind {
    /// The name in configuration, in Jaeger's words.
    pub name: &'static str,
    /// The default parameter.
    pub default_param: f64,
    /// The constructor from configuration; none if the sampler can only be made in code.
    pub build: Option<Build>,
}

/// Makes a sampler from configuration.
pub type Build = fn(&SamplerParams<'_>) -> Result<Box<dyn Sampler>, ConfigError>;

/// The registry of built-in samplers.
pub const SAMPLERS: &[SamplerKind] = &[
    SamplerKind { name: "const", default_param: 1.0, build: Some(constant::build) },
    SamplerKind {
        name: "probabilistic",
        default_param: DEFAULT_RATE,
        build: Some(probabilistic::build),
    },
    SamplerKind { name: "ratelimiting", default_param: 1.0, build: Some(rate_limiting::build) },
    #[cfg(feature = "remote-sampler")]
    SamplerKind { name: "remote", default_param: DEFAULT_RATE, build: Some(remote::build) },
    SamplerKind { name: "lowerbound", default_param: DEFAULT_RATE, build: None },
    SamplerKind { name: "peroperation", default_param: 0.0, build: None },
    SamplerKind { name: "priority", default_param: 0.0, build: None },
    SamplerKind { name: "tag", default_param: 0.0, build: None },
];

/// The configuration of a sampler, without its type.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct SamplerParams<'a> {
    /// The name of the service.
    pub service_name: &'a str,
    /// The parameter, whose meaning depends on the sampler.
    pub param: f64,
    /// The server that a remote sampler polls.
    pub sampling_server_url: &'a str,
    /// The interval of polls.
    pub sampling_refresh_interval: Duration,
    /// The proxy for polls.
    pub proxy: &'a ProxyConfig,
    /// The maximum number of operations with a sampler each.
    pub max_operations: usize,
    /// Whether to decide again when the span is renamed.
    pub operation_name_late_binding: bool,
}

/// Hides what is secret in the URL.
impl fmt::Debug for SamplerParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplerParams")
            .field("service_name", &self.service_name)
            .field("param", &self.param)
            .field("sampling_server_url", &redact::value(self.sampling_server_url))
            .field("sampling_refresh_interval", &self.sampling_refresh_interval)
            .field("max_operations", &self.max_operations)
            .field("operation_name_late_binding", &self.operation_name_late_binding)
            .finish()
    }
}

impl<'a> SamplerParams<'a> {
    /// Returns parameters with this value and defaults for the rest.
    #[must_use]
    pub const fn new(service_name: &'a str, param: f64) -> Self {
        Self {
            service_name,
            param,
            sampling_server_url: DEFAULT_SAMPLING_SERVER_URL,
            sampling_refresh_interval: DEFAULT_REFRESH_INTERVAL,
            proxy: &ProxyConfig::Environment,
            max_operations: DEFAULT_MAX_OPERATIONS,
            operation_name_late_binding: false,
        }
    }
}

/// Makes the sampler with that name.
pub(crate) fn from_name(
    kind: &str,
    params: &SamplerParams<'_>,
) -> Result<Box<dyn Sampler>, ConfigError> {
    if cfg!(not(feature = "remote-sampler")) && kind.eq_ignore_ascii_case("remote") {
        return Err(ConfigError::FeatureOff { field: "sampler.kind", feature: "remote-sampler" });
    }
    let buildable = SAMPLERS.iter().filter_map(|member| Some((member.name, member.build?)));
    match buildable.clone().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
        Some((_, build)) => build(params),
        None => Err(ConfigError::unknown("sampler.kind", kind, buildable.map(|(name, _)| name))),
    }
}

/// Returns the default parameter of that sampler; that of `probabilistic` for an unknown name.
pub(crate) fn default_param(kind: &str) -> f64 {
    let member = SAMPLERS.iter().find(|member| member.name.eq_ignore_ascii_case(kind));
    member.map_or(DEFAULT_RATE, |member| member.default_param)
}

/// The default probability, as in all clients.
const DEFAULT_RATE: f64 = 0.001;

/// The default address that remote samplers poll, the agent's.
pub(crate) const DEFAULT_SAMPLING_SERVER_URL: &str = "http://127.0.0.1:5778/sampling";

/// The default interval of polls.
pub(crate) const DEFAULT_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The default maximum number of operations.
pub(crate) const DEFAULT_MAX_OPERATIONS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::encoding::TagBuffer;
    use crate::id::TraceId;

    #[test]
    fn every_member_builds_and_decides_the_same_twice() {
        for member in SAMPLERS {
            let Some(build) = member.build else { continue };
            let decide = || {
                let sampler = build(&SamplerParams::new("svc", 1.0)).unwrap();
                let mut span = ManualSpan::new(TraceId::new(0, 7), "op");
                let decision = span.start(&sampler);
                let tags: Vec<_> = span.tags().map(|tag| tag.key.to_vec()).collect();
                assert!(decision.sample && !decision.retryable, "{}", member.name);
                assert_eq!(tags, [b"sampler.type".to_vec(), b"sampler.param".to_vec()]);
                decision
            };
            assert_eq!(decide(), decide());
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_known_ones() {
        let params = SamplerParams::new("svc", 1.0);
        let error = from_name("sometimes", &params).unwrap_err().to_string();
        assert!(error.contains("sometimes") && error.contains("const, probabilistic"), "{error}");
    }

    #[test]
    fn a_short_limit_cuts_the_type_but_not_the_parameter() {
        let sampler = ProbabilisticSampler::new(1.0).unwrap();
        let (mut sampler_tags, mut tags) = (SpanTags::default(), TagBuffer::default());
        let clock = ManualClock::new();
        let mut span =
            SamplingParameters::new(TraceId::new(0, 7), "op", &mut sampler_tags, 5, &clock);
        sampler.on_create_span(&mut span);
        let count = sampler_tags.append_to(&mut tags);
        let list = crate::encoding::List::new(count, tags.bytes());
        let values: Vec<_> = crate::encoding::tags_of(Some(list)).map(|tag| tag.value).collect();
        assert_eq!(values, [ValueView::Str(b"proba"), ValueView::Double(1.0)]);
    }
}
