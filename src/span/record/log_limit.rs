//! The logs of a span that may keep only so many: the first ones and the last ones.
//!
//! Walk step 4, on the slow path. It lies with what few spans have, so that a span without a limit
//! has nothing of it.

use std::collections::VecDeque;

use crate::encoding::TagBuffer;

/// Which bytes of a span's logs are still wanted.
///
/// Logs are appended as always. Those that are overwritten leave a gap between the first ones, which
/// stay, and the last ones; it is closed before it is longer than what lies behind it.
///
/// # Source
///
/// `appendLogNoLocking` and `fixLogs` in jaeger-client-go, `span.go`.
#[derive(Debug, Default)]
pub(in crate::span) struct LogRing {
    /// How many logs stay whatever comes, and where they end.
    first: usize,
    first_end: usize,
    /// Where the oldest of the others begins.
    others_at: usize,
    /// Bytes and moment of each of the others, the oldest first.
    others: VecDeque<(usize, i64)>,
    dropped: i64,
}

impl LogRing {
    /// Notes that a log was appended, and overwrites the oldest where there are more than `max`. Tells
    /// whether it did.
    pub(super) fn added(
        &mut self,
        logs: &mut TagBuffer,
        before: usize,
        micros: i64,
        max: usize,
    ) -> bool {
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

    /// When the oldest was logged. It is dropped.
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

    /// Puts the logs in order. If any was dropped, one that says how many takes the place of the
    /// oldest that was not.
    pub(super) fn close(&mut self, logs: &mut TagBuffer) {
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
