//! Finished spans that are accepted as views of their bytes: those encoded before their trace was sampled, and
//! those too large for a datagram.

use super::{Shard, ShardedBuffers};
use crate::buffers::outcome::Accepted;
use crate::buffers::trim;
use crate::encoding::SpanView;
use crate::lock::MutexGuard;

impl ShardedBuffers {
    /// Writes a finished span that was encoded before its trace was sampled.
    #[cold]
    pub(crate) fn accept_view(&self, span: &SpanView<'_>) -> Accepted {
        let (room, len) = (self.room(), span.encoded_len());
        if len > room {
            return self.accept_large(room, span);
        }
        let open = |shard: &MutexGuard<'_, Shard>| !shard.closed && !self.origin.is_forked();
        let Some(mut shard) = self.lock().filter(open) else {
            return self.reject_closed();
        };
        self.place_span(&mut shard, (room, len), |out| span.write(out));
        Accepted::Yes
    }

    /// Handles a span that does not fit a datagram: passed whole for a destination that accepts it,
    /// trimmed to fit, or dropped.
    #[cold]
    pub(super) fn accept_large(&self, room: usize, span: &SpanView<'_>) -> Accepted {
        // Trimmed before the lock is taken: it takes time, and other threads may need the shard.
        let keep = span.encoded_len() <= self.max_whole_span;
        let bytes = if keep {
            let mut bytes = Vec::new();
            span.encode(&mut bytes);
            Some(bytes)
        } else {
            trim::to_fit(span, room.max(self.max_whole_span))
        };
        let open = |shard: &MutexGuard<'_, Shard>| !shard.closed && !self.origin.is_forked();
        let Some(mut shard) = self.lock().filter(open) else {
            return self.reject_closed();
        };
        match bytes {
            None => self.count_too_large(trim::described(span)),
            Some(bytes) => {
                self.change_counts(|counts| counts.outcomes.trimmed += u64::from(!keep));
                self.place_span(&mut shard, (room, bytes.len()), |out| {
                    if let Some(out) = out.get_mut(..bytes.len()) {
                        out.copy_from_slice(&bytes);
                    }
                    bytes.len()
                });
            }
        }
        Accepted::Yes
    }
}
