//! The remote sampler: its strategies after a sequence of responses.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jaeger_client::sampler::{
    ConstSampler, FetchError, ProbabilisticSampler, RateLimitingSampler, RemoteSampler, Rule,
    Sampler, SamplerStatus, StrategySource,
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::client::refused;
use crate::deviations;
use crate::json::{boolean, float, int, items, member, present, text};
use crate::peroperation;
use crate::report::{Checks, Difference};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = member(case, "input")?;
    let max = present(input, "max_operations");
    let max = max.map_or(Ok(MAX_OPERATIONS), |_| int::<i64>(input, "max_operations"))?;
    let late =
        present(input, "late_binding").map_or(Ok(false), |_| boolean(input, "late_binding"))?;
    let initial = member(input, "initial")?;
    let responses = Responses::default();
    let builder = RemoteSampler::builder("vectors").source(responses.clone());
    let builder = match text(initial, "type")? {
        "const" => builder.initial(ConstSampler::new(boolean(initial, "decision")?)),
        "probabilistic" => {
            builder.initial(ProbabilisticSampler::new(float(initial, "rate")?).map_err(refused)?)
        }
        "ratelimiting" => {
            let rate = float(initial, "max_traces_per_second")?;
            builder.initial(RateLimitingSampler::new(rate).map_err(refused)?)
        }
        other => return Err(format!("no case begins with a sampler of type {other:?}")),
    };
    // A number below zero means the default, as 0 does.
    let max = usize::try_from(max).unwrap_or(0);
    let own = builder.max_operations(max).late_binding(late).build().map_err(refused)?;
    let mut before = own.status();
    for (number, step) in items(case, "steps")?.iter().enumerate() {
        responses.push(match present(step, "fetch_error") {
            Some(_) => Err(FetchError::new(text(step, "fetch_error")?)),
            None => Ok(text(step, "body")?.to_owned()),
        });
        own.refresh();
        let after = own.status();
        let mut recorded = json!({});
        // Where Go crashed nothing was recorded but that.
        if !present(step, "go_panics").map_or(Ok(false), |_| boolean(step, "go_panics"))? {
            for key in ["sampler", "same_sampler_object", "metrics_delta"] {
                recorded[key] = member(step, key)?.clone();
            }
        }
        checks.compare(&format!("steps/{number}"), &recorded, &seen(&before, &after)?);
        before = after;
    }
    Ok(())
}

/// Returns what a step has changed.
fn seen(before: &SamplerStatus, after: &SamplerStatus) -> Result<Value, String> {
    let sampler = match after.rule.clone() {
        Rule::Const { sample } => json!({"type": "const", "decision": sample}),
        Rule::Probabilistic { rate } => {
            let boundary = ProbabilisticSampler::new(rate).map_err(refused)?.boundary().to_string();
            json!({"type": "probabilistic", "rate": rate, "boundary": boundary})
        }
        Rule::RateLimiting { max_traces_per_second: rate } => {
            json!({"type": "ratelimiting", "max_traces_per_second": rate})
        }
        rule => peroperation::shown(rule)?,
    };
    let (Some(before), Some(after)) = (&before.remote, &after.remote) else {
        return Err("a remote sampler has no status".to_owned());
    };
    let changes = [
        ("queries|result=ok", after.queries_ok - before.queries_ok),
        ("queries|result=err", after.queries_err - before.queries_err),
        ("updates|result=ok", after.updates_ok - before.updates_ok),
        ("updates|result=err", after.updates_err - before.updates_err),
    ];
    let changes = changes.into_iter().filter(|(_, change)| *change > 0);
    let named = changes.map(|(name, by)| (format!("jaeger.tracer.sampler_{name}"), by.into()));
    Ok(json!({
        "sampler": sampler,
        "same_sampler_object": after.replaced == before.replaced,
        "metrics_delta": named.collect::<Map<_, _>>(),
    }))
}

/// Gives the responses of a case, one after the other.
#[derive(Clone, Debug, Default)]
struct Responses(Arc<Mutex<VecDeque<Result<String, FetchError>>>>);

impl Responses {
    fn push(&self, response: Result<String, FetchError>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(response);
    }
}

impl StrategySource for Responses {
    fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or_else(|| Err(FetchError::new("no answer"))).map(String::into_bytes)
    }
}

/// The default options of the recorded cases.
const MAX_OPERATIONS: i64 = 50;

/// The member at a path of names, each in any case; null if there is none.
fn found<'a>(of: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(of, |of, name| {
        let mut members = of.as_object().into_iter().flatten().rev();
        let named = members.find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
        named.map_or(&Value::Null, |(_, value)| value)
    })
}

