//! The sampler with a probability and a lower bound for each operation.

use std::collections::HashMap;
use std::fmt;

use foldhash::quality::RandomState;
use parking_lot::RwLock;

use super::lower_bound::bounded;
use super::{
    BuiltIn, DEFAULT_MAX_OPERATIONS, Decision, GuaranteedThroughputSampler, OperationRule,
    ProbabilisticSampler, Rule, Sampler, SamplerStatus, SamplingParameters,
};

/// Samples each operation with its own probability, and at least a given number of traces per
/// second of each.
///
/// An operation that is not in the strategies is learned when it first begins a trace, and gets the
/// default probability and its own lower bound. When the maximum number of operations is
/// known, further ones share the default probability and have no lower bound. Only the first span
/// of a trace in this process is sampled.
///
/// # Cost
///
/// A decision reads the clock, looks the name up under a lock that decisions share, and takes the
/// operation's own lock for a few instructions. Nothing is allocated but for an operation that is
/// new. At most `max_operations` names of at most 1,024 bytes each are learned.
///
/// # Source
///
/// `PerOperationSampler` in jaeger-client-go, `sampler.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// use jaeger_client::sampler::{ManualSpan, OperationStrategies, PerOperationSampler};
/// let strategies = OperationStrategies::new(0.001, 0.5).operation("checkout", 1.0);
/// let sampler = PerOperationSampler::new(&strategies);
/// let mut span = ManualSpan::new(TraceId::new(0, u64::MAX >> 1), "checkout");
/// span.start(&sampler);
/// assert!(span.is_sampled());
/// ```
pub struct PerOperationSampler {
    table: RwLock<Table>,
    max_operations: usize,
    late_binding: bool,
}

#[derive(Debug)]
struct Table {
    default: ProbabilisticSampler,
    lower_bound: f64,
    operations: Operations,
}

/// The samplers of operations, by name.
///
/// Names may come from the network, and the hash is not a cryptographic one. Its seed is drawn for each
/// table and never leaves the process, so names that collide cannot be computed elsewhere. Whatever
/// the hashes are, a look-up compares no more names than the table has, whose number is bounded.
type Operations = HashMap<Box<str>, GuaranteedThroughputSampler, RandomState>;

/// The sampling strategies of all operations of a service.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct OperationStrategies {
    /// The probability for operations without one of their own.
    pub default_rate: f64,
    /// The lower bound of each operation, in traces per second.
    pub lower_bound: f64,
    /// Operations and their probabilities; if an operation is listed twice, the last entry counts.
    pub operations: Vec<(String, f64)>,
}

impl fmt::Debug for OperationStrategies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationStrategies")
            .field("default_rate", &self.default_rate)
            .field("lower_bound", &self.lower_bound)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

impl OperationStrategies {
    /// Returns strategies that treat all operations alike.
    #[must_use]
    pub const fn new(default_rate: f64, lower_bound: f64) -> Self {
        Self { default_rate, lower_bound, operations: Vec::new() }
    }

    /// Sets the probability of one operation.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>, rate: f64) -> Self {
        self.operations.push((operation.into(), rate));
        self
    }
}

impl PerOperationSampler {
    /// Samples by these strategies, and learns up to 2,000 operations.
    ///
    /// # Shape and units
    ///
    /// Probabilities are clamped to 0 and 1, lower bounds to 0.
    #[must_use]
    pub fn new(strategies: &OperationStrategies) -> Self {
        let fresh = |rate| GuaranteedThroughputSampler::new(strategies.lower_bound, rate);
        let operations =
            strategies.operations.iter().map(|(name, rate)| (name.as_str().into(), fresh(*rate)));
        let table = Table {
            default: ProbabilisticSampler::clamped(strategies.default_rate),
            lower_bound: bounded(strategies.lower_bound),
            operations: operations.collect(),
        };
        Self {
            table: RwLock::new(table),
            max_operations: DEFAULT_MAX_OPERATIONS,
            late_binding: false,
        }
    }

