//! Ends waits early, once a tracer is being closed.

use std::sync::Arc;
#[cfg(feature = "collector-http")]
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Told once; its clones hear of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hurry(Arc<(Mutex<bool>, Condvar)>);

impl Hurry {
    /// From here on nothing is waited for.
    pub(crate) fn begin(&self) {
        let (begun, told) = &*self.0;
        *begun.lock() = true;
        told.notify_all();
    }

    #[cfg(feature = "collector-http")]
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits for so long, or until it begins.
    #[cfg(feature = "collector-http")]
    pub(crate) fn wait(&self, at_most: Duration) {
        let (begun, told) = &*self.0;
        let mut begun = begun.lock();
        told.wait_while_for(&mut begun, |begun| !*begun, at_most);
    }
}
