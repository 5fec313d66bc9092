//! `cargo xtask check`: all checks of a change before it is merged, except those that need real servers,
//! nginx or a browser, which `.ci/run` adds.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use cargo_metadata::Package;

use crate::Outcome;
use crate::members::{features, libraries, published};
use crate::package_variables::remove_package_variables;
use crate::tools::{self, DENY, EXTERNAL_TYPES, HACK, TYPOS};

/// Runs the steps whose name contains an argument, or all. Steps whose name contains an argument after
/// `--except` are left out. The steps after a failed one are run, too.
///
/// Most steps keep one processor busy, so two are run at a time; those that measure are run last, alone.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut arguments = arguments.split(|argument| argument == "--except");
    let wanted = arguments.next().unwrap_or_default();
    let refused = arguments.next().unwrap_or_default();
    let contains = |words: &[String], name: &str| words.iter().any(|word| name.contains(word));
    let mut steps = steps(&published()?);
    steps.retain(|step| {
        (wanted.is_empty() || contains(wanted, &step.name)) && !contains(refused, &step.name)
    });
    let scheduled = |schedule| steps.iter().filter(move |step| step.schedule == schedule);
    let mut results = Vec::new();
    std::thread::scope(|scope| {
        let parallel = scope
            .spawn(|| scheduled(Schedule::Parallel).map(Step::run_quietly).collect::<Vec<_>>());
        results.extend(scheduled(Schedule::Main).map(Step::run));
        results.extend(parallel.join().unwrap_or_default());
    });
    results.extend(scheduled(Schedule::Alone).map(Step::run));
    println!("\n=== summary of cargo xtask check");
    for StepResult { name, seconds, outcome } in &results {
        println!("{name:<52} {seconds:>5} s  {outcome}");
    }
    // A step of a thread that panicked has no result.
    let fails = |result: &StepResult| result.outcome.starts_with("FAILED");
    let is_ok = !steps.is_empty() && results.len() == steps.len() && !results.iter().any(fails);
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A check.
struct Step {
    name: String,
    schedule: Schedule,
    environment: Option<(&'static str, &'static str)>,
    program: Program,
    arguments: Vec<String>,
}

/// When a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    /// One after the other.
    Main,
    /// Beside the main steps, one after the other, with a target folder of its own: cargo locks a target
    /// folder.
    Parallel,
    /// After all others, one after the other.
    Alone,
}

/// How a step ended.
struct StepResult {
    name: String,
    seconds: u64,
    outcome: String,
}

enum Program {
    Cargo,
    /// This program.
    Xtask,
    /// A tool, which is installed first.
    Tool(&'static tools::Tool),
}

impl Step {
    /// Runs the step with its output on that of this process.
    fn run(&self) -> StepResult {
        println!("\n=== {}", self.name);
        let result = self.timed(|command| Ok(command.status()?));
        println!("--- {}: {}, {} s", result.name, result.outcome, result.seconds);
        result
    }

    /// Runs the step, and prints its output when it has ended.
    fn run_quietly(&self) -> StepResult {
        let mut printed = Vec::new();
        let result = self.timed(|command| {
            let output = command.output()?;
            printed = [output.stdout, output.stderr].concat();
            Ok(output.status)
        });
        let printed = String::from_utf8_lossy(&printed);
        let StepResult { name, seconds, outcome } = &result;
        println!("\n=== {name} (in parallel)\n{printed}--- {name}: {outcome}, {seconds} s");
        result
    }

    fn timed(&self, run: impl FnOnce(&mut Command) -> Outcome<ExitStatus>) -> StepResult {
        let start = Instant::now();
        let outcome = match self.command().and_then(|mut command| run(&mut command)) {
            Ok(status) if status.success() => "ok".to_owned(),
            Ok(status) => format!("FAILED: {status}"),
            Err(error) => format!("FAILED: {error}"),
        };
        StepResult { name: self.name.clone(), seconds: start.elapsed().as_secs(), outcome }
    }

