//! Several formats at once, for a fleet that uses more than one.

use std::collections::HashSet;
use std::sync::Arc;

use super::carrier::{CarrierKind, ExtractCarrier, InjectCarrier, KnownParts, fitting, write_any};
use super::keys::{self, FormatKey};
use super::limits::BoundedBaggage;
use super::{Extracted, Format};
use crate::error::ExtractError;
use crate::id::{SpanId, TraceId};
use crate::span::SAMPLED;
use crate::span::{Baggage, BaggageItem, SpanContext};

/// Several formats, in order: all are written, and the first that names a span is the context.
///
/// The contexts of the other formats are merged into it, earlier formats before later ones: baggage
/// and the debug id in any case, `tracestate` and the upper half of the trace id if they are of the
/// same trace, flags and the parent's id if they are of the same span. A malformed context is
/// counted, and the next format is tried; it is an error only if no format finds a context.
///
/// # Source
///
/// `CompositeCodec` in jaeger-client-java, which merges nothing.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// use jaeger_client::propagation::{CompositeFormat, HttpHeaders, JaegerFormat, W3cFormat};
/// let both = CompositeFormat::new(vec![
///     Box::new(JaegerFormat::default()),
///     Box::new(W3cFormat::default()),
/// ]);
/// let (tracer, _closer) = Tracer::builder("svc").format(both).null_reporter().build()?;
/// let mut headers = HttpHeaders(Vec::<(String, String)>::new());
/// tracer.inject(&tracer.start_span("op").context(), &mut headers);
/// assert_eq!((headers.0[0].0.as_str(), headers.0[1].0.as_str()), ("uber-trace-id", "traceparent"));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct CompositeFormat {
    formats: Vec<Box<dyn Format>>,
    /// Whether each format reads: not if a format before it reads the same headers, as either form
    /// of B3 does.
    reads: Vec<bool>,
    /// The keys of all formats.
    keys: Vec<FormatKey>,
    /// Whether two formats write the same headers, as both forms of B3 do for baggage.
    shares_headers: bool,
    /// Whether each format replaces an earlier context by itself, and leaves what the others have written.
    are_separate: bool,
}

impl CompositeFormat {
    /// Makes a format of several, in order of priority.
    #[must_use]
    pub fn new(formats: Vec<Box<dyn Format>>) -> Self {
        let keys = formats.iter().flat_map(|format| format.keys().iter().cloned()).collect();
        let any_before = |at: usize, is_it: fn(&[FormatKey], &[FormatKey]) -> bool| {
            formats[..at].iter().any(|other| is_it(formats[at].keys(), other.keys()))
        };
        let numbers = 0..formats.len();
        let reads = numbers.clone().map(|at| !any_before(at, keys::are_read_alike)).collect();
        let shares_headers = numbers.clone().any(|at| any_before(at, keys::share_headers));
        let are_separate = formats.iter().all(|format| format.is_built_in())
            && !{ numbers }.any(|at| any_before(at, keys::overlap));
        Self { formats, reads, keys, shares_headers, are_separate }
    }
}

impl Format for CompositeFormat {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        let write_all = |context: &SpanContext, carrier: &mut dyn InjectCarrier| {
            self.formats.iter().map(|format| format.inject(context, carrier)).sum::<usize>()
        };
        if self.are_separate && !carrier.is_checked() {
            // What is left out is counted once.
            let has_prefix = self.keys.iter().any(FormatKey::is_prefix);
            let (context, left_out) = fitting(context, carrier, has_prefix);
            return left_out + write_all(&context, carrier);
        }
        write_any(&self.keys, context, carrier, |context, carrier| {
            if self.shares_headers {
                write_all(context, &mut Once { carrier, names: HashSet::new() })
            } else {
                write_all(context, carrier)
            }
        })
    }

    fn keys(&self) -> &[FormatKey] {
        &self.keys
    }

    fn is_built_in(&self) -> bool {
        true
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        let readers = self.formats.iter().zip(&self.reads).filter(|(_, reads)| **reads);
        first_of(readers.map(|(format, _)| format.extract(carrier)))
    }
}

/// Returns the first context that names a span, merged with the others; an error only if none was
/// found.
pub(super) fn first_of(
    results: impl IntoIterator<Item = Result<Extracted, ExtractError>>,
) -> Result<Extracted, ExtractError> {
    let mut found: Option<Extracted> = None;
    let (mut broken, mut first) = (0, None);
    for result in results {
        match result {
            Ok(next) => {
                found = Some(match found {
                    None => next,
                    Some(found) => merged(found, next),
                });
            }
            Err(ExtractError::NotFound) => {}
            Err(error) => {
                broken += 1;
                first.get_or_insert(error);
            }
        }
    }
    match found {
        Some(found) => Ok(Extracted { broken: found.broken + broken, ..found }),
        None => Err(first.unwrap_or(ExtractError::NotFound)),
    }
}

