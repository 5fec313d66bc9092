//! Diagnostics: errors are logged at most once a minute for each cause.
//!
//! Messages contain text of the application and of the network: all of them pass [`printable`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
#[cfg(unix)]
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use crate::fork::ProcessOrigin;
use crate::instant;
use crate::lock::{self, Mutex};
use crate::panics::{self, Callback};
use crate::threads::start_thread;

/// Receives the log messages of a tracer.
///
/// # Shape and units
///
/// A message is one line of at most 4,096 bytes; a longer one is truncated, with its length.
/// Unprintable characters are escaped, as in `\r\n` and `\u{202e}`: operation names, and errors of
/// servers, may contain anything.
///
/// # Source
///
/// `Logger` in jaeger-client-go, `log/logger.go`.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use jaeger_client::{Logger, Tracer};
///
/// /// Forwards a tracer's messages to the application's log; here a list of lines.
/// #[derive(Debug, Default)]
/// struct Lines(Mutex<Vec<String>>);
///
/// impl Logger for Lines {
///     fn error(&self, message: &str) {
///         self.0.lock().map(|mut lines| lines.push(message.to_owned())).unwrap_or_default();
///     }
/// }
///
/// let lines = Arc::new(Lines::default());
/// let (tracer, closer) = Tracer::builder("svc").logger(Arc::clone(&lines)).null_reporter().build()?;
/// drop(closer);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Logger: Send + Sync {
    /// Logs that something was lost or refused. Called at most once a minute for each cause.
    fn error(&self, message: &str);

    /// Logs information, such as the sampler in use. Does nothing by default.
    fn info(&self, message: &str) {
        let _ = message;
    }
}

/// Logs errors to standard error; the default, because a silent loss is worse than a line there.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing, and never will")]
pub struct StderrLogger;

impl Logger for StderrLogger {
    fn error(&self, message: &str) {
        // A closed standard error is ignored.
        let _ = write_to_stderr(&format!("jaeger-client: {message}\n"));
    }
}

/// Bypasses the standard library's lock, which may be locked for ever in a forked process. One
/// write is one line among others.
#[cfg(unix)]
fn write_to_stderr(line: &str) -> std::io::Result<()> {
    use std::os::fd::AsFd;
    File::from(std::io::stderr().as_fd().try_clone_to_owned()?).write_all(line.as_bytes())
}

#[cfg(not(unix))]
fn write_to_stderr(line: &str) -> std::io::Result<()> {
    std::io::stderr().write_all(line.as_bytes())
}

/// Logs nothing.
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

/// The causes that are logged, each with its own rate limit.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Cause {
    QueueFull,
    TooLarge,
    SendFailed,
    ReceiverDrops,
    SpanRefused,
    PartialSuccess,
    OtlpEndpoint,
    Closed,
    LimitLearned,
    Misused,
    Time,
    Sampler,
    Baggage,
    BaggageLimited,
    Metrics,
    Unfinished,
    Configuration,
    Throttler,
    #[cfg(feature = "remote-sampler")]
    SamplerFetch,
    #[cfg(feature = "remote-sampler")]
    SamplerUpdate,
    #[cfg(feature = "saved-batches")]
    Saved,
    #[cfg(feature = "saved-batches")]
    NotSaved,
}

/// The number of causes with all features.
const CAUSES: usize = Cause::Throttler as usize + 5;

/// The number of rate limits: causes, and kinds of callbacks that panic.
const MINUTES: usize = CAUSES + Callback::FAMILIES;

/// Passes errors to the logger, at most once a minute for each cause.
pub(crate) struct Diagnostics {
    logger: Arc<dyn Logger>,
    last: Mutex<[(Option<Instant>, u64); MINUTES]>,
    /// The number of panics of user callbacks.
    panics: AtomicU64,
    origin: ProcessOrigin,
    /// Whether a forked process has logged that it is one.
    has_reported_fork: AtomicBool,
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnostics").finish_non_exhaustive()
    }
}

