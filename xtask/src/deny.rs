//! `cargo xtask deny`: checks dependencies by `deny.toml`.

use std::process::{Command, ExitCode};

use crate::Outcome;
use crate::tools::DENY;

/// Checks licences, bans and sources. Advisories need a list from the network, and are checked separately:
/// `cargo deny check advisories`.
pub(crate) fn run() -> Outcome {
    let status = Command::new(DENY.installed()?)
        .args(["--all-features", "check", "licenses", "bans", "sources"])
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
