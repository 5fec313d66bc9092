//! The environment of the process; no other file reads it.

use std::ffi::OsString;

/// Returns the value of a variable, or `None` if it is not set.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::var_os(name)
}

/// Returns the names of all variables that are set and are valid text.
pub(crate) fn names() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let all = std::env::vars_os();
    all.filter_map(|(name, _)| name.into_string().ok()).collect()
}
