//! Holds docs/otlp-requirements.md to its word: no requirement is left out, and every row names tests
//! that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::table::{Row, rows, wrong_rows};

/// How many sentences of each document ask something, and how many comments of the messages.
const NUMBERS: [(&str, usize); 3] = [("P", 118), ("E", 24), ("M", 9)];

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/otlp-requirements.md")).unwrap()
}

#[test]
fn every_row_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = page();
    let wrong = wrong_rows(&rows(&page), |file| fs::read_to_string(root.join(file)).ok());
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

/// Returns whether a word is a number of this document, such as `P12`.
fn is_id(word: &str, of: &str) -> bool {
    word.strip_prefix(of).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[test]
fn what_is_wrong_with_a_row_is_found() {
    let found = |row: &str| {
        let page = format!("## S\n{row}");
        wrong_rows(&rows(&page), |_| Some("#[test]\nfn there() {}".into())).len()
    };
    assert_eq!(found("| P50 | s | asks | here | `a.rs::there` |"), 0);
    assert_eq!(found("| P50 | s | asks | here | `a.rs::gone` |"), 1);
    assert_eq!(found("| P50 | s | asks | here | |"), 1);
    assert_eq!(found("| P50 | s | asks | here | to come |"), 1);
    assert_eq!(found("| P50 | s | here | `a.rs::there` |"), 1, "a cell is missing");
}
