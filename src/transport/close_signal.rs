//! Ends waits early, once a tracer is being closed.

use std::sync::Arc;
#[cfg(feature = "collector-http")]
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Set once, when a tracer is being closed; all clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CloseSignal(Arc<(Mutex<bool>, Condvar)>);

impl CloseSignal {
    /// Ends all waits, and those that follow.
    pub(crate) fn set(&self) {
        let (set, changed) = &*self.0;
        *set.lock() = true;
        changed.notify_all();
    }

    #[cfg(feature = "collector-http")]
    pub(crate) fn is_set(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits for so long, or until it is set.
    #[cfg(feature = "collector-http")]
    pub(crate) fn wait(&self, at_most: Duration) {
        let (set, changed) = &*self.0;
        let mut set = set.lock();
        changed.wait_while_for(&mut set, |set| !*set, at_most);
    }
}
