//! Jaeger's own headers: `uber-trace-id`, `uberctx-…`, `jaeger-debug-id`, `jaeger-baggage`.
//!
//! ```text
//! uber-trace-id: 5af7183fb1d4cf5f:6b221d5bc9e6496c:0000000000000000:1
//! uberctx-customer: 123
//! ```
//!
//! Trace id, span id, parent id and flags, all in hex. Ids are written padded, and read at any
//! length that fits. Flags are read as hex too, which Go writes but does not read.

use std::sync::Arc;

use super::carrier::{
    CarrierKind, ExtractCarrier, InjectCarrier, KnownName, KnownParts, SingleValue, begins_with,
    write_context,
};
use super::keys::FormatKey;
use super::limits::BoundedBaggage;
use super::percent::{self, Decoding, decode_into, encode_into, lower_case};
use super::text::{Parsed, parse};
use super::{Extracted, Format, HeadersConfig};
use crate::encoding::truncate;
use crate::error::ExtractError;
use crate::id::{self, IdText, SpanId, TraceId};
use crate::span::SpanContext;

/// Jaeger's own headers, for text maps and HTTP alike.
///
/// # Source
///
/// `TextMapPropagator` in jaeger-client-go, `propagation.go`. Unlike there, flags are read as hex,
/// a debug id is read wherever it stands, even beside a broken context, baggage keys of a text map
/// keep their case, and several contexts that differ are an error.
///
/// Ids of zero are as there, and not counted as decoding errors. With a trace id of zero
/// (`0:0:0:0`) there is no context: [`ExtractError::NotFound`], unless there is a debug id or
/// baggage. With a trace id but a span id of zero (`1:0:0:1`) there is one, which is no
/// [valid](SpanContext::is_valid) parent: a span below it begins a new trace.
#[derive(Clone, Debug)]
pub struct JaegerFormat {
    /// The context, the prefix of baggage, the debug id, and baggage by hand.
    keys: [FormatKey; 4],
}

impl JaegerFormat {
    /// Makes a format with these names.
    #[must_use]
    pub fn new(headers: HeadersConfig) -> Self {
        let HeadersConfig { trace_context, baggage_prefix, debug, baggage, .. } = headers;
        Self {
            keys: [
                FormatKey::name("headers.trace_context", trace_context),
                FormatKey::prefix("headers.baggage_prefix", baggage_prefix),
                debug_key(debug),
                FormatKey::name("headers.baggage", baggage).read_only(),
            ],
        }
    }
}

/// Returns the key of a caller's debug id. An application that writes the header means it, so
/// it is never replaced.
pub(super) fn debug_key(name: impl Into<String>) -> FormatKey {
    FormatKey::name("headers.debug", name).read_only()
}

/// Returns whether the header of the context is written. It has no place for one without a decision:
/// the flag would say *not sampled*.
fn is_written(context: &SpanContext) -> bool {
    !context.lacks_decision && context.should_write_ids()
}

impl Default for JaegerFormat {
    fn default() -> Self {
        Self::new(HeadersConfig::default())
    }
}

pub(super) fn build(headers: &HeadersConfig) -> Box<dyn Format> {
    Box::new(JaegerFormat::new(headers.clone()))
}

