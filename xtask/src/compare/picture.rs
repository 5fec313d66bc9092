//! A picture of the table: a bar for each client and case.

use std::fmt::Write as _;

use super::peers::{Peer, Role, SHARED};
use super::results::Results;

/// A column of bars: a title of two lines, what was measured, and which value of it.
struct Column {
    title: [&'static str; 2],
    what: &'static str,
    key: &'static str,
    /// Work of other threads that belongs to it, and its share in one operation.
    elsewhere: Option<(&'static str, f64)>,
}

const COLUMNS: &[Column] = &[
    Column { title: ["root span", "3 tags"], what: "time root-tags", key: "ns", elsewhere: None },
    Column {
        title: ["child, 3 tags, log", "and its encoding"],
        what: "time child",
        key: "ns",
        elsewhere: Some(("time encode-100", 0.01)),
    },
    Column {
        title: ["inject + extract", "uber-trace-id"],
        what: "time inject-jaeger",
        key: "ns",
        elsewhere: None,
    },
    Column {
        title: ["processor time", "at 100 k/s"],
        what: "paced, 100 k/s",
        key: "cpu_seconds",
        elsewhere: None,
    },
];

/// Layers of `tracing` pay for that as well: they are beside one another in the tables.
const LEFT_OUT: &[&str] = &["jaeger-client-tracing", "tracing-opentelemetry"];

const LABELS: f64 = 300.0;
const COLUMN: f64 = 148.0;
/// The longest bar of a column; its number is to the right of it.
const LONGEST: f64 = 96.0;
const HEAD: f64 = 46.0;
const LINE: f64 = 20.0;
const BAR: f64 = 13.0;

/// Draws the measured columns. The bars of a column are to scale, and their numbers are multiples of this client's.
pub(super) fn svg(results: &Results, peers: &[&Peer]) -> String {
    let shown = |peer: &&&Peer| peer.role != Role::Baseline && !LEFT_OUT.contains(&peer.name);
    let shown: Vec<&Peer> = peers.iter().filter(shown).copied().collect();
    let Some(base) = shown.iter().find(|peer| peer.name == SHARED) else { return String::new() };
    let mut body = String::new();
    let mut y = HEAD;
    for peer in &shown {
        let weight = if peer.role == Role::Ours { "ours name" } else { "name" };
        let (x, text) = (LABELS - 10.0, y + BAR - 2.0);
        let _ =
            writeln!(body, r#"<text x="{x}" y="{text}" class="{weight}">{}</text>"#, peer.title);
        y += LINE;
    }
    let mut x = LABELS;
    for column in COLUMNS {
        column.draw(&mut body, x, results, &shown, base);
        x += COLUMN;
    }
    let (width, height) = (x, y + 4.0);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="cost of spans beside other clients, as multiples of this client">
<style>text{{font:12px sans-serif;fill:#24292f}}.title{{font-size:12px;font-weight:bold}}.name{{text-anchor:end}}.ours{{font-weight:bold}}rect.ours{{fill:#1f883d}}.peer{{fill:#6e7781}}.elsewhere{{fill:#c6cbd1}}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}</svg>
"##
    )
}

impl Column {
    /// The CPU time of a client on the calling thread, and on others.
    fn of(&self, results: &Results, peer: &Peer) -> Option<[f64; 2]> {
        let own = results.median(self.what, peer, self.key)?;
        let elsewhere = self
            .elsewhere
            .and_then(|(what, share)| Some(results.median(what, peer, self.key)? * share));
        Some([own, elsewhere.unwrap_or(0.0)])
    }

    fn draw(&self, body: &mut String, x: f64, results: &Results, shown: &[&Peer], base: &Peer) {
        let Some([one, _]) = self.of(results, base).filter(|[one, _]| *one > 0.0) else { return };
        for (line, y) in self.title.iter().zip([16, 32]) {
            let _ = writeln!(body, r#"<text x="{x}" y="{y}" class="title">{line}</text>"#);
        }
        let sums = shown.iter().filter_map(|peer| Some(self.of(results, peer)?.iter().sum()));
        let most = sums.fold(one, f64::max);
        let mut y = HEAD;
        for peer in shown {
            if let Some([own, elsewhere]) = self.of(results, peer) {
                let class = if peer.role == Role::Ours { "ours" } else { "peer" };
                let (own_length, all) = (own / most * LONGEST, (own + elsewhere) / most * LONGEST);
                if elsewhere > 0.0 {
                    let _ = writeln!(
                        body,
                        r#"<rect x="{x}" y="{y}" width="{all:.1}" height="{BAR}" class="elsewhere"/>"#
                    );
                }
                let (end, text, ratio) = (x + all + 5.0, y + BAR - 2.0, (own + elsewhere) / one);
                let _ = writeln!(
                    body,
                    r#"<rect x="{x}" y="{y}" width="{own_length:.1}" height="{BAR}" class="{class}"/><text x="{end:.1}" y="{text}">{ratio:.1}×</text>"#
                );
            }
            y += LINE;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::peers::PEERS;
    use super::*;

    #[test]
    fn bars_are_to_scale_and_their_numbers_are_multiples_of_this_client() {
        let named = |name: &str| PEERS.iter().find(|peer| peer.name == name).unwrap();
        let (ours, other) = (named(SHARED), named("rustracing"));
        let ns = |ns| Ok(BTreeMap::from([("ns".to_owned(), ns)]));
        let mut results = Results::default();
        results.time("child", ours, ns(100.0));
        results.time("child", other, ns(150.0));
        results.time("encode-100", other, ns(10_000.0));
        let picture = svg(&results, &[ours, other]);
        for part in [r#"width="38.4""#, r#"width="57.6""#, r#"width="96.0""#, "1.0×", "2.5×"] {
            assert!(picture.contains(part), "{part}\n{picture}");
        }
        assert_eq!(picture.matches("<rect x=").count(), 3);
        assert_eq!(svg(&results, &[other]), "");
    }
}
