//! Detection of forked processes.
//!
//! A child has a copy of its parent's memory, including locks that other threads held at that time,
//! and none of those threads. Before waiting for a thread or lock of the parent,
//! [`is_forked`](ProcessOrigin::is_forked) is checked.

use std::io;

/// The process in which a value was created.
#[cfg(unix)]
#[derive(Clone)]
pub(crate) struct ProcessOrigin(forkguard::atfork::Guard);

/// The process in which a value was created. There is no fork on this system.
#[cfg(not(unix))]
#[derive(Clone)]
pub(crate) struct ProcessOrigin(());

impl std::fmt::Debug for ProcessOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProcessOrigin").field(&self.is_forked()).finish()
    }
}

#[cfg(unix)]
impl ProcessOrigin {
    /// Returns the current process.
    ///
    /// # Errors
    ///
    /// If there is no memory to register the fork handler.
    pub(crate) fn here() -> io::Result<Self> {
        let guard = forkguard::atfork::Guard::try_new();
        guard.map(Self).map_err(|error| io::Error::from_raw_os_error(error.code().get()))
    }

    /// Returns whether this is a child, or a child's child, of that process.
    ///
    /// # Cost
    ///
    /// Three instructions: the C library runs a handler in each child, which counts.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.0.clone().detected_fork()
    }
}

#[cfg(not(unix))]
impl ProcessOrigin {
    pub(crate) fn here() -> io::Result<Self> {
        Ok(Self(()))
    }

    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        false
    }
}
