//! A destination at work.

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
use super::counts::{Accounting, DestinationCounts};
use crate::buffers::{Buffer, Outcome, ShardedBuffers};
use crate::diag::Diagnostics;
use crate::encoding::{BatchView, List, ProcessView};

/// Sends the spans of buffers to one destination, on the thread that holds it, and counts what became
/// of them.
#[derive(Debug)]
pub(crate) struct Exporter {
    counts: Arc<DestinationCounts>,
    diagnostics: Arc<Diagnostics>,
    is_primary: bool,
    process: Vec<u8>,
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
    fn new(
        name: String,
        is_primary: bool,
        options: &ExporterOptions<'_>,
        kind: ExporterKind,
    ) -> Self {
        Self {
            counts: Arc::new(DestinationCounts::new(name)),
            diagnostics: Arc::clone(options.diagnostics),
            is_primary,
            process: options.process.to_vec(),
            kind,
        }
    }

    pub(crate) fn counts(&self) -> Arc<DestinationCounts> {
        Arc::clone(&self.counts)
    }

    /// The largest message it sends, if it sends any.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        match &self.kind {
            ExporterKind::Transport(batcher) => Some(batcher.max_bytes()),
            ExporterKind::Reporter(_) => None,
        }
    }

    /// The largest span that it takes whole; 0 if sizes are nothing to it.
    pub(crate) fn largest_span(&self) -> usize {
        match &self.kind {
            ExporterKind::Transport(batcher) => batcher.largest_span(),
            ExporterKind::Reporter(_) => 0,
        }
    }

    fn accounting<'a>(&'a self, buffers: &'a ShardedBuffers) -> Accounting<'a> {
        let Self { counts, diagnostics, is_primary, .. } = self;
        Accounting { diagnostics, buffers, counts, is_primary: *is_primary }
    }

    /// Counts the spans of a buffer as taken, and exports them.
    pub(crate) fn take(&mut self, buffers: &ShardedBuffers, buffer: &mut Buffer) {
        self.accounting(buffers).count_taken(buffer.spans);
        self.export(buffers, buffer);
    }

    /// Exports the spans of a buffer, which were counted when they came into its queue. They stay in the
    /// buffer.
    pub(crate) fn export(&mut self, buffers: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { counts, diagnostics, is_primary, process, kind } = self;
        let accounting = Accounting { diagnostics, buffers, counts, is_primary: *is_primary };
        let (headroom, count) = (buffers.headroom(), buffer.spans);
        match kind {
            ExporterKind::Transport(batcher) => batcher.take(accounting, buffer, headroom),
            ExporterKind::Reporter(reporter) => {
                let process = ProcessView::parse(process).unwrap_or_default();
                let spans = List::new(count, &buffer.bytes[headroom..buffer.end]);
                match reporter.report(&BatchView::new(process, spans)) {
                    Ok(()) => accounting.complete(count, Outcome::Sent),
                    Err(error) => accounting.count_lost(count, &error),
                }
            }
        }
    }

    /// Sends everything that waits for more spans.
    pub(crate) fn flush(&mut self, buffers: &ShardedBuffers) {
        let Self { counts, diagnostics, is_primary, kind, .. } = self;
        let accounting = Accounting { diagnostics, buffers, counts, is_primary: *is_primary };
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
