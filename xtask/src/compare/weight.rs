//! What a client adds to a program: crates, time to compile, size.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::peers::{Measured, Peer, float, workspace};
use crate::process;

/// Crates, seconds of processor time for a cold release build, and bytes of the stripped program.
pub(super) fn of(peer: &Peer, compile: bool) -> Measured {
    if !peer.is_rust() {
        return Err("not compiled by cargo".to_owned());
    }
    let mut values = BTreeMap::from([
        ("crates".to_owned(), crates(peer)?),
        ("bytes".to_owned(), stripped(peer)?),
    ]);
    if compile {
        values.insert("compile".to_owned(), cold_build(peer)?);
    }
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
        // A name and a version; what follows says where it is from.
        let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut names: Vec<String> = text.lines().map(name).collect();
        names.sort();
        names.dedup();
        Ok::<_, String>(names)
    };
    let (all, harness) = (tree(&peer.package())?, tree("peer-harness")?);
    let own = all.iter().filter(|name| !harness.contains(name)).count() as u64;
    // One is the program that uses it.
    Ok(float(own.saturating_sub(1)))
}

fn stripped(peer: &Peer) -> Result<f64, String> {
    let failed = |error: std::io::Error| error.to_string();
    let copy = std::env::temp_dir().join(format!("{}-{}", peer.package(), std::process::id()));
    let status = Command::new("strip").arg("-o").arg(&copy).arg(peer.program()).status();
    let length = status.and_then(|_| fs::metadata(&copy)).map(|metadata| metadata.len());
    let _ = fs::remove_file(&copy);
    length.map(float).map_err(failed)
}

fn cold_build(peer: &Peer) -> Result<f64, String> {
    let target = std::env::temp_dir().join(format!("xtask-compare-{}", std::process::id()));
    let before = process::children_cpu_seconds();
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--package", &peer.package()])
        .args(["--config", "build.rustc-wrapper=''", "--target-dir"])
        .arg(&target)
        .current_dir(workspace())
        .status();
    let _ = fs::remove_dir_all(&target);
    if !status.is_ok_and(|status| status.success()) {
        return Err("does not compile here".to_owned());
    }
    let spent = process::children_cpu_seconds().zip(before).map(|(after, before)| after - before);
    spent.ok_or_else(|| "processor time is unknown here".to_owned())
}
