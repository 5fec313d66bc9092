//! `cargo xtask lowest-versions`: builds the published crates with the lowest versions of their dependencies
//! that their manifests allow.
//!
//! Each crate is built alone, as it is published, so that its own bounds are tested and not those of other
//! members. Cargo's option for the lowest versions is unstable; an environment variable enables it in the
//! stable release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cargo_metadata::Package;

use crate::Outcome;
use crate::members;

/// Checks all published crates, or those whose name contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let wanted = arguments.first().map_or("", String::as_str);
    let root = root();
    let folder = root.join("target/lowest-versions");
    let mut failed = false;
    let published = published(&root)?;
    for (name, path) in published.iter().filter(|(name, _)| name.contains(wanted)) {
        let copy = folder.join(name);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        let workspace = lay_out(&root, &copy, path, &published)?;
        let result = build(&workspace, name, &folder.join("target"));
        println!("{name}: {}", if result.is_ok() { "builds" } else { "FAILED" });
        if let Err(error) = result {
            eprintln!("{error}");
            failed = true;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns the names of the published members, and their folders in the repository.
fn published(root: &Path) -> Outcome<Vec<(String, String)>> {
    let folder = |package: &Package| {
        let manifest = package.manifest_path.as_std_path();
        let folder = manifest.parent()?.strip_prefix(root).ok()?.to_str()?;
        Some(if folder.is_empty() { "." } else { folder }.to_owned())
    };
    let members = members::published()?;
    let rows = members.iter().map(|package| Some((package.name.to_string(), folder(package)?)));
    rows.collect::<Option<_>>().ok_or_else(|| "a member is outside of the repository".into())
}

/// Returns the path of this repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Copies the files that are needed to build one member, and returns the folder of its workspace. The core is
/// a workspace of its own; that of a member is beside the core, so that the core's bounds are not tested.
fn lay_out(
    root: &Path,
    copy: &Path,
    path: &str,
    published: &[(String, String)],
) -> Outcome<PathBuf> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let core = copy.join("core");
    // Other members that it depends on stay with the core, so that their bounds are not tested either.
    let own = fs::read_to_string(root.join(path).join("Cargo.toml"))?;
    let taken: Vec<_> = published
        .iter()
        .filter(|(name, _)| own.contains(&format!("\n{name}.workspace = true")))
        .map(|(_, path)| path.as_str())
        .filter(|path| *path != ".")
        .chain([path])
        .map(|path| format!("{path}/"))
        .collect();
    let is_taken = |file: &String| taken.iter().any(|path| file.starts_with(path));
    for file in tracked(root)?.iter().filter(|file| belongs_to_core(file) || is_taken(file)) {
        let to = core.join(file);
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::copy(root.join(file), to)?;
    }
    fs::write(core.join("Cargo.toml"), with_members(&manifest, &["."])?)?;
    if path == "." {
        return Ok(core);
    }
    let member = copy.join("member");
    fs::create_dir_all(&member)?;
    fs::rename(core.join(path), member.join("crate"))?;
    // A member without the core's default features cannot inherit the dependency from the workspace.
    let own = fs::read_to_string(member.join("crate/Cargo.toml"))?;
    let own = own.replace("path = \"../..\"", "path = \"../../core\"");
    fs::write(member.join("crate/Cargo.toml"), own)?;
    let (workspace, _) =
        manifest.split_once("\n[package]\n").ok_or("no [package] in Cargo.toml")?;
    let workspace = with_members(workspace, &["crate"])?;
    let workspace = workspace
        .replace("path = \".\"", "path = \"../core\"")
        .replace("path = \"integrations/", "path = \"../core/integrations/");
    fs::write(member.join("Cargo.toml"), workspace)?;
    Ok(member)
}

fn tracked(root: &Path) -> Outcome<Vec<String>> {
    let output = Command::new("git").arg("ls-files").current_dir(root).output()?;
    if !output.status.success() {
        return Err("git ls-files failed".into());
    }
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn belongs_to_core(file: &str) -> bool {
    ["src/", "tests/", "README.md", "LICENSE", "clippy.toml"]
        .iter()
        .any(|own| file.starts_with(own))
}

/// Returns a workspace's manifest with other members.
fn with_members(manifest: &str, members: &[&str]) -> Outcome<String> {
    let broken = "no list of members in Cargo.toml";
    let (before, rest) = manifest.split_once("members = [").ok_or(broken)?;
    let (_, after) = rest.split_once("\n]").ok_or(broken)?;
    Ok(format!("{before}members = {members:?}{after}"))
}

/// Selects the lowest versions, and builds all targets of the crate with them.
fn build(workspace: &Path, name: &str, target: &Path) -> Outcome<()> {
    let lock = ["-Z", "direct-minimal-versions", "generate-lockfile"];
    let check = ["check", "--locked", "--all-features", "--bins", "--tests", "--package", name];
    for arguments in [&lock[..], &check[..]] {
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(workspace)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", target)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_gets_other_members_and_keeps_the_rest() {
        let manifest =
            "[workspace]\nmembers = [\n    \".\",\n    \"a\", # b\n]\nresolver = \"3\"\n";
        let expected = "[workspace]\nmembers = [\"crate\"]\nresolver = \"3\"\n";
        let changed = with_members(manifest, &["crate"]);
        assert_eq!(changed.ok().as_deref(), Some(expected));
        assert!(with_members("[package]", &["."]).is_err());
    }

    #[test]
    fn every_member_that_is_published_is_checked() {
        let rows = published(&root()).unwrap();
        for (name, path) in &rows {
            let manifest = fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap();
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{path}");
        }
        let published = fs::read_dir(root().join("integrations")).unwrap().count();
        let rows = rows.iter().filter(|(_, path)| path.starts_with("integrations/")).count();
        assert_eq!(rows, published, "an integration has no row");
    }
}
