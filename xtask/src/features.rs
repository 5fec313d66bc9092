//! `cargo xtask features`: what each feature of the client adds to a program, the table of the README.
//!
//! The program reads its configuration from the environment and sends to an agent. It is built in a workspace
//! of its own, so that features of other members are not added, with the versions of this one's lockfile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Outcome;

/// Measures all rows, or those whose title contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wanted = arguments.first().map_or("", String::as_str);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap_or(here);
    let folder = root.join("target/features");
    let bare = Program { root, folder: folder.clone(), features: None };
    let bare = bare.build()?;
    println!("| features | crates | kB |\n|---|---:|---:|");
    for (title, features) in ROWS.iter().filter(|(title, _)| title.contains(wanted)) {
        let program = Program { root, folder: folder.clone(), features: Some(features) };
        let bytes = program.build()?.saturating_sub(bare);
        println!("| {title} | {} | {} |", program.crates()?, thousands(bytes.div_ceil(1_000)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Titles in the README, and the features that are on.
const ROWS: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("`tokio`", &["tokio"]),
    ("`http`", &["http"]),
    ("`remote-sampler`", &["remote-sampler"]),
    ("the default", &["default"]),
    ("`collector-http` alone", &["collector-http"]),
    ("`otlp` alone", &["otlp"]),
    ("`tls` alone", &["tls"]),
];

/// A program that uses the client with some features, or, with none, that does not use it.
struct Program<'a> {
    root: &'a Path,
    folder: PathBuf,
    features: Option<&'a [&'a str]>,
}

impl Program<'_> {
    /// Builds it, and returns its size in bytes.
    fn build(&self) -> Outcome<u64> {
        fs::create_dir_all(self.folder.join("src"))?;
        let dependency = self.features.map_or_else(String::new, |features| {
            let path = self.root.display().to_string();
            format!(
                "jaeger-client = {{ path = {path:?}, default-features = false, features = {features:?} }}"
            )
        });
        fs::write(self.folder.join("Cargo.toml"), format!("{MANIFEST}{dependency}\n"))?;
        let main = if self.features.is_some() { MAIN } else { BARE_MAIN };
        fs::write(self.folder.join("src/main.rs"), main)?;
        fs::copy(self.root.join("Cargo.lock"), self.folder.join("Cargo.lock"))?;
        self.cargo(&["build", "--release", "--quiet"])?;
        Ok(fs::metadata(self.folder.join("target/release").join(NAME))?.len())
    }

    /// Counts the crates that the client brings, itself included.
    fn crates(&self) -> Outcome<usize> {
        let tree = self.cargo(&["tree", "--edges", "normal", "--prefix", "none", "--no-dedupe"])?;
        let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let names: BTreeSet<_> = tree.lines().map(name).collect();
        // One of them is the program.
        Ok(names.len().saturating_sub(1))
    }

    fn cargo(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Separates thousands by commas, as the README does.
fn thousands(number: u64) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        high => format!("{},{:03}", thousands(high), number % 1_000),
    }
}

const NAME: &str = "features";

const MANIFEST: &str = r#"[package]
name = "features"
version = "0.0.0"
edition = "2024"

[workspace]

[profile.release]
strip = true

[dependencies]
"#;

const MAIN: &str = r#"//! Reads its configuration from the environment and sends to an agent.

use std::time::Duration;

fn main() -> Result<(), jaeger_client::ConfigError> {
    let (tracer, closer) = jaeger_client::Configuration::from_env()?.new_tracer()?;
    let span = tracer.start_span("op");
    span.set_tag("key", "value");
    span.finish();
    println!("{}", closer.close(Duration::from_secs(1)));
    Ok(())
}
"#;

const BARE_MAIN: &str = r#"fn main() {
    println!("{}", std::env::args().count());
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_separated() {
        let numbers = [0, 999, 1_000, 2_154, 1_002_003].map(thousands);
        assert_eq!(numbers, ["0", "999", "1,000", "2,154", "1,002,003"]);
    }

    #[test]
    fn the_readme_has_a_row_for_each() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, table) =
            readme.split_once("| features | crates | kB |\n|---|---:|---:|\n").unwrap();
        let titles: Vec<_> =
            table.lines().map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
        assert_eq!(titles, ROWS.iter().map(|(title, _)| *title).collect::<Vec<_>>());
    }
}