impl Format for JaegerFormat {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let [trace_context, baggage_prefix, debug, _] = &self.keys;
        let mut text = IdText::new();
        if is_written(context) {
            context.write_text(&mut text);
        }
        let parts = [(trace_context.known_name(), text.as_bytes().len())];
        let prefix = baggage_prefix.known_name().text();
        let known = KnownParts::new(&parts, prefix, &text);
        write_context(&known, None, context, carrier, |context, carrier| {
            forward_debug_id(context, debug.known_name(), carrier);
            inject_baggage(context, prefix, carrier, encode_into)
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
        let [trace_context, baggage_prefix, debug, manual_baggage] =
            self.keys.each_ref().map(FormatKey::known_name);
        let prefix = baggage_prefix.text();
        let Extracted { context, .. } = to;
        context.remote = true;
        let (mut is_found, mut rest) = (false, None::<UncommonParts>);
        carrier.visit(&mut |key, value| {
            if trace_context.is(key) {
                match parse_canonical(value) {
                    Some(parsed)
                        if !is_found && rest.as_ref().is_none_or(|rest| rest.found.is_empty()) =>
                    {
                        is_found = true;
                        set(context, parsed);
                    }
                    _ => {
                        let earlier = is_found.then_some(&*context);
                        UncommonParts::of(&mut rest, carrier).context(key, value, earlier);
                    }
                }
            } else if debug.is(key) {
                UncommonParts::of(&mut rest, carrier).debug_id(value);
            } else if manual_baggage.is(key) {
                UncommonParts::of(&mut rest, carrier).manual_baggage(value);
            } else if begins_with(key, prefix) {
                UncommonParts::of(&mut rest, carrier).item(&key[prefix.len()..], value);
            }
        });
        if let Some(rest) = rest {
            rest.finish(to)?;
        }
        let context = &to.context;
        if !context.trace_id.is_valid() && context.debug_id.is_none() && context.baggage.is_none() {
            return Err(ExtractError::NotFound);
        }
        Ok(())
    }
}

/// Reads a trace context in the form in which this crate writes it: padded ids, and so a known
/// length. Decoding would change nothing in it. Returns `None` for any other form, even a valid
/// one.
#[inline]
fn parse_canonical(text: &[u8]) -> Option<Parsed> {
    let (high, rest) = match text.get(16)? {
        b':' => (0, text),
        _ => (id::read_hex_16(text.first_chunk()?)?, text.get(16..)?),
    };
    let (ids, flags) = rest.split_first_chunk::<51>()?;
    let flags = match flags {
        [digit] => id::digit(*digit)?,
        [high, low] => (id::digit(*high)? << 4) | id::digit(*low)?,
        _ => return None,
    };
    if (ids[16], ids[33], ids[50]) != (b':', b':', b':') {
        return None;
    }
    let id = |at: usize| id::read_hex_16(ids.get(at..)?.first_chunk()?);
    Some((TraceId::new(high, id(0)?), SpanId::new(id(17)?), SpanId::new(id(34)?), flags))
}

/// Sets ids and flags.
#[inline]
fn set(context: &mut SpanContext, (trace_id, span_id, parent_id, flags): Parsed) {
    context.trace_id = trace_id;
    context.span_id = span_id;
    context.parent_id = parent_id;
    context.flags = flags;
}

/// What a carrier has beside one context in the form in which this client writes it.
struct UncommonParts {
    /// The context, if there is any in another form, or several.
    found: SingleValue<Parsed>,
    kind: CarrierKind,
    /// Whether keys have the case that they were written in.
    preserves_case: bool,
    baggage: BoundedBaggage,
    debug_id: Option<Arc<str>>,
    failure: Option<ExtractError>,
    key_scratch: String,
    scratch: Vec<u8>,
}

impl UncommonParts {
    /// Returns what there is, in its place: it is large.
    #[inline(always)]
    fn of<'r>(rest: &'r mut Option<Self>, carrier: &dyn ExtractCarrier) -> &'r mut Self {
        match rest {
            Some(rest) => rest,
            None => Self::begin(rest, carrier),
        }
    }

    #[inline(never)]
    fn begin<'r>(rest: &'r mut Option<Self>, carrier: &dyn ExtractCarrier) -> &'r mut Self {
        let kind = carrier.kind();
        rest.insert(Self {
            found: SingleValue::default(),
            kind,
            preserves_case: kind == CarrierKind::TextMap || carrier.is_lower_case(),
            baggage: BoundedBaggage::default(),
            debug_id: None,
            failure: None,
            key_scratch: String::new(),
            scratch: Vec::new(),
        })
    }

    /// Reads a context in any form, after an earlier one.
    #[inline(never)]
    fn context(&mut self, key: &str, value: &[u8], earlier: Option<&SpanContext>) {
        if let Some(SpanContext { trace_id, span_id, parent_id, flags, .. }) = earlier {
            self.found = SingleValue::of((*trace_id, *span_id, *parent_id, *flags));
        }
        let value = decoded(self.kind, value, &mut self.scratch);
        if let Err(error) = self.found.add_text(key, value, parse) {
            self.failure.get_or_insert(error);
        }
    }

    fn debug_id(&mut self, value: &[u8]) {
        self.debug_id = read_debug_id(self.kind, value);
    }

    fn manual_baggage(&mut self, value: &[u8]) {
        read_by_hand(value, &mut self.baggage);
    }

    #[inline(always)]
    fn item(&mut self, key: &str, value: &[u8]) {
        let key = if self.preserves_case { key } else { lower_case(key, &mut self.key_scratch) };
        let value = decoded(self.kind, value, &mut self.scratch);
        self.baggage.set(key, &percent::text(value));
    }

    #[inline]
    fn finish(self, to: &mut Extracted) -> Result<(), ExtractError> {
        if let Some(error) = self.failure {
            // A debug id takes effect in a new trace.
            if self.debug_id.is_none() {
                return Err(error);
            }
            set(&mut to.context, Parsed::default());
            to.broken = 1;
        } else if let Some(found) = self.found.into_value() {
            set(&mut to.context, found);
        }
        to.baggage_dropped = self.baggage.dropped;
        to.context.baggage = self.baggage.finish();
        to.context.debug_id = self.debug_id;
        Ok(())
    }
}