/// The responses up to the place.
fn bodies<'c>(case: &'c Value, at: &Difference) -> impl Iterator<Item = &'c str> {
    let until = at.step().unwrap_or_default() + 1;
    let steps = case["steps"].as_array().into_iter().flatten().take(until);
    steps.filter_map(|step| step["body"].as_str())
}

/// Returns whether a response up to the place is such.
fn responded(case: &Value, at: &Difference, is_such: impl Fn(&Value) -> bool) -> bool {
    bodies(case, at).any(|body| is_such(&serde_json::from_str(body).unwrap_or_default()))
}

/// Whether a member's name is repeated in its object, in any case and with letters that become
/// ASCII in capitals, which Go takes for the same.
struct Repeats(bool);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FindRepeats)
    }
}

struct FindRepeats;

impl<'de> Visitor<'de> for FindRepeats {
    type Value = Repeats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Repeats, A::Error> {
        let (mut names, mut is_found) = (BTreeSet::new(), false);
        while let Some((name, within)) = members.next_entry::<String, Repeats>()? {
            is_found |= within.0 || name.contains(['\u{17f}', '\u{212a}']);
            is_found |= !names.insert(name.to_lowercase());
        }
        Ok(Repeats(is_found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Repeats, A::Error> {
        let mut is_found = false;
        while let Some(within) = elements.next_element::<Repeats>()? {
            is_found |= within.0;
        }
        Ok(Repeats(is_found))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_unit<E>(self) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }
}

const LIMIT: &str = "rateLimitingSampling/maxTracesPerSecond";

/// Why a sampler may be another than it was recorded.
pub(crate) const RULES: &[deviations::Rule] = &[
    (deviations::JSON_WITHIN_LIMITS, |case, at| {
        let steps = case["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let limits = ["recursion limit", "number out of range", "surrogate", "end of hex escape"];
        let is_beyond = |body: &str| {
            let error = serde_json::from_str::<Value>(body).err().map(|error| error.to_string());
            error.is_some_and(|error| limits.iter().any(|limit| error.contains(limit)))
        };
        let is_read_by_go = |step: &Value| {
            let queries = &step["metrics_delta"]["jaeger.tracer.sampler_queries|result=ok"];
            queries == 1 && step["body"].as_str().is_some_and(is_beyond)
        };
        let until = at.step().map_or(0, |step| step + 1);
        steps.iter().take(until).any(is_read_by_go)
    }),
    (deviations::REPEATED_MEMBERS, |case, at| {
        bodies(case, at)
            .any(|body| serde_json::from_str::<Repeats>(body).is_ok_and(|repeats| repeats.0))
    }),
    (deviations::OPERATION_WITHOUT_RATE, |case, at| {
        let refused = match at.got.get("jaeger.tracer.sampler_updates|result=err") {
            Some(count) => count == 1,
            None => !at.place.contains("metrics_delta"),
        };
        let without_rate = |entry: &Value| found(entry, "probabilisticSampling").is_null();
        let is_such = |response: &Value| {
            let list = found(response, "operationSampling/perOperationStrategies").as_array();
            list.is_some_and(|list| list.iter().any(without_rate))
        };
        refused && responded(case, at, is_such)
    }),
    (deviations::ZERO_IS_NONE, |case, at| {
        let bound = "operationSampling/defaultLowerBoundTracesPerSecond";
        let is_negative =
            |response: &Value| found(response, bound).as_f64().is_some_and(|bound| bound < 0.0);
        at.place.ends_with("lower_bound") && at.got == 0.0 && responded(case, at, is_negative)
    }),
    (deviations::ANY_STRATEGY_TYPE, |case, at| {
        responded(case, at, |response| {
            let kind = found(response, "strategyType");
            !kind.is_null() && kind != "PROBABILISTIC" && kind != "RATE_LIMITING"
        })
    }),
    (deviations::RATE_REFUSED, |case, at| {
        responded(case, at, |response| {
            let rate = found(response, "probabilisticSampling/samplingRate").as_f64();
            rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate))
        })
    }),
    (deviations::NEGATIVE_RATE, |case, at| {
        let is_negative = |limit: f64| limit < 0.0;
        responded(case, at, |response| found(response, LIMIT).as_f64().is_some_and(is_negative))
    }),
    (deviations::ANY_RATE, |case, at| {
        responded(case, at, |response| {
            let limit = found(response, LIMIT);
            limit.is_number() && limit.as_i64().is_none_or(|limit| i16::try_from(limit).is_err())
        })
    }),
];
