//! The transport that stores messages in memory, for tests.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Sent, Transport};
use crate::error::TransportError;

/// Stores messages for tests. Clones share them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::{Tracer, transport::MemoryTransport};
/// let memory = MemoryTransport::new();
/// let (tracer, closer) = Tracer::builder("svc").transport(memory.clone()).build()?;
/// tracer.start_span("op").finish();
/// let _ = closer.close(Duration::from_secs(1));
/// assert_eq!(memory.messages().len(), 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryTransport {
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("messages", &self.messages.lock().len())
            .finish_non_exhaustive()
    }
}

impl MemoryTransport {
    /// Returns an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns copies of the messages sent so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.messages.lock().clone()
    }
}

impl Transport for MemoryTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        self.messages.lock().push(message.to_vec());
        Ok(Sent::OK)
    }
}
