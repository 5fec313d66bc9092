//! `cargo xtask check`: all checks of a change before it is merged, except those that need real servers,
//! nginx or a browser, which `.ci/run` adds.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use cargo_metadata::Package;

use crate::Outcome;
use crate::members::published;
use crate::tools::{self, EXTERNAL_TYPES, HACK, TYPOS};

/// Runs the steps whose name contains an argument, or all. Steps whose name contains an argument after
/// `--except` are left out. The steps after a failed one are run, too.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut arguments = arguments.split(|argument| argument == "--except");
    let wanted = arguments.next().unwrap_or_default();
    let refused = arguments.next().unwrap_or_default();
    let contains = |words: &[String], name: &str| words.iter().any(|word| name.contains(word));
    let mut results = Vec::new();
    for step in steps(&published()?) {
        if (wanted.is_empty() || contains(wanted, &step.name)) && !contains(refused, &step.name) {
            println!("\n=== {}", step.name);
            let start = Instant::now();
            let outcome = match step.run() {
                Ok(true) => "ok".to_owned(),
                Ok(false) => "skipped: what it needs cannot be installed here".to_owned(),
                Err(error) => format!("FAILED: {error}"),
            };
            println!("--- {}: {outcome}, {} s", step.name, start.elapsed().as_secs());
            results.push((step.name, start.elapsed().as_secs(), outcome));
        }
    }
    println!("\n=== summary of cargo xtask check");
    for (name, seconds, outcome) in &results {
        println!("{name:<52} {seconds:>5} s  {outcome}");
    }
    let fails = |outcome: &str| outcome.starts_with("FAILED");
    let is_ok = !results.is_empty() && !results.iter().any(|(_, _, outcome)| fails(outcome));
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A check.
struct Step {
    name: String,
    environment: Option<(&'static str, &'static str)>,
    program: Program,
    arguments: Vec<String>,
}

enum Program {
    Cargo,
    /// A tool, which is installed first.
    Tool(&'static tools::Tool),
    /// A toolchain of `rustup`, which is installed first.
    Toolchain(String),
}

impl Step {
    /// Runs the step. Returns false if its program cannot be installed.
    fn run(&self) -> Outcome<bool> {
        let Some(program) = self.program.installed()? else { return Ok(false) };
        if self.name == "packages" {
            remove_unpacked_packages()?;
        }
        let mut command = Command::new(program);
        let status = command.args(&self.arguments).envs(self.environment).status()?;
        if status.success() { Ok(true) } else { Err(status.to_string().into()) }
    }
}

impl Program {
    fn installed(&self) -> Outcome<Option<PathBuf>> {
        Ok(match self {
            Self::Cargo => Some("cargo".into()),
            Self::Tool(tool) => Some(tool.installed()?),
            Self::Toolchain(version) => {
                let install = ["toolchain", "install", version, "--profile", "minimal"];
                let installed = Command::new("rustup").args(install).status();
                installed.is_ok_and(|status| status.success()).then(|| "cargo".into())
            }
        })
    }
}

/// Removes the packages that earlier runs unpacked and built: cargo takes those of the same version for the
/// same, and would build or use the old ones. Its registry of them has no host.
fn remove_unpacked_packages() -> io::Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = home {
        remove_beginning_with(&home.join("registry/src"), "-")?;
    }
    let target = tools::target_folder(Path::new("target"));
    remove_beginning_with(&target.join("debug/.fingerprint"), "jaeger-client")
}

