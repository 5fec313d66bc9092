//! Token buckets and the samplers that have them once more: as jaeger-client-go has them, which must
//! give what was recorded, and as they are meant here, which must give what this client does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::deviations::{self, Deviation};
use crate::report::Checks;

/// Whose rules are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Go,
    Ours,
}

/// Why the two sides may differ from here on.
pub(crate) type Reasons = BTreeSet<Deviation>;

/// Says what is expected: what was recorded, or what is meant where Go's own rules give what was
/// recorded and there is a reason to differ.
pub(crate) fn expected<T: PartialEq + fmt::Debug>(
    checks: &mut Checks,
    what: &str,
    recorded: T,
    (go, ours): (T, T),
    reasons: &Reasons,
) -> T {
    if recorded == ours {
        return ours;
    }
    if recorded != go {
        checks.fail(format!("{what}: recorded {recorded:?}, but Go's rules give {go:?}"));
        return recorded;
    }
    if reasons.is_empty() {
        checks.fail(format!("{what}: no reason to differ from {recorded:?} by {ours:?}"));
        return recorded;
    }
    for reason in reasons {
        checks.deviates(*reason);
    }
    ours
}

/// A bucket that fills with time.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    side: Side,
    rate: f64,
    max: f64,
    balance: f64,
    /// Nanoseconds; none before this client has looked at it.
    tick: Option<i128>,
}

impl Bucket {
    pub(crate) fn new(side: Side, rate: f64, max: f64) -> Self {
        let tick = (side == Side::Go).then_some(0);
        Self { side, rate, max, balance: max, tick }
    }

    /// One for so many traces a second.
    pub(crate) fn of_traces(side: Side, rate: f64) -> Self {
        Self::new(side, rate, burst(side, rate))
    }

    pub(crate) fn check(&mut self, cost: f64, now: i128, reasons: &mut Reasons) -> bool {
        if self.side == Side::Ours {
            let filled = self.balance + self.elapsed(now, reasons) * self.rate;
            // Before the first look it was full, so that time is not credited either.
            if filled > self.max || (self.tick.is_none() && now > 0) {
                reasons.insert(deviations::ONE_BURST);
            }
            if filled >= self.max {
                self.tick_to(now);
                self.balance = self.max;
            }
        }
        if self.balance < cost {
            self.fill(now, reasons);
        }
        let enough = self.balance >= cost;
        if enough {
            self.balance -= cost;
        }
        enough
    }

    pub(crate) fn update(&mut self, rate: f64, max: f64, now: i128, reasons: &mut Reasons) {
        self.fill(now, reasons);
        let empty = self.max <= 0.0;
        self.balance = self.balance * max / self.max;
        if empty && self.side == Side::Ours {
            reasons.insert(deviations::BUCKET_REFILLS);
            self.balance = 0.0;
        }
        (self.rate, self.max) = (rate, max);
    }

    /// The balance in bits, the same for all that is not a number.
    pub(crate) fn balance(&self) -> u64 {
        bits(self.balance)
    }

    fn fill(&mut self, now: i128, reasons: &mut Reasons) {
        let filled = self.balance + self.elapsed(now, reasons) * self.rate;
        self.tick_to(now);
        self.balance = if filled > self.max { self.max } else { filled };
    }

    fn elapsed(&self, now: i128, reasons: &mut Reasons) -> f64 {
        let nanos = now - self.tick.unwrap_or(now);
        if nanos < 0 && self.side == Side::Ours {
            reasons.insert(deviations::TIME_STANDS_STILL);
            return 0.0;
        }
        const SECOND: i128 = 1_000_000_000;
        #[expect(clippy::cast_precision_loss, reason = "as Go's Duration.Seconds")]
        let seconds = (nanos / SECOND) as f64 + (nanos % SECOND) as f64 / 1e9;
        seconds
    }

    fn tick_to(&mut self, now: i128) {
        let tick = if self.side == Side::Go { Some(now) } else { self.tick.max(Some(now)) };
        self.tick = tick;
    }
}

pub(crate) fn bits(number: f64) -> u64 {
    if number.is_nan() { u64::MAX } else { number.to_bits() }
}

/// What a bucket for so many traces a second holds.
pub(crate) fn burst(side: Side, rate: f64) -> f64 {
    if side == Side::Ours && rate <= 0.0 { 0.0 } else { rate.max(1.0) }
}

/// A sampler's two tags: its kind, and the bits of its parameter.
pub(crate) type Tags = Vec<(String, u64)>;

/// A share of traces and a lower bound.
#[derive(Clone, Debug)]
pub(crate) struct Guaranteed {
    side: Side,
    pub(crate) lower_bound: f64,
    pub(crate) rate: f64,
    bucket: Bucket,
}

impl Guaranteed {
    pub(crate) fn new(side: Side, lower_bound: f64, rate: f64) -> Self {
        let bucket = Bucket::of_traces(side, lower_bound);
        Self { side, lower_bound, rate: share(rate), bucket }
    }

