//! The thread that asks again and again, and what it shares with those who sample.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;

use super::answer::{self, Broken};
use super::in_force::{Change, InForce, Operations};
use super::{FetchError, StrategySource};
use crate::clock::{Clock, SystemClock};
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::id;
use crate::sampler::{Fetch, FetchOutcome, RemoteStatus, SamplerHost, SamplerStatus};

/// A remote sampler, as far as its thread and those who sample share it.
#[derive(Debug)]
pub(super) struct Shared {
    service_name: String,
    source: Box<dyn StrategySource>,
    in_force: ArcSwap<InForce>,
    operations: Operations,
    may_defer: bool,
    memory_bits: u32,
    /// Held while a strategy is taken over, so that one is finished before the next begins.
    progress: Mutex<RemoteStatus>,
    /// The tracer that it works for; the last one of several.
    host: Mutex<Option<SamplerHost>>,
    /// For those who have no tracer.
    clock: SystemClock,
}

impl Shared {
    pub(super) fn new(
        service_name: String,
        source: Box<dyn StrategySource>,
        initial: InForce,
        operations: Operations,
    ) -> Self {
        let progress = RemoteStatus { source: source.name(), ..RemoteStatus::default() };
        Self {
            service_name,
            source,
            operations,
            may_defer: operations.late_binding || initial.may_defer(),
            memory_bits: initial.memory_bits(),
            in_force: ArcSwap::from_pointee(initial),
            progress: Mutex::new(progress),
            host: Mutex::new(None),
            clock: SystemClock::new(),
        }
    }

    #[inline]
    pub(super) fn in_force(&self) -> Guard<Arc<InForce>> {
        self.in_force.load()
    }

    pub(super) fn may_defer(&self) -> bool {
        self.may_defer
    }

    pub(super) fn memory_bits(&self) -> u32 {
        self.memory_bits
    }

    pub(super) fn status(&self) -> SamplerStatus {
        let progress = self.progress.lock();
        SamplerStatus::new(self.in_force().status().rule).with_remote(progress.clone())
    }

    pub(super) fn work_for(&self, host: &SamplerHost) {
        *self.host.lock() = Some(host.clone());
    }

    /// Asks, and takes the answer over unless it is no longer wanted by then.
    pub(super) fn refresh(&self, unwanted: impl FnOnce() -> bool) -> FetchOutcome {
        let ask = AssertUnwindSafe(|| self.source.fetch(&self.service_name));
        let fetched = catch_unwind(ask);
        let answer = fetched.unwrap_or_else(|_| Err(FetchError::new("the source panicked")));
        if unwanted() {
            return FetchOutcome::Failed { error: "closed meanwhile".to_owned() };
        }
        let host = self.host.lock().clone();
        let now = host.as_ref().and_then(SamplerHost::monotonic_nanos);
        let now = now.unwrap_or_else(|| self.clock.monotonic_nanos());
        let (outcome, news) = {
            let mut progress = self.progress.lock();
            let replaced = progress.replaced;
            let outcome = self.take_over(&mut progress, answer, now);
            let recovered = progress.last_fetch.as_ref().is_some_and(|last| {
                last.outcome != FetchOutcome::Updated && outcome == FetchOutcome::Updated
            });
            progress.last_fetch = Some(Fetch::new(wall(&self.clock), outcome.clone()));
            (outcome, recovered || progress.replaced > replaced)
        };
        // A logger is foreign code, so no lock is held here.
        if let Some(host) = host {
            self.tell(&host, &outcome, news);
        }
        outcome
    }

