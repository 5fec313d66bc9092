//! `uber-trace-id` for OpenTelemetry: contexts are read and written by the client's own format.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaeger_client::propagation::{
    CarrierKind, ExtractCarrier, Extracted, Format, InjectCarrier, JaegerFormat,
};
use jaeger_client::{
    Closer, ConfigError, ExtractError, HeadersConfig, SpanContext, SpanId, Tracer,
};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    SpanContext as OtelSpanContext, TraceContextExt, TraceFlags, TraceState,
};

use crate::ids;

/// Carries span contexts and baggage in Jaeger's headers: `uber-trace-id`, `uberctx-…`,
/// `jaeger-debug-id`, `jaeger-baggage`.
///
/// # Shape and units
///
/// - Trace ids of 64 and of 128 bits are read; one whose upper half is 0 is written with 16 digits.
///   The id of the parent, which OpenTelemetry's context does not have, is written as 0.
/// - All eight flags are kept, in [`TraceFlags`]: bit 1 sampled, 2 debug, 8 firehose. Spans of the SDK
///   inherit them, and [`JaegerExporter`](crate::JaegerExporter) sends them. W3C's propagator writes
///   the first alone.
/// - Baggage is OpenTelemetry's [`Baggage`], within its limits of 64 items and 8,192 bytes; items beyond
///   them, or with a key that is no token, are left out. Properties of items have no place in Jaeger's
///   headers. Items that a context has already stay, unless the carrier has the same key.
/// - A debug id becomes a value of the context. [`DebugIdSampler`](crate::DebugIdSampler) and
///   [`JaegerRemoteSampler`](crate::JaegerRemoteSampler) record the trace because of it. What is injected
///   below that span says *sampled, debug*; where no span has begun, the id is handed on as it came.
///
/// A carrier with an invalid `uber-trace-id`, or with several that differ, leaves the context as it is.
/// That, and what is left out of baggage, is counted in [`stats`](Self::stats).
///
/// # Cost
///
/// To inject takes one string for each header; to extract takes a list of the carrier's keys, which is
/// how OpenTelemetry lets them be read.
///
/// # Source
///
/// `TextMapPropagator` in jaeger-client-go, `propagation.go`, by way of
/// [`JaegerFormat`].
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client_opentelemetry::JaegerPropagator;
/// use opentelemetry::propagation::TextMapPropagator;
/// use opentelemetry::trace::TraceContextExt;
///
/// opentelemetry::global::set_text_map_propagator(JaegerPropagator::new());
///
/// let headers = HashMap::from([("uber-trace-id".to_owned(), "5af7:6b22:0:1".to_owned())]);
/// let context = JaegerPropagator::new().extract(&headers);
/// assert!(context.span().span_context().is_sampled());
/// ```
#[derive(Clone, Debug)]
pub struct JaegerPropagator {
    format: JaegerFormat,
    kind: CarrierKind,
    fields: [String; 2],
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    decoding_errors: AtomicU64,
    baggage_limited: AtomicU64,
}

/// Counts of what a propagator could not carry; clones count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropagatorStats {
    /// Carriers whose context could not be read, though there was one.
    pub decoding_errors: u64,
    /// Items of baggage left out in reading or writing, because of their number, size or form.
    pub baggage_limited: u64,
}

impl Default for JaegerPropagator {
    fn default() -> Self {
        Self::new()
    }
}

impl JaegerPropagator {
    /// Reads and writes HTTP headers of Jaeger's usual names; gRPC metadata is the same.
    #[must_use]
    pub fn new() -> Self {
        Self::of(HeadersConfig::default())
    }

    /// Reads and writes headers of these names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for names that no header can have, or that would mean two things.
    pub fn with_headers(headers: HeadersConfig) -> Result<Self, ConfigError> {
        // Tracers have the rule for names.
        let tracer = Tracer::builder("headers").headers(headers.clone()).null_reporter();
        let _: (Tracer, Closer) = tracer.build()?;
        Ok(Self::of(headers))
    }

    fn of(headers: HeadersConfig) -> Self {
        Self {
            counts: Arc::default(),
            fields: [headers.trace_context.clone(), headers.debug.clone()],
            format: JaegerFormat::new(headers),
            kind: CarrierKind::HttpHeaders,
        }
    }

    /// Writes baggage to text maps as it is, such as headers of messages of Kafka; without this, values
    /// are percent-encoded, as in HTTP headers.
    #[must_use]
    pub fn text_map(self) -> Self {
        Self { kind: CarrierKind::TextMap, ..self }
    }

    /// Returns the counts of what could not be carried so far, which OpenTelemetry has no way to
    /// report.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client_opentelemetry::JaegerPropagator;
    /// let propagator = JaegerPropagator::new();
    /// let counts = propagator.clone();
    /// opentelemetry::global::set_text_map_propagator(propagator);
    /// assert_eq!(counts.stats().decoding_errors, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> PropagatorStats {
        PropagatorStats {
            decoding_errors: self.counts.decoding_errors.load(Ordering::Relaxed),
            baggage_limited: self.counts.baggage_limited.load(Ordering::Relaxed),
        }
    }

    fn count_limited(&self, items: usize) {
        if items > 0 {
            self.counts.baggage_limited.fetch_add(items as u64, Ordering::Relaxed);
        }
    }

    fn count_errors(&self, contexts: usize) {
        if contexts > 0 {
            self.counts.decoding_errors.fetch_add(contexts as u64, Ordering::Relaxed);
        }
    }
}

