//! The output: counts, differences, and the services that can stop sending Thrift.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::compare::{Counts, DifferenceFound, DifferenceKey};
use crate::sample::Sampled;
use crate::{COULD_NOT_COMPARE, NOT_SAFE, SAFE};

/// The outcome for all services.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether every service can stop sending Thrift; `None` if a service has no result.
    safe: Option<bool>,
    traces: u64,
    services: Vec<ServiceReport>,
    /// The number of differences that are not shown.
    differences_left_out: u64,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ServiceReport {
    service: String,
    verdict: Verdict,
    total: Counts,
    operations: Vec<OperationReport>,
    differences: Vec<DifferenceReport>,
}

#[derive(Debug, Serialize)]
struct OperationReport {
    operation: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct DifferenceReport {
    operation: Option<String>,
    field: String,
    spans: u64,
    /// An example: a span, and what only one of its copies has.
    trace_id: String,
    span_id: String,
    thrift: Vec<String>,
    otlp: Vec<String>,
}

/// The result for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// All spans received by Thrift were received by OTLP, too, and are the same.
    Safe,
    /// Some copies differ.
    Different,
    /// Some spans were received by Thrift alone.
    MissingByOtlp,
    /// No span was received by OTLP.
    ThriftAlone,
    /// No span was received by Thrift: there is nothing to stop.
    OtlpAlone,
    /// There are no spans.
    NoSpans,
    /// There are fewer spans than are needed.
    TooFew,
}

impl Verdict {
    fn of(total: &Counts, min_spans: u64) -> Self {
        match total {
            Counts { thrift: 0, otlp: 0, .. } => Self::NoSpans,
            Counts { otlp: 0, .. } => Self::ThriftAlone,
            Counts { thrift: 0, .. } => Self::OtlpAlone,
            Counts { thrift_alone: 1.., .. } => Self::MissingByOtlp,
            Counts { different: 1.., .. } => Self::Different,
            Counts { pairs, .. } if *pairs < min_spans => Self::TooFew,
            _ => Self::Safe,
        }
    }

    const fn is_safe(self) -> Option<bool> {
        match self {
            Self::Safe | Self::OtlpAlone => Some(true),
            Self::Different | Self::MissingByOtlp | Self::ThriftAlone => Some(false),
            Self::NoSpans | Self::TooFew => None,
        }
    }
}

