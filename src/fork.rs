//! Notices that the process was forked.
//!
//! A child has a copy of all that its parent had in memory, locks included that other threads held at
//! that moment, and none of those threads. What was made in the parent can therefore not be waited for:
//! it is asked whether it is [far from its origin](ProcessOrigin::is_forked) before any wait.

use std::io;

/// The process that something was made in.
#[cfg(unix)]
#[derive(Clone)]
pub(crate) struct ProcessOrigin(forkguard::atfork::Guard);

/// The process that something was made in. There is no fork here.
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
    /// This process.
    ///
    /// # Errors
    ///
    /// If there is no memory to note that forks are to be told.
    pub(crate) fn here() -> io::Result<Self> {
        let guard = forkguard::atfork::Guard::try_new();
        guard.map(Self).map_err(|error| io::Error::from_raw_os_error(error.code().get()))
    }

    /// Whether this is a child, or a child's child, of that process.
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

/// Starts the thread on which a forked process says that it is one.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts threads in a forked process"
)]
pub(crate) fn start_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("jaeger-client-fork".to_owned()).spawn(work).map(drop)
}
