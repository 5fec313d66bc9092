//! Injection: a context's entries in a carrier, or its bytes.

use jaeger_client::SpanContext;
use serde_json::{Value, json};

use crate::carrier::{Baggage, Format, Ids, Names, baggage, entries, injected, is_token, pairs};
use crate::client;
use crate::deviations::{self, Rule};
use crate::json::{member, only, present, to_hex};
use crate::report::Checks;

const INPUT: &str = "trace_id_high trace_id_low span_id parent_id flags format baggage \
                     headers_config headers baggage_prefix";

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = member(case, "input")?;
    only(input, INPUT)?;
    let (format, ids, baggage) = (Format::read(input)?, Ids::read(input)?, baggage(input)?);
    let expected = member(case, "expected")?;
    let got = written(&format, &made_with(&ids, &baggage)?)?;
    let (Some(hex), Some(begins)) = (got["hex"].as_str(), present(expected, "prefix_hex")) else {
        let mut recorded = expected.clone();
        if present(expected, "carrier").is_some() {
            recorded["carrier"] = entries(pairs(expected, "carrier")?);
        }
        checks.compare("", &recorded, &got);
        return Ok(());
    };
    // How the bytes begin and how many there are: the order of baggage is left open.
    let shown = hex.get(..begins.as_str().unwrap_or_default().len()).unwrap_or(hex);
    checks.compare("", expected, &json!({"prefix_hex": shown, "length": hex.len() / 2}));
    Ok(())
}

/// Returns what this client writes.
fn written(format: &Format, context: &SpanContext) -> Result<Value, String> {
    let builder = format.configure(client::builder("vectors").null_reporter());
    let (tracer, _closer) = match builder.build() {
        Err(_) if format.has_odd_names() => return Ok(json!({"refused": true})),
        built => built.map_err(client::refused)?,
    };
    Ok(match format {
        Format::Binary => json!({"hex": to_hex(&tracer.inject_binary(context))}),
        Format::Headers { http, .. } => json!({"carrier": injected(&tracer, *http, context)}),
        Format::B3 { .. } => json!({"carrier": injected(&tracer, false, context)}),
    })
}

/// A context made by hand. Setting an empty item removes it, so one with such an item is extracted.
pub(crate) fn made_with(ids: &Ids, baggage: &Baggage) -> Result<SpanContext, String> {
    let not_utf8 = |_| String::from("baggage that is not UTF-8");
    let text = |value: &Vec<u8>| String::from_utf8(value.clone()).map_err(not_utf8);
    if baggage.values().any(Vec::is_empty) {
        let (tracer, _closer) =
            client::builder("vectors").null_reporter().build().map_err(client::refused)?;
        let mut carrier = vec![(Names::default().trace_context, ids.context().to_string())];
        for (key, value) in baggage {
            carrier.push((format!("{}{key}", Names::default().baggage_prefix), text(value)?));
        }
        return tracer.extract(&carrier).map_err(|error| error.to_string());
    }
    baggage.iter().try_fold(ids.context(), |context, (key, value)| {
        Ok(context.with_baggage_item(key, &text(value)?))
    })
}

/// Returns whether there is baggage that no header can hold, or no reader takes.
pub(crate) fn is_not_all_written(baggage: &Baggage) -> bool {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let lower: std::collections::BTreeSet<_> =
        baggage.keys().map(|key| key.to_lowercase()).collect();
    let length: usize = baggage.iter().map(|(key, value)| key.len() + value.len()).sum();
    let odd =
        |(key, value): (&String, &Vec<u8>)| !key.bytes().all(is_token) || value.iter().any(control);
    // More than 4,096 bytes are no item of the binary format.
    baggage.iter().any(odd) || lower.len() < baggage.len() || baggage.len() > 180 || length > 4_096
}

/// Why a context may be written otherwise than it was recorded.
pub(crate) const RULES: &[Rule] = &[
    (deviations::NAMES_REFUSED, |case, at| {
        let is_odd = Format::read(&case["input"]).is_ok_and(|format| format.has_odd_names());
        is_odd && (at.place == "refused" || at.got.is_null())
    }),
    (deviations::SPACES_ENCODED, |case, at| {
        let written = at.recorded.as_str().map(|value| value.replace('+', "%20"));
        let is_http =
            case["input"]["format"].as_str().is_some_and(|format| format.starts_with("http"));
        is_http && at.is_in("carrier") && written.as_deref() == at.got.as_str()
    }),
    (deviations::WRITTEN_AS_READ, |case, at| {
        let is_left_out = at.got.is_null() || !at.is_in("carrier");
        is_left_out && baggage(&case["input"]).is_ok_and(|baggage| is_not_all_written(&baggage))
    }),
    (deviations::B3_DEBUG, |case, at| {
        let is_debugged = case["input"]["flags"].as_u64().is_some_and(|flags| flags & 3 == 3);
        is_debugged && at.is_in("carrier/x-b3-flags") && at.got == "1"
    }),
];
