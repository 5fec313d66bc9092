//! Trace and span ids in the lines that `tracing_subscriber::fmt` writes.

use std::fmt;

use jaeger_client::LogFields;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::fields::{recycle_text, take_text};
use crate::handle::LayerHandle;

/// Shows the ids of the active span, for a log line; nothing if no span is active.
///
/// # Cost
///
/// No lock, and no allocation.
///
/// # Examples
///
/// ```
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let span = tracer.start_span("op");
/// let active = span.activate();
/// let ids = jaeger_client_tracing::log_fields().expect("a span is active");
/// assert_eq!(ids.trace_id, span.context().trace_id());
/// # drop(active);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use]
pub fn log_fields() -> Option<LogFields> {
    jaeger_client::Span::active().map(|span| span.context().log_fields())
}

/// Formats events as another format does, with `traceId=… spanId=… sampled=…` before the line, or as
/// the first members of a JSON object.
///
/// An event that names its span by `parent:` gets that span's ids if a [handle](Self::handle) is
/// given, and else none; any other one gets those of the active span. An event outside of every span
/// gets none.
///
/// # Cost
///
/// That of the other format and of writing the ids. No further layer, and no lock, except for an
/// event that names its span.
///
/// # Examples
///
/// ```
/// use jaeger_client_tracing::WithTraceIds;
/// use tracing_subscriber::fmt;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let lines = fmt::layer().event_format(WithTraceIds::new(fmt::format().compact()));
/// let subscriber = tracing_subscriber::registry()
///     .with(jaeger_client_tracing::layer(tracer))
///     .with(lines);
/// # drop(subscriber);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct WithTraceIds<F> {
    format: F,
    is_json: bool,
    handle: Option<LayerHandle>,
}

impl<F> WithTraceIds<F> {
    /// Writes the ids before each line of a format.
    #[must_use]
    pub const fn new(format: F) -> Self {
        Self { format, is_json: false, handle: None }
    }

    /// Writes the ids as the members `traceId`, `spanId` and `sampled` of the JSON object that the
    /// format writes. `fmt::layer().json()` chooses the format
    /// of the fields too, and comes before `map_event_format(WithTraceIds::json)`.
    #[must_use]
    pub const fn json(format: F) -> Self {
        Self { format, is_json: true, handle: None }
    }

    /// Uses this layer for events that name their span.
    #[must_use]
    pub fn handle(mut self, handle: LayerHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    fn ids(&self, event: &Event<'_>) -> Option<LogFields> {
        if let Some(parent) = event.parent() {
            return self.handle.as_ref()?.context_of(parent).map(|context| context.log_fields());
        }
        if event.is_root() { None } else { log_fields() }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(ids) = self.ids(event) else {
            return self.format.format_event(ctx, writer, event);
        };
        if !self.is_json {
            write!(writer, "{ids} ")?;
            return self.format.format_event(ctx, writer, event);
        }
        let mut line = take_text();
        let formatted = self.format.format_event(ctx, Writer::new(&mut line), event);
        let written = formatted.and_then(|()| write_members(&mut writer, &line, &ids));
        recycle_text(line);
        written
    }
}

/// Writes the line of a JSON object with members before its own.
fn write_members(writer: &mut Writer<'_>, line: &str, ids: &LogFields) -> fmt::Result {
    let Some(rest) = line.strip_prefix('{') else { return writer.write_str(line) };
    let LogFields { trace_id, span_id, is_sampled, .. } = ids;
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    write!(
        writer,
        r#"{{"traceId":"{trace_id}","spanId":"{span_id}","sampled":{is_sampled}{comma}{rest}"#
    )
}
