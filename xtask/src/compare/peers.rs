//! The programs that are measured: how they are built and asked.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::results::Results;
use crate::callgrind;

/// What a program said of one measurement, or why there is none.
pub(super) type Measured = Result<BTreeMap<String, f64>, String>;

/// A client, in its own program below `compare/`.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// As its owners call it, with the version that its lockfile has.
    pub(super) title: &'static str,
    language: Language,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Go,
}

pub(super) const PEERS: &[Peer] = &[
    Peer::rust("nothing", "no client"),
    Peer::rust("jaeger-client", "jaeger-client"),
    Peer::rust("jaeger-client-fast-clock", "jaeger-client with fast-clock"),
    Peer::rust("jaeger-client-tracing", "tracing + jaeger-client-tracing"),
    Peer::rust("rustracing", "rustracing_jaeger 0.10"),
    Peer::rust("cf-rustracing", "cf-rustracing-jaeger 1.3"),
    Peer::rust("fastrace", "fastrace 0.7 + fastrace-jaeger"),
    Peer::rust("opentelemetry", "opentelemetry 0.33 + otlp"),
    Peer::rust("opentelemetry-jaeger", "opentelemetry-jaeger 0.22"),
    Peer::rust("tracing", "tracing, its registry alone"),
    Peer::rust("tracing-opentelemetry", "tracing-opentelemetry 0.34 + otlp"),
    Peer { name: "jaeger-client-go", title: "jaeger-client-go 2.30", language: Language::Go },
];

/// No measurement takes longer, or is ended.
const LIMIT: Duration = Duration::from_secs(180);

impl Peer {
    const fn rust(name: &'static str, title: &'static str) -> Self {
        Self { name, title, language: Language::Rust }
    }

    /// Returns whether it is compiled by cargo.
    pub(super) fn is_rust(&self) -> bool {
        self.language == Language::Rust
    }

    /// Its package or module.
    pub(super) fn package(&self) -> String {
        format!("peer-{}", self.name)
    }

    pub(super) fn program(&self) -> PathBuf {
        workspace().join("target/release").join(self.package())
    }

    /// Asks the program for one measurement.
    pub(super) fn measure(&self, arguments: &[&str]) -> Measured {
        let mut child = Command::new(self.program())
            .args(arguments)
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

    /// Instructions of an operation, and the locked ones among them.
    pub(super) fn count(&self, case: &str) -> Measured {
        if self.language == Language::Go {
            return Err("valgrind does not run Go's runtime".to_owned());
        }
        let counted = callgrind::counts(&self.program(), &["count", case], "measured_burst");
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

/// Builds all that are wanted; one that does not compile is noted, and the others are measured.
pub(super) fn build(peers: &[&Peer], results: &mut Results) {
    for peer in peers {
        let built = match peer.language {
            Language::Rust => {
                let mut cargo = Command::new("cargo");
                cargo.args(["build", "--quiet", "--release", "--locked", "--package"]);
                cargo.arg(peer.package()).current_dir(workspace()).status()
            }
            Language::Go => {
                let mut go = Command::new("go");
                go.args(["build", "-o"]).arg(peer.program()).arg(".");
                go.current_dir(workspace().join("go")).status()
            }
        };
        if !built.is_ok_and(|status| status.success()) {
            results.note(peer, "does not compile here");
        }
    }
}

/// Lines of `key=value`, or the reason in a line `unsupported=…`.
fn values(text: &str) -> Measured {
    let pairs = || text.lines().filter_map(|line| line.split_once('='));
    if let Some((_, why)) = pairs().find(|(key, _)| *key == "unsupported") {
        return Err(why.to_owned());
    }
    Ok(pairs().filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect())
}

/// Returns what a program that ended early said, out of what else was printed with it.
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
                if peer.is_rust() { format!("peers/{}", peer.name) } else { "go".to_owned() };
            assert!(workspace().join(&folder).is_dir(), "{folder}");
        }
    }
}
