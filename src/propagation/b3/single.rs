//! B3 in a single header.
//!
//! ```text
//! b3: 00000000000000005af7183fb1d4cf5f-6b221d5bc9e6496c-1-5af7183fb1d4cf5f
//! b3: 0
//! ```
//!
//! Trace id, span id, decision, parent id; the last two may be missing. A decision may stand alone:
//! `1` to sample, `0` not to sample, `d` to debug.

use super::{DEBUGGED, DEFAULT_BAGGAGE_PREFIX, Form, Keys, Parsed, extract, found};
use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId, read_hex_16};
use crate::propagation::carrier::{ExtractCarrier, InjectCarrier, SingleValue, is_same_name};
use crate::propagation::keys::FormatKey;
use crate::propagation::text::{number, trace_id};
use crate::propagation::{Extracted, Format};
use crate::span::SAMPLED;
use crate::span::SpanContext;

/// B3 in the single header `b3`, with baggage under a prefix. The several headers are read too, if
/// the single one names no span.
///
/// Ids of any length that fits are read. Without a decision, the span that begins below calls the
/// sampler, in the same trace. A decision without ids applies to the trace to begin.
///
/// # Source
///
/// The B3 specification; no Jaeger client has had it.
#[derive(Clone, Debug)]
pub struct B3SingleFormat {
    keys: Keys,
}

impl B3SingleFormat {
    /// Makes a format with baggage under `baggage_prefix`.
    #[must_use]
    pub fn new(baggage_prefix: impl Into<String>) -> Self {
        Self { keys: Keys::new(Form::Single, baggage_prefix.into()) }
    }
}

impl Default for B3SingleFormat {
    /// Makes a format with baggage under `baggage-`.
    fn default() -> Self {
        Self::new(DEFAULT_BAGGAGE_PREFIX)
    }
}

pub(super) const NAME: &str = "b3";

impl Format for B3SingleFormat {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let text = text(context);
        self.keys.inject(&text, [text.as_bytes().len()], context, carrier)
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        Extracted::filled_by(|to| self.extract_into(carrier, to))
    }

    fn extract_into(
        &self,
        carrier: &dyn ExtractCarrier,
        to: &mut Extracted,
    ) -> Result<(), ExtractError> {
        extract(carrier, self.keys.baggage_prefix(), Form::Single, to)
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys.0
    }

    fn is_built_in(&self) -> bool {
        true
    }
}

/// Returns the header's value. It is empty for a context with neither ids nor a decision, which would be refused.
#[inline]
fn text(context: &SpanContext) -> IdText {
    let decision = match context.flags() {
        flags if flags & DEBUGGED == DEBUGGED => b'd',
        flags if flags & SAMPLED != 0 => b'1',
        _ => b'0',
    };
    let mut text = IdText::new();
    if !context.is_valid() {
        if context.decision_for_new_trace {
            text.push([decision]);
        }
        return text;
    }
    text.trace_id(context.trace_id);
    text.push([b'-']);
    text.span_id(context.span_id);
    // The format has no place for a parent without a decision.
    if !context.lacks_decision {
        text.push([b'-', decision]);
        if context.parent_id != SpanId::NONE {
            text.push([b'-']);
            text.span_id(context.parent_id);
        }
    }
    text
}

/// Collects the header.
#[derive(Debug, Default)]
pub(super) struct Reader {
    found: SingleValue<Parsed>,
    failure: Option<ExtractError>,
}

impl Reader {
    /// Takes a header. Returns false if it is not the format's.
    pub(super) fn take(&mut self, key: &str, value: &[u8]) -> bool {
        let is_it = is_same_name(key, NAME);
        if is_it && self.failure.is_none() {
            self.failure = self.found.add_canonical(NAME, value, canonical, parse).err();
        }
        is_it
    }

    /// Returns whether no header was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.failure.is_none()
    }

    #[inline]
    pub(super) fn finish(self, to: &mut Extracted) -> Result<(), ExtractError> {
        match self.failure {
            Some(error) => Err(error),
            None => found(self.found.into_value().ok_or(ExtractError::NotFound)?, &mut to.context),
        }
    }
}

/// Reads ids and the decision in the form in which they are written, padded, and nothing else.
#[inline]
fn canonical(value: &[u8]) -> Option<Parsed> {
    let (high, rest) = match value.get(16)? {
        b'-' => (0, value),
        _ => (read_hex_16(value.first_chunk()?)?, value.get(16..)?),
    };
    let (ids, rest) = rest.split_first_chunk::<35>()?;
    let decision = decision(&ids[34..])?;
    let parent_id = match rest {
        [] => 0,
        [b'-', parent @ ..] => read_hex_16(parent.try_into().ok()?)?,
        _ => return None,
    };
    let id = |at: usize| read_hex_16(ids.get(at..)?.first_chunk()?);
    let (trace_id, span_id) = (TraceId::new(high, id(0)?), SpanId::new(id(17)?));
    let is_valid =
        (ids[16], ids[33]) == (b'-', b'-') && trace_id.is_valid() && span_id != SpanId::NONE;
    is_valid.then_some((trace_id, span_id, SpanId::new(parent_id), Some(decision)))
}

