//! Zipkin's B3 propagation in its two forms. Either form is read, whichever is written.
//!
//! Baggage is not part of B3; it is carried as in jaeger-client-go, one header per item under a
//! prefix. In HTTP headers, values are percent-encoded unless they are printable ASCII.

mod multi;
mod single;

pub use self::multi::B3Format;
pub use self::single::B3SingleFormat;
use super::carrier::{CarrierKind, ExtractCarrier, InjectCarrier, KnownName};
use super::composite::first_of;
use super::keys::{FormatKey, begins_with};
use super::limits::BoundedBaggage;
use super::percent::{self, Decoding, decode_into, encode_into, lower_case};
use super::{Extracted, Format, HeadersConfig};
use crate::error::ExtractError;
use crate::id::{SpanId, TraceId};
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

/// The keys of a format: those of its own form, the prefix of baggage, and those of the other form,
/// which are removed when it is written.
#[derive(Clone, Debug)]
struct Keys {
    keys: Vec<FormatKey>,
    /// How many are of its own form.
    own: usize,
}

impl Keys {
    fn new(form: Form, baggage_prefix: String) -> Self {
        let name = |name: &str| FormatKey::name("a header of B3", name);
        let multi =
            multi::HEADERS.iter().map(|(key, is_written)| name(key).written_for(*is_written));
        let single = [name(single::NAME).written_for(single::is_written)];
        let (mut keys, other): (Vec<_>, Vec<_>) = match form {
            Form::Multi => (multi.collect(), single.into()),
            Form::Single => (single.into(), multi.collect()),
        };
        let own = keys.len();
        let prefix = FormatKey::prefix("the prefix of B3 baggage", baggage_prefix);
        keys.push(prefix.written_for(|_| true));
        keys.extend(other.into_iter().map(|key| key.written_for(|_| false)));
        Self { keys, own }
    }

    /// Returns the names of the form itself, as many as it has.
    fn own<const N: usize>(&self) -> Option<[&KnownName; N]> {
        self.keys.first_chunk().map(|keys| keys.each_ref().map(FormatKey::known_name))
    }

    fn baggage_prefix(&self) -> &str {
        self.keys.get(self.own).map_or("", |prefix| prefix.known_name().text())
    }
}

/// Reads both forms. If both name a span, the first one counts.
fn extract(
    carrier: &dyn ExtractCarrier,
    baggage_prefix: &str,
    first: Form,
) -> Result<Extracted, ExtractError> {
    let kind = carrier.kind();
    let (mut multi, mut single) = (multi::Reader::default(), single::Reader::default());
    let mut baggage = BoundedBaggage::default();
    let (mut key_scratch, mut scratch) = (String::new(), Vec::new());
    carrier.visit(&mut |key, value| {
        if !multi.take(key, value) && !single.take(key, value) && begins_with(key, baggage_prefix) {
            let key = lower_case(&key[baggage_prefix.len()..], &mut key_scratch);
            let value = decoded(kind, value, &mut scratch);
            baggage.set(key, &percent::text(value));
        }
    });
    let mut found = if single.is_empty() {
        multi.finish()
    } else if multi.is_empty() {
        single.finish()
    } else {
        let (multi, single) = (multi.finish(), single.finish());
        first_of(match first {
            Form::Multi => [multi, single],
            Form::Single => [single, multi],
        })
    }?;
    found.baggage_dropped = baggage.dropped;
    found.context.baggage = baggage.finish();
    Ok(found)
}

/// The content of one form: ids, or a decision about a trace to begin, or both.
type Parsed = (TraceId, SpanId, SpanId, Option<u8>);

/// Returns a context that names a span, or a decision about a trace to begin.
fn found((trace_id, span_id, parent_id, decision): Parsed) -> Result<Extracted, ExtractError> {
    let flags = decision.unwrap_or_default();
    let mut context = SpanContext { flags, remote: true, ..SpanContext::default() };
    if trace_id.is_valid() {
        (context.trace_id, context.span_id, context.parent_id) = (trace_id, span_id, parent_id);
        context.lacks_decision = decision.is_none() && context.is_valid();
    } else if decision.is_some() {
        context.decision_for_new_trace = true;
    } else {
        return Err(ExtractError::NotFound);
    }
    Ok(Extracted { context, ..Extracted::default() })
}

/// Writes baggage under a prefix, and returns how many items were refused.
fn inject_baggage(context: &SpanContext, prefix: &str, carrier: &mut dyn InjectCarrier) -> usize {
    if context.baggage.is_none() {
        return 0;
    }
    let kind = carrier.kind();
    let (mut name, mut scratch) = (String::new(), String::new());
    let mut refused = 0;
    for (key, value) in context.baggage() {
        name.clear();
        name.push_str(prefix);
        name.push_str(key);
        refused += usize::from(!carrier.set(&name, encoded(kind, value, &mut scratch)));
    }
    refused
}

/// Encodes a header value. Most values stay as they are, for readers that decode nothing.
fn encoded<'v>(kind: CarrierKind, value: &'v str, scratch: &'v mut String) -> &'v str {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
    let edges = value.starts_with(' ') || value.ends_with(' ');
    if kind == CarrierKind::TextMap || (value.bytes().all(plain) && !edges) {
        value
    } else {
        encode_into(value, scratch)
    }
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