impl Diagnostics {
    pub(crate) fn new(logger: Box<dyn Logger>, origin: ProcessOrigin) -> Self {
        Self {
            logger: logger.into(),
            last: Mutex::new([(None, 0); MINUTES]),
            panics: AtomicU64::new(0),
            origin,
            has_reported_fork: AtomicBool::new(false),
        }
    }

    /// Logs `message` unless its cause was logged within the last minute.
    pub(crate) fn error(&self, cause: Cause, message: impl FnOnce() -> String) {
        self.error_at(instant::now(), cause as usize, message);
    }

    /// Calls a user callback. A panic is counted and logged, and there is no result. Nor is there
    /// one in a forked process, in which no callback is called that may have locks.
    pub(crate) fn call<T>(&self, callback: Callback, work: impl FnOnce() -> T) -> Option<T> {
        if self.origin.is_forked() { None } else { self.call_even_if_forked(callback, work) }
    }

    /// Calls a user callback, in a forked process too: for those that are needed there, and have no locks
    /// unless a user wrote them.
    pub(crate) fn call_even_if_forked<T>(
        &self,
        callback: Callback,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        self.try_call(callback, work).ok()
    }

    /// Calls a user callback, and returns the message of a panic.
    pub(crate) fn try_call<T>(
        &self,
        callback: Callback,
        work: impl FnOnce() -> T,
    ) -> Result<T, String> {
        panics::catch(work).inspect_err(|message| self.panicked(callback, message))
    }

    /// Counts and logs that a callback panicked.
    #[cold]
    pub(crate) fn panicked(&self, callback: Callback, message: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        self.error_at(instant::now(), CAUSES + callback.family(), || {
            format!("{} panicked: {message}", callback.name())
        });
    }

    /// Returns the number of panics of user callbacks.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Logs once that the process was forked; nothing else is logged there. Runs on a thread of its
    /// own, as the logger may have a lock that was left locked; the wait for it is bounded.
    #[cold]
    pub(crate) fn log_fork(&self) {
        if !self.origin.is_forked() || self.has_reported_fork.swap(true, Ordering::Relaxed) {
            return;
        }
        let logger = Arc::clone(&self.logger);
        let (done, wait) = bounded(1);
        let log = move || {
            let _ = panics::catch(|| logger.error(FORKED));
            let _ = done.send(());
        };
        if start_thread("jaeger-client-fork", log).is_ok() {
            let _ = wait.recv_timeout(FORK_LOG_TIMEOUT);
        }
    }

    fn error_at(&self, now: Instant, cause: usize, message: impl FnOnce() -> String) {
        if self.origin.is_forked() {
            return self.log_fork();
        }
        let suppressed = {
            let Some(mut last) = lock::acquire(&self.last, &self.origin) else { return };
            let (reported, suppressed) = &mut last[cause];
            if reported.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
                *suppressed += 1;
                return;
            }
            *reported = Some(now);
            std::mem::take(suppressed)
        };
        // No lock is held here: a logger is a user callback and may start spans itself.
        let message = match suppressed {
            0 => message(),
            n => format!("{} ({n} more since the last report)", message()),
        };
        self.call_logger(|logger| logger.error(&printable(&message)));
    }

    pub(crate) fn info(&self, message: &str) {
        if self.origin.is_forked() {
            return;
        }
        self.call_logger(|logger| logger.info(&printable(message)));
    }

    /// Calls the logger. A panic of it must end neither the application's call nor the reporter's
    /// thread, and cannot be logged.
    fn call_logger(&self, say: impl FnOnce(&dyn Logger)) {
        if panics::catch(|| say(&*self.logger)).is_err() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns a message for the logger: control characters and those that change the direction of text
/// are escaped, and it is at most [`MAX_MESSAGE_BYTES`] and a mark long. Quotes and backslashes
/// stay, as some texts in it were escaped before.
fn printable(message: &str) -> Cow<'_, str> {
    if message.len() <= MAX_MESSAGE_BYTES && message.chars().all(is_printable) {
        return Cow::Borrowed(message);
    }
    let mut text = String::new();
    for character in message.chars() {
        let before = text.len();
        if is_printable(character) {
            text.push(character);
        } else {
            text.extend(character.escape_debug());
        }
        if text.len() > MAX_MESSAGE_BYTES {
            text.truncate(before);
            let _ = write!(text, "… [{} bytes]", message.len());
            break;
        }
    }
    Cow::Owned(text)
}

