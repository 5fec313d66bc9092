//! The span accounting of the buffers: how it is read, and the outcomes of spans that have left the queue.

use std::sync::atomic::Ordering;

use super::ShardedBuffers;
use crate::buffers::outcome::Outcome;
use crate::lock;
use crate::stats::{Dropped, Stats};

impl ShardedBuffers {
    /// Adds the counts of the spans taken so far, as one consistent reading.
    pub(crate) fn read(&self, stats: &mut Stats) {
        // With all locks taken nothing moves, so that each span is counted once. In a forked
        // process some locks may never be free; the spans behind them seem not to be finished.
        let shards: Vec<_> =
            self.shards.iter().map(|locked| lock::acquire(&locked.shard, &self.origin)).collect();
        let counts = self.counts();
        stats.queued = shards.iter().flatten().map(|shard| shard.buffer.spans as u64).sum();
        if let Some(counts) = counts {
            stats.queued += counts.in_queue;
            stats.queue = counts.queue.stats();
            let outcomes = counts.outcomes;
            stats.sent = outcomes.sent;
            stats.acknowledged = outcomes.acknowledged;
            stats.saved = outcomes.saved;
            stats.datagrams = outcomes.messages;
            stats.trimmed = outcomes.trimmed;
            stats.possible_duplicates = outcomes.possible_duplicates;
            stats.unconfirmed = outcomes.unconfirmed;
            stats.dropped = outcomes.dropped;
            stats.receiver_drops = outcomes.receiver_drops;
        }
        stats.dropped.closed += self.lost_in_fork.load(Ordering::Relaxed);
    }

    /// Counts a span that was trimmed.
    pub(crate) fn count_trimmed(&self) {
        self.change_counts(|counts| counts.outcomes.trimmed += 1);
    }

    /// Counts spans that were sent again, and may have been processed before.
    pub(crate) fn count_possible_duplicates(&self, spans: usize) {
        self.change_counts(|counts| counts.outcomes.possible_duplicates += spans as u64);
    }

    /// Counts spans that were dropped, and may have been processed all the same.
    pub(crate) fn count_unconfirmed(&self, spans: usize) {
        self.change_counts(|counts| counts.outcomes.unconfirmed += spans as u64);
    }

    /// Settles spans that have left the queue.
    pub(crate) fn record_outcome(&self, spans: usize, outcome: Outcome) {
        self.change_counts(|counts| {
            counts.in_queue = counts.in_queue.saturating_sub(spans as u64);
            counts.outcomes.record_outcome(spans, outcome);
        });
    }

    /// Moves spans from `sent` to `send_failed` that turn out to have been refused.
    pub(crate) fn mark_refused(&self, spans: usize) {
        self.change_counts(|counts| counts.outcomes.mark_refused(spans));
    }

    /// Stores how many datagrams the receiver's socket has dropped so far.
    pub(crate) fn set_receiver_drops(&self, drops: u64) {
        self.change_counts(|counts| counts.outcomes.receiver_drops = Some(drops));
    }

    pub(crate) fn dropped(&self) -> Dropped {
        self.counts().map(|counts| counts.outcomes.dropped).unwrap_or_default()
    }

    /// Takes the description of the last span that was too large, if there was one since the last
    /// call.
    pub(crate) fn take_too_large(&self) -> Option<String> {
        self.counts().and_then(|mut counts| counts.too_large.take())
    }
}
