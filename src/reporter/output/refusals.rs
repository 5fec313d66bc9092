//! What is spent on lists of spans that a receiver refuses.
//!
//! A list that is too large is sent again in parts. A receiver that finds everything too large must
//! not be sent as many requests as there are spans, for each list and for ever.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Refusals {
    /// Refusals since anything was taken.
    in_a_row: u32,
    /// For how long nothing is split once these are too many.
    pause: Duration,
    /// Until when that is.
    paused_until: Option<Instant>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { in_a_row: 0, pause: FIRST_PAUSE, paused_until: None }
    }

    /// Something was taken: the receiver is not one that refuses everything.
    pub(super) fn taken(&mut self) {
        if self.in_a_row > 0 {
            (self.in_a_row, self.pause, self.paused_until) = (0, FIRST_PAUSE, None);
        }
    }

    /// A list was found too large. Whether parts of it, or of what was to follow, may be sent.
    pub(super) fn too_large(&mut self, now: Instant) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= MAX_IN_A_ROW {
            if self.paused_until.is_some_and(|until| now < until) {
                return false;
            }
            if self.in_a_row == MAX_IN_A_ROW {
                self.paused_until = now.checked_add(self.pause);
                self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                return false;
            }
            // The pause is over: half as many the next time.
            self.in_a_row = MAX_IN_A_ROW / 2;
        }
        true
    }
}

/// How many refusals without anything taken make a receiver one that refuses everything.
const MAX_IN_A_ROW: u32 = 64;

/// For how long its refusals are then taken as they are, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
