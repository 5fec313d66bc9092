//! Tasks of the repository.
//!
//! `cargo xtask check` runs all checks of a change before it is merged.
//! `cargo xtask compare` measures this client and other ones.
//! `cargo xtask contracts` holds the hot path to its instruction and allocation counts.
//! `cargo xtask features` measures what each feature adds to a program.
//! `cargo xtask flood` runs a tracer at the maximum rate, and compares its accounting with a sink's counts.
//! `cargo xtask lowest-versions` builds the packages with the lowest versions of dependencies and Rust.
//! `cargo xtask other-systems` compiles the libraries for systems that no test runs on.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]
#![allow(clippy::disallowed_methods, reason = "a tool measures time and starts threads")]

mod callgrind;
mod cases;
mod check;
mod compare;
mod contracts;
mod features;
mod flood;
mod lowest;
mod members;
mod package_variables;
mod process;
mod sink;
mod systems;
mod tools;
mod walk;

use std::error::Error;
use std::process::ExitCode;

/// The result of a task; by default, whether all checks of the task have passed.
type Outcome<T = ExitCode> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments.split_first().map_or(("", &[][..]), |(t, r)| (t.as_str(), r));
    let outcome = match task {
        "check" => check::run(rest),
        "compare" => compare::run(rest),
        "contracts" => contracts::run(rest),
        "contract-case" => contracts::run_case(rest),
        "features" => features::run(rest),
        "flood" => flood::run(rest),
        "lowest-versions" => lowest::run(rest),
        "other-systems" => systems::run(rest),
        "sink" => sink::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask {task}: {error}");
        ExitCode::from(2)
    })
}

const USAGE: &str = "\
usage: cargo xtask <task>

  check [NAME...] [--except NAME...]
                                    formats, lints, tests, contracts, packages, docs and dependencies:
                                    the steps whose name contains NAME, or all; exit 1 if one fails
  compare [PEER...] [--quick] [--rounds 3] [--seconds 3] [--no-load] [--no-weight] [--build] [--picture FILE]
                                    the client beside its peers, which are below compare/: what a span
                                    costs, what is delivered, what is compiled; medians of the rounds
                                    beside their goals, and all of them, as tables
  contracts [NAME]                  instructions, locked ones, allocations and relative time of the hot path; exit 1
                                    if what was reached before is exceeded, 3 without valgrind
  features [NAME]                   the crates and the size that each feature adds to a program, as a table
  flood [--seconds 5] [--producers 2] [--queue-size SPANS] [--queue-bytes BYTES]
                                    root spans as fast as they go to a sink on loopback; exit 1 if
                                    a span is lost uncounted or the accounting does not balance
  lowest-versions [NAME]            packages what is published, and builds it with the lowest versions of
                                    its dependencies and of Rust; exit 1 if one does not
  other-systems [NAME]              compiles the libraries for Windows, macOS and a system of 32 bits; exit 1 if
                                    one does not";
