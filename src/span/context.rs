//! Span contexts: ids, flags and baggage of a span.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::baggage::{Baggage, BaggageItem};
use super::record::{DEBUG, FIREHOSE, SAMPLED, SharedState};
use crate::id::{IdText, SpanId, TraceId};

/// The part of a span that is propagated, within this process and to the next.
///
/// A context does not change, except that the flags of a *local* one are those of its trace in this
/// process: later decisions are visible in it.
///
/// # Shape and units
///
/// As text, `{trace}:{span}:{parent}:{flags}` in hex, as the `uber-trace-id` header has it. The
/// text can be parsed, and is the form for serde (feature `serde`): baggage is not part of it.
/// [`Tracer::inject_binary`](crate::Tracer::inject_binary) writes a whole context.
///
/// # Cost
///
/// Cloning copies the ids and increments up to three reference counts; nothing is allocated.
///
/// # Source
///
/// `SpanContext` in jaeger-client-go, `span_context.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::{SpanContext, SpanId, TraceId};
/// let context = SpanContext::new(TraceId::new(0, 10), SpanId::new(11), SpanId::NONE, 1);
/// assert_eq!(context.to_string(), "000000000000000a:000000000000000b:0000000000000000:1");
/// assert!(context.is_sampled());
/// ```
#[derive(Clone, Default)]
pub struct SpanContext {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: SpanId,
    /// The flags, if there is no shared state.
    pub(crate) flags: u8,
    /// Whether the context was extracted.
    pub(crate) remote: bool,
    /// Whether the flags are a decision for the trace that a span below begins, as the context names
    /// no trace: B3's `b3: 0`.
    pub(crate) decision_for_new_trace: bool,
    /// Whether no decision was made about the trace that the context names, so that the flags mean
    /// nothing: B3's ids alone.
    pub(crate) lacks_decision: bool,
    /// The state that the local spans of the trace share.
    pub(crate) state: Option<SharedState>,
    pub(crate) baggage: Option<Arc<Baggage>>,
    pub(crate) debug_id: Option<Arc<str>>,
}

impl fmt::Debug for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanContext")
            .field("ids", &format_args!("{self}"))
            .field("is_remote", &self.remote)
            .field("baggage_items", &self.baggage.as_ref().map_or(0, |baggage| baggage.len()))
            .finish_non_exhaustive()
    }
}

impl SpanContext {
    /// Makes a context from its parts. The flags are final: no sampler is called for its children.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId, parent_id: SpanId, flags: u8) -> Self {
        Self { trace_id, span_id, parent_id, flags, ..Self::default() }
    }

    /// Returns the trace id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the span id.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Returns the id of the span's parent, or [`SpanId::NONE`].
    #[must_use]
    pub fn parent_id(&self) -> SpanId {
        self.parent_id
    }

    /// Returns the flags: 1 is sampled, 2 debug, 8 firehose. Others are propagated unchanged.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.state.as_ref().map_or(self.flags, |state| state.flags())
    }

    /// Returns whether the trace is recorded.
    #[inline]
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    /// Returns whether the trace is recorded because debugging was requested.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.flags() & DEBUG != 0
    }

    /// Returns whether the trace is excluded from indexing.
    #[must_use]
    pub fn is_firehose(&self) -> bool {
        self.flags() & FIREHOSE != 0
    }

    /// Returns whether the context names a span: a trace id and a span id that are not zero.
    #[inline]
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.trace_id.is_valid() && self.span_id.get() != 0
    }

    /// Returns whether the context was extracted from a carrier.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.remote
    }

    /// Returns the debug id that the caller sent, if there is one.
    #[must_use]
    pub fn debug_id(&self) -> Option<&str> {
        self.debug_id.as_deref()
    }

    /// Returns the value of a baggage item.
    #[must_use]
    pub fn baggage_item(&self, key: &str) -> Option<&str> {
        self.baggage.as_ref()?.get(key)
    }

    /// Returns all baggage items, in the order in which they were first set.
    pub fn baggage(&self) -> impl Iterator<Item = (&str, &str)> {
        self.baggage_items().map(|item| (item.key, item.value))
    }

    pub(crate) fn baggage_items(&self) -> impl Iterator<Item = BaggageItem<'_>> {
        self.baggage.iter().flat_map(|baggage| baggage.items())
    }

    /// Returns W3C's `tracestate` as it was received, with the members of other vendors.
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.baggage.as_ref()?.tracestate.as_deref()
    }

    /// Returns a copy with a baggage item added, or removed if `value` is empty.
    #[must_use]
    pub fn with_baggage_item(&self, key: &str, value: &str) -> Self {
        let baggage = Baggage::with(self.baggage.as_ref(), key, value);
        Self { baggage, debug_id: None, ..self.clone() }
    }

    /// Returns the ids for log lines, which link them to the trace.
    #[must_use]
    pub fn log_fields(&self) -> LogFields {
        LogFields { trace_id: self.trace_id, span_id: self.span_id, is_sampled: self.is_sampled() }
    }

    /// Returns the text form, which [`FromStr`](std::str::FromStr) reads.
    pub(crate) fn text(&self) -> IdText {
        let mut text = IdText::new();
        self.write_text(&mut text);
        text
    }

    /// Appends the text form.
    #[inline]
    pub(crate) fn write_text(&self, text: &mut IdText) {
        text.trace_id(self.trace_id);
        text.push([b':']);
        text.span_id(self.span_id);
        text.push([b':']);
        text.span_id(self.parent_id);
        text.push([b':']);
        text.flags(self.flags());
    }

    /// Returns whether the ids are to be written: those of a context of this process in any case, those of
    /// an extracted one if it had any.
    pub(crate) fn should_write_ids(&self) -> bool {
        !self.remote || self.trace_id.is_valid()
    }

    /// Returns whether the context is empty.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_valid()
            && !self.decision_for_new_trace
            && self.debug_id.is_none()
            && self.baggage.as_ref().is_none_or(|baggage| !baggage.has_items())
    }
}

