//! The thread that asks again and again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;

use crate::error::ConfigError;
use crate::http_client::Backoff;
use crate::id;

/// Whether somebody answered, well or badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollResult {
    Answered,
    /// It is tried again sooner than at the next interval, but not before the server wants to be
    /// asked again, if it said so.
    Failed {
        retry_after: Option<Duration>,
    },
}

/// The thread, which ends when this is dropped. Nobody waits for it: a question under way ends by
/// its own limit.
#[derive(Debug)]
pub(crate) struct Poller {
    /// Nothing is ever sent: what ends the thread is that nobody can.
    _stop: Sender<()>,
}

impl Poller {
    /// Has `ask` called at once and at each interval. It is given a way to learn whether its answer
    /// is still wanted.
    pub(crate) fn start(
        name: &str,
        interval: Duration,
        ask: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        Self::begin(name, interval, Duration::ZERO, ask)
    }

    /// The same, for the first time after an interval.
    pub(crate) fn start_later(
        name: &str,
        interval: Duration,
        ask: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        Self::begin(name, interval, interval.mul_f64(share()), ask)
    }

    fn begin(
        name: &str,
        interval: Duration,
        first: Duration,
        ask: impl Fn(&dyn Fn() -> bool) -> PollResult + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let (stop, stopped) = bounded(0);
        let run = move || run(&ask, interval, first, &stopped);
        start_thread(name, run).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { _stop: stop })
    }
}

/// A poller that runs as long as one of several tracers needs it.
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

    /// Counts one less; the last one ends the thread. True if nobody needs it any more.
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
    ask: &dyn Fn(&dyn Fn() -> bool) -> PollResult,
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
        let outcome = catch_unwind(AssertUnwindSafe(|| ask(&is_stopped)));
        // An agent that starts late should be found soon, and one that is gone should not be looked
        // for all the time. No server keeps a client from asking at the interval.
        next = match outcome.unwrap_or(PollResult::Failed { retry_after: None }) {
            PollResult::Failed { retry_after } => backoff.next(retry_after).min(interval),
            PollResult::Answered => {
                backoff.reset();
                interval.mul_f64(share())
            }
        };
    }
}

/// From 0.8 to 1 by chance, so that processes that began together do not ask together for ever.
fn share() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "any number between will do")]
    let random = id::random_63(0) as f64 / (1_u64 << 63) as f64;
    0.8 + 0.2 * random
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads which ask")]
fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// How long to wait after the first failure, about.
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
