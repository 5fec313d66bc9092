//! The tracer, as far as those see it who limit what applications do.

use std::fmt;
use std::sync::Arc;

use crate::diag::{Cause, Diagnostics};

/// What a tracer does for a restriction manager or a throttler.
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

    /// Tells the tracer's logger that something could not be done: at most once a minute, with the
    /// number of messages held back.
    pub fn report(&self, message: &str) {
        self.diagnostics.error(self.cause, || message.to_owned());
    }

    /// Tells the tracer's logger something worth knowing.
    pub fn info(&self, message: &str) {
        self.diagnostics.info(message);
    }

    /// What tells this tracer from others of its service: its process's tag `client-uuid`.
    #[must_use]
    pub fn client_uuid(&self) -> &str {
        &self.client_uuid
    }
}
