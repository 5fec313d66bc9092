//! The limited logs of a span: the first ones and the last ones.
//!
//! Step 4 in the life of a span, on the slow path. A span without a limit has nothing of it.

use std::collections::VecDeque;

use crate::encoding::TagBuffer;

/// The bytes of a span's logs that are retained.
///
/// Logs are appended as usual. Overwritten ones leave a gap between the first ones, which stay, and
/// the last ones; it is closed before it is longer than the bytes behind it.
///
/// # Source
///
/// `appendLogNoLocking` and `fixLogs` in jaeger-client-go, `span.go`.
#[derive(Debug, Default)]
pub(in crate::span) struct LogRing {
    /// The number of logs that always stay, and where they end.
    first: usize,
    first_end: usize,
    /// The start of the oldest of the others.
    others_at: usize,
    /// Length and time of each of the others, the oldest first.
    others: VecDeque<(usize, i64)>,
    dropped: i64,
}

impl LogRing {
    /// Notes an appended log, and overwrites the oldest if there are more than `max`. Returns
    /// whether it did.
    pub(super) fn added(
        &mut self,
        logs: &mut TagBuffer,
        before: usize,
        micros: i64,
        max: usize,
    ) -> bool {
        if logs.is_too_large() {
            return false;
        }
        let first = max.saturating_sub(1) / 2;
        if self.first < first {
            self.first += 1;
            self.first_end = logs.len();
            self.others_at = logs.len();
            return false;
        }
        self.others.push_back((logs.len() - before, micros));
        if self.others.len() <= max - first {
            return false;
        }
        self.drop_oldest();
        if self.others_at - self.first_end >= logs.len() - self.others_at {
            self.close_gap(logs);
        }
        true
    }

    /// Drops the oldest log and returns its time.
    fn drop_oldest(&mut self) -> Option<i64> {
        let (bytes, micros) = self.others.pop_front()?;
        self.others_at += bytes;
        self.dropped += 1;
        Some(micros)
    }

    fn close_gap(&mut self, logs: &mut TagBuffer) {
        logs.remove(self.first_end, self.others_at);
        self.others_at = self.first_end;
    }

    /// Puts the logs in order. If any was dropped, a log with their number replaces the oldest
    /// remaining one.
    pub(super) fn close(&mut self, logs: &mut TagBuffer) {
        self.note_dropped(logs);
        self.clear();
    }

    /// Begins anew, without logs.
    pub(super) fn clear(&mut self) {
        (self.first, self.first_end, self.others_at, self.dropped) = (0, 0, 0, 0);
        self.others.clear();
        // A large limit must not keep memory for ever.
        self.others.shrink_to(MAX_REUSED);
    }

    fn note_dropped(&mut self, logs: &mut TagBuffer) {
        if self.dropped == 0 {
            return;
        }
        let Some(micros) = self.drop_oldest() else { return };
        let end = logs.len();
        logs.log_head(micros, 3);
        logs.tag_text(b"event", b"dropped Span logs");
        logs.tag_long(b"dropped_log_count", self.dropped);
        logs.tag_text(b"component", b"jaeger-client");
        logs.push(0);
        logs.move_last(end, self.others_at);
        self.close_gap(logs);
    }
}

/// The number of logs whose memory is reused.
const MAX_REUSED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::MAX_LIST_BYTES;

    #[test]
    fn logs_that_are_too_large_are_not_noted() {
        let (mut logs, mut ring) = (TagBuffer::default(), LogRing::default());
        for bytes in [100, 100, 100, MAX_LIST_BYTES as usize, 1, 1, 1, 1] {
            // What a log appends to is empty once it is too large.
            let before = if logs.is_too_large() { 0 } else { logs.len() };
            logs.extend(&vec![0; bytes]);
            let overwrites = ring.added(&mut logs, before, 0, 2);
            assert!(!(logs.is_too_large() && overwrites));
        }
    }
}
