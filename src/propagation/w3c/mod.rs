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

use self::parent::{Flags, TRACE_PARENT};
use self::state::StateReader;
use super::carrier::{ExtractCarrier, InjectCarrier, Removal, SingleValue, write_context};
use super::jaeger::{debug_key, forward_debug_id, read_debug_id};
use super::keys::FormatKey;
use super::limits::BoundedBaggage;
use super::{Extracted, Format, HeadersConfig};
use crate::error::ExtractError;
use crate::span::SpanContext;

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
        let keys = [
            name(TRACE_PARENT).written_for(parent::is_written),
            name(TRACE_STATE)
                .written_for(|context| parent::is_written(context) && state::is_written(context)),
            // Items that do not fit may leave nothing to write.
            name(BAGGAGE),
            debug_key(&headers.debug),
        ];
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
        write_context(&self.keys, Removal::Stale, context, carrier, |context, carrier| {
            self.write(context, carrier)
        })
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys
    }

    fn is_built_in(&self) -> bool {
        true
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        let [trace_parent, tracestate, baggage, debug] =
            self.keys.each_ref().map(FormatKey::known_name);
        let (mut parent, mut failure) = (SingleValue::default(), None);
        let mut state = StateReader::default();
        let mut items = baggage::Reader::default();
        let mut debug_id = None;
        carrier.visit(&mut |key, value| {
            if trace_parent.is(key) {
                let parse = |text: &[u8]| parent::parse(text.trim_ascii());
                if let Err(error) = parent.add_canonical(key, value, parent::canonical, parse) {
                    failure.get_or_insert(error);
                }
            } else if tracestate.is(key) {
                state.take(value);
            } else if baggage.is(key) {
                items.take(value);
            } else if debug.is(key) {
                debug_id = read_debug_id(carrier.kind(), value);
            }
        });
        let broken = usize::from(failure.is_some());
        if let Some(error) = failure {
            // A debug id takes effect in a new trace.
            if debug_id.is_none() {
                return Err(error);
            }
            parent = SingleValue::default();
        }
        let mut baggage: BoundedBaggage = items.into_bounded();
        let mut context = SpanContext { remote: true, debug_id, ..SpanContext::default() };
        if let Some((trace_id, span_id, flags)) = parent.into_value() {
            context.trace_id = trace_id;
            context.span_id = span_id;
            let (others, ours) = state.finish();
            (context.parent_id, context.flags) = state::joined(ours, span_id, flags.sampled);
            baggage.set_tracestate(others, flags.random);
        }
        let baggage_dropped = baggage.dropped;
        context.baggage = baggage.finish();
        if context.is_empty() {
            return Err(ExtractError::NotFound);
        }
        Ok(Extracted { context, baggage_dropped, broken })
    }
}

impl W3cFormat {
    fn write(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let [trace_parent, tracestate, baggage, debug] = &self.keys;
        forward_debug_id(context, debug, carrier);
        let mut refused = 0;
        if parent::is_written(context) {
            let random = context.baggage.as_ref().is_some_and(|baggage| baggage.random);
            let flags = Flags { sampled: context.is_sampled(), random };
            let text = parent::write(context, flags);
            refused += usize::from(!carrier.set_known(trace_parent.known_name(), &text));
            let is_set = match state::write(context) {
                None => true,
                Some(state::Value::Ours(text)) => carrier.set_known(tracestate.known_name(), &text),
                Some(state::Value::Text(text)) => {
                    carrier.set(tracestate.known_name().text(), &text)
                }
            };
            refused += usize::from(!is_set);
        }
        let (text, dropped) = baggage::write(context.baggage_items());
        if !text.is_empty() && !carrier.set(baggage.known_name().text(), &text) {
            return refused + context.baggage().count();
        }
        refused + dropped
    }
}
