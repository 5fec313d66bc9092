//! `cargo xtask deny`: what `deny.toml` says of dependencies, by a fixed version of cargo-deny.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Outcome;

const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources. Advisories need a list from elsewhere and are looked at where it
/// can be had: `cargo deny check advisories`.
pub(crate) fn run() -> Outcome {
    let program = installed()?;
    let status = Command::new(program)
        .args(["--all-features", "check", "licenses", "bans", "sources"])
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program, which is installed first if that version is not there.
fn installed() -> Outcome<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let root = std::path::absolute(target.join("tools"))?;
    let program = root.join("bin/cargo-deny");
    if !is_version(&program) {
        let status = Command::new("cargo")
            .args(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"])
            .arg(&root)
            .status()?;
        if !status.success() {
            return Err("cargo-deny could not be installed".into());
        }
    }
    Ok(program)
}

fn is_version(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION))
}
