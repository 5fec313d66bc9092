//! Samplers that count traces: the bucket itself, the rate limiting sampler, the lower bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaeger_client::sampler::{
    GuaranteedThroughputSampler, ManualSpan, RateLimitingSampler, Sampler, TokenBucket,
};
use jaeger_client::{Clock, TraceId};
use serde_json::Value;

use crate::deviations;
use crate::json::{bits, int, items, member, present, text, truth};
use crate::report::Checks;
use crate::sampling_rules::{self as rules, Bucket, Guaranteed, Reasons, Side, Tags, expected};
use crate::zipkin_rules::{Given, held};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let (input, steps) = (member(case, "input")?, items(case, "steps")?);
    match text(case, "category")? {
        "bucket" => bucket(input, steps, checks),
        "sampler" => sampler(input, steps, checks),
        "guaranteed" => guaranteed(input, steps, checks),
        other => Err(format!("unknown category {other:?}")),
    }
}

fn bucket(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let (rate, max) = (float(input, "credits_per_second")?, float(input, "max_balance")?);
    let (mut go, mut ours) = (Bucket::new(Side::Go, rate, max), Bucket::new(Side::Ours, rate, max));
    let mut own = TokenBucket::new(rate, max);
    let (mut time, mut reasons) = (Time::default(), Reasons::new());
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        let balance = bits(step, "balance_after_bits").map(f64::from_bits).map(rules::bits)?;
        let what = format!("step {number}");
        match text(step, "op")? {
            "check" => {
                let cost = float(step, "cost")?;
                let by_go = (go.check(cost, now, &mut Reasons::new()), go.balance());
                let by_us = (ours.check(cost, now, &mut reasons), ours.balance());
                let recorded = (truth(step, "allowed")?, balance);
                let wanted = expected(checks, &what, recorded, (by_go, by_us), &reasons);
                let got = (own.check(cost, time.nanos()), rules::bits(own.balance()));
                checks.same(&what, &wanted, &got);
            }
            "update" => {
                let (rate, max) = (float(step, "credits_per_second")?, float(step, "max_balance")?);
                go.update(rate, max, now, &mut Reasons::new());
                ours.update(rate, max, now, &mut reasons);
                let both = (go.balance(), ours.balance());
                let wanted = expected(checks, &what, balance, both, &reasons);
                own.update(rate, max, time.nanos());
                checks.same(&what, &wanted, &rules::bits(own.balance()));
            }
            other => return Err(format!("unknown op {other:?}")),
        }
    }
    Ok(())
}

fn sampler(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let mut rate = float(input, "max_traces_per_second")?;
    let mut own = match RateLimitingSampler::new(rate) {
        Ok(own) if rate >= 0.0 => own,
        other => {
            // There is no rate to go on with, so the steps have nothing to be compared with.
            checks.deviates(deviations::NEGATIVE_RATE);
            checks.same("rate refused", &true, &other.is_err());
            return Ok(());
        }
    };
    let mut go = (Bucket::of_traces(Side::Go, rate), rate);
    let mut ours = Bucket::of_traces(Side::Ours, rate);
    let (mut time, mut reasons) = (Time::default(), Reasons::new());
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        let what = format!("step {number}");
        if rate <= 0.0 {
            reasons.insert(deviations::ZERO_IS_NONE);
        }
        match text(step, "op")? {
            "sample" => {
                let given = |sampled: bool, rate: f64| {
                    sampled.then(|| vec![("ratelimiting".to_owned(), rules::bits(rate))])
                };
                let by_go = given(go.0.check(1.0, now, &mut Reasons::new()), go.1);
                let by_us = given(ours.check(1.0, now, &mut reasons), rate);
                let recorded = recorded(step)?;
                let wanted = expected(checks, &what, recorded, (by_go, by_us), &reasons);
                let mut span = ManualSpan::new(TraceId::new(0, 1), "op").with_clock(time.clone());
                span.start(&own);
                checks.same(&what, &wanted, &tags(&span)?);
            }
            "update" => {
                let next = float(step, "max_traces_per_second")?;
                if next != go.1 {
                    go.0.update(next, rules::burst(Side::Go, next), now, &mut Reasons::new());
                    go.1 = next;
                }
                let updated = own.updated(next, time.nanos());
                checks.same("rate refused", &(next < 0.0), &updated.is_err());
                let Ok(updated) = updated else {
                    reasons.insert(deviations::NEGATIVE_RATE);
                    continue;
                };
                if next != rate {
                    ours.update(next, rules::burst(Side::Ours, next), now, &mut reasons);
                }
                (rate, own) = (next, updated);
            }
            other => return Err(format!("unknown op {other:?}")),
        }
    }
    Ok(())
}

