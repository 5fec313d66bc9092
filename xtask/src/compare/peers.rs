//! The programs that are measured: how they are built and called.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::results::Results;
use crate::{Outcome, callgrind, tools};

/// The result of one measurement by a program, or why there is none.
pub(super) type Measured = Result<BTreeMap<String, f64>, String>;

/// A client, in its own program below `compare/`.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Its name, with the version in its lockfile.
    pub(super) title: &'static str,
    /// Its folder in `compare/peers`, and its program without `peer-`.
    folder: &'static str,
    /// Whether the program is to make spans with one owner, of which there are several kinds.
    owned_spans: bool,
    pub(super) role: Role,
    language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// This client.
    Ours,
    /// Another client.
    Other,
    /// The program without a client, for comparison.
    Baseline,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Go,
}

/// This client by the kinds of its spans and its clocks, as peers are named.
pub(super) const SHARED: &str = "jaeger-client";
pub(super) const OWNED: &str = "jaeger-client-owned";
pub(super) const SHARED_FAST: &str = "jaeger-client-fast-clock";
pub(super) const OWNED_FAST: &str = "jaeger-client-fast-clock-owned";

pub(super) const PEERS: &[Peer] = &[
    Peer { role: Role::Baseline, ..Peer::rust("nothing", "no client") },
    Peer { role: Role::Ours, ..Peer::rust(SHARED, "jaeger-client") },
    Peer::owned(OWNED, SHARED, "jaeger-client, owned spans"),
    Peer { role: Role::Ours, ..Peer::rust(SHARED_FAST, "jaeger-client with fast-clock") },
    Peer::owned(OWNED_FAST, SHARED_FAST, "jaeger-client with fast-clock, owned spans"),
    Peer {
        role: Role::Ours,
        ..Peer::rust("jaeger-client-tracing", "tracing + jaeger-client-tracing")
    },
    Peer::rust("rustracing", "rustracing_jaeger 0.10"),
    Peer::rust("cf-rustracing", "cf-rustracing-jaeger 1.3"),
    Peer::rust("fastrace", "fastrace 0.7 + fastrace-jaeger"),
    Peer::rust("opentelemetry", "opentelemetry 0.33 + otlp"),
    Peer::rust("opentelemetry-jaeger", "opentelemetry-jaeger 0.22"),
    Peer { role: Role::Baseline, ..Peer::rust("tracing", "tracing, its registry alone") },
    Peer::rust("tracing-opentelemetry", "tracing-opentelemetry 0.34 + otlp"),
    Peer { language: Language::Go, ..Peer::rust("jaeger-client-go", "jaeger-client-go 2.30") },
];

/// The timeout of a measurement.
const LIMIT: Duration = Duration::from_secs(180);

