//! A picture of the table: bars of each case, this client's length being one.

use std::fmt::Write as _;

use super::peers::Peer;
use super::results::Results;

/// What is shown: a title, what was measured, and which value of it.
const ROWS: &[(&str, &str, &str)] = &[
    ("root span, 3 tags", "time root-tags", "ns"),
    ("child, 3 tags, log", "time child", "ns"),
    ("tree of 10 spans", "time tree", "ns"),
    ("inject + extract", "time inject-jaeger", "ns"),
    ("CPU of a delivered span, 100 k/s", "paced, 100 k/s", "cpu_seconds"),
];

const WIDTH: f64 = 860.0;
const LABELS: f64 = 290.0;
const BAR: f64 = 14.0;

/// Draws what there is. A bar that would not fit is cut, and its number says how long it is.
pub(super) fn svg(results: &Results, peers: &[&Peer]) -> String {
    let mut body = String::new();
    let mut y = 30.0;
    let ours = peers.iter().find(|peer| peer.name == "jaeger-client");
    let Some(ours) = ours else { return String::new() };
    for (title, what, key) in ROWS {
        let Some(one) = results.median(what, ours, key).filter(|one| *one > 0.0) else { continue };
        let _ = writeln!(body, r#"<text x="8" y="{y:.0}" class="title">{title}</text>"#);
        for peer in peers.iter().filter(|peer| peer.name != "nothing") {
            let Some(ratio) = results.median(what, peer, key).map(|value| value / one) else {
                continue;
            };
            y += BAR + 4.0;
            // Lengths grow with the square root, so that one and fifty are both seen.
            let length = (ratio.sqrt() * 60.0).min(WIDTH - LABELS - 70.0);
            let class = if peer.name == ours.name { "ours" } else { "peer" };
            let (text, end) = (y + BAR - 3.0, LABELS + length + 6.0);
            let _ = writeln!(
                body,
                r#"<text x="{x:.0}" y="{text:.0}" class="name">{name}</text><rect x="{LABELS}" y="{y:.0}" width="{length:.1}" height="{BAR}" class="{class}"/><text x="{end:.1}" y="{text:.0}">{ratio:.1}×</text>"#,
                x = LABELS - 8.0,
                name = peer.title,
            );
        }
        y += BAR + 30.0;
    }
    let height = y - 10.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="cost of spans beside other clients, this client being one; bars grow with the square root">
<style>text{{font:12px sans-serif;fill:#24292f}}.title{{font-weight:bold;font-size:13px}}.name{{text-anchor:end}}.ours{{fill:#1f883d}}.peer{{fill:#8c959f}}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::peers::PEERS;
    use super::*;

    #[test]
    fn bars_are_ratios_to_this_client() {
        let mut results = Results::default();
        for (peer, ns) in [(&PEERS[1], 100.0), (&PEERS[3], 250.0)] {
            results.time("root-tags", peer, Ok(BTreeMap::from([("ns".to_owned(), ns)])));
        }
        let picture = svg(&results, &[&PEERS[1], &PEERS[3]]);
        assert!(picture.contains("1.0×") && picture.contains("2.5×"), "{picture}");
        assert_eq!(picture.matches("<rect x=").count(), 2);
        assert_eq!(svg(&results, &[&PEERS[3]]), "");
    }
}