/// Writes baggage under a prefix, in headers encoded, and returns how many items were refused.
#[inline]
pub(super) fn inject_baggage(
    context: &SpanContext,
    prefix: &str,
    carrier: &mut dyn InjectCarrier,
    encoded: impl for<'v> Fn(&'v str, &'v mut String) -> &'v str,
) -> usize {
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
        let value = match kind {
            CarrierKind::HttpHeaders => encoded(value, &mut scratch),
            CarrierKind::TextMap => value,
        };
        refused += usize::from(!carrier.set(&name, value));
    }
    refused
}

/// Writes the debug id of a context that is forwarded unchanged. Spans have none.
pub(super) fn forward_debug_id(
    context: &SpanContext,
    name: &KnownName,
    carrier: &mut dyn InjectCarrier,
) {
    if let Some(id) = context.debug_id() {
        let http = carrier.kind() == CarrierKind::HttpHeaders;
        let mut scratch = String::new();
        let text = if http { encode_into(id, &mut scratch) } else { id };
        carrier.set(name.text(), text);
    }
}

/// Decodes an HTTP header value once; a value that cannot be decoded stays as it is.
fn decoded<'v>(kind: CarrierKind, value: &'v [u8], scratch: &'v mut Vec<u8>) -> &'v [u8] {
    match kind {
        CarrierKind::HttpHeaders => {
            decode_into(value, Decoding::PlusIsSpace, scratch).unwrap_or(value)
        }
        CarrierKind::TextMap => value,
    }
}

/// Reads a caller's debug id.
pub(super) fn read_debug_id(kind: CarrierKind, value: &[u8]) -> Option<Arc<str>> {
    let mut scratch = Vec::new();
    let id = percent::text(decoded(kind, value, &mut scratch));
    let id = truncate(&id, MAX_DEBUG_ID_BYTES);
    (!id.is_empty()).then(|| id.into())
}

/// Reads `key1=value1, key2=value2`, decoded as a whole before it is split, in text maps too.
fn read_by_hand(value: &[u8], baggage: &mut BoundedBaggage) {
    let mut scratch = Vec::new();
    let Some(value) = decode_into(value, Decoding::PlusIsSpace, &mut scratch) else { return };
    let value = percent::text(value);
    for pair in value.split(',') {
        let mut parts = pair.trim().split('=');
        if let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) {
            baggage.set(key.trim(), value);
        }
    }
}