fn guaranteed(input: &Value, steps: &[Value], checks: &mut Checks) -> Result<(), String> {
    let (bound, rate) = (float(input, "lower_bound")?, float(input, "sampling_rate")?);
    let mut go = Guaranteed::new(Side::Go, bound, rate);
    let mut ours = Guaranteed::new(Side::Ours, bound, rate);
    let own = GuaranteedThroughputSampler::new(bound, rate);
    let (mut time, mut reasons) = (Time::default(), Reasons::new());
    for (number, step) in steps.iter().enumerate() {
        let now = time.advance(step)?;
        let id = bits(step, "id_low")?;
        let by_go = go.decide(id, now, &mut Reasons::new());
        let by_us = ours.decide(id, now, &mut reasons);
        let what = format!("step {number}");
        let wanted = expected(checks, &what, recorded(step)?, (by_go, by_us), &reasons);
        checks.same(&what, &wanted, &asked(&own, id, &time)?);
    }
    Ok(())
}

fn asked(sampler: &impl Sampler, id: u64, time: &Time) -> Result<Option<Tags>, String> {
    let mut span = ManualSpan::new(TraceId::new(0, id), "op").with_clock(time.clone());
    span.start(sampler);
    tags(&span)
}

/// The tags of a recorded step; none if nothing was sampled, when Go gives tags all the same.
fn recorded(step: &Value) -> Result<Option<Tags>, String> {
    if !truth(step, "sampled")? {
        return Ok(None);
    }
    pairs(items(step, "tags")?).map(Some)
}

/// Pairs of a sampler's kind and parameter.
pub(crate) fn pairs(tags: &[Value]) -> Result<Tags, String> {
    let each = |tag: &Value| Ok((text(tag, "key")?.as_bytes().to_vec(), Given::read(tag)?));
    paired(tags.iter().map(each).collect::<Result<Vec<_>, String>>()?)
}

/// The tags of a span; none if it is not sampled.
pub(crate) fn tags(span: &ManualSpan) -> Result<Option<Tags>, String> {
    let tags: Vec<_> = span.tags().map(|tag| (tag.key.to_vec(), held(tag.value))).collect();
    match (span.is_sampled(), tags.is_empty()) {
        (false, true) => Ok(None),
        (false, false) => Err(format!("tags without being sampled: {tags:?}")),
        (true, _) => paired(tags).map(Some),
    }
}

fn paired(tags: Vec<(Vec<u8>, Given)>) -> Result<Tags, String> {
    let pair = |pair: &[(Vec<u8>, Given)]| match pair {
        [(kind_key, Given::Text(kind)), (param_key, Given::Double(param))]
            if kind_key == b"sampler.type" && param_key == b"sampler.param" =>
        {
            Ok((String::from_utf8_lossy(kind).into_owned(), rules::bits(*param)))
        }
        other => Err(format!("these are no tags of a sampler that counts: {other:?}")),
    };
    tags.chunks(2).map(pair).collect()
}

pub(crate) fn float(object: &Value, key: &str) -> Result<f64, String> {
    member(object, key)?.as_f64().ok_or_else(|| format!("{key:?} is no number"))
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
    /// Moves by what the step says; gives nanoseconds since the beginning.
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
