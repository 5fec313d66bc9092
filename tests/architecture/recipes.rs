//! CONTRIBUTING's recipes for new kinds, followed to the letter in a copy of the package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::{root, sources_in};

/// A recipe: its heading, the folder of the kind, the table that its row goes to, the words that are the
/// kind's own.
struct Recipe {
    heading: &'static str,
    folder: &'static str,
    table: Option<&'static str>,
    names: [&'static str; 2],
}

const RECIPES: [Recipe; 4] = [
    Recipe {
        heading: "### A sampler",
        folder: "sampler",
        table: Some("SAMPLERS"),
        names: ["coin", "Coin"],
    },
    Recipe {
        heading: "### A transport",
        folder: "transport",
        table: None,
        names: ["discard", "Discard"],
    },
    Recipe {
        heading: "### A propagation format",
        folder: "propagation",
        table: Some("FORMATS"),
        names: ["plain", "Plain"],
    },
    Recipe {
        heading: "### An encoding",
        folder: "encoding",
        table: Some("ENCODINGS"),
        names: ["names", "Names"],
    },
];

/// What a recipe says, for a custom kind.
struct Edits {
    file: String,
    /// The lines of `mod.rs`.
    lines: Vec<String>,
}

impl Recipe {
    /// The recipe as the document has it; the kind has another name if `suffix` is not empty.
    fn edits(&self, document: &str, suffix: &str) -> Edits {
        let section = document.split(&format!("{}\n", self.heading)).nth(1);
        let section = section.unwrap_or_else(|| panic!("no `{}`", self.heading));
        let section = section.split("\n##").next().unwrap_or_default();
        let blocks: Vec<_> = section
            .split("```rust\n")
            .skip(1)
            .map(|block| block.split("```").next().unwrap_or_default())
            .map(|block| self.renamed(block, suffix))
            .collect();
        let [file, lines] = &blocks[..] else { panic!("{}: not two blocks", self.heading) };
        Edits { file: file.clone(), lines: lines.lines().map(str::to_owned).collect() }
    }

    fn renamed(&self, text: &str, suffix: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, name| {
            let mut out = String::new();
            for part in text.split_inclusive(name) {
                out.push_str(part);
                if part.ends_with(name) {
                    out.push_str(suffix);
                }
            }
            out
        })
    }

    /// Follows the recipe in a package at `copy`.
    fn follow(&self, copy: &Path, edits: &Edits, suffix: &str) {
        let folder = copy.join("src").join(self.folder);
        let file = folder.join(format!("{}{suffix}.rs", self.names[0]));
        assert!(!file.exists(), "{} is there already", file.display());
        fs::write(file, &edits.file).unwrap();
        let registry = folder.join("mod.rs");
        let mut text = fs::read_to_string(&registry).unwrap();
        for line in &edits.lines {
            let at = if line.starts_with("mod ") {
                text.find("\nmod ").map(|at| at + 1)
            } else if line.starts_with("pub use ") {
                text.find("\npub use self::").map(|at| at + 1)
            } else {
                let table = self.table.unwrap_or_else(|| panic!("{line}: of no table"));
                let begin = text.find(&format!("pub const {table}:")).unwrap();
                text[begin..].find("\n];").map(|end| begin + end + 1)
            };
            text.insert_str(at.unwrap(), &format!("{line}\n"));
        }
        fs::write(registry, text).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The folder that this test was built in.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}

/// Makes its own package out of this one, as far as its library goes.
fn copy_package(to: &Path) {
    let _ = fs::remove_dir_all(to);
    copy_folder(&root().join("src"), &to.join("src"));
    fs::copy(root().join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    fs::copy(root().join("README.md"), to.join("README.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once("\n]").unwrap();
    // What it builds beside the library is not there.
    let mut is_left_out = false;
    let rest: Vec<_> = rest
        .lines()
        .filter(|line| {
            if line.starts_with('[') {
                is_left_out = line.starts_with("[[") || line.contains("dev-dependencies");
            }
            !is_left_out
        })
        .collect();
    let manifest = format!("{before}members = [\".\"]{}\n", rest.join("\n"));
    fs::write(to.join("Cargo.toml"), manifest).unwrap();
}

/// Three of each kind, one after the other: the third needs nothing that the first did not.
#[test]
fn the_recipes_of_the_contributing_guide_compile_and_three_of_each_keep_all_rules() {
    let document = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let copy = target().join("recipes");
    copy_package(&copy);
    for suffix in ["", "2", "3"] {
        for recipe in &RECIPES {
            let edits = recipe.edits(&document, suffix);
            recipe.follow(&copy, &edits, suffix);
        }
    }
    super::report(super::broken_rules(&sources_in(&copy.join("src"))));
    let output = Command::new(env!("CARGO"))
        .args(["check", "--lib", "--offline", "--no-default-features", "--quiet"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("warning"), "{errors}");
}