/// The maximum length of a debug id that is read.
const MAX_DEBUG_ID_BYTES: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Extracted, ExtractError> {
        let carrier = super::super::HttpHeaders(pairs.to_vec());
        JaegerFormat::default().extract(&carrier)
    }

    #[test]
    fn flags_are_hex_of_one_digit_or_two() {
        for (flags, value) in [("b", 11), ("0b", 11), ("10", 16), ("ff", 255), ("001", 1)] {
            let context = read(&[("uber-trace-id", &format!("1:2:3:{flags}"))]).unwrap().context;
            assert_eq!(context.flags(), value);
        }
        let error = read(&[("uber-trace-id", "1:2:3:100")]).unwrap_err();
        assert!(matches!(error, ExtractError::NumberOutOfRange { part: "flags", .. }), "{error}");
    }

    #[test]
    fn contexts_that_differ_are_an_error_in_any_form_and_order() {
        let usual = format!("{0:016x}:{0:016x}:{0:016x}:1", 1);
        let other = usual.replace(":1", ":0");
        for (one, two) in [(&*usual, &*other), (&*usual, "1:2:1:1"), ("1:2:1:1", &*usual)] {
            for between in [("uberctx-k", "v"), ("x", "y")] {
                let error = read(&[("uber-trace-id", one), between, ("uber-trace-id", two)]);
                let error = error.unwrap_err();
                assert!(matches!(error, ExtractError::Conflicting { .. }), "{one}, {two}: {error}");
                let same = read(&[("uber-trace-id", one), between, ("uber-trace-id", one)]);
                assert!(same.is_ok(), "{one}: {same:?}");
            }
        }
        for form in [("1:1:1:1", &*usual), (&*usual, "1:1:1:1")] {
            let same = read(&[("uber-trace-id", form.0), ("uber-trace-id", form.1)]);
            assert_eq!(same.unwrap().context.to_string(), usual);
        }
    }

    #[test]
    fn a_debug_id_is_read_in_any_position() {
        let (context, debug) = (("uber-trace-id", "1:2:3:0"), ("jaeger-debug-id", "d"));
        for pairs in [[context, debug], [debug, context]] {
            let read = read(&pairs).unwrap().context;
            assert_eq!((read.debug_id(), read.trace_id().low()), (Some("d"), 1));
        }
    }

    #[test]
    fn a_debug_id_is_truncated_to_2048_bytes() {
        let long = "d".repeat(MAX_DEBUG_ID_BYTES + 1);
        let read =
            read(&[("uber-trace-id", "1:2:3:0"), ("jaeger-debug-id", &long)]).unwrap().context;
        assert_eq!(read.debug_id(), Some(&long[1..]));
    }

    #[test]
    fn ids_of_too_many_digits_are_errors_though_the_first_are_zeros() {
        let zeros = "0".repeat(32);
        let error = read(&[("uber-trace-id", &format!("{zeros}1:2:3:0"))]).unwrap_err();
        assert!(matches!(error, ExtractError::TraceIdTooLong { digits: 33 }), "{error}");
        let error = read(&[("uber-trace-id", &format!("1:{}2:3:0", &zeros[16..]))]).unwrap_err();
        assert!(matches!(error, ExtractError::SpanIdTooLong { digits: 17 }), "{error}");
    }

    #[test]
    fn configured_names_are_found_in_any_case() {
        let headers = HeadersConfig { trace_context: "X-Trace".to_owned(), ..Default::default() };
        let carrier = super::super::HttpHeaders(vec![("x-tRACE", "1:2:0:1")]);
        assert!(JaegerFormat::new(headers).extract(&carrier).is_ok());
    }

    #[test]
    fn baggage_beyond_the_limits_is_dropped_and_counted() {
        let many: Vec<_> = (0..200).map(|n| (format!("uberctx-{n}"), "v".to_owned())).collect();
        let read = JaegerFormat::default().extract(&many).unwrap();
        assert_eq!((read.context.baggage().count(), read.baggage_dropped), (180, 20));
        let large = vec![("uberctx-a", "x".repeat(9_000)), ("uberctx-b", "small".to_owned())];
        let read = JaegerFormat::default().extract(&large).unwrap();
        assert_eq!((read.context.baggage().count(), read.baggage_dropped), (1, 1));
    }

    proptest! {
        #[test]
        fn law_extraction_takes_any_bytes(
            value in prop::collection::vec(any::<u8>(), 0..100),
            name in prop::sample::select(vec!["uber-trace-id", "jaeger-baggage", "uberctx-é", "x"]),
        ) {
            let carrier = super::super::HttpHeaders(vec![(name, value)]);
            let _ = JaegerFormat::default().extract(&carrier);
        }

        #[test]
        fn law_the_fast_parser_agrees_with_the_general_parser_on_all_that_it_reads(
            (wide, at, byte) in (any::<bool>(), 0..68_usize, any::<u8>()),
            ids: [u64; 4], flags: u8, upper: bool,
        ) {
            let high = if wide { ids[3] } else { 0 };
            let ids = (TraceId::new(high, ids[0]), SpanId::new(ids[1]), SpanId::new(ids[2]));
            let mut text = SpanContext::new(ids.0, ids.1, ids.2, flags).to_string().into_bytes();
            prop_assert_eq!(parse_canonical(&text), Some((ids.0, ids.1, ids.2, flags)));
            if upper {
                text.make_ascii_uppercase();
            }
            let at = at % text.len();
            text[at] = byte;
            if let Some(read) = parse_canonical(&text) {
                prop_assert_eq!(parse(&text), Ok(read));
            }
        }
    }
}
