//! Puts spans into messages that fit, sends them, and counts what became of them.

use std::fmt::Display;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use jaeger_client::TransportError;
use jaeger_client::encoding::{BatchView, ClientStats, EncodingKind, List, ProcessView, SpanView};
use jaeger_client::transport::{Sent, Transport};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;

use super::account::{ExporterAccount, ExporterStats};
use super::convert::SpanWriter;
use super::now;

/// A destination, and the limits that it has shown.
#[derive(Debug)]
pub(super) struct Sender {
    transport: Box<dyn Transport>,
    encoding: &'static EncodingKind,
    account: ExporterAccount,
    writer: SpanWriter,
    max_bytes: usize,
    sequence: i64,
    /// The spans of the message sent last, which may yet turn out to have been refused.
    last_sent: usize,
    /// The approximate size in this encoding of one canonical byte.
    growth: f64,
}

/// The canonical bytes of an export's spans.
#[derive(Debug, Default)]
struct Spans {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Spans {
    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        let end = |index: usize| index.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[end(range.start)..end(range.end)]
    }
}

/// One export in progress.
struct Export<'a> {
    process: &'a [u8],
    deadline: Instant,
    lost: usize,
    error: Option<String>,
    /// Messages that the server has refused because of what is in them.
    refusals: u32,
}

impl Export<'_> {
    fn lose(&mut self, spans: usize, error: impl Display) {
        self.lost += spans;
        self.error.get_or_insert_with(|| error.to_string());
    }
}

