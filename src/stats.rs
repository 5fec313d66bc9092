//! Span accounting: counts that add up at any moment.

use std::fmt;
use std::time::Duration;

/// Spans that were finished and sampled but not sent, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The queue to the reporter was full.
    pub queue_full: u64,
    /// The span exceeds the size of a datagram, even when trimmed; or its tags or its logs exceed
    /// 256 MiB, in which case they were discarded.
    pub too_large: u64,
    /// The transport failed: no agent, no route, no name.
    pub send_failed: u64,
    /// The server accepted the message, and rejected this number of its spans.
    pub rejected: u64,
    /// The span was finished after the tracer had been closed.
    pub closed: u64,
}

impl Dropped {
    /// Returns the sum over all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.queue_full + self.too_large + self.send_failed + self.rejected + self.closed
    }
}

/// The span accounting of a tracer, read at one moment.
///
/// # Shape and units
///
/// Counts of spans since the tracer was built, `open`, `queued` and `buffered` as they are now. At any
/// moment `started == open + finished` and
/// `finished == not_sampled + sent + saved + dropped.total() + queued + buffered`; a span is in exactly
/// one of them. `buffered` is 0 unless the tracer [samples tails](crate::TailSamplingConfig), `saved`
/// unless it has a [file for that](crate::SavedBatchesConfig).
///
/// With several destinations, `sent` and `dropped` follow the first; each has its own counts in
/// [`Tracer::destination_stats`](crate::Tracer::destination_stats). A span is `queued` until the first
/// destination is done with it.
///
/// *Sent* over UDP means handed to the operating system. No client can know whether the agent
/// received and stored it; the drops of the agent's socket are in
/// [`receiver_drops`](Self::receiver_drops). Over HTTP, spans that the server confirmed
/// are in [`acknowledged`](Self::acknowledged) as well.
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
    /// Finished spans that the transport accepted.
    pub sent: u64,
    /// Spans counted in `sent` that the server confirmed: all of them over HTTP, none over
    /// UDP.
    pub acknowledged: u64,
    /// Finished spans that were neither sent nor acknowledged before the tracer was closed, and were
    /// written to its [file of saved batches](crate::SavedBatchesConfig).
    pub saved: u64,
    /// Finished spans waiting in the tracer: in its buffers, in its queue, or about to be sent.
    pub queued: u64,
    /// The queue between the buffers and the reporter's thread, and its bounds. All 0 for a tracer
    /// that only reports in memory, or nothing.
    pub queue: QueueStats,
    /// Finished spans of unsampled traces, buffered by tail sampling. They become `queued` if the
    /// trace is retained, and otherwise `not_sampled`.
    pub buffered: u64,
    /// Finished spans lost, by cause.
    pub dropped: Dropped,
    /// Spans that were trimmed to fit a datagram; they are also counted by outcome.
    pub trimmed: u64,
    /// Spans that were sent again over HTTP after a request with an unknown outcome: the server may
    /// have them twice. They are counted as sent as well.
    pub possible_duplicates: u64,
    /// Spans that were given up after such a request: the server may have them all the same. They
    /// are counted in `dropped.send_failed`, or in `saved`, as well.
    pub unconfirmed: u64,
    /// Spans that were buffered by tail sampling and evicted; they are counted as not sampled as
    /// well.
    pub evicted: u64,
    /// Tag values that were truncated to their limit, whatever the outcome of their spans.
    pub truncated_tags: u64,
    /// Times that were clamped because servers store none before 1970 or after 2262, whatever the
    /// outcome of their spans: times given for a start, a finish or a log, and readings of the wall
    /// clock, one each flush interval.
    pub clamped_times: u64,
    /// Calls on a span after it was finished, which have no effect.
    pub misused: u64,
    /// Carriers whose trace context could not be read.
    pub decoding_errors: u64,
    /// Baggage items refused or truncated when they were set, and those left out when a context was
    /// read or written, because of their number, their size or their form.
    pub baggage_limited: u64,
    /// Calls of observers that panicked. The spans were not affected.
    pub observer_panics: u64,
    /// Calls of user callbacks of all kinds that panicked, see [`panics`](crate::panics).
    pub callback_panics: u64,
    /// Datagrams, or other messages, sent.
    pub datagrams: u64,
    /// Datagrams of all senders that the agent's socket dropped because its receive buffer was
    /// full, since the first one was sent to it; none where that cannot be read. Read at each
    /// flush. As they may be of other senders, the sums above do not include them: spans counted as
    /// `sent` may be lost among them.
    pub receiver_drops: Option<u64>,
}

impl Stats {
    /// Returns whether the sums hold, which they always do.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.started == self.open + self.finished && self.finished == self.all_places()
    }

    /// Returns the sum of finished spans over all states.
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
            write!(f, "; dropped = {}", self.dropped)?;
        }
        let counts = (self.acknowledged, self.possible_duplicates, self.unconfirmed);
        write_delivery(f, counts, self.receiver_drops)
    }
}

