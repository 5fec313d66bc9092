//! Puts finished spans into messages of a wire format and gives them to a transport.
//!
//! Compact messages are written around the spans in place. Every other format is made from the same
//! bytes; several buffers go into one message where the transport takes large ones.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ledger::Books;
use crate::diag::Cause;
use crate::encoding::{
    BatchView, List, Member, ProcessView, SpanView, TRAILER_MAX, write_header, write_trailer,
};
use crate::error::TransportError;
use crate::ledger::{self, Buffer, Outcome, room_in};
use crate::transport::{MAX_PACKET_BYTES, Sent, Transport};

#[derive(Debug)]
pub(crate) struct Emitter {
    format: &'static Member,
    transport: Box<dyn Transport>,
    process: Vec<u8>,
    max_bytes: usize,
    /// Spans that wait for others, to go in one message with them.
    held: Vec<u8>,
    held_spans: usize,
    /// The last message's number; both the protocol's and the batch's.
    sequence: u32,
    /// The spans in the message sent last, which may yet turn out to have been refused.
    last_sent: usize,
    /// What a compact byte becomes in this format, about.
    growth: f64,
    /// Takes spans that are too large for this transport.
    oversize: Option<Box<Self>>,
}

impl Emitter {
    pub(crate) fn new(
        format: &'static Member,
        transport: Box<dyn Transport>,
        process: &[u8],
        max_bytes: usize,
        oversize: Option<Self>,
    ) -> Self {
        Self {
            format,
            max_bytes: max_bytes.min(transport.max_message_bytes()),
            transport,
            process: process.to_vec(),
            held: Vec::new(),
            held_spans: 0,
            sequence: 0,
            last_sent: 0,
            growth: if format.is_compact_batch() { 1.0 } else { 1.5 },
            oversize: oversize.map(Box::new),
        }
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The largest span that it does not have to trim, about.
    pub(crate) fn largest_span(&self) -> usize {
        let own = room_in(self.max_bytes, self.process.len());
        self.oversize.as_ref().map_or(own, |other| own.max(other.largest_span()))
    }

    pub(crate) fn tick(&mut self) {
        // Foreign code: what it does to itself must not end the thread.
        let transport = AssertUnwindSafe(&mut self.transport);
        let _ = catch_unwind(move || { transport }.tick());
        if let Some(other) = &mut self.oversize {
            other.tick();
        }
    }

    /// Sends a buffer, in place where it fits as it is, or keeps its spans for the next message.
    pub(crate) fn take(&mut self, books: Books<'_>, buffer: &mut Buffer, headroom: usize) {
        let (used, count) = (buffer.end, buffer.spans);
        let fits = used - headroom <= room_in(self.max_bytes, self.process.len());
        if self.max_bytes > MAX_PACKET_BYTES {
            self.hold(books, &buffer.bytes[headroom..used], count);
        } else if self.format.is_compact_batch() && fits {
            let sequence = self.sequence.wrapping_add(1);
            let head = &mut buffer.bytes[..headroom];
            let start = write_header(head, sequence, &self.process, count);
            if buffer.bytes.len() < used + TRAILER_MAX {
                buffer.bytes.resize(used + TRAILER_MAX, 0);
            }
            let room = &mut buffer.bytes[used..];
            let numbered = Some(i64::from(sequence));
            let end = used + write_trailer(room, numbered, Some(books.losses()));
            match self.send(&buffer.bytes[start..end]) {
                Err(TransportError::TooLarge { bytes }) if self.learn(books, bytes) => {
                    self.send_split(books, &buffer.bytes[headroom..used], count);
                }
                outcome => self.settle(books, count, outcome),
            }
        } else {
            self.send_split(books, &buffer.bytes[headroom..used], count);
        }
    }

    /// Keeps spans for a message of several buffers; sends those kept before if these are too many.
    fn hold(&mut self, books: Books<'_>, spans: &[u8], count: usize) {
        if self.held_spans > 0 && self.is_over(self.held.len() + spans.len()) {
            self.flush(books);
        }
        self.held.extend_from_slice(spans);
        self.held_spans += count;
        if self.is_over(self.held.len()) {
            self.flush(books);
        }
    }

    /// Whether so many bytes of spans are likely too many for one message.
    fn is_over(&self, span_bytes: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let over = span_bytes as f64 * self.growth > self.max_bytes as f64;
        over
    }

    /// Sends the spans that were kept.
    pub(crate) fn flush(&mut self, books: Books<'_>) {
        if self.held_spans == 0 {
            return;
        }
        let mut spans = std::mem::take(&mut self.held);
        let count = std::mem::take(&mut self.held_spans);
        self.send_split(books, &spans, count);
        if spans.capacity() <= self.max_bytes.saturating_mul(2) {
            spans.clear();
            self.held = spans;
        }
    }

    /// Sends spans in as many messages as it takes.
    fn send_split(&mut self, books: Books<'_>, spans: &[u8], count: usize) {
        let mut groups = vec![(spans, count)];
        while let Some((spans, count)) = groups.pop() {
            let hopeless =
                count > 1 && !self.format.is_compact_batch() && self.is_over(spans.len());
            let attempt =
                if hopeless { None } else { self.message(books, List::new(count, spans)) };
            let sent = match attempt {
                Some(message) if message.len() <= self.max_bytes => match self.send(&message) {
                    Err(TransportError::TooLarge { bytes }) if self.learn(books, bytes) => None,
                    outcome => Some(outcome),
                },
                _ => None,
            };
            match sent {
                Some(outcome) => self.settle(books, count, outcome),
                None if count > 1 => {
                    let (first, second) = halves(spans, count);
                    groups.push((second, count - count / 2));
                    groups.push((first, count / 2));
                }
                None => self.send_alone(books, spans),
            }
        }
    }

    /// Sends a span that does not fit a message as it is: whole where there is another way for it,
    /// and else trimmed as far as it takes.
    fn send_alone(&mut self, books: Books<'_>, span: &[u8]) {
        if let Some(other) = &mut self.oversize
            && other.send_whole(books, span)
        {
            return books.settle(1, Outcome::Sent);
        }
        let Ok((view, _)) = SpanView::parse(span) else {
            return books.lose_too_large(span, self.max_bytes);
        };
        let mut room = room_in(self.max_bytes, self.process.len()).min(span.len());
        while room > 0 {
            let Some(trimmed) = ledger::to_fit(&view, room) else { break };
            match self.message(books, List::new(1, &trimmed)) {
                Some(message) if message.len() <= self.max_bytes => match self.send(&message) {
                    Err(TransportError::TooLarge { bytes }) if self.learn(books, bytes) => {
                        room = room_in(self.max_bytes, self.process.len()).min(room);
                    }
                    outcome => {
                        if outcome.is_ok() {
                            books.count_trimmed();
                        }
                        return self.settle(books, 1, outcome);
                    }
                },
                _ => room = room * 3 / 4,
            }
        }
        books.lose_too_large(span, self.max_bytes);
    }

    /// Sends one span as it is. Whether it was taken; a failure is told, and counted by the caller.
    fn send_whole(&mut self, books: Books<'_>, span: &[u8]) -> bool {
        let Some(message) = self.message(books, List::new(1, span)) else { return false };
        if message.len() > self.max_bytes {
            return false;
        }
        match self.send(&message) {
            Ok(sent) => {
                if sent.possible_duplicate {
                    books.count_possible_duplicates(1);
                }
                true
            }
            Err(error) => {
                if let TransportError::Unconfirmed { .. } = error {
                    books.count_possible_duplicates(1);
                }
                books.core.diagnostics.error(Cause::TooLarge, || {
                    let (view, _) = SpanView::parse(span).unwrap_or_default();
                    format!("{} is trimmed, because: {error}", ledger::described(&view))
                });
                false
            }
        }
    }

    /// A message of its own for some spans; none if it cannot be written.
    fn message(&mut self, books: Books<'_>, spans: List<'_>) -> Option<Vec<u8>> {
        let mut batch = BatchView::new(ProcessView::parse(&self.process).ok()?, spans);
        if self.format.is_message {
            let sequence = self.sequence.wrapping_add(1);
            batch = batch.with_seq_no(Some(i64::from(sequence))).with_stats(Some(books.losses()));
        }
        let message = (self.format.encode)(&batch).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let growth = message.len() as f64 / (spans.bytes.len() + self.process.len()).max(1) as f64;
        // It follows larger values at once, smaller ones slowly.
        self.growth = growth.max(0.9 * self.growth + 0.1 * growth);
        Some(message)
    }

    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let transport = AssertUnwindSafe(&mut self.transport);
        let sent = catch_unwind(move || { transport }.send(message));
        let sent = sent.unwrap_or_else(|panic| Err(TransportError::panicked("transport", &*panic)));
        if !matches!(sent, Err(TransportError::TooLarge { .. })) {
            // One that did not pass for its size is sent again in parts; a gap would look like loss.
            self.sequence = self.sequence.wrapping_add(1);
        }
        sent
    }

