//! Decides whether a test that needs servers runs, is skipped, or fails for want of them.
//!
//! The variable `INTEROP` says it: absent, the test is skipped; `run`, it runs where its tools are
//! found; `required`, it fails where they are not.

use std::env;
use std::io::{self, Write};

/// What came of asking for a thing that may not be there.
pub type Found<T> = Result<T, String>;

/// Gives what `find` finds, if tests with servers are wanted; otherwise says why `test` is skipped.
///
/// # Panics
///
/// If `INTEROP` is `required` and `find` found nothing, or if it is no word known here.
pub fn enter<T>(test: &str, find: impl FnOnce() -> Found<T>) -> Option<T> {
    let required = match env::var("INTEROP").as_deref() {
        Ok("required") => true,
        Ok("run") => false,
        Ok(word) => panic!("INTEROP is `{word}`; it may be `run`, `required` or absent"),
        Err(_) => {
            say(&format!("skipped: {test}: INTEROP is not set; INTEROP=run runs it"));
            return None;
        }
    };
    match find() {
        Ok(found) => Some(found),
        Err(why) if required => panic!("{test}: INTEROP=required, but {why}"),
        Err(why) => {
            say(&format!("skipped: {test}: {why}"));
            None
        }
    }
}

/// Writes a line that is seen even when the test passes.
///
/// The macros' output is kept back by the test runner unless the test fails, and a skipped test
/// that nobody sees looks like a test that ran.
pub fn say(line: &str) {
    // In one piece, as other tests write at the same time. A closed stderr leaves nobody to tell.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
