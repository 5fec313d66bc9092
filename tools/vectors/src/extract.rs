//! Extraction: a carrier's context or error, and the span started as its child.

use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{FinishedSpan, InMemoryReporter, SpanContext};
use serde_json::{Map, Value, json};

use crate::carrier::{Format, Names, Pairs, baggage_shown, extract, pairs};
use crate::client;
use crate::deviations::{self, Deviation, Rule};
use crate::json::{bytes, int, member, only, present};
use crate::model;
use crate::report::{Checks, Difference};

/// The input of an extraction: pairs, or bytes if the format is the binary one.
#[derive(Debug)]
struct Carrier {
    format: Format,
    pairs: Pairs,
    bytes: Vec<u8>,
}

const INPUT: &str = "format carrier carrier_hex headers_config headers baggage_prefix prefix_hex \
                     fill_hex length";

impl Carrier {
    fn read(input: &Value) -> Result<Self, String> {
        only(input, INPUT)?;
        let format = Format::read(input)?;
        let (pairs, bytes) = match format {
            Format::Binary => (Pairs::new(), binary(input)?),
            _ => (pairs(input, "carrier")?, Vec::new()),
        };
        Ok(Self { format, pairs, bytes })
    }

    /// Returns what in it this client reads in its own way.
    fn deviations(&self) -> Vec<Deviation> {
        let mut found = match &self.format {
            Format::Headers { http, names } => headers_deviate(*http, names, &self.pairs),
            Format::B3 { baggage_prefix } => b3_deviates(baggage_prefix, &self.pairs),
            Format::Binary => Vec::new(),
        };
        let is_other = |letter: char| !letter.is_ascii() && letter.is_uppercase();
        if self.pairs.iter().any(|(key, _)| key.contains(is_other)) {
            found.push(deviations::ASCII_HEADER_NAMES);
        }
        // One header may have several items.
        let items = |(_, value): &(String, String)| {
            1 + value.matches(',').count() + value.to_ascii_uppercase().matches("%2C").count()
        };
        let bytes = |(key, value): &(String, String)| key.len() + value.len();
        if self.pairs.iter().map(items).sum::<usize>() > 180
            || self.pairs.iter().map(bytes).sum::<usize>() + self.bytes.len() > 8_192
        {
            found.push(deviations::BAGGAGE_BOUNDED);
        }
        if self.format.has_odd_names() {
            found.push(deviations::NAMES_REFUSED);
        }
        found
    }
}

/// The bytes of a carrier: all of them, or how they begin and how many there are.
fn binary(input: &Value) -> Result<Vec<u8>, String> {
    if present(input, "prefix_hex").is_none() {
        return bytes(input, "carrier_hex");
    }
    let mut carrier = bytes(input, "prefix_hex")?;
    let fill =
        present(input, "fill_hex").map_or_else(|| Ok(vec![0]), |_| bytes(input, "fill_hex"))?;
    let missing = int::<usize>(input, "length")?.saturating_sub(carrier.len());
    carrier.extend(fill.into_iter().cycle().take(missing));
    Ok(carrier)
}

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let carrier = Carrier::read(member(case, "input")?)?;
    let (mut recorded, mut got) = (member(case, "expected")?.clone(), extracted(&carrier)?);
    // No public call returns whether samplers would still be called for a context.
    recorded
        .pointer_mut("/context")
        .and_then(Value::as_object_mut)
        .map(|c| c.remove("sampling_final"));
    for of in ["/context/baggage", "/child/baggage"] {
        let baggage = recorded.pointer_mut(of).and_then(Value::as_object_mut);
        baggage.into_iter().flat_map(Map::values_mut).try_for_each(|text| as_utf8(text, checks))?;
    }
    for text in ["/context/debug_id", "/child/debug_tag"] {
        recorded.pointer_mut(text).map_or(Ok(()), |text| as_utf8(text, checks))?;
    }
    // Go panics when it asks a context of a debug id or baggage alone for its flags; ours are 0.
    if recorded.pointer("/context").is_some_and(|context| present(context, "flags").is_none())
        && let Some(context) = got.pointer_mut("/context").and_then(Value::as_object_mut)
        && context.get("flags") == Some(&Value::from(0))
    {
        for flag in ["flags", "sampled", "debug", "firehose"] {
            context.remove(flag);
        }
    }
    // References are seen only on spans that are reported.
    if got.pointer("/child/references") == Some(&Value::Null) {
        recorded
            .pointer_mut("/child")
            .and_then(Value::as_object_mut)
            .map(|c| c.remove("references"));
    }
    checks.compare("", &recorded, &got);
    Ok(())
}

/// This client's texts are UTF-8, whatever the carrier's are.
fn as_utf8(text: &mut Value, checks: &mut Checks) -> Result<(), String> {
    if !text.is_string() {
        let bytes = model::string(text)?;
        if str::from_utf8(&bytes).is_err() {
            checks.deviates(deviations::TEXT_IS_UTF8);
        }
        *text = Value::from(String::from_utf8_lossy(&bytes));
    }
    Ok(())
}