/// Writes what is known of the delivery of spans: how many were acknowledged, may be duplicates, or may have
/// arrived, and the drops of the receiver's socket.
fn write_delivery(
    f: &mut fmt::Formatter<'_>,
    (acknowledged, duplicates, unconfirmed): (u64, u64, u64),
    receiver_drops: Option<u64>,
) -> fmt::Result {
    if acknowledged > 0 {
        write!(f, "; {acknowledged} sent were acknowledged")?;
    }
    if let Some(drops @ 1..) = receiver_drops {
        write!(f, "; the agent's socket dropped {drops} datagrams of all senders")?;
    }
    if duplicates > 0 {
        write!(f, "; {duplicates} sent may be duplicates")?;
    }
    if unconfirmed > 0 {
        write!(f, "; {unconfirmed} lost may have arrived")?;
    }
    Ok(())
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue_full, too_large, send_failed, rejected, closed } = self;
        write!(
            f,
            "queue full {queue_full} + too large {too_large} + send failed {send_failed} + closed {closed}"
        )?;
        if *rejected > 0 {
            write!(f, " + rejected {rejected}")?;
        }
        Ok(())
    }
}

/// A queue of finished spans, and its bounds: what does not fit is dropped, and counted in
/// [`Dropped::queue_full`].
///
/// # Shape and units
///
/// At any moment `spans <= max_spans` and `bytes <= max_bytes`, unless the queue consists of one
/// buffer that alone exceeds a bound.
///
/// # Examples
///
/// ```
/// let builder = jaeger_client::Tracer::builder("svc").queue_size(100_000).queue_bytes(8 << 20);
/// let (tracer, _closer) = builder.build()?;
/// let queue = tracer.stats().queue;
/// assert_eq!((queue.spans, queue.max_spans), (0, 100_000));
/// assert_eq!((queue.bytes, queue.max_bytes), (0, 8 << 20));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Spans in the queue. They are part of [`Stats::queued`].
    pub spans: u64,
    /// The maximum of that; see [`TracerBuilder::queue_size`](crate::TracerBuilder::queue_size).
    pub max_spans: u64,
    /// The memory that the buffers in the queue take, in bytes.
    pub bytes: u64,
    /// The maximum of that; see [`TracerBuilder::queue_bytes`](crate::TracerBuilder::queue_bytes).
    pub max_bytes: u64,
}

/// The span accounting of one of a tracer's destinations.
///
/// # Shape and units
///
/// Counts of spans since the tracer was built, `queued` as it is now:
/// `taken == sent + saved + queued + dropped.total()`. Spans that still wait for the reporter's thread, or
/// never came to it, are in the tracer's own [`Stats`] alone.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::{Destination, Tracer};
/// let builder = Tracer::builder("svc").null_reporter();
/// let (tracer, closer) = builder.add_destination(Destination::null().named("copy")).build()?;
/// tracer.start_span("op").finish();
/// let _ = closer.close(Duration::from_secs(2));
/// let copy = &tracer.destination_stats()[1];
/// assert_eq!(copy.to_string(), "copy: taken 1 = sent 1 + dropped 0 + queued 0");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationStats {
    /// The destination's name.
    pub name: String,
    /// Spans that were passed to the destination.
    pub taken: u64,
    /// Spans that the destination sent.
    pub sent: u64,
    /// See [`Stats::acknowledged`].
    pub acknowledged: u64,
    /// See [`Stats::saved`].
    pub saved: u64,
    /// Spans that wait to be sent with others.
    pub queued: u64,
    /// The destination's own queue, if there are several destinations. All 0 for the only one, before
    /// which there is [`Stats::queue`] alone.
    pub queue: QueueStats,
    /// Spans lost, by cause.
    pub dropped: Dropped,
    /// Spans that were trimmed to fit a message of this destination.
    pub trimmed: u64,
    /// See [`Stats::possible_duplicates`].
    pub possible_duplicates: u64,
    /// See [`Stats::unconfirmed`].
    pub unconfirmed: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages that the receiver's socket dropped; see [`Stats::receiver_drops`].
    pub receiver_drops: Option<u64>,
}

impl fmt::Display for DestinationStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, taken, sent, queued, saved, dropped, .. } = self;
        let lost = dropped.total();
        write!(f, "{name}: taken {taken} = sent {sent} + dropped {lost} + queued {queued}")?;
        if *saved > 0 {
            write!(f, " + saved {saved}")?;
        }
        if lost > 0 {
            write!(f, "; dropped = {dropped}")?;
        }
        let counts = (self.acknowledged, self.possible_duplicates, self.unconfirmed);
        write_delivery(f, counts, self.receiver_drops)
    }
}

/// The result of a flush or close.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// tracer.start_span("op").finish();
/// let report = tracer.flush(Duration::from_secs(1));
/// if !report.complete || report.stats.dropped.total() + report.dropped_by_others > 0 {
///     eprintln!("spans are late or lost: {report}");
/// }
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct FlushReport {
    /// The span accounting when the call returned.
    pub stats: Stats,
    /// Whether every span finished before the call had left the queue, sent or counted as dropped,
    /// within the timeout. If not, the work continues in the background. Spans that tail sampling
    /// buffers are not in the queue, and not waited for.
    pub complete: bool,
    /// The duration of the call.
    pub took: Duration,
    /// The number of spans that destinations other than the first have dropped: the accounting is that of the
    /// first one. [`Tracer::destination_stats`](crate::Tracer::destination_stats) says which and why.
    pub dropped_by_others: u64,
}

impl FlushReport {
    pub(crate) const fn new(stats: Stats, complete: bool, took: Duration) -> Self {
        Self { stats, complete, took, dropped_by_others: 0 }
    }
}

impl fmt::Display for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.complete { "complete" } else { "INCOMPLETE, out of time" };
        write!(f, "{word} after {:?}: {}", self.took, self.stats)?;
        if self.dropped_by_others > 0 {
            write!(f, "; {} dropped by other destinations", self.dropped_by_others)?;
        }
        Ok(())
    }
}
