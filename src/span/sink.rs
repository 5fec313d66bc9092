//! Where finished spans go.

use std::fmt;
use std::sync::Arc;

use crate::buffers::ShardedBuffers;
use crate::encoding::{SpanParts, SpanView};
use crate::stats::Stats;

/// Takes finished spans. The reporter is behind it; a span does not know which.
pub(crate) trait SpanSink: fmt::Debug + Send + Sync {
    /// Takes a finished, sampled span. `stripe` is the number of the calling thread. False if it is
    /// closed; the span is counted all the same.
    fn accept(&self, stripe: usize, span: SpanParts<'_>) -> bool;

    /// The same for a span that was encoded before it was a sampled one.
    fn accept_view(&self, stripe: usize, span: &SpanView<'_>) -> bool;

    /// Adds what became of the spans taken so far, as one consistent reading.
    fn read(&self, stats: &mut Stats);
}

/// Whether a sink has taken a span. The span is counted all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Accepted {
    Yes,
    /// The tracer was closed before.
    Closed,
}

impl Accepted {
    #[inline(always)]
    fn of(is_open: bool) -> Self {
        if is_open { Self::Yes } else { Self::Closed }
    }
}

/// Where a tracer's finished spans go: into buffers that are sent from another thread, which is the
/// way that must cost little, or to something that takes them where they are finished.
#[derive(Debug)]
pub(crate) enum Sink {
    ShardedBuffers(Arc<ShardedBuffers>),
    Other(Box<dyn SpanSink>),
}

impl Sink {
    #[inline(always)]
    pub(crate) fn accept(&self, stripe: usize, span: SpanParts<'_>) -> Accepted {
        Accepted::of(match self {
            Self::ShardedBuffers(shards) => shards.accept(stripe, span),
            Self::Other(other) => other.accept(stripe, span),
        })
    }

    pub(crate) fn accept_view(&self, stripe: usize, span: &SpanView<'_>) -> bool {
        match self {
            Self::ShardedBuffers(shards) => shards.accept_view(stripe, span),
            Self::Other(other) => other.accept_view(stripe, span),
        }
    }

    pub(in crate::span) fn read(&self, stats: &mut Stats) {
        match self {
            Self::ShardedBuffers(shards) => shards.read(stats),
            Self::Other(other) => other.read(stats),
        }
    }
}
