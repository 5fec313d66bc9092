//! Holds PARITY.md to its word: every row names tests, and every test that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::table::{Row, rows, wrong_rows};

/// The defects of the Go client that the table has to have a row for.
const DEFECTS: std::ops::RangeInclusive<usize> = 1..=30;

/// Returns what is wrong with the rows; `source` gives a file's text.
fn wrong(rows: &[Row<'_>], source: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let is_silent = |row: &&Row<'_>| row.cells.get(3).is_none_or(|ours| ours.is_empty());
    let silent = rows.iter().filter(is_silent);
    let silent = silent
        .map(|Row { section, cells }| format!("{section}, {cells:?}: says nothing of this client"));
    wrong_rows(rows, source).into_iter().chain(silent).collect()
}

#[test]
fn every_row_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("PARITY.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 90, "the tables are read: {} rows", rows.len());
    let wrong = wrong(&rows, |file| fs::read_to_string(root.join(file)).ok());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_defect_has_its_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("PARITY.md")).unwrap();
    let numbers: BTreeSet<usize> = rows(&text)
        .iter()
        .filter(|row| row.section.starts_with("Defects"))
        .filter_map(|row| row.first().split(' ').next()?.parse().ok())
        .collect();
    let missing: Vec<_> = DEFECTS.filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_wrong_with_a_row_is_found() {
    let source = |_: &str| {
        Some(
            "    #[test]\n    fn there() {}\n\n#[test]\n#[ignore]\nfn out() {}\nfn no_test() {}"
                .into(),
        )
    };
    let found = |row: &str| wrong(&rows(&format!("## S\n{row}")), source).len();
    assert_eq!(found("| f | yes | no | yes | `a.rs::there` |"), 0);
    assert_eq!(found("| f | yes | no | yes | |"), 1);
    assert_eq!(found("| f | yes | no | | `a.rs::there` |"), 1);
    assert_eq!(found("| f | yes | yes | `a.rs::there` |"), 1, "a cell is missing");
    for function in ["gone", "out", "no_test", "ther"] {
        assert_eq!(found(&format!("| f | yes | no | yes | `a.rs::{function}` |")), 1, "{function}");
    }
}
