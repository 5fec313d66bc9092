//! Files that name each other in a circle.
//!
//! A file names another by what it imports from it, or by a path; an import from a `mod.rs` that only
//! exports it on is one from where it is defined. What a `mod.rs` takes from its own files is left out:
//! it is the folder's outside, and says what is in it.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, is_word, words};

/// Imports that may close a circle: an observer is given the span, and every span leads to the observers
/// of its tracer.
const ALLOWED: &[(&str, &str)] = &[("span::observer::traits", "span::repr")];

/// A module's file, with what is defined there and what it imports.
struct Module<'s> {
    path: Vec<&'s str>,
    code: &'s str,
    defined: BTreeSet<&'s str>,
    /// Paths as they are written, without braces, and whether they are exported on.
    uses: Vec<(Vec<String>, bool)>,
}

const DEFINES: [&str; 8] = ["struct", "enum", "trait", "fn", "const", "type", "static", "union"];

impl<'s> Module<'s> {
    fn of(source: &'s Source) -> Self {
        let path = source.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let path = if path == "lib" { Vec::new() } else { path.split('/').collect() };
        let mut tokens = source.code.split(|c| !is_word(c)).filter(|word| !word.is_empty());
        let mut defined = BTreeSet::new();
        while let Some(token) = tokens.next() {
            if DEFINES.contains(&token) {
                defined.extend(tokens.next());
            }
        }
        Self { path, code: &source.code, defined, uses: uses(&source.code) }
    }

    /// A path as it is written here, from the crate's root; none if it is none of the crate's.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let own = |up: usize| -> Vec<String> {
            self.path[..self.path.len().saturating_sub(up)].iter().map(|s| (*s).into()).collect()
        };
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (own(0), &path[1..]),
            "super" => (own(1), &path[1..]),
            _ => return None,
        };
        Some(base.into_iter().chain(rest.iter().cloned()).collect())
    }
}

/// Returns what is imported, each leaf of a tree by itself.
fn uses(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    for at in words(code, "use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        let statement = &code[at + "use ".len()..];
        let tree: String = statement[..statement.find(';').unwrap_or_default()].into();
        let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut leaves = Vec::new();
        expand("", &tree, &mut leaves);
        found.extend(leaves.into_iter().map(|leaf| (leaf, line.starts_with("pub"))));
    }
    found
}

fn expand(prefix: &str, tree: &str, leaves: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let path = format!("{prefix}{path}");
        let parts = path.split("::").filter(|part| !part.is_empty() && *part != "self");
        let mut parts: Vec<String> = parts.map(|part| part.trim().to_owned()).collect();
        if path.starts_with("self::") {
            parts.insert(0, "self".to_owned());
        }
        if !tree.is_empty() {
            leaves.push(parts);
        }
        return;
    };
    let prefix = format!("{prefix}{before}");
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut begin) = (0_usize, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                expand(&prefix, &inside[begin..at], leaves);
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// Paths in code that begin at the root, here or above, outside of imports.
fn paths(code: &str) -> Vec<Vec<String>> {
    ["crate::", "super::", "self::"]
        .iter()
        .flat_map(|start| words(code, start))
        .map(|at| {
            let path = &code[at..];
            let end = path.find(|c: char| !is_word(c) && c != ':').unwrap_or(path.len());
            let parts = path[..end].split("::").filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        })
        .collect()
}

/// Where an item is defined: the file, by its module.
fn resolve(modules: &BTreeMap<String, Module<'_>>, path: &[String], depth: u32) -> Option<String> {
    let len = (0..=path.len()).rev().find(|len| modules.contains_key(&path[..*len].join("::")))?;
    let name = path[..len].join("::");
    let (Some(item), Some(module)) = (path.get(len), modules.get(&name)) else {
        return Some(name);
    };
    if depth == 0 || module.defined.contains(item.as_str()) {
        return Some(name);
    }
    let exported = module.uses.iter().find(|(path, _)| path.last() == Some(item));
    let further = exported.and_then(|(path, _)| module.absolute(path));
    match further {
        Some(further) if further != path => resolve(modules, &further, depth - 1),
        _ => Some(name),
    }
}

/// The files that each file names.
fn edges(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<_, _> =
        sources.iter().map(Module::of).map(|module| (module.path.join("::"), module)).collect();
    let mut edges = BTreeMap::new();
    for (name, module) in &modules {
        let imported = module.uses.iter().filter(|(_, is_exported)| !is_exported);
        let imported = imported.map(|(path, _)| path.clone());
        let named = imported.chain(paths(module.code));
        let named = named.filter_map(|path| resolve(&modules, &module.absolute(&path)?, 8));
        let own = format!("{name}::");
        let named = named.filter(|other| other != name && !other.starts_with(&own));
        edges.insert(name.clone(), named.collect::<BTreeSet<_>>());
    }
    // The crate's root exports everything, and nothing is defined there.
    edges.remove("");
    for (file, other) in ALLOWED {
        edges.get_mut(*file).map(|others| others.remove(*other));
    }
    edges
}

/// All files that are reached from one.
fn reached<'e>(edges: &'e BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'e str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(file) = next.pop() {
        for other in edges.get(file).into_iter().flatten() {
            if reached.insert(other.as_str()) {
                next.push(other);
            }
        }
    }
    reached
}

/// Files that name each other in a circle, each circle once.
pub(crate) fn circles(sources: &[Source]) -> Vec<String> {
    let edges = edges(sources);
    let all: BTreeMap<_, _> =
        edges.keys().map(|file| (file.as_str(), reached(&edges, file))).collect();
    let mut found = BTreeSet::new();
    for (file, reached) in &all {
        let is_back = |other: &&&str| all.get(**other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&str> = reached.iter().filter(is_back).copied().collect();
        if reached.contains(file) {
            let names = circle.into_iter().collect::<Vec<_>>().join(", ");
            found.insert(format!("these files name each other in a circle: {names}"));
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    super::report(circles(&super::source::sources()));
}

#[test]
fn every_allowance_is_needed() {
    let edges = edges(&super::source::sources());
    for (file, other) in ALLOWED {
        assert!(!reached(&edges, other).is_empty(), "{other} is no file, or imports nothing");
        assert!(reached(&edges, other).contains(file), "{file} does not come back from {other}");
    }
}

#[test]
fn circles_are_found_through_exports_and_paths() {
    let of = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circles(&sources).len()
    };
    let a = ("x/a.rs", "use super::B;\npub struct A;");
    let exports = ("x/mod.rs", "mod a;\nmod b;\npub use self::{a::A, b::B};");
    assert_eq!(of(&[exports, a, ("x/b.rs", "use crate::x::{A as C};\npub struct B;")]), 1);
    assert_eq!(of(&[exports, a, ("x/b.rs", "pub fn b() { super::a::A; }\npub struct B;")]), 1);
    assert_eq!(of(&[exports, a, ("x/b.rs", "pub struct B;")]), 0);
    // What a folder's outside takes from within, and what is within from it.
    let outside = ("y/mod.rs", "mod a;\nuse self::a::A;\npub trait T { fn a() -> A; }");
    assert_eq!(of(&[outside, ("y/a.rs", "use super::T;\npub struct A;")]), 0);
    let through = ("z/c.rs", "use crate::w::D;\npub struct C;");
    assert_eq!(of(&[through, ("w.rs", "use crate::z::c::C;\npub struct D;")]), 1);
}
