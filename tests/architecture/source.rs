//! The texts that the rules read: the library's files without comments, literals and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One file of `src`: what it says, and its code without comments, literals and tests.
pub(crate) struct Source {
    /// Below `src`, with `/` between folders.
    pub(crate) path: String,
    /// As it is written.
    pub(crate) text: String,
    /// As the rules read it.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_tests(mask(text, false));
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Its module directly below the root, and how deep it is: 1 for that module's own file.
    pub(crate) fn module(&self) -> (&str, usize) {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        (path.split('/').next().unwrap_or(path), path.split('/').count())
    }

    pub(crate) fn at(&self, offset: usize, what: &str) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("src/{}:{line}: {what}", self.path)
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library's files, except those that only tests compile.
pub(crate) fn sources() -> Vec<Source> {
    sources_in(&root().join("src"))
}

/// The files of a library whose sources lie in `src`.
pub(crate) fn sources_in(src: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    let tests: BTreeSet<PathBuf> = files.iter().flat_map(|file| test_files(file)).collect();
    files.retain(|file| !tests.contains(file));
    assert!(!files.is_empty(), "no source found below {}", src.display());
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(src).unwrap().to_string_lossy().replace('\\', "/");
        Source::new(&path, &fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

pub(crate) fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "generated" {
            rust_files(&path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// The files that `file` includes as `#[cfg(test)] mod name;`.
fn test_files(file: &Path) -> Vec<PathBuf> {
    let code = mask(&fs::read_to_string(file).unwrap(), false);
    let owns_folder = matches!(file.file_stem().unwrap().to_str(), Some("mod" | "lib" | "main"));
    let folder = if owns_folder { file.parent().unwrap().into() } else { file.with_extension("") };
    code.split("#[cfg(test)]")
        .skip(1)
        .filter_map(|item| item.trim_start().strip_prefix("mod ")?.split_once(';'))
        .filter(|(name, _)| name.chars().all(is_word))
        .map(|(name, _)| folder.join(name).with_extension("rs"))
        .collect()
}

/// The text with comments, and literals unless they are wanted, turned into blanks.
///
/// Offsets and lines stay what they were.
pub(crate) fn mask(text: &str, keep_literals: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let comment = comment_len(rest);
        let literal = if comment == 0 { literal_len(rest, after_word) } else { 0 };
        let blank = comment > 0 || (literal > 0 && !keep_literals);
        let taken = comment.max(literal).max(first.len_utf8());
        for c in rest[..taken].chars() {
            match c {
                _ if !blank => out.push(c),
                '\n' => out.push('\n'),
                _ => out.extend(std::iter::repeat_n(' ', c.len_utf8())),
            }
        }
        rest = &rest[taken..];
    }
    out
}

/// The length of the comment that `text` starts with.
fn comment_len(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if depth > 0 && text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else if depth > 0 {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the text or character literal that `text` starts with; a lifetime is none.
fn literal_len(text: &str, after_word: bool) -> usize {
    let quoted = |open: usize, quote: char| {
        let mut escaped = false;
        let end = text[open..].find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        end.map_or(text.len(), |end| open + end + 1)
    };
    let hashes = text.chars().skip(1).take_while(|c| *c == '#').count();
    let mut chars = text.chars();
    match chars.next() {
        Some('"') => quoted(1, '"'),
        Some('r') if !after_word && text[1 + hashes..].starts_with('"') => {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            text[body..].find(&close).map_or(text.len(), |end| body + end + close.len())
        }
        Some('b' | 'c') if !after_word && text[1..].starts_with(['r', '"', '\'']) => {
            let literal = literal_len(&text[1..], false);
            if literal > 0 { literal + 1 } else { 0 }
        }
        Some('\'') if text[1..].starts_with('\\') => quoted(1, '\''),
        Some('\'') if chars.nth(1) == Some('\'') => quoted(1, '\''),
        _ => 0,
    }
}

/// The code with everything behind `#[cfg(test)]` turned into blanks.
fn without_tests(mut code: String) -> String {
    const MARK: &str = "#[cfg(test)]";
    while let Some(start) = code.find(MARK) {
        let mut depth = 0;
        let end = code[start..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0 && (c == ';' || c == '}')
        });
        let end = end.map_or(code.len(), |end| start + end + 1);
        let blank: String = code[start..end]
            .chars()
            .flat_map(|c| std::iter::repeat_n(if c == '\n' { c } else { ' ' }, c.len_utf8()))
            .collect();
        code.replace_range(start..end, &blank);
    }
    code
}

/// Where `name` stands in `code` as a separate word.
pub(crate) fn words(code: &str, name: &str) -> impl Iterator<Item = usize> {
    let whole = |at: &usize| {
        let opens = !name.starts_with(is_word) || !code[..*at].ends_with(is_word);
        let closes = !name.ends_with(is_word) || !code[at + name.len()..].starts_with(is_word);
        opens && closes
    };
    let found: Vec<_> = code.match_indices(name).map(|(at, _)| at).filter(whole).collect();
    found.into_iter()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn what_is_no_code_is_not_read() {
    let text = "a // crate::b\n/* crate::c /* d */ */ e \"crate::f\\\"\" r#\"\"g\"# b'h' '\\'' 'i' &'j k é";
    let code = mask(text, false);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "&'j", "k", "é"]);
    assert_eq!(code.len(), text.len());
    assert!(mask(text, true).contains("\"crate::f\\\"\""));
}

#[test]
fn tests_are_not_read() {
    let text = "a\n#[cfg(test)]\nmod tests { fn b() { '{'; } }\n#[cfg(test)]\nmod c;\nd";
    let source = Source::new("e.rs", text);
    assert_eq!(source.code.split_whitespace().collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(source.at(source.code.find('d').unwrap(), "f"), "src/e.rs:6: f");
}

#[test]
fn the_module_of_a_file_is_the_first_of_its_path() {
    let module = |path| {
        let source = Source::new(path, "");
        let (module, depth) = source.module();
        (module.to_owned(), depth)
    };
    assert_eq!(module("id.rs"), ("id".to_owned(), 1));
    assert_eq!(module("span/mod.rs"), ("span".to_owned(), 1));
    assert_eq!(module("sampler/remote/poll.rs"), ("sampler".to_owned(), 3));
}