/// Merges two contexts of one carrier, the earlier format first.
fn merged(earlier: Extracted, later: Extracted) -> Extracted {
    let rank = |found: &Extracted| (found.context.is_valid(), found.context.decision_for_new_trace);
    let swap = rank(&later) > rank(&earlier);
    let trace_id = if swap { later.context.trace_id } else { earlier.context.trace_id };
    let (baggage, dropped) = merged_baggage(&earlier.context, &later.context, trace_id);
    let baggage_dropped = earlier.baggage_dropped + later.baggage_dropped + dropped;
    let broken = earlier.broken + later.broken;

    let (base, other) = if swap { (later, earlier) } else { (earlier, later) };
    let (mut context, other) = (base.context, other.context);
    context.baggage = baggage;
    context.debug_id = context.debug_id.or(other.debug_id);
    let is_of_trace = is_same_trace(context.trace_id, other.trace_id);
    if is_of_trace && context.trace_id.high() == 0 {
        context.trace_id = other.trace_id;
    }
    let is_of_span = is_of_trace && context.span_id == other.span_id;
    if context.lacks_decision
        && (other.decision_for_new_trace || (is_of_span && !other.lacks_decision))
    {
        (context.flags, context.lacks_decision) = (other.flags, false);
    }
    if is_of_span {
        // Both were written for one span. The first one has the decision.
        context.flags |= other.flags & !SAMPLED;
        if context.parent_id == SpanId::NONE {
            context.parent_id = other.parent_id;
        }
    }
    Extracted { context, baggage_dropped, broken }
}

/// Returns whether two ids are of one trace: formats without a place for the upper half write the
/// lower one.
fn is_same_trace(one: TraceId, other: TraceId) -> bool {
    let is_cut = one.high() == 0 || other.high() == 0;
    one.is_valid() && one.low() == other.low() && (one.high() == other.high() || is_cut)
}

/// Merges the baggage of both, and the W3C headers of the trace that continues.
fn merged_baggage(
    earlier: &SpanContext,
    later: &SpanContext,
    trace_id: TraceId,
) -> (Option<Arc<Baggage>>, usize) {
    let mut bounded = BoundedBaggage::default();
    earlier.baggage_items().for_each(|item| bounded.put(item));
    for item in later.baggage_items() {
        // The case of HTTP header names does not count, that of W3C baggage keys does; an item in
        // both is still one.
        let same = |earlier: &BaggageItem<'_>| earlier.key.eq_ignore_ascii_case(item.key);
        match earlier.baggage_items().find(same) {
            None => bounded.put(item),
            // Only W3C's header has a place for properties.
            Some(earlier) if earlier.value == item.value && earlier.properties.is_empty() => {
                bounded.put(BaggageItem { properties: item.properties, ..earlier });
            }
            Some(_) => {}
        }
    }
    let of_trace = [earlier, later].into_iter();
    let of_trace = of_trace.filter(|context| is_same_trace(context.trace_id, trace_id));
    let (mut state, mut random) = (None, false);
    for baggage in of_trace.filter_map(|context| context.baggage.as_ref()) {
        state = state.or_else(|| baggage.tracestate.clone());
        random |= baggage.random;
    }
    bounded.set_tracestate(state, random);
    let dropped = bounded.dropped;
    (bounded.finish(), dropped)
}

/// A carrier that takes each key once: if two formats write the same header, the first one counts.
struct Once<'c> {
    carrier: &'c mut dyn InjectCarrier,
    names: HashSet<String>,
}

impl Once<'_> {
    /// Returns whether a key was not written before. The case of headers does not count.
    fn is_first(&mut self, key: &str) -> bool {
        self.names.insert(match self.carrier.kind() {
            CarrierKind::HttpHeaders => key.to_ascii_lowercase(),
            CarrierKind::TextMap => key.to_owned(),
        })
    }
}