    /// Sets the maximum number of learned operations, beside those that strategies name; 0 means
    /// 2,000.
    #[must_use]
    pub const fn max_operations(mut self, operations: usize) -> Self {
        self.max_operations = if operations == 0 { DEFAULT_MAX_OPERATIONS } else { operations };
        self
    }

    /// Sets whether to decide again when a trace's first span is renamed, for frameworks that learn
    /// the operation after the span has begun.
    #[must_use]
    pub const fn late_binding(mut self, enabled: bool) -> Self {
        self.late_binding = enabled;
        self
    }

    /// Replaces the strategies. Operations that are in both continue with what is left of their
    /// lower bound; all others are forgotten, learned ones too. `now_nanos` is on the clock of the
    /// spans that are sampled.
    pub fn update(&self, strategies: &OperationStrategies, now_nanos: u64) {
        let lower_bound = strategies.lower_bound;
        let mut table = self.table.write();
        let mut operations = Operations::with_capacity_and_hasher(
            strategies.operations.len(),
            RandomState::default(),
        );
        for (name, rate) in &strategies.operations {
            let sampler = match table.operations.get(name.as_str()) {
                Some(known) => known.updated(lower_bound, *rate, now_nanos),
                None => GuaranteedThroughputSampler::new(lower_bound, *rate),
            };
            operations.insert(name.as_str().into(), sampler);
        }
        table.operations = operations;
        table.lower_bound = bounded(lower_bound);
        table.default = ProbabilisticSampler::clamped(strategies.default_rate);
    }

    fn decide(&self, span: &mut SamplingParameters<'_>) -> bool {
        // Read outside the lock: a clock may be a user callback.
        let now = span.monotonic_nanos();
        let table = self.table.read();
        if let Some(sampler) = table.operations.get(span.operation_name()) {
            return span.is_local_root() && sampler.decide(span, now);
        }
        let full = table.operations.len() >= self.max_operations;
        if full || span.operation_name().len() > MAX_NAME_BYTES {
            return span.is_local_root() && table.default.decide(span);
        }
        drop(table);
        self.learn(span, now)
    }

    #[cold]
    fn learn(&self, span: &mut SamplingParameters<'_>, now_nanos: u64) -> bool {
        let mut table = self.table.write();
        let Table { default, lower_bound, operations } = &mut *table;
        let name = span.operation_name();
        // Another thread may have learned this name, or another one, meanwhile.
        if operations.len() >= self.max_operations && !operations.contains_key(name) {
            return span.is_local_root() && default.decide(span);
        }
        let sampler = operations
            .entry(name.into())
            .or_insert_with(|| GuaranteedThroughputSampler::new(*lower_bound, default.rate()));
        span.is_local_root() && sampler.decide(span, now_nanos)
    }
}

impl Sampler for PerOperationSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::SELF_CONTAINED)
    }

    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let sample = self.decide(span);
        if self.late_binding { Decision::retryable(sample) } else { Decision::new(sample) }
    }

    fn may_defer(&self) -> bool {
        self.late_binding
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(self.decide(span))
    }

    fn status(&self) -> SamplerStatus {
        let table = self.table.read();
        let mut operations: Vec<_> = table
            .operations
            .iter()
            .map(|(name, sampler)| {
                OperationRule::new(&**name, sampler.rate(), sampler.lower_bound())
            })
            .collect();
        let (default_rate, lower_bound) = (table.default.rate(), table.lower_bound);
        drop(table);
        operations.sort_by(|one, other| one.operation.cmp(&other.operation));
        SamplerStatus::new(Rule::PerOperation {
            default_rate,
            lower_bound,
            max_operations: self.max_operations,
            late_binding: self.late_binding,
            operations,
        })
    }
}

