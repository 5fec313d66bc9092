//! B3 in several headers, one for each part of a context.
//!
//! ```text
//! x-b3-traceid: 00000000000000005af7183fb1d4cf5f
//! x-b3-spanid: 6b221d5bc9e6496c
//! x-b3-parentspanid: 5af7183fb1d4cf5f
//! x-b3-sampled: 1
//! ```

use super::{
    DEBUGGED, DEFAULT_BAGGAGE_PREFIX, Form, Keys, extract, found, inject_baggage, writes_ids,
};
use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId, read_hex_16};
use crate::propagation::carrier::{
    ExtractCarrier, InjectCarrier, Removal, is_same_name, write_context,
};
use crate::propagation::jaeger::{number, trace_id};
use crate::propagation::keys::FormatKey;
use crate::propagation::single_value::SingleValue;
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
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Returns whether it is written for a context.
    pub(super) is_written: fn(&SpanContext) -> bool,
    write: fn(&SpanContext, &mut IdText),
    read: fn(&mut Reader, &'static str, &[u8]) -> Result<(), ExtractError>,
}

/// All headers.
pub(super) const PARTS: [Part; 5] = [
    Part {
        name: "x-b3-traceid",
        is_written: writes_ids,
        write: |context, text| text.trace_id(context.trace_id),
        read: |reader, name, value| {
            reader.trace_id.add_canonical(name, value, canonical_trace_id, trace_id)
        },
    },
    Part {
        name: "x-b3-spanid",
        is_written: writes_ids,
        write: |context, text| text.span_id(context.span_id),
        read: |reader, name, value| {
            let parse = |id: &[u8]| span_id("span id", id);
            reader.span_id.add_canonical(name, value, canonical_span_id, parse)
        },
    },
    Part {
        name: "x-b3-parentspanid",
        is_written: |context| writes_ids(context) && context.parent_id != SpanId::NONE,
        write: |context, text| text.span_id(context.parent_id),
        // Proxies send an empty header where there is no value.
        read: |reader, name, value| match value {
            b"" => Ok(()),
            _ => {
                let parse = |id: &[u8]| span_id("parent id", id);
                reader.parent_id.add_canonical(name, value, canonical_span_id, parse)
            }
        },
    },
    // Written beside the flags: a reader that knows no flags still samples.
    Part {
        name: "x-b3-sampled",
        is_written: writes_decision,
        write: |context, text| text.push([b'0' + u8::from(context.is_sampled())]),
        read: |reader, name, value| match value {
            b"" => Ok(()),
            _ => {
                let canonical = |text: &[u8]| (text.len() == 1).then(|| decision(text));
                reader.decision.add_canonical(name, value, canonical, |text| Ok(decision(text)))
            }
        },
    },
    Part {
        name: "x-b3-flags",
        is_written: |context| writes_decision(context) && context.flags() & DEBUGGED == DEBUGGED,
        write: |_, text| text.push([b'1']),
        read: |reader, _, value| {
            let mut values = value.split(|byte| *byte == b',');
            reader.is_debug |= values.any(|one| one.trim_ascii() == b"1");
            Ok(())
        },
    },
];

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
        write_context(&self.keys.keys, Removal::Stale, context, carrier, |context, carrier| {
            self.write(context, carrier)
        })
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        extract(carrier, self.keys.baggage_prefix(), Form::Multi)
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys.keys
    }

    fn is_built_in(&self) -> bool {
        true
    }
}

impl B3Format {
    fn write(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let mut is_refused = false;
        for (part, name) in PARTS.iter().zip(self.keys.own()) {
            if (part.is_written)(context) {
                let mut text = IdText::new();
                (part.write)(context, &mut text);
                is_refused |= !carrier.set_known(name, &text);
            }
        }
        usize::from(is_refused) + inject_baggage(context, self.keys.baggage_prefix(), carrier)
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
    pub(super) fn take(&mut self, key: &str, value: &[u8]) -> bool {
        let Some(part) = PARTS.iter().find(|part| is_same_name(key, part.name)) else {
            return false;
        };
        if self.failure.is_none() {
            self.failure = (part.read)(self, part.name, value).err();
        }
        true
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

    pub(super) fn finish(self) -> Result<Extracted, ExtractError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let decision = self.decision.into_value();
        found((
            self.trace_id.into_value().unwrap_or_default(),
            self.span_id.into_value().unwrap_or_default(),
            self.parent_id.into_value().unwrap_or_default(),
            if self.is_debug { Some(DEBUGGED) } else { decision },
        ))
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
