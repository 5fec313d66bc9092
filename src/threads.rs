//! The one place that starts threads.

use std::io;
use std::thread;

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
/// Starts a thread that nobody waits for.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Runs `work` on its own thread: for waits that must not block a runtime's thread.
#[cfg(feature = "tokio")]
pub(crate) fn wait_on_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    start_thread("jaeger-client-wait", work)
}
