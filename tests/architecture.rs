//! Holds the code to its map: who may name whom, what has one place only, what must be registered.
//!
//! Every rule is a function from one source text to what is wrong with it. The tests of the rules
//! themselves, on short texts, come last: a rule that cannot fail guards nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::fs;

use self::source::{Source, is_word, root, rust_files, sources, words};

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/recipes.rs"]
mod recipes;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/terms.rs"]
mod terms;

/// Modules that everybody may name, and that name each other only.
const LEAVES: &[&str] = &[
    "id",
    "address",
    "clock",
    "instant",
    "environment",
    "error",
    "redact",
    "stats",
    "tags",
    "destructors",
    "diag",
    "fork",
    "lock",
    "non_exhaustive",
    "panics",
    "thread_index",
    "threads",
];

/// Which modules a module may name besides itself and the leaves, from the top down.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "config",
        &[
            "tracer",
            "propagation",
            "reporter",
            "metrics",
            "span",
            "tail",
            "sampler",
            "policy",
            "transport",
            "saved",
            "http_client",
            "encoding",
        ],
    ),
    (
        "tracer",
        &[
            "saved",
            "propagation",
            "reporter",
            "metrics",
            "span",
            "tail",
            "sampler",
            "policy",
            "transport",
            "encoding",
        ],
    ),
    ("propagation", &["span", "encoding"]),
    ("reporter", &["saved", "metrics", "span", "buffers", "transport", "encoding"]),
    ("metrics", &["span", "sampler", "policy"]),
    ("serde", &["span"]),
    ("span", &["sampler", "policy", "tail", "buffers", "encoding"]),
    ("tail", &["encoding"]),
    ("buffers", &["encoding"]),
    ("sampler", &["polling", "http_client", "encoding"]),
    ("policy", &["polling", "http_client"]),
    ("polling", &["http_client"]),
    ("transport", &["http_client", "encoding"]),
    ("http_client", &["encoding"]),
    ("saved", &["encoding"]),
    ("encoding", &[]),
];

/// The only leaf that `encoding` may name: it is pure, so it has no clock and nothing to report to.
const ENCODING_LEAVES: &[&str] = &["id"];

/// Names that have one place in `src`.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("Instant::now", &["instant.rs"]),
    ("SystemTime::now", &["clock.rs"]),
    ("std::env", &["environment.rs"]),
    ("env::var", &["environment.rs"]),
    ("socket2", &["transport/udp/network.rs", "transport/udp/sock_diag.rs", "transport/unix.rs"]),
    ("thread::spawn", THREAD_STARTERS),
    ("thread::Builder", THREAD_STARTERS),
    ("thread::scope", THREAD_STARTERS),
];

const THREAD_STARTERS: &[&str] = &["threads.rs"];

/// Names that a folder must not use.
const NOT_IN: &[(&str, &[&str])] =
    &[("encoding/", &["std::net", "std::fs", "std::thread", "std::time", "Instant", "SystemTime"])];

/// What stops a program, and `unsafe`.
const NEVER: &[&str] =
    &[".unwrap()", ".unwrap_err()", ".expect(", "panic!", "todo!", "unimplemented!", "unsafe"];

/// A folder of kinds, and what shows that a file defines one.
struct Kinds {
    folder: &'static str,
    markers: &'static [&'static str],
    /// Files whose kind no configuration can name: it is made of others, or in code alone.
    unnamed: &'static [&'static str],
    /// The name of its registry.
    table: &'static str,
}

const KINDS: &[Kinds] = &[
    Kinds {
        folder: "encoding",
        table: "ENCODINGS",
        markers: &["BatchView<'_>) -> Result<Vec<u8>"],
        unnamed: &[],
    },
    Kinds {
        folder: "sampler",
        table: "SAMPLERS",
        markers: &[" Sampler for "],
        unnamed: &[
            "guarded",
            "lower_bound",
            "per_operation",
            "pointer",
            "priority",
            "tag_matching",
        ],
    },
    Kinds {
        folder: "propagation",
        table: "FORMATS",
        markers: &[" Format for "],
        unnamed: &["composite"],
    },
];

