//! The reporter's thread: takes buffers, surrounds them with a message, sends them, counts.
//!
//! Walk step 7. It is the only thread the core starts for spans, and it needs no runtime. It renews
//! the clock's anchor, and takes partly filled buffers at each flush interval. A transport that
//! panics loses one message, not the thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::remote::RemoteOptions;
use super::shards::{Buffer, Outcome, Shards};
use super::trim;
use crate::clock;
use crate::diag::Cause;
use crate::encoding::{
    BatchView, ClientStats, List, ProcessView, SpanView, write_header, write_trailer,
};
use crate::error::{ConfigError, TransportError};
use crate::span::core::Core;
use crate::stats::Dropped;
use crate::transport::{AgentProtocol, Sent, Transport};

/// What the worker is asked for, and whom it tells when that is done.
pub(crate) enum Control {
    Flush(Sender<()>),
    Close(Sender<()>),
}

impl Control {
    fn done(self) {
        let (Self::Flush(asker) | Self::Close(asker)) = self;
        // Who asked may have stopped waiting.
        let _ = asker.send(());
    }
}

pub(crate) struct Worker {
    shards: Arc<Shards>,
    transport: Box<dyn Transport>,
    protocol: AgentProtocol,
    process: Vec<u8>,
    max_bytes: usize,
    flush_interval: Duration,
    full: Receiver<Buffer>,
    spare: Sender<Vec<u8>>,
    requests: Receiver<Control>,
    /// The last message's number; both the protocol's and the batch's.
    sequence: u32,
    /// The spans in the message sent last, which may yet turn out to have been refused.
    last_sent: usize,
    /// What a compact byte becomes in the binary protocol, at most so far.
    growth: f64,
    /// The losses that were reported.
    reported: Dropped,
    /// Gone when the worker is, however it ended.
    life: Arc<()>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        shards: Arc<Shards>,
        options: RemoteOptions,
        max_bytes: usize,
        full: Receiver<Buffer>,
        spare: Sender<Vec<u8>>,
        requests: Receiver<Control>,
    ) -> Self {
        Self {
            shards,
            transport: options.transport,
            protocol: options.protocol,
            process: options.process,
            max_bytes,
            flush_interval: options.flush_interval,
            full,
            spare,
            requests,
            sequence: 0,
            last_sent: 0,
            growth: 1.5,
            reported: Dropped::default(),
            life: Arc::default(),
        }
    }

    /// What tells whether the worker still lives.
    pub(crate) fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }

    pub(crate) fn spawn(mut self, core: Arc<Core>) -> Result<(), ConfigError> {
        let run = move || self.run(&core);
        start_thread("jaeger-client-reporter", run).map_err(|source| ConfigError::Thread { source })
    }

    fn run(&mut self, core: &Core) {
        let mut next_flush = clock::now() + self.flush_interval;
        loop {
            let wait = next_flush.saturating_duration_since(clock::now());
            select! {
                recv(self.full) -> buffer => {
                    if let Ok(buffer) = buffer {
                        self.send_buffer(core, buffer);
                    }
                }
                recv(self.requests) -> request => match request {
                    Ok(request @ Control::Flush(_)) => {
                        self.flush(core, false);
                        request.done();
                    }
                    Ok(request @ Control::Close(_)) => {
                        self.flush(core, true);
                        request.done();
                        // Whoever asked meanwhile has what was asked for.
                        self.requests.try_iter().for_each(Control::done);
                        return;
                    }
                    // Nobody can ask for anything any more, so nobody will ever close it.
                    Err(_) => return self.flush(core, true),
                },
                default(wait) => {}
            }
            // Also under load, when there is always a buffer to send and no wait ever ends.
            let now = clock::now();
            if now >= next_flush {
                next_flush = self.tick(core, now);
            }
        }
    }

    fn tick(&mut self, core: &Core, now: Instant) -> Instant {
        // The clock may be foreign code, like the transport.
        let _ = catch_unwind(AssertUnwindSafe(|| core.anchor.renew(&*core.clock)));
        self.flush(core, false);
        let transport = AssertUnwindSafe(&mut self.transport);
        let _ = catch_unwind(move || { transport }.tick());
        self.report_losses(core);
        now + self.flush_interval
    }

    /// Sends all that was finished before: what lies in the queue, then what lies in the buffers.
    fn flush(&mut self, core: &Core, close: bool) {
        let mut stolen = Vec::new();
        self.shards.steal(close, |buffer| stolen.push(buffer));
        // Only as many as there are now: under load the queue never gets empty.
        for buffer in self.full.try_iter().take(self.full.len()).collect::<Vec<_>>() {
            self.send_buffer(core, buffer);
        }
        for buffer in stolen {
            self.send_buffer(core, buffer);
        }
        if close {
            self.report_losses(core);
        }
    }

    /// Sends a buffer, in place where it fits as it is, and gives its memory back.
    fn send_buffer(&mut self, core: &Core, mut buffer: Buffer) {
        let headroom = self.shards.headroom();
        let count = buffer.spans;
        let used = buffer.end;
        let fits = used - headroom <= self.shards.room();
        if self.protocol == AgentProtocol::Compact && fits {
            let stats = self.client_stats();
            let sequence = self.sequence.wrapping_add(1);
            let head = &mut buffer.bytes[..headroom];
            let start = write_header(head, sequence, &self.process, count);
            let room = &mut buffer.bytes[used..];
            let end = used + write_trailer(room, Some(i64::from(sequence)), Some(stats));
            let sent = self.send(&buffer.bytes[start..end]);
            match sent {
                Err(TransportError::TooLarge { bytes }) if self.learn(core, bytes) => {
                    self.send_split(core, &buffer.bytes[headroom..used], count);
                }
                outcome => self.settle(core, count, outcome),
            }
        } else {
            self.send_split(core, &buffer.bytes[headroom..used], count);
        }
        let _ = self.spare.try_send(buffer.bytes);
    }

    /// Sends spans in as many messages as it takes.
    fn send_split(&mut self, core: &Core, spans: &[u8], count: usize) {
        let mut groups = vec![(spans, count)];
        while let Some((spans, count)) = groups.pop() {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let estimate = spans.len() as f64 * self.growth;
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let hopeless = self.protocol == AgentProtocol::Binary
                && count > 1
                && estimate > self.max_bytes as f64;
            let attempt = if hopeless { None } else { self.message(List::new(count, spans)) };
            let sent = match attempt {
                Some(message) if message.len() <= self.max_bytes => {
                    let sent = self.send(&message);
                    match sent {
                        Err(TransportError::TooLarge { bytes }) if self.learn(core, bytes) => None,
                        outcome => Some(outcome),
                    }
                }
                _ => None,
            };
            match sent {
                Some(outcome) => self.settle(core, count, outcome),
                None if count > 1 => {
                    let (first, second) = halves(spans, count);
                    groups.push((second, count - count / 2));
                    groups.push((first, count / 2));
                }
                None => self.send_alone(core, spans),
            }
        }
    }

    /// Sends a span that does not fit a message as it is, trimmed as far as it takes.
    fn send_alone(&mut self, core: &Core, span: &[u8]) {
        let Ok((view, _)) = SpanView::parse(span) else {
            return self.shards.settle(1, Outcome::TooLarge);
        };
        let mut room = self.shards.room().min(span.len());
        while room > 0 {
            let Some(trimmed) = trim::to_fit(&view, room) else { break };
            match self.message(List::new(1, &trimmed)) {
                Some(message) if message.len() <= self.max_bytes => match self.send(&message) {
                    Err(TransportError::TooLarge { bytes }) if self.learn(core, bytes) => {
                        room = self.shards.room().min(room);
                    }
                    outcome => {
                        if outcome.is_ok() {
                            self.shards.count_trimmed();
                        }
                        return self.settle(core, 1, outcome);
                    }
                },
                _ => room = room * 3 / 4,
            }
        }
        self.shards.settle(1, Outcome::TooLarge);
    }

    /// A message of its own for some spans; none if it cannot be written.
    fn message(&mut self, spans: List<'_>) -> Option<Vec<u8>> {
        let stats = self.client_stats();
        let sequence = self.sequence.wrapping_add(1);
        let batch = BatchView::new(ProcessView::parse(&self.process).ok()?, spans)
            .with_seq_no(Some(i64::from(sequence)))
            .with_stats(Some(stats));
        if self.protocol == AgentProtocol::Compact {
            return Some(batch.to_message(sequence));
        }
        let message = batch.to_binary_message(sequence.cast_signed()).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let growth = message.len() as f64 / (spans.bytes.len() + self.process.len()).max(1) as f64;
        self.growth = self.growth.max(growth);
        Some(message)
    }

    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let transport = AssertUnwindSafe(&mut self.transport);
        let sent = catch_unwind(move || { transport }.send(message));
        let sent = sent.unwrap_or_else(|_| {
            let source = std::io::Error::other("the transport panicked");
            Err(TransportError::Io { source })
        });
        if !matches!(sent, Err(TransportError::TooLarge { .. })) {
            // One that did not pass for its size is sent again in parts; a gap would look like loss.
            self.sequence = self.sequence.wrapping_add(1);
        }
        sent
    }

    fn settle(&mut self, core: &Core, count: usize, sent: Result<Sent, TransportError>) {
        match sent {
            Ok(sent) => {
                if sent.previous_refused {
                    self.shards.unsend(self.last_sent);
                }
                self.last_sent = count;
                self.shards.settle(count, Outcome::Sent);
            }
            Err(error) => {
                self.last_sent = 0;
                self.shards.settle(count, Outcome::SendFailed);
                core.diagnostics.error(Cause::SendFailed, || {
                    format!("{count} spans lost, counted as send_failed: {error}")
                });
            }
        }
    }

    /// Takes a smaller size for messages, after one of `bytes` did not pass. False if there is none.
    fn learn(&mut self, core: &Core, bytes: usize) -> bool {
        let known = KNOWN_LIMITS.iter().copied().find(|limit| *limit < bytes.min(self.max_bytes));
        let Some(limit) = known.filter(|limit| *limit > self.process.len() + 200) else {
            return false;
        };
        self.max_bytes = limit;
        self.shards.shrink(limit);
        core.diagnostics.error(Cause::LimitLearned, || {
            format!("a datagram of {bytes} bytes did not pass; sending {limit} at most, no loss")
        });
        true
    }

    fn client_stats(&self) -> ClientStats {
        let dropped = self.shards.dropped();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        ClientStats::new(
            count(dropped.queue_full),
            count(dropped.too_large),
            count(dropped.send_failed),
        )
    }

    fn report_losses(&mut self, core: &Core) {
        let dropped = self.shards.dropped();
        let before = std::mem::replace(&mut self.reported, dropped);
        if dropped.queue_full > before.queue_full {
            core.diagnostics.error(Cause::QueueFull, || {
                format!("{} spans dropped so far because the queue was full", dropped.queue_full)
            });
        }
        if dropped.too_large > before.too_large {
            core.diagnostics.error(Cause::TooLarge, || {
                format!("{} spans dropped so far as too large", dropped.too_large)
            });
        }
    }
}

/// Runs `work` on a thread of its own: for waits that must not hold a runtime's thread.
#[cfg(feature = "tokio")]
pub(crate) fn wait_aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    start_thread("jaeger-client-wait", work)
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
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
