//! The tracer's log messages as events of tracing.

use std::cell::Cell;

use jaeger_client::Logger;

/// Logs a tracer's messages as events with the target `jaeger_client`: errors as `ERROR`, and the
/// rest as `INFO`.
///
/// The events are for layers that print. A [`JaegerLayer`](crate::JaegerLayer) leaves them out,
/// whatever its filter is, so that a tracer in trouble does not make work for itself.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// use jaeger_client_tracing::TracingLogger;
/// let (tracer, _closer) =
///     Tracer::builder("svc").logger(TracingLogger).null_reporter().build()?;
/// # drop(tracer);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing, and never will")]
pub struct TracingLogger;

impl Logger for TracingLogger {
    fn error(&self, message: &str) {
        let _guard = Guard::begin();
        tracing::error!(target: "jaeger_client", "{message}");
    }

    fn info(&self, message: &str) {
        let _guard = Guard::begin();
        tracing::info!(target: "jaeger_client", "{message}");
    }
}

thread_local! {
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread is logging a message of a tracer.
#[inline]
pub(crate) fn is_logging() -> bool {
    LOGGING.try_with(Cell::get).unwrap_or(false)
}

struct Guard {
    before: bool,
}

impl Guard {
    fn begin() -> Self {
        Self { before: LOGGING.try_with(|is_logging| is_logging.replace(true)).unwrap_or(true) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = LOGGING.try_with(|is_logging| is_logging.set(self.before));
    }
}
