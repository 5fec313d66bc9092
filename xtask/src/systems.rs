//! `cargo xtask other-systems`: compiles the published libraries for systems that no test runs on.
//!
//! Nothing is linked, so that no other compiler is needed. TLS is left out, which brings C code.

use std::process::{Command, ExitCode};

use cargo_metadata::Package;

use crate::Outcome;
use crate::members;

/// A system without `fork` and Unix sockets; one whose C library is not Linux's; and one of 32 bits.
const TARGETS: [&str; 3] =
    ["x86_64-pc-windows-gnu", "x86_64-apple-darwin", "i686-unknown-linux-gnu"];

/// The feature whose crates are compiled by a C compiler. Features that enable it are left out, too.
const NEEDS_C: &str = "tls";

/// Checks all systems, or those whose name contains the first argument. One whose standard library cannot be
/// installed is left out.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wanted = arguments.first().map_or("", String::as_str);
    let published = members::published()?;
    let mut targets = TARGETS.iter().filter(|target| target.contains(wanted)).peekable();
    targets.peek().ok_or("no system has that in its name")?;
    let mut failed = false;
    for target in targets {
        match Command::new("rustup").args(["target", "add", target]).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                println!("{target}: left out: {}", String::from_utf8_lossy(&output.stderr).trim());
                continue;
            }
            Err(error) => {
                println!("{target}: left out: rustup: {error}");
                continue;
            }
        }
        let status = Command::new("cargo").args(check(&published, target)).status()?;
        println!("{target}: {}", if status.success() { "compiles" } else { "FAILED" });
        failed |= !status.success();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the arguments of cargo that check all libraries for a system.
fn check(published: &[Package], target: &str) -> Vec<String> {
    let mut arguments = ["check", "--lib", "--target", target].map(str::to_owned).to_vec();
    let mut features = Vec::new();
    for package in members::libraries(published) {
        arguments.extend(["--package".to_owned(), package.name.to_string()]);
        let needs_c = |name: &str| {
            name == NEEDS_C || package.features[name].iter().any(|enabled| enabled == NEEDS_C)
        };
        let names = members::features(package).filter(|name| !needs_c(name));
        features.extend(names.map(|name| format!("{}/{name}", package.name)));
    }
    arguments.extend(["--features".to_owned(), features.join(",")]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_libraries_are_checked_with_all_features_but_tls() {
        let arguments = check(&members::published().unwrap(), TARGETS[0]);
        let features = arguments.last().unwrap();
        assert!(features.contains("jaeger-client/otlp"), "{features}");
        assert!(!features.contains("/tls") && !features.contains("/http2"), "{features}");
        assert!(arguments.contains(&"jaeger-client-tracing".to_owned()));
        assert!(!arguments.contains(&"xtask".to_owned()));
    }
}
