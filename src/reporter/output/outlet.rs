//! An output at work on the reporter's thread.

use std::sync::Arc;

use super::Reporter;
use super::emitter::Emitter;
use super::ledger::{Books, Ledger};
use crate::buffers::{Buffer, Outcome, ShardedBuffers};
use crate::encoding::{BatchView, List, ProcessView, SpanView};
use crate::span::shared::SpanShared;

#[derive(Debug)]
pub(crate) struct Outlet {
    ledger: Arc<Ledger>,
    is_primary: bool,
    process: Vec<u8>,
    end: End,
}

/// What is at the end of it.
#[derive(Debug)]
pub(crate) enum End {
    Transport(Box<Emitter>),
    Reporter(Box<dyn Reporter>),
    /// The tracer's own logger.
    Log,
}

impl Outlet {
    pub(crate) fn new(name: String, is_primary: bool, process: &[u8], end: End) -> Self {
        let ledger = Arc::new(Ledger::new(name));
        Self { ledger, is_primary, process: process.to_vec(), end }
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// The largest message it takes, if it makes any.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        match &self.end {
            End::Transport(emitter) => Some(emitter.max_bytes()),
            End::Reporter(_) | End::Log => None,
        }
    }

    /// The largest span that it takes whole, if it cares for sizes.
    pub(crate) fn largest_span(&self) -> usize {
        match &self.end {
            End::Transport(emitter) => emitter.largest_span(),
            End::Reporter(_) | End::Log => 0,
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Takes the spans of a buffer, which stay where they are.
    pub(crate) fn take(&mut self, core: &SpanShared, shards: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { ledger, is_primary, .. } = self;
        Books { core, shards, ledger, is_primary: *is_primary }.take(buffer.spans);
        self.give(core, shards, buffer);
    }

    /// The same of spans that were counted when they came into its queue.
    pub(crate) fn give(&mut self, core: &SpanShared, shards: &ShardedBuffers, buffer: &mut Buffer) {
        let Self { ledger, is_primary, process, end } = self;
        let books = Books { core, shards, ledger, is_primary: *is_primary };
        let (headroom, count) = (shards.headroom(), buffer.spans);
        match end {
            End::Transport(emitter) => emitter.take(books, buffer, headroom),
            End::Reporter(reporter) => {
                let process = ProcessView::parse(process).unwrap_or_default();
                let batch = BatchView::new(process, spans(buffer, headroom));
                match reporter.report(&batch) {
                    Ok(()) => books.complete(count, Outcome::Sent),
                    Err(error) => books.lose(count, &error),
                }
            }
            End::Log => {
                let batch = BatchView::new(ProcessView::default(), spans(buffer, headroom));
                batch.spans().for_each(|span| core.diagnostics.info(&line(&span)));
                books.complete(count, Outcome::Sent);
            }
        }
    }

    /// Has everything sent that it holds back.
    pub(crate) fn flush(&mut self, core: &SpanShared, shards: &ShardedBuffers) {
        match &mut self.end {
            End::Transport(emitter) => {
                let (ledger, is_primary) = (&*self.ledger, self.is_primary);
                let books = Books { core, shards, ledger, is_primary };
                emitter.flush(books);
                emitter.look_after(books);
            }
            End::Reporter(reporter) => reporter.flush(),
            End::Log => {}
        }
    }

    pub(crate) fn tick(&mut self) {
        if let End::Transport(emitter) = &mut self.end {
            emitter.tick();
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