impl InjectCarrier for Once<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        !self.is_first(key) || self.carrier.set(key, value)
    }

    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        known.set_each(|key, value| self.set(key, value))
    }

    fn kind(&self) -> CarrierKind {
        self.carrier.kind()
    }

    fn is_checked(&self) -> bool {
        self.carrier.is_checked()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{B3Format, B3SingleFormat, HttpHeaders, JaegerFormat, W3cFormat};
    use super::*;

    fn all() -> CompositeFormat {
        CompositeFormat::new(vec![
            Box::new(JaegerFormat::default()),
            Box::new(B3Format::default()),
            Box::new(B3SingleFormat::default()),
            Box::new(W3cFormat::default()),
        ])
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Extracted, ExtractError> {
        all().extract(&HttpHeaders(pairs.to_vec()))
    }

    const PARENT: &str = "00-0000000000000000000000000000000a-000000000000000b-01";

    #[test]
    fn the_first_that_names_a_span_is_the_context() {
        let w3c = ("traceparent", PARENT);
        let shown = |pairs: &[_]| read(pairs).unwrap().context.to_string();
        let (a, b) = ("000000000000000a", "000000000000000b");
        let first = format!("0000000000000001:0000000000000002:{:016}:0", 0);
        assert_eq!(shown(&[w3c, ("uber-trace-id", "1:2:0:0"), ("b3", "3-4-1")]), first);
        assert_eq!(shown(&[w3c]), format!("{a}:{b}:{:016}:1", 0));
        // A debug id, baggage or a decision alone name no span.
        let read = read(&[w3c, ("jaeger-debug-id", "d"), ("uberctx-k", "v"), ("b3", "0")]).unwrap();
        assert_eq!(read.context.to_string(), format!("{a}:{b}:{:016}:1", 0));
        assert_eq!(
            (read.context.debug_id(), read.context.baggage_item("k")),
            (Some("d"), Some("v"))
        );
    }

    #[test]
    fn a_broken_context_is_counted_and_the_next_is_tried() {
        let read_ok =
            read(&[("uber-trace-id", "x"), ("b3", "y"), ("traceparent", PARENT)]).unwrap();
        assert_eq!((read_ok.broken, read_ok.context.trace_id().low()), (2, 10));
        let error = read(&[("b3", "y"), ("uber-trace-id", "")]).unwrap_err();
        assert_eq!(error, ExtractError::EmptyValue, "the first format's, not the first header's");
        assert_eq!(read(&[("x", "y")]).unwrap_err(), ExtractError::NotFound);
    }

    #[test]
    fn a_decision_stands_where_nothing_names_a_span() {
        let context =
            read(&[("uberctx-k", "v"), ("x-b3-sampled", "1"), ("b3", "0")]).unwrap().context;
        assert!(context.decision_for_new_trace && context.flags() == 1);
        assert_eq!(context.baggage_item("k"), Some("v"));
    }

    #[test]
    fn what_one_format_cannot_say_another_adds() {
        let of_span = read(&[
            ("b3", "a-b-1"),
            ("traceparent", PARENT),
            ("tracestate", "jaeger=b:c:9,other=x"),
            ("baggage", "K=w3c;p,k=b3;ttl=5,more=m"),
            ("baggage-k", "b3"),
        ]);
        let context = of_span.unwrap().context;
        assert_eq!(context.to_string(), "000000000000000a:000000000000000b:000000000000000c:9");
        assert_eq!(context.trace_state(), Some("other=x"));
        assert_eq!(context.baggage().collect::<Vec<_>>(), [("k", "b3"), ("more", "m")]);
        assert_eq!(context.baggage_items().next().unwrap().properties, "ttl=5");
        let of_other = [("b3", "1-2-1"), ("traceparent", PARENT), ("tracestate", "other=x")];
        let context = read(&of_other).unwrap().context;
        assert_eq!((context.flags(), context.trace_state()), (1, None));
    }

    #[test]
    fn the_longer_trace_id_is_used_in_any_order() {
        let wide = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{wide}-000000000000000b-01");
        let short = [
            ("uber-trace-id", "a3ce929d0e0e4736:b:c:9"),
            ("b3", "a3ce929d0e0e4736-b-1-c"),
            ("uber-trace-id", "a3ce929d0e0e4736:d:c:9"),
        ];
        let formats: [fn() -> Box<dyn Format>; 3] = [
            || Box::new(JaegerFormat::default()),
            || Box::new(B3Format::default()),
            || Box::new(W3cFormat::default()),
        ];
        for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 0, 2]] {
            let all = CompositeFormat::new(order.iter().map(|n| formats[*n]()).collect());
            for header in short {
                let pairs = vec![header, ("traceparent", &parent), ("tracestate", "other=x")];
                let context = all.extract(&HttpHeaders(pairs)).unwrap().context;
                assert_eq!(context.trace_id().to_string(), wide, "{order:?}, {header:?}");
                assert_eq!(context.trace_state(), Some("other=x"), "{order:?}, {header:?}");
                if context.span_id().get() == 11 && header.1.contains(":b:") {
                    assert_eq!((context.parent_id().get(), context.flags()), (12, 9), "{order:?}");
                }
            }
            // Nothing is taken from another trace with the same lower half.
            let other = "00000000000000ffa3ce929d0e0e4736";
            let other = format!("{other}:b:c:1");
            let pairs = vec![("uber-trace-id", other.as_str()), ("traceparent", &parent)];
            let context = all.extract(&HttpHeaders(pairs)).unwrap().context;
            let first = order.iter().find(|n| **n != 1).copied();
            let parent_id = if first == Some(0) { 12 } else { 0 };
            assert_eq!(context.parent_id().get(), parent_id, "{order:?}");
        }
    }

    #[test]
    fn names_that_formats_share_are_written_once() {
        let context = SpanContext::new(TraceId::new(0, 1), SpanId::new(2), SpanId::NONE, 1)
            .with_baggage_item("k", "v");
        let mut pairs = Vec::<(String, String)>::new();
        assert_eq!(all().inject(&context, &mut pairs), 0);
        let mut names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (9, 9), "{names:?}");
    }
}
