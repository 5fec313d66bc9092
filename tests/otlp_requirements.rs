//! Holds docs/otlp-requirements.md to its word: no requirement is left out, and every row names tests
//! that are there, but for those that wait for the transport.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use table::{Row, is_test, rows};

#[path = "support/table.rs"]
mod table;

/// How many sentences of each document ask something, and how many comments of the messages.
const NUMBERS: [(&str, usize); 3] = [("P", 118), ("E", 24), ("M", 9)];

/// Rows that say *transport: to come*. Whoever builds it takes them out, until there is none.
const PENDING: &[&str] = &[
    "P48", "P49", "P53", "P54", "P60", "P62", "P64", "P65", "P66", "P67", "P85", "P90", "P91",
    "P92", "P95", "P97", "P98", "P99", "P100", "P101", "P102", "P103", "P105", "P107", "P108",
    "E1", "E2", "E3", "E4", "E8", "E9", "E10", "E11", "E12", "E13", "E14", "E15", "E16", "E17",
    "E18", "E19", "E20", "E21", "E22", "E23", "E24",
];

/// What a row of these says in place of a test.
const TO_COME: &str = "transport: to come";

/// What is wrong with the rows; `source` gives a file's text.
fn wrong(rows: &[Row<'_>], mut source: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let mut files = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows {
        let name = format!("{}, {}", row.section, row.first());
        if row.cells.len() != 5 {
            wrong.push(format!("{name}: {} cells in place of 5", row.cells.len()));
        }
        if row.last() == TO_COME {
            if !PENDING.contains(&row.first()) {
                wrong.push(format!("{name}: is no row that waits for the transport"));
            }
            continue;
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
    for id in PENDING {
        if !rows.iter().any(|row| row.first() == *id && row.last() == TO_COME) {
            wrong.push(format!("{id} waits for nothing: take it from PENDING"));
        }
    }
    wrong
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/otlp-requirements.md")).unwrap()
}

#[test]
fn every_row_names_tests_that_are_there_or_waits_for_the_transport() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = page();
    let wrong = wrong(&rows(&page), |file| fs::read_to_string(root.join(file)).ok());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_requirement_has_its_row_or_binds_no_client() {
    let page = page();
    let in_rows: BTreeSet<&str> = rows(&page).iter().map(Row::first).collect();
    let (_, lists) = page.split_once("## Those that bind").unwrap();
    let is_id = |word: &&str| NUMBERS.iter().any(|(of, _)| is_id(word, of));
    let words = lists.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id);
    let mut listed = BTreeSet::new();
    for id in words {
        assert!(listed.insert(id), "{id} is listed twice");
        assert!(!in_rows.contains(id), "{id} is listed, and has a row");
    }
    let all = NUMBERS.iter().flat_map(|(of, count)| (1..=*count).map(move |n| format!("{of}{n}")));
    for id in all.clone() {
        assert!(in_rows.contains(&*id) || listed.contains(&*id), "{id} is nowhere");
    }
    let all: BTreeSet<String> = all.collect();
    assert!(in_rows.iter().chain(&listed).all(|id| all.contains(*id)), "a number too many");
}

/// Whether a word is a number of this document, such as `P12`.
fn is_id(word: &str, of: &str) -> bool {
    word.strip_prefix(of).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[test]
fn what_is_wrong_with_a_row_is_found() {
    let found = |row: &str| {
        let page = format!("## S\n{row}");
        let wrong = wrong(&rows(&page), |_| Some("#[test]\nfn there() {}".into()));
        wrong.into_iter().filter(|line| !line.contains("waits for nothing")).count()
    };
    assert_eq!(found("| P50 | s | asks | here | `a.rs::there` |"), 0);
    assert_eq!(found("| P50 | s | asks | here | `a.rs::gone` |"), 1);
    assert_eq!(found("| P50 | s | asks | here | |"), 1);
    assert_eq!(found("| P50 | s | asks | here | transport: to come |"), 1, "it is not pending");
    assert_eq!(found("| P50 | s | here | `a.rs::there` |"), 1, "a cell is missing");
}
