//! `cargo xtask deny`: what `deny.toml` says of dependencies.

use std::process::{Command, ExitCode};

use crate::Outcome;
use crate::tools::DENY;

/// Checks licences, bans and sources. Advisories need a list from elsewhere and are looked at where it
/// can be had: `cargo deny check advisories`.
pub(crate) fn run() -> Outcome {
    let status = Command::new(DENY.installed()?)
        .args(["--all-features", "check", "licenses", "bans", "sources"])
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
