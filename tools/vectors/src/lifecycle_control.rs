//! Who limits the spans of a lifecycle case, as rules: debug credits, restrictions of baggage.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::deviations;
use crate::extract_rules::escape;
use crate::lifecycle_options::{Restrictions, Throttler};
use crate::lifecycle_rules::MAX_BAGGAGE;
use crate::sampling_rules::{Reasons, Side};

/// Who lets spans be debugged, and what it was told.
#[derive(Debug)]
pub(crate) struct Throttling {
    side: Side,
    rule: Throttler,
    service: String,
    /// What the tracer says who it is.
    uuid: u64,
    credits: BTreeMap<String, f64>,
    answered: usize,
    /// Lines `GET path?query`.
    pub(crate) requests: Vec<String>,
}

impl Throttling {
    pub(crate) fn new(side: Side, rule: &Throttler, service: &str, uuid: u64) -> Self {
        Self {
            side,
            rule: rule.clone(),
            service: service.to_owned(),
            uuid,
            credits: BTreeMap::new(),
            answered: 0,
            requests: Vec::new(),
        }
    }

    /// Whether the operation may be debugged, and whether that it may not is counted.
    pub(crate) fn is_allowed(&mut self, operation: &str, reasons: &mut Reasons) -> (bool, bool) {
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
            let uuid = self.uuid;
            let query = format!("operations={operation}&service={service}&uuid={uuid:x}");
            self.requests.push(format!("GET /credits?{query}"));
            let answer = answers.get(self.answered).filter(|(status, _)| *status < 400);
            let answer = answer.map(|(_, body)| body);
            self.answered += 1;
            let by_go = answer.and_then(|body| balances(body, false)).unwrap_or_default();
            let balances = match self.side {
                Side::Go => by_go.clone(),
                Side::Ours => answer.and_then(|body| balances(body, true)).unwrap_or_default(),
            };
            if balances != by_go {
                reasons.insert(deviations::BALANCES_LISTED);
            }
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

/// The balances of an answer; Go takes what is missing as nothing.
fn balances(body: &str, strict: bool) -> Option<Vec<(String, f64)>> {
    let answer = answer(body, strict)?;
    if answer.is_null() && !strict {
        return Some(Vec::new());
    }
    let one = |entry: &Value| {
        let operation = member(entry, "operation", strict)?;
        let balance = member(entry, "balance", strict)?;
        Some((
            operation.map_or(Some(""), Value::as_str)?.to_owned(),
            balance.map_or(Some(0.0), Value::as_f64)?,
        ))
    };
    match answer.as_object().and_then(|_| member(&answer, "balances", strict))? {
        None => Some(Vec::new()),
        Some(list) => list.as_array()?.iter().map(one).collect(),
    }
}

/// The JSON of an answer, of which Go reads the first value and looks no further.
fn answer(body: &str, strict: bool) -> Option<Value> {
    if strict {
        return serde_json::from_str(body).ok();
    }
    serde_json::Deserializer::from_str(body).into_iter().next()?.ok()
}

/// A member of an object; in Go's way its name is of any case, and it may be missing.
fn member<'a>(object: &'a Value, name: &str, strict: bool) -> Option<Option<&'a Value>> {
    if object.is_null() && !strict {
        return Some(None);
    }
    let named = |(key, _): &(&String, &Value)| {
        if strict { key.as_str() == name } else { key.eq_ignore_ascii_case(name) }
    };
    let found = object.as_object()?.iter().filter(named).map(|(_, value)| value).next_back();
    match found.filter(|value| strict || !value.is_null()) {
        None if strict => None,
        found => Some(found),
    }
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
        let read = |strict| match answer.answers.first() {
            Some((status, body)) if *status < 400 => listed(body, strict),
            _ => None,
        };
        let by_go = read(false);
        let listed = if side == Side::Go { by_go.clone() } else { read(true) };
        if listed != by_go {
            reasons.insert(deviations::RESTRICTIONS_LISTED);
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
    let answer = answer(body, strict)?;
    if answer.is_null() && !strict {
        return Some(BTreeMap::new());
    }
    let one = |entry: &Value| {
        let key = member(entry, "baggageKey", strict)?;
        let length = member(entry, "maxValueLength", strict)?;
        let length = length.map_or(Some(0), Value::as_u64)?;
        Some((key.map_or(Some(""), Value::as_str)?.to_owned(), usize::try_from(length).ok()?))
    };
    answer.as_array()?.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_side_takes_answers_that_ours_refuses() {
        let op = |balance| Some(vec![("op".to_owned(), balance)]);
        for (body, by_go, ours) in [
            (r#"{"balances":[{"operation":"op","balance":2}]}"#, op(2.0), op(2.0)),
            (r#"{"balances":[{"operation":"op"}]}"#, op(0.0), None),
            (r#"{"Balances":[{"Operation":"op","BALANCE":2}]} and more"#, op(2.0), None),
            (r#"{"balances":[{"operation":"op","balance":"2"}]}"#, None, None),
            ("[]", None, None),
        ] {
            assert_eq!((balances(body, false), balances(body, true)), (by_go, ours), "{body}");
        }
        let key = |max| Some(BTreeMap::from([("key".to_owned(), max)]));
        for (body, by_go, ours) in [
            (r#"[{"baggageKey":"key","maxValueLength":3}]"#, key(3), key(3)),
            (r#"[{"baggageKey":"key","maxValueLength":3}] and more"#, key(3), None),
            (r#"[{"baggageKey":"key"}]"#, key(0), None),
            ("{}", None, None),
        ] {
            assert_eq!((listed(body, false), listed(body, true)), (by_go, ours), "{body}");
        }
    }
}