impl Sender {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        encoding: &'static EncodingKind,
        max_bytes: usize,
        account: ExporterAccount,
    ) -> Self {
        Self {
            max_bytes,
            encoding,
            transport,
            account,
            writer: SpanWriter::default(),
            sequence: 0,
            last_sent: 0,
            growth: 1.0,
        }
    }

    /// Sends a batch; the error says how many spans of it did not leave, and why the first of them.
    pub(super) fn export(
        &mut self,
        process: &[u8],
        batch: &[SpanData],
        deadline: Instant,
    ) -> OTelSdkResult {
        let mut spans = Spans::default();
        for span in batch {
            self.writer.write(span, &mut spans.bytes);
            spans.ends.push(spans.bytes.len());
        }
        let mut export = Export { process, deadline, lost: 0, error: None, refusals: 0 };
        let mut groups = self.groups(process, &spans);
        while let Some(group) = groups.pop() {
            if let Some((first, second)) = self.send_group(&mut export, &spans, group) {
                groups.push(second);
                groups.push(first);
            }
        }
        match export.error {
            Some(error) => Err(OTelSdkError::InternalFailure(format!(
                "{} of {} spans were not sent: {error}",
                export.lost,
                batch.len()
            ))),
            None => Ok(()),
        }
    }

    /// Spans that are likely to fit one message each, the last group first.
    fn groups(&self, process: &[u8], spans: &Spans) -> Vec<Range<usize>> {
        let room = self.max_bytes.saturating_sub(process.len() + ENVELOPE_BYTES);
        let (mut groups, mut group, mut start) = (Vec::new(), 0..0, 0);
        for (index, end) in spans.ends.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let is_over = (end - start) as f64 * self.growth > room as f64;
            if is_over && !group.is_empty() {
                start = spans.ends[index - 1];
                groups.push(std::mem::replace(&mut group, index..index));
            }
            group.end = index + 1;
        }
        groups.push(group);
        groups.retain(|group| !group.is_empty());
        groups.reverse();
        groups
    }

    /// Sends a group in one message. Gives its halves if they are to be sent instead.
    fn send_group(
        &mut self,
        export: &mut Export<'_>,
        spans: &Spans,
        group: Range<usize>,
    ) -> Option<(Range<usize>, Range<usize>)> {
        let count = group.len();
        if now() >= export.deadline {
            self.account.settle(count, |stats| &mut stats.dropped.timed_out);
            export.lose(count, "the time for the export has passed");
            return None;
        }
        let bytes = spans.bytes(&group);
        let message = self.message(export.process, List::new(count, bytes));
        let is_too_large = match message {
            Ok(message) if message.len() <= self.max_bytes => match self.send(&message, count) {
                Ok(()) => return None,
                Err(TransportError::TooLarge { .. }) => {
                    // Learned for all that follow; never so low that the process has no place.
                    let least = export.process.len() + MIN_MESSAGE_BYTES;
                    self.max_bytes = (message.len() / 2).max(least).min(self.max_bytes);
                    true
                }
                Err(error) if is_refusal(&error) && count > 1 && export.refusals < MAX_REFUSALS => {
                    export.refusals += 1;
                    false
                }
                Err(error) => {
                    self.lose(export, count, &error);
                    return None;
                }
            },
            Ok(_) => true,
            Err(error) => {
                self.account.settle(count, |stats| &mut stats.dropped.send_failed);
                export.lose(count, error);
                return None;
            }
        };
        if count == 1 && is_too_large {
            self.send_trimmed(export, bytes);
            return None;
        }
        let middle = group.start + count / 2;
        Some((group.start..middle, middle..group.end))
    }

    /// Sends a span that does not fit a message, cut as far as it takes.
    fn send_trimmed(&mut self, export: &mut Export<'_>, span: &[u8]) {
        let mut room = self.max_bytes.saturating_sub(export.process.len() + ENVELOPE_BYTES);
        if let Ok((view, _)) = SpanView::parse(span) {
            while let Some(trimmed) = view.trimmed_to(room) {
                match self.message(export.process, List::new(1, &trimmed)) {
                    Ok(message) if message.len() <= self.max_bytes => {
                        match self.send(&message, 1) {
                            Ok(()) => return self.account.note(|stats| stats.trimmed += 1),
                            Err(TransportError::TooLarge { .. }) => {}
                            Err(error) => return self.lose(export, 1, &error),
                        }
                    }
                    _ => {}
                }
                room = room * 3 / 4;
            }
        }
        self.account.settle(1, |stats| &mut stats.dropped.too_large);
        export.lose(1, format_args!("a span of {} bytes fits no message", span.len()));
    }

    fn message(&mut self, process: &[u8], spans: List<'_>) -> Result<Vec<u8>, String> {
        let process_view = ProcessView::parse(process).map_err(|error| error.to_string())?;
        let mut batch = BatchView::new(process_view, spans);
        if self.encoding.is_message {
            let sequence = self.sequence + 1;
            batch = batch.with_seq_no(Some(sequence)).with_stats(Some(self.losses()));
        }
        let message = (self.encoding.encode)(&batch).map_err(|error| error.to_string())?;
        let for_spans = message.len().saturating_sub(process.len() + ENVELOPE_BYTES);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let growth = for_spans as f64 / spans.bytes.len().max(1) as f64;
        // The estimate follows larger values at once, smaller ones slowly.
        self.growth = growth.max(0.9 * self.growth + 0.1 * growth).max(1.0);
        Ok(message)
    }

    /// Returns the losses that are reported to an agent.
    fn losses(&self) -> ClientStats {
        let dropped = self.account.stats().dropped;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        ClientStats::new(
            count(dropped.queue_full),
            count(dropped.too_large),
            count(dropped.send_failed + dropped.timed_out),
        )
    }

    /// Sends a message, and counts its spans if it was taken.
    fn send(&mut self, message: &[u8], count: usize) -> Result<(), TransportError> {
        let sent = catch_unwind(AssertUnwindSafe(|| self.transport.send(message)))
            .unwrap_or_else(|_| Err(panicked()));
        let Sent { previous_refused, possible_duplicate, .. } = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.take_late_refusal();
                self.last_sent = 0;
                return Err(error);
            }
        };
        self.sequence += 1;
        if previous_refused {
            self.unsend();
        }
        self.last_sent = count;
        self.account.settle(count, |stats| &mut stats.sent);
        self.account.note(|stats| {
            stats.messages += 1;
            if possible_duplicate {
                stats.possible_duplicates += count as u64;
            }
        });
        Ok(())
    }

    fn lose(&self, export: &mut Export<'_>, count: usize, error: &TransportError) {
        self.account.settle(count, |stats| &mut stats.dropped.send_failed);
        if matches!(error, TransportError::Unconfirmed { .. }) {
            self.account.note(|stats| stats.unconfirmed += count as u64);
        }
        export.lose(count, error);
    }

    /// Counts the spans of the message sent last as lost: the receiver's host has refused it.
    fn unsend(&mut self) {
        let count = std::mem::take(&mut self.last_sent) as u64;
        self.account.note(|stats: &mut ExporterStats| {
            let moved = count.min(stats.sent);
            stats.sent -= moved;
            stats.dropped.send_failed += moved;
        });
    }

    fn take_late_refusal(&mut self) {
        let refused = catch_unwind(AssertUnwindSafe(|| self.transport.take_late_refusal()));
        if refused.unwrap_or_default() {
            self.unsend();
        }
    }

    /// Learns what became of messages after they were sent, as far as it can be known.
    pub(super) fn look_after(&mut self) {
        self.take_late_refusal();
        let drops = catch_unwind(AssertUnwindSafe(|| self.transport.receiver_drops()));
        if let Ok(Some(drops)) = drops {
            self.account.note(|stats| stats.receiver_drops = Some(drops));
        }
    }

    /// Does the work that is due about once a second.
    pub(super) fn tick(&mut self) {
        // A panic of the transport must not end the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| self.transport.tick()));
        self.look_after();
    }
}

/// Returns whether a server refuses the content of a message, so that parts of it may be accepted.
fn is_refusal(error: &TransportError) -> bool {
    matches!(error, TransportError::Status { status: 400 | 422, .. })
}

fn panicked() -> TransportError {
    TransportError::Io { source: std::io::Error::other("the transport panicked") }
}

/// The maximum size of a message around its process and its spans.
const ENVELOPE_BYTES: usize = 128;

/// The smallest message that is of use.
pub(super) const MIN_MESSAGE_BYTES: usize = 1_024;

/// How often an export's messages are halved because a server refuses them.
const MAX_REFUSALS: u32 = 32;
