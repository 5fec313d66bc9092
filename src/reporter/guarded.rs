//! The guard around custom transports and reporters: their panics are caught.

use std::fmt;
use std::sync::Arc;

use super::Reporter;
use crate::diag::Diagnostics;
use crate::encoding::BatchView;
use crate::error::TransportError;
use crate::panics::Callback;
use crate::transport::{MAX_PACKET_BYTES, Sent, Transport};

/// A custom transport or reporter, and the diagnostics for its panics.
pub(super) struct Guarded<T: ?Sized> {
    inner: Box<T>,
    diagnostics: Arc<Diagnostics>,
}

impl<T: ?Sized> Guarded<T> {
    pub(super) fn new(inner: Box<T>, diagnostics: &Arc<Diagnostics>) -> Box<Self> {
        Box::new(Self { inner, diagnostics: Arc::clone(diagnostics) })
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Transport for Guarded<dyn Transport> {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let sent = self.diagnostics.try_call(Callback::TransportSend, || self.inner.send(message));
        sent.unwrap_or_else(|panic| Err(TransportError::panicked("transport", &panic)))
    }

    fn max_message_bytes(&self) -> usize {
        let read = || self.inner.max_message_bytes();
        self.diagnostics.call(Callback::TransportMaxMessageBytes, read).unwrap_or(MAX_PACKET_BYTES)
    }

    fn take_late_refusal(&mut self) -> bool {
        let take = || self.inner.take_late_refusal();
        self.diagnostics.call(Callback::TransportTakeLateRefusal, take).unwrap_or(false)
    }

    fn receiver_drops(&mut self) -> Option<u64> {
        let read = || self.inner.receiver_drops();
        self.diagnostics.call(Callback::TransportReceiverDrops, read).flatten()
    }

    fn tick(&mut self) {
        let _ = self.diagnostics.call(Callback::TransportTick, || self.inner.tick());
    }
}

impl Reporter for Guarded<dyn Reporter> {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        let report = || self.inner.report(batch);
        let reported = self.diagnostics.try_call(Callback::ReporterReport, report);
        reported.unwrap_or_else(|panic| Err(TransportError::panicked("reporter", &panic)))
    }

    fn flush(&mut self) {
        let _ = self.diagnostics.call(Callback::ReporterFlush, || self.inner.flush());
    }
}