/// Removes the folders in `folder` whose name begins with `prefix`, if there is such a folder.
fn remove_beginning_with(folder: &Path, prefix: &str) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// All checks, in the order in which they run: the fastest to fail first.
fn steps(published: &[Package]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |name: &str, program, arguments: &str| {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        steps.push(Step { name: name.to_owned(), environment: None, program, arguments });
    };
    let packages: String =
        published.iter().map(|package| format!(" --package {}", package.name)).collect();
    let with_features = || published.iter().filter(|package| !package.features.is_empty());

    add("format", Program::Cargo, "fmt --all --check");
    add("spelling", Program::Tool(&TYPOS), "--format brief");
    let deny_warnings = "-- -D warnings";
    add("lints", Program::Cargo, &format!("clippy --workspace --all-targets {deny_warnings}"));
    for package in with_features() {
        let name = &package.name;
        let clippy = format!("clippy --package {name}");
        let without = format!("{clippy} --no-default-features --all-targets {deny_warnings}");
        add(&format!("lints: {name} without features"), Program::Cargo, &without);
        for feature in features(package) {
            let alone = format!("{clippy} --no-default-features --features {feature}");
            add(
                &format!("lints: {name} with {feature} alone"),
                Program::Cargo,
                &format!("{alone} {deny_warnings}"),
            );
        }
        let all = format!("{clippy} --all-features --all-targets {deny_warnings}");
        add(&format!("lints: {name} with all features"), Program::Cargo, &all);
    }
    let pairs = format!("hack check --feature-powerset --depth 2{packages}");
    add("features two by two", Program::Tool(&HACK), &pairs);

    add("tests: workspace", Program::Cargo, "test --workspace");
    for package in with_features().filter(|package| package.name != "jaeger-client") {
        let name = &package.name;
        let all = format!("test --package {name} --all-features");
        add(&format!("tests: {name} with all features"), Program::Cargo, &all);
    }

    add("contracts", Program::Cargo, "xtask contracts");
    add("contracts: http", Program::Cargo, "bench -p jaeger-client-http");
    add("contracts: reqwest", Program::Cargo, "bench -p jaeger-client-reqwest");
    add("contracts: otlp", Program::Cargo, "bench --features otlp --bench otlp");
    add("contracts: tracing", Program::Cargo, "bench -p jaeger-client-tracing");

    let ours = "--package peer-jaeger-client --package peer-jaeger-client-tracing";
    let comparison = format!("check --locked --manifest-path compare/Cargo.toml {ours}");
    add("comparison with other clients", Program::Cargo, &comparison);
    add("lowest versions of dependencies", Program::Cargo, "xtask lowest-versions");
    add("licences and sources of dependencies", Program::Cargo, "xtask deny");
    let is_library = |package: &&Package| package.targets.iter().any(|target| target.is_lib());
    for package in published.iter().filter(is_library) {
        let name = format!("public types: {}", package.name);
        let path = &package.manifest_path;
        let check = format!("check-external-types --all-features --manifest-path {path}");
        add(&name, Program::Tool(&EXTERNAL_TYPES), &check);
    }
    let oldest = published.iter().find_map(|package| package.rust_version.as_ref());
    if let Some(oldest) = oldest {
        let check = format!("+{oldest} check --all-features{packages}");
        add(&format!("oldest Rust: {oldest}"), Program::Toolchain(oldest.to_string()), &check);
    }
    add("packages", Program::Cargo, &format!("package --allow-dirty{packages}"));
    add("documentation", Program::Cargo, "doc --workspace --no-deps --all-features");
    let private = "doc --workspace --no-deps --document-private-items";
    add("documentation of private items", Program::Cargo, private);

    for step in &mut steps {
        if step.name.starts_with("documentation") {
            step.environment = Some(("RUSTDOCFLAGS", "-D warnings"));
        }
        if step.name.starts_with("public types") {
            // It reads what rustdoc writes in JSON, which only an unstable flag lets it write.
            step.environment = Some(("RUSTC_BOOTSTRAP", "1"));
        }
    }
    steps
}

/// The features of a package that a user can name, without `default`.
fn features(package: &Package) -> BTreeSet<&str> {
    package.features.keys().map(String::as_str).filter(|name| *name != "default").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_of_the_core_is_linted_alone() {
        let steps = steps(&published().unwrap());
        for feature in ["tokio", "http", "remote-sampler", "collector-http", "tls", "otlp"] {
            let name = format!("lints: jaeger-client with {feature} alone");
            assert!(steps.iter().any(|step| step.name == name), "{name}");
        }
    }

    #[test]
    fn only_what_is_published_is_packaged() {
        let steps = steps(&published().unwrap());
        let packages = steps.iter().find(|step| step.name == "packages").unwrap();
        let names = |name: &str| packages.arguments.iter().any(|argument| argument == name);
        assert!(names("jaeger-client") && names("jaeger-client-tracing"));
        assert!(!names("xtask") && !names("interop"));
    }
}
