//! The polling thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;

use crate::error::ConfigError;
use crate::http_client::Backoff;
use crate::id::generator::random_63;
use crate::threads::start_thread;

/// The result of a poll: a response, or an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollResult {
    Responded,
    /// The next poll comes before the interval has passed, but not before the server's
    /// `Retry-After`.
    Failed {
        retry_after: Option<Duration>,
    },
}

/// The thread, which ends when this is dropped. Dropping does not wait: a request in flight ends by
/// its own timeout.
#[derive(Debug)]
pub(crate) struct Poller {
    /// Nothing is ever sent: the thread ends when the channel is disconnected.
    _stop: Sender<()>,
}

impl Poller {
    /// Calls `poll` at once and at each interval. Its argument tells whether the response is
    /// unwanted by now.
    pub(crate) fn start(
        name: &str,
        interval: Duration,
        poll: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        Self::begin(name, interval, Duration::ZERO, poll)
    }

    /// Like [`start`](Self::start), but the first call comes after an interval.
    pub(crate) fn start_later(
        name: &str,
        interval: Duration,
        poll: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        Self::begin(name, interval, interval.mul_f64(share()), poll)
    }

    fn begin(
        name: &str,
        interval: Duration,
        first: Duration,
        poll: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let (stop, stopped) = bounded(0);
        let run = move || run(&poll, interval, first, &stopped);
        start_thread(name, run).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { _stop: stop })
    }
}

/// A poller that runs as long as at least one of several tracers needs it.
#[derive(Debug, Default)]
pub(crate) struct SharedPoller {
    users: Mutex<(usize, Option<Poller>)>,
}

impl SharedPoller {
    /// Counts one more tracer; the first one starts the thread.
    pub(crate) fn begin(
        &self,
        start: impl FnOnce() -> Result<Poller, ConfigError>,
    ) -> Result<(), ConfigError> {
        let (tracers, poller) = &mut *self.users.lock();
        if poller.is_none() {
            *poller = Some(start()?);
        }
        *tracers += 1;
        Ok(())
    }

    /// Counts one tracer less; the last one ends the thread. Returns whether it was the last.
    pub(crate) fn end(&self) -> bool {
        let (tracers, poller) = &mut *self.users.lock();
        *tracers = tracers.saturating_sub(1);
        if *tracers == 0 {
            *poller = None;
        }
        *tracers == 0
    }
}

fn run(
    poll: &dyn Fn(&dyn Fn() -> bool) -> PollResult,
    interval: Duration,
    first: Duration,
    stopped: &Receiver<()>,
) {
    let is_stopped = || stopped.try_recv() == Err(TryRecvError::Disconnected);
    let mut backoff = Backoff::new(FIRST_PAUSE, interval);
    let mut next = first;
    loop {
        if !next.is_zero() && stopped.recv_timeout(next) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        // The tracer's clock, a source and a logger may be user callbacks.
        let outcome = catch_unwind(AssertUnwindSafe(|| poll(&is_stopped)));
        // An agent that starts after the application should be found soon, and one that is gone
        // should not be polled all the time. No `Retry-After` delays a poll beyond the interval.
        next = match outcome.unwrap_or(PollResult::Failed { retry_after: None }) {
            PollResult::Failed { retry_after } => backoff.next(retry_after).min(interval),
            PollResult::Responded => {
                backoff.reset();
                interval.mul_f64(share())
            }
        };
    }
}

/// Returns a random factor from 0.8 to 1, so that processes that started together do not keep
/// polling together.
fn share() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "any number between will do")]
    let random = random_63(0) as f64 / (1_u64 << 63) as f64;
    0.8 + 0.2 * random
}

/// The approximate delay after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_the_interval_nor_much_shorter() {
        let shares: Vec<f64> = (0..1000).map(|_| share()).collect();
        assert!(shares.iter().all(|share| (0.8..=1.0).contains(share)));
        let least = shares.iter().copied().fold(1.0, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        assert!(most - least > 0.1, "chance has a part in it: {least} to {most}");
    }
}
