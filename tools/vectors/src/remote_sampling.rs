//! The remote sampler: what it makes of a sequence of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jaeger_client::sampler::{
    ConstSampler, FetchError, ProbabilisticSampler, RateLimitingSampler, RemoteSampler,
    RemoteStatus, Rule, Sampler, SamplerStatus, StrategySource,
};
use serde_json::Value;

use crate::client::refused;
use crate::json::{int, items, member, present, text, truth};
use crate::peroperation;
use crate::ratelimit::float;
use crate::remote_rules::{Counts, InForce, Remote, Seen};
use crate::report::Checks;
use crate::sampling_rules::{Reasons, Side, expected};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = member(case, "input")?;
    let max = present(input, "max_operations")
        .map_or(Ok(MAX_OPERATIONS), |_| int::<usize>(input, "max_operations"))?;
    let late =
        present(input, "late_binding").map_or(Ok(false), |_| truth(input, "late_binding"))?;
    let initial = in_force(member(input, "initial")?)?;
    let answers = Answers::default();
    let builder = RemoteSampler::builder("vectors").source(answers.clone());
    let builder = match &initial {
        InForce::Const(sample) => builder.initial(ConstSampler::new(*sample)),
        InForce::Probabilistic(rate) => {
            builder.initial(ProbabilisticSampler::new(*rate).map_err(refused)?)
        }
        InForce::RateLimiting(rate) => {
            builder.initial(RateLimitingSampler::new(*rate).map_err(refused)?)
        }
        InForce::PerOperation(_) => return Err("no case begins per operation".to_owned()),
    };
    let own = builder.max_operations(max).late_binding(late).build().map_err(refused)?;
    let mut go = Remote::new(Side::Go, initial.clone());
    let mut ours = Remote::new(Side::Ours, initial);
    let (mut reasons, mut before) = (Reasons::new(), own.status());
    for (number, step) in items(case, "steps")?.iter().enumerate() {
        let what = format!("step {number}");
        let answer = match present(step, "fetch_error") {
            Some(_) => Err(FetchError::new(text(step, "fetch_error")?)),
            None => Ok(text(step, "body")?),
        };
        answers.push(answer.clone().map(str::to_owned));
        own.refresh();
        let after = own.status();
        let body = answer.ok();
        let sides = (go.step(body, &mut Reasons::new()), ours.step(body, &mut reasons));
        // Where Go crashed nothing was recorded but that.
        let recorded = match present(step, "go_panics") {
            Some(_) if truth(step, "go_panics")? => None,
            _ => Some(recorded(step)?),
        };
        let wanted = expected(checks, &what, recorded, sides, &reasons);
        checks.same(&what, &wanted, &Some(seen(&before, &after)?));
        options(&what, step, &after, (max, late), checks)?;
        before = after;
    }
    Ok(())
}

/// Checks what only the rule of one kind has.
fn options(
    what: &str,
    step: &Value,
    status: &SamplerStatus,
    wanted: (usize, bool),
    checks: &mut Checks,
) -> Result<(), String> {
    if let Rule::PerOperation { .. } = status.rule {
        let (_, max, late) = peroperation::own(status.rule.clone())?;
        checks.same(&format!("{what} options"), &wanted, &(max, late));
    }
    let Some(dump) = present(step, "sampler") else { return Ok(()) };
    if present(dump, "boundary").is_some() {
        let sampler = ProbabilisticSampler::new(float(dump, "rate")?).map_err(refused)?;
        checks.same(&format!("{what} boundary"), &int(dump, "boundary")?, &sampler.boundary());
    }
    Ok(())
}

fn recorded(step: &Value) -> Result<Seen, String> {
    let mut counts = Counts::default();
    let deltas = member(step, "metrics_delta")?.as_object().ok_or("metrics_delta is no object")?;
    for (name, _) in deltas {
        let count = int(member(step, "metrics_delta")?, name)?;
        match name.as_str() {
            "jaeger.tracer.sampler_queries|result=ok" => counts.queries_ok = count,
            "jaeger.tracer.sampler_queries|result=err" => counts.queries_err = count,
            "jaeger.tracer.sampler_updates|result=ok" => counts.updates_ok = count,
            "jaeger.tracer.sampler_updates|result=err" => counts.updates_err = count,
            other => return Err(format!("unknown metric {other:?}")),
        }
    }
    let in_force = in_force(member(step, "sampler")?)?;
    Ok(Seen { in_force, same: truth(step, "same_sampler_object")?, counts })
}

fn in_force(dump: &Value) -> Result<InForce, String> {
    Ok(match text(dump, "type")? {
        "const" => InForce::Const(truth(dump, "decision")?),
        "probabilistic" => InForce::Probabilistic(float(dump, "rate")?),
        "ratelimiting" => InForce::RateLimiting(float(dump, "max_traces_per_second")?),
        "peroperation" => InForce::PerOperation(peroperation::shown(dump)?),
        other => return Err(format!("unknown type of sampler {other:?}")),
    })
}

/// What a step has changed.
fn seen(before: &SamplerStatus, after: &SamplerStatus) -> Result<Seen, String> {
    let in_force = match after.rule.clone() {
        Rule::Const { sample } => InForce::Const(sample),
        Rule::Probabilistic { rate } => InForce::Probabilistic(rate),
        Rule::RateLimiting { max_traces_per_second } => {
            InForce::RateLimiting(max_traces_per_second)
        }
        rule => InForce::PerOperation(peroperation::own(rule)?.0),
    };
    let [before, after] = [before, after].map(|status| status.remote.as_ref());
    let (Some(before), Some(after)) = (before, after) else {
        return Err("a remote sampler does not say how it fares".to_owned());
    };
    let delta = |count: fn(&RemoteStatus) -> u64| count(after) - count(before);
    let counts = Counts {
        queries_ok: delta(|status| status.queries_ok),
        queries_err: delta(|status| status.queries_err),
        updates_ok: delta(|status| status.updates_ok),
        updates_err: delta(|status| status.updates_err),
    };
    Ok(Seen { in_force, same: delta(|status| status.replaced) == 0, counts })
}

/// Gives the answers of a case, one after the other.
#[derive(Clone, Debug, Default)]
struct Answers(Arc<Mutex<VecDeque<Result<String, FetchError>>>>);

impl Answers {
    fn push(&self, answer: Result<String, FetchError>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }
}

impl StrategySource for Answers {
    fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or_else(|| Err(FetchError::new("no answer"))).map(String::into_bytes)
    }
}

/// What the cases were recorded with, where they do not say it.
const MAX_OPERATIONS: usize = 50;
