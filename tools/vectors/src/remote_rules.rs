//! What a remote sampler makes of an answer: jaeger-client-go's rules, and those meant here.

use serde_json::{Map, Value};

use crate::deviations;
use crate::sampling_rules::{Reasons, Shown, Side, share};

/// The sampler in force, as cases show it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InForce {
    Const(bool),
    Probabilistic(f64),
    RateLimiting(f64),
    PerOperation(Shown),
}

/// Changes of the four counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queries_ok: u64,
    pub(crate) queries_err: u64,
    pub(crate) updates_ok: u64,
    pub(crate) updates_err: u64,
}

/// What can be seen of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) in_force: InForce,
    /// Whether the sampler is still the one from before.
    pub(crate) same: bool,
    pub(crate) counts: Counts,
}

/// One side's sampler.
pub(crate) struct Remote {
    side: Side,
    in_force: InForce,
}

/// Why there is nothing to take over.
enum Nothing {
    /// It could not be read.
    Unreadable,
    /// It says nothing, or nothing of use.
    Useless,
    /// Go's process ends.
    Crash,
}

impl Remote {
    pub(crate) fn new(side: Side, in_force: InForce) -> Self {
        Self { side, in_force }
    }

    /// Takes an answer, or none; gives nothing where Go crashes.
    pub(crate) fn step(&mut self, body: Option<&str>, reasons: &mut Reasons) -> Option<Seen> {
        let mut counts = Counts::default();
        let mut same = true;
        match body.map(|body| self.read(body, reasons)) {
            None => counts.queries_err = 1,
            Some(Err(Nothing::Unreadable)) => counts.updates_err = 1,
            Some(Err(Nothing::Useless)) => (counts.queries_ok, counts.updates_err) = (1, 1),
            Some(Err(Nothing::Crash)) => return None,
            Some(Ok(next)) => {
                (counts.queries_ok, counts.updates_ok) = (1, 1);
                same = std::mem::discriminant(&self.in_force) == std::mem::discriminant(&next);
                self.in_force = next;
            }
        }
        Some(Seen { in_force: self.in_force.clone(), same, counts })
    }

    fn read(&self, body: &str, reasons: &mut Reasons) -> Result<InForce, Nothing> {
        let answer: Value = serde_json::from_str(body).map_err(|_| Nothing::Unreadable)?;
        if answer.is_null() {
            return Err(Nothing::Useless);
        }
        let answer = answer.as_object().ok_or(Nothing::Unreadable)?;
        let known = [Some("PROBABILISTIC"), Some("RATE_LIMITING")];
        if found(answer, "strategyType").is_some_and(|kind| !known.contains(&kind.as_str())) {
            match self.side {
                Side::Go => return Err(Nothing::Unreadable),
                Side::Ours => drop(reasons.insert(deviations::ANY_STRATEGY_TYPE)),
            }
        }
        let operations = part(answer, "operationSampling")?;
        let operations = operations.map(|part| self.operations(part, reasons)).transpose();
        let share = part(answer, "probabilisticSampling")?;
        let share = share.map(|part| number(part, "samplingRate")).transpose()?;
        let limit = part(answer, "rateLimitingSampling")?;
        let limit = limit.map(|part| self.limit(part, reasons)).transpose()?;
        if let Some(shown) = operations? {
            return Ok(InForce::PerOperation(shown));
        }
        match (share, limit) {
            (Some(rate), _) if (0.0..=1.0).contains(&rate) => Ok(InForce::Probabilistic(rate)),
            (Some(rate), _) => match (self.side, &self.in_force) {
                (Side::Go, InForce::Probabilistic(_)) => Err(Nothing::Useless),
                (Side::Go, _) => Ok(InForce::Probabilistic(crate::sampling_rules::share(rate))),
                (Side::Ours, _) => {
                    reasons.insert(deviations::RATE_REFUSED);
                    Err(Nothing::Useless)
                }
            },
            (None, Some(limit)) if limit < 0.0 && self.side == Side::Ours => {
                reasons.insert(deviations::NEGATIVE_RATE);
                Err(Nothing::Useless)
            }
            (None, Some(limit)) => Ok(InForce::RateLimiting(limit)),
            (None, None) => Err(Nothing::Useless),
        }
    }

    fn operations(
        &self,
        part: &Map<String, Value>,
        reasons: &mut Reasons,
    ) -> Result<Shown, Nothing> {
        let default = share(number(part, "defaultSamplingProbability")?);
        let mut bound = number(part, "defaultLowerBoundTracesPerSecond")?;
        if bound < 0.0 && self.side == Side::Ours {
            reasons.insert(deviations::ZERO_IS_NONE);
            bound = 0.0;
        }
        let list = match found(part, "perOperationStrategies") {
            None => &[],
            Some(list) => list.as_array().ok_or(Nothing::Unreadable)?.as_slice(),
        };
        let mut spoilt = false;
        let mut operations = Vec::<(String, f64, f64)>::new();
        for entry in list {
            let entry = match entry {
                Value::Null => None,
                entry => Some(entry.as_object().ok_or(Nothing::Unreadable)?),
            };
            let name = match entry.and_then(|entry| found(entry, "operation")) {
                None => "",
                Some(name) => name.as_str().ok_or(Nothing::Unreadable)?,
            };
            let strategy = entry.map(|entry| self::part(entry, "probabilisticSampling"));
            let Some(strategy) = strategy.transpose()?.flatten() else {
                spoilt = true;
                continue;
            };
            let rate = share(number(strategy, "samplingRate")?);
            operations.retain(|(known, ..)| known != name);
            operations.push((name.to_owned(), rate, bound));
        }
        if spoilt {
            return Err(match self.side {
                Side::Go => Nothing::Crash,
                Side::Ours => {
                    reasons.insert(deviations::OPERATION_WITHOUT_RATE);
                    Nothing::Useless
                }
            });
        }
        operations.sort_by(|one, other| one.0.cmp(&other.0));
        Ok((default, bound, operations))
    }

    /// Traces a second, which in Go are a whole number of 16 bits.
    fn limit(&self, part: &Map<String, Value>, reasons: &mut Reasons) -> Result<f64, Nothing> {
        let Some(limit) = found(part, "maxTracesPerSecond") else { return Ok(0.0) };
        if limit.as_i64().is_none_or(|limit| i16::try_from(limit).is_err()) {
            match self.side {
                Side::Go => return Err(Nothing::Unreadable),
                Side::Ours => drop(reasons.insert(deviations::ANY_RATE)),
            }
        }
        limit.as_f64().ok_or(Nothing::Unreadable)
    }
}

/// The member of that name, in any case, unless it is null.
fn found<'a>(of: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let named =
        |(key, value): &(&String, &Value)| key.eq_ignore_ascii_case(name) && !value.is_null();
    of.iter().filter(named).map(|(_, value)| value).next_back()
}

fn part<'a>(
    of: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, Nothing> {
    found(of, name).map(|part| part.as_object().ok_or(Nothing::Unreadable)).transpose()
}

fn number(of: &Map<String, Value>, name: &str) -> Result<f64, Nothing> {
    found(of, name).map_or(Ok(0.0), |number| number.as_f64().ok_or(Nothing::Unreadable))
}
