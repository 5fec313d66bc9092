//! B3 in several headers, one each for the parts of a context.
//!
//! ```text
//! x-b3-traceid: 00000000000000005af7183fb1d4cf5f
//! x-b3-spanid: 6b221d5bc9e6496c
//! x-b3-parentspanid: 5af7183fb1d4cf5f
//! x-b3-sampled: 1
//! ```

use super::{
    DEBUGGED, DEFAULT_BAGGAGE_PREFIX, baggage_key, extracted, inject_baggage, names_span,
    take_baggage,
};
use crate::error::ExtractError;
use crate::id::SpanId;
use crate::propagation::carrier::{ExtractCarrier, InjectCarrier, write_context};
use crate::propagation::jaeger::{number, trace_id};
use crate::propagation::keys::FormatKey;
use crate::propagation::limits::BoundedBaggage;
use crate::propagation::{Extracted, Format};
use crate::span::SAMPLED;
use crate::span::SpanContext;

/// B3 in several headers, with baggage under a prefix.
///
/// Ids are read at any length they fit in. No `x-b3-sampled` means *not sampled*, as in Go; one
/// without ids is a decision about the trace to begin. `x-b3-flags: 1` asks for debugging. The
/// other flags of Jaeger have no place in it.
///
/// # Source
///
/// `zipkin/propagation.go` in jaeger-client-go, which knows no `x-b3-flags` and refuses an empty
/// `x-b3-parentspanid`, as proxies send it.
#[derive(Clone, Debug)]
pub struct B3Format {
    baggage_prefix: String,
    keys: Vec<FormatKey>,
}

impl B3Format {
    /// With baggage under `baggage_prefix`.
    #[must_use]
    pub fn new(baggage_prefix: impl Into<String>) -> Self {
        let baggage_prefix = baggage_prefix.into();
        let names = [TRACE_ID, SPAN_ID, PARENT_ID, SAMPLED_NAME, FLAGS];
        let names = names.map(|name| FormatKey::name("a header of B3", name));
        let keys = names.into_iter().chain([baggage_key(&baggage_prefix)]).collect();
        Self { baggage_prefix, keys }
    }
}

impl Default for B3Format {
    /// With baggage under `baggage-`.
    fn default() -> Self {
        Self::new(DEFAULT_BAGGAGE_PREFIX)
    }
}

const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_ID: &str = "x-b3-parentspanid";
const SAMPLED_NAME: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

impl Format for B3Format {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        write_context(&self.keys, context, carrier, |context, carrier| self.write(context, carrier))
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        let mut context = SpanContext::default();
        let mut sampled = None;
        let mut debug = false;
        let mut baggage = BoundedBaggage::default();
        let mut failure = None;
        carrier.visit(&mut |key, value| {
            let mut take = || -> Result<(), ExtractError> {
                let is = |name: &str| key.eq_ignore_ascii_case(name);
                if is(TRACE_ID) {
                    context.trace_id = trace_id(value)?;
                } else if is(SPAN_ID) {
                    context.span_id = SpanId::new(number("span id", value)?);
                } else if is(PARENT_ID) {
                    let none = value.is_empty();
                    context.parent_id =
                        SpanId::new(if none { 0 } else { number("parent id", value)? });
                } else if is(SAMPLED_NAME) {
                    sampled = Some(u8::from(matches!(value, b"1" | b"true")) * SAMPLED);
                } else if is(FLAGS) {
                    debug = value == b"1";
                } else {
                    take_baggage(key, value, &self.baggage_prefix, &mut baggage);
                }
                Ok(())
            };
            if failure.is_none() {
                failure = take().err();
            }
        });
        match failure {
            Some(error) => Err(error),
            None => extracted(context, if debug { Some(DEBUGGED) } else { sampled }, baggage),
        }
    }
}

impl B3Format {
    fn write(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let mut refused = 0;
        if names_span(context) {
            refused += usize::from(!carrier.set(TRACE_ID, &context.trace_id.to_string()));
            if context.parent_id.get() != 0 {
                carrier.set(PARENT_ID, &context.parent_id.to_string());
            }
            carrier.set(SPAN_ID, &context.span_id.to_string());
        }
        // With the flags beside it: those who know no flags still sample.
        let flags = context.flags();
        carrier.set(SAMPLED_NAME, if flags & SAMPLED != 0 { "1" } else { "0" });
        if flags & DEBUGGED == DEBUGGED {
            carrier.set(FLAGS, "1");
        }
        refused + inject_baggage(context, &self.baggage_prefix, carrier)
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
            assert!(context.decided && !context.is_valid());
            assert_eq!(context.flags(), flags, "{name}: {value}");
            let pairs = written(&context);
            assert!(pairs.iter().all(|(name, _)| !name.ends_with("id")), "{pairs:?}");
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(read(&pairs).unwrap().flags(), flags);
        }
        assert_eq!(read(&[("x-b3-flags", "0")]).unwrap_err(), ExtractError::NotFound);
    }

    #[test]
    fn baggage_cannot_break_out_of_its_header() {
        let context = SpanContext::default().with_baggage_item("k", "v\r\nset-cookie: x");
        let mut headers = crate::propagation::HttpHeaders(Vec::<(String, String)>::new());
        assert_eq!(B3Format::default().inject(&context, &mut headers), 1);
        assert!(headers.0.iter().all(|(name, _)| !name.starts_with("baggage-")));
    }
}