/// A type with a context that can be written to a carrier: a span, or a context itself.
pub trait AsSpanContext {
    /// Returns the context, borrowed where possible.
    fn as_span_context(&self) -> Cow<'_, SpanContext>;
}

impl AsSpanContext for SpanContext {
    fn as_span_context(&self) -> Cow<'_, SpanContext> {
        Cow::Borrowed(self)
    }
}

/// Compares what is propagated: ids, flags as they are now, baggage in any order, and the debug id.
/// Their origin does not count.
impl PartialEq for SpanContext {
    fn eq(&self, other: &Self) -> bool {
        fn baggage(context: &SpanContext) -> Vec<(&str, &str)> {
            let mut items: Vec<_> = context.baggage().collect();
            items.sort_unstable();
            items
        }
        (self.trace_id, self.span_id, self.parent_id)
            == (other.trace_id, other.span_id, other.parent_id)
            && self.flags() == other.flags()
            && self.debug_id == other.debug_id
            && baggage(self) == baggage(other)
    }
}

impl Eq for SpanContext {}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// The ids of a span for a log line: `traceId=… spanId=… sampled=…`.
///
/// The ids are written as Jaeger's UI shows them, so that each can be searched for. A structured
/// logger uses the fields.
///
/// # Source
///
/// The keys are those of `MDCScopeManager` in jaeger-client-java, which adds them to a thread's log
/// lines. Here the application requests them, through the active span.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Span, Tracer};
///
/// /// A line about whatever is being done on this thread.
/// fn line(message: &str) -> String {
///     match Span::active().map(|span| span.context().log_fields()) {
///         Some(fields) => format!("{fields} {message}"),
///         None => message.to_owned(),
///     }
/// }
///
/// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let span = tracer.start_span("charge");
/// let (trace, own) = (span.context().trace_id(), span.context().span_id());
/// let active = span.activate();
/// assert_eq!(line("paid"), format!("traceId={trace} spanId={own} sampled=true paid"));
/// drop(active);
/// assert_eq!(line("idle"), "idle");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFields {
    /// The trace id, `traceId`.
    pub trace_id: TraceId,
    /// The span id, `spanId`.
    pub span_id: SpanId,
    /// Whether the trace was sampled at that time, `sampled`.
    pub is_sampled: bool,
}

impl fmt::Display for LogFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "traceId={} spanId={} sampled={}", self.trace_id, self.span_id, self.is_sampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baggage_is_replaced_and_removed_by_key() {
        let context =
            SpanContext::default().with_baggage_item("a", "1").with_baggage_item("b", "2");
        let changed = context.with_baggage_item("a", "3").with_baggage_item("b", "");
        assert_eq!(changed.baggage().collect::<Vec<_>>(), [("a", "3")]);
        assert_eq!(context.baggage().count(), 2, "the original stays as it was");
        assert!(changed.with_baggage_item("a", "").is_empty());
    }

    #[test]
    fn log_lines_have_the_keys_of_the_java_client_and_ids_as_the_header_has_them() {
        let context = SpanContext::new(TraceId::new(0, 10), SpanId::new(11), SpanId::NONE, 1);
        let fields = "traceId=000000000000000a spanId=000000000000000b sampled=true";
        assert_eq!(context.log_fields().to_string(), fields);
        let header = context.to_string();
        assert!(header.starts_with("000000000000000a:000000000000000b:"), "{header}");
    }
}
