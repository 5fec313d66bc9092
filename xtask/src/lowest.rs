//! `cargo xtask lowest-versions`: builds the published crates with the lowest versions of their dependencies
//! and of Rust that their manifests allow.
//!
//! What is built is the package, as it would be published, so that a file that is missing in it is found, too. Each
//! is built alone, so that its own bounds are tested and not those of other members. Cargo's option for the lowest
//! versions is unstable; an environment variable enables it in the stable release.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cargo_metadata::Package;

use crate::Outcome;
use crate::members;
use crate::tools::target_folder;

/// Checks all published crates, or those whose name contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wanted = arguments.first().map_or("", String::as_str);
    let target = std::path::absolute(target_folder(Path::new("target")))?;
    let published = members::published()?;
    let folder = target.join("lowest-versions");
    let packages = unpack(&published, &target, &folder.join("packages"))?;
    let toolchain = oldest_rust(&published)?.map(|version| format!("+{version}"));
    let mut failed = false;
    for (package, path) in published.iter().zip(&packages) {
        if package.name.contains(wanted) {
            let others = published.iter().zip(&packages).filter(|(other, _)| *other != package);
            let patches: Vec<_> = others.map(|(other, path)| patch(other, path)).collect();
            let result = build(path, &patches, toolchain.as_deref(), &folder.join("target"));
            println!("{}: {}", package.name, if result.is_ok() { "builds" } else { "FAILED" });
            if let Err(error) = result {
                eprintln!("{error}");
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Packages the members, unpacks each below `folder`, and returns their paths.
fn unpack(published: &[Package], target: &Path, folder: &Path) -> Outcome<Vec<PathBuf>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["package", "--quiet", "--no-verify", "--allow-dirty", "--target-dir"]).arg(target);
    output_of(
        cargo.args(published.iter().flat_map(|package| ["--package", package.name.as_str()])),
    )?;
    let unpack = |package: &Package| {
        let name = format!("{}-{}", package.name, package.version);
        let file = target.join("package").join(format!("{name}.crate"));
        output_of(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(folder))?;
        let path = folder.join(name);
        // Its target folder may be in a workspace, to which it does not belong.
        let manifest = OpenOptions::new().append(true).open(path.join("Cargo.toml"));
        manifest?.write_all(b"\n[workspace]\n")?;
        Ok(path)
    };
    published.iter().map(unpack).collect()
}

/// Returns cargo's configuration that takes a member from its unpacked package.
fn patch(package: &Package, path: &Path) -> String {
    format!("patch.crates-io.{}.path={:?}", package.name, path)
}

/// Installs the oldest version of Rust that the members allow, and returns it; `None` where `rustup` is not there.
fn oldest_rust(published: &[Package]) -> Outcome<Option<String>> {
    let oldest = published.iter().find_map(|package| package.rust_version.as_ref());
    let oldest = oldest.ok_or("no member has a `rust-version`")?.to_string();
    let install = ["toolchain", "install", &oldest, "--profile", "minimal"];
    match Command::new("rustup").args(install).output() {
        Ok(output) if output.status.success() => Ok(Some(oldest)),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        Err(_) => {
            println!("without rustup this Rust is used, and not {oldest}");
            Ok(None)
        }
    }
}

/// Selects the lowest versions, and builds with them what a user of the crate builds.
fn build(
    package: &Path,
    patches: &[String],
    toolchain: Option<&str>,
    target: &Path,
) -> Outcome<()> {
    let lock = ["-Z", "direct-minimal-versions", "generate-lockfile"];
    let check = ["check", "--locked", "--all-features"];
    for arguments in [&lock[..], &check[..]] {
        output_of(
            Command::new("cargo")
                .args(toolchain)
                .args(patches.iter().flat_map(|patch| ["--config", patch]))
                .args(arguments)
                .current_dir(package)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_DIR", target),
        )?;
    }
    Ok(())
}

/// Runs a command; what it printed is the error if it fails.
fn output_of(command: &mut Command) -> Outcome<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_that_is_published_is_checked() {
        let names: Vec<_> =
            members::published().unwrap().iter().map(|package| package.name.to_string()).collect();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folders = fs::read_dir(root.join("integrations")).unwrap();
        for folder in folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            assert!(
                names.contains(&format!("jaeger-client-{folder}")),
                "{folder} is not among {names:?}"
            );
        }
    }
}
