//! The reporter as its tracer holds it: what asks the worker to flush and to close.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, unbounded};

use super::command::Command;
use super::counts::DestinationCounts;
use super::exporter::Exporter;
use super::worker::{Worker, WorkerHooks, WorkerOptions};
use crate::buffers::{ShardedBuffers, SpareMemory};
use crate::clock;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::stats::DestinationStats;
use crate::transport::{CloseSignal, MAX_PACKET_BYTES};

/// Gives commands to the worker. That ends when it is closed.
pub(crate) struct ReporterService {
    commands: Sender<Command>,
    counts: Vec<Arc<DestinationCounts>>,
    close_signal: CloseSignal,
    /// The worker holds the other end as long as it lives.
    worker: Weak<()>,
}

impl fmt::Debug for ReporterService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReporterService").finish_non_exhaustive()
    }
}

/// A worker that has its parts but no thread yet: what its hooks need is made with the buffers.
pub(crate) struct UnstartedService {
    worker: Worker,
    commands: Sender<Command>,
    counts: Vec<Arc<DestinationCounts>>,
    close_signal: CloseSignal,
}

impl ReporterService {
    /// Makes the buffers and a worker for them.
    pub(crate) fn prepare(options: WorkerOptions) -> (Arc<ShardedBuffers>, UnstartedService) {
        let first = options.exporters.first().and_then(Exporter::max_bytes);
        // What goes elsewhere than into datagrams is collected in buffers of their size all the same.
        let largest = options.max_packet_bytes.min(MAX_PACKET_BYTES);
        let max_bytes = largest.min(first.unwrap_or(MAX_PACKET_BYTES));
        let whole = options.exporters.iter().map(Exporter::largest_span).max().unwrap_or_default();
        let (wake, woken) = bounded(1);
        // What is under way most of the time is not given back to the allocator; what a burst took is.
        let (spare, spare_out) = bounded(SPARE_BUFFERS + options.shards.next_power_of_two());
        // The process takes its part of a datagram; where there is none it must not leave spans without
        // room, however large it is.
        let is_datagram = |bytes| bytes <= MAX_PACKET_BYTES;
        let any_datagrams =
            options.exporters.iter().filter_map(Exporter::max_bytes).any(is_datagram);
        let beside = if any_datagrams { 0 } else { options.process_bytes };
        let sizes = (max_bytes.saturating_add(beside), options.process_bytes, whole);
        let channels = (wake, spare_out);
        let buffers =
            ShardedBuffers::new(options.shards, sizes, options.queue, channels, &options.origin);
        let buffers = Arc::new(buffers);
        let spare = SpareMemory::new(spare, 2 * MAX_PACKET_BYTES);
        let (commands, command_receiver) = unbounded();
        let counts = options.exporters.iter().map(Exporter::counts).collect();
        let close_signal = options.close_signal.clone();
        let worker = Worker::new(Arc::clone(&buffers), options, woken, spare, command_receiver);
        (buffers, UnstartedService { worker, commands, counts, close_signal })
    }

    /// Whether the worker has ended, and with it the threads of several destinations.
    pub(crate) fn is_gone(&self) -> bool {
        self.worker.strong_count() == 0
    }

    /// What became of the spans at each destination, the first one first.
    pub(crate) fn destination_stats(&self) -> Vec<DestinationStats> {
        self.counts.iter().map(|counts| counts.read()).collect()
    }

    /// Has everything sent that was finished before the call. Whether that was done in time.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.call(Command::Flush, timeout)
    }

    /// Has everything sent and ends the worker. Whether that was done in time; where not, it goes
    /// on in the background and ends by itself.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        // Nobody wants to wait for a collector to come back now.
        let reserve = (timeout / 4).min(MAX_SAVING_TIME);
        self.close_signal.set(clock::now() + timeout.saturating_sub(reserve));
        self.call(Command::Close, timeout)
    }

    /// Where all threads have ended there is nothing to wait for.
    fn call(&self, command: fn(Sender<()>) -> Command, timeout: Duration) -> bool {
        let (done, wait) = bounded(1);
        match self.commands.send(command(done)) {
            Ok(()) => wait.recv_timeout(timeout).is_ok(),
            Err(_) => self.is_gone(),
        }
    }
}

impl UnstartedService {
    /// Starts the worker's thread, which calls `renew_anchor` and publishes to `metrics` at each interval.
    pub(crate) fn start(
        self,
        renew_anchor: impl Fn() + Send + 'static,
        metrics: Option<Arc<Publisher>>,
    ) -> Result<ReporterService, ConfigError> {
        let worker = self.worker.alive();
        self.worker.start(WorkerHooks { renew_anchor: Some(Box::new(renew_anchor)), metrics })?;
        let Self { commands, counts, close_signal, .. } = self;
        Ok(ReporterService { commands, counts, close_signal, worker })
    }
}

/// How many buffers that were sent are kept for the next ones, beside one for each shard: about 4 MB.
const SPARE_BUFFERS: usize = 64;

/// What is left of the time to close for saving what could not be sent, at most.
const MAX_SAVING_TIME: Duration = Duration::from_secs(1);

/// Waits that are longer than this are cut to it: deadlines beyond it overflow on some systems.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long something took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = clock::now();
    let value = work();
    (value, clock::now().saturating_duration_since(start))
}
