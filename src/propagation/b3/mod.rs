//! Zipkin's B3 propagation in its two forms. Either form is read, whichever is written.
//!
//! Baggage is not part of B3; it is carried as in jaeger-client-go, one header per item under a
//! prefix. In HTTP headers, values are percent-encoded unless they are printable ASCII.

mod multi;
mod single;

pub use self::multi::B3Format;
pub use self::single::B3SingleFormat;
use super::carrier::{
    CarrierKind, ExtractCarrier, InjectCarrier, KnownName, KnownParts, begins_with, write_context,
};
use super::composite::first_of;
use super::jaeger;
use super::keys::FormatKey;
use super::limits::BoundedBaggage;
use super::percent::{self, Decoding, decode_into, encode_into, lower_case};
use super::{Extracted, Format, HeadersConfig};
use crate::error::ExtractError;
use crate::id::{IdText, SpanId, TraceId};
use crate::span::SpanContext;
use crate::span::{DEBUG, SAMPLED};

pub(super) fn build_multi(_headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(B3Format::default())
}

pub(super) fn build_single(_headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(B3SingleFormat::default())
}

const DEFAULT_BAGGAGE_PREFIX: &str = "baggage-";

/// The two forms of B3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Multi,
    Single,
}

/// The number of names of both forms.
const NAMES: usize = multi::NAMES.len() + 1;

/// The keys of a format: those of its own form, those of the other form, which are removed when it is written, and
/// the prefix of baggage.
#[derive(Clone, Debug)]
struct Keys([FormatKey; NAMES + 1]);

impl Keys {
    fn new(form: Form, baggage_prefix: String) -> Self {
        let [trace_id, span_id, parent_id, decision, flags] = multi::NAMES;
        let names = match form {
            Form::Multi => [trace_id, span_id, parent_id, decision, flags, single::NAME],
            Form::Single => [single::NAME, trace_id, span_id, parent_id, decision, flags],
        };
        let [one, two, three, four, five, six] =
            names.map(|name| FormatKey::name("a header of B3", name));
        let prefix = FormatKey::prefix("the prefix of B3 baggage", baggage_prefix);
        Self([one, two, three, four, five, six, prefix])
    }

    fn baggage_prefix(&self) -> &str {
        let [.., prefix] = &self.0;
        prefix.known_name().text()
    }

    /// Writes a context, whose ids and decision have these lengths in the text.
    #[inline]
    fn inject<const N: usize>(
        &self,
        text: &IdText,
        lengths: [usize; N],
        context: &SpanContext,
        carrier: &mut dyn InjectCarrier,
    ) -> usize {
        let [names @ .., _] = &self.0;
        let mut parts: [(&KnownName, usize); NAMES] =
            names.each_ref().map(|key| (key.known_name(), 0));
        for (part, length) in parts.iter_mut().zip(lengths) {
            part.1 = length;
        }
        let prefix = self.baggage_prefix();
        let known = KnownParts::new(&parts, prefix, text);
        write_context(&known, None, context, carrier, |context, carrier| {
            jaeger::inject_baggage(context, prefix, carrier, encoded)
        })
    }
}

/// Reads both forms. If both name a span, the first one counts.
fn extract(
    carrier: &dyn ExtractCarrier,
    baggage_prefix: &str,
    first: Form,
    to: &mut Extracted,
) -> Result<(), ExtractError> {
    let (mut multi, mut single) = (multi::Reader::default(), single::Reader::default());
    let mut items: Option<Items> = None;
    carrier.visit(&mut |key, value| {
        if !multi.take(key, value) && !single.take(key, value) && begins_with(key, baggage_prefix) {
            let items = items.get_or_insert_with(|| Items::of(carrier));
            items.take(&key[baggage_prefix.len()..], value);
        }
    });
    if single.is_empty() {
        multi.finish(to)?;
    } else if multi.is_empty() {
        single.finish(to)?;
    } else {
        let (multi, single) = (
            Extracted::filled_by(|to| multi.finish(to)),
            Extracted::filled_by(|to| single.finish(to)),
        );
        *to = first_of(match first {
            Form::Multi => [multi, single],
            Form::Single => [single, multi],
        })?;
    }
    if let Some(items) = items {
        to.baggage_dropped = items.baggage.dropped;
        to.context.baggage = items.baggage.finish();
    }
    Ok(())
}

/// Collects baggage.
struct Items {
    kind: CarrierKind,
    baggage: BoundedBaggage,
    key_scratch: String,
    scratch: Vec<u8>,
}

impl Items {
    #[inline(never)]
    fn of(carrier: &dyn ExtractCarrier) -> Self {
        Self {
            kind: carrier.kind(),
            baggage: BoundedBaggage::default(),
            key_scratch: String::new(),
            scratch: Vec::new(),
        }
    }

    #[inline(never)]
    fn take(&mut self, key: &str, value: &[u8]) {
        let key = lower_case(key, &mut self.key_scratch);
        let value = decoded(self.kind, value, &mut self.scratch);
        self.baggage.set(key, &percent::text(value));
    }
}

/// The content of one form: ids, or a decision about a trace to begin, or both.
type Parsed = (TraceId, SpanId, SpanId, Option<u8>);

/// Writes a context that names a span, or a decision about a trace to begin, into an empty one.
#[inline]
fn found(
    (trace_id, span_id, parent_id, decision): Parsed,
    context: &mut SpanContext,
) -> Result<(), ExtractError> {
    context.remote = true;
    context.flags = decision.unwrap_or_default();
    if trace_id.is_valid() {
        (context.trace_id, context.span_id, context.parent_id) = (trace_id, span_id, parent_id);
        context.lacks_decision = decision.is_none() && context.is_valid();
    } else if decision.is_some() {
        context.decision_for_new_trace = true;
    } else {
        return Err(ExtractError::NotFound);
    }
    Ok(())
}

/// Encodes a header value. Most values stay as they are, for readers that decode nothing.
fn encoded<'v>(value: &'v str, scratch: &'v mut String) -> &'v str {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
    let edges = value.starts_with(' ') || value.ends_with(' ');
    if value.bytes().all(plain) && !edges { value } else { encode_into(value, scratch) }
}

/// Decodes a header value. A value that cannot be decoded was not encoded.
fn decoded<'v>(kind: CarrierKind, value: &'v [u8], scratch: &'v mut Vec<u8>) -> &'v [u8] {
    match kind {
        CarrierKind::HttpHeaders => decode_into(value, Decoding::Plus, scratch).unwrap_or(value),
        CarrierKind::TextMap => value,
    }
}

/// The flags of a debug request, which is a decision to sample as well.
const DEBUGGED: u8 = DEBUG | SAMPLED;

/// Returns whether the ids are written. Go writes even those of a context that has none, unless it has
/// a decision for a new trace.
fn writes_ids(context: &SpanContext) -> bool {
    context.is_valid() || (!context.decision_for_new_trace && context.should_write_ids())
}