impl Peer {
    const fn rust(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            folder: name,
            owned_spans: false,
            role: Role::Other,
            language: Language::Rust,
        }
    }

    /// This client by its spans with one owner, from the program of a peer that has both kinds.
    const fn owned(name: &'static str, folder: &'static str, title: &'static str) -> Self {
        Self { folder, owned_spans: true, role: Role::Ours, ..Self::rust(name, title) }
    }

    /// Returns whether it is compiled by cargo.
    pub(super) fn is_rust(&self) -> bool {
        self.language == Language::Rust
    }

    /// Returns whether its program is also that of a peer before it in the list.
    pub(super) fn shares_program(&self) -> bool {
        self.folder != self.name
    }

    /// Its package or module.
    pub(super) fn package(&self) -> String {
        format!("peer-{}", self.folder)
    }

    pub(super) fn program(&self) -> PathBuf {
        target_folder().join("release").join(self.package())
    }

    /// Returns the arguments of its program.
    fn arguments<'a>(&self, measurement: &[&'a str]) -> Vec<&'a str> {
        self.owned_spans.then_some("owned").into_iter().chain(measurement.iter().copied()).collect()
    }

    /// Has the program make one measurement.
    pub(super) fn measure(&self, arguments: &[&str]) -> Measured {
        let mut child = Command::new(self.program())
            .args(self.arguments(arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.package()))?;
        let begin = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begin.elapsed() < LIMIT => thread::sleep(Duration::from_millis(5)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("not done after {} s", LIMIT.as_secs()));
                }
            }
        };
        let mut text = String::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_string(&mut text).map_err(|error| error.to_string())?;
        }
        let values = values(&text)?;
        if status.success() { Ok(values) } else { Err(status.to_string()) }
    }

    /// Compiles its program, and returns whether that succeeds.
    fn compile(&self) -> bool {
        let built = match self.language {
            Language::Rust => {
                let mut cargo = Command::new("cargo");
                cargo.args(["build", "--quiet", "--release", "--locked", "--package"]);
                cargo.arg(self.package()).arg("--target-dir").arg(target_folder());
                cargo.current_dir(workspace()).status()
            }
            Language::Go => {
                let mut go = Command::new("go");
                go.args(["build", "-o"]).arg(self.program()).arg(".");
                go.current_dir(workspace().join("go")).status()
            }
        };
        built.is_ok_and(|status| status.success())
    }

    /// Instructions of an operation, and the locked ones among them.
    pub(super) fn count(&self, case: &str) -> Measured {
        if self.language == Language::Go {
            return Err("valgrind does not run Go's runtime".to_owned());
        }
        let counted =
            callgrind::counts(&self.program(), &self.arguments(&["count", case]), "measured_burst");
        let (counts, output) = counted.map_err(|error| reason(&error.to_string()))?;
        let operations = values(&output)?.remove("operations").ok_or("no operations")?;
        let each = |count: u64| float(count) / operations;
        Ok(BTreeMap::from([
            ("instructions".to_owned(), each(counts.instructions)),
            ("locked".to_owned(), each(counts.locked)),
        ]))
    }
}

/// Where the peers are.
pub(super) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../compare"))
}

/// Returns the target folder of the peers: cargo's by the environment, or one below `compare/`.
fn target_folder() -> PathBuf {
    let folder = tools::target_folder(&workspace().join("target"));
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Builds the selected peers, and returns those that compile. Others are reported; that this client does not
/// compile is an error.
pub(super) fn build(
    peers: Vec<&'static Peer>,
    results: &mut Results,
) -> Outcome<Vec<&'static Peer>> {
    let mut built: Vec<&Peer> = Vec::new();
    for peer in peers {
        if peer.compile() {
            built.push(peer);
        } else if peer.role == Role::Ours {
            return Err(format!("{} does not compile", peer.package()).into());
        } else {
            results.note(peer, "does not compile here");
        }
    }
    Ok(built)
}

/// Lines of `key=value`, or the reason in a line `unsupported=…`.
fn values(text: &str) -> Measured {
    let pairs = || text.lines().filter_map(|line| line.split_once('='));
    if let Some((_, why)) = pairs().find(|(key, _)| *key == "unsupported") {
        return Err(why.to_owned());
    }
    Ok(pairs().filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect())
}

/// Returns the error message of a program that ended early, out of its output.
fn reason(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("unsupported="));
    line.or_else(|| text.lines().last()).unwrap_or_default().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "counts are read by people")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_reasons_are_read() {
        let values = values("ns=12.5\nallocations=0\nother").unwrap();
        assert_eq!(values["ns"].to_bits(), 12.5_f64.to_bits());
        assert_eq!(values.len(), 2);
        assert_eq!(super::values("unsupported=no OTLP").unwrap_err(), "no OTLP");
        assert_eq!(reason("exit 3\nunsupported=no OTLP\n==1== x"), "no OTLP");
    }

    #[test]
    fn every_peer_has_its_folder() {
        for peer in PEERS {
            let folder =
                if peer.is_rust() { format!("peers/{}", peer.folder) } else { "go".to_owned() };
            assert!(workspace().join(&folder).is_dir(), "{folder}");
        }
    }
}
