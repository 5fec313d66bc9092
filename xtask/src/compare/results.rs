//! The measurements as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use super::peers::{Measured, Peer};
use super::{CASES, LOADS, goals};

/// Values of all rounds, by what was measured and who was.
#[derive(Default)]
pub(super) struct Results {
    rounds: BTreeMap<(String, &'static str), Vec<BTreeMap<String, f64>>>,
    /// Why there is no value.
    reasons: BTreeMap<(String, &'static str), String>,
    pub(super) load_averages: Vec<String>,
}

impl Results {
    pub(super) fn count(&mut self, case: &str, peer: &Peer, measured: Measured) {
        self.add(format!("count {case}"), peer, measured);
    }

    pub(super) fn time(&mut self, case: &str, peer: &Peer, measured: Measured) {
        self.add(format!("time {case}"), peer, measured);
    }

    pub(super) fn load(&mut self, load: &str, peer: &Peer, measured: Measured) {
        self.add(load.to_owned(), peer, measured);
    }

    pub(super) fn weight(&mut self, peer: &Peer, measured: Measured) {
        self.add("weight".to_owned(), peer, measured);
    }

    pub(super) fn note(&mut self, peer: &Peer, why: &str) {
        self.reasons.insert(("build".to_owned(), peer.name), why.to_owned());
    }

    fn add(&mut self, what: String, peer: &Peer, measured: Measured) {
        match measured {
            Ok(values) => self.rounds.entry((what, peer.name)).or_default().push(values),
            Err(why) => {
                self.reasons.insert((what, peer.name), why);
            }
        }
    }

    /// The median of all rounds.
    pub(super) fn median(&self, what: &str, peer: &Peer, key: &str) -> Option<f64> {
        let rounds = self.rounds.get(&(what.to_owned(), peer.name))?;
        let mut values: Vec<f64> =
            rounds.iter().filter_map(|values| values.get(key).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Spans of all rounds that a peer lost and did not count, or counted and did not lose; `None` if it
    /// does not count, or had no load.
    pub(super) fn uncounted(&self, peer: &Peer) -> Option<f64> {
        let loads =
            LOADS.iter().filter_map(|load| self.rounds.get(&(load.name.to_owned(), peer.name)));
        loads.flatten().try_fold(None, |sum: Option<f64>, values| {
            let of = |key| values.get(key).copied();
            let lost = of("started")? - of("delivered")?;
            Some(Some(sum.unwrap_or(0.0) + (lost - of("counted")?).abs()))
        })?
    }

    /// All tables, in Markdown.
    pub(super) fn text(&self, peers: &[&Peer]) -> String {
        let mut text = String::new();
        text.push_str(&goals::table(self, peers));
        if self.rounds.keys().any(|(what, _)| what != "weight") {
            self.callers(&mut text, peers);
        }
        self.loads(&mut text, peers);
        self.weights(&mut text, peers);
        self.notes(&mut text, peers);
        text
    }

    fn callers(&self, text: &mut String, peers: &[&Peer]) {
        let _ = writeln!(text, "### An operation on the calling thread\n");
        let _ = writeln!(text, "ns / instructions / locked instructions / allocations\n");
        let _ = writeln!(text, "| peer | {} |", CASES.join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(CASES.len()));
        for peer in peers {
            let _ = write!(text, "| {} |", peer.title);
            for case in CASES {
                let (time, count) = (format!("time {case}"), format!("count {case}"));
                let cells = [
                    number(self.median(&time, peer, "ns"), 0),
                    number(self.median(&count, peer, "instructions"), 0),
                    number(self.median(&count, peer, "locked"), 0),
                    number(self.median(&time, peer, "allocations"), 0),
                ];
                let none = cells.iter().all(|cell| cell == NONE);
                let cell = if none { NONE.to_owned() } else { cells.join(" / ") };
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
    }

    fn loads(&self, text: &mut String, peers: &[&Peer]) {
        let head = [
            "load",
            "peer",
            "started k/s",
            "delivered k/s",
            "lost %",
            "lost",
            "counted",
            "CPU s/M started",
            "CPU s/M delivered",
            "peak MiB",
            "close s",
            "sink's drops",
        ];
        let mut rows = String::new();
        for load in LOADS {
            for peer in peers {
                let of = |key| self.median(load.name, peer, key);
                let Some((started, seconds)) = of("started").zip(of("seconds")) else { continue };
                let delivered = of("delivered").unwrap_or(0.0);
                let cpu = of("cpu_seconds").unwrap_or(f64::NAN);
                let is_client = peer.name != "nothing";
                let of_client = |value: f64| is_client.then_some(value);
                let cells = [
                    number(Some(started / seconds / 1e3), 0),
                    number(of_client(delivered / seconds / 1e3), 0),
                    number(of_client(100.0 * (started - delivered) / started), 1),
                    number(of_client(started - delivered), 0),
                    number(of("counted").filter(|_| is_client), 0),
                    number(Some(cpu / started * 1e6), 2),
                    number(of_client(cpu / delivered * 1e6), 2),
                    number(of("peak_kib").map(|kib| kib / 1024.0), 0),
                    number(of("close_seconds"), 2),
                    number(of("kernel_drops").filter(|_| is_client), 0),
                ];
                let _ =
                    writeln!(rows, "| {} | {} | {} |", load.name, peer.title, cells.join(" | "));
            }
        }
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "\n### Root spans with 3 tags to a sink\n\n| {} |",
                head.join(" | ")
            );
            let _ = writeln!(text, "|---|---|{}\n{rows}", "---:|".repeat(head.len() - 2));
        }
    }

    fn weights(&self, text: &mut String, peers: &[&Peer]) {
        let base = peers.iter().find(|peer| peer.name == "nothing");
        let bytes_of_none =
            base.and_then(|peer| self.median("weight", peer, "bytes")).unwrap_or(0.0);
        let mut rows = String::new();
        for peer in peers {
            let of = |key| self.median("weight", peer, key);
            let Some(crates) = of("crates") else { continue };
            let added = of("bytes").map(|bytes| (bytes - bytes_of_none) / 1e3);
            let cells = [number(Some(crates), 0), number(of("compile"), 1), number(added, 0)];
            let _ = writeln!(rows, "| {} | {} |", peer.title, cells.join(" | "));
        }
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "\n### What a client adds to a program\n\n\
                 | peer | crates | cold release build, CPU s | stripped kB |\n|---|---:|---:|---:|\n{rows}"
            );
        }
    }

    /// Why cells are empty, and under which load it was measured.
    fn notes(&self, text: &mut String, peers: &[&Peer]) {
        let _ = writeln!(text, "\n### Notes\n");
        if let Some(commit) = commit() {
            let _ = writeln!(text, "- Commit {commit}.");
        }
        if !self.load_averages.is_empty() {
            let rounds = self.load_averages.join(", ");
            let _ = writeln!(text, "- Load average before each round: {rounds}.");
        }
        for peer in peers {
            let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for ((what, name), why) in &self.reasons {
                let what = what.strip_prefix("time ").unwrap_or(what);
                if *name == peer.name && !what.starts_with("count ") {
                    by_reason.entry(why).or_default().push(what);
                }
            }
            if by_reason.is_empty() && !peer.is_rust() {
                let _ = writeln!(
                    text,
                    "- {}: no instructions, as valgrind does not run Go's runtime.",
                    peer.title
                );
            }
            for (why, what) in by_reason {
                let _ = writeln!(text, "- {}, {}: {why}.", peer.title, what.join(", "));
            }
        }
    }
}

/// Formats a measurement by its first digits.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    let output = git.args(["describe", "--always", "--dirty"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|commit| !commit.is_empty())
}

/// The text of a cell without a value.
pub(super) const NONE: &str = "–";

pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{value:.decimals$}"),
        _ => NONE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::peers::PEERS;
    use super::*;

