//! The interface for saving spans that cannot be sent any more.

use std::fmt;

use crate::encoding::List;
#[cfg(feature = "saved-batches")]
use crate::encoding::{BatchView, ProcessView, SpanView};

/// Saves spans, so that they can be sent later.
pub(crate) trait SaveSpans: fmt::Debug + Send + Sync {
    /// Saves spans of a process that a destination did not receive, or may not have received.
    /// Returns how many were saved, the first ones first; the others are lost.
    fn save(
        &self,
        destination: &str,
        process: &[u8],
        spans: List<'_>,
        is_unconfirmed: bool,
    ) -> usize;
}

/// Splits spans into `emitBatch` messages of moderate size; returns them with their numbers of
/// spans.
#[cfg(feature = "saved-batches")]
pub(super) fn batches<'a>(
    process: &'a [u8],
    spans: List<'a>,
) -> impl Iterator<Item = (Vec<u8>, usize)> + 'a {
    let process = ProcessView::parse(process).unwrap_or_default();
    let (mut at, mut left) = (0, spans.count);
    std::iter::from_fn(move || {
        let begin = at;
        let mut count = 0;
        while left > 0 && at - begin < BATCH_BYTES {
            let (_, bytes) = SpanView::parse(spans.bytes.get(at..)?).ok()?;
            (at, left, count) = (at + bytes, left - 1, count + 1);
        }
        let batch = BatchView::new(process, List::new(count, &spans.bytes[begin..at]));
        (count > 0).then(|| (batch.to_message(1), count))
    })
}

/// The size of the spans in a batch, in bytes, before the last of them.
#[cfg(feature = "saved-batches")]
const BATCH_BYTES: usize = 256 << 10;
