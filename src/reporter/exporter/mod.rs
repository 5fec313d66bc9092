//! Exporters: the sending side of destinations.

mod batcher;
mod build;
mod message_limit;
mod refusals;
mod thread;

use std::sync::Arc;

use self::batcher::Batcher;
pub(crate) use self::batcher::MIN_SPAN_ROOM;
pub(crate) use self::build::ExporterOptions;
pub(super) use self::thread::{ExporterThread, ThreadContext};
use super::Reporter;
use super::counts::{Account, Accounting, DestinationCounts};
use crate::buffers::{Buffer, Outcome, ShardedBuffers};
use crate::encoding::{BatchView, List, ProcessView};

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
    pub(crate) fn take(&mut self, buffers: &ShardedBuffers, buffer: &mut Buffer) {
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
            ExporterKind::Transport(batcher) => batcher.take(accounting, buffer, headroom),
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
        Ok(()) => accounting.complete(spans.count, Outcome::Sent),
        Err(error) => accounting.give_up(spans, &error),
    }
}