/// Returns this client's result for the carrier.
fn extracted(carrier: &Carrier) -> Result<Value, String> {
    // The tag of a debug id is compared as the span was given it.
    let builder = client::builder("vectors")
        .sampler(ConstSampler::new(false))
        .max_tag_value_length(usize::MAX);
    let reporter = InMemoryReporter::new();
    let built = carrier.format.configure(builder).in_memory(&reporter).build();
    let (tracer, closer) = match built {
        Err(_) if carrier.format.has_odd_names() => return Ok(json!({"refused": true})),
        built => built.map_err(client::refused)?,
    };
    let pairs = carrier.pairs.clone();
    let extracted = match &carrier.format {
        Format::Headers { http, .. } => extract(&tracer, *http, pairs),
        Format::B3 { .. } => extract(&tracer, true, pairs),
        Format::Binary => tracer.extract_binary(&carrier.bytes),
    };
    let mut debug_tags = vec![Names::default().debug];
    if let Format::Headers { names, .. } = &carrier.format {
        debug_tags.push(names.debug.clone());
    }
    let context = match extracted {
        Ok(context) => context,
        Err(error) => return Ok(json!({"ok": false, "error": client::error_kind(&error)})),
    };
    let span = tracer.span("child").child_of(&context).start();
    let seen = span.context();
    span.finish();
    client::close(closer)?;
    let reported = reporter.spans();
    let view = reported.first().map(FinishedSpan::view);
    let debug_tag = debug_tags.iter().find_map(|key| match view?.tag(key)? {
        ValueView::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    Ok(json!({
        "ok": true,
        "context": shown(&context),
        "child": {
            "same_trace": seen.trace_id() == context.trace_id(),
            "parent_id": format!("{:016x}", seen.parent_id().get()),
            "flags": seen.flags(),
            "baggage": baggage_shown(&seen),
            "references": view.map(|view| view.references().count()),
            "debug_tag": debug_tag,
        },
    }))
}

fn shown(context: &SpanContext) -> Value {
    let hex = |id: u64| format!("{id:016x}");
    let flags = context.flags();
    json!({
        "trace_id_high": hex(context.trace_id().high()),
        "trace_id_low": hex(context.trace_id().low()),
        "span_id": hex(context.span_id().get()),
        "parent_id": hex(context.parent_id().get()),
        "flags": flags,
        "sampled": flags & 1 != 0,
        "debug": flags & 2 != 0,
        "firehose": flags & 8 != 0,
        "valid": context.is_valid(),
        "debug_id": context.debug_id().unwrap_or_default(),
        "baggage": baggage_shown(context),
    })
}

/// Returns what in Jaeger's headers this client reads in its own way.
pub(crate) fn headers_deviate(http: bool, names: &Names, pairs: &Pairs) -> Vec<Deviation> {
    let named = |name: &str| {
        let name = name.to_owned();
        pairs.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(&name)).map(|(_, value)| value)
    };
    let mut found = Vec::new();
    let mut contexts = named(&names.trace_context);
    let has_upper = |text: &str| text.chars().any(char::is_uppercase);
    if names.all().into_iter().any(has_upper) {
        found.push(deviations::HEADER_NAMES_OF_ANY_CASE);
    }
    if contexts.clone().count() > 1 || contexts.clone().any(|value| has_comma(value)) {
        found.push(deviations::ONE_CONTEXT);
    }
    // Any other flags are read alike, as a number or not at all.
    let is_hex = |flags: &str| {
        let has_letter = flags.bytes().any(|digit| digit.is_ascii_alphabetic());
        let is_other = u64::from_str_radix(flags, 16).ok() != flags.parse::<u64>().ok();
        (has_letter || is_other) && flags.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let decoded = |value: &String| {
        let mut scratch = Vec::new();
        let decoded = if http { decoded(value, &mut scratch) } else { value.as_bytes() };
        String::from_utf8_lossy(decoded).into_owned()
    };
    if contexts.clone().any(|value| decoded(value).rsplit(':').next().is_some_and(is_hex)) {
        found.push(deviations::HEX_FLAGS);
    }
    if named(&names.debug).next().is_some() && contexts.next().is_some() {
        found.extend([deviations::DEBUG_ID_ACTS, deviations::DEBUG_ID_RETAINED]);
    }
    let prefix = names.baggage_prefix.to_lowercase();
    if !http
        && pairs.iter().any(|(key, _)| has_upper(key) && key.to_lowercase().starts_with(&prefix))
    {
        found.push(deviations::TEXT_MAP_KEYS_RETAINED);
    }
    found
}

/// The bytes of a percent-encoded text; others as they are.
fn decoded<'v>(text: &'v str, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    let mut parts = text.split('%');
    scratch.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let Some(byte) = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok())
        else {
            return text.as_bytes();
        };
        scratch.push(byte);
        scratch.extend(part[2..].bytes());
    }
    scratch
}

