//! Exporters: the sending side of destinations.
//!
//! A reporter is given the spans of a buffer as they are. For a transport they are batched into messages
//! of a wire format: compact messages are written around the spans in place. Every other format is made
//! from the same bytes; several buffers go into one message where the transport accepts large ones.

mod build;
mod message_limit;
mod parts;
mod refusals;
mod thread;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use self::build::ExporterOptions;
use self::message_limit::MessageLimit;
use self::refusals::{Refusals, is_refused_list};
pub(super) use self::thread::{ExporterThread, ThreadContext};
use super::Reporter;
use super::counts::{Account, Accounting, DestinationCounts};
use crate::buffers::{Buffer, Outcome, ShardedBuffers, room_in};
use crate::clock;
use crate::diag::Cause;
use crate::encoding::{
    BatchView, ClientStats, EncodingKind, List, ProcessView, TRAILER_MAX, write_header,
    write_trailer,
};
use crate::error::TransportError;
use crate::panics;
use crate::transport::{MAX_PACKET_BYTES, Sent, Transport};

/// Sends the spans of buffers to one destination, on the calling thread, and counts their outcome.
#[derive(Debug)]
pub(crate) struct Exporter {
    account: Arc<Account>,
    kind: ExporterKind,
}

#[derive(Debug)]
enum ExporterKind {
    Transport(Box<Batcher>),
    Reporter(Box<dyn Reporter>),
}

impl From<Batcher> for ExporterKind {
    fn from(batcher: Batcher) -> Self {
        Self::Transport(Box::new(batcher))
    }
}

impl Exporter {
    pub(crate) fn counts(&self) -> Arc<DestinationCounts> {
        Arc::clone(&self.account.counts)
    }

    /// Returns the maximum size of messages, if messages are sent.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        match &self.kind {
            ExporterKind::Transport(batcher) => Some(batcher.max_bytes()),
            ExporterKind::Reporter(_) => None,
        }
    }

    /// Returns the size of the largest span that is accepted whole; 0 if sizes do not matter.
    pub(crate) fn largest_span(&self) -> usize {
        match &self.kind {
            ExporterKind::Transport(batcher) => batcher.largest_span(),
            ExporterKind::Reporter(_) => 0,
        }
    }

    /// Counts the spans of a buffer as taken, and exports them.
    pub(crate) fn receive(&mut self, buffers: &ShardedBuffers, buffer: &mut Buffer) {
        self.account.with(buffers).count_taken(buffer.spans);
        self.export(buffers, buffer);
    }

    /// Exports the spans of a buffer, which were counted when they entered the queue. They stay in
    /// the buffer.
    fn export(&mut self, buffers: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { account, kind } = self;
        let accounting = account.with(buffers);
        let headroom = buffers.headroom();
        match kind {
            ExporterKind::Transport(batcher) => batcher.receive(accounting, buffer, headroom),
            ExporterKind::Reporter(reporter) => {
                let spans = List::new(buffer.spans, &buffer.bytes[headroom..buffer.end]);
                report(&mut **reporter, accounting, &account.process, spans);
            }
        }
    }

    /// Sends a batch of any process, at once.
    #[cfg(feature = "saved-batches")]
    pub(super) fn send_batch(&mut self, buffers: &ShardedBuffers, batch: &BatchView<'_>) {
        let Self { account, kind } = self;
        let accounting = account.with(buffers);
        accounting.count_taken(batch.spans.count);
        match kind {
            ExporterKind::Transport(batcher) => batcher.send_batch(accounting, batch),
            ExporterKind::Reporter(reporter) => {
                report(&mut **reporter, accounting, &batch.process.to_bytes(), batch.spans);
                reporter.flush();
            }
        }
    }

    /// Sends all spans that wait to be batched.
    pub(crate) fn flush(&mut self, buffers: &ShardedBuffers) {
        let Self { account, kind } = self;
        let accounting = account.with(buffers);
        match kind {
            ExporterKind::Transport(batcher) => {
                batcher.flush(accounting);
                batcher.read_receiver_state(accounting);
            }
            ExporterKind::Reporter(reporter) => reporter.flush(),
        }
    }

    pub(crate) fn tick(&mut self) {
        if let ExporterKind::Transport(batcher) = &mut self.kind {
            batcher.tick();
        }
    }
}