/// Longer names are not learned: memory must be bounded, and so long a name is most likely a URL or
/// a statement that comes once.
const MAX_NAME_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::ManualSpan;
    use super::*;
    use crate::clock::ManualClock;
    use crate::id::TraceId;

    const NEVER: TraceId = TraceId::new(0, u64::MAX >> 1);

    fn sampled(sampler: &PerOperationSampler, operation: &str) -> bool {
        let mut span = ManualSpan::new(NEVER, operation);
        span.start(sampler);
        span.is_sampled()
    }

    fn names(sampler: &PerOperationSampler) -> Vec<String> {
        match sampler.status().rule {
            Rule::PerOperation { operations, .. } => {
                operations.into_iter().map(|rule| rule.operation).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_number_of_operations_is_bounded() {
        let sampler =
            PerOperationSampler::new(&OperationStrategies::new(0.0, 1.0)).max_operations(2);
        let decisions = ["a", "b", "c", "a"].map(|operation| sampled(&sampler, operation));
        assert_eq!(decisions, [true, true, false, false]);
        assert_eq!(names(&sampler), ["a", "b"]);
        let long = "x".repeat(2000);
        let sampler = PerOperationSampler::new(&OperationStrategies::new(0.0, 1.0));
        assert!(!sampled(&sampler, &long) && names(&sampler).is_empty());
    }

    #[test]
    fn many_threads_learn_no_more_operations_than_may_be() {
        let strategies = OperationStrategies::new(0.0, 1.0);
        let sampler = PerOperationSampler::new(&strategies).max_operations(7);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let sampler = &sampler;
                scope.spawn(move || {
                    for name in 0..100 {
                        sampled(sampler, &format!("{thread}-{name}"));
                    }
                });
            }
        });
        assert_eq!(names(&sampler).len(), 7);
    }

    #[test]
    fn an_update_preserves_the_allowance_of_operations_in_both_and_drops_the_rest() {
        let clock = Arc::new(ManualClock::new());
        let sampler =
            PerOperationSampler::new(&OperationStrategies::new(0.0, 1.0).operation("known", 0.0));
        let is_sampled = |operation| {
            let mut span = ManualSpan::new(NEVER, operation).with_clock(Arc::clone(&clock));
            span.start(&sampler);
            span.is_sampled()
        };
        assert!(is_sampled("known") && is_sampled("learned"));
        let new = OperationStrategies::new(0.0, 2.0).operation("known", 0.0).operation("new", 0.0);
        sampler.update(&new, 0);
        assert_eq!(names(&sampler), ["known", "new"]);
        assert!(!is_sampled("known"), "its allowance was used up");
        assert!(is_sampled("learned") && is_sampled("new"));
        clock.advance(Duration::from_millis(500));
        assert!(is_sampled("known"));
    }

    #[test]
    fn a_lower_bound_of_zero_samples_none_beyond_the_probability() {
        let sampler = PerOperationSampler::new(&OperationStrategies::new(0.0, 0.0));
        assert!(!sampled(&sampler, "a"));
        let sampler =
            PerOperationSampler::new(&OperationStrategies::new(0.0, 0.0).operation("a", 1.0));
        assert!(sampled(&sampler, "a") && !sampled(&sampler, "b"));
    }

    #[test]
    fn only_the_local_root_is_sampled() {
        let sampler =
            PerOperationSampler::new(&OperationStrategies::new(1.0, 1.0)).late_binding(true);
        let mut span = ManualSpan::new(NEVER, "op").below_root();
        assert_eq!(span.start(&sampler), Decision::retryable(false));
        assert_eq!(span.set_operation_name(&sampler, "other"), Some(Decision::new(false)));
        assert_eq!(names(&sampler), ["op", "other"]);
    }

    #[test]
    fn late_binding_decides_again_by_the_new_name() {
        let strategies = OperationStrategies::new(0.0, 0.0).operation("good", 1.0);
        for (enabled, sampled) in [(true, true), (false, false)] {
            let sampler = PerOperationSampler::new(&strategies).late_binding(enabled);
            assert_eq!(sampler.may_defer(), enabled);
            let mut span = ManualSpan::new(NEVER, "unknown");
            span.start(&sampler);
            assert_eq!((span.is_sampled(), span.is_final()), (false, !enabled));
            span.set_operation_name(&sampler, "good");
            assert_eq!((span.is_sampled(), span.is_final()), (sampled, true));
        }
    }
}
