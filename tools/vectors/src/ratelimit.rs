//! Samplers that count traces: the bucket itself, the rate limiting sampler, the lower bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaeger_client::sampler::{
    GuaranteedThroughputSampler, ManualSpan, RateLimitingSampler, TokenBucket,
};
use jaeger_client::{Clock, TraceId};
use serde_json::{Value, json};

use crate::deviations::{self, Rule};
use crate::json::{bits, boolean, float, int, items, member, present, text};
use crate::report::{Checks, Difference};
use crate::value::{double_bits, recorded_tag, shown_tag};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let (input, steps) = (member(case, "input")?, items(case, "steps")?);
    match text(case, "category")? {
        "bucket" => bucket(input, steps, checks),
        "sampler" => sampler(input, steps, checks),
        "guaranteed" => guaranteed(input, steps, checks),
        other => Err(format!("unknown category {other:?}")),
    }
}

/// Compares a step. A difference stands only where Go's bucket gives what was recorded.
fn compare(checks: &mut Checks, number: usize, recorded: &Value, got: &Value, go: &Value) {
    if recorded != got && recorded != go {
        checks.fail(format!("steps/{number}: recorded {recorded}, but Go's bucket gives {go}"));
    }
    checks.compare(&format!("steps/{number}"), recorded, got);
}

fn bucket(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let (rate, max) = (float(input, "credits_per_second")?, float(input, "max_balance")?);
    let (mut go, mut own) = (GoBucket::new(rate, max), TokenBucket::new(rate, max));
    let mut time = Time::default();
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        let seen = |allowed, balance| json!({"allowed": allowed, "balance": double_bits(balance)});
        let recorded = f64::from_bits(bits(step, "balance_after_bits")?);
        let (recorded, got, by_go) = match text(step, "op")? {
            "check" => {
                let cost = float(step, "cost")?;
                let (allowed, by_go) = (own.check(cost, time.nanos()), go.check(cost, now));
                let recorded = seen(Some(boolean(step, "allowed")?), recorded);
                (recorded, seen(Some(allowed), own.balance()), seen(Some(by_go), go.balance))
            }
            "update" => {
                let (rate, max) = (float(step, "credits_per_second")?, float(step, "max_balance")?);
                own.update(rate, max, time.nanos());
                go.update(rate, max, now);
                (seen(None, recorded), seen(None, own.balance()), seen(None, go.balance))
            }
            other => return Err(format!("unknown op {other:?}")),
        };
        compare(checks, number, &recorded, &got, &by_go);
    }
    Ok(())
}

fn sampler(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let mut rate = float(input, "max_traces_per_second")?;
    let Ok(mut own) = RateLimitingSampler::new(rate) else {
        // There is no rate to go on with, so the steps have nothing to be compared with.
        checks.same("rate refused", &false, &true);
        return Ok(());
    };
    let (mut go, mut time) = (GoBucket::of_traces(rate), Time::default());
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        match text(step, "op")? {
            "sample" => {
                let by_go = go.check(1.0, now).then_some(("ratelimiting", rate));
                let mut span = ManualSpan::new(TraceId::new(0, 1), "op").with_clock(time.clone());
                span.start(&own);
                compare(checks, number, &recorded(step)?, &seen(&span), &tags(by_go));
            }
            "update" => {
                let next = float(step, "max_traces_per_second")?;
                if next != rate {
                    go.update(next, next.max(1.0), now);
                    rate = next;
                }
                match own.updated(next, time.nanos()) {
                    Ok(updated) => own = updated,
                    Err(_) => checks.same(&format!("steps/{number}/rate refused"), &false, &true),
                }
            }
            other => return Err(format!("unknown op {other:?}")),
        }
    }
    Ok(())
}

fn guaranteed(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let (bound, rate) = (float(input, "lower_bound")?, float(input, "sampling_rate")?);
    let own = GuaranteedThroughputSampler::new(bound, rate);
    let (mut go, mut time) = (GoBucket::of_traces(bound), Time::default());
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        let id = TraceId::new(0, bits(step, "id_low")?);
        let mut span = ManualSpan::new(id, "op").with_clock(time.clone());
        span.start(&own);
        let got = seen(&span);
        // Whether the share samples it is what the sampler of shares is tested for.
        let by_share = jaeger_client::sampler::ProbabilisticSampler::new(rate.clamp(0.0, 1.0));
        let by_share = by_share.is_ok_and(|sampler| sampler.is_sampled(id));
        let kind = if go.check(1.0, now) { Some("lowerbound") } else { None };
        let kind = if by_share { Some("probabilistic") } else { kind };
        // The sum of both zeros is the positive one, which Go's clamp gives.
        let by_go = tags(kind.map(|kind| (kind, rate.clamp(0.0, 1.0) + 0.0)));
        compare(checks, number, &recorded(step)?, &got, &by_go);
    }
    Ok(())
}

fn tags(decision: Option<(&str, f64)>) -> Value {
    let Some((kind, param)) = decision else { return json!({"sampled": false}) };
    let kind = json!({"key": "sampler.type", "value": {"vStr": kind}});
    let param = json!({"vDouble": param, "bits": double_bits(param)});
    json!({"sampled": true, "tags": [kind, {"key": "sampler.param", "value": param}]})
}

