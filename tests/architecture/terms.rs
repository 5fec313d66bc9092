//! Words that identifiers must not have: each has a standard term, or meant several things.

use std::fs;

use super::source::{is_word, mask, root, rust_files};

/// What must not be written, and what is written instead.
const TERMS: &[(&str, &str)] = &[
    ("answer", "response; decision of a sampler"),
    ("answered", "responded"),
    ("answers", "responses"),
    ("ask", "request, poll, call"),
    ("asked", "requested, polled, called"),
    ("asks", "polls, calls"),
    ("aside", "slow path, with hooks"),
    ("careful", "slow path"),
    ("carefully", "slow path"),
    ("door", "protocol, receiver"),
    ("doors", "protocols, receivers"),
    ("foreign", "of other vendors, of other systems"),
    ("forget", "discard, remove"),
    ("forgets", "discards, removes"),
    ("forgotten", "discarded, removed"),
    ("heard", "received"),
    ("hurried", "cancelled"),
    ("hurry", "close signal"),
    ("keeping", "retaining, with tail sampling"),
    ("kept", "retained, stored, reused"),
    ("lane", "stripe"),
    ("lanes", "stripes"),
    ("ledger", "accounting"),
    ("light", "non-recording"),
    ("mended", "regression"),
    ("mood", "rates of faults"),
    ("moody", "unreliable"),
    ("question", "request, poll"),
    ("questions", "requests, polls"),
    ("receipt", "report"),
    ("receipts", "reports"),
    ("said", "message, text, body"),
    ("spoke", "written, sent"),
    ("spoken", "negotiated, supported"),
    ("stranger", "untrusted, unknown"),
    ("strangers", "untrusted, unknown"),
    ("tell", "notify, log, report"),
    ("telling", "notifying, logging"),
    ("tells", "notifies, logs"),
    ("told", "notified, logged"),
    ("truth", "boolean"),
    ("truths", "booleans"),
    ("wish", "request"),
];

/// Names of others.
const ALLOWED: &[&str] = &[
    "forget", // of `std::mem`
];

#[test]
fn identifiers_use_standard_terms() {
    let mut files = Vec::new();
    rust_files(root(), &mut files);
    let wrong: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(file).unwrap();
            unusual(&text).into_iter().map(move |found| format!("{name}:{found}"))
        })
        .collect();
    super::report(wrong);
}

/// The identifiers of `text` that have such a word, with their lines.
fn unusual(text: &str) -> Vec<String> {
    let code = mask(text, false);
    let identifiers = code.lines().enumerate().flat_map(|(number, line)| {
        let identifiers = line.split(|c| !is_word(c)).filter(|name| !ALLOWED.contains(name));
        identifiers.map(move |name| (number + 1, name))
    });
    let found = identifiers.flat_map(|(line, name)| {
        let parts: Vec<_> = parts(name).collect();
        let matching = TERMS.iter().filter(move |(word, _)| parts.iter().any(|part| part == word));
        matching.map(move |(word, term)| format!("{line}: {name}: not {word}, but {term}"))
    });
    found.collect()
}

/// The words of an identifier, in lower case.
fn parts(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && after_lower) {
            spaced.push(' ');
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
        if c != '_' {
            spaced.extend(c.to_lowercase());
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[test]
fn other_words_in_identifiers_are_found() {
    for text in ["fn is_asked()", "struct NoAnswer;", "const MAX_ANSWERS: u8", "let kept2 = kept;"]
    {
        assert_eq!(unusual(text).len(), 1, "{text}");
    }
    for text in
        ["let task = mask(flight);", "mem::forget(a); // asked", "\"kept\"", "let highlight"]
    {
        assert!(unusual(text).is_empty(), "{text}");
    }
}
