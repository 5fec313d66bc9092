//! The per-operation sampler: what it decides, learns, takes over and forgets.

use jaeger_client::TraceId;
use jaeger_client::sampler::{ManualSpan, OperationStrategies, PerOperationSampler, Rule, Sampler};
use serde_json::Value;

use crate::json::{bits, int, items, member, present, text, truth};
use crate::ratelimit::{Time, float, pairs, tags};
use crate::report::Checks;
use crate::sampling_rules::{PerOperation, Reasons, Shown, Side, Strategies, Tags, expected};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = member(case, "input")?;
    let strategies = strategies(member(input, "strategies")?)?;
    let late = truth(input, "late_binding")?;
    // A number below zero means the default, as 0 does.
    let given = usize::try_from(int::<i64>(input, "max_operations_given")?).unwrap_or(0);
    let max = int(input, "max_operations_effective")?;
    let own =
        PerOperationSampler::new(&options(&strategies)).max_operations(given).late_binding(late);
    let mut run = Run {
        go: PerOperation::new(Side::Go, &strategies, max),
        ours: PerOperation::new(Side::Ours, &strategies, max),
        own,
        late,
        max,
        time: Time::default(),
        reasons: Reasons::new(),
        checks,
    };
    for (number, step) in items(case, "steps")?.iter().enumerate() {
        run.step(&format!("step {number}"), step)?;
    }
    match present(case, "final_sampler") {
        Some(dump) => run.rule("final sampler", dump),
        None => Ok(()),
    }
}

struct Run<'a> {
    go: PerOperation,
    ours: PerOperation,
    own: PerOperationSampler,
    late: bool,
    max: usize,
    time: Time,
    reasons: Reasons,
    checks: &'a mut Checks,
}

impl Run<'_> {
    fn step(&mut self, what: &str, step: &Value) -> Result<(), String> {
        let now = self.time.advance(step)?;
        let op = text(step, "op")?;
        if op == "update" {
            let strategies = strategies(member(step, "strategies")?)?;
            self.go.update(&strategies, now, &mut Reasons::new());
            self.ours.update(&strategies, now, &mut self.reasons);
            self.own.update(&options(&strategies), self.time.nanos());
            return present(step, "sampler").map_or(Ok(()), |dump| self.rule(what, dump));
        }
        let (id, operation) = (bits(step, "id_low")?, text(step, "operation")?);
        let mut span =
            ManualSpan::new(TraceId::new(0, id), operation).with_clock(self.time.clone());
        span.start(&self.own);
        let decided = self.decided(operation, id, now);
        self.compare(what, step, ["sampled", "final", "tags"], decided.clone(), &span)?;
        if op == "start" {
            return Ok(());
        }
        if !["rename", "set_name"].contains(&op) {
            return Err(format!("unknown op {op:?}"));
        }
        let renamed = text(step, "renamed_to")?;
        span.set_operation_name(&self.own, renamed);
        let mut after = decided;
        if self.late {
            let again = self.decided(renamed, id, now);
            after = (joined(after.0, again.0), joined(after.1, again.1));
        }
        let keys = ["sampled_after", "final_after", "tags_after"];
        self.compare(&format!("{what} renamed"), step, keys, after, &span)
    }

    /// What the two sides say of a trace.
    fn decided(&mut self, operation: &str, id: u64, now: i128) -> (Option<Tags>, Option<Tags>) {
        let go = self.go.decide(operation, id, now, &mut Reasons::new());
        (go, self.ours.decide(operation, id, now, &mut self.reasons))
    }

    fn compare(
        &mut self,
        what: &str,
        step: &Value,
        [sampled, decided, tag_list]: [&str; 3],
        sides: (Option<Tags>, Option<Tags>),
        span: &ManualSpan,
    ) -> Result<(), String> {
        let recorded =
            if truth(step, sampled)? { Some(pairs(items(step, tag_list)?)?) } else { None };
        let wanted = expected(self.checks, what, recorded, sides, &self.reasons);
        self.checks.same(what, &wanted, &tags(span)?);
        self.checks.same(&format!("{what} {decided}"), &truth(step, decided)?, &span.is_final());
        Ok(())
    }

    fn rule(&mut self, what: &str, dump: &Value) -> Result<(), String> {
        let sides = (self.go.shown(), self.ours.shown());
        let wanted = expected(self.checks, what, shown(dump)?, sides, &self.reasons);
        let (got, max, late) = own(self.own.status().rule)?;
        self.checks.same(what, &wanted, &got);
        self.checks.same("max operations", &self.max, &max);
        self.checks.same("late binding", &self.late, &late);
        Ok(())
    }
}

/// Both pairs of tags, where both decided to sample.
fn joined(first: Option<Tags>, second: Option<Tags>) -> Option<Tags> {
    match (first, second) {
        (Some(first), Some(second)) => Some([first, second].concat()),
        (first, second) => first.or(second),
    }
}

/// A sampler that a case shows.
pub(crate) fn shown(dump: &Value) -> Result<Shown, String> {
    let operations = member(dump, "operations")?.as_object().ok_or("operations is no object")?;
    let mut operations = operations
        .iter()
        .map(|(name, sampler)| {
            Ok((name.clone(), float(sampler, "sampling_rate")?, float(sampler, "lower_bound")?))
        })
        .collect::<Result<Vec<_>, String>>()?;
    operations.sort_by(|one, other| one.0.cmp(&other.0));
    Ok((float(dump, "default_rate")?, float(dump, "lower_bound")?, operations))
}

/// This client's rule as cases show it, with its limit of operations, and whether it binds late.
pub(crate) fn own(rule: Rule) -> Result<(Shown, usize, bool), String> {
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
    let operations =
        operations.into_iter().map(|rule| (rule.operation, rule.rate, rule.lower_bound));
    Ok(((default_rate, lower_bound, operations.collect()), max_operations, late_binding))
}

fn strategies(value: &Value) -> Result<Strategies, String> {
    let number = |of: &Value, key| present(of, key).map_or(Ok(0.0), |_| float(of, key));
    let list = match present(value, "perOperationStrategies") {
        Some(_) => items(value, "perOperationStrategies")?,
        None => &[],
    };
    let operations = list.iter().map(|entry| {
        let name = present(entry, "operation").map_or(Ok(""), |_| text(entry, "operation"))?;
        Ok((name.to_owned(), number(member(entry, "probabilisticSampling")?, "samplingRate")?))
    });
    Ok(Strategies {
        default_rate: number(value, "defaultSamplingProbability")?,
        lower_bound: number(value, "defaultLowerBoundTracesPerSecond")?,
        operations: operations.collect::<Result<_, String>>()?,
    })
}

fn options(strategies: &Strategies) -> OperationStrategies {
    let none = OperationStrategies::new(strategies.default_rate, strategies.lower_bound);
    let each = strategies.operations.iter();
    each.fold(none, |all, (name, rate)| all.operation(name.clone(), *rate))
}
