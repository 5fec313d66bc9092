//! What a service logs, it logs to its span.

use jaeger_client::{Span, TagValue};

/// Logs an event with level `info`; nowhere without a span.
pub(crate) fn info<'s>(
    span: impl Into<Option<&'s Span>>,
    event: &str,
    fields: &[(&str, TagValue<'_>)],
) {
    log(span.into(), "info", event, fields);
}

/// Logs an event with level `error`; the span is not an error for it.
pub(crate) fn error<'s>(
    span: impl Into<Option<&'s Span>>,
    event: &str,
    fields: &[(&str, TagValue<'_>)],
) {
    log(span.into(), "error", event, fields);
}

/// Logs why the work of a span failed, and marks it.
pub(crate) fn failed(span: &Span, why: &str) {
    span.set_tag("error", true);
    error(span, why, &[]);
}

fn log(span: Option<&Span>, level: &str, event: &str, fields: &[(&str, TagValue<'_>)]) {
    let mut all: Vec<(&str, TagValue<'_>)> = vec![("event", event.into()), ("level", level.into())];
    all.extend_from_slice(fields);
    if let Some(span) = span {
        span.log(&all);
    }
}
