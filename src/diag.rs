//! What the tracer says of itself: errors to a logger, at most once a minute for each cause.

use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;

/// Takes what a tracer has to say of itself.
///
/// # Source
///
/// `Logger` in jaeger-client-go, `log/logger.go`.
pub trait Logger: Send + Sync {
    /// Something was lost or refused. Called at most once a minute for each cause.
    fn error(&self, message: &str);

    /// Something worth knowing, such as the sampler in force. Nothing by default.
    fn info(&self, message: &str) {
        let _ = message;
    }
}

/// Writes errors to standard error; the default, because a silent loss is worse than a line there.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing, and never will")]
pub struct StderrLogger;

impl Logger for StderrLogger {
    fn error(&self, message: &str) {
        // A closed standard error is no reason to fail.
        let _ = writeln!(std::io::stderr(), "jaeger-client: {message}");
    }
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing, and never will")]
pub struct NullLogger;

impl Logger for NullLogger {
    fn error(&self, _message: &str) {}
}

impl<L: Logger + ?Sized> Logger for Arc<L> {
    fn error(&self, message: &str) {
        (**self).error(message);
    }

    fn info(&self, message: &str) {
        (**self).info(message);
    }
}

/// The causes that are reported, each with its own minute.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Cause {
    QueueFull,
    TooLarge,
    SendFailed,
    SpanRefused,
    Closed,
    LimitLearned,
    Misused,
    Time,
    Sampler,
    Observer,
    Baggage,
    Metrics,
    Unfinished,
    Throttler,
    #[cfg(feature = "remote-sampler")]
    SamplerFetch,
    #[cfg(feature = "remote-sampler")]
    SamplerUpdate,
}

/// As many as there are; two of them only in clients that ask a server.
const CAUSES: usize = Cause::Throttler as usize + 3;

/// Passes errors on, holding back those of a cause that was reported within the last minute.
pub(crate) struct Diagnostics {
    logger: Box<dyn Logger>,
    last: Mutex<[(Option<Instant>, u64); CAUSES]>,
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnostics").finish_non_exhaustive()
    }
}

impl Diagnostics {
    pub(crate) fn new(logger: Box<dyn Logger>) -> Self {
        Self { logger, last: Mutex::default() }
    }

    /// Reports `message` unless its cause was reported within the last minute.
    pub(crate) fn error(&self, cause: Cause, message: impl FnOnce() -> String) {
        self.error_at(clock::now(), cause, message);
    }

    fn error_at(&self, now: Instant, cause: Cause, message: impl FnOnce() -> String) {
        let held_back = {
            let mut last = self.last.lock();
            let (reported, held_back) = &mut last[cause as usize];
            if reported.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
                *held_back += 1;
                return;
            }
            *reported = Some(now);
            std::mem::take(held_back)
        };
        // The lock is gone: a logger is foreign code and may well start spans itself.
        let message = match held_back {
            0 => message(),
            n => format!("{} ({n} more since the last report)", message()),
        };
        self.tell(|logger| logger.error(&message));
    }

    pub(crate) fn info(&self, message: &str) {
        self.tell(|logger| logger.info(message));
    }

    /// A logger that panics must end neither the application's call nor the reporter's thread.
    fn tell(&self, say: impl FnOnce(&dyn Logger)) {
        let _ = catch_unwind(AssertUnwindSafe(|| say(&*self.logger)));
    }
}

const INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<String>>);

    impl Logger for Memory {
        fn error(&self, message: &str) {
            self.0.lock().push(message.to_owned());
        }
    }

    #[test]
    fn a_cause_is_reported_once_a_minute_with_the_number_held_back() {
        let memory = Arc::new(Memory::default());
        let diagnostics = Diagnostics::new(Box::new(Arc::clone(&memory)));
        let start = clock::now();
        for seconds in [0, 1, 59, 60, 61] {
            let at = start + Duration::from_secs(seconds);
            diagnostics.error_at(at, Cause::QueueFull, || format!("at {seconds}"));
            diagnostics.error_at(start, Cause::TooLarge, || "other".into());
        }
        let said = memory.0.lock().clone();
        assert_eq!(said, ["at 0", "other", "at 60 (2 more since the last report)"]);
    }
}
