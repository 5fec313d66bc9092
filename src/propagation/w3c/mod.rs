//! W3C's headers: `traceparent`, `tracestate`, `baggage`.
//!
//! ```text
//! traceparent: 00-00000000000000005af7183fb1d4cf5f-6b221d5bc9e6496c-01
//! tracestate: jaeger=6b221d5bc9e6496c:5af7183fb1d4cf5f:3,other=abc
//! baggage: customer=123,who=J%C3%BCrgen
//! ```

mod baggage;
mod parent;
mod state;

use std::sync::Arc;

use self::parent::{Flags, TRACE_PARENT};
use self::state::StateReader;
use super::carrier::{
    ExtractCarrier, InjectCarrier, KnownName, KnownParts, SingleValue, write_context,
};
use super::jaeger::{debug_key, forward_debug_id, read_debug_id};
use super::keys::FormatKey;
use super::limits::BoundedBaggage;
use super::{Extracted, Format, HeadersConfig};
use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId};
use crate::span::{SAMPLED, SpanContext};

/// W3C Trace Context and W3C Baggage, which most tracers of any vendor understand.
///
/// Jaeger's data without a place in `traceparent`, the parent's id and the flags for debugging and
/// firehose, goes into `tracestate` under `jaeger`; so a context that passes through these headers
/// is unchanged. Members of other vendors in `tracestate` are forwarded as they are.
///
/// The debug header of [`HeadersConfig`] is read too.
///
/// # Shape and units
///
/// Ids are padded to 32 and 16 lower-case digits, and no other form is read; zeros are refused.
/// Later versions are read as far as they agree with version 00. `tracestate` is forwarded up to 32
/// members and 2,048 bytes, and dropped as a whole if it is malformed. `baggage` has at most 64
/// items and 8,192 bytes in either direction; the properties of an item are forwarded until it is
/// set anew.
///
/// # Source
///
/// W3C Trace Context, levels 1 and 2, and W3C Baggage; `TraceContextCodec` in jaeger-client-java for
/// the debug header.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::{HeadersConfig, Tracer, propagation::W3cFormat};
/// let format = W3cFormat::new(&HeadersConfig::default());
/// let (tracer, _closer) = Tracer::builder("svc").format(format).null_reporter().build()?;
/// let mut headers = HashMap::new();
/// tracer.inject(&tracer.start_span("call"), &mut headers);
/// assert!(headers["traceparent"].ends_with("-01"));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct W3cFormat {
    /// `traceparent`, `tracestate`, `baggage`, and the debug id.
    keys: [FormatKey; 4],
}

impl W3cFormat {
    /// Makes a format with that debug header; the other names are W3C's.
    #[must_use]
    pub fn new(headers: &HeadersConfig) -> Self {
        let name = |text| FormatKey::name("a header of W3C", text);
        let keys =
            [name(TRACE_PARENT), name(TRACE_STATE), name(BAGGAGE), debug_key(&headers.debug)];
        Self { keys }
    }
}

impl Default for W3cFormat {
    fn default() -> Self {
        Self::new(&HeadersConfig::default())
    }
}

pub(super) fn build(headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(W3cFormat::new(headers))
}

const TRACE_STATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