/// Reads a decision, with ids or alone.
fn decision(text: &[u8]) -> Option<u8> {
    match text {
        b"0" => Some(0),
        b"1" => Some(SAMPLED),
        b"d" => Some(DEBUGGED),
        _ => None,
    }
}

/// Reads the header's value: ids, if any, and the decision, if any.
fn parse(value: &[u8]) -> Result<Parsed, ExtractError> {
    let invalid = |what| ExtractError::Invalid { header: NAME, what };
    if value.is_empty() {
        return Err(ExtractError::EmptyValue);
    }
    if let Some(flags) = decision(value) {
        return Ok((TraceId::default(), SpanId::NONE, SpanId::NONE, Some(flags)));
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let five = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(trace), Some(span), sampled, parent, None) = five else {
        return Err(invalid("it is neither 0, 1, d nor two to four parts separated by '-'"));
    };
    let (trace_id, span_id) = (trace_id(trace)?, SpanId::new(number("span id", span)?));
    let parent_id = SpanId::new(match parent {
        None | Some(b"") => 0,
        Some(parent) => number("parent id", parent)?,
    });
    if !trace_id.is_valid() || span_id == SpanId::NONE {
        return Err(invalid("its ids are zero"));
    }
    let sampled = match sampled {
        None => None,
        Some(text) => Some(decision(text).ok_or_else(|| invalid("its decision is not 0, 1 or d"))?),
    };
    Ok((trace_id, span_id, parent_id, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Result<SpanContext, ExtractError> {
        let extracted = B3SingleFormat::default().extract(&vec![("B3", value)]);
        extracted.map(|extracted| extracted.context)
    }

    fn written(context: &SpanContext) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        B3SingleFormat::default().inject(context, &mut pairs);
        pairs
    }

    #[test]
    fn every_form_is_read() {
        let ids = "0000000000000001:0000000000000002";
        for (value, shown) in [
            ("1-2", format!("{ids}:0000000000000000:0")),
            ("1-2-0", format!("{ids}:0000000000000000:0")),
            ("1-2-1", format!("{ids}:0000000000000000:1")),
            ("1-2-d", format!("{ids}:0000000000000000:3")),
            ("1-2-1-3", format!("{ids}:0000000000000003:1")),
            ("0000000000000001-2-1-", format!("{ids}:0000000000000000:1")),
            (
                "ABC0000000000000000-2-1",
                "0000000000000abc0000000000000000:0000000000000002:0000000000000000:1".to_owned(),
            ),
        ] {
            assert_eq!(read(value).unwrap().to_string(), shown, "{value}");
        }
    }

    #[test]
    fn a_decision_alone_is_handed_on_alone() {
        for (value, flags) in [("0", 0), ("1", 1), ("d", 3)] {
            let context = read(value).unwrap();
            assert!(
                context.decision_for_new_trace && context.flags() == flags && !context.is_valid()
            );
            assert_eq!(written(&context), [("b3".to_owned(), value.to_owned())]);
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for value in [
            "",
            "2",
            "-",
            "x",
            "1-",
            "1-2-x",
            "1-2-",
            "1-2-1-3-4",
            "1-2-true",
            "0-2-1",
            "1-0-1",
            "1-2-1-z",
        ] {
            assert_ne!(read(value).unwrap_err(), ExtractError::NotFound, "{value:?}");
        }
    }

    #[test]
    fn ids_are_sent_padded() {
        let pairs = written(&read("1-2-d-3").unwrap());
        assert_eq!(pairs[0].1, "0000000000000001-0000000000000002-d-0000000000000003");
        assert!(written(&SpanContext::default()).is_empty());
    }

    proptest! {
        #[test]
        fn law_extraction_takes_any_bytes(value in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = B3SingleFormat::default().extract(&vec![("b3", value)]);
        }

        #[test]
        fn law_the_fast_parser_agrees_with_the_general_parser_on_all_that_it_reads(
            (high, ids) in (prop::option::of(any::<u64>()), any::<[u64; 3]>()),
            (decision, at, byte) in (prop::sample::select(vec!["0", "1", "d"]), 0..70_usize, any::<u8>()),
            length in 30..72_usize,
        ) {
            let high = high.map_or_else(String::new, |high| format!("{high:016x}"));
            let [low, span, parent] = ids.map(|id| format!("{id:016x}"));
            let mut text = format!("{high}{low}-{span}-{decision}-{parent}").into_bytes();
            prop_assert_eq!(canonical(&text), parse(&text).ok());
            let place = at % text.len();
            text[place] = byte;
            text.truncate(length);
            if let Some(read) = canonical(&text) {
                prop_assert_eq!(parse(&text), Ok(read));
            }
        }

        #[test]
        fn law_extraction_takes_any_parts(value in "([0-9a-fA-F]{0,33}-?){0,6}[01d]?(-[0-9a-f]*)?") {
            let _ = read(&value);
        }
    }
}
