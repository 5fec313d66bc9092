//! Tracers for cases: without logs, and with nothing that depends on the host.

use jaeger_client::{
    Closer, ConfigError, ExtractError, InMemoryReporter, NullLogger, Tracer, TracerBuilder,
};
use std::time::Duration;

/// The timeout of everything here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn builder(service: &str) -> TracerBuilder {
    // No case runs for so long that anything would be sent by itself.
    Tracer::builder(service).logger(NullLogger).flush_interval(Duration::from_secs(3600))
}

/// Builds a tracer with an in-memory reporter.
pub(crate) fn in_memory(
    builder: TracerBuilder,
) -> Result<(Tracer, Closer, InMemoryReporter), String> {
    let reporter = InMemoryReporter::new();
    let (tracer, closer) = builder.in_memory(&reporter).build().map_err(refused)?;
    Ok((tracer, closer, reporter))
}

pub(crate) fn refused(error: ConfigError) -> String {
    format!("the tracer could not be built: {error}")
}

/// Closes a tracer, and checks that all its spans are accounted for.
pub(crate) fn close(closer: Closer) -> Result<(), String> {
    let report = closer.close(PATIENCE);
    if report.complete && report.stats.is_balanced() {
        Ok(())
    } else {
        Err(format!("the accounting does not balance: {report}"))
    }
}

/// Waits for something that another thread does.
pub(crate) fn wait_until(what: &str, is_done: impl Fn() -> bool) -> Result<(), String> {
    for _ in 0..PATIENCE.as_millis() {
        if is_done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("waited in vain: {what}"))
}

/// The name that cases give to an error.
pub(crate) fn error_kind(error: &ExtractError) -> String {
    let kind = match error {
        ExtractError::NotFound => "not_found",
        ExtractError::EmptyValue => "empty_value",
        // The Go client takes contexts joined by a comma for one with too many parts.
        ExtractError::Malformed { .. } | ExtractError::Conflicting { .. } => "malformed",
        ExtractError::BadNumber { .. } => "bad_number",
        ExtractError::NumberOutOfRange { .. } => "number_out_of_range",
        ExtractError::TraceIdTooLong { .. } => "trace_id_too_long",
        ExtractError::SpanIdTooLong { .. } => "span_id_too_long",
        ExtractError::Corrupted { .. } => "corrupted",
        // Of headers that the Go client does not know.
        ExtractError::Invalid { .. } => "invalid",
        other => return format!("unknown to this program: {other}"),
    };
    String::from(kind)
}
