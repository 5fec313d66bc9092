//! Pairs the copies of spans that were received by both protocols, counts them, and collects differences.

use std::collections::BTreeMap;

use crate::span::{Copy, Difference, Ignored, PROCESS_TAG, Protocol, SpanKey};

/// The results by service and operation.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) services: BTreeMap<String, BTreeMap<String, Counts>>,
    pub(crate) differences: BTreeMap<DifferenceKey, DifferenceFound>,
    /// The number of differences whose kinds exceed the limit.
    pub(crate) left_out: u64,
}

/// The numbers of spans of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Copies received by Thrift, without repeated ones.
    pub(crate) thrift: u64,
    /// Copies received by OTLP, without repeated ones.
    pub(crate) otlp: u64,
    /// Spans received by both.
    pub(crate) pairs: u64,
    /// Those of them whose copies differ.
    pub(crate) different: u64,
    /// Spans received by Thrift alone.
    pub(crate) thrift_alone: u64,
    /// Spans received by OTLP alone.
    pub(crate) otlp_alone: u64,
    /// Copies received again by the same protocol, as after a lost response.
    pub(crate) repeated: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.thrift += other.thrift;
        self.otlp += other.otlp;
        self.pairs += other.pairs;
        self.different += other.different;
        self.thrift_alone += other.thrift_alone;
        self.otlp_alone += other.otlp_alone;
        self.repeated += other.repeated;
    }
}

/// Differences of one field of one operation are one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DifferenceKey {
    pub(crate) service: String,
    /// None for tags of the process, which are those of all operations.
    pub(crate) operation: Option<String>,
    pub(crate) field: String,
}

/// How often there is a difference, and one example.
#[derive(Debug)]
pub(crate) struct DifferenceFound {
    pub(crate) spans: u64,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) thrift: Vec<String>,
    pub(crate) otlp: Vec<String>,
}

/// The copies of the spans of a trace.
#[derive(Debug, Default)]
pub(crate) struct Copies(BTreeMap<SpanKey, CopiesOfSpan>);

#[derive(Debug, Default)]
struct CopiesOfSpan {
    thrift: Vec<Copy>,
    otlp: Vec<Copy>,
}

impl Copies {
    pub(crate) fn add(&mut self, key: SpanKey, protocol: Protocol, copy: Copy) {
        let of_span = self.0.entry(key).or_default();
        match protocol {
            Protocol::Thrift => of_span.thrift.push(copy),
            Protocol::Otlp => of_span.otlp.push(copy),
        }
    }

    /// Returns the spans of which one protocol has fewer copies than the other.
    pub(crate) fn alone(&self) -> impl Iterator<Item = &SpanKey> {
        let alone = |(_, copies): &(&SpanKey, &CopiesOfSpan)| {
            copies.thrift.is_empty() != copies.otlp.is_empty()
        };
        self.0.iter().filter(alone).map(|(key, _)| key)
    }

    /// Returns all spans that have copies.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SpanKey> {
        self.0.keys()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&SpanKey) -> bool) {
        self.0.retain(|key, _| keep(key));
    }
}

impl Comparison {
    /// Adds the spans of a trace.
    pub(crate) fn add(&mut self, trace_id: &str, copies: Copies, ignored: &Ignored) {
        for (key, CopiesOfSpan { mut thrift, mut otlp }) in copies.0 {
            let service = self.services.entry(key.service.clone()).or_default();
            for copies in [&mut thrift, &mut otlp] {
                // Spans that share an id are then in the same order by both protocols.
                copies.sort();
                let before = copies.len();
                copies.dedup();
                if let Some(first) = copies.first() {
                    let repeated = u64::try_from(before - copies.len()).unwrap_or(u64::MAX);
                    service.entry(first.operation.clone()).or_default().repeated += repeated;
                }
            }
            let pairs = thrift.len().min(otlp.len());
            for (copies, is_otlp) in [(&thrift, false), (&otlp, true)] {
                for (at, copy) in copies.iter().enumerate() {
                    let counts = service.entry(copy.operation.clone()).or_default();
                    let alone = u64::from(at >= pairs);
                    if is_otlp {
                        counts.otlp += 1;
                        counts.otlp_alone += alone;
                    } else {
                        counts.thrift += 1;
                        counts.thrift_alone += alone;
                        counts.pairs += 1 - alone;
                    }
                }
            }
            for (thrift, otlp) in thrift.iter().zip(&otlp) {
                let differences = thrift.differences(otlp, ignored);
                if differences.is_empty() {
                    continue;
                }
                let service = self.services.entry(key.service.clone()).or_default();
                service.entry(thrift.operation.clone()).or_default().different += 1;
                for difference in differences {
                    self.note(trace_id, &key, &thrift.operation, difference);
                }
            }
        }
    }

