//! Whether a new trace is recorded.
//!
//! Walk step 2. Asked once for each new trace, by the application's thread; a child inherits. One
//! that may defer is asked again until its decision stands. A sampler must not block, and allocates
//! nothing where it can be helped.
//!
//! To add a kind: write `src/sampler/<kind>.rs` with its type and tests, and add one row to
//! [`SAMPLERS`]. Configuration, the table in the docs and the conformance test read that row.

mod constant;
mod decision;
mod given;
mod guarded;
mod host;
mod lower_bound;
mod parameters;
mod per_operation;
mod priority;
mod probabilistic;
mod rate_limiting;
#[cfg(feature = "remote-sampler")]
mod remote;
mod status;
mod tag_matching;
mod testing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::diag::Brief;
use crate::encoding::ValueView;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::id::TraceId;
use crate::redact;

#[doc(hidden)]
pub use self::decision::DecisionById;
use self::decision::SamplerTags;
pub(crate) use self::decision::{ById, SAMPLER_TAGS};
pub use self::decision::{Decision, ParentDecision};
pub(crate) use self::given::SpanTags;
#[cfg(feature = "remote-sampler")]
use self::guarded::GuardedSampler;
pub(crate) use self::guarded::guarded;
pub(crate) use self::host::Host;
pub use self::host::SamplerHost;
pub use self::parameters::SamplingParameters;
pub use self::status::{
    Fetch, FetchOutcome, OperationRule, RemoteCounts, RemoteStatus, Rule, SamplerStatus,
};
pub use self::testing::ManualSpan;

/// The tag that names the sampler which decided for a trace.
pub const SAMPLER_TYPE_TAG: &str = "sampler.type";

/// The tag with that sampler's parameter.
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
/// Called on the application's thread for each new trace. It must not block; what it holds must be
/// bounded.
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
    /// Decides on the first span of a trace, or on a further one while no decision stands.
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision;

    /// Decides by the trace's id alone, where nothing else counts: spans then cost less. What is
    /// answered is what [`on_create_span`](Self::on_create_span) would answer.
    #[doc(hidden)]
    fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
        let _ = trace_id;
        DecisionById::ASK
    }

    /// Whether it is one of this crate's, which do not panic and need no guard.
    #[doc(hidden)]
    fn is_built_in(&self) -> bool {
        false
    }

    /// Whether it may put a decision off. Only then is a [retryable](Decision::retryable) decision
    /// one, and only then are the three questions below ever asked. Asked once, when a tracer is
    /// built; by default no decision is put off, and spans cost less.
    fn may_defer(&self) -> bool {
        false
    }

    /// Decides on a span that was given another name, which is now
    /// [`operation_name`](SamplingParameters::operation_name). By default as if it were new.
    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        self.on_create_span(span)
    }

    /// Decides on a span that was given a tag, whose value is not cut yet. No opinion by default.
    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        let _ = (span, key, value);
        Decision::retryable(false)
    }

    /// Decides on a span that was finished. No opinion by default.
    fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let _ = span;
        Decision::retryable(false)
    }

    /// Whether it is asked about traces that go on here, by [`on_join`](Self::on_join). Asked once, when
    /// a tracer is built; by default what the caller decided stands, and spans cost less.
    fn decides_on_join(&self) -> bool {
        false
    }

    /// Decides on the first span here of a trace that began elsewhere, in place of whoever decided
    /// before: what it says holds for the spans below it too, here and further on. None, the default,
    /// lets the decision stand. It is asked only if it says so by
    /// [`decides_on_join`](Self::decides_on_join), and not about requests for debugging.
    ///
    /// Whoever records less than the caller leaves gaps in its traces; this is for limits that must hold
    /// for a process whatever its callers do.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::sampler::{Decision, ParentDecision, RateLimitingSampler, Sampler, SamplingParameters};
    ///
    /// /// At most so many traces a second, whoever began them.
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

    /// How many bits it [remembers](SamplingParameters::remember) of a trace, 64 at most. None by default.
    fn memory_bits(&self) -> u32 {
        0
    }

    /// The rule in force. By default what `Debug` writes.
    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Other { description: format!("{self:?}") })
    }

    /// How often it asked for its rule, for metrics, which read it again and again; the numbers of
    /// [`status`](Self::status) without a copy of the rule. Zero by default.
    fn remote_counts(&self) -> RemoteCounts {
        RemoteCounts::default()
    }

    /// Starts its background work, such as asking a server. Called when a tracer is built with it,
    /// before the first span, and once more for each further tracer that shares it.
    ///
    /// # Errors
    ///
    /// Whatever it needs and cannot have; the tracer is then not built.
    fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
        let _ = host;
        Ok(())
    }

    /// Ends that again. Called when a tracer is closed, as often as [`start`](Self::start) was;
    /// questions may still come. It must not wait for long.
    fn close(&self) {}
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        impl<S: Sampler + ?Sized> Sampler for $pointer<S> {
            fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_create_span(span)
            }

            fn decide_by_id(&self, trace_id: TraceId) -> DecisionById<'_> {
                (**self).decide_by_id(trace_id)
            }

            fn is_built_in(&self) -> bool {
                (**self).is_built_in()
            }

            fn may_defer(&self) -> bool {
                (**self).may_defer()
            }

            fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_set_operation_name(span)
            }

            fn on_set_tag(&self, span: &mut SamplingParameters<'_>, key: &str, value: ValueView<'_>) -> Decision {
                (**self).on_set_tag(span, key, value)
            }

            fn on_finish(&self, span: &mut SamplingParameters<'_>) -> Decision {
                (**self).on_finish(span)
            }

            fn decides_on_join(&self) -> bool {
                (**self).decides_on_join()
            }

            fn on_join(
                &self,
                span: &mut SamplingParameters<'_>,
                parent: ParentDecision,
            ) -> Option<Decision> {
                (**self).on_join(span, parent)
            }

            fn memory_bits(&self) -> u32 {
                (**self).memory_bits()
            }

            fn status(&self) -> SamplerStatus {
                (**self).status()
            }

            fn remote_counts(&self) -> RemoteCounts {
                (**self).remote_counts()
            }

            fn start(&self, host: &SamplerHost) -> Result<(), ConfigError> {
                (**self).start(host)
            }

            fn close(&self) {
                (**self).close();
            }
        }
    )*};
}

