//! Programs from crates.io that the checks need, each at a fixed version.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// A program, and its crate.
pub(crate) struct Tool {
    pub(crate) package: &'static str,
    pub(crate) binary: &'static str,
    pub(crate) version: &'static str,
}

pub(crate) const DENY: Tool =
    Tool { package: "cargo-deny", binary: "cargo-deny", version: "0.20.2" };
pub(crate) const EXTERNAL_TYPES: Tool = Tool {
    package: "cargo-check-external-types",
    binary: "cargo-check-external-types",
    version: "0.5.0",
};
pub(crate) const HACK: Tool =
    Tool { package: "cargo-hack", binary: "cargo-hack", version: "0.6.46" };
pub(crate) const TYPOS: Tool = Tool { package: "typos-cli", binary: "typos", version: "1.42.3" };

/// Returns cargo's target folder: that of the environment, or `default`.
pub(crate) fn target_folder(default: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| default.to_owned(), PathBuf::from)
}

impl Tool {
    /// Returns the path of the program in the target folder, where it is installed first if necessary.
    pub(crate) fn installed(&self) -> Outcome<PathBuf> {
        let root = std::path::absolute(target_folder(Path::new("target")).join("tools"))?;
        let program = root.join("bin").join(self.binary);
        if !self.is_listed(&root) {
            // Without optimization: each is compiled for minutes and runs for seconds.
            let status = Command::new("cargo")
                .args(["install", self.package, "--locked", "--debug", "--version", self.version])
                .arg("--root")
                .arg(&root)
                .arg("--target-dir")
                .arg(root.join("build"))
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .status()?;
            if !status.success() {
                return Err(format!("{} could not be installed", self.package).into());
            }
        }
        Ok(program)
    }

    /// Returns whether this version is in cargo's list of installed programs.
    fn is_listed(&self, root: &Path) -> bool {
        let list = std::fs::read_to_string(root.join(".crates.toml")).unwrap_or_default();
        list.contains(&format!("\"{} {} (", self.package, self.version))
    }
}
