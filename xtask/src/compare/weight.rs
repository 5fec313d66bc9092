//! What a client adds to a program: crates, time to compile, size.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::peers::{Measured, Peer, float, workspace};
use crate::process;

/// Crates, and bytes of the stripped program; if it is to be compiled, seconds of processor time for a cold
/// release build.
pub(super) fn of(peer: &Peer, compile: bool) -> Measured {
    if !peer.is_rust() {
        return Err("not compiled by cargo".to_owned());
    }
    if peer.shares_program() {
        return Err("the program of shared spans".to_owned());
    }
    let mut values = if compile {
        cold_build(peer)?
    } else {
        BTreeMap::from([("bytes".to_owned(), stripped(peer, &peer.program())?)])
    };
    values.insert("crates".to_owned(), crates(peer)?);
    Ok(values)
}

/// Packages that the client brings with itself; the harness and its own are not among them.
fn crates(peer: &Peer) -> Result<f64, String> {
    let tree = |package: &str| {
        let output = Command::new("cargo")
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--no-dedupe"])
            .args(["--package", package])
            .current_dir(workspace())
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        // A name and a version, then the source.
        let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut names: Vec<String> = text.lines().map(name).collect();
        names.sort();
        names.dedup();
        Ok::<_, String>(names)
    };
    let (all, harness) = (tree(&peer.package())?, tree("peer-harness")?);
    let own = all.iter().filter(|name| !harness.contains(name)).count() as u64;
    // One of them is the program that uses it.
    Ok(float(own.saturating_sub(1)))
}

fn stripped(peer: &Peer, program: &Path) -> Result<f64, String> {
    let failed = |error: std::io::Error| error.to_string();
    let copy = std::env::temp_dir().join(format!("{}-{}", peer.package(), std::process::id()));
    let status = Command::new("strip").arg("-o").arg(&copy).arg(program).status();
    let length = status.and_then(|_| fs::metadata(&copy)).map(|metadata| metadata.len());
    let _ = fs::remove_file(&copy);
    length.map(float).map_err(failed)
}

/// Compiles the program and its dependencies into an empty folder, without a cache.
fn cold_build(peer: &Peer) -> Measured {
    let target = std::env::temp_dir().join(format!("xtask-compare-{}", std::process::id()));
    let before = process::children_cpu_seconds();
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--package", &peer.package()])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTC_WRAPPER", "") // before that of any configuration
        .current_dir(workspace())
        .status();
    let spent = process::children_cpu_seconds().zip(before).map(|(after, before)| after - before);
    let bytes = stripped(peer, &target.join("release").join(peer.package()));
    let _ = fs::remove_dir_all(&target);
    if !status.is_ok_and(|status| status.success()) {
        return Err("does not compile here".to_owned());
    }
    let spent = spent.ok_or_else(|| "processor time is unknown here".to_owned())?;
    Ok(BTreeMap::from([("compile".to_owned(), spent), ("bytes".to_owned(), bytes?)]))
}
