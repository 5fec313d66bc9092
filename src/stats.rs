//! The ledger: what became of every span, as numbers that add up at any moment.

use std::fmt;
use std::time::Duration;

/// Spans that were finished and sampled and yet did not leave, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The queue to the reporter was full.
    pub queue_full: u64,
    /// The span exceeds what a datagram can carry, even when trimmed.
    pub too_large: u64,
    /// The transport refused it: no agent, no route, no name.
    pub send_failed: u64,
    /// The server took the message, and answered that it rejected so many of its spans.
    pub rejected: u64,
    /// It was finished after the tracer had been closed.
    pub closed: u64,
}

impl Dropped {
    /// The sum over all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.queue_full + self.too_large + self.send_failed + self.rejected + self.closed
    }
}

/// What became of a tracer's spans, read at one moment.
///
/// # Shape and units
///
/// Counts of spans since the tracer was built, `open`, `queued` and `buffered` as they are now. At any
/// moment `started == open + finished` and
/// `finished == not_sampled + sent + saved + dropped.total() + queued + buffered`; a span is in exactly
/// one of them. `buffered` is 0 unless the tracer [samples tails](crate::TailSamplingConfig), `saved`
/// unless it has a [file for that](crate::SavedBatchesConfig).
///
/// With several destinations, `sent` and `dropped` follow the first; each has counts of its own in
/// [`Tracer::destination_stats`](crate::Tracer::destination_stats). A span is `queued` until the first
/// destination is done with it.
///
/// *Sent* over UDP means handed to the operating system. Whether the agent got it, and stored it,
/// no client can know; what is known of its socket is in [`receiver_drops`](Self::receiver_drops).
/// Over HTTP a server answers: what it said it took is in [`acknowledged`](Self::acknowledged) as
/// well.
///
/// # Examples
///
/// ```
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let span = tracer.start_span("op");
/// tracer.start_span("other").finish();
/// let stats = tracer.stats();
/// assert_eq!((stats.started, stats.open, stats.sent), (2, 1, 1));
/// assert!(stats.is_balanced());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Spans started.
    pub started: u64,
    /// Spans started and not finished.
    pub open: u64,
    /// Spans finished.
    pub finished: u64,
    /// Finished spans that were not sampled.
    pub not_sampled: u64,
    /// Finished spans handed to the transport, which took them.
    pub sent: u64,
    /// Spans counted in `sent` of which the receiver answered that it took them: all of them where
    /// spans go over HTTP, none over UDP.
    pub acknowledged: u64,
    /// Finished spans that were neither sent nor acknowledged before the tracer was closed, and were
    /// written to its [file of saved batches](crate::SavedBatchesConfig).
    pub saved: u64,
    /// Finished spans waiting in the tracer.
    pub queued: u64,
    /// Finished spans of traces that are not sampled, held in case they are wanted. They become
    /// `queued` if they are, and else `not_sampled`.
    pub buffered: u64,
    /// Finished spans lost, by cause.
    pub dropped: Dropped,
    /// Spans that were cut to fit a datagram; they are counted where they went as well.
    pub trimmed: u64,
    /// Spans that were sent again over HTTP after a request of which it is not known whether the
    /// server processed it: it may have them twice. They are counted as sent as well.
    pub possible_duplicates: u64,
    /// Spans that were given up after such a request: the server may have them all the same. They
    /// are counted in `dropped.send_failed`, or in `saved`, as well.
    pub unconfirmed: u64,
    /// Spans that were held and had to make room for others; they are counted as not sampled as
    /// well.
    pub evicted: u64,
    /// Values of tags that were cut to their limit, on whatever became of their spans.
    pub truncated_tags: u64,
    /// Times that no server stores, before 1970 or after 2262, whatever became of their spans:
    /// those given for a start, a finish or a log, and what the wall clock showed when it was read,
    /// once each flush interval. The nearest time that servers do store is sent.
    pub clamped_times: u64,
    /// Calls on a span after it was finished. They did nothing.
    pub misused: u64,
    /// Carriers whose trace context could not be read.
    pub decoding_errors: u64,
    /// Baggage items refused or cut when they were set, and those left out when a context was read or
    /// written, because of their number, their size or their form.
    pub baggage_limited: u64,
    /// Calls of observers that ended in a panic. The spans went on.
    pub observer_panics: u64,
    /// Calls of user callbacks of all kinds that ended in a panic, see [`panics`](crate::panics).
    pub callback_panics: u64,
    /// Datagrams, or other messages, sent.
    pub datagrams: u64,
    /// Datagrams that the agent's socket dropped because its receive buffer was full, those of all
    /// senders, since the first one was sent to it; none where that cannot be seen. Read at each
    /// flush. As others may have sent them, the sums above do not have them: spans counted as `sent`
    /// may be lost among them.
    pub receiver_drops: Option<u64>,
}

