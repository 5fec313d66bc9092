//! The results of cases: differences of one case, and totals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use crate::deviations::{Deviation, Rule};
use crate::json::{described, is_remark};

/// A place in a case's answer where this client's differs from the recorded one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// Names of members and numbers of elements, joined by slashes.
    pub(crate) place: String,
    /// Null where nothing was recorded.
    pub(crate) recorded: Value,
    pub(crate) got: Value,
}

impl Difference {
    /// The number of the step it is at.
    pub(crate) fn step(&self) -> Option<usize> {
        self.place.strip_prefix("steps/")?.split('/').next()?.parse().ok()
    }

    /// Returns whether it is in one of the places, which are words, or further in.
    pub(crate) fn is_in(&self, places: &str) -> bool {
        let inside = |rest: &str| rest.is_empty() || rest.starts_with('/');
        places.split(' ').any(|place| self.place.strip_prefix(place).is_some_and(inside))
    }
}

/// The differences of a case.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    differences: Vec<Difference>,
    errors: Vec<String>,
    deviations: BTreeSet<Deviation>,
    skipped: Option<String>,
}

impl Checks {
    /// Compares two values.
    pub(crate) fn same<T: PartialEq + fmt::Debug>(&mut self, place: &str, recorded: &T, got: &T) {
        if recorded != got {
            let shown = |value: &T| Value::from(format!("{value:?}"));
            self.differ(place, shown(recorded), shown(got));
        }
    }

    /// Compares what was recorded with what was seen, member by member. Remarks in what was recorded
    /// are passed over; a text may be described, and a number may be text.
    pub(crate) fn compare(&mut self, place: &str, recorded: &Value, got: &Value) {
        let inner =
            |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}/{key}") };
        match (recorded, got) {
            (Value::Object(members), Value::Object(seen)) => {
                let mut left: BTreeSet<&str> = seen.keys().map(String::as_str).collect();
                for (key, value) in members.iter().filter(|(key, _)| !is_remark(key)) {
                    let of = key.strip_suffix("_is").filter(|of| seen.contains_key(*of));
                    let text = of.and_then(|_| described(value.as_str()?).ok()).map(Value::from);
                    let key = of.unwrap_or(key);
                    left.remove(key);
                    let got = seen.get(key).unwrap_or(&Value::Null);
                    self.compare(&inner(key), text.as_ref().unwrap_or(value), got);
                }
                left.into_iter()
                    .for_each(|key| self.compare(&inner(key), &Value::Null, &seen[key]));
            }
            (Value::Array(elements), Value::Array(seen)) => {
                for number in 0..elements.len().max(seen.len()) {
                    let [recorded, got] = [elements, seen].map(|of| of.get(number));
                    let nothing = &Value::Null;
                    let [recorded, got] = [recorded, got].map(|of| of.unwrap_or(nothing));
                    self.compare(&inner(&number.to_string()), recorded, got);
                }
            }
            _ if is_same(recorded, got) => {}
            _ => self.differ(place, recorded.clone(), got.clone()),
        }
    }

    fn differ(&mut self, place: &str, recorded: Value, got: Value) {
        self.differences.push(Difference { place: place.to_owned(), recorded, got });
    }

    pub(crate) fn fail(&mut self, error: String) {
        self.errors.push(error);
    }

    /// Notes that something else than what Go did was expected.
    pub(crate) fn deviates(&mut self, deviation: Deviation) {
        self.deviations.insert(deviation);
    }

    pub(crate) fn skip(&mut self, reason: String) {
        self.skipped = Some(reason);
    }

    /// Judges the differences: each needs a rule, and where the case was reviewed it is as it was
    /// then. Gives what is to be reviewed: each difference with the number of its deviation.
    pub(crate) fn settle(
        &mut self,
        case: &Value,
        rules: &[Rule],
        reviewed: Option<&Map<String, Value>>,
    ) -> Map<String, Value> {
        let mut found = Map::new();
        for difference in std::mem::take(&mut self.differences) {
            let Difference { place, recorded, got } = &difference;
            let shown = match first_difference(recorded, got) {
                Some((at, expected, got)) => {
                    format!("{place}: from character {at} on expected {expected:?}, got {got:?}")
                }
                None => format!("{place}: expected {}, got {}", short(recorded), short(got)),
            };
            let Some((why, _)) = rules.iter().find(|(_, explains)| explains(case, &difference))
            else {
                self.errors.push(shown);
                continue;
            };
            let entry =
                json!({"recorded": short(recorded), "ours": short(got), "deviation": why.0});
            if reviewed.is_some_and(|reviewed| reviewed.get(place) != Some(&entry)) {
                self.errors.push(format!("{shown}, which is not as it was reviewed"));
            }
            self.deviations.insert(*why);
            found.insert(place.clone(), entry);
        }
        let missing =
            reviewed.into_iter().flatten().filter(|(place, _)| !found.contains_key(*place));
        self.errors.extend(missing.map(|(place, _)| format!("{place}: no longer differs")));
        found
    }
}

fn is_same(recorded: &Value, got: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_i128(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let is_number = recorded.is_number() || got.is_number();
    recorded == got
        || (is_empty(recorded) && is_empty(got))
        || (is_number && number(recorded).is_some_and(|one| Some(one) == number(got)))
        || (recorded.is_number() && got.is_number() && recorded.as_f64() == got.as_f64())
}

/// Where long texts differ, with what stands there.
fn first_difference<'a>(one: &'a Value, other: &'a Value) -> Option<(usize, &'a str, &'a str)> {
    let (one, other) = (one.as_str()?, other.as_str()?);
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &'a str| text.get(at..(at + 40).min(text.len()));
    (one.len().max(other.len()) > 160).then_some((at, part(one)?, part(other)?))
}

/// Formats a value for output and review: a long one is truncated, with a checksum.
fn short(value: &Value) -> Value {
    const SHOWN: usize = 160;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some((end, _)) = text.char_indices().nth(SHOWN) else { return value.clone() };
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    Value::from(format!("{}… ({} bytes, {sum:016x})", &text[..end], text.len()))
}

/// The results of all cases of all files.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<String>,
    /// The number of cases that passed.
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// The number of cases that were skipped.
    pub(crate) skipped: usize,
    /// In how many passed cases each was expected.
    pub(crate) deviations: BTreeMap<Deviation, usize>,
}

impl Report {
    pub(crate) fn add(&mut self, file: &str, case: &str, checks: Checks) {
        if !checks.errors.is_empty() {
            self.failed += 1;
            self.lines.push(format!("FAILED {file} {case}: {}", checks.errors.join("; ")));
        } else if let Some(reason) = checks.skipped {
            self.skipped += 1;
            self.lines.push(format!("skipped {file} {case}: {reason}"));
        } else {
            self.passed += 1;
            for deviation in checks.deviations {
                *self.deviations.entry(deviation).or_default() += 1;
            }
        }
    }

    /// Returns the number of cases that failed.
    #[must_use]
    pub const fn failed(&self) -> usize {
        self.failed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        for (Deviation(number, meaning), cases) in &self.deviations {
            let plural = if *cases == 1 { "" } else { "s" };
            writeln!(f, "deviation {number}: {cases} case{plural} ({meaning})")?;
        }
        let Self { passed, failed, skipped, .. } = self;
        writeln!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
