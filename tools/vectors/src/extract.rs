//! Extraction: a carrier's context or error, and the span started as its child.

use jaeger_client::FinishedSpan;
use jaeger_client::encoding::ValueView;
use jaeger_client::propagation::{B3Format, HttpHeaders};
use jaeger_client::sampler::ConstSampler;
use serde_json::Value;

use crate::b3_rules;
use crate::carrier::{Baggage, Ids, Names, Pairs, baggage, baggage_of, pairs, text_bytes};
use crate::client;
use crate::deviations::{self, Deviation};
use crate::extract_rules::{self, Found, Mended};
use crate::json::{bits, bytes, int, member, only, present, text, truth};
use crate::report::Checks;

/// What a case gives to extraction.
#[derive(Debug)]
enum Carrier {
    Headers { http: bool, names: Names, pairs: Pairs },
    B3 { baggage_prefix: Option<String>, pairs: Pairs },
    Binary(Vec<u8>),
}

impl Carrier {
    fn read(input: &Value) -> Result<Self, String> {
        only(
            input,
            &[
                "format",
                "carrier",
                "carrier_hex",
                "headers_config",
                "headers",
                "baggage_prefix",
                "prefix_hex",
                "fill_hex",
                "length",
            ],
        )?;
        Ok(match text(input, "format")? {
            format @ ("http" | "textmap") => Self::Headers {
                http: format == "http",
                names: Names::read(input)?,
                pairs: pairs(input, "carrier")?,
            },
            "b3" => Self::B3 {
                baggage_prefix: text(input, "baggage_prefix").ok().map(String::from),
                pairs: pairs(input, "carrier")?,
            },
            "binary" => Self::Binary(binary(input)?),
            other => return Err(format!("unknown format {other:?}")),
        })
    }
}

/// The bytes of a carrier: all of them, or how they begin and how many there are.
fn binary(input: &Value) -> Result<Vec<u8>, String> {
    if present(input, "prefix_hex").is_none() {
        return bytes(input, "carrier_hex");
    }
    let mut carrier = bytes(input, "prefix_hex")?;
    let fill = match present(input, "fill_hex") {
        Some(_) => bytes(input, "fill_hex")?,
        None => vec![0],
    };
    let length: usize = int(input, "length")?;
    let missing = length.saturating_sub(carrier.len());
    carrier.extend(fill.into_iter().cycle().take(missing));
    Ok(carrier)
}

/// What comes of a carrier: a context and its child, or the kind of error.
type Outcome = Result<(Found, Child), String>;

/// What is seen of the child.
#[derive(Clone, Debug, Default, PartialEq)]
struct Child {
    same_trace: bool,
    parent: u64,
    flags: u8,
    baggage: Baggage,
    /// Seen only on spans that are reported.
    references: Option<usize>,
    debug_tag: Option<Vec<u8>>,
}

impl Child {
    /// The child that is started with a sampler that never samples, as jaeger-client-go does unless a
    /// debug id acts whatever the context beside it is.
    fn of(found: &Found, debug_id_acts: bool) -> Self {
        let baggage = found.baggage.clone();
        let asks = !found.debug_id.is_empty();
        if found.ids.is_valid() {
            let Ids { span, flags, .. } = found.ids;
            let forced = debug_id_acts && asks;
            return Self {
                same_trace: true,
                parent: span,
                flags: if forced { flags | 3 } else { flags },
                baggage,
                references: Some(1),
                debug_tag: forced.then(|| found.debug_id.clone()),
            };
        }
        let forced = asks && (debug_id_acts || !found.ids.names_trace());
        Self {
            flags: if forced { 3 } else { 0 },
            baggage,
            references: Some(0),
            debug_tag: forced.then(|| found.debug_id.clone()),
            ..Self::default()
        }
    }
}

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let carrier = Carrier::read(member(case, "input")?)?;
    let mut expected = expected(&carrier, member(case, "expected")?, checks)?;
    if let Ok((found, child)) = &mut expected {
        let texts = [&mut found.debug_id].into_iter();
        let texts = texts.chain(found.baggage.values_mut()).chain(child.baggage.values_mut());
        texts.chain(&mut child.debug_tag).for_each(|text| replace_non_utf8(text, checks));
    }
    compare(&expected, &extracted(&carrier)?, checks);
    Ok(())
}

/// This client's texts are UTF-8, whatever the carrier's are.
fn replace_non_utf8(text: &mut Vec<u8>, checks: &mut Checks) {
    if str::from_utf8(text).is_err() {
        *text = String::from_utf8_lossy(text).into_owned().into_bytes();
        checks.deviates(deviations::TEXT_IS_UTF8);
    }
}

