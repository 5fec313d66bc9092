//! The view that a restriction manager or a throttler has of its tracer.

use std::fmt;
use std::sync::Arc;

use crate::diag::{Cause, Diagnostics};

/// A handle to the tracer that a restriction manager or a throttler works for.
#[derive(Clone)]
pub struct PolicyHost {
    diagnostics: Arc<Diagnostics>,
    cause: Cause,
    client_uuid: Arc<str>,
}

impl fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyHost").field("cause", &self.cause).finish_non_exhaustive()
    }
}

impl PolicyHost {
    pub(crate) fn new(diagnostics: Arc<Diagnostics>, cause: Cause, client_uuid: Arc<str>) -> Self {
        Self { diagnostics, cause, client_uuid }
    }

    /// Logs that something could not be done: at most once a minute, with the number of suppressed
    /// messages.
    pub fn report(&self, message: &str) {
        self.diagnostics.error(self.cause, || message.to_owned());
    }

    /// Logs something worth knowing.
    pub fn info(&self, message: &str) {
        self.diagnostics.info(message);
    }

    /// Returns the process tag `client-uuid`, which distinguishes tracers of a service.
    #[must_use]
    pub fn client_uuid(&self) -> &str {
        &self.client_uuid
    }
}
