//! What became of the cases: differences while one runs, totals at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::deviations::Deviation;
use crate::json::to_hex;

/// What a case's comparisons found.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    differences: Vec<String>,
    deviations: BTreeSet<Deviation>,
    skipped: Option<String>,
}

impl Checks {
    /// Compares two values.
    pub(crate) fn same<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: &T, got: &T) {
        if expected != got {
            let shown = |value: &T| shortened(&format!("{value:?}"));
            self.fail(format!("{what}: expected {}, got {}", shown(expected), shown(got)));
        }
    }

    /// Compares bytes; shows them from shortly before the first that differs.
    pub(crate) fn same_bytes(&mut self, what: &str, expected: &[u8], got: &[u8]) {
        if expected == got {
            return;
        }
        let differ = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        let from = differ.saturating_sub(4);
        let shown = |bytes: &[u8]| to_hex(&bytes[from..bytes.len().min(differ + 16)]);
        self.fail(format!(
            "{what}: differs at byte {differ}: expected {} bytes …{}…, got {} bytes …{}…",
            expected.len(),
            shown(expected),
            got.len(),
            shown(got)
        ));
    }

    pub(crate) fn fail(&mut self, difference: String) {
        self.differences.push(difference);
    }

    /// Notes that something else than what Go did was expected.
    pub(crate) fn deviates(&mut self, deviation: Deviation) {
        self.deviations.insert(deviation);
    }

    pub(crate) fn skip(&mut self, reason: String) {
        self.skipped = Some(reason);
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 160;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => String::from(text),
    }
}

/// What became of all cases of all files.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<String>,
    passed: usize,
    failed: usize,
    skipped: usize,
    deviations: BTreeMap<Deviation, usize>,
}

impl Report {
    pub(crate) fn add(&mut self, file: &str, case: &str, checks: Checks) {
        if !checks.differences.is_empty() {
            self.failed += 1;
            self.lines.push(format!("FAILED {file} {case}: {}", checks.differences.join("; ")));
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

    /// How many cases behave as expected.
    #[must_use]
    pub const fn passed(&self) -> usize {
        self.passed
    }

    /// How many cases do not.
    #[must_use]
    pub const fn failed(&self) -> usize {
        self.failed
    }

    /// How many cases were not run.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// In how many passed cases the deviation of this number was expected.
    #[must_use]
    pub fn deviating(&self, number: &str) -> usize {
        let of_number =
            self.deviations.iter().filter(|(deviation, _)| deviation.number() == number);
        of_number.map(|(_, cases)| cases).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        for (deviation, cases) in &self.deviations {
            let plural = if *cases == 1 { "" } else { "s" };
            let (number, meaning) = (deviation.number(), deviation.meaning());
            writeln!(f, "deviation {number}: {cases} case{plural} ({meaning})")?;
        }
        let Self { passed, failed, skipped, .. } = self;
        writeln!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
