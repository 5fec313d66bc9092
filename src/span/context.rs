//! What a span hands on to others: its ids, its flags, its baggage.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::baggage::{Baggage, BaggageItem};
use super::record::{DEBUG, FIREHOSE, SAMPLED, TraceState};
use crate::id::{SpanId, TraceId};

/// What identifies a span to others, in this process and in the next.
///
/// A context does not change, except that the flags of a *local* one are those of its trace's part
/// in this process: a decision made later shows in it.
///
/// # Shape and units
///
/// As text, `{trace}:{span}:{parent}:{flags}` in hex, as the `uber-trace-id` header has it. It is read
/// from that too, and is that for serde (feature `serde`): baggage is no part of it.
/// [`Tracer::inject_binary`](crate::Tracer::inject_binary) writes all of a context.
///
/// # Cost
///
/// Cloning copies the ids and counts up to three references; nothing is allocated.
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
    /// The flags, where no state is shared.
    pub(crate) flags: u8,
    /// Whether it came from another process.
    pub(crate) remote: bool,
    /// Whether its flags stand for a new trace, although it names none: B3's `b3: 0`.
    pub(crate) decided: bool,
    /// Whether nobody has decided about its trace, so that its flags say nothing: B3's ids alone.
    pub(crate) undecided: bool,
    /// What the local spans of the trace share.
    pub(crate) state: Option<Arc<TraceState>>,
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
    /// Makes a context by hand. Its flags stand: no sampler is asked about its children.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId, parent_id: SpanId, flags: u8) -> Self {
        Self { trace_id, span_id, parent_id, flags, ..Self::default() }
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The span's parent, or [`SpanId::NONE`].
    #[must_use]
    pub fn parent_id(&self) -> SpanId {
        self.parent_id
    }

    /// The flags: bit 1 sampled, 2 debug, 8 firehose. The others are carried along.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.state.as_ref().map_or(self.flags, |state| state.flags())
    }

    /// Whether the trace is recorded.
    #[inline]
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    /// Whether the trace is recorded because somebody asked for it.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.flags() & DEBUG != 0
    }

    /// Whether the trace is excluded from indexing.
    #[must_use]
    pub fn is_firehose(&self) -> bool {
        self.flags() & FIREHOSE != 0
    }

    /// Whether it names a span: a trace id and a span id that are not zero.
    #[inline]
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.trace_id.is_valid() && self.span_id.get() != 0
    }

    /// Whether it was extracted from a carrier.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.remote
    }

    /// The correlation id of a request that asks to be traced, if that is what it carries.
    #[must_use]
    pub fn debug_id(&self) -> Option<&str> {
        self.debug_id.as_deref()
    }

    /// The value of a baggage item.
    #[must_use]
    pub fn baggage_item(&self, key: &str) -> Option<&str> {
        self.baggage.as_ref()?.get(key)
    }

    /// All baggage items, in the order in which they were first set.
    pub fn baggage(&self) -> impl Iterator<Item = (&str, &str)> {
        self.baggage_items().map(|item| (item.key, item.value))
    }

    pub(crate) fn baggage_items(&self) -> impl Iterator<Item = BaggageItem<'_>> {
        self.baggage.iter().flat_map(|baggage| baggage.items())
    }

    /// W3C's `tracestate` as it was received: what other vendors have carried along.
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.baggage.as_ref()?.trace_state.as_deref()
    }

    /// A copy with a baggage item more, or without it if `value` is empty.
    #[must_use]
    pub fn with_baggage_item(&self, key: &str, value: &str) -> Self {
        let baggage = Baggage::with(self.baggage.as_ref(), key, value);
        Self { baggage, debug_id: None, ..self.clone() }
    }

    /// What to write into log lines, so that they are found from the trace and the trace from them.
    #[must_use]
    pub fn log_fields(&self) -> LogFields {
        LogFields { trace_id: self.trace_id, span_id: self.span_id, is_sampled: self.is_sampled() }
    }

    /// Whether its ids are to be written: those of one that was read are handed on if it had any.
    pub(crate) fn has_ids(&self) -> bool {
        !self.remote || self.trace_id.is_valid()
    }

    /// Whether it tells nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_valid()
            && !self.decided
            && self.debug_id.is_none()
            && self.baggage.as_ref().is_none_or(|baggage| !baggage.has_items())
    }
}

/// What has a context that can be written to a carrier: a span, or a context itself.
pub trait AsSpanContext {
    /// The context, borrowed where it can be.
    fn as_span_context(&self) -> Cow<'_, SpanContext>;
}

impl AsSpanContext for SpanContext {
    fn as_span_context(&self) -> Cow<'_, SpanContext> {
        Cow::Borrowed(self)
    }
}

/// Whether two contexts say the same to others: ids, flags as they are now, baggage in any order, and
/// the debug id. Where they came from does not count.
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
        write!(f, "{}:{}:{}:{:x}", self.trace_id, self.span_id, self.parent_id, self.flags())
    }
}

/// Says in a log line which span it belongs to: `traceId=… spanId=… sampled=…`.
///
/// The ids are written as Jaeger's pages show them, so that one can be searched for by the other.
/// A logger with fields takes the parts.
///
/// # Source
///
/// The keys are those of `MDCScopeManager` in jaeger-client-java, which puts them into the context
/// of a thread's log lines. Here whoever logs asks for them, through the active span.
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
    /// The trace, `traceId`.
    pub trace_id: TraceId,
    /// The span, `spanId`.
    pub span_id: SpanId,
    /// Whether the trace was sampled when they were asked for, `sampled`.
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
