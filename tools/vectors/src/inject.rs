//! Injection: a context's entries in a carrier, or its bytes.

use jaeger_client::SpanContext;
use jaeger_client::propagation::{B3Format, HttpHeaders};
use serde_json::Value;

use crate::carrier::{Baggage, Ids, Names, Pairs, baggage, pairs};
use crate::client;
use crate::deviations;
use crate::inject_rules::{To, kept, spaces_encoded};
use crate::json::{bytes, int, member, only, present, text};
use crate::report::Checks;

/// A format that contexts are written in.
#[derive(Clone, Debug, PartialEq)]
enum Format {
    Headers { http: bool, names: Names },
    B3 { baggage_prefix: Option<String> },
    Binary,
}

/// A context and the format to write it in.
#[derive(Debug)]
struct Input {
    format: Format,
    ids: Ids,
    baggage: Baggage,
}

impl Input {
    fn read(input: &Value) -> Result<Self, String> {
        let ids = ["trace_id_high", "trace_id_low", "span_id", "parent_id", "flags"];
        let others = ["format", "baggage", "headers_config", "headers", "baggage_prefix"];
        only(input, &[ids.as_slice(), &others].concat())?;
        let is_said = present(input, "headers_config").or_else(|| present(input, "headers"));
        let format = match text(input, "format")? {
            // What the recorded cases mean where they do not say it.
            format @ ("http_custom" | "textmap_custom") if is_said.is_none() => Format::Headers {
                http: format == "http_custom",
                names: Names {
                    trace_context: String::from("X-Trace"),
                    baggage_prefix: String::from("X-Bag-"),
                    ..Names::default()
                },
            },
            format @ ("http" | "textmap" | "http_custom" | "textmap_custom") => {
                Format::Headers { http: format.starts_with("http"), names: Names::read(input)? }
            }
            "b3" => {
                Format::B3 { baggage_prefix: text(input, "baggage_prefix").ok().map(String::from) }
            }
            "binary" => Format::Binary,
            other => return Err(format!("unknown format {other:?}")),
        };
        Ok(Self { format, ids: Ids::read(input)?, baggage: baggage(input)? })
    }
}

/// What a carrier holds afterwards: entries sorted by key, or bytes. Of the bytes a case may say only
/// how they begin and how many there are: the order of baggage is left open.
#[derive(Debug, PartialEq)]
enum Written {
    Pairs(Pairs),
    Bytes(Vec<u8>),
    Begins(Vec<u8>, usize),
}

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let input = Input::read(member(case, "input")?)?;
    let expected = member(case, "expected")?;
    let mut expected = match (present(expected, "hex"), present(expected, "prefix_hex")) {
        (Some(_), _) => Written::Bytes(bytes(expected, "hex")?),
        (None, Some(_)) => {
            Written::Begins(bytes(expected, "prefix_hex")?, int(expected, "length")?)
        }
        (None, None) => Written::Pairs(pairs(expected, "carrier")?),
    };
    leave_out(&input, &mut expected, checks);
    if let (Written::Pairs(pairs), Format::Headers { http: true, names }) =
        (&mut expected, &input.format)
    {
        for (_, value) in pairs.iter_mut().filter(|(name, _)| *name != names.trace_context) {
            if value.contains('+') {
                *value = spaces_encoded(value);
                checks.deviates(deviations::SPACES_ENCODED);
            }
        }
    }
    if let Written::Pairs(pairs) = &mut expected
        && matches!(input.format, Format::B3 { .. })
        && input.ids.flags & DEBUGGED == DEBUGGED
    {
        pairs.push((String::from("x-b3-flags"), String::from("1")));
        pairs.sort();
        checks.deviates(deviations::B3_DEBUG);
    }
    compare(&expected, injected(&input)?, checks);
    Ok(())
}

