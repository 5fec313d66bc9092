//! This client's figures over the best ones of other clients, and whether they reach their goals.

use std::fmt::Write as _;

use super::peers::{OWNED, OWNED_FAST, Peer, Role, SHARED, SHARED_FAST};
use super::results::{NONE, Results, number};

/// A figure that is compared.
struct Figure {
    title: &'static str,
    value: Value,
    goals: Goals,
    /// Which of this client are measured; the others are the same as these.
    ours: &'static [&'static str],
}

/// What is compared, of one client.
enum Value {
    /// Nanoseconds of a case.
    Time(&'static str),
    /// Nanoseconds of a case, among the clients that also know another one.
    TimeOfThoseWith(&'static str, &'static str),
    /// Nanoseconds of a child, with those of encoding where it is not in the case.
    Encoded,
    /// Processor time of a million delivered spans of a load, in seconds.
    ProcessorTime(&'static str),
    /// Thousands of delivered spans a second of a load.
    Delivered(&'static str),
    /// Spans that were lost and not counted.
    Uncounted,
}

/// What a ratio of this client to the best other one is to be, by the system's clock and by the fast one.
#[derive(Clone, Copy)]
enum Goals {
    None,
    AtMost(f64, f64),
    /// The ratio is that of the other client to this one, or of what this client delivers.
    AtLeast(f64),
    Zero,
}

const ALL: &[&str] = &[SHARED, OWNED, SHARED_FAST, OWNED_FAST];

const FIGURES: &[Figure] = &[
    Figure {
        title: "unsampled, context not read, ns",
        value: Value::TimeOfThoseWith("unsampled", "unsampled-context"),
        goals: Goals::AtMost(0.45, 0.45),
        ours: &[SHARED, OWNED],
    },
    Figure {
        title: "unsampled, context read, ns",
        value: Value::Time("unsampled-context"),
        goals: Goals::None,
        ours: &[SHARED, OWNED],
    },
    Figure { title: "root, ns", value: Value::Time("root"), goals: Goals::None, ours: ALL },
    Figure {
        title: "root + 3 tags, ns",
        value: Value::Time("root-tags"),
        goals: Goals::AtMost(0.6, 0.4),
        ours: ALL,
    },
    Figure {
        title: "child + 3 tags + log, ns",
        value: Value::Time("child"),
        goals: Goals::AtMost(0.55, 0.4),
        ours: ALL,
    },
    Figure {
        title: "tree of 10, ns",
        value: Value::Time("tree"),
        goals: Goals::AtMost(0.45, 0.3),
        ours: ALL,
    },
    Figure {
        title: "inject + extract of `uber-trace-id`, ns",
        value: Value::Time("inject-jaeger"),
        goals: Goals::AtMost(0.3, 0.3),
        ours: &[SHARED],
    },
    Figure {
        title: "inject + extract of B3, ns",
        value: Value::Time("inject-b3"),
        goals: Goals::AtMost(0.3, 0.3),
        ours: &[SHARED],
    },
    Figure {
        title: "inject + extract of W3C, ns",
        value: Value::Time("inject-w3c"),
        goals: Goals::AtMost(0.3, 0.3),
        ours: &[SHARED],
    },
    Figure {
        title: "child + 3 tags + log, encoded by both, ns",
        value: Value::Encoded,
        goals: Goals::AtLeast(15.0),
        ours: ALL,
    },
    Figure {
        title: "processor time at 100 k/s, s a million",
        value: Value::ProcessorTime("paced, 100 k/s"),
        goals: Goals::AtMost(0.1, 0.1),
        ours: ALL,
    },
    Figure {
        title: "delivered, flood of 2 producers, k/s",
        value: Value::Delivered("flood, 2 producers"),
        goals: Goals::AtLeast(15.0),
        ours: ALL,
    },
    Figure {
        title: "lost and not counted, all loads",
        value: Value::Uncounted,
        goals: Goals::Zero,
        ours: ALL,
    },
];

impl Value {
    fn of(&self, results: &Results, peer: &Peer) -> Option<f64> {
        let time = |case: &str| results.median(&format!("time {case}"), peer, "ns");
        let load = |load: &str, key| results.median(load, peer, key);
        match *self {
            Self::Time(case) => time(case),
            Self::TimeOfThoseWith(case, other) => time(other).and_then(|_| time(case)),
            Self::Encoded if peer.role == Role::Ours => time("child"),
            Self::Encoded => Some(time("child")? + time("encode-100")? / 100.0),
            Self::ProcessorTime(name) => {
                Some(load(name, "cpu_seconds")? / load(name, "delivered")? * 1e6)
            }
            Self::Delivered(name) => Some(load(name, "delivered")? / load(name, "seconds")? / 1e3),
            Self::Uncounted => results.uncounted(peer),
        }
    }

    /// Decimals that are shown.
    fn decimals(&self) -> usize {
        if matches!(self, Self::ProcessorTime(_)) { 2 } else { 0 }
    }
}

/// All figures of this client over the best of the others, in Markdown; empty if there are none.
pub(super) fn table(results: &Results, peers: &[&Peer]) -> String {
    let mut rows = String::new();
    for figure in FIGURES {
        for ours in peers.iter().filter(|peer| figure.ours.contains(&peer.name)) {
            let Some(value) = figure.value.of(results, ours) else { continue };
            let _ = writeln!(
                rows,
                "| {} | {} |",
                figure.title,
                figure.cells(results, peers, ours, value)
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### This client beside the best of the others\n\n\
         Peers' encoding is left out unless it is named, this client's is in its number.\n\n\
         | what | this client by | this client | best other | | ratio | goal | |\n\
         |---|---|---:|---:|---|---:|---:|---|\n{rows}\n"
    )
}

impl Figure {
    /// A row but for its title: this client's kind, both values, the other client, the ratio and the goal.
    fn cells(&self, results: &Results, peers: &[&Peer], ours: &Peer, value: f64) -> String {
        let (kind, is_fast) = match ours.name {
            OWNED => ("owned spans", false),
            SHARED_FAST => ("shared spans, fast clock", true),
            OWNED_FAST => ("owned spans, fast clock", true),
            _ => ("shared spans", false),
        };
        let is_more_better = matches!(self.value, Value::Delivered(_));
        let others = peers.iter().filter(|peer| peer.role == Role::Other);
        let best = others
            .filter_map(|peer| Some((self.value.of(results, peer)?, peer.title)))
            .min_by(|(one, _), (other, _)| {
                let order = one.total_cmp(other);
                if is_more_better { order.reverse() } else { order }
            });
        let decimals = self.value.decimals();
        let (other, title) = best.map_or((None, NONE), |(best, title)| (Some(best), title));
        let other = number(other, decimals);
        let ratio = match (self.goals, best) {
            (Goals::Zero, _) | (_, None) => None,
            (Goals::AtLeast(_), Some((best, _))) if !is_more_better => Some(best / value),
            (_, Some((best, _))) => Some(value / best),
        };
        let is_more = matches!(self.goals, Goals::AtLeast(_));
        let (goal, is_reached) = match self.goals {
            Goals::None => (NONE.to_owned(), None),
            Goals::Zero => ("0".to_owned(), Some(value == 0.0)),
            Goals::AtLeast(least) => (format!("≥ {least}"), ratio.map(|ratio| ratio >= least)),
            Goals::AtMost(system, fast) => {
                let most = if is_fast { fast } else { system };
                (format!("≤ {most}"), ratio.map(|ratio| ratio <= most))
            }
        };
        let verdict =
            is_reached.map_or(NONE, |reached| if reached { "reached" } else { "**missed**" });
        let (value, ratio) =
            (number(Some(value), decimals), number(ratio, if is_more { 2 } else { 3 }));
        format!("{kind} | {value} | {other} | {title} | {ratio} | {goal} | {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::peers::PEERS;
    use super::*;

    fn named(name: &str) -> &'static Peer {
        PEERS.iter().find(|peer| peer.name == name).unwrap()
    }

    fn measured(values: &[(&str, f64)]) -> Result<BTreeMap<String, f64>, String> {
        Ok(values.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect())
    }

    #[test]
    fn each_figure_is_compared_with_the_best_of_the_others_and_with_its_goal() {
        let peers = [SHARED, OWNED_FAST, "rustracing", "fastrace"].map(named);
        let mut results = Results::default();
        for (peer, ns) in peers.iter().zip([60.0, 41.0, 100.0, 120.0]) {
            results.time("root-tags", peer, measured(&[("ns", ns)]));
        }
        // By encoding, the other client is the cheaper one.
        for (peer, child, encode) in [(peers[2], 200.0, 200_000.0), (peers[3], 300.0, 120_000.0)] {
            results.time("child", peer, measured(&[("ns", child)]));
            results.time("encode-100", peer, measured(&[("ns", encode)]));
        }
        results.time("child", peers[0], measured(&[("ns", 100.0)]));
        let text = table(&results, &peers);
        for row in [
            "| root + 3 tags, ns | shared spans | 60 | 100 | rustracing_jaeger 0.10 | 0.600 | ≤ 0.6 | reached |",
            "| root + 3 tags, ns | owned spans, fast clock | 41 | 100 | rustracing_jaeger 0.10 | 0.410 | ≤ 0.4 | **missed** |",
            "| child + 3 tags + log, encoded by both, ns | shared spans | 100 | 1500 | fastrace 0.7 + fastrace-jaeger | 15.00 | ≥ 15 | reached |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }

    #[test]
    fn what_is_delivered_is_compared_with_the_most_and_each_round_is_checked_for_uncounted_spans() {
        let peers = [SHARED, "rustracing", "cf-rustracing"].map(named);
        let mut results = Results::default();
        let load = "flood, 2 producers";
        for (peer, delivered) in peers.iter().zip([4e6, 2e5, 1e5]) {
            let values = [("started", 5e6), ("delivered", delivered), ("seconds", 2.0)];
            results.load(load, peer, measured(&values));
        }
        assert!(
            table(&results, &peers)
                .contains("| 2000 | 100 | rustracing_jaeger 0.10 | 20.00 | ≥ 15 | reached |")
        );
        assert_eq!(results.uncounted(peers[0]), None, "it does not count drops");

        let mut results = Results::default();
        for counted in [10.0, 11.0] {
            let values =
                [("started", 50.0), ("delivered", 40.0), ("counted", counted), ("seconds", 1.0)];
            results.load(load, peers[0], measured(&values));
        }
        assert!(table(&results, &peers).contains(
            "| lost and not counted, all loads | shared spans | 1 | – | – | – | 0 | **missed** |"
        ));
    }
}
