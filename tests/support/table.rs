//! Reads the tables of a page whose rows name tests, and looks whether these are there.

use std::collections::BTreeMap;

/// A row of a table: the section it stands in, and its cells.
#[derive(Debug)]
pub(crate) struct Row<'t> {
    pub(crate) section: &'t str,
    pub(crate) cells: Vec<&'t str>,
}

impl<'t> Row<'t> {
    /// Returns what it is about.
    pub(crate) fn first(&self) -> &'t str {
        self.cells.first().copied().unwrap_or_default()
    }

    pub(crate) fn last(&self) -> &'t str {
        self.cells.last().copied().unwrap_or_default()
    }

    /// The tests that it names, as file and function.
    pub(crate) fn tests(&self) -> Vec<(&'t str, &'t str)> {
        self.last().split('`').filter_map(|part| part.split_once("::")).collect()
    }
}

/// The rows of all tables, without their heads.
pub(crate) fn rows(text: &str) -> Vec<Row<'_>> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        } else if let Some(inside) = line.strip_prefix('|') {
            let inside = inside.trim_end().trim_end_matches('|');
            rows.push(Row { section, cells: inside.split('|').map(str::trim).collect() });
        }
    }
    rows.retain(|row| row.last() != "test" && !row.first().starts_with("--"));
    rows
}

/// Returns whether a file has a test of that name that is not left out.
fn is_test(text: &str, function: &str) -> bool {
    let Some(at) = text.find(&format!("fn {function}(")) else { return false };
    let line = text[..at].rfind('\n').unwrap_or(0);
    let before: Vec<_> = text[..line].lines().rev().map(str::trim).collect();
    let attributes = || before.iter().take_while(|line| line.starts_with("#["));
    attributes().any(|line| line.ends_with("test]") || line.contains("::test("))
        && !attributes().any(|line| line.starts_with("#[ignore"))
}

/// Returns what is wrong with the rows: too few cells, and tests that are not named or not there. `source`
/// gives a file's text.
pub(crate) fn wrong_rows(
    rows: &[Row<'_>],
    mut source: impl FnMut(&str) -> Option<String>,
) -> Vec<String> {
    let mut files = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows {
        let name = format!("{}, {:?}", row.section, row.first());
        if row.cells.len() != 5 {
            wrong.push(format!("{name}: {} cells in place of 5", row.cells.len()));
        }
        if row.tests().is_empty() {
            wrong.push(format!("{name}: names no test"));
        }
        for (file, function) in row.tests() {
            let text = files.entry(file).or_insert_with(|| source(file).unwrap_or_default());
            if !is_test(text, function) {
                wrong.push(format!("{name}: there is no test {file}::{function}"));
            }
        }
    }
    wrong
}
