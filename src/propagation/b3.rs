//! Zipkin's B3 headers, one each for the parts of a context.

use super::carrier::{ExtractCarrier, InjectCarrier};
use super::jaeger::{HeadersConfig, number, trace_id};
use super::limits::BoundedBaggage;
use super::{Extracted, Format, form};
use crate::error::ExtractError;
use crate::id::SpanId;
use crate::span::SpanContext;

/// B3 in several headers, with baggage under a prefix.
///
/// # Source
///
/// `zipkin/propagation.go` in jaeger-client-go.
#[derive(Clone, Debug)]
pub struct B3Format {
    baggage_prefix: String,
}

impl B3Format {
    /// With baggage under `baggage_prefix`.
    #[must_use]
    pub fn new(baggage_prefix: impl Into<String>) -> Self {
        Self { baggage_prefix: baggage_prefix.into() }
    }
}

impl Default for B3Format {
    /// With baggage under `baggage-`.
    fn default() -> Self {
        Self::new("baggage-")
    }
}

pub(super) fn build(_headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(B3Format::default())
}

const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_ID: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";

impl Format for B3Format {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let mut refused = usize::from(!carrier.set(TRACE_ID, &context.trace_id.to_string()));
        if context.parent_id.get() != 0 {
            carrier.set(PARENT_ID, &context.parent_id.to_string());
        }
        carrier.set(SPAN_ID, &context.span_id.to_string());
        carrier.set(SAMPLED, if context.is_sampled() { "1" } else { "0" });
        for (key, value) in context.baggage() {
            let name = format!("{}{key}", self.baggage_prefix);
            refused += usize::from(!carrier.set(&name, value));
        }
        refused
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        let mut context = SpanContext { remote: true, ..SpanContext::default() };
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
                    context.parent_id = SpanId::new(number("parent id", value)?);
                } else if is(SAMPLED) {
                    context.flags = u8::from(matches!(value, b"1" | b"true"));
                } else {
                    let key = key.to_ascii_lowercase();
                    if let Some(key) = key.strip_prefix(&self.baggage_prefix.to_ascii_lowercase()) {
                        baggage.set(key.to_owned(), form::text(value.into()));
                    }
                }
                Ok(())
            };
            if failure.is_none() {
                failure = take().err();
            }
        });
        match failure {
            Some(error) => Err(error),
            None if !context.trace_id.is_valid() => Err(ExtractError::NotFound),
            None => {
                let baggage_dropped = baggage.dropped;
                context.baggage = baggage.finish();
                Ok(Extracted { context, baggage_dropped })
            }
        }
    }
}
