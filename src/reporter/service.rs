//! The tracer's handle of the reporter: flush and close.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};

use super::command::Command;
use super::counts::DestinationCounts;
use super::exporter::Exporter;
use super::worker::{Worker, WorkerDuties, WorkerOptions};
use crate::buffers::{ShardedBuffers, SpareMemory};
use crate::clock;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::stats::DestinationStats;
use crate::transport::{CloseSignal, MAX_PACKET_BYTES};

/// Sends commands to the worker, which ends when it is closed.
pub(crate) struct ReporterService {
    commands: Sender<Command>,
    counts: Vec<Arc<DestinationCounts>>,
    close_signal: CloseSignal,
    /// Dangling once the worker has ended.
    worker: Weak<()>,
    /// Whether a close has sent everything. The worker may not have ended yet.
    is_closed: AtomicBool,
}

impl fmt::Debug for ReporterService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReporterService").finish_non_exhaustive()
    }
}

/// A worker without a thread yet: its duties need parts that are made with the buffers.
pub(crate) struct UnstartedService {
    worker: Worker,
    commands: Sender<Command>,
    counts: Vec<Arc<DestinationCounts>>,
    close_signal: CloseSignal,
}

impl ReporterService {
    /// Makes the buffers and a worker for them.
    pub(crate) fn prepare(options: WorkerOptions<'_>) -> (Arc<ShardedBuffers>, UnstartedService) {
        let first = options.exporters.first().and_then(Exporter::max_bytes);
        // Spans for other transports are collected in datagram-sized buffers, too.
        let largest = options.send.max_packet_size.min(MAX_PACKET_BYTES);
        let max_bytes = largest.min(first.unwrap_or(MAX_PACKET_BYTES));
        let max_whole_span =
            options.exporters.iter().map(Exporter::largest_span).max().unwrap_or_default();
        let (wake, woken) = bounded(1);
        // The usual number of buffers is not returned to the allocator; those of a burst are.
        let (spare, spare_out) = bounded(SPARE_BUFFERS + options.shards.next_power_of_two());
        // The process takes its part of a datagram; without datagrams, a large process must not
        // leave spans without room.
        let is_datagram = |bytes| bytes <= MAX_PACKET_BYTES;
        let any_datagrams =
            options.exporters.iter().filter_map(Exporter::max_bytes).any(is_datagram);
        let beside = if any_datagrams { 0 } else { options.process_bytes };
        let sizes = (max_bytes.saturating_add(beside), options.process_bytes, max_whole_span);
        let channels = (wake, spare_out);
        let buffers = ShardedBuffers::new(
            options.shards,
            sizes,
            options.send.queue(),
            channels,
            &options.origin,
        );
        let buffers = Arc::new(buffers);
        let spare = SpareMemory::new(spare, 2 * MAX_PACKET_BYTES);
        let (commands, command_receiver) = unbounded();
        let counts = options.exporters.iter().map(Exporter::counts).collect();
        let close_signal = options.close_signal.clone();
        let worker = Worker::new(Arc::clone(&buffers), options, woken, spare, command_receiver);
        (buffers, UnstartedService { worker, commands, counts, close_signal })
    }

    /// Returns whether the worker has ended, and with it the threads of several destinations.
    pub(crate) fn is_gone(&self) -> bool {
        self.worker.strong_count() == 0
    }

    /// Returns the span accounting of each destination, the first one first.
    pub(crate) fn destination_stats(&self) -> Vec<DestinationStats> {
        self.counts.iter().map(|counts| counts.read()).collect()
    }

    /// Returns how many spans the destinations other than the first have dropped.
    pub(crate) fn dropped_by_others(&self) -> u64 {
        self.counts.iter().skip(1).map(|counts| counts.read().dropped.total()).sum()
    }

    /// Sends all spans that were finished before the call. Returns whether that was done in time.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.call(Command::Flush, timeout)
    }

    /// Sends all spans and ends the worker. Returns whether that was done in time; otherwise the
    /// work continues in the background.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        // No time is spent on waiting for a collector to come back.
        let reserve = (timeout / 4).min(MAX_SAVING_TIME);
        self.close_signal.set(clock::now() + timeout.saturating_sub(reserve));
        let is_complete = self.call(Command::Close, timeout);
        if is_complete {
            self.is_closed.store(true, Ordering::Release);
        }
        is_complete
    }

    /// If the worker has ended, or ends, after everything was sent, there is nothing to wait for.
    fn call(&self, command: fn(Sender<()>) -> Command, timeout: Duration) -> bool {
        let (done, wait) = bounded(1);
        let ends = match self.commands.send(command(done)) {
            Ok(()) => match wait.recv_timeout(timeout) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            },
            Err(_) => true,
        };
        ends && (self.is_gone() || self.is_closed.load(Ordering::Acquire))
    }
}

impl UnstartedService {
    /// Starts the worker's thread, which calls `renew_anchor` and publishes to `metrics` at each interval,
    /// and calls `discipline_clock` at the start and whenever that asks for it.
    pub(crate) fn start(
        self,
        renew_anchor: impl Fn() + Send + 'static,
        discipline_clock: impl Fn() -> Option<Duration> + Send + 'static,
        metrics: Option<Arc<Publisher>>,
    ) -> Result<ReporterService, ConfigError> {
        let worker = self.worker.alive();
        self.worker.start(WorkerDuties {
            renew_anchor: Some(Box::new(renew_anchor)),
            discipline_clock: Some(Box::new(discipline_clock)),
            metrics,
        })?;
        let Self { commands, counts, close_signal, .. } = self;
        Ok(ReporterService {
            commands,
            counts,
            close_signal,
            worker,
            is_closed: AtomicBool::new(false),
        })
    }
}

/// The number of sent buffers that are reused, beside one for each shard: about 4 MB.
const SPARE_BUFFERS: usize = 64;

/// The maximum part of the close's timeout for saving unsent spans.
const MAX_SAVING_TIME: Duration = Duration::from_secs(1);

/// Returns a result and how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = clock::now();
    let value = work();
    (value, clock::now().saturating_duration_since(start))
}