fn has_comma(value: &str) -> bool {
    value.contains(',') || value.to_uppercase().contains("%2C")
}

/// Returns what in headers of B3 this client reads in its own way.
fn b3_deviates(baggage_prefix: &str, pairs: &Pairs) -> Vec<Deviation> {
    let pairs = || pairs.iter().map(|(key, value)| (key.to_lowercase(), value));
    let named = |name: &'static str| pairs().filter(move |(key, _)| key == name).map(|(_, v)| v);
    let prefix = baggage_prefix.to_lowercase();
    let part = |key: &str| key == "b3" || key.starts_with("x-b3-");
    let twice = |key: &str| pairs().filter(|(other, _)| other == key).count() > 1;
    let debug = named("x-b3-flags").next().is_some()
        || named("x-b3-sampled").any(|value| value.split(',').any(|value| value.trim() == "d"));
    // A decision beside an id of a trace is that trace's.
    let has_trace = named("x-b3-traceid").any(|id| id.bytes().any(|digit| digit != b'0'));
    let has_span = named("x-b3-spanid").any(|id| id.bytes().any(|digit| digit != b'0'));
    let is_alone = !has_trace || !has_span;
    let decision = is_alone && (debug || named("x-b3-sampled").next().is_some());
    [
        (deviations::HEADER_NAMES_OF_ANY_CASE, baggage_prefix.contains(char::is_uppercase)),
        (deviations::B3_SINGLE, named("b3").next().is_some()),
        (deviations::B3_DEBUG, debug),
        (deviations::B3_NO_PARENT, named("x-b3-parentspanid").any(|value| value.trim().is_empty())),
        (deviations::B3_DECISION, decision),
        (
            deviations::ONE_CONTEXT,
            pairs().any(|(key, value)| part(&key) && (has_comma(value) || twice(&key))),
        ),
        (
            deviations::B3_ENCODED,
            pairs().any(|(key, value)| key.starts_with(&prefix) && value.contains('%')),
        ),
    ]
    .into_iter()
    .filter_map(|(deviation, applies)| applies.then_some(deviation))
    .collect()
}

/// Returns whether the carrier is such, and the difference is in one of the places.
fn is_read_otherwise(why: Deviation, case: &Value, at: &Difference, places: &str) -> bool {
    let carrier = case.get("input").and_then(|input| Carrier::read(input).ok());
    // Whether there is a context at all is a matter of every part of it.
    let is_all = ["context", "child"].contains(&at.place.as_str()) && places.starts_with("ok ");
    (is_all || at.is_in(places))
        && carrier.is_some_and(|carrier| carrier.deviations().contains(&why))
}

/// Whether anything was found, and what of it else than baggage.
const CONTEXT: &str = "ok error context child";
const FLAGS: &str = "ok error context/flags context/sampled context/debug context/firehose \
                     child/flags child/references";
const IDS: &str = "ok error context/trace_id_high context/trace_id_low context/span_id \
                   context/parent_id context/flags context/sampled context/debug \
                   context/firehose context/valid context/debug_id child/same_trace \
                   child/parent_id child/flags child/references child/debug_tag";
const BAGGAGE: &str = "context/baggage child/baggage";
const REFUSED: &str = "ok error context child refused";

macro_rules! read_otherwise {
    ($($deviation:ident in $places:expr;)*) => {
        &[
            (deviations::NEGATIVE_LENGTH, |case, at| {
                let panics = present(&case["expected"], "go_panics").is_some();
                panics && (at.place != "error" || at.got == "corrupted") && at.got != true
            }),
            (deviations::NAMES_REFUSED, |case, at| {
                let is_refused = at.place == "refused" || at.got.is_null();
                is_refused && is_read_otherwise(deviations::NAMES_REFUSED, case, at, REFUSED)
            }),
            (deviations::BAGGAGE_BOUNDED, |case, at| {
                let why = deviations::BAGGAGE_BOUNDED;
                at.got.is_null() && is_read_otherwise(why, case, at, BAGGAGE)
            }),
            $((deviations::$deviation, |case, at| {
                is_read_otherwise(deviations::$deviation, case, at, $places)
            }),)*
        ]
    };
}

/// Why a context may be read otherwise than it was recorded.
pub(crate) const RULES: &[Rule] = read_otherwise! {
    HEADER_NAMES_OF_ANY_CASE in CONTEXT;
    ASCII_HEADER_NAMES in CONTEXT;
    B3_SINGLE in IDS;
    ONE_CONTEXT in IDS;
    HEX_FLAGS in FLAGS;
    B3_DEBUG in FLAGS;
    B3_NO_PARENT in IDS;
    B3_DECISION in "ok error context child/flags child/references";
    DEBUG_ID_ACTS in IDS;
    DEBUG_ID_RETAINED in IDS;
    TEXT_MAP_KEYS_RETAINED in BAGGAGE;
    B3_ENCODED in BAGGAGE;
};
