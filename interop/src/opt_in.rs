//! Whether a test that needs servers runs, is skipped, or fails because a tool is missing.
//!
//! The environment variable `INTEROP` decides: if it is not set, the test is skipped; with `run`, the test
//! runs if its tools are installed; with `required`, it fails if they are not.

use std::env;
use std::io::{self, Write};

/// The result of a step of a test; the error is a message for its reader.
pub type StepResult<T> = Result<T, String>;

/// Sets up a test by calling `start`, and returns its servers and programs. Returns `None`, and prints
/// why, if the test is skipped.
///
/// # Panics
///
/// If `INTEROP` is `required` and `start` fails, or if `INTEROP` has an unknown value.
pub fn set_up<T>(test: &str, start: impl FnOnce() -> StepResult<T>) -> Option<T> {
    let required = match env::var("INTEROP").as_deref() {
        Ok("required") => true,
        Ok("run") => false,
        Ok(value) => panic!("INTEROP is `{value}`; it may be `run`, `required` or absent"),
        Err(_) => {
            print_line(&format!("skipped: {test}: INTEROP is not set; INTEROP=run runs it"));
            return None;
        }
    };
    match start() {
        Ok(started) => Some(started),
        Err(why) if required => panic!("{test}: INTEROP=required, but {why}"),
        Err(why) => {
            print_line(&format!("skipped: {test}: {why}"));
            None
        }
    }
}

/// Writes a line to stderr that is shown even if the test passes.
///
/// The test runner captures the output of `eprintln!` and shows it only for a test that fails. Without
/// the line, a skipped test would look like one that ran.
pub fn print_line(line: &str) {
    // In one call, as other tests write at the same time. An error cannot be reported anywhere.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