impl Report {
    /// Makes the report. Services without spans are left out, unless they were requested by name.
    pub(crate) fn new(sampled: Sampled, min_spans: u64, named: &[String]) -> Self {
        let Sampled { services, traces, comparison, notes } = sampled;
        let mut counts = comparison.services;
        let mut differences: BTreeMap<String, Vec<DifferenceReport>> = BTreeMap::new();
        for (key, found) in comparison.differences {
            let DifferenceKey { service, operation, field } = key;
            let DifferenceFound { spans, trace_id, span_id, thrift, otlp } = found;
            let found =
                DifferenceReport { operation, field, spans, trace_id, span_id, thrift, otlp };
            differences.entry(service).or_default().push(found);
        }
        let services = services.into_iter().filter_map(|service| {
            let operations = counts.remove(&service).unwrap_or_default();
            let mut total = Counts::default();
            operations.values().for_each(|counts| total.add(counts));
            let verdict = Verdict::of(&total, min_spans);
            if verdict == Verdict::NoSpans && !named.contains(&service) {
                return None;
            }
            let operations = operations
                .into_iter()
                .map(|(operation, counts)| OperationReport { operation, counts })
                .collect();
            let differences = differences.remove(&service).unwrap_or_default();
            Some(ServiceReport { service, verdict, total, operations, differences })
        });
        let services: Vec<_> = services.collect();
        Self {
            safe: safe(&services),
            traces,
            services,
            differences_left_out: comparison.left_out,
            notes,
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self.safe {
            Some(true) => SAFE,
            Some(false) => NOT_SAFE,
            None => COULD_NOT_COMPARE,
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| json_error(&error.to_string()))
    }
}

/// Returns whether all services are safe. A service that is not takes precedence over one without a result.
/// There is no result if no service sends Thrift.
fn safe(services: &[ServiceReport]) -> Option<bool> {
    let has = |wanted| services.iter().any(|service| service.verdict.is_safe() == wanted);
    if has(Some(false)) {
        return Some(false);
    }
    let is_compared = services.iter().any(|service| service.verdict == Verdict::Safe);
    if has(None) || !is_compared { None } else { Some(true) }
}

/// Returns the output if nothing could be compared.
pub(crate) fn json_error(error: &str) -> String {
    serde_json::json!({"safe": null, "error": error}).to_string()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for service in &self.services {
            writeln!(f, "{service}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.differences_left_out > 0 {
            writeln!(f, "note: {} more differences are not shown", self.differences_left_out)?;
        }
        let traces = self.traces;
        match self.safe {
            Some(true) => {
                writeln!(f, "SAFE to stop sending Thrift, as {traces} traces show")
            }
            Some(false) => writeln!(f, "NOT SAFE to stop sending Thrift, as {traces} traces show"),
            None => writeln!(f, "NOTHING CAN BE SAID from {traces} traces"),
        }
    }
}

impl fmt::Display for ServiceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { thrift, otlp, pairs, different, thrift_alone, otlp_alone, .. } = self.total;
        write!(f, "{}: ", shown(&self.service))?;
        match self.verdict {
            Verdict::Safe => write!(
                f,
                "safe: {pairs} spans were received over both protocols, and are the same"
            )?,
            Verdict::Different => {
                write!(f, "not safe: {different} of {pairs} spans differ between the protocols")?;
            }
            Verdict::MissingByOtlp => {
                write!(
                    f,
                    "not safe: {thrift_alone} of {thrift} spans were received over Thrift alone"
                )?;
            }
            Verdict::ThriftAlone => {
                write!(f, "not safe: {thrift} spans were received over Thrift and none over OTLP")?;
            }
            Verdict::OtlpAlone => {
                write!(f, "{otlp} spans were received over OTLP and none over Thrift")?
            }
            Verdict::NoSpans => write!(f, "no spans were found; more time: --lookback")?,
            Verdict::TooFew => write!(
                f,
                "{pairs} spans were received over both protocols, and are the same: too few to say more (--min-spans)"
            )?,
        }
        if otlp_alone > 0 && thrift > 0 {
            write!(f, "; {otlp_alone} were received over OTLP alone, and lost over Thrift")?;
        }
        writeln!(f)?;
        self.write_operations(f)?;
        for found in &self.differences {
            writeln!(f, "{found}")?;
        }
        Ok(())
    }
}

impl ServiceReport {
    fn write_operations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |operation: &OperationReport| shown(&operation.operation).chars().count();
        let width = self.operations.iter().map(width).max().unwrap_or_default();
        let width = width.max("operation".len());
        writeln!(
            f,
            "  {:width$} {:>8} {:>8} {:>8} {:>9} {:>12} {:>10} {:>8}",
            "operation",
            "Thrift",
            "OTLP",
            "both",
            "different",
            "Thrift alone",
            "OTLP alone",
            "repeated"
        )?;
        for OperationReport { operation, counts } in &self.operations {
            writeln!(
                f,
                "  {:width$} {:>8} {:>8} {:>8} {:>9} {:>12} {:>10} {:>8}",
                shown(operation),
                counts.thrift,
                counts.otlp,
                counts.pairs,
                counts.different,
                counts.thrift_alone,
                counts.otlp_alone,
                counts.repeated,
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for DifferenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, field, spans, trace_id, span_id, thrift, otlp } = self;
        let operation = operation.as_deref().map_or_else(|| "all operations".to_owned(), shown);
        write!(
            f,
            "  {operation}, {}: {spans} spans, such as {}:{}: Thrift {}, OTLP {}",
            shown(field),
            shown(trace_id),
            shown(span_id),
            values(thrift),
            values(otlp)
        )
    }
}