    /// Whether the trace of this id is sampled, and by whom.
    pub(crate) fn decide(&mut self, id: u64, now: i128, reasons: &mut Reasons) -> Option<Tags> {
        if self.side == Side::Ours && self.lower_bound <= 0.0 {
            reasons.insert(deviations::ZERO_IS_NONE);
        }
        let within = self.bucket.check(1.0, now, reasons);
        let kind = if sampled(self.rate, id) {
            "probabilistic"
        } else if within {
            "lowerbound"
        } else {
            return None;
        };
        Some(vec![(kind.to_owned(), bits(self.rate))])
    }

    fn update(&mut self, lower_bound: f64, rate: f64, now: i128, reasons: &mut Reasons) {
        if self.lower_bound != lower_bound {
            let max = burst(self.side, lower_bound);
            self.bucket.update(lower_bound, max, now, reasons);
            self.lower_bound = lower_bound;
        }
        self.rate = share(rate);
    }
}

/// The nearest share there is.
pub(crate) fn share(rate: f64) -> f64 {
    rate.clamp(0.0, 1.0)
}

/// Whether the trace of this id is within a share.
pub(crate) fn sampled(rate: f64, id: u64) -> bool {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 2^63, truncated as in Go"
    )]
    let boundary = (9_223_372_036_854_775_808.0 * rate) as u64;
    boundary >= id & (u64::MAX >> 1)
}

/// What is to be sampled of each operation, in the words of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Strategies {
    pub(crate) default_rate: f64,
    pub(crate) lower_bound: f64,
    pub(crate) operations: Vec<(String, f64)>,
}

/// A share for each operation.
#[derive(Clone, Debug)]
pub(crate) struct PerOperation {
    side: Side,
    default_rate: f64,
    lower_bound: f64,
    max_operations: usize,
    operations: BTreeMap<String, Guaranteed>,
}

/// The rule as cases show it: default share, lower bound, and both for each operation.
pub(crate) type Shown = (f64, f64, Vec<(String, f64, f64)>);

impl PerOperation {
    pub(crate) fn new(side: Side, strategies: &Strategies, max_operations: usize) -> Self {
        let mut new = Self {
            side,
            default_rate: 0.0,
            lower_bound: 0.0,
            max_operations,
            operations: BTreeMap::new(),
        };
        new.update(strategies, 0, &mut Reasons::new());
        new
    }

    pub(crate) fn update(&mut self, strategies: &Strategies, now: i128, reasons: &mut Reasons) {
        let mut lower_bound = strategies.lower_bound;
        if self.side == Side::Ours && lower_bound < 0.0 {
            reasons.insert(deviations::ZERO_IS_NONE);
            lower_bound = 0.0;
        }
        let mut operations = BTreeMap::new();
        for (name, rate) in &strategies.operations {
            let mut sampler = match self.operations.get(name) {
                Some(known) => known.clone(),
                None => Guaranteed::new(self.side, lower_bound, *rate),
            };
            sampler.update(lower_bound, *rate, now, reasons);
            operations.insert(name.clone(), sampler);
        }
        self.operations = operations;
        self.lower_bound = lower_bound;
        self.default_rate = share(strategies.default_rate);
    }

    pub(crate) fn decide(
        &mut self,
        operation: &str,
        id: u64,
        now: i128,
        reasons: &mut Reasons,
    ) -> Option<Tags> {
        let known = self.operations.contains_key(operation);
        if !known && self.operations.len() >= self.max_operations {
            let tags = vec![("probabilistic".to_owned(), bits(self.default_rate))];
            return sampled(self.default_rate, id).then_some(tags);
        }
        let fresh = || Guaranteed::new(self.side, self.lower_bound, self.default_rate);
        let sampler = self.operations.entry(operation.to_owned()).or_insert_with(fresh);
        sampler.decide(id, now, reasons)
    }

    /// Takes note of an operation that nothing is decided about.
    pub(crate) fn learn(&mut self, operation: &str) {
        if self.operations.len() < self.max_operations && !self.operations.contains_key(operation) {
            let fresh = Guaranteed::new(self.side, self.lower_bound, self.default_rate);
            self.operations.insert(operation.to_owned(), fresh);
        }
    }

    pub(crate) fn shown(&self) -> Shown {
        let each = |(name, sampler): (&String, &Guaranteed)| {
            (name.clone(), sampler.rate, sampler.lower_bound)
        };
        (self.default_rate, self.lower_bound, self.operations.iter().map(each).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_of_a_bucket_differ_only_for_a_reason() {
        let mut reasons = Reasons::new();
        let pair = |max| [Side::Go, Side::Ours].map(|side| Bucket::new(side, 2.0, max));
        let [mut go, mut ours] = pair(2.0);
        for now in [0, 0, 0, 250, 500, 700, 1000, 1100].map(|millis| millis * 1_000_000) {
            let asked = [&mut go, &mut ours].map(|bucket| bucket.check(1.0, now, &mut reasons));
            assert_eq!((asked[0], go.balance()), (asked[1], ours.balance()));
        }
        assert!(reasons.is_empty());
        let [mut go, mut ours] = pair(2.0);
        let mut passed = [0, 0];
        for now in [0, 10_000_000_000].into_iter().chain([10_000_000_001; 9]) {
            passed[0] += u32::from(go.check(1.0, now, &mut reasons));
            passed[1] += u32::from(ours.check(1.0, now, &mut reasons));
        }
        assert_eq!((passed, reasons.contains(&deviations::ONE_BURST)), ([4, 3], true));
    }
}
