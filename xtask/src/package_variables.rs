//! The variables of the package that cargo runs, for programs that run cargo themselves.

use std::process::Command;

/// Removes the variables that cargo has set for the package of this program: `ring` is compiled again, and all that
/// depends on it, where they differ from those of the last build.
pub(crate) fn remove_package_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"CARGO_PKG_") || bytes.starts_with(b"CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}
