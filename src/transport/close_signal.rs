//! The close signal, which ends waits early.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

/// Set once, when a tracer is being closed; all clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CloseSignal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Nothing is ever sent: the channel is disconnected when the signal is set.
    open: Mutex<Option<Sender<Infallible>>>,
    #[cfg_attr(
        not(any(feature = "collector-http", feature = "saved-batches")),
        expect(dead_code, reason = "nothing waits")
    )]
    closed: Receiver<Infallible>,
    deadline: OnceLock<Instant>,
}

impl Default for CloseSignal {
    fn default() -> Self {
        let (open, closed) = bounded(0);
        let open = Mutex::new(Some(open));
        Self(Arc::new(Shared { open, closed, deadline: OnceLock::new() }))
    }
}

impl CloseSignal {
    /// Ends all present and future waits. Work that must be finished has until `deadline`.
    pub(crate) fn set(&self, deadline: Instant) {
        let _ = self.0.deadline.set(deadline);
        *self.0.open.lock() = None;
    }

    #[cfg(any(feature = "collector-http", feature = "saved-batches"))]
    pub(crate) fn is_set(&self) -> bool {
        self.deadline().is_some()
    }

    /// Returns the deadline, once the signal is set.
    #[cfg(any(feature = "collector-http", feature = "saved-batches"))]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline.get().copied()
    }

    /// Waits for so long, or until the signal is set.
    #[cfg(feature = "collector-http")]
    pub(crate) fn wait(&self, at_most: std::time::Duration) {
        let _ = self.0.closed.recv_timeout(at_most);
    }

    /// Returns a channel that is disconnected when the signal is set.
    #[cfg(feature = "saved-batches")]
    pub(crate) fn closed(&self) -> &Receiver<Infallible> {
        &self.0.closed
    }
}
