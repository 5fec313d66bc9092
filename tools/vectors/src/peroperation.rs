//! The per-operation sampler: what it decides, learns, takes over and forgets.

use jaeger_client::TraceId;
use jaeger_client::sampler::{ManualSpan, OperationStrategies, PerOperationSampler, Rule, Sampler};
use serde_json::{Value, json};

use crate::deviations;
use crate::json::{bits, boolean, float, int, items, member, present, text};
use crate::ratelimit::{Time, any_until, recorded_decision, seen};
use crate::report::Checks;

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = member(case, "input")?;
    // A number below zero means the default, as 0 does.
    let value = usize::try_from(int::<i64>(input, "max_operations_given")?).unwrap_or(0);
    let own = PerOperationSampler::new(&strategies(member(input, "strategies")?)?)
        .max_operations(value)
        .late_binding(boolean(input, "late_binding")?);
    let mut time = Time::default();
    for (number, step) in items(case, "steps")?.iter().enumerate() {
        time.advance(step)?;
        let place = format!("steps/{number}");
        let op = text(step, "op")?;
        if op == "update" {
            own.update(&strategies(member(step, "strategies")?)?, time.nanos());
            if let Some(dump) = present(step, "sampler") {
                checks.compare(&format!("{place}/sampler"), dump, &shown(own.status().rule)?);
            }
            continue;
        }
        let id = TraceId::new(0, bits(step, "id_low")?);
        let mut span = ManualSpan::new(id, text(step, "operation")?).with_clock(time.clone());
        span.start(&own);
        checks.compare(&place, &recorded_decision(step, "sampled", "tags")?, &seen(&span));
        checks.same(&format!("{place}/final"), &boolean(step, "final")?, &span.is_final());
        match op {
            "start" => {}
            "rename" | "set_name" => {
                span.set_operation_name(&own, text(step, "renamed_to")?);
                let recorded = recorded_decision(step, "sampled_after", "tags_after")?;
                checks.compare(&format!("{place}/after"), &recorded, &seen(&span));
                let recorded = boolean(step, "final_after")?;
                checks.same(&format!("{place}/final_after"), &recorded, &span.is_final());
            }
            _ => return Err(format!("unknown op {op:?}")),
        }
    }
    if let Some(dump) = present(case, "final_sampler") {
        checks.compare("final_sampler", dump, &shown(own.status().rule)?);
    }
    let max: usize = int(input, "max_operations_effective")?;
    checks.same(
        "max operations",
        &Some(max as u64),
        &shown(own.status().rule)?["max_operations"].as_u64(),
    );
    Ok(())
}

/// The rule in force as cases show it.
pub(crate) fn shown(rule: Rule) -> Result<Value, String> {
    let Rule::PerOperation {
        default_rate,
        lower_bound,
        max_operations,
        late_binding,
        operations,
        ..
    } = rule
    else {
        return Err(format!("not per operation: {rule}"));
    };
    let each = operations.into_iter().map(|of| {
        let (rate, bound) = (of.rate, of.lower_bound);
        (of.operation, json!({"type": "guaranteed", "sampling_rate": rate, "lower_bound": bound}))
    });
    Ok(json!({
        "type": "peroperation",
        "default_rate": default_rate,
        "lower_bound": lower_bound,
        "max_operations": max_operations,
        "late_binding": late_binding,
        "operations": each.collect::<serde_json::Map<_, _>>(),
    }))
}

fn strategies(value: &Value) -> Result<OperationStrategies, String> {
    let number = |of: &Value, key| present(of, key).map_or(Ok(0.0), |_| float(of, key));
    let list = present(value, "perOperationStrategies");
    let list = list.map_or(Ok(&[][..]), |_| items(value, "perOperationStrategies"))?;
    let all = OperationStrategies::new(
        number(value, "defaultSamplingProbability")?,
        number(value, "defaultLowerBoundTracesPerSecond")?,
    );
    list.iter().try_fold(all, |all, entry| {
        let name = present(entry, "operation").map_or(Ok(""), |_| text(entry, "operation"))?;
        let rate = number(member(entry, "probabilisticSampling")?, "samplingRate")?;
        Ok(all.operation(name.to_owned(), rate))
    })
}

/// Why a lower bound may give something else than it was recorded; what the share decides stays.
pub(crate) const RULES: &[deviations::Rule] = &[
    (deviations::ZERO_IS_NONE, |case, at| {
        at.got == 0.0 && at.place.ends_with("/lower_bound") && at.recorded.as_f64() < Some(0.0)
            || by_lower_bound(case, at)
                && bounds(case).any(|bound| bound.as_f64().unwrap_or_default() <= 0.0)
    }),
    (deviations::TIME_STANDS_STILL, |case, at| {
        by_lower_bound(case, at) && any_until(case, at, "advance_ns", |by| by < 0.0)
    }),
    (deviations::ONE_BURST, |case, at| {
        by_lower_bound(case, at) && any_until(case, at, "advance_ns", |by| by > 0.0)
    }),
];

fn bounds(case: &Value) -> impl Iterator<Item = &Value> {
    let all = case["steps"].as_array().into_iter().flatten().chain([&case["input"]]);
    all.filter_map(|of| of.get("strategies")).map(|of| &of["defaultLowerBoundTracesPerSecond"])
}

/// Returns whether one of both sampled the trace by the lower bound, and the other did not.
fn by_lower_bound(case: &Value, at: &crate::report::Difference) -> bool {
    let Some(step) = at.step().and_then(|number| case["steps"].get(number)) else { return false };
    let is_lower = |tags: &Value| tags.to_string().contains("\"lowerbound\"");
    // The tags that the lower bound adds after a rename have nothing beside them in what was recorded.
    let is_added = at.recorded.is_null() && (is_lower(&at.got) || at.got["key"] == "sampler.param");
    let is_decision = ["sampled", "tags"].iter().any(|part| at.place.contains(part));
    let not_sampled =
        step["sampled"] == false || step.get("sampled_after") == Some(&Value::Bool(false));
    is_decision
        && (is_added || is_lower(&step["tags"]) || is_lower(&step["tags_after"]) || not_sampled)
}