    /// Returns the command of the step, whose program is installed first if necessary.
    fn command(&self) -> Outcome<Command> {
        let mut command = Command::new(self.program.installed()?);
        command.args(&self.arguments).envs(self.environment);
        remove_package_variables(&mut command);
        if self.schedule == Schedule::Parallel {
            let target =
                std::path::absolute(tools::target_folder(Path::new("target")))?.join("parallel");
            command.env("CARGO_TARGET_DIR", target);
        }
        Ok(command)
    }
}

impl Program {
    fn installed(&self) -> Outcome<PathBuf> {
        match self {
            Self::Cargo => Ok("cargo".into()),
            Self::Xtask => Ok(std::env::current_exe()?),
            Self::Tool(tool) => tool.installed(),
        }
    }
}

/// All checks, in the order in which they run: the fastest to fail first.
fn steps(published: &[Package]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |schedule, name: &str, program, arguments: &str| {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        steps.push(Step { name: name.to_owned(), schedule, environment: None, program, arguments });
    };
    let packages: String =
        published.iter().map(|package| format!(" --package {}", package.name)).collect();
    let with_features = || published.iter().filter(|package| !package.features.is_empty());

    add(Schedule::Main, "format", Program::Cargo, "fmt --all --check");
    let deny_warnings = "-- -D warnings";
    let clippy = format!("clippy --workspace --all-targets --all-features {deny_warnings}");
    add(Schedule::Main, "lints: all features", Program::Cargo, &clippy);
    for package in with_features() {
        let name = &package.name;
        let without =
            format!("clippy --package {name} --no-default-features --all-targets {deny_warnings}");
        add(Schedule::Main, &format!("lints: {name} without features"), Program::Cargo, &without);
        // Code that needs a feature which it does not ask for fails here, or with each feature alone. All sets of two
        // would take several times as long.
        for feature in features(package) {
            let others: Vec<_> = features(package).filter(|other| *other != feature).collect();
            let others = others.join(",");
            let without = format!(
                "clippy --package {name} --no-default-features --features {others} {deny_warnings}"
            );
            let name = format!("lints: {name} with all features but {feature}");
            add(Schedule::Main, &name, Program::Cargo, &without);
        }
    }
    let alone = format!("hack clippy --each-feature{packages} {deny_warnings}");
    add(Schedule::Main, "lints: each feature alone", Program::Tool(&HACK), &alone);

    add(Schedule::Main, "tests: workspace", Program::Cargo, "test --workspace");
    let members: String = with_features()
        .filter(|package| package.name != "jaeger-client")
        .map(|package| format!(" --package {}", package.name))
        .collect();
    let tests = format!("test --all-features{members}");
    add(Schedule::Main, "tests: integrations with all features", Program::Cargo, &tests);
    add(
        Schedule::Main,
        "documentation",
        Program::Cargo,
        "doc --workspace --no-deps --all-features",
    );
    let private = "doc --workspace --no-deps --all-features --document-private-items";
    add(Schedule::Main, "documentation of private items", Program::Cargo, private);

    add(Schedule::Parallel, "spelling", Program::Tool(&TYPOS), "--format brief");
    // Advisories need a list from the network, and are checked separately: `cargo deny check advisories`.
    let deny = "--all-features check licenses bans sources";
    add(Schedule::Parallel, "licences and sources of dependencies", Program::Tool(&DENY), deny);
    let ours = "--package peer-jaeger-client --package peer-jaeger-client-tracing";
    let comparison = format!("check --locked --manifest-path compare/Cargo.toml {ours}");
    add(Schedule::Parallel, "comparison with other clients", Program::Cargo, &comparison);
    add(
        Schedule::Parallel,
        "packages, with the lowest versions of dependencies and Rust",
        Program::Xtask,
        "lowest-versions",
    );
    add(Schedule::Parallel, "other systems", Program::Xtask, "other-systems");
    for package in libraries(published) {
        let name = format!("public types: {}", package.name);
        let path = &package.manifest_path;
        let check = format!("check-external-types --all-features --manifest-path {path}");
        add(Schedule::Parallel, &name, Program::Tool(&EXTERNAL_TYPES), &check);
    }

    // These count instructions, which the load does not change.
    add(Schedule::Parallel, "contracts: http", Program::Cargo, "bench -p jaeger-client-http");
    add(Schedule::Parallel, "contracts: reqwest", Program::Cargo, "bench -p jaeger-client-reqwest");
    add(
        Schedule::Parallel,
        "contracts: otlp",
        Program::Cargo,
        "bench --features otlp --bench otlp",
    );
    add(Schedule::Parallel, "contracts: tracing", Program::Cargo, "bench -p jaeger-client-tracing");
    // These measure time, too.
    add(Schedule::Alone, "contracts", Program::Xtask, "contracts");

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_measures_time_runs_alone_and_what_runs_in_parallel_has_a_folder_of_its_own() {
        for step in steps(&published().unwrap()) {
            assert_eq!(step.schedule == Schedule::Alone, step.name == "contracts", "{}", step.name);
            let command = Step { program: Program::Cargo, ..step }.command().unwrap();
            let folder = command.get_envs().find(|(name, _)| *name == "CARGO_TARGET_DIR");
            assert_eq!(folder.is_some(), step.schedule == Schedule::Parallel);
        }
    }

    #[test]
    fn the_features_of_what_is_published_are_checked() {
        let steps = steps(&published().unwrap());
        let step = |name: &str| steps.iter().find(|step| step.name == name).unwrap();
        let alone = &step("lints: each feature alone").arguments;
        let names = |name: &str| alone.iter().any(|argument| argument == name);
        assert!(names("jaeger-client") && names("jaeger-client-tracing"));
        assert!(!names("xtask") && !names("interop"));
        let without_tls =
            step("lints: jaeger-client with all features but tls").arguments.join(" ");
        assert!(without_tls.contains("otlp-gzip") && !without_tls.contains("tls"));
    }
}