const MAX_LINES: usize = 500;
const MAX_TEST_LINES: usize = 800;

#[test]
fn modules_name_only_those_below_them() {
    hold(layers);
}

#[test]
fn clocks_environment_sockets_and_threads_have_one_place() {
    hold(places);
}

#[test]
fn nothing_in_the_library_panics_on_purpose_or_is_unsafe() {
    hold(never);
}

#[test]
fn every_configuration_can_gain_fields() {
    hold(extensible);
}

#[test]
fn every_kind_has_its_row_in_the_table_of_its_folder() {
    let sources = sources();
    report(KINDS.iter().flat_map(|kinds| unregistered(kinds, &sources)).collect());
}

#[test]
fn files_are_short() {
    let mut files = Vec::new();
    rust_files(root(), &mut files);
    let wrong = files.iter().filter_map(|file| {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        too_long(&name, &fs::read_to_string(file).unwrap())
    });
    report(wrong.collect());
}

/// Paths through `crate::` stay at or below their module, one module a `use` line.
fn layers(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let (module, depth) = source.module();
    let below = MAY_USE.iter().find(|(name, _)| *name == module).map(|(_, below)| *below);
    let leaves = if module == "encoding" { ENCODING_LEAVES } else { LEAVES };
    let may = [below.unwrap_or_default(), leaves].concat();
    if below.is_none() && !LEAVES.contains(&module) && module != "lib" {
        wrong.push(source.at(0, &format!("module `{module}` has no row in MAY_USE")));
    }
    for at in words(&source.code, "crate::") {
        let path = &source.code[at + "crate::".len()..];
        let name = &path[..path.find(|c: char| !is_word(c)).unwrap_or(path.len())];
        if name.is_empty() {
            let say = "name one module a line: no `crate::{` and no `crate::*`";
            wrong.push(source.at(at, say));
        } else if module != "lib" && name != module && !may.contains(&name) {
            let say = format!("`{module}` names `crate::{name}`; it may name {}", may.join(", "));
            wrong.push(source.at(at, &say));
        }
    }
    for at in words(&source.code, "super::") {
        if source.code[at + "super::".len()..].starts_with("super") {
            wrong.push(source.at(at, "`super::super` hides how far up it goes: write `crate::`"));
        } else if depth == 1 && module != "lib" {
            wrong.push(source.at(at, "`super` is the crate's root here: write `crate::`"));
        }
    }
    wrong
}

/// Returns what has one place is named nowhere else.
fn places(source: &Source) -> Vec<String> {
    let only = ONLY_IN.iter().filter(|(_, places)| !places.contains(&&*source.path)).flat_map(
        |(name, places)| {
            let say = format!("`{name}` belongs in {} only", places.join(" and "));
            words(&source.code, name).map(move |at| source.at(at, &say))
        },
    );
    let not = NOT_IN.iter().filter(|(folder, _)| source.path.starts_with(folder)).flat_map(
        |(folder, names)| {
            names.iter().flat_map(move |name| {
                let say = format!("`{name}` has no business in {folder}");
                words(&source.code, name).map(move |at| source.at(at, &say))
            })
        },
    );
    only.chain(not).collect()
}

fn never(source: &Source) -> Vec<String> {
    NEVER
        .iter()
        .flat_map(|name| {
            let say = format!("`{name}` is for tests only");
            words(&source.code, name).map(move |at| source.at(at, &say))
        })
        .collect()
}

