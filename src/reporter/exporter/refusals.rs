//! Limits on splitting lists of spans that a receiver refuses.
//!
//! A refused list is sent again in halves, so that one bad span costs one span. It takes about twice
//! the logarithm of its length to find one; a receiver that refuses everything must not be sent
//! twice as many requests as there are spans, for each list and for ever.

use std::time::{Duration, Instant};

use crate::error::TransportError;

#[derive(Debug)]
pub(super) struct Refusals {
    /// The number of refusals since the last accepted list.
    in_a_row: u32,
    /// The next pause of splitting.
    pause: Duration,
    /// The end of the pause.
    paused_until: Option<Instant>,
    /// The number of splits that are left for the present list.
    splits_left: u32,
    halve_until: Option<Instant>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            in_a_row: 0,
            pause: FIRST_PAUSE,
            paused_until: None,
            splits_left: MAX_SPLITS,
            halve_until: None,
        }
    }

    /// Begins with another list.
    pub(super) fn begin(&mut self) {
        self.splits_left = MAX_SPLITS;
        self.halve_until = None;
    }

    /// Notes an accepted list: the receiver does not refuse everything.
    pub(super) fn accepted(&mut self) {
        if self.in_a_row > 0 {
            (self.in_a_row, self.pause, self.paused_until) = (0, FIRST_PAUSE, None);
        }
    }

    /// Notes a refused list. Returns whether parts of it may be sent.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        let until = *self.halve_until.get_or_insert_with(|| now + MAX_TIME);
        self.splits_left = self.splits_left.saturating_sub(1);
        self.too_large(now) && self.splits_left > 0 && now < until
    }

    /// Notes a list that is too large. Returns whether parts of it, or of the following ones, may
    /// be sent.
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
            // The pause is over; the next one begins after half as many refusals.
            self.in_a_row = MAX_IN_A_ROW / 2;
        }
        true
    }
}

/// Returns whether the receiver refuses the content of the message: some of its spans may be valid.
pub(super) fn is_refused_list(error: &TransportError) -> bool {
    matches!(error, TransportError::Status { status: 400 | 422, .. })
}

/// How often a list is split before its refused parts are lost: enough to find about ten invalid
/// spans in ten thousand.
const MAX_SPLITS: u32 = 256;

/// How long a list is split.
const MAX_TIME: Duration = Duration::from_secs(30);

/// The number of refusals in a row from which on the receiver is taken to refuse everything.
const MAX_IN_A_ROW: u32 = 64;

/// How long splitting then pauses, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Sends a list to a receiver that accepts spans that are `is_good`. Returns the numbers of
    /// requests and of lost spans.
    fn send(
        refusals: &mut Refusals,
        now: Instant,
        list: &[u32],
        is_good: fn(u32) -> bool,
    ) -> (u32, usize) {
        refusals.begin();
        let (mut requests, mut lost) = (0, 0);
        let mut groups = vec![list];
        while let Some(group) = groups.pop() {
            requests += 1;
            if group.iter().all(|span| is_good(*span)) {
                refusals.accepted();
            } else if refusals.refused(now) && group.len() > 1 {
                let (first, second) = group.split_at(group.len() / 2);
                groups.extend([second, first]);
            } else {
                lost += group.len();
            }
        }
        (requests, lost)
    }

    #[test]
    fn one_bad_span_costs_one_span_wherever_it_is() {
        let list: Vec<u32> = (0..10_000).collect();
        let mut refusals = Refusals::new();
        let now = clock::now();
        for is_good in [|n| n != 0, |n| n != 9_999, |n| n != 5_000, |n| n % 1_250 != 3] {
            let bad = list.iter().filter(|n| !is_good(**n)).count();
            let (requests, lost) = send(&mut refusals, now, &list, is_good);
            assert_eq!(lost, bad);
            assert!(requests < 300, "{requests}");
        }
    }

    #[test]
    fn a_receiver_that_refuses_everything_costs_few_requests() {
        let list: Vec<u32> = (0..10_000).collect();
        let (mut refusals, start) = (Refusals::new(), clock::now());
        let mut requests = 0;
        // A list each second for an hour.
        for second in 0..3_600 {
            let now = start + Duration::from_secs(second);
            let (made, lost) = send(&mut refusals, now, &list, |_| false);
            assert_eq!(lost, list.len());
            requests += made;
        }
        assert!(requests < 3_600 + 20 * 64, "{requests}");
        let (_, lost) = send(&mut refusals, start + Duration::from_secs(5_000), &list, |n| n != 7);
        assert_eq!(lost, 1, "and it is tried again after a while");
    }

    #[test]
    fn a_list_that_is_mostly_bad_has_a_bound_too() {
        let list: Vec<u32> = (0..10_000).collect();
        let (requests, _) = send(&mut Refusals::new(), clock::now(), &list, |n| n % 2 == 0);
        assert!(requests < 600, "{requests}");
    }
}
