//! A server shows the same for a span that was sent as Thrift and as OTLP, except for the differences that
//! docs/otlp.md lists.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeSet;

use interop::backend::Kind;
use interop::both_protocols::{BothProtocols, Input, differences};
use interop::opt_in;
use jaeger_client::TraceId;
use jaeger_client::encoding::ValueView::{Binary, Bool, Double, Long, Str};

/// A span, and its differences in Jaeger v2.
struct Case {
    name: &'static str,
    input: fn(Input) -> Input,
    differs: &'static [&'static str],
    /// Its differences in the collector if they are others, as the collector does not change OTLP.
    in_collector: Option<&'static [&'static str]>,
}

impl Case {
    const fn new(name: &'static str, input: fn(Input) -> Input) -> Self {
        Self { name, input, differs: &[], in_collector: None }
    }

    const fn differs(mut self, lines: &'static [&'static str]) -> Self {
        self.differs = lines;
        self
    }

    const fn in_collector(mut self, lines: &'static [&'static str]) -> Self {
        self.in_collector = Some(lines);
        self
    }
}

/// Returns the differences of every span: OTLP has the name of the library, and only one flag.
fn always(kind: Kind, input: &Input) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let library = "jaeger-client";
    let mut lines = vec![
        format!(r#"process_tags otlp: ["telemetry.sdk.name","string","{library}"]"#),
        r#"process_tags otlp: ["telemetry.sdk.language","string","rust"]"#.to_owned(),
        format!(r#"process_tags otlp: ["telemetry.sdk.version","string","{version}"]"#),
    ];
    if !input.tags.iter().any(|(key, _)| *key == b"otel.scope.name") {
        lines.push(format!(r#"tags otlp: ["otel.scope.name","string","{library}"]"#));
        lines.push(format!(r#"tags otlp: ["otel.scope.version","string","{version}"]"#));
    }
    // Jaeger shows no flag. Newer collectors set it for Thrift, too.
    if kind == Kind::OtelCollector && input.flags & 1 != 0 {
        lines.extend(["flags thrift: null".to_owned(), "flags otlp: 1".to_owned()]);
    }
    lines
}

#[test]
fn a_span_is_the_same_as_thrift_and_as_otlp_in_jaeger_v2() {
    compare(Kind::JaegerV2, |case| case.differs);
}

#[test]
fn a_span_is_the_same_as_thrift_and_as_otlp_in_the_opentelemetry_collector() {
    compare(Kind::OtelCollector, |case| case.in_collector.unwrap_or(case.differs));
}

#[test]
fn servers_store_the_same_from_json_as_from_protobuf() {
    for kind in [Kind::JaegerV2, Kind::OtelCollector] {
        let Some(mut server) =
            opt_in::set_up(&format!("JSON to {kind:?}"), || BothProtocols::start(kind))
        else {
            return;
        };
        for case in CASES {
            let spans = server.send_json(&(case.input)(Input::default())).unwrap();
            assert_eq!(differences(&spans), [""; 0], "{kind:?}, {}", case.name);
        }
    }
}

#[test]
fn the_document_lists_exactly_these_differences() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/otlp.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, section) = document.split_once("## Differences between the two ports").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let listed: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
    for case in CASES {
        let differs = !case.differs.is_empty() || case.in_collector.is_some_and(|d| !d.is_empty());
        assert_eq!(differs, listed.contains(case.name), "{}", case.name);
    }
    assert!(section.contains(&format!("compares {} spans", CASES.len())), "{}", CASES.len());
    let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let first = row.split('|').nth(1).unwrap();
        for name in first.split('`').skip(1).step_by(2) {
            assert!(names.contains(name), "there is no case {name}");
        }
    }
}

/// Jaeger stores NaN and infinities, and responds with 500 whenever their trace is queried.
#[test]
fn a_trace_with_nan_and_infinities_can_be_read() {
    let found = || BothProtocols::start(Kind::JaegerV2);
    let Some(mut server) = opt_in::set_up("NaN and infinities", found) else { return };
    let input = Input::default()
        .tag("a", Double(f64::NAN))
        .tag("b", Double(f64::INFINITY))
        .log("c", Double(f64::NEG_INFINITY));
    let [_, span] = server.send_json(&input).unwrap();
    let shown = span.to_string();
    for field in [r#"["a","string","NaN"]"#, r#"["b","string","+Inf"]"#, r#"["c","string","-Inf"]"#]
    {
        assert!(shown.contains(field), "{shown}");
    }
}

/// Sends each case as Thrift and as OTLP, and compares what the server returns.
fn compare(kind: Kind, differs: fn(&Case) -> &'static [&'static str]) {
    let Some(mut server) =
        opt_in::set_up(&format!("Thrift and OTLP to {kind:?}"), || BothProtocols::start(kind))
    else {
        return;
    };
    let mut wrong = Vec::new();
    for case in CASES {
        let input = (case.input)(Input::default());
        let mut lines = match server.send(&input) {
            Ok(spans) => differences(&spans),
            Err(why) => vec![why],
        };
        for line in always(kind, &input) {
            match lines.iter().position(|other| *other == line) {
                Some(at) => drop(lines.remove(at)),
                None => wrong.push(format!("{}: not there: {line}", case.name)),
            }
        }
        if lines != differs(case) {
            wrong.push(format!("{}:\n    {}", case.name, lines.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const CASES: &[Case] = &[
    Case::new("no tags", |g| g),
    Case::new("every kind of value", |g| {
            g.text("text", "žluťoučký 馬")
                .text("empty", "")
                .tag("long", Long(-5))
                .tag("least", Long(i64::MIN))
                .tag("double", Double(0.1))
                .tag("true", Bool(true))
                .tag("false", Bool(false))
                .tag("bytes", Binary(&[0, 255]))
                .text("", "no key")
        }),
    Case::new("one key several times", |g| g.text("k", "first").tag("k", Long(2)).text("k", "last")),
    Case::new("kind client", |g| g.text("span.kind", "client")),
    Case::new("kind server", |g| g.text("span.kind", "server")),
    Case::new("kind producer", |g| g.text("span.kind", "producer")),
    Case::new("kind consumer", |g| g.text("span.kind", "consumer")),
    Case::new("kind internal", |g| g.text("span.kind", "internal")),
    Case::new("unknown kind", |g| g.text("span.kind", "worker"))
    .differs(&[r#"tags otlp: ["span.kind","string","worker"]"#]),
    Case::new("error", |g| g.tag("error", Bool(true))),
    Case::new("no error", |g| g.tag("error", Bool(false))),
    Case::new("error as text", |g| g.text("error", "true"))
    .differs(&[
            r#"tags thrift: ["error","string","true"]"#,
            r#"tags otlp: ["otel.status_code","string","ERROR"]"#,
            r#"tags otlp: ["error","bool",true]"#,
        ])
    .in_collector(&[
        r#"tags thrift: ["error","string","true"]"#,
        r#"tags otlp: ["error","bool",true]"#,
    ]),
    Case::new("error in words", |g| g.text("error", "timeout")),
    Case::new("error described", |g| g.tag("error", Bool(true)).text("otel.status_description", "late")),
    Case::new("error with the message of HTTP", |g| g.tag("error", Bool(true)).text("http.status_message", "Gone")),
    Case::new("status OK", |g| g.text("otel.status_code", "OK")),
    Case::new("status error, described", |g| g.text("otel.status_code", "error").text("otel.status_description", "late")),
    Case::new("status unset", |g| g.text("otel.status_code", "UNSET")),
    Case::new("unknown status", |g| g.text("otel.status_code", "FINE"))
    .differs(&[r#"tags otlp: ["otel.status_code","string","FINE"]"#]),
    Case::new("status OK and error", |g| g.text("otel.status_code", "OK").tag("error", Bool(true))),
    Case::new("a description of nothing", |g| g.text("otel.status_description", "late")),
    Case::new("HTTP 200", |g| g.tag("http.status_code", Long(200))),
    Case::new("HTTP 399", |g| g.tag("http.status_code", Long(399))),
    Case::new("HTTP 404 of a client", |g| g.text("span.kind", "client").tag("http.status_code", Long(404))),
    Case::new("HTTP 404 of a server", |g| g.text("span.kind", "server").tag("http.status_code", Long(404))),
    Case::new("HTTP 404 of no kind", |g| g.tag("http.status_code", Long(404))),
    Case::new("HTTP 503 with its message", |g| {
            g.text("span.kind", "server")
                .text("http.status_code", "503")
                .text("http.status_message", "Unavailable")
        }),
    Case::new("HTTP 500 where all is well", |g| g.text("otel.status_code", "OK").tag("http.status_code", Long(500))),
    Case::new("HTTP 500 by its new name", |g| g.tag("http.response.status_code", Long(500)))
    .differs(&[
            r#"tags otlp: ["otel.status_code","string","ERROR"]"#,
            r#"tags otlp: ["error","bool",true]"#,
        ])
    .in_collector(&[
        r#"tags otlp: ["error","bool",true]"#,
    ]),
    Case::new("trace state", |g| g.text("w3c.tracestate", "vendor=1,other=2")),
    Case::new("a scope", |g| g.text("otel.scope.name", "tower").text("otel.scope.version", "2")),
    Case::new("a parent", |mut g| {
            (g.parent, g.references) = (7, vec![(false, None, 7)]);
            g
        }),
    Case::new("a parent by reference alone", |mut g| {
            g.references = vec![(true, None, 8), (false, None, 7)];
            g
        }),
    Case::new("follows from its parent", |mut g| {
            (g.parent, g.references) = (7, vec![(true, None, 7)]);
            g
        }),
    Case::new("references to other traces", |mut g| {
            let other = Some(TraceId::new(9, 9));
            (g.parent, g.references) =
                (7, vec![(false, None, 7), (false, other, 8), (true, other, 9)]);
            g
        }),
    Case::new("child of another trace's span with its parent's id", |mut g| {
            let other = Some(TraceId::new(9, 9));
            (g.parent, g.references) = (7, vec![(false, None, 7), (false, other, 7)]);
            g
        })
    .differs(&[
            r#"references otlp: ["CHILD_OF","00000000000000090000000000000009","0000000000000007"]"#,
        ])
    .in_collector(&[
        r#"references thrift: ["CHILD_OF","TRACE","0000000000000007"]"#,
        r#"references otlp: ["CHILD_OF","00000000000000090000000000000009","0000000000000007"]"#,
    ]),
    Case::new("a reference to nothing", |mut g| {
            (g.parent, g.references) = (7, vec![(false, None, 7), (true, None, 0)]);
            g
        })
    .differs(&[r#"references thrift: ["FOLLOWS_FROM","TRACE","0000000000000000"]"#])
    .in_collector(&[
        r#"references thrift: ["FOLLOWS_FROM","TRACE",null]"#,
    ]),
    Case::new("logs", |mut g| {
            g.logs = vec![
                (g.start + 5, vec![(b"event", Str(b"retry")), (b"n", Long(1)), (b"n", Long(2))]),
                (g.start - 5, vec![(b"message", Str(b"before"))]),
                (g.start, Vec::new()),
            ];
            g
        }),
    Case::new("an event that is no text", |g| g.log("event", Long(5)))
    .differs(&[
            r#"logs thrift: [1700000000000002,[]]"#,
            r#"logs otlp: [1700000000000002,[["event","int64","5"]]]"#,
        ]),
    Case::new("an event without text", |g| g.log("event", Str(b"")))
    .differs(&[
            r#"logs thrift: [1700000000000002,[]]"#,
            r#"logs otlp: [1700000000000002,[["event","string",""]]]"#,
        ]),
    Case::new("debug and firehose", |mut g| {
            g.flags = 11;
            g
        }),
    Case::new("not sampled", |mut g| {
            g.flags = 0;
            g
        }),
    Case::new("duration 0", |mut g| {
            g.duration = 0;
            g
        }),
    Case::new("a negative duration", |mut g| {
            g.duration = -5;
            g
        })
    .differs(&[
            // The same warning, with the end time that was sent.
            r#"warnings thrift: "Negative duration detected, sanitizing end timestamp. Original end timestamp: 2023-11-14 22:13:19.999996 +0000 UTC, adjusted to: 2023-11-14 22:13:20.000001001 +0000 UTC""#,
            r#"warnings otlp: "Negative duration detected, sanitizing end timestamp. Original end timestamp: 2023-11-14 22:13:20.000001 +0000 UTC, adjusted to: 2023-11-14 22:13:20.000001001 +0000 UTC""#,
        ])
    .in_collector(&[
        r#"duration thrift: -5"#,
        r#"duration otlp: 0"#,
    ]),
    Case::new("the year 2262", |mut g| {
            g.start = i64::MAX / 1_000 - 10;
            g.duration = 5;
            g
        }),
    Case::new("a start after 2262", |mut g| {
            g.start = i64::MAX / 1_000 + 1_000_000;
            g
        })
    .differs(&[
            r#"duration thrift: 1234"#,
            r#"duration otlp: 2"#,
            r#"start thrift: 18437520701673696840"#,
            r#"start otlp: 9223372036854773"#,
        ])
    .in_collector(&[
        r#"duration thrift: 0"#,
        r#"duration otlp: 2"#,
        r#"start thrift: 0"#,
        r#"start otlp: 9223372036854773"#,
    ]),
    Case::new("an end after 2262", |mut g| {
            g.start = i64::MAX / 1_000 - 10;
            g
        })
    .differs(&[
            r#"duration thrift: 0"#,
            r#"duration otlp: 10"#,
            r#"warnings thrift: "Negative duration detected, sanitizing end timestamp. Original end timestamp: 1677-09-21 00:12:43.146447384 +0000 UTC, adjusted to: 2262-04-11 23:47:16.854765001 +0000 UTC""#,
        ])
    .in_collector(&[
        r#"duration thrift: -9223372036854765"#,
        r#"duration otlp: 10"#,
    ]),
    Case::new("a log after 2262", |mut g| {
            g.logs = vec![(i64::MAX / 1_000 + 1_000_000, vec![(b"event", Str(b"late"))])];
            g
        })
    .differs(&[
            r#"logs thrift: [18437520701673696840,[["event","string","late"]]]"#,
            r#"logs otlp: [9223372036854773,[["event","string","late"]]]"#,
        ])
    .in_collector(&[
        r#"logs thrift: [0,[["event","string","late"]]]"#,
        r#"logs otlp: [9223372036854773,[["event","string","late"]]]"#,
    ]),
    Case::new("1970", |mut g| {
            g.start = 0;
            g
        }),
    Case::new("before 1970", |mut g| {
            g.start = -1_000_000;
            g
        })
    .differs(&[r#"start thrift: 18446744073708551616"#, r#"start otlp: 0"#])
    .in_collector(&[
        r#"duration thrift: 0"#,
        r#"duration otlp: 1234"#,
    ]),
    Case::new("no operation name", |mut g| {
            g.operation = b"";
            g
        }),
    Case::new("tags of the process", |mut g| {
            g.process = vec![
                (b"hostname", Str(b"db-3")),
                (b"ip", Str(b"10.1.2.3")),
                (b"client-uuid", Str(b"1f")),
                (b"jaeger.version", Str(b"Rust-9")),
                (b"region", Str(b"eu")),
                (b"shard", Long(3)),
            ];
            g
        }),
    Case::new("tags of the process with OTLP's names", |mut g| {
            g.process = vec![
                (b"hostname", Str(b"db-3")),
                (b"host.name", Str(b"other")),
                (b"service.name", Str(b"by tag")),
                (b"opencensus.exporterversion", Str(b"x")),
                (b"jaeger.version", Str(b"Rust-9")),
            ];
            g
        }),
    Case::new("a service name that is no text", |mut g| {
        g.process = vec![(b"service.name", Long(3))];
        g
    })
    .differs(&[
        r#"service thrift: "service-name-wrong-type""#,
        r#"service otlp: "both-protocols""#,
    ])
    .in_collector(&[r#"service thrift: "3""#, r#"service otlp: "both-protocols""#]),
    Case::new("a version that is no text", |mut g| {
            g.process = vec![(b"jaeger.version", Long(3))];
            g
        })
    .differs(&[
            r#"process_tags thrift: ["opencensus.exporterversion","string","Jaeger-"]"#,
            r#"process_tags otlp: ["jaeger.version","int64","3"]"#,
        ]),
    Case::new("text that is no UTF-8", |g| g.tag("k", Str(b"a\xff")))
    .in_collector(&[
        r#"tags thrift: ["k","string","a�"]"#,
        r#"tags otlp: ["k","binary","Yf8="]"#,
    ]),
    Case::new("text of a log that is no UTF-8", |g| g.log("k", Str(b"a\xff")))
    .differs(&[
            r#"logs thrift: [1700000000000002,[["k","string","a�"]]]"#,
            r#"logs otlp: [1700000000000002,[["k","binary","Yf8="]]]"#,
        ]),
    Case::new("an operation name that is no UTF-8", |mut g| {
            g.operation = b"a\xff";
            g
        })
    .differs(&[
            r#"operation thrift: "invalid-span-name""#,
            r#"operation otlp: "a�""#,
            r#"tags thrift: ["invalid-span-name","binary","Yf8="]"#,
        ])
    .in_collector(&[
    ]),
    Case::new("a key that is no UTF-8", |mut g| {
            g.tags.push((b"a\xff", Long(1)));
            g
        })
    .differs(&[
            r#"tags thrift: ["invalid-tag-key-1","binary","Yf86MQ=="]"#,
            r#"tags otlp: ["a�","int64","1"]"#,
        ])
    .in_collector(&[
    ]),
];