/// A configuration can gain fields: a literal of it must end with `..`, or there is none.
fn extensible(source: &Source) -> Vec<String> {
    let structs = words(&source.code, "pub struct ").filter_map(|at| {
        let (before, rest) = (&source.code[..at], &source.code[at + "pub struct ".len()..]);
        let name = &rest[..rest.find(|c: char| !is_word(c))?];
        let body = &rest[..rest.find("\n}").unwrap_or(rest.len())];
        let attributes = &before[before.rfind("\n\n").unwrap_or(0)..];
        let is_closed = ["__non_exhaustive", "#[non_exhaustive]"]
            .iter()
            .any(|mark| body.contains(mark) || attributes.contains(mark));
        let is_configuration = name.ends_with("Config") || name == "Configuration";
        let say = format!("`{name}` needs a field `__non_exhaustive`, or the attribute");
        (is_configuration && !is_closed).then(|| source.at(at, &say))
    });
    structs.collect()
}

/// Files of kinds without a row. A row of a kind that is not there does not compile.
fn unregistered(kinds: &Kinds, sources: &[Source]) -> Vec<String> {
    let Kinds { folder, markers, unnamed, table: name } = kinds;
    let table = sources.iter().find(|source| source.path == format!("{folder}/mod.rs"));
    let rows = table.and_then(|table| table.code.split(&format!("const {name}:")).nth(1));
    let Some(rows) = rows.and_then(|rows| rows.split("];").next()) else {
        return vec![format!("{folder}/mod.rs: no `const {name}` lists the kinds of this folder")];
    };
    let is_kind = |source: &&Source| {
        let code = source.code.split_whitespace().collect::<Vec<_>>().join(" ");
        markers.iter().any(|marker| code.contains(marker))
    };
    let prefix = format!("{folder}/");
    let inside = sources.iter().filter(|source| source.path.starts_with(&prefix)).filter(is_kind);
    inside
        .map(|source| source.path[prefix.len()..].trim_end_matches(".rs"))
        .map(|file| file.strip_suffix("/mod").unwrap_or(file))
        .filter(|file| *file != "mod" && !file.contains('/') && !unnamed.contains(file))
        .filter(|file| words(rows, &format!("{file}::")).next().is_none())
        .map(|file| format!("{folder}/{file}.rs defines a kind: add its row to {name}"))
        .collect()
}

fn too_long(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let is_test = name.split('/').any(|part| part == "tests" || part == "tests.rs");
    let max = if is_test { MAX_TEST_LINES } else { MAX_LINES };
    (lines > max).then(|| format!("{name}: {lines} lines; at {max} a file has two ideas"))
}

fn hold(rule: fn(&Source) -> Vec<String>) {
    report(sources().iter().flat_map(rule).collect());
}