/// What this client makes of the carrier.
fn extracted(carrier: &Carrier) -> Result<Outcome, String> {
    let mut builder = client::builder("vectors").sampler(ConstSampler::new(false));
    let mut debug_tags = vec![Names::default().debug];
    match carrier {
        Carrier::Headers { names, .. } => {
            debug_tags.push(names.debug.clone());
            builder = builder.headers(names.config());
        }
        Carrier::B3 { baggage_prefix: Some(prefix), .. } => {
            builder = builder.format(B3Format::new(prefix));
        }
        Carrier::B3 { .. } => builder = builder.format(B3Format::default()),
        Carrier::Binary(_) => {}
    }
    let (tracer, closer, reporter) = client::in_memory(builder)?;
    let extracted = match carrier {
        Carrier::Headers { http: false, pairs, .. } => tracer.extract(pairs),
        Carrier::Headers { pairs, .. } | Carrier::B3 { pairs, .. } => {
            tracer.extract(&HttpHeaders(pairs.clone()))
        }
        Carrier::Binary(bytes) => tracer.extract_binary(bytes),
    };
    let context = match extracted {
        Ok(context) => context,
        Err(error) => return Ok(Err(client::error_kind(&error))),
    };
    let found = Found {
        ids: Ids::of(&context),
        debug_id: context.debug_id().unwrap_or_default().as_bytes().to_vec(),
        baggage: baggage_of(&context),
        broken: false,
    };
    let span = tracer.span("child").child_of(&context).start();
    let seen = span.context();
    span.finish();
    client::close(closer)?;
    let reported = reporter.spans();
    let view = reported.first().map(FinishedSpan::view);
    let debug_tag = debug_tags.iter().find_map(|key| match view?.tag(key)? {
        ValueView::Str(text) => Some(text.to_vec()),
        _ => None,
    });
    let child = Child {
        same_trace: seen.trace_id() == context.trace_id(),
        parent: seen.parent_id().get(),
        flags: seen.flags(),
        baggage: baggage_of(&seen),
        references: view.map(|view| view.references().count()),
        debug_tag,
    };
    Ok(Ok((found, child)))
}

fn compare(expected: &Outcome, got: &Outcome, checks: &mut Checks) {
    match (expected, got) {
        (Err(expected), Err(got)) => checks.same("error", expected, got),
        (Ok((expected, _)), Err(got)) => {
            checks.fail(format!("expected {expected:?}, got error {got:?}"));
        }
        (Err(expected), Ok((got, _))) => {
            checks.fail(format!("expected error {expected:?}, got {got:?}"));
        }
        (Ok((context, child)), Ok((got_context, got_child))) => {
            checks.same("context", context, got_context);
            let mut child = child.clone();
            if got_child.references.is_none() {
                child.references = None;
            }
            checks.same("child", &child, got_child);
        }
    }
}

/// What was recorded, or what this client promises instead.
fn expected(carrier: &Carrier, expected: &Value, checks: &mut Checks) -> Result<Outcome, String> {
    if let (Some(_), Carrier::Binary(_)) = (present(expected, "go_panics"), carrier) {
        checks.deviates(deviations::NEGATIVE_LENGTH);
        return Ok(Err(String::from("corrupted")));
    }
    let recorded = recorded(expected)?;
    Ok(match carrier {
        Carrier::Binary(_) => recorded,
        Carrier::Headers { http, names, pairs } => {
            let by = |mended: Mended| {
                let found = extract_rules::extract(*http, pairs, names, mended)?;
                let child = Child::of(&found, mended.debug_id_acts());
                Ok((Found { broken: false, ..found }, child))
            };
            let ones = Mended::all_but_one();
            promised(recorded, (Mended::default(), Mended::ALL), &ones, by, checks)
        }
        Carrier::B3 { baggage_prefix, pairs } => {
            let prefix = baggage_prefix.as_deref().unwrap_or("baggage-");
            let by = |mended| {
                let found = b3_rules::extract(pairs, prefix, mended).map_err(String::from)?;
                let mut child = Child::of(&found, false);
                if !found.ids.names_trace() {
                    child.flags = found.ids.flags;
                }
                Ok((found, child))
            };
            let ones = b3_rules::Mended::all_but_one();
            let (none, all) = (b3_rules::Mended::default(), b3_rules::Mended::ALL);
            promised(recorded, (none, all), &ones, by, checks)
        }
    })
}

/// What was recorded where the rules do not explain it, so that they are no grounds to expect
/// anything else; and else what they give with all that is mended.
fn promised<M: Copy>(
    recorded: Outcome,
    (none, all): (M, M),
    ones: &[(Deviation, M)],
    by: impl Fn(M) -> Outcome,
    checks: &mut Checks,
) -> Outcome {
    if by(none) != recorded {
        return recorded;
    }
    let promised = by(all);
    if promised != recorded {
        let one = ones.iter().filter(|(_, mended)| by(*mended) != promised);
        one.for_each(|(deviation, _)| checks.deviates(*deviation));
    }
    promised
}

fn recorded(expected: &Value) -> Result<Outcome, String> {
    if !truth(expected, "ok")? {
        return Ok(Err(String::from(text(expected, "error")?)));
    }
    let context = member(expected, "context")?;
    let found = Found {
        ids: Ids::read(context)?,
        debug_id: text_bytes(member(context, "debug_id")?)?,
        baggage: baggage(context)?,
        broken: false,
    };
    let child = member(expected, "child")?;
    let child = Child {
        same_trace: truth(child, "same_trace")?,
        parent: bits(child, "parent_id")?,
        flags: int(child, "flags")?,
        baggage: baggage(child)?,
        references: Some(int(child, "references")?),
        debug_tag: present(child, "debug_tag").map(text_bytes).transpose()?,
    };
    Ok(Ok((found, child)))
}
