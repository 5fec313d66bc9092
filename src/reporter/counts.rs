//! The counts of one destination, and how they update the tracer's own counts.

use std::sync::Arc;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use super::saver::SaveSpans;
use crate::buffers::{Outcome, OutcomeCounts, QueueLimits, QueueUse, ShardedBuffers, described};
use crate::diag::{Cause, Diagnostics};
use crate::encoding::{ClientStats, List, SpanView};
use crate::error::TransportError;
use crate::stats::DestinationStats;
use crate::transport::Sent;

/// The counts of one destination. Its thread writes them, any thread reads them.
#[derive(Debug)]
pub(crate) struct DestinationCounts {
    name: String,
    counts: Mutex<LockedCounts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LockedCounts {
    taken: u64,
    outcomes: OutcomeCounts,
    /// The use of the destination's own queue, and its limits, if it has one.
    queue: QueueUse,
    limits: Option<QueueLimits>,
}

impl DestinationCounts {
    pub(crate) fn new(name: String) -> Self {
        Self { name, counts: Mutex::default() }
    }

    /// Sets the limits of the destination's own queue.
    pub(crate) fn set_limits(&self, limits: QueueLimits) {
        self.counts.lock().limits = Some(limits);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn read(&self) -> DestinationStats {
        let LockedCounts { taken, outcomes, queue, limits } = *self.counts.lock();
        let OutcomeCounts { sent, saved, dropped, .. } = outcomes;
        DestinationStats {
            name: self.name.clone(),
            taken,
            sent,
            acknowledged: outcomes.acknowledged,
            saved,
            queued: taken.saturating_sub(sent + saved + dropped.total()),
            queue: limits.map(|limits| limits.stats(queue)).unwrap_or_default(),
            dropped,
            trimmed: outcomes.trimmed,
            possible_duplicates: outcomes.possible_duplicates,
            unconfirmed: outcomes.unconfirmed,
            messages: outcomes.messages,
            receiver_drops: outcomes.receiver_drops,
        }
    }
}

/// The accounting of one destination.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) counts: Arc<DestinationCounts>,
    pub(crate) diagnostics: Arc<Diagnostics>,
    /// Whether the tracer's counts follow this destination.
    pub(crate) is_primary: bool,
    /// The process of the spans, in its compact bytes.
    pub(crate) process: Vec<u8>,
    /// Saves spans that cannot be sent any more.
    pub(crate) saver: Option<Arc<dyn SaveSpans>>,
}

impl Account {
    pub(crate) fn with<'a>(&'a self, buffers: &'a ShardedBuffers) -> Accounting<'a> {
        Accounting { account: self, buffers }
    }
}

/// A destination's access to its own counts and to the tracer's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounting<'a> {
    pub(crate) account: &'a Account,
    pub(crate) buffers: &'a ShardedBuffers,
}

