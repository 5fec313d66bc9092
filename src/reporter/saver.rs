//! What takes spans that cannot be sent any more.

use std::fmt;

use crate::encoding::List;
#[cfg(feature = "saved-batches")]
use crate::encoding::{BatchView, ProcessView, SpanView};

/// Takes spans over, so that they can be sent another time.
pub(crate) trait SaveSpans: fmt::Debug + Send + Sync {
    /// Takes spans of a process that a destination did not get, or of which it is not known whether it
    /// did. How many it took, the first ones first; the others are lost.
    fn save(
        &self,
        destination: &str,
        process: &[u8],
        spans: List<'_>,
        is_unconfirmed: bool,
    ) -> usize;
}

/// Spans as `emitBatch` messages of a moderate size, and how many are in each.
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

/// How many bytes of spans a batch has, before the last of them.
#[cfg(feature = "saved-batches")]
const BATCH_BYTES: usize = 256 << 10;
