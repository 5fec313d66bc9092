//! Runs golden cases recorded from jaeger-client-go against this client.
//!
//! `vectors FILE…` prints a line for each case that fails or is skipped, then what deviates on
//! purpose, then `N passed, N failed, N skipped`. The exit code is 1 if a case failed, 2 if a
//! file could not be run at all. `vectors --update FILE…` writes what differs from the recorded answers
//! by the rules to `ours/` beside each file, to be reviewed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let updates = files.first().is_some_and(|first| first == Path::new("--update"));
    let run = if updates { vectors::update_file } else { vectors::run_file };
    files.drain(..usize::from(updates));
    let mut report = vectors::Report::default();
    let outcome = match files.as_slice() {
        [] => Err(String::from("usage: vectors [--update] FILE…")),
        files => files.iter().try_for_each(|file| {
            run(file, &mut report).map_err(|error| format!("{}: {error}", file.display()))
        }),
    };
    // A closed pipe, as by `head`, is no failure of the cases.
    let _ = write!(std::io::stdout().lock(), "{report}");
    match outcome {
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "vectors: {error}");
            ExitCode::from(2)
        }
        Ok(()) if report.failed() > 0 => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}
