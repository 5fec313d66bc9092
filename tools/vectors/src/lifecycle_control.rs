//! Who limits the spans of a lifecycle case, as rules: debug credits, restrictions of baggage.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::deviations::Deviation;
use crate::extract_rules::escape;
use crate::lifecycle_rules::MAX_BAGGAGE;
use crate::lifecycle_script::{Restrictions, Throttler};
use crate::sampling_rules::{Reasons, Side};

/// Who lets spans be debugged, and what it was told.
#[derive(Debug)]
pub(crate) struct Throttling {
    rule: Throttler,
    service: String,
    credits: BTreeMap<String, f64>,
    answered: usize,
    /// Lines `GET path?query`.
    pub(crate) requests: Vec<String>,
}

impl Throttling {
    pub(crate) fn new(rule: &Throttler, service: &str) -> Self {
        Self {
            rule: rule.clone(),
            service: service.to_owned(),
            credits: BTreeMap::new(),
            answered: 0,
            requests: Vec::new(),
        }
    }

    /// Whether the operation may be debugged, and whether that it may not is counted.
    pub(crate) fn is_allowed(&mut self, operation: &str) -> (bool, bool) {
        let (answers, synchronous) = match &self.rule {
            Throttler::AllowsAll => return (true, false),
            Throttler::DeniesAll => return (false, false),
            Throttler::Remote { answers, synchronous } => (answers.clone(), *synchronous),
        };
        let credit = self.credits.entry(operation.to_owned()).or_default();
        if *credit == 0.0 {
            if !synchronous {
                return (false, true);
            }
            let [operation, service] = [operation, &self.service].map(|t| escape(t.as_bytes()));
            self.requests
                .push(format!("GET /credits?operations={operation}&service={service}&uuid=1"));
            let answer = answers.get(self.answered);
            self.answered += 1;
            let balances = answer.map(|body| balances(body)).unwrap_or_default();
            if balances.is_empty() {
                return (false, false);
            }
            for (operation, balance) in balances {
                *self.credits.entry(operation).or_default() += balance;
            }
        }
        let credit = self.credits.entry(operation.to_owned()).or_default();
        if *credit < 1.0 {
            return (false, true);
        }
        *credit -= 1.0;
        (true, false)
    }
}

/// The balances of an answer; none if it is no such answer.
fn balances(body: &str) -> Vec<(String, f64)> {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let list = answer.get("balances").and_then(Value::as_array);
    let one = |entry: &Value| {
        let operation = entry.get("operation").and_then(Value::as_str).unwrap_or_default();
        let balance = entry.get("balance").and_then(Value::as_f64).unwrap_or_default();
        (operation.to_owned(), balance)
    };
    list.map(|list| list.iter().map(one).collect()).unwrap_or_default()
}

/// Which baggage may be set.
#[derive(Debug)]
pub(crate) struct Restricting {
    /// Keys and bytes; none where there is no list.
    listed: Option<BTreeMap<String, usize>>,
    /// What holds without a list.
    otherwise: Option<usize>,
}

impl Restricting {
    pub(crate) const ALLOWED: Self = Self { listed: None, otherwise: Some(MAX_BAGGAGE) };

    /// After the first answer, and whether that was taken.
    pub(crate) fn new(side: Side, answer: &Restrictions, reasons: &mut Reasons) -> (Self, bool) {
        let read = |strict| match answer.status {
            400.. => None,
            _ => listed(&answer.body, strict),
        };
        let by_go = read(false);
        let listed = if side == Side::Go { by_go.clone() } else { read(true) };
        if listed != by_go {
            reasons.insert(Deviation::RestrictionsListed);
        }
        let ok = listed.is_some();
        let otherwise = (!answer.deny_before).then_some(MAX_BAGGAGE);
        (Self { listed, otherwise }, ok)
    }

    /// How long the item's value may be, if it may be set.
    pub(crate) fn max_length(&self, key: &str) -> Option<usize> {
        match &self.listed {
            Some(listed) => listed.get(key).copied(),
            None => self.otherwise,
        }
    }
}

/// Reads a list of keys and lengths; Go takes what is missing as nothing.
fn listed(body: &str, strict: bool) -> Option<BTreeMap<String, usize>> {
    let answer: Value = serde_json::from_str(body).ok()?;
    if answer.is_null() && !strict {
        return Some(BTreeMap::new());
    }
    let one = |entry: &Value| {
        let entry = entry.as_object()?;
        let found = |name: &str| {
            let named = |(key, _): &(&String, &Value)| {
                if strict { key.as_str() == name } else { key.eq_ignore_ascii_case(name) }
            };
            entry.iter().filter(named).map(|(_, value)| value).next_back()
        };
        let key = match found("baggageKey") {
            None | Some(Value::Null) if !strict => "",
            key => key?.as_str()?,
        };
        let length = match found("maxValueLength") {
            None | Some(Value::Null) if !strict => 0,
            length => length?.as_u64()?,
        };
        Some((key.to_owned(), usize::try_from(length).ok()?))
    };
    answer.as_array()?.iter().map(one).collect()
}