forward!(Arc, Box);

/// Shows a sampler by its rule: what it is made of is long, and may hold what nobody should read.
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

/// One kind of sampler.
#[derive(Debug)]
#[non_exhaustive]
pub struct SamplerKind {
    /// The name that configuration has for it, in Jaeger's words.
    pub name: &'static str,
    /// The parameter where none is given.
    pub default_param: f64,
    /// Makes one from configuration. None if it can only be made in code.
    pub build: Option<Build>,
}

/// Makes a sampler from configuration.
pub type Build = fn(&SamplerParams<'_>) -> Result<Box<dyn Sampler>, ConfigError>;

/// The kinds, one row each.
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

/// What configuration says of a sampler, beside its kind.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct SamplerParams<'a> {
    /// The service that samples.
    pub service_name: &'a str,
    /// The parameter, which means what the kind makes of it.
    pub param: f64,
    /// Where a remote sampler asks.
    pub sampling_server_url: &'a str,
    /// How often it asks.
    pub sampling_refresh_interval: Duration,
    /// Which proxy it asks through.
    pub proxy: &'a ProxyConfig,
    /// How many operations are kept apart.
    pub max_operations: usize,
    /// Whether an operation that gets another name is decided about again.
    pub operation_name_late_binding: bool,
}

/// Without what is secret in the URL.
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
    /// The parameter, and defaults for the rest.
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

/// Makes the sampler of that name.
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

/// The parameter of that kind where none is given; that of `probabilistic` for an unknown one.
pub(crate) fn default_param(kind: &str) -> f64 {
    let member = SAMPLERS.iter().find(|member| member.name.eq_ignore_ascii_case(kind));
    member.map_or(DEFAULT_RATE, |member| member.default_param)
}

/// The share of traces where none is given, as in all clients.
const DEFAULT_RATE: f64 = 0.001;

/// Where the agent answers questions about sampling.
pub(crate) const DEFAULT_SAMPLING_SERVER_URL: &str = "http://127.0.0.1:5778/sampling";

/// How often it is asked.
pub(crate) const DEFAULT_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// How many operations are kept apart.
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
        let (mut given, mut tags) = (SpanTags::default(), TagBuffer::default());
        let clock = ManualClock::new();
        let mut span = SamplingParameters::new(TraceId::new(0, 7), "op", &mut given, 5, &clock);
        sampler.on_create_span(&mut span);
        let count = given.append_to(&mut tags);
        let list = crate::encoding::List::new(count, tags.bytes());
        let values: Vec<_> = crate::encoding::tags_of(Some(list)).map(|tag| tag.value).collect();
        assert_eq!(values, [ValueView::Str(b"proba"), ValueView::Double(1.0)]);
    }
}