/// Passes spans of a process to a reporter.
fn report(
    reporter: &mut dyn Reporter,
    accounting: Accounting<'_>,
    process: &[u8],
    spans: List<'_>,
) {
    let process = ProcessView::parse(process).unwrap_or_default();
    match reporter.report(&BatchView::new(process, spans)) {
        Ok(()) => accounting.record_outcome(spans.count, Outcome::Sent),
        Err(error) => accounting.save_or_count_lost(spans, &error),
    }
}

/// Batches finished spans into messages of a wire format and passes them to a transport.
#[derive(Debug)]
struct Batcher {
    format: &'static EncodingKind,
    transport: Box<dyn Transport>,
    process: Vec<u8>,
    limit: MessageLimit,
    refusals: Refusals,
    /// Spans that wait to be batched with others.
    pending: Vec<u8>,
    pending_spans: usize,
    /// The last sequence number, of both the protocol and the batch.
    sequence: u32,
    /// The number of spans in the last message, which may yet turn out to have been refused.
    last_sent: usize,
    /// The approximate size in this format of one compact byte.
    growth: f64,
    /// Sends spans that are too large for this transport.
    oversize: Option<Box<Self>>,
}

impl Batcher {
    fn new(
        format: &'static EncodingKind,
        transport: Box<dyn Transport>,
        process: &[u8],
        max_bytes: usize,
        oversize: Option<Self>,
    ) -> Self {
        Self {
            format,
            limit: MessageLimit::new(max_bytes.min(transport.max_message_bytes())),
            refusals: Refusals::new(),
            transport,
            process: process.to_vec(),
            pending: Vec::new(),
            pending_spans: 0,
            sequence: 0,
            last_sent: 0,
            growth: if format.is_canonical() { 1.0 } else { 1.5 },
            oversize: oversize.map(Box::new),
        }
    }

    fn max_bytes(&self) -> usize {
        self.limit.bytes()
    }

    /// Returns whether messages are larger than datagrams, and so are made of several buffers.
    fn merges_buffers(&self) -> bool {
        self.limit.bytes() > MAX_PACKET_BYTES
    }

    /// Returns the room for spans in a message.
    fn room(&self) -> usize {
        room_in(self.limit.bytes(), self.process.len())
    }

    /// Returns the approximate size of the largest span that needs no trimming.
    fn largest_span(&self) -> usize {
        let own = self.room();
        self.oversize.as_ref().map_or(own, |other| own.max(other.largest_span()))
    }

    fn tick(&mut self) {
        // A panic of the transport must not end the thread.
        let _ = panics::catch(|| self.transport.tick());
        if let Some(other) = &mut self.oversize {
            other.tick();
        }
    }

    /// Sends a buffer, in place if it fits, or adds its spans to the next message.
    fn receive(&mut self, accounting: Accounting<'_>, buffer: &mut Buffer, headroom: usize) {
        let (used, count) = (buffer.end, buffer.spans);
        let fits = used - headroom <= self.room();
        if self.merges_buffers() {
            self.add_pending(accounting, &buffer.bytes[headroom..used], count);
        } else if self.format.is_canonical() && fits {
            let message = frame_in_place(
                &mut buffer.bytes,
                headroom..used,
                count,
                &self.process,
                self.sequence.wrapping_add(1),
                accounting.losses(),
            );
            self.refusals.begin();
            match self.send(accounting, &buffer.bytes[message]) {
                Attempt::Settled(sent) => {
                    let spans = List::new(count, &buffer.bytes[headroom..used]);
                    self.record_outcome(accounting, spans, sent);
                }
                other => {
                    let spans = &buffer.bytes[headroom..used];
                    let mut groups = vec![(spans, count)];
                    self.send_parts(accounting, &mut groups, Some(other));
                }
            }
        } else {
            self.send_split(accounting, &buffer.bytes[headroom..used], count);
        }
    }