/// Leaves out what this client does not write: what no header can hold, and what no reader takes.
fn leave_out(input: &Input, expected: &mut Written, checks: &mut Checks) {
    let (prefix, to) = match &input.format {
        Format::Headers { http: true, names } => (names.baggage_prefix.as_str(), To::Http),
        Format::Headers { names, .. } => (names.baggage_prefix.as_str(), To::TextMap),
        Format::B3 { baggage_prefix } => {
            (baggage_prefix.as_deref().unwrap_or("baggage-"), To::TextMap)
        }
        Format::Binary => ("", To::Binary),
    };
    let kept = kept(&input.baggage, to);
    if kept.len() == input.baggage.len() {
        return;
    }
    checks.deviates(deviations::WRITTEN_AS_READ);
    match expected {
        Written::Pairs(pairs) => pairs.retain(|(name, _)| {
            let item = name.strip_prefix(prefix).filter(|item| input.baggage.contains_key(*item));
            item.is_none_or(|item| kept.contains(&item))
        }),
        Written::Bytes(bytes) => {
            bytes.truncate(IDS_BYTES);
            bytes.extend(binary_baggage(&kept, input));
        }
        Written::Begins(prefix, length) => {
            let known = prefix.len();
            let baggage = binary_baggage(&kept, input);
            *length = IDS_BYTES + baggage.len();
            prefix.truncate(IDS_BYTES);
            prefix.extend(baggage);
            prefix.truncate(known);
        }
    }
}

/// What ids and flags take in the binary format.
const IDS_BYTES: usize = 33;

/// Baggage in the binary format.
fn binary_baggage(keys: &[&str], input: &Input) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or_default().to_be_bytes();
    let mut bytes = number(keys.len()).to_vec();
    for key in keys {
        for text in [key.as_bytes(), &input.baggage[*key]] {
            bytes.extend(number(text.len()));
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// The flags of a trace that is recorded because somebody asked for it.
const DEBUGGED: u8 = 3;

/// What this client writes.
fn injected(input: &Input) -> Result<Written, String> {
    let builder = client::builder("vectors").null_reporter();
    let builder = match &input.format {
        Format::Headers { names, .. } => builder.headers(names.config()),
        Format::B3 { baggage_prefix: Some(prefix) } => builder.format(B3Format::new(prefix)),
        Format::B3 { .. } => builder.format(B3Format::default()),
        Format::Binary => builder,
    };
    let (tracer, _closer) = builder.build().map_err(client::refused)?;
    let context = context(input)?;
    Ok(match input.format {
        Format::Binary => Written::Bytes(tracer.inject_binary(&context)),
        Format::Headers { http: true, .. } => {
            let mut carrier = HttpHeaders(Pairs::new());
            tracer.inject(&context, &mut carrier);
            Written::Pairs(carrier.0)
        }
        Format::Headers { .. } | Format::B3 { .. } => {
            let mut carrier = Pairs::new();
            tracer.inject(&context, &mut carrier);
            Written::Pairs(carrier)
        }
    })
}

/// The context to inject. Setting an empty item removes it, so one with such an item is extracted.
fn context(input: &Input) -> Result<SpanContext, String> {
    let mut carrier = vec![(Names::default().trace_context, input.ids.context().to_string())];
    for (key, value) in &input.baggage {
        let value = String::from_utf8(value.clone());
        let value = value.map_err(|_| String::from("baggage that is not UTF-8"))?;
        carrier.push((format!("{}{key}", Names::default().baggage_prefix), value));
    }
    if input.baggage.values().any(Vec::is_empty) {
        let (tracer, _closer) =
            client::builder("vectors").null_reporter().build().map_err(client::refused)?;
        return tracer.extract(&carrier).map_err(|error| error.to_string());
    }
    let items = input.baggage.keys().zip(carrier.iter().skip(1));
    Ok(items.fold(input.ids.context(), |context, (key, (_, value))| {
        context.with_baggage_item(key, value)
    }))
}

fn compare(expected: &Written, mut got: Written, checks: &mut Checks) {
    if let Written::Pairs(pairs) = &mut got {
        pairs.sort();
    }
    match (expected, &got) {
        (Written::Bytes(expected), Written::Bytes(got)) => {
            checks.same_bytes("carrier", expected, got);
        }
        (Written::Begins(expected, length), Written::Bytes(got)) => {
            checks.same_bytes("carrier", expected, &got[..expected.len().min(got.len())]);
            checks.same("length of the carrier", length, &got.len());
        }
        _ => checks.same("carrier", expected, &got),
    }
}
