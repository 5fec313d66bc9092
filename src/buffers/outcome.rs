//! The outcomes of spans, and their counts.

use crate::stats::Dropped;

/// Whether a sink was open for a finished span, which is counted in either case. A span that is
/// dropped, as the queue is full or the span is too large, was accepted all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Accepted {
    Yes,
    /// The tracer was closed before.
    Closed,
}

/// The outcome of spans in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// The queue to their destination was full.
    QueueFull,
    /// The message was sent.
    Sent,
    /// The receiver confirmed the message, which counts as sent as well.
    Acknowledged,
    /// Written to a file, to be sent again.
    Saved,
    SendFailed,
    /// The receiver accepted the message and rejected these spans of it.
    Rejected,
    TooLarge,
}

/// The counts of spans by outcome, of a tracer or of one destination.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutcomeCounts {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) saved: u64,
    /// Messages that were sent.
    pub(crate) messages: u64,
    pub(crate) trimmed: u64,
    pub(crate) possible_duplicates: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) dropped: Dropped,
    pub(crate) receiver_drops: Option<u64>,
}

impl OutcomeCounts {
    /// Counts the outcome of spans: those of one message, where they were sent.
    pub(crate) fn record_outcome(&mut self, spans: usize, outcome: Outcome) {
        let spans = spans as u64;
        match outcome {
            Outcome::Sent | Outcome::Acknowledged => {
                self.sent += spans;
                self.messages += 1;
                if let Outcome::Acknowledged = outcome {
                    self.acknowledged += spans;
                }
            }
            Outcome::Saved => self.saved += spans,
            Outcome::QueueFull => self.dropped.queue_full += spans,
            Outcome::SendFailed => self.dropped.send_failed += spans,
            Outcome::Rejected => self.dropped.rejected += spans,
            Outcome::TooLarge => self.dropped.too_large += spans,
        }
    }

    /// Moves spans from `sent` to `send_failed` that turn out to have been refused.
    pub(crate) fn mark_refused(&mut self, spans: usize) {
        let refused = self.sent.min(spans as u64);
        self.sent -= refused;
        self.dropped.send_failed += refused;
    }
}
