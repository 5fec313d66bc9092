//! What can be read of a sampler: the rule in force, and how the last fetch went.

use std::fmt;
use std::time::SystemTime;

/// What a sampler is doing.
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
    /// The rule in force.
    pub rule: Rule,
    /// How it was come by, for a sampler that is told from elsewhere.
    pub remote: Option<RemoteStatus>,
}

impl SamplerStatus {
    /// The status of a sampler that always follows this rule.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, remote: None }
    }

    /// The same, of a sampler that is told its rule from elsewhere.
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

/// By what rule traces are sampled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// All traces, or none.
    Const {
        /// Whether all.
        sample: bool,
    },
    /// A share of traces.
    Probabilistic {
        /// The share, from 0 to 1.
        rate: f64,
    },
    /// So many traces a second at most.
    RateLimiting {
        /// How many; fractions are fine.
        max_traces_per_second: f64,
    },
    /// A share of traces, and so many a second at least.
    GuaranteedThroughput {
        /// How many traces a second are sampled even if they are not of the share.
        lower_bound: f64,
        /// The share, from 0 to 1.
        rate: f64,
    },
    /// A share for each operation, and so many a second of each at least.
    PerOperation {
        /// The share of traces whose operation is not in the list.
        default_rate: f64,
        /// How many traces a second are sampled of each operation at least.
        lower_bound: f64,
        /// How many operations are kept apart.
        max_operations: usize,
        /// Whether an operation that gets another name is decided about again.
        late_binding: bool,
        /// The operations known, told and learned, in the order of their names.
        operations: Vec<OperationRule>,
    },
    /// Several rules, of which the first that samples decides.
    Priority {
        /// The rules, in the order they are asked.
        rules: Vec<Self>,
    },
    /// Traces with a span that has one of these tags.
    TagMatching {
        /// The tag's key.
        key: String,
        /// The values, as text.
        values: Vec<String>,
    },
    /// A rule of a sampler from outside of this crate.
    Other {
        /// What it says of itself.
        description: String,
    },
}

/// The rule for one operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperationRule {
    /// The operation's name.
    pub operation: String,
    /// The share of its traces, from 0 to 1.
    pub rate: f64,
    /// How many of its traces are sampled each second at least.
    pub lower_bound: f64,
}

impl OperationRule {
    /// The rule for the operation of that name.
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

/// How a sampler that is told from elsewhere fares.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Whom it asks.
    pub source: String,
    /// The last attempt to ask; none before the first has ended.
    pub last_fetch: Option<Fetch>,
    /// When the last answer was taken over; none while the initial rule is in force.
    pub last_update: Option<SystemTime>,
    /// Answers that were understood.
    pub queries_ok: u64,
    /// Attempts that brought no answer.
    pub queries_err: u64,
    /// Answers that were taken over.
    pub updates_ok: u64,
    /// Answers that were not, because they were broken or said nothing of use.
    pub updates_err: u64,
    /// How often a rule was replaced by one of another kind, which begins with a full allowance.
    pub replaced: u64,
}

impl RemoteStatus {
    /// Its numbers alone.
    #[must_use]
    pub const fn counts(&self) -> RemoteCounts {
        let Self { queries_ok, queries_err, updates_ok, updates_err, .. } = *self;
        RemoteCounts { queries_ok, queries_err, updates_ok, updates_err }
    }
}

/// How often a sampler that is told from elsewhere asked, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteCounts {
    /// Answers that were understood.
    pub queries_ok: u64,
    /// Attempts that brought no answer.
    pub queries_err: u64,
    /// Answers that were taken over.
    pub updates_ok: u64,
    /// Answers that were not, because they were broken or said nothing of use.
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
            "from {source}: {queries_ok} answers, {queries_err} failures; {updates_ok} taken over, \
             {updates_err} refused; last: "
        )?;
        match last_fetch {
            None => write!(f, "none yet"),
            Some(fetch) => write!(f, "{}", fetch.outcome),
        }
    }
}

/// One attempt to ask for a rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fetch {
    /// When it ended.
    pub at: SystemTime,
    /// What came of it.
    pub outcome: FetchOutcome,
}

impl Fetch {
    /// An attempt that ended at that time.
    #[must_use]
    pub const fn new(at: SystemTime, outcome: FetchOutcome) -> Self {
        Self { at, outcome }
    }
}

/// What came of asking for a rule. All but the first leave the rule before in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchOutcome {
    /// The answer is in force.
    Updated,
    /// There was no answer.
    Failed {
        /// Why.
        error: String,
    },
    /// The answer was not understood.
    Unreadable {
        /// Why.
        error: String,
    },
    /// The answer was understood, but is of no use.
    Refused {
        /// Why.
        error: String,
    },
}

impl fmt::Display for FetchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated => write!(f, "updated"),
            Self::Failed { error } => write!(f, "no answer: {error}"),
            Self::Unreadable { error } => write!(f, "unreadable answer: {error}"),
            Self::Refused { error } => write!(f, "answer refused: {error}"),
        }
    }
}
