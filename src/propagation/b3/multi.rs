//! B3 in several headers, one for each part of a context.
//!
//! ```text
//! x-b3-traceid: 00000000000000005af7183fb1d4cf5f
//! x-b3-spanid: 6b221d5bc9e6496c
//! x-b3-parentspanid: 5af7183fb1d4cf5f
//! x-b3-sampled: 1
//! ```

use super::{DEBUGGED, DEFAULT_BAGGAGE_PREFIX, Form, Keys, extract, found, writes_ids};
use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId, read_hex_16};
use crate::propagation::carrier::{ExtractCarrier, InjectCarrier, SingleValue, is_same_name};
use crate::propagation::keys::FormatKey;
use crate::propagation::text::{number, trace_id};
use crate::propagation::{Extracted, Format};
use crate::span::SAMPLED;
use crate::span::SpanContext;

/// B3 in several headers, with baggage under a prefix. The single header is read too, if the
/// several name no span.
///
/// Ids of any length that fits are read. If `x-b3-sampled` is missing or empty, no decision was
/// made: the span that begins below calls the sampler, in the same trace. A decision without ids
/// applies to the trace to begin. `x-b3-flags: 1` requests debugging. The other flags of Jaeger
/// have no place in B3.
///
/// # Source
///
/// `zipkin/propagation.go` in jaeger-client-go, which knows no `x-b3-flags`, refuses an empty
/// `x-b3-parentspanid`, as proxies send it, and takes a missing decision for *not sampled*.
#[derive(Clone, Debug)]
pub struct B3Format {
    keys: Keys,
}

impl B3Format {
    /// Makes a format with baggage under `baggage_prefix`.
    #[must_use]
    pub fn new(baggage_prefix: impl Into<String>) -> Self {
        Self { keys: Keys::new(Form::Multi, baggage_prefix.into()) }
    }
}

impl Default for B3Format {
    /// Makes a format with baggage under `baggage-`.
    fn default() -> Self {
        Self::new(DEFAULT_BAGGAGE_PREFIX)
    }
}

/// A header: one part of a context.
#[derive(Clone, Copy, Debug)]
enum Part {
    TraceId,
    SpanId,
    ParentId,
    Decision,
    Flags,
}

/// All headers, in the order in which they are written.
/// The decision is written beside the flags: a reader that knows no flags still samples.
pub(super) const NAMES: [&str; 5] = [TRACE_ID, SPAN_ID, PARENT_ID, DECISION, FLAGS];

const PARTS: [Part; 5] = [Part::TraceId, Part::SpanId, Part::ParentId, Part::Decision, Part::Flags];

const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_ID: &str = "x-b3-parentspanid";
const DECISION: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

impl Part {
    /// Returns the part that a header has, whatever the case of its name.
    #[inline]
    fn named(name: &str) -> Option<Self> {
        match name {
            // Nearly all names are in lower case, which is recognized for less.
            TRACE_ID => Some(Self::TraceId),
            SPAN_ID => Some(Self::SpanId),
            PARENT_ID => Some(Self::ParentId),
            DECISION => Some(Self::Decision),
            FLAGS => Some(Self::Flags),
            _ => {
                let mut known = NAMES.iter().zip(PARTS);
                known.find(|(known, _)| is_same_name(name, known)).map(|(_, part)| part)
            }
        }
    }
}

/// Returns whether the decision is written: there is one.
fn writes_decision(context: &SpanContext) -> bool {
    !context.lacks_decision && (context.decision_for_new_trace || context.should_write_ids())
}

/// Reads a trace id as it is written, padded.
fn canonical_trace_id(digits: &[u8]) -> Option<TraceId> {
    match digits.split_last_chunk()? {
        ([], low) => Some(TraceId::new(0, read_hex_16(low)?)),
        (high, low) => Some(TraceId::new(read_hex_16(high.try_into().ok()?)?, read_hex_16(low)?)),
    }
}

/// Reads a span id as it is written, padded.
fn canonical_span_id(digits: &[u8]) -> Option<SpanId> {
    read_hex_16(digits.try_into().ok()?).map(SpanId::new)
}

fn span_id(part: &'static str, digits: &[u8]) -> Result<SpanId, ExtractError> {
    number(part, digits).map(SpanId::new)
}

fn decision(text: &[u8]) -> u8 {
    match text {
        b"1" | b"true" => SAMPLED,
        b"d" => DEBUGGED,
        _ => 0,
    }
}

impl Format for B3Format {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let mut text = IdText::new();
        let [mut trace_id, mut span_id, mut parent_id, mut decision, mut flags] = [0; 5];
        if writes_ids(context) {
            text.trace_id(context.trace_id);
            trace_id = text.as_bytes().len();
            text.span_id(context.span_id);
            span_id = 16;
            if context.parent_id != SpanId::NONE {
                text.span_id(context.parent_id);
                parent_id = 16;
            }
        }
        if writes_decision(context) {
            // The flags of a live trace may change meanwhile.
            let flags_now = context.flags();
            text.push([b'0' + (flags_now & SAMPLED)]);
            decision = 1;
            if flags_now & DEBUGGED == DEBUGGED {
                text.push([b'1']);
                flags = 1;
            }
        }
        self.keys.inject(&text, [trace_id, span_id, parent_id, decision, flags], context, carrier)
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        Extracted::filled_by(|to| self.extract_into(carrier, to))
    }

    fn extract_into(
        &self,
        carrier: &dyn ExtractCarrier,
        to: &mut Extracted,
    ) -> Result<(), ExtractError> {
        extract(carrier, self.keys.baggage_prefix(), Form::Multi, to)
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys.0
    }

    fn is_built_in(&self) -> bool {
        true
    }
}

