//! The span accounting of an exporter.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The span accounting of an exporter, read at one moment.
///
/// # Shape and units
///
/// Counts of spans since the exporter was built. At any moment
/// `exported == queued + sent + dropped.total()`.
///
/// *Sent* over UDP means handed to the operating system; over HTTP, that the server took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterStats {
    /// Spans that the SDK gave to the exporter.
    pub exported: u64,
    /// Spans that wait for the exporter's thread, or are being sent.
    pub queued: u64,
    /// Spans that the transport took.
    pub sent: u64,
    /// Spans lost, by cause.
    pub dropped: ExporterDropped,
    /// Spans that were cut to fit a message; they are counted where they went as well.
    pub trimmed: u64,
    /// Spans that were sent again over HTTP after a request of which it is not known whether the server
    /// processed it; they are counted as sent as well.
    pub possible_duplicates: u64,
    /// Spans that were given up after such a request; they are counted in `dropped.send_failed` as well.
    pub unconfirmed: u64,
    /// Messages that the transport took.
    pub messages: u64,
    /// Messages that the receiver's socket dropped because its receive buffer was full, those of all
    /// senders; none where that cannot be seen. Spans that are counted as sent may be among them.
    pub receiver_drops: Option<u64>,
}

/// Spans that did not leave the process, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterDropped {
    /// Too many exports waited for the exporter's thread.
    pub queue_full: u64,
    /// The span exceeds what a message can carry, even when trimmed.
    pub too_large: u64,
    /// The transport refused it: no agent, no route, an error of the server.
    pub send_failed: u64,
    /// The time for the export had passed.
    pub timed_out: u64,
    /// The span was exported after a shutdown.
    pub shut_down: u64,
}

impl ExporterDropped {
    /// The sum over all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.queue_full + self.too_large + self.send_failed + self.timed_out + self.shut_down
    }
}

impl ExporterStats {
    /// Returns whether the sums hold, which they always do.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.exported == self.queued + self.sent + self.dropped.total()
    }
}

impl fmt::Display for ExporterStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.dropped.total();
        write!(
            f,
            "exported {} = queued {} + sent {} + dropped {total}",
            self.exported, self.queued, self.sent
        )?;
        if total > 0 {
            let ExporterDropped { queue_full, too_large, send_failed, timed_out, shut_down } =
                self.dropped;
            write!(
                f,
                "; dropped = queue full {queue_full} + too large {too_large} + send failed \
                 {send_failed} + timed out {timed_out} + shut down {shut_down}"
            )?;
        }
        Ok(())
    }
}

/// Reads what became of an exporter's spans, after the exporter itself was given to the SDK.
///
/// # Cost
///
/// A lock that is held for a few instructions, and a copy of the numbers.
#[derive(Clone, Default)]
pub struct ExporterAccount {
    stats: Arc<Mutex<ExporterStats>>,
}

impl fmt::Debug for ExporterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExporterAccount").field(&self.stats()).finish()
    }
}

impl ExporterAccount {
    /// The counts of this moment.
    #[must_use]
    pub fn stats(&self) -> ExporterStats {
        *self.lock()
    }

    /// Counts a batch that is given to the exporter.
    pub(super) fn enter(&self, spans: usize) {
        let mut stats = self.lock();
        stats.exported += spans as u64;
        stats.queued += spans as u64;
    }

    /// Moves queued spans to what `count` gives.
    pub(super) fn settle(&self, spans: usize, count: fn(&mut ExporterStats) -> &mut u64) {
        let mut stats = self.lock();
        stats.queued = stats.queued.saturating_sub(spans as u64);
        *count(&mut stats) += spans as u64;
    }

    /// Changes counts that are beside the sums.
    pub(super) fn note(&self, change: impl FnOnce(&mut ExporterStats)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, ExporterStats> {
        // Nothing panics while it is held.
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
