//! The crate's access to the system besides sockets: the time and threads. No other file uses a
//! clock or starts a thread.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// A moment by which something is to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// `None` is later than any clock can say.
    at: Option<Instant>,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { at: now().checked_add(timeout) }
    }

    /// Returns the remaining time; zero when it is over.
    pub(crate) fn left(self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads a clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that starts threads")]
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(run)
}