    fn note(&mut self, trace_id: &str, key: &SpanKey, operation: &str, found: Difference) {
        let Difference { field, thrift, otlp } = found;
        let of_process = field.starts_with(PROCESS_TAG);
        let operation = if of_process { None } else { Some(operation.to_owned()) };
        let kind = DifferenceKey { service: key.service.clone(), operation, field };
        if let Some(known) = self.differences.get_mut(&kind) {
            known.spans += 1;
        } else if self.differences.len() < MAX_KINDS_OF_DIFFERENCES {
            let (trace_id, span_id) = (trace_id.to_owned(), key.span_id.clone());
            let found = DifferenceFound { spans: 1, trace_id, span_id, thrift, otlp };
            self.differences.insert(kind, found);
        } else {
            self.left_out += 1;
        }
    }
}

const MAX_KINDS_OF_DIFFERENCES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::StoredTrace;
    use serde_json::{Value, json};

    /// Compares one trace of these spans: id, protocol, operation, duration.
    fn compare(spans: &[(&str, Protocol, &str, u64)]) -> Comparison {
        let spans: Vec<Value> = spans
            .iter()
            .map(|(id, protocol, operation, duration)| {
                let process = if *protocol == Protocol::Otlp { "otlp" } else { "thrift" };
                json!({"spanID": id, "operationName": operation, "duration": duration, "processID": process})
            })
            .collect();
        let sdk =
            json!([{"key": "telemetry.sdk.name", "type": "string", "value": "jaeger-client"}]);
        let processes = json!({
            "thrift": {"serviceName": "shop", "tags": []},
            "otlp": {"serviceName": "shop", "tags": sdk},
        });
        let trace = json!({"traceID": "7", "spans": spans, "processes": processes});
        let trace: StoredTrace = serde_json::from_value(trace).unwrap();
        let mut copies = Copies::default();
        trace.into_copies().for_each(|(key, protocol, copy)| copies.add(key, protocol, copy));
        let mut comparison = Comparison::default();
        comparison.add("7", copies, &Ignored::new(Vec::new()));
        comparison
    }

    fn counts(comparison: &Comparison, operation: &str) -> Counts {
        comparison.services["shop"][operation]
    }

    #[test]
    fn copies_by_both_protocols_are_pairs_and_others_are_alone() {
        use Protocol::{Otlp, Thrift};
        let found = compare(&[
            ("1", Thrift, "a", 1),
            ("1", Otlp, "a", 1),
            ("2", Thrift, "a", 1),
            ("3", Otlp, "a", 1),
            ("4", Thrift, "b", 1),
            ("4", Otlp, "b", 2),
        ]);
        let expected = Counts {
            thrift: 2,
            otlp: 2,
            pairs: 1,
            thrift_alone: 1,
            otlp_alone: 1,
            ..Counts::default()
        };
        assert_eq!(counts(&found, "a"), expected);
        let expected = Counts { thrift: 1, otlp: 1, pairs: 1, different: 1, ..Counts::default() };
        assert_eq!(counts(&found, "b"), expected);
        let (key, difference) = found.differences.first_key_value().unwrap();
        assert_eq!((key.operation.as_deref(), &*key.field), (Some("b"), "duration"));
        assert_eq!(difference.spans, 1);
        assert_eq!((&*difference.trace_id, &*difference.span_id), ("7", "4"));
    }

    #[test]
    fn a_copy_that_came_again_by_the_same_protocol_is_no_span() {
        use Protocol::{Otlp, Thrift};
        let found = compare(&[
            ("1", Otlp, "a", 1),
            ("1", Thrift, "a", 1),
            ("1", Otlp, "a", 1),
            ("1", Otlp, "a", 1),
        ]);
        let expected = Counts { thrift: 1, otlp: 1, pairs: 1, repeated: 2, ..Counts::default() };
        assert_eq!(counts(&found, "a"), expected);
    }

    #[test]
    fn spans_that_share_an_id_are_paired_by_what_they_are() {
        use Protocol::{Otlp, Thrift};
        let found = compare(&[
            ("1", Thrift, "client", 5),
            ("1", Thrift, "server", 3),
            ("1", Otlp, "server", 3),
            ("1", Otlp, "client", 5),
        ]);
        for operation in ["client", "server"] {
            let expected = Counts { thrift: 1, otlp: 1, pairs: 1, ..Counts::default() };
            assert_eq!(counts(&found, operation), expected, "{operation}");
        }
    }

    #[test]
    fn the_kinds_of_differences_that_are_held_are_bounded() {
        let names: Vec<String> = (0..MAX_KINDS_OF_DIFFERENCES + 5).map(|n| n.to_string()).collect();
        let spans = names.iter().flat_map(|name| {
            [(&**name, Protocol::Thrift, &**name, 1), (&**name, Protocol::Otlp, &**name, 2)]
        });
        let found = compare(&spans.collect::<Vec<_>>());
        assert_eq!((found.differences.len(), found.left_out), (MAX_KINDS_OF_DIFFERENCES, 5));
    }
}