impl TextMapPropagator for JaegerPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let Some(context) = to_inject(cx) else { return };
        let mut carrier = InjectorCarrier { injector, kind: self.kind };
        self.count_limited(self.format.inject(&context, &mut carrier));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        match self.format.extract(&ExtractorCarrier { extractor, kind: self.kind }) {
            Ok(extracted) => {
                let read = merged(cx, &extracted);
                let is_taken = |(key, value): &(&str, &str)| {
                    read.baggage().get(*key).is_some_and(|taken| taken.as_str() == *value)
                };
                let refused = extracted.context.baggage().filter(|item| !is_taken(item)).count();
                self.count_limited(refused + extracted.baggage_dropped);
                self.count_errors(extracted.broken);
                read
            }
            Err(ExtractError::NotFound) => cx.clone(),
            Err(_) => {
                self.count_errors(1);
                cx.clone()
            }
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

/// The debug id that the caller sent.
#[derive(Clone, Debug)]
struct DebugId(Arc<str>);

/// The debug id of a context, if it has one.
pub(crate) fn debug_id(cx: &Context) -> Option<&str> {
    cx.get::<DebugId>().map(|id| &*id.0)
}

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

/// Returns the context in Jaeger's model, or `None` if there is nothing to inject.
fn to_inject(cx: &Context) -> Option<SpanContext> {
    let span = cx.span();
    let otel = span.span_context();
    if !otel.is_valid() {
        return read_back(cx, None);
    }
    let (trace_id, span_id) = (ids::trace_id(otel.trace_id()), ids::span_id(otel.span_id()));
    let mut flags = otel.trace_flags().to_u8();
    if debug_id(cx).is_some() {
        if otel.is_remote() {
            // No span has begun here that could have acted on it: it is forwarded unchanged.
            return read_back(cx, Some(SpanContext::new(trace_id, span_id, SpanId::NONE, flags)));
        }
        if flags & SAMPLED != 0 {
            flags |= DEBUG;
        }
    }
    let context = SpanContext::new(trace_id, span_id, SpanId::NONE, flags);
    let context = items(cx.baggage())
        .fold(context, |context, (key, value)| context.with_baggage_item(key, value));
    Some(context)
}

/// A context as it is read from a carrier, with its debug id and perhaps without a span: where nothing is
/// traced, baggage and the debug id are handed on.
fn read_back(cx: &Context, span: Option<SpanContext>) -> Option<SpanContext> {
    let HeadersConfig { trace_context, baggage_prefix, debug, .. } = HeadersConfig::default();
    let ids = span.map(|span| span.to_string());
    let ids = ids.as_deref().map(|ids| (trace_context, ids));
    let baggage = items(cx.baggage()).map(|(key, value)| (format!("{baggage_prefix}{key}"), value));
    let debug_id = debug_id(cx).map(|id| (debug, id));
    let carrier: Vec<_> = ids.into_iter().chain(baggage).chain(debug_id).collect();
    Some(JaegerFormat::default().extract(&carrier).ok()?.context)
}

fn items(baggage: &Baggage) -> impl Iterator<Item = (&str, &str)> {
    baggage.iter().map(|(key, (value, _))| (key.as_str(), value.as_str()))
}

/// The context with what was read from a carrier.
fn merged(cx: &Context, extracted: &Extracted) -> Context {
    let read = &extracted.context;
    let mut cx = cx.clone();
    if read.is_valid() {
        cx = cx.with_remote_span_context(OtelSpanContext::new(
            ids::otel_trace_id(read.trace_id()),
            ids::otel_span_id(read.span_id()),
            TraceFlags::new(read.flags()),
            true,
            TraceState::NONE,
        ));
    }
    if let Some(id) = read.debug_id() {
        cx = cx.with_value(DebugId(id.into()));
    }
    if read.baggage().next().is_some() {
        let mut baggage: Baggage = cx
            .baggage()
            .iter()
            .map(|(key, (value, metadata))| (key.clone(), (value.clone(), metadata.clone())))
            .collect();
        for (key, value) in read.baggage() {
            baggage.insert(key.to_owned(), value.to_owned());
        }
        cx = cx.with_baggage(baggage);
    }
    cx
}

/// An injector as a carrier of the client's.
struct InjectorCarrier<'a> {
    injector: &'a mut dyn Injector,
    kind: CarrierKind,
}

impl InjectCarrier for InjectorCarrier<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.injector.set(key, value.to_owned());
        true
    }

    fn kind(&self) -> CarrierKind {
        self.kind
    }
}

/// An extractor as a carrier of the client's.
struct ExtractorCarrier<'a> {
    extractor: &'a dyn Extractor,
    kind: CarrierKind,
}

impl ExtractCarrier for ExtractorCarrier<'_> {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        for key in self.extractor.keys() {
            for value in self.extractor.get_all(key).into_iter().flatten() {
                visit(key, value.as_bytes());
            }
        }
    }

    fn kind(&self) -> CarrierKind {
        self.kind
    }
}