fn values(values: &[String]) -> String {
    if values.is_empty() {
        return "nothing".to_owned();
    }
    values.iter().map(|value| shown(value)).collect::<Vec<_>>().join(" and ")
}

/// Returns a text of a server on one line, truncated.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == MAX_SHOWN_CHARS {
            out.push('…');
            break;
        }
        if char.is_control() || is_reordering(char) {
            // Writing into a string cannot fail.
            let _ = write!(out, "{}", char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    out
}

/// Returns whether a character changes the direction of text in a terminal.
const fn is_reordering(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const MAX_SHOWN_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(totals: &[(&str, Counts)]) -> Report {
        let services: Vec<_> = totals
            .iter()
            .map(|(service, total)| ServiceReport {
                service: (*service).to_owned(),
                verdict: Verdict::of(total, 20),
                total: *total,
                operations: Vec::new(),
                differences: Vec::new(),
            })
            .collect();
        let safe = safe(&services);
        Report { safe, traces: 3, services, differences_left_out: 0, notes: Vec::new() }
    }

    const PAIRS: Counts = Counts {
        thrift: 30,
        otlp: 30,
        pairs: 30,
        different: 0,
        thrift_alone: 0,
        otlp_alone: 0,
        repeated: 0,
    };
    const NONE: Counts = Counts { thrift: 0, otlp: 0, pairs: 0, ..PAIRS };

    #[test]
    fn the_verdict_and_the_exit_code_say_whether_thrift_can_be_stopped() {
        let thrift = Counts { thrift: 30, thrift_alone: 30, ..NONE };
        let otlp = Counts { otlp: 30, otlp_alone: 30, ..NONE };
        for (counts, words, code) in [
            (PAIRS, "safe: 30 spans were received over both protocols, and are the same", 0),
            (Counts { repeated: 9, ..PAIRS }, "shop: safe", 0),
            (Counts { otlp: 31, otlp_alone: 1, ..PAIRS }, "1 were received over OTLP alone", 0),
            (Counts { different: 2, ..PAIRS }, "not safe: 2 of 30 spans differ", 1),
            (
                Counts { thrift: 31, thrift_alone: 1, ..PAIRS },
                "not safe: 1 of 31 spans were received over Thrift alone",
                1,
            ),
            (thrift, "not safe: 30 spans were received over Thrift and none over OTLP", 1),
            (otlp, "30 spans were received over OTLP and none over Thrift", 2),
            (NONE, "no spans were found", 2),
            (Counts { thrift: 3, otlp: 3, pairs: 3, ..PAIRS }, "too few", 2),
            (Counts { thrift: 3, otlp: 3, pairs: 3, different: 1, ..PAIRS }, "1 of 3 spans", 1),
        ] {
            let report = report(&[("shop", counts)]);
            assert_eq!(report.exit_code(), code, "{report}");
            assert!(report.to_string().contains(words), "{report}");
        }
    }

    #[test]
    fn one_service_that_is_not_safe_outweighs_others() {
        let different = Counts { different: 1, ..PAIRS };
        let otlp = Counts { otlp: 30, otlp_alone: 30, ..NONE };
        for (others, code) in [(different, 1), (NONE, 2), (otlp, 0), (PAIRS, 0)] {
            assert_eq!(report(&[("a", PAIRS), ("b", others)]).exit_code(), code);
        }
        assert_eq!(report(&[("a", different), ("b", NONE)]).exit_code(), 1);
        assert_eq!(report(&[]).exit_code(), 2);
    }

    #[test]
    fn what_a_server_says_cannot_take_over_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{202e}c é"), "a\\u{1b}[2J\\u{a}b\\u{202e}c é");
        assert_eq!(shown(&"x".repeat(1_000)).chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
