//! The sinks of finished spans.

use std::fmt;
use std::sync::Arc;

use crate::buffers::{Accepted, ShardedBuffers};
use crate::encoding::{SpanParts, SpanView};
use crate::stats::Stats;

/// Accepts finished spans. The reporter is behind it; a span does not know which.
pub(crate) trait SpanSink: fmt::Debug + Send + Sync {
    /// Accepts a finished, sampled span.
    fn accept(&self, span: SpanParts<'_>) -> Accepted;

    /// Accepts a span that was encoded before its trace was sampled.
    fn accept_view(&self, span: &SpanView<'_>) -> Accepted;

    /// Adds the counts of the spans accepted so far, as one consistent reading.
    fn read(&self, stats: &mut Stats);
}

/// The sink of a tracer: buffers that are sent from another thread, which must cost little, or a
/// sink that takes spans where they are finished.
#[derive(Debug)]
pub(crate) enum Sink {
    ShardedBuffers(Arc<ShardedBuffers>),
    Other(Box<dyn SpanSink>),
}

impl Sink {
    pub(crate) fn accept_view(&self, span: &SpanView<'_>) -> Accepted {
        match self {
            Self::ShardedBuffers(shards) => shards.accept_view(span),
            Self::Other(other) => other.accept_view(span),
        }
    }

    pub(in crate::span) fn read(&self, stats: &mut Stats) {
        match self {
            Self::ShardedBuffers(shards) => shards.read(stats),
            Self::Other(other) => other.read(stats),
        }
    }
}
