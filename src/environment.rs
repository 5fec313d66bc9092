//! The environment of the process, which no other file reads.

use std::ffi::OsString;

/// The value of a variable; none if it is not set.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::var_os(name)
}

/// The names of all variables that are set, but for those that are no text.
pub(crate) fn names() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let all = std::env::vars_os();
    all.filter_map(|(name, _)| name.into_string().ok()).collect()
}