impl Format for W3cFormat {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let [trace_parent, tracestate, baggage, debug] =
            self.keys.each_ref().map(FormatKey::known_name);
        let (mut text, mut parent, mut others) = (IdText::new(), 0, None);
        if parent::is_written(context) {
            let flags = context.flags();
            let (random, members) = match &context.baggage {
                None => (false, None),
                Some(baggage) => (baggage.random, baggage.tracestate.as_deref()),
            };
            parent::write(&mut text, context, Flags { sampled: flags & SAMPLED != 0, random });
            parent = text.as_bytes().len();
            state::write(&mut text, context, flags);
            others = members;
        }
        let ours = text.as_bytes().len() - parent;
        // Items that do not fit may leave nothing to write.
        let parts = [
            (trace_parent, parent),
            (tracestate, if others.is_none() { ours } else { 0 }),
            (baggage, 0),
        ];
        let later = others.is_some().then_some(tracestate);
        let known = KnownParts::new(&parts, "", &text);
        write_context(&known, later, context, carrier, |context, carrier| {
            forward_debug_id(context, debug, carrier);
            let mut refused = 0;
            if let Some(others) = others {
                let ours = text.as_str().get(parent..).unwrap_or_default();
                let text = state::with_others(ours, others);
                refused += usize::from(!carrier.set(tracestate.text(), &text));
            }
            refused + inject_baggage(baggage, context, carrier)
        })
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys
    }

    fn is_built_in(&self) -> bool {
        true
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        Extracted::filled_by(|to| self.extract_into(carrier, to))
    }

    fn extract_into(
        &self,
        carrier: &dyn ExtractCarrier,
        to: &mut Extracted,
    ) -> Result<(), ExtractError> {
        let [trace_parent, tracestate, baggage, debug] =
            self.keys.each_ref().map(FormatKey::known_name);
        let context = &mut to.context;
        context.remote = true;
        let mut state = StateReader::default();
        let (mut found, mut rest) = (None, None::<Rest>);
        carrier.visit(&mut |key, value| {
            if trace_parent.is(key) {
                match parent::canonical(value) {
                    Some((trace_id, span_id, flags))
                        if found.is_none()
                            && rest.as_ref().is_none_or(|rest| rest.found.is_empty()) =>
                    {
                        (context.trace_id, context.span_id) = (trace_id, span_id);
                        found = Some(flags);
                    }
                    _ => {
                        let earlier = found.map(|flags| (context.trace_id, context.span_id, flags));
                        rest.get_or_insert_default().parent(key, value, earlier);
                    }
                }
            } else if tracestate.is(key) {
                state.take(value);
            } else if baggage.is(key) {
                rest.get_or_insert_default().items.take(value);
            } else if debug.is(key) {
                rest.get_or_insert_default().debug_id = read_debug_id(carrier.kind(), value);
            }
        });
        let baggage = match rest {
            None => None,
            Some(rest) => Some(rest.finish(to, &mut found)?),
        };
        let context = &mut to.context;
        let (mut others, mut random) = (None, false);
        if let Some(flags) = found {
            let (members, ours) = state.finish();
            (context.parent_id, context.flags) =
                state::joined(ours, context.span_id, flags.sampled);
            (others, random) = (members, flags.random);
        }
        if baggage.is_some() || others.is_some() || random {
            let mut baggage = baggage.unwrap_or_default();
            baggage.set_tracestate(others, random);
            to.baggage_dropped = baggage.dropped;
            to.context.baggage = baggage.finish();
        }
        if to.context.is_empty() { Err(ExtractError::NotFound) } else { Ok(()) }
    }
}

/// What a carrier has beside one `traceparent` in the form in which this client writes it, and `tracestate`.
#[derive(Default)]
struct Rest {
    /// `traceparent`, if there is any in another form, or several.
    found: SingleValue<parent::Parsed>,
    items: baggage::Reader,
    debug_id: Option<Arc<str>>,
    failure: Option<ExtractError>,
}

impl Rest {
    /// Reads `traceparent` in any form, after an earlier one.
    #[inline(never)]
    fn parent(&mut self, key: &str, value: &[u8], earlier: Option<parent::Parsed>) {
        if let Some(earlier) = earlier {
            self.found = SingleValue::of(earlier);
        }
        let parse = |text: &[u8]| parent::parse(text.trim_ascii());
        if let Err(error) = self.found.add_text(key, value, parse) {
            self.failure.get_or_insert(error);
        }
    }

    #[inline(never)]
    fn finish(
        self,
        to: &mut Extracted,
        flags: &mut Option<Flags>,
    ) -> Result<BoundedBaggage, ExtractError> {
        if let Some(error) = self.failure {
            // A debug id takes effect in a new trace.
            if self.debug_id.is_none() {
                return Err(error);
            }
            (to.context.trace_id, to.context.span_id) = <(TraceId, SpanId)>::default();
            *flags = None;
            to.broken = 1;
        } else if let Some((trace_id, span_id, found)) = self.found.into_value() {
            (to.context.trace_id, to.context.span_id) = (trace_id, span_id);
            *flags = Some(found);
        }
        to.context.debug_id = self.debug_id;
        Ok(self.items.into_bounded())
    }
}

/// Writes the header `baggage`, and returns how many items are left out.
fn inject_baggage(
    name: &KnownName,
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
) -> usize {
    let (text, dropped) = baggage::write(context.baggage_items());
    if text.is_empty() || carrier.set(name.text(), &text) {
        dropped
    } else {
        context.baggage().count()
    }
}