    fn settle(&mut self, books: Books<'_>, count: usize, sent: Result<Sent, TransportError>) {
        match sent {
            Ok(sent) => {
                if sent.previous_refused {
                    books.unsend(self.last_sent);
                }
                self.last_sent = count;
                books.settle(count, Outcome::Sent);
                if sent.possible_duplicate {
                    books.count_possible_duplicates(count);
                }
            }
            Err(error) => {
                self.last_sent = 0;
                books.lose(count, &error);
            }
        }
    }

    /// Takes a smaller size for messages, after one of `bytes` did not pass. False if there is none.
    fn learn(&mut self, books: Books<'_>, bytes: usize) -> bool {
        let known = KNOWN_LIMITS.iter().copied().find(|limit| *limit < bytes.min(self.max_bytes));
        let half = (bytes > MAX_PACKET_BYTES).then(|| (bytes / 2).max(MAX_PACKET_BYTES));
        // A transport says of a size what it likes. What is no smaller would be tried for ever.
        let half = half.filter(|half| *half < self.max_bytes);
        let least = self.process.len() + 200;
        let Some(limit) = half.or(known).filter(|limit| *limit > least) else {
            return false;
        };
        self.max_bytes = limit;
        if books.is_primary && limit < MAX_PACKET_BYTES {
            books.shards.shrink(limit);
        }
        books.core.diagnostics.error(Cause::LimitLearned, || {
            format!("a message of {bytes} bytes did not pass; sending {limit} at most, no loss")
        });
        true
    }
}

/// The first half of `count` spans, and the rest.
fn halves(spans: &[u8], count: usize) -> (&[u8], &[u8]) {
    let mut at = 0;
    for _ in 0..count / 2 {
        at += SpanView::parse(&spans[at..]).map_or(0, |(_, taken)| taken);
    }
    spans.split_at(at)
}

/// Sizes that pass where larger ones do not: macOS's default, and an Ethernet frame's payload with
/// room for tunnels.
const KNOWN_LIMITS: [usize; 3] = [9_216, 1_432, 1_200];
