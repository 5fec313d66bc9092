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
use super::carrier::{CarrierKind, ExtractCarrier, InjectCarrier, write_context};
use super::jaeger::{debug_key, hand_on_debug_id};
use super::keys::FormatKey;
use super::limits::BoundedBaggage;
use super::single_value::SingleValue;
use super::{Extracted, Format, HeadersConfig, percent};
use crate::encoding::cut;
use crate::error::ExtractError;
use crate::span::SAMPLED;
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
    debug: String,
    keys: [FormatKey; 4],
}

impl W3cFormat {
    /// Makes a format with that debug header; the other names are W3C's.
    #[must_use]
    pub fn new(headers: &HeadersConfig) -> Self {
        let name = |text| FormatKey::name("a header of W3C", text);
        let keys = [
            name(TRACE_PARENT).always_written(),
            name(TRACE_STATE),
            name(BAGGAGE),
            debug_key(&headers.debug),
        ];
        Self { debug: headers.debug.clone(), keys }
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
        write_context(&self.keys, context, carrier, |context, carrier| {
            hand_on_debug_id(context, &self.debug, carrier);
            write(context, carrier)
        })
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        let (mut parent, mut failure) = (SingleValue::default(), None);
        let mut state = StateReader::default();
        let mut items = baggage::Reader::default();
        let mut debug_id = None;
        carrier.visit(&mut |key, value| {
            if key.eq_ignore_ascii_case(TRACE_PARENT) {
                let taken = parent.take(key, value.trim_ascii(), parent::parse);
                if let Err(error) = taken {
                    failure.get_or_insert(error);
                }
            } else if key.eq_ignore_ascii_case(TRACE_STATE) {
                state.take(value);
            } else if key.eq_ignore_ascii_case(BAGGAGE) {
                items.take(value);
            } else if key.eq_ignore_ascii_case(&self.debug) {
                let http = carrier.kind() == CarrierKind::HttpHeaders;
                let decoded =
                    percent::decode(value).filter(|_| http).unwrap_or_else(|| value.into());
                let id = percent::text(decoded);
                let id = cut(&id, MAX_DEBUG_ID_BYTES);
                debug_id = (!id.is_empty()).then(|| id.into());
            }
        });
        let broken = usize::from(failure.is_some());
        if let Some(error) = failure {
            // A request for debugging is granted in a new trace.
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
            let (foreign, ours) = state.finish();
            (context.parent_id, context.flags) = state::joined(ours, span_id, flags.sampled);
            baggage.foreign(foreign, flags.random);
        }
        let baggage_dropped = baggage.dropped;
        context.baggage = baggage.finish();
        if context.is_empty() {
            return Err(ExtractError::NotFound);
        }
        Ok(Extracted { context, baggage_dropped, broken })
    }
}

fn write(context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
    let mut refused = 0;
    // The format has no place for a context without a decision: the flag would say *not sampled*.
    if context.is_valid() && !context.undecided {
        let flags = context.flags();
        let random = context.baggage.as_ref().is_some_and(|baggage| baggage.random);
        let text = parent::write(context, Flags { sampled: flags & SAMPLED != 0, random });
        let text = str::from_utf8(&text).unwrap_or_default();
        refused += usize::from(!carrier.set(TRACE_PARENT, text));
        if let Some(text) = state::write(context, flags) {
            refused += usize::from(!carrier.set(TRACE_STATE, &text));
        }
    }
    let (text, dropped) = baggage::write(context.baggage_items());
    if !text.is_empty() && !carrier.set(BAGGAGE, &text) {
        return refused + context.baggage().count();
    }
    refused + dropped
}

/// The maximum length of a debug id that is read.
const MAX_DEBUG_ID_BYTES: usize = 2_048;