    fn send(&mut self, accounting: Accounting<'_>, message: &[u8]) -> Attempt {
        let sent = panics::catch(|| (*self.transport).send(message));
        let sent =
            sent.unwrap_or_else(|message| Err(TransportError::panicked("transport", &message)));
        if let Err(TransportError::TooLarge { .. }) = sent {
            // A message that is sent again in parts keeps its number: a gap would look like loss.
            let now = clock::now();
            let is_lower = self.learn(accounting, message.len(), now);
            return Attempt::TooLarge { is_lower, may_go_on: self.refusals.too_large(now) };
        }
        self.sequence = self.sequence.wrapping_add(1);
        match sent {
            Err(error) if is_refused_list(&error) => {
                // Read before the halves are sent: a refusal known by now is of the message before.
                self.take_late_refusal(accounting);
                self.last_sent = 0;
                Attempt::Refused(error, self.refusals.refused(clock::now()))
            }
            Ok(sent) => {
                self.refusals.accepted();
                if self.limit.passed(message.len(), clock::now) {
                    self.resize_buffers(accounting);
                }
                Attempt::Settled(Ok(sent))
            }
            Err(error) => Attempt::Settled(Err(error)),
        }
    }

    /// Sends a batch of any process, which all later batches must be of, too.
    #[cfg(feature = "saved-batches")]
    fn send_batch(&mut self, accounting: Accounting<'_>, batch: &BatchView<'_>) {
        self.process = batch.process.to_bytes();
        self.send_split(accounting, batch.spans.bytes, batch.spans.count);
        self.read_receiver_state(accounting);
    }

    /// Adds spans to a message of several buffers; sends the earlier ones first if these are too
    /// many.
    fn add_pending(&mut self, accounting: Accounting<'_>, spans: &[u8], count: usize) {
        if self.pending_spans > 0 && self.is_over(self.pending.len() + spans.len()) {
            self.flush(accounting);
        }
        self.pending.extend_from_slice(spans);
        self.pending_spans += count;
        if self.is_over(self.pending.len()) {
            self.flush(accounting);
        }
    }

    /// Returns whether so many bytes of spans are likely too many for one message.
    fn is_over(&self, span_bytes: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let over = span_bytes as f64 * self.growth > self.limit.bytes() as f64;
        over
    }

    /// Sends the waiting spans.
    fn flush(&mut self, accounting: Accounting<'_>) {
        if self.pending_spans == 0 {
            return;
        }
        let mut spans = std::mem::take(&mut self.pending);
        let count = std::mem::take(&mut self.pending_spans);
        self.send_split(accounting, &spans, count);
        if spans.capacity() <= self.limit.bytes().saturating_mul(2) {
            spans.clear();
            self.pending = spans;
        }
    }

    /// Encodes a message for some spans; returns `None` if that fails.
    fn message(&mut self, accounting: Accounting<'_>, spans: List<'_>) -> Option<Vec<u8>> {
        let mut batch = BatchView::new(ProcessView::parse(&self.process).ok()?, spans);
        if self.format.is_message {
            let sequence = self.sequence.wrapping_add(1);
            batch =
                batch.with_seq_no(Some(i64::from(sequence))).with_stats(Some(accounting.losses()));
        }
        let message = (self.format.encode)(&batch).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let growth = message.len() as f64 / (spans.bytes.len() + self.process.len()).max(1) as f64;
        // The estimate follows larger values at once, smaller ones slowly.
        self.growth = growth.max(0.9 * self.growth + 0.1 * growth);
        Some(message)
    }