/// Collects the headers.
#[derive(Debug, Default)]
pub(super) struct Reader {
    trace_id: SingleValue<TraceId>,
    span_id: SingleValue<SpanId>,
    parent_id: SingleValue<SpanId>,
    decision: SingleValue<u8>,
    is_debug: bool,
    failure: Option<ExtractError>,
}

impl Reader {
    /// Takes a header. Returns false if it is not one of the format's.
    #[inline]
    pub(super) fn take(&mut self, name: &str, value: &[u8]) -> bool {
        let Some(part) = Part::named(name) else { return false };
        if self.failure.is_none()
            && let Err(error) = self.read(part, value)
        {
            self.failure = Some(error);
        }
        true
    }

    #[inline]
    fn read(&mut self, part: Part, value: &[u8]) -> Result<(), ExtractError> {
        match part {
            Part::TraceId => {
                self.trace_id.add_canonical(TRACE_ID, value, canonical_trace_id, trace_id)
            }
            Part::SpanId => {
                let parse = |id: &[u8]| span_id("span id", id);
                self.span_id.add_canonical(SPAN_ID, value, canonical_span_id, parse)
            }
            Part::Flags => {
                let mut values = value.split(|byte| *byte == b',');
                self.is_debug |= values.any(|one| one.trim_ascii() == b"1");
                Ok(())
            }
            // Proxies send an empty header where there is no value.
            Part::ParentId | Part::Decision if value.is_empty() => Ok(()),
            Part::ParentId => {
                let parse = |id: &[u8]| span_id("parent id", id);
                self.parent_id.add_canonical(PARENT_ID, value, canonical_span_id, parse)
            }
            Part::Decision => {
                let canonical = |text: &[u8]| (text.len() == 1).then(|| decision(text));
                let parse = |text: &[u8]| Ok(decision(text));
                self.decision.add_canonical(DECISION, value, canonical, parse)
            }
        }
    }

    /// Returns whether no header had any content.
    pub(super) fn is_empty(&self) -> bool {
        let Self { trace_id, span_id, parent_id, decision, is_debug, failure } = self;
        trace_id.is_empty()
            && span_id.is_empty()
            && parent_id.is_empty()
            && decision.is_empty()
            && !is_debug
            && failure.is_none()
    }

    #[inline]
    pub(super) fn finish(self, to: &mut Extracted) -> Result<(), ExtractError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let decision = self.decision.into_value();
        let ids = (
            self.trace_id.into_value().unwrap_or_default(),
            self.span_id.into_value().unwrap_or_default(),
            self.parent_id.into_value().unwrap_or_default(),
            if self.is_debug { Some(DEBUGGED) } else { decision },
        );
        found(ids, &mut to.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<SpanContext, ExtractError> {
        B3Format::default().extract(&pairs.to_vec()).map(|extracted| extracted.context)
    }

    fn written(context: &SpanContext) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        B3Format::default().inject(context, &mut pairs);
        pairs
    }

    #[test]
    fn debug_is_a_header_of_its_own_and_implies_sampling() {
        let ids = [("x-b3-traceid", "1"), ("X-B3-SpanId", "2")];
        let context = read(&[ids[0], ids[1], ("X-B3-Flags", "1")]).unwrap();
        assert_eq!(context.flags(), 3);
        let pairs = written(&context);
        let has = |name: &str| pairs.contains(&(name.to_owned(), "1".to_owned()));
        assert!(has("x-b3-flags") && has("x-b3-sampled"), "{pairs:?}");
        for value in ["0", "", "2", "true"] {
            assert_eq!(read(&[ids[0], ids[1], ("x-b3-flags", value)]).unwrap().flags(), 0);
        }
        assert!(!written(&read(&ids).unwrap()).iter().any(|(name, _)| name == "x-b3-flags"));
    }

    #[test]
    fn an_empty_parent_is_none() {
        let pairs = [("x-b3-traceid", "1"), ("x-b3-spanid", "2"), ("x-b3-parentspanid", "")];
        assert_eq!(read(&pairs).unwrap().parent_id(), SpanId::NONE);
    }

    #[test]
    fn a_decision_needs_no_ids_and_is_handed_on_without() {
        for (name, value, flags) in [
            ("x-b3-sampled", "0", 0),
            ("x-b3-sampled", "false", 0),
            ("x-b3-sampled", "1", 1),
            ("x-b3-sampled", "true", 1),
            ("x-b3-flags", "1", 3),
        ] {
            let context = read(&[(name, value)]).unwrap();
            assert!(context.decision_for_new_trace && !context.is_valid());
            assert_eq!(context.flags(), flags, "{name}: {value}");
            let pairs = written(&context);
            assert!(pairs.iter().all(|(name, _)| !name.ends_with("id")), "{pairs:?}");
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(read(&pairs).unwrap().flags(), flags);
        }
        assert_eq!(read(&[("x-b3-flags", "0")]).unwrap_err(), ExtractError::NotFound);
    }
}