impl Accounting<'_> {
    /// Locks the destination's own counts. The guard is let go before the tracer's counts are changed.
    fn outcomes(&self) -> MappedMutexGuard<'_, OutcomeCounts> {
        MutexGuard::map(self.account.counts.counts.lock(), |counts| &mut counts.outcomes)
    }

    /// Counts spans that were passed to the destination.
    pub(crate) fn count_taken(&self, spans: usize) {
        self.account.counts.counts.lock().taken += spans as u64;
    }

    /// Counts spans that were passed to the destination, and adds them to its queue. Returns false if
    /// that has no room.
    pub(crate) fn enter_queue(&self, more: QueueUse) -> bool {
        let mut counts = self.account.counts.counts.lock();
        counts.taken += more.spans as u64;
        if counts.limits.is_some_and(|limits| !limits.admit(counts.queue, more)) {
            return false;
        }
        counts.queue.add(more);
        true
    }

    /// Removes spans from the destination's queue.
    pub(crate) fn leave_queue(&self, less: QueueUse) {
        self.account.counts.counts.lock().queue.remove(less);
    }

    /// Counts unsettled spans as lost, once the destination's thread is gone.
    pub(crate) fn count_abandoned(&self) {
        self.account.counts.counts.lock().queue = QueueUse::default();
        let queued = self.account.counts.read().queued;
        if let Ok(spans @ 1..) = usize::try_from(queued) {
            self.record_outcome(spans, Outcome::SendFailed);
            self.account.diagnostics.error(Cause::SendFailed, || {
                let name = self.account.counts.name();
                format!("{spans} spans lost, counted as send_failed: the thread of {name} is gone")
            });
        }
    }

    /// Counts the outcome of spans.
    pub(crate) fn record_outcome(&self, spans: usize, outcome: Outcome) {
        self.outcomes().record_outcome(spans, outcome);
        if self.account.is_primary {
            self.buffers.record_outcome(spans, outcome);
        }
    }

    /// Counts the spans of an accepted message, except those that the receiver rejected, and logs
    /// its reason. Returns the number of accepted spans.
    pub(crate) fn record_accepted(&self, spans: usize, sent: &Sent) -> usize {
        let rejected = usize::try_from(sent.rejected_spans).unwrap_or(usize::MAX).min(spans);
        let accepted = spans - rejected;
        let outcome = if sent.acknowledged { Outcome::Acknowledged } else { Outcome::Sent };
        self.record_outcome(accepted, outcome);
        if rejected > 0 {
            self.record_outcome(rejected, Outcome::Rejected);
        }
        if sent.possible_duplicate {
            self.count_possible_duplicates(accepted);
        }
        if rejected > 0 || sent.message.is_some() {
            self.account.diagnostics.error(Cause::PartialSuccess, || {
                let (place, message) = (self.place(), sent.message.as_deref().unwrap_or_default());
                match rejected {
                    0 => format!("a message was accepted{place}, with a warning: {message:?}"),
                    _ => format!(
                        "{rejected} spans of a message were rejected{place}, counted as rejected: \
                         {message:?}"
                    ),
                }
            });
        }
        accepted
    }

    /// Saves spans that will not be sent any more, if they can be saved, and counts them as saved or as
    /// lost.
    pub(crate) fn save_or_count_lost(&self, spans: List<'_>, error: &TransportError) {
        let Account { counts, process, saver, .. } = self.account;
        let is_unconfirmed = matches!(error, TransportError::Unconfirmed { .. });
        let saved = saver.as_ref().map_or(0, |saver| {
            saver.save(counts.name(), process, spans, is_unconfirmed).min(spans.count)
        });
        if saved > 0 {
            self.record_outcome(saved, Outcome::Saved);
        }
        if saved < spans.count {
            self.count_lost(spans.count - saved, error);
        }
        if is_unconfirmed {
            self.outcomes().unconfirmed += spans.count as u64;
            if self.account.is_primary {
                self.buffers.count_unconfirmed(spans.count);
            }
        }
    }

    /// Counts spans as lost, and logs why.
    pub(crate) fn count_lost(&self, spans: usize, error: &TransportError) {
        self.record_outcome(spans, Outcome::SendFailed);
        self.account.diagnostics.error(Cause::SendFailed, || {
            format!("{spans} spans lost{}, counted as send_failed: {error}", self.place())
        });
    }

    /// Counts a span as lost that is too large for any message, of at most `max_bytes`, and logs
    /// which it was.
    pub(crate) fn count_too_large(&self, span: &[u8], max_bytes: usize) {
        self.record_outcome(1, Outcome::TooLarge);
        self.account.diagnostics.error(Cause::TooLarge, || {
            let (span, _) = SpanView::parse(span).unwrap_or_default();
            let (which, place) = (described(&span), self.place());
            format!(
                "{which} lost{place}, counted as too_large: no message of {max_bytes} bytes takes \
                 it, even trimmed"
            )
        });
    }

    /// Counts a span as lost because the receiver refuses it, and logs which it was.
    pub(crate) fn count_refused(&self, span: &[u8], error: &TransportError) {
        self.record_outcome(1, Outcome::SendFailed);
        self.account.diagnostics.error(Cause::SpanRefused, || {
            let (span, _) = SpanView::parse(span).unwrap_or_default();
            let (which, place) = (described(&span), self.place());
            format!("{which} was refused{place}, counted as send_failed: {error}")
        });
    }

    /// Returns the name of the destination, unless it is the first.
    fn place(&self) -> String {
        if self.account.is_primary {
            String::new()
        } else {
            format!(" at {}", self.account.counts.name)
        }
    }

    /// Counts spans that were sent again, and may have been processed before.
    pub(crate) fn count_possible_duplicates(&self, spans: usize) {
        self.outcomes().possible_duplicates += spans as u64;
        if self.account.is_primary {
            self.buffers.count_possible_duplicates(spans);
        }
    }

    /// Moves spans from `sent` to `send_failed` that turn out to have been refused.
    pub(crate) fn mark_refused(&self, spans: usize) {
        self.outcomes().mark_refused(spans);
        if self.account.is_primary {
            self.buffers.mark_refused(spans);
        }
    }

    /// Stores how many messages the receiver's socket has dropped so far, and logs an increase.
    pub(crate) fn set_receiver_drops(&self, drops: u64) {
        let before = self.outcomes().receiver_drops.replace(drops);
        if self.account.is_primary {
            self.buffers.set_receiver_drops(drops);
        }
        if drops > before.unwrap_or_default() {
            self.account.diagnostics.error(Cause::ReceiverDrops, || {
                format!(
                    "the socket that {} sends to dropped {drops} datagrams so far, of this and all \
                     other senders, because its receive buffer was full: spans counted as sent may \
                     be among them",
                    self.account.counts.name
                )
            });
        }
    }

    /// Counts a span that was trimmed.
    pub(crate) fn count_trimmed(&self) {
        self.outcomes().trimmed += 1;
        if self.account.is_primary {
            self.buffers.count_trimmed();
        }
    }

    /// Returns the losses that are reported to an agent: those of the queue, and of this
    /// destination.
    pub(crate) fn losses(&self) -> ClientStats {
        let all = self.buffers.dropped();
        let own = if self.account.is_primary { all } else { self.outcomes().dropped };
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        ClientStats::new(count(all.queue_full), count(own.too_large), count(own.send_failed))
    }
}