    /// Counts the outcome of a message with these spans.
    fn record_outcome(
        &mut self,
        accounting: Accounting<'_>,
        spans: List<'_>,
        sent: Result<Sent, TransportError>,
    ) {
        match sent {
            Ok(sent) => {
                if sent.previous_refused {
                    accounting.mark_refused(self.last_sent);
                }
                self.last_sent = accounting.record_accepted(spans.count, &sent);
            }
            Err(error) => {
                self.take_late_refusal(accounting);
                self.last_sent = 0;
                accounting.save_or_count_lost(spans, &error);
            }
        }
    }

    /// Counts the last message as lost if it was refused meanwhile.
    fn take_late_refusal(&mut self, accounting: Accounting<'_>) {
        if panics::catch(|| self.transport.take_late_refusal()).unwrap_or_default() {
            accounting.mark_refused(std::mem::take(&mut self.last_sent));
        }
    }

    /// Reads late refusals and the receiver's drops, as far as they can be known.
    fn read_receiver_state(&mut self, accounting: Accounting<'_>) {
        self.take_late_refusal(accounting);
        if let Ok(Some(drops)) = panics::catch(|| self.transport.receiver_drops()) {
            accounting.set_receiver_drops(drops);
        }
    }

    /// Learns a smaller size for messages, after one of `bytes` was too large. Returns false if it
    /// cannot be smaller.
    fn learn(&mut self, accounting: Accounting<'_>, bytes: usize, now: Instant) -> bool {
        // A server that reports a body as too large never means one as small as a datagram.
        let is_datagram = self.limit.ceiling() <= MAX_PACKET_BYTES;
        let room = if is_datagram { MIN_SPAN_ROOM } else { MIN_BODY_ROOM };
        let least = self.process.len() + room;
        if !self.limit.failed(bytes, least, now) {
            return false;
        }
        self.resize_buffers(accounting);
        let limit = self.limit.bytes();
        accounting.account.diagnostics.error(Cause::LimitLearned, || {
            format!("a message of {bytes} bytes did not pass; sending {limit} at most, no loss")
        });
        true
    }

    /// Resizes the buffers to the size of datagrams that pass, so that they can be sent in place.
    /// Where messages are made of several buffers, these keep their size.
    fn resize_buffers(&self, accounting: Accounting<'_>) {
        if accounting.account.is_primary && self.limit.ceiling() <= MAX_PACKET_BYTES {
            accounting.buffers.resize(self.limit.bytes().max(MIN_BUFFER_BYTES));
        }
    }
}

/// Writes the message around `count` spans where they are in `bytes`, and returns its range.
/// `sequence` is the number of both the message and the batch.
///
/// Before the spans, `bytes` must have room for `process` and [`HEADER_MAX`](crate::encoding::HEADER_MAX) bytes
/// more.
fn frame_in_place(
    bytes: &mut Vec<u8>,
    spans: Range<usize>,
    count: usize,
    process: &[u8],
    sequence: u32,
    stats: ClientStats,
) -> Range<usize> {
    let start = write_header(&mut bytes[..spans.start], sequence, process, count);
    if bytes.len() < spans.end + TRAILER_MAX {
        bytes.resize(spans.end + TRAILER_MAX, 0);
    }
    let trailer = &mut bytes[spans.end..];
    let trailer_len = write_trailer(trailer, Some(i64::from(sequence)), Some(stats));
    start..spans.end + trailer_len
}

/// The outcome of a message.
enum Attempt {
    /// The message was accepted, or is lost.
    Settled(Result<Sent, TransportError>),
    /// The receiver refuses the content. Whether parts of it may be sent.
    Refused(TransportError, bool),
    /// The message is too large. Whether the limit is lower now, and whether anything else may be
    /// sent.
    TooLarge { is_lower: bool, may_go_on: bool },
}

/// The minimum room beside the process: for the message, and a small span.
pub(crate) const MIN_SPAN_ROOM: usize = 150;

/// The minimum room in a body, for some spans.
const MIN_BODY_ROOM: usize = 1_200;

/// The size of the smallest buffers. Smaller datagrams are cut out of these, as each buffer takes
/// memory of the queue beside its spans.
const MIN_BUFFER_BYTES: usize = 1_200;
