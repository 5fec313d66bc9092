//! Spans in the form of the golden file, and the cases of that file.

use std::collections::BTreeMap;
use std::fmt::Write;

use jaeger_client::InMemoryReporter;

use super::{fields, hops, text};

/// The cases that Go's client was recorded with under `nethttp`.
pub fn cases() -> BTreeMap<&'static str, &'static str> {
    cases_of(include_str!("../golden/net_http.txt"))
}

/// The cases of a recording.
pub fn cases_of(file: &'static str) -> BTreeMap<&'static str, &'static str> {
    let case = |text: &'static str| {
        let (name, reported) = text.split_once('\n')?;
        Some((name, reported.trim_end()))
    };
    file.split("case ").skip(1).map(|text| case(text).unwrap()).collect()
}

/// The hops that were finished, as Go's client prints them; their ports are those of `port`.
pub fn shown(reporter: &InMemoryReporter, port: u16) -> String {
    let mut out = String::new();
    for span in hops(reporter) {
        let span = span.view();
        writeln!(out, "span {}", span.operation_name()).unwrap();
        // The last value of a key counts, as in the map that Go's mock keeps.
        let mut tags = BTreeMap::new();
        for tag in span.tags() {
            tags.insert(String::from_utf8(tag.key.to_vec()).unwrap(), text(tag.value));
        }
        for (key, value) in tags {
            writeln!(out, "  tag {key}={value}").unwrap();
        }
        for log in span.logs() {
            let value = |(key, value): (String, String)| {
                let value = if key == "error.object" { "*".into() } else { value };
                format!("{key}={value}")
            };
            let fields: Vec<_> = fields(&log).into_iter().map(value).collect();
            writeln!(out, "  log {}", fields.join(" ")).unwrap();
        }
    }
    out.replace(&format!(":{port}"), ":PORT").trim_end().to_owned()
}