/// Returns what of the rules for single files, and for kinds, does not hold in a library.
fn broken_rules(sources: &[Source]) -> Vec<String> {
    let rules = [layers, places, never];
    let of_files = sources.iter().flat_map(|source| rules.iter().flat_map(|rule| rule(source)));
    let of_kinds = KINDS.iter().flat_map(|kinds| unregistered(kinds, sources));
    let of_sizes = sources.iter().filter_map(|source| too_long(&source.path, &source.text));
    of_files.chain(of_kinds).chain(of_sizes).collect()
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Returns what a rule finds in a text that stands for the file at `path`.
fn found(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn naming_a_module_above_is_found() {
    let up = "use crate::tracer::Tracer;";
    assert_eq!(found(layers, "span/mod.rs", up), 1);
    assert_eq!(found(layers, "config/mod.rs", up), 0);
    assert_eq!(found(layers, "span/mod.rs", "crate::encoding::x(); crate::span::y();"), 0);
    assert_eq!(found(layers, "encoding/view.rs", "use crate::stats::Stats;"), 1);
    assert_eq!(found(layers, "transport/udp.rs", "pub(in crate::reporter) fn x() {}"), 1);
    assert_eq!(found(layers, "elsewhere.rs", ""), 1);
    let message = &layers(&Source::new("id.rs", "\nuse crate::span::Span;"))[0];
    assert!(message.starts_with("src/id.rs:2: `id` names `crate::span`; it may name id"));
}

#[test]
fn paths_that_hide_their_module_are_found() {
    assert_eq!(found(layers, "config/mod.rs", "use crate::{id, span};"), 1);
    assert_eq!(found(layers, "config/mod.rs", "use crate::*;"), 1);
    assert_eq!(found(layers, "span/mod.rs", "use crate::Span;"), 1);
    assert_eq!(found(layers, "span/mod.rs", "use super::id;"), 1);
    assert_eq!(found(layers, "sampler/remote/poll.rs", "use super::super::Sampler;"), 1);
    assert_eq!(found(layers, "span/tag.rs", "use super::Span; // crate::tracer"), 0);
}

#[test]
fn names_out_of_their_place_are_found() {
    assert_eq!(found(places, "span/mod.rs", "std::time::Instant::now()"), 1);
    assert_eq!(found(places, "clock.rs", "SystemTime::now()"), 0);
    assert_eq!(found(places, "tracer.rs", "use std::env;"), 1);
    assert_eq!(found(places, "reporter/mod.rs", "socket2::Socket::new()"), 1);
    assert_eq!(found(places, "transport/udp/network.rs", "socket2::Socket::new()"), 0);
    assert_eq!(found(places, "transport/udp.rs", "thread::spawn(f)"), 1);
    assert_eq!(found(places, "encoding/read.rs", "use std::net::UdpSocket;"), 1);
}

#[test]
fn what_stops_a_program_is_found() {
    for code in
        ["a.unwrap()", "a.expect(b)", "panic!()", "todo!()", "unimplemented!()", "unsafe {}"]
    {
        assert_eq!(found(never, "id.rs", code), 1, "{code}");
    }
    assert_eq!(found(never, "id.rs", "#[expect(a)] b.unwrap_or(c); // panic!"), 0);
}

#[test]
fn configurations_that_cannot_gain_fields_are_found() {
    let config = |attribute: &str, field: &str| {
        let text =
            format!("\n\n#[derive(Debug)]\n{attribute}\npub struct AConfig {{\n{field}\n}}\n");
        found(extensible, "id.rs", &text)
    };
    assert_eq!(config("", "    pub a: u8,"), 1);
    assert_eq!(config("", "    pub __non_exhaustive: NonExhaustive,"), 0);
    assert_eq!(config("#[non_exhaustive]", "    pub a: u8,"), 0);
}

#[test]
fn kinds_without_a_row_are_found() {
    let kinds = &KINDS[1];
    let kind = Source::new("sampler/constant.rs", "impl\nSampler for ConstSampler {}");
    let table = |text: &str| Source::new("sampler/mod.rs", text);
    let rows =
        |text: &str| unregistered(kinds, &[table(text), Source::new(&kind.path, &kind.text)]);
    assert_eq!(rows("const SAMPLERS: X = &[M { build: Some(constant::build) }];").len(), 0);
    assert_eq!(rows("const SAMPLERS: X = &[]; constant::build").len(), 1);
    assert_eq!(rows("const SAMPLERS: X = &[M { build: Some(not_constant::build) }];").len(), 1);
    assert_eq!(rows("pub trait Sampler {}").len(), 1, "no table");
    let unnamed = Source::new("sampler/priority.rs", &kind.text);
    assert_eq!(unregistered(kinds, &[table("const SAMPLERS: X = &[];"), unnamed]).len(), 0);
}

#[test]
fn long_files_are_found() {
    assert!(too_long("a.rs", &"\n".repeat(MAX_LINES)).is_none());
    assert!(too_long("a.rs", &"\n".repeat(MAX_LINES + 1)).is_some());
    assert!(too_long("tests/a.rs", &"\n".repeat(MAX_TEST_LINES)).is_none());
    assert!(too_long("tests/a.rs", &"\n".repeat(MAX_TEST_LINES + 1)).is_some());
}
