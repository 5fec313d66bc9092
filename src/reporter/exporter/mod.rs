//! A destination at work on the reporter's thread.

use std::sync::Arc;

mod batcher;
mod message_limit;
mod refusals;
mod thread;

pub(super) use self::batcher::Batcher;
pub(crate) use self::batcher::MIN_SPAN_ROOM;
pub(super) use self::thread::{Completion, ExporterThread, ThreadContext};
use super::Reporter;
use super::counts::{Accounting, DestinationCounts};
use crate::buffers::{Buffer, Outcome, ShardedBuffers};
use crate::encoding::{BatchView, List, ProcessView, SpanView};
use crate::span::shared::SpanShared;

#[derive(Debug)]
pub(crate) struct Exporter {
    counts: Arc<DestinationCounts>,
    is_primary: bool,
    process: Vec<u8>,
    end: ExporterKind,
}

/// What is at the end of it.
#[derive(Debug)]
pub(crate) enum ExporterKind {
    Transport(Box<Batcher>),
    Reporter(Box<dyn Reporter>),
    /// The tracer's own logger.
    Log,
}

impl Exporter {
    pub(crate) fn new(name: String, is_primary: bool, process: &[u8], end: ExporterKind) -> Self {
        let counts = Arc::new(DestinationCounts::new(name));
        Self { counts, is_primary, process: process.to_vec(), end }
    }

    pub(crate) fn counts(&self) -> Arc<DestinationCounts> {
        Arc::clone(&self.counts)
    }

    /// The largest message it takes, if it makes any.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        match &self.end {
            ExporterKind::Transport(batcher) => Some(batcher.max_bytes()),
            ExporterKind::Reporter(_) | ExporterKind::Log => None,
        }
    }

    /// The largest span that it takes whole, if it cares for sizes.
    pub(crate) fn largest_span(&self) -> usize {
        match &self.end {
            ExporterKind::Transport(batcher) => batcher.largest_span(),
            ExporterKind::Reporter(_) | ExporterKind::Log => 0,
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Takes the spans of a buffer, which stay where they are.
    pub(crate) fn take(&mut self, core: &SpanShared, shards: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { counts, is_primary, .. } = self;
        Accounting { core, shards, counts, is_primary: *is_primary }.take(buffer.spans);
        self.give(core, shards, buffer);
    }

    /// The same of spans that were counted when they came into its queue.
    pub(crate) fn give(&mut self, core: &SpanShared, shards: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { counts, is_primary, process, end } = self;
        let accounting = Accounting { core, shards, counts, is_primary: *is_primary };
        let (headroom, count) = (shards.headroom(), buffer.spans);
        match end {
            ExporterKind::Transport(batcher) => batcher.take(accounting, buffer, headroom),
            ExporterKind::Reporter(reporter) => {
                let process = ProcessView::parse(process).unwrap_or_default();
                let batch = BatchView::new(process, spans(buffer, headroom));
                match reporter.report(&batch) {
                    Ok(()) => accounting.complete(count, Outcome::Sent),
                    Err(error) => accounting.count_lost(count, &error),
                }
            }
            ExporterKind::Log => {
                let batch = BatchView::new(ProcessView::default(), spans(buffer, headroom));
                batch.spans().for_each(|span| core.diagnostics.info(&line(&span)));
                accounting.complete(count, Outcome::Sent);
            }
        }
    }

    /// Has everything sent that it holds back.
    pub(crate) fn flush(&mut self, core: &SpanShared, shards: &ShardedBuffers) {
        match &mut self.end {
            ExporterKind::Transport(batcher) => {
                let (counts, is_primary) = (&*self.counts, self.is_primary);
                let accounting = Accounting { core, shards, counts, is_primary };
                batcher.flush(accounting);
                batcher.read_receiver_state(accounting);
            }
            ExporterKind::Reporter(reporter) => reporter.flush(),
            ExporterKind::Log => {}
        }
    }

    pub(crate) fn tick(&mut self) {
        if let ExporterKind::Transport(batcher) = &mut self.end {
            batcher.tick();
        }
    }
}

fn spans(buffer: &Buffer, headroom: usize) -> List<'_> {
    List::new(buffer.spans, &buffer.bytes[headroom..buffer.end])
}

/// A span as the logger is told it: its context and its name.
fn line(span: &SpanView<'_>) -> String {
    let SpanView { trace_id, span_id, flags, .. } = span;
    let parent = span.parent_span_id;
    format!("Reporting span {trace_id}:{span_id}:{parent}:{flags:x} {}", span.operation())
}