impl Stats {
    /// Whether the sums hold, which they always do.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.started == self.open + self.finished && self.finished == self.all_places()
    }

    /// The sum of finished spans over all places that they can be in.
    pub(crate) const fn all_places(&self) -> u64 {
        let left = self.sent + self.saved + self.dropped.total();
        self.not_sampled + left + self.queued + self.buffered
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "started {} = open {} + finished {}; finished = not sampled {} + sent {} + dropped {} \
             + queued {}",
            self.started,
            self.open,
            self.finished,
            self.not_sampled,
            self.sent,
            self.dropped.total(),
            self.queued,
        )?;
        if self.buffered > 0 {
            write!(f, " + buffered {}", self.buffered)?;
        }
        if self.saved > 0 {
            write!(f, " + saved {}", self.saved)?;
        }
        if self.dropped.total() > 0 {
            let Dropped { queue_full, too_large, send_failed, rejected, closed } = self.dropped;
            write!(
                f,
                "; dropped = queue full {queue_full} + too large {too_large} + send failed \
                 {send_failed} + closed {closed}"
            )?;
            if rejected > 0 {
                write!(f, " + rejected {rejected}")?;
            }
        }
        if self.acknowledged > 0 {
            write!(f, "; {} sent were acknowledged", self.acknowledged)?;
        }
        if let Some(drops @ 1..) = self.receiver_drops {
            write!(f, "; the agent's socket dropped {drops} datagrams of all senders")?;
        }
        if self.possible_duplicates > 0 {
            write!(f, "; {} sent may be duplicates", self.possible_duplicates)?;
        }
        if self.unconfirmed > 0 {
            write!(f, "; {} lost may have arrived", self.unconfirmed)?;
        }
        Ok(())
    }
}

/// What became of the spans that one of a tracer's destinations was given.
///
/// # Shape and units
///
/// Counts of spans since the tracer was built, `queued` as it is now:
/// `taken == sent + saved + queued + dropped.total()`. Spans that still wait for the reporter's thread, or
/// never came to it, are in the tracer's own [`Stats`] alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationStats {
    /// The destination's name.
    pub name: String,
    /// Spans it was given.
    pub taken: u64,
    /// Spans that it got rid of as it should.
    pub sent: u64,
    /// As [`Stats::acknowledged`].
    pub acknowledged: u64,
    /// As [`Stats::saved`].
    pub saved: u64,
    /// Spans that it keeps, to send them with others.
    pub queued: u64,
    /// Spans lost, by cause.
    pub dropped: Dropped,
    /// Spans that were cut to fit a message of this destination.
    pub trimmed: u64,
    /// As [`Stats::possible_duplicates`].
    pub possible_duplicates: u64,
    /// As [`Stats::unconfirmed`].
    pub unconfirmed: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages that the receiver's socket dropped; see [`Stats::receiver_drops`].
    pub receiver_drops: Option<u64>,
}

/// What a flush or close achieved.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// tracer.start_span("op").finish();
/// let report = tracer.flush(Duration::from_secs(1));
/// if !report.complete || report.stats.dropped.total() > 0 {
///     eprintln!("spans are late or lost: {report}");
/// }
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct FlushReport {
    /// The ledger when the call returned.
    pub stats: Stats,
    /// Whether every span finished before the call had left the queue, sent or counted as dropped,
    /// within the time given. Where it is false, the work goes on in the background. Spans that are
    /// held have not come into the queue, and nobody waits for them.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
}

impl FlushReport {
    pub(crate) const fn new(stats: Stats, complete: bool, took: Duration) -> Self {
        Self { stats, complete, took }
    }
}

impl fmt::Display for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.complete { "complete" } else { "INCOMPLETE, out of time" };
        write!(f, "{word} after {:?}: {}", self.took, self.stats)
    }
}