/// Returns what a step shows; Go gives tags to what is not sampled, too.
fn recorded(step: &Value) -> Result<Value, String> {
    recorded_decision(step, "sampled", "tags")
}

pub(crate) fn recorded_decision(step: &Value, sampled: &str, tags: &str) -> Result<Value, String> {
    if !boolean(step, sampled)? {
        return Ok(json!({"sampled": false}));
    }
    let tags: Vec<_> = items(step, tags)?.iter().map(recorded_tag).collect::<Result<_, _>>()?;
    Ok(json!({"sampled": true, "tags": tags}))
}

/// Returns what a span shows.
pub(crate) fn seen(span: &ManualSpan) -> Value {
    let tags: Vec<_> = span.tags().map(shown_tag).collect();
    let tags = if tags.is_empty() && !span.is_sampled() { Value::Null } else { tags.into() };
    let mut seen = json!({"sampled": span.is_sampled()});
    if !tags.is_null() {
        seen["tags"] = tags;
    }
    seen
}

/// A bucket as Go has it, which credits time only where the balance does not suffice.
struct GoBucket {
    rate: f64,
    max: f64,
    balance: f64,
    tick: i128,
}

impl GoBucket {
    fn new(rate: f64, max: f64) -> Self {
        Self { rate, max, balance: max, tick: 0 }
    }

    fn of_traces(rate: f64) -> Self {
        Self::new(rate, rate.max(1.0))
    }

    fn check(&mut self, cost: f64, now: i128) -> bool {
        if self.balance < cost {
            self.fill(now);
        }
        let enough = self.balance >= cost;
        if enough {
            self.balance -= cost;
        }
        enough
    }

    fn update(&mut self, rate: f64, max: f64, now: i128) {
        self.fill(now);
        self.balance = self.balance * max / self.max;
        (self.rate, self.max) = (rate, max);
    }

    fn fill(&mut self, now: i128) {
        const SECOND: i128 = 1_000_000_000;
        let nanos = now - std::mem::replace(&mut self.tick, now);
        #[expect(clippy::cast_precision_loss, reason = "as Go's Duration.Seconds")]
        let seconds = (nanos / SECOND) as f64 + (nanos % SECOND) as f64 / 1e9;
        let filled = self.balance + seconds * self.rate;
        self.balance = if filled > self.max { self.max } else { filled };
    }
}

/// The fake clock of a case, which may run backwards.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    nanos: Arc<AtomicU64>,
    since: i128,
}

impl Default for Time {
    fn default() -> Self {
        Self { nanos: Arc::new(AtomicU64::new(BEGIN)), since: 0 }
    }
}

impl Time {
    /// Moves the clock by a step, and returns nanoseconds since the beginning.
    pub(crate) fn advance(&mut self, step: &Value) -> Result<i128, String> {
        if present(step, "advance_ns").is_some() {
            self.since += int::<i128>(step, "advance_ns")?;
        }
        let nanos = i128::from(BEGIN) + self.since;
        let nanos = u64::try_from(nanos).map_err(|_| "the clock runs too far".to_owned())?;
        self.nanos.store(nanos, Ordering::SeqCst);
        Ok(self.since)
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.load(Ordering::SeqCst)
    }
}

impl Clock for Time {
    fn monotonic_nanos(&self) -> u64 {
        self.nanos()
    }

    fn wall_nanos(&self) -> i64 {
        self.nanos().cast_signed()
    }
}

/// Far enough from zero for any clock that runs backwards: about 36 years.
const BEGIN: u64 = 1 << 60;

/// Returns whether the member of the input, or of a step up to the place, is such.
pub(crate) fn any_until(
    case: &Value,
    at: &Difference,
    key: &str,
    is_such: impl Fn(f64) -> bool,
) -> bool {
    let steps = case["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = at.step().unwrap_or(steps.len());
    let mut values = steps.iter().take(number + 1).chain([&case["input"]]);
    values.any(|of| float(of, key).is_ok_and(&is_such))
}

/// Why a bucket may give something else than it was recorded.
pub(crate) const RULES: &[Rule] = &[
    (deviations::NEGATIVE_RATE, |case, at| {
        at.got == "true"
            && any_until(case, at, "max_traces_per_second", |rate| rate.is_sign_negative())
    }),
    (deviations::ZERO_IS_NONE, |case, at| {
        let none = |rate: f64| rate <= 0.0;
        any_until(case, at, "max_traces_per_second", none)
            || any_until(case, at, "lower_bound", none)
    }),
    (deviations::TIME_STANDS_STILL, |case, at| any_until(case, at, "advance_ns", |by| by < 0.0)),
    (deviations::FINITE_BALANCE, |case, at| {
        let overflows = |rate: f64| rate > f64::MAX.sqrt();
        let is_of_balance = ["sampled", "allowed", "tags", "balance"];
        is_of_balance.iter().any(|part| at.place.contains(part))
            && (any_until(case, at, "max_traces_per_second", overflows)
                || any_until(case, at, "max_balance", overflows))
    }),
    (deviations::BUCKET_REFILLS, |case, at| any_until(case, at, "max_balance", |max| max <= 0.0)),
    (deviations::ONE_BURST, |case, at| any_until(case, at, "advance_ns", |by| by > 0.0)),
];