    fn take_over(
        &self,
        progress: &mut RemoteStatus,
        answer: Result<Vec<u8>, FetchError>,
        now_nanos: u64,
    ) -> FetchOutcome {
        let body = match answer {
            Ok(body) => body,
            Err(error) => {
                progress.queries_err += 1;
                return FetchOutcome::Failed { error: error.to_string() };
            }
        };
        let strategy = match answer::read(&body) {
            Ok(strategy) => strategy,
            Err(Broken::Unreadable(error)) => {
                progress.updates_err += 1;
                return FetchOutcome::Unreadable { error };
            }
            Err(Broken::Refused(error)) => {
                progress.queries_ok += 1;
                progress.updates_err += 1;
                return FetchOutcome::Refused { error };
            }
        };
        progress.queries_ok += 1;
        match self.in_force.load().change(&strategy, self.operations, now_nanos) {
            Ok(Change::InPlace) => {}
            Ok(Change::Continued(next)) => self.in_force.store(Arc::new(next)),
            Ok(Change::Replaced(next)) => {
                progress.replaced += 1;
                self.in_force.store(Arc::new(next));
            }
            Err(error) => {
                progress.updates_err += 1;
                return FetchOutcome::Refused { error: error.to_string() };
            }
        }
        progress.updates_ok += 1;
        progress.last_update = Some(wall(&self.clock));
        FetchOutcome::Updated
    }

    fn tell(&self, host: &SamplerHost, outcome: &FetchOutcome, news: bool) {
        let cause = match outcome {
            FetchOutcome::Updated if news => {
                let rule = self.in_force().status().rule;
                return host.info(&format!("sampling now {rule}, told by {}", self.source.name()));
            }
            FetchOutcome::Updated => return,
            FetchOutcome::Failed { .. } => Cause::SamplerFetch,
            FetchOutcome::Unreadable { .. } | FetchOutcome::Refused { .. } => Cause::SamplerUpdate,
        };
        host.report_as(cause, || {
            let rule = self.in_force().status().rule;
            let source = self.source.name();
            format!("no strategy from {source}, still sampling {rule}: {outcome}")
        });
    }
}

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Poller {
    /// Nothing is ever sent: what ends the thread is that nobody can.
    _stop: Sender<()>,
}

impl Poller {
    pub(super) fn start(shared: &Arc<Shared>, interval: Duration) -> Result<Self, ConfigError> {
        let (stop, stopped) = bounded(0);
        let shared = Arc::clone(shared);
        let run = move || run(&shared, interval, &stopped);
        start_thread(run).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { _stop: stop })
    }
}

fn run(shared: &Shared, interval: Duration, stopped: &Receiver<()>) {
    let is_stopped = || stopped.try_recv() == Err(TryRecvError::Disconnected);
    let mut failures = 0;
    loop {
        // The tracer's clock may be foreign code, like the source.
        let outcome = catch_unwind(AssertUnwindSafe(|| shared.refresh(is_stopped)));
        failures = match outcome {
            Err(_) | Ok(FetchOutcome::Failed { .. }) => failures + 1,
            Ok(_) => 0,
        };
        let pause = pause(interval, failures).mul_f64(share());
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// How long to wait after so many failures in a row: an agent that starts late should be found
/// soon, and one that is gone should not be looked for all the time.
fn pause(interval: Duration, failures: u32) -> Duration {
    match failures {
        0 => interval,
        n => interval.min(RETRY.saturating_mul(1 << (n - 1).min(16))),
    }
}

/// From 0.8 to 1 by chance, so that processes that began together do not ask together for ever.
fn share() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "any number between will do")]
    let random = id::random_63() as f64 / (1_u64 << 63) as f64;
    0.8 + 0.2 * random
}

fn wall(clock: &SystemClock) -> SystemTime {
    let nanos = u64::try_from(clock.wall_nanos()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts the sampler's thread")]
fn start_thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name("jaeger-client-sampler".to_owned()).spawn(work).map(drop)
}

/// How long to wait after the first failure; each further one doubles it.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_up_to_the_interval() {
        let minute = Duration::from_secs(60);
        let pauses = [0, 1, 2, 3, 6, 7, 100].map(|failures| pause(minute, failures).as_secs());
        assert_eq!(pauses, [60, 1, 2, 4, 32, 60, 60]);
        assert_eq!(pause(Duration::from_millis(50), 3), Duration::from_millis(50));
    }

    #[test]
    fn a_pause_is_never_longer_than_the_interval_nor_much_shorter() {
        let shares: Vec<f64> = (0..1000).map(|_| share()).collect();
        assert!(shares.iter().all(|share| (0.8..=1.0).contains(share)));
        let least = shares.iter().copied().fold(1.0, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        assert!(most - least > 0.1, "chance has a part in it: {least} to {most}");
    }
}