/// A text in `Debug` output: quoted, printable, and short.
pub(crate) struct Brief<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Debug for Brief<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut bytes = 0;
        for character in self.0.as_ref().chars() {
            let escaped = character.escape_debug();
            bytes += escaped.len() * character.len_utf8();
            if bytes > BRIEF_BYTES {
                f.write_str("…")?;
                break;
            }
            write!(f, "{escaped}")?;
        }
        f.write_char('"')
    }
}

/// The approximate number of bytes that are shown.
const BRIEF_BYTES: usize = 80;

fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Behind a letter, so that accents and vowel signs count as part of it.
    let mut behind_a_letter = [b'a'; 5];
    let len = character.encode_utf8(&mut behind_a_letter[1..]).len();
    let text = str::from_utf8(&behind_a_letter[..=len]).unwrap_or_default();
    text.escape_debug().count() == 2
}

const INTERVAL: Duration = Duration::from_secs(60);

const FORKED: &str = "this process was forked from the one that built its tracer: spans of that tracer \
    are neither sampled nor sent here; build a tracer after the fork";

/// How long a forked process waits for its logger.
const FORK_LOG_TIMEOUT: Duration = Duration::from_millis(200);

/// The longest message that is logged whole.
const MAX_MESSAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped_and_everything_else_stays() {
        for text in ["", "plain", "\"it's\" \\n", "größer 値 שלום", "cafe\u{301} हिन्दी"]
        {
            assert_eq!(printable(text), text);
        }
        for (text, escaped) in [
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\0"),
            ("\u{1b}[31m\u{7f}\u{9b}", "\\u{1b}[31m\\u{7f}\\u{9b}"),
            ("\u{202e}\u{2066}\u{200b}\u{feff}", "\\u{202e}\\u{2066}\\u{200b}\\u{feff}"),
            ("\u{2028}\u{2029}\u{85}\u{e000}", "\\u{2028}\\u{2029}\\u{85}\\u{e000}"),
        ] {
            assert_eq!(printable(text), escaped);
            assert_eq!(printable(escaped), escaped, "once");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_says_how_long_it_was() {
        let whole = "é".repeat(MAX_MESSAGE_BYTES / 2);
        assert_eq!(printable(&whole), whole);
        for (long, shown) in
            [("é".repeat(9_999), "é".repeat(2_048)), ("\n".repeat(9_999), "\\n".repeat(2_048))]
        {
            assert_eq!(printable(&long), format!("{shown}… [{} bytes]", long.len()));
        }
    }

    #[derive(Default)]
    struct Memory(parking_lot::Mutex<Vec<String>>);

    impl Logger for Memory {
        fn error(&self, message: &str) {
            self.0.lock().push(message.to_owned());
        }
    }

    #[test]
    fn a_cause_is_reported_once_a_minute_with_the_number_held_back() {
        let memory = Arc::new(Memory::default());
        let origin = ProcessOrigin::here().unwrap();
        let diagnostics = Diagnostics::new(Box::new(Arc::clone(&memory)), origin);
        let start = instant::now();
        for seconds in [0, 1, 59, 60, 61] {
            let at = start + Duration::from_secs(seconds);
            diagnostics.error_at(at, Cause::QueueFull as usize, || format!("at {seconds}"));
            diagnostics.error_at(start, Cause::TooLarge as usize, || "other".into());
        }
        let messages = memory.0.lock().clone();
        assert_eq!(messages, ["at 0", "other", "at 60 (2 more since the last report)"]);
    }
}