    fn timed(ns: f64) -> Measured {
        Ok(BTreeMap::from([("ns".to_owned(), ns)]))
    }

    #[test]
    fn cells_are_medians_and_a_reason_explains_one_that_is_empty() {
        let mut results = Results::default();
        let named = |name| PEERS.iter().find(|peer| peer.name == name).unwrap();
        let (ours, other) = (named("jaeger-client"), named("rustracing"));
        for ns in [30.0, 10.0, 20.0] {
            results.time("root", ours, timed(ns));
        }
        results.time("root", other, Err("no such thing".to_owned()));
        let text = results.text(&[ours, other]);
        assert!(text.contains("| 20 / – / – / – |"), "{text}");
        assert!(text.contains("rustracing_jaeger 0.10, root: no such thing."), "{text}");
    }

    #[test]
    fn what_is_lost_is_what_was_started_and_not_delivered() {
        let mut results = Results::default();
        let values = [("started", 2e6), ("seconds", 2.0), ("delivered", 1e6), ("cpu_seconds", 3.0)];
        let values = values.map(|(key, value)| (key.to_owned(), value)).into();
        results.load(LOADS[0].name, &PEERS[1], Ok(values));
        let text = results.text(&[&PEERS[1]]);
        assert!(text.contains("| 1000 | 500 | 50.0 | 1000000 | – | 1.50 | 3.00 |"), "{text}");
    }
}
