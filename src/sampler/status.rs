//! The status of a sampler: the rule in use and the outcome of the last poll.

use std::fmt;
use std::time::SystemTime;

/// The status of a sampler.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::Rule;
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// assert_eq!(tracer.sampler_status().rule, Rule::Const { sample: true });
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SamplerStatus {
    /// The rule in use.
    pub rule: Rule,
    /// The status of polling, for a remote sampler.
    pub remote: Option<RemoteStatus>,
}

impl SamplerStatus {
    /// Returns the status of a sampler whose rule never changes.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, remote: None }
    }

    /// Returns the status of a remote sampler.
    #[must_use]
    pub fn with_remote(self, remote: RemoteStatus) -> Self {
        Self { remote: Some(remote), ..self }
    }
}

impl fmt::Display for SamplerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule)?;
        match &self.remote {
            Some(remote) => write!(f, "; {remote}"),
            None => Ok(()),
        }
    }
}

/// A sampling rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// All traces, or none.
    Const {
        /// Whether all traces are sampled.
        sample: bool,
    },
    /// A probability.
    Probabilistic {
        /// The probability, from 0 to 1.
        rate: f64,
    },
    /// A maximum number of traces per second.
    RateLimiting {
        /// Traces per second; fractions are allowed.
        max_traces_per_second: f64,
    },
    /// A probability and a lower bound of traces per second.
    GuaranteedThroughput {
        /// The lower bound in traces per second.
        lower_bound: f64,
        /// The probability, from 0 to 1.
        rate: f64,
    },
    /// A probability and a lower bound for each operation.
    PerOperation {
        /// The probability for operations that are not in the list.
        default_rate: f64,
        /// The lower bound for each operation, in traces per second.
        lower_bound: f64,
        /// The maximum number of operations.
        max_operations: usize,
        /// Whether to decide again when the span is renamed.
        late_binding: bool,
        /// The known operations, from strategies and learned, sorted by name.
        operations: Vec<OperationRule>,
    },
    /// Several rules, of which the first that samples decides.
    Priority {
        /// The rules, in the order in which they are applied.
        rules: Vec<Self>,
    },
    /// Traces with a span that has one of these tags.
    TagMatching {
        /// The tag's key.
        key: String,
        /// The values of the tag, as text.
        values: Vec<String>,
    },
    /// The rule of a custom sampler.
    Other {
        /// The sampler's own description.
        description: String,
    },
}

/// The rule for one operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperationRule {
    /// The operation's name.
    pub operation: String,
    /// The probability, from 0 to 1.
    pub rate: f64,
    /// The lower bound in traces per second.
    pub lower_bound: f64,
}

impl OperationRule {
    /// Returns the rule for the operation with that name.
    #[must_use]
    pub fn new(operation: impl Into<String>, rate: f64, lower_bound: f64) -> Self {
        Self { operation: operation.into(), rate, lower_bound }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const { sample: true } => write!(f, "const: every trace"),
            Self::Const { sample: false } => write!(f, "const: no trace"),
            Self::Probabilistic { rate } => write!(f, "probabilistic: {rate} of traces"),
            Self::RateLimiting { max_traces_per_second } => {
                write!(f, "ratelimiting: {max_traces_per_second} traces/s at most")
            }
            Self::GuaranteedThroughput { lower_bound, rate } => {
                write!(f, "lowerbound: {rate} of traces, {lower_bound} traces/s at least")
            }
            Self::PerOperation { default_rate, lower_bound, operations, .. } => write!(
                f,
                "per operation: {} known, {default_rate} of the others, {lower_bound} traces/s of \
                 each at least",
                operations.len()
            ),
            Self::Priority { rules } => {
                write!(f, "priority:")?;
                rules.iter().enumerate().try_for_each(|(at, rule)| {
                    write!(f, "{} [{rule}]", if at == 0 { "" } else { " then" })
                })
            }
            Self::TagMatching { key, values } => {
                write!(f, "tag {key} is {}", values.join(" or "))
            }
            Self::Other { description } => f.write_str(description),
        }
    }
}

/// The status of a remote sampler's polling.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// The name of the source.
    pub source: String,
    /// The last poll; none before the first has ended.
    pub last_fetch: Option<Fetch>,
    /// The time of the last update; none while the initial rule is in use.
    pub last_update: Option<SystemTime>,
    /// Responses that were received.
    pub queries_ok: u64,
    /// Polls without a response.
    pub queries_err: u64,
    /// Responses that were applied.
    pub updates_ok: u64,
    /// Responses that were not applied, because they were malformed or unusable.
    pub updates_err: u64,
    /// How often a rule was replaced by one of another kind, which begins with a full allowance.
    pub replaced: u64,
}

impl RemoteStatus {
    /// Returns the counts alone.
    #[must_use]
    pub const fn counts(&self) -> RemoteCounts {
        let Self { queries_ok, queries_err, updates_ok, updates_err, .. } = *self;
        RemoteCounts { queries_ok, queries_err, updates_ok, updates_err }
    }
}

/// The counts of a remote sampler's polls and updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteCounts {
    /// Responses that were received.
    pub queries_ok: u64,
    /// Polls without a response.
    pub queries_err: u64,
    /// Responses that were applied.
    pub updates_ok: u64,
    /// Responses that were not applied, because they were malformed or unusable.
    pub updates_err: u64,
}

impl std::ops::Add for RemoteCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            queries_ok: self.queries_ok + other.queries_ok,
            queries_err: self.queries_err + other.queries_err,
            updates_ok: self.updates_ok + other.updates_ok,
            updates_err: self.updates_err + other.updates_err,
        }
    }
}

impl fmt::Display for RemoteStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, last_fetch, queries_ok, queries_err, updates_ok, updates_err, .. } =
            self;
        write!(
            f,
            "from {source}: {queries_ok} responses, {queries_err} failures; {updates_ok} applied, \
             {updates_err} refused; last: "
        )?;
        match last_fetch {
            None => write!(f, "none yet"),
            Some(fetch) => write!(f, "{}", fetch.outcome),
        }
    }
}

/// One poll for a strategy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fetch {
    /// The time at which the poll ended.
    pub at: SystemTime,
    /// The outcome of the poll.
    pub outcome: FetchOutcome,
}

impl Fetch {
    /// Returns a poll that ended at that time.
    #[must_use]
    pub const fn new(at: SystemTime, outcome: FetchOutcome) -> Self {
        Self { at, outcome }
    }
}

/// The outcome of a poll. All but the first variant leave the rule in use as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchOutcome {
    /// The response was applied.
    Updated,
    /// There was no response.
    Failed {
        /// The reason.
        error: String,
    },
    /// The response was malformed.
    Unreadable {
        /// The reason.
        error: String,
    },
    /// The response was well-formed, but unusable.
    Refused {
        /// The reason.
        error: String,
    },
}

impl fmt::Display for FetchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated => write!(f, "updated"),
            Self::Failed { error } => write!(f, "no response: {error}"),
            Self::Unreadable { error } => write!(f, "unreadable response: {error}"),
            Self::Refused { error } => write!(f, "response refused: {error}"),
        }
    }
}
