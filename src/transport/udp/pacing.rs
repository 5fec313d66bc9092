//! Pacing: when a datagram may be sent, so that the agent's socket has room for it.
//!
//! The kernel drops datagrams without room, and neither end is notified. So the queue of the
//! agent's socket is read where possible, and a datagram waits while it is long. A rate limits the
//! bytes as well: elsewhere it is the only limit.

use std::time::{Duration, Instant};

use super::network::Network;
use super::queue_state::{QueueState, ReceiveQueue, USUAL_BUFFER};
use super::rate::{Bounds, Rate};
use super::receive_queue::memory_of;
use crate::non_exhaustive::NonExhaustive;
use crate::transport::MAX_PACKET_BYTES;

/// The pacing of datagrams to an agent.
///
/// An agent's receive buffer holds three of the largest datagrams by default; datagrams sent faster
/// than the agent reads are lost there. Spans that wait in the tracer meanwhile are bounded by
/// [`TracerBuilder::queue_bytes`](crate::TracerBuilder::queue_bytes). Transports with a response or
/// back-pressure, HTTP and Unix sockets, are not paced.
///
/// # Examples
///
/// ```
/// use jaeger_client::{PacingConfig, Tracer};
/// // An agent on another host that is known to read 20 MB a second.
/// let pacing = PacingConfig { bytes_per_second: 20_000_000, ..PacingConfig::default() };
/// let (tracer, _closer) = Tracer::builder("svc").agent("10.0.0.1:6831").pacing(pacing).build()?;
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct PacingConfig {
    /// Watches the receive queue of the agent's socket where the operating system allows it: on
    /// Linux, in the same network namespace. Default true.
    ///
    /// Datagrams are sent while the queue is short, and wait while it is long, for up to 1 s. A
    /// datagram without room then is lost, and counted as `send_failed`. A reader that keeps up, or
    /// has a large receive buffer, receives at the tracer's full speed; a slow one at its own.
    ///
    /// Disable it if the listener forwards datagrams, like a proxy of a container: it reads fast,
    /// and the agent behind it cannot be seen.
    pub watch_receive_queue: bool,
    /// How many bytes a second are sent to an agent whose queue cannot be read: on another host, in
    /// another container, on another system. 0 is unlimited, and the minimum is 65,000. Default
    /// 4,000,000, about 25,000 spans with three tags, which an agent can handle that shares two cores
    /// with other work.
    ///
    /// The rate is halved, and grows back, when this host has no room for datagrams.
    pub bytes_per_second: u64,
    /// The maximum burst after a pause, in bytes. Default 65,000, the largest datagram.
    pub burst_bytes: usize,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for PacingConfig {
    fn default() -> Self {
        Self {
            watch_receive_queue: true,
            bytes_per_second: 4_000_000,
            burst_bytes: 65_000,
            __non_exhaustive: NonExhaustive,
        }
    }
}

impl PacingConfig {
    /// Returns pacing without limits: all datagrams are sent at once.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            watch_receive_queue: false,
            bytes_per_second: 0,
            burst_bytes: 0,
            __non_exhaustive: NonExhaustive,
        }
    }
}

/// The error of a receive queue that was too long for as long as a datagram may wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// Delays datagrams.
#[derive(Debug)]
pub(super) struct Pacer {
    config: PacingConfig,
    /// The rate where no queue can be read.
    fallback_rate: Rate,
    queue: Option<Box<dyn ReceiveQueue>>,
    /// The socket at the last reading.
    watched: Option<Watched>,
    /// The last reading, also if there is none now.
    last_reading: Option<QueueState>,
    /// How many datagrams the agent's sockets have dropped since the first reading; none without a
    /// reading.
    drops: Option<u64>,
}

#[derive(Debug)]
struct Watched {
    state: QueueState,
    rate: Rate,
    last_read: Instant,
    /// The memory that datagrams may take before the next reading.
    allowance: usize,
    /// Whether the queue stayed full for as long as a datagram may wait.
    is_stuck: bool,
}

impl Pacer {
    pub(super) fn new(config: PacingConfig) -> Self {
        Self {
            config,
            fallback_rate: fallback_rate(config),
            queue: None,
            watched: None,
            last_reading: None,
            drops: None,
        }
    }

    pub(super) const fn watches_queue(&self) -> bool {
        self.config.watch_receive_queue
    }

    /// Resets the state for another socket.
    pub(super) fn connected(&mut self, queue: Option<Box<dyn ReceiveQueue>>) {
        self.queue = queue;
        (self.watched, self.last_reading) = (None, None);
    }

    /// Waits until a datagram of so many bytes may be sent.
    pub(super) fn admit(&mut self, bytes: usize, network: &dyn Network) -> Result<(), QueueFull> {
        let rate =
            self.watched.as_mut().map_or(&mut self.fallback_rate, |watched| &mut watched.rate);
        let mut delayed = Duration::ZERO;
        while let Some(wait) = rate.spend(bytes, network.now()) {
            network.sleep(wait);
            delayed += wait;
        }
        if self.queue.is_none() {
            self.fallback_rate.grow(delayed);
            return Ok(());
        }
        self.wait_for_room(bytes, !delayed.is_zero(), network)
    }

    fn wait_for_room(
        &mut self,
        bytes: usize,
        is_delayed: bool,
        network: &dyn Network,
    ) -> Result<(), QueueFull> {
        let (memory, began) = (memory_of(bytes), network.now());
        if let Some(watched) = &mut self.watched
            && let Some(left) = watched.allowance.checked_sub(memory)
            && began.saturating_duration_since(watched.last_read) < MAX_READING_AGE
        {
            watched.allowance = left;
            return Ok(());
        }
        let before = self.watched.as_ref().map(|watched| watched.last_read);
        let (mut now, mut pause, mut dropped) = (began, FIRST_PAUSE, false);
        loop {
            dropped |= self.read_queue(now);
            // Nothing listens, which sending the datagram will report.
            let Some(watched) = &mut self.watched else { return Ok(()) };
            let QueueState { used, capacity, .. } = watched.state;
            let room = (capacity / 2).saturating_sub(used);
            let waited = now.saturating_duration_since(began);
            if memory <= room || used == 0 {
                watched.is_stuck = false;
                if before.is_none() {
                    // The datagram was admitted by the other rate.
                    watched.rate.spend(bytes, now);
                }
                watched.allowance = room.saturating_sub(memory).min(MAX_ALLOWANCE);
                if dropped {
                    watched.rate.halve();
                } else if waited >= SLOW {
                    watched.rate.slow_down();
                } else if let Some(before) = before.filter(|_| is_delayed) {
                    watched.rate.grow(now.saturating_duration_since(before));
                }
                return Ok(());
            }
            if watched.is_stuck || waited >= MAX_WAIT {
                // Other senders may fill the queue as fast as it is read: then the rest of the room
                // is used at once.
                watched.is_stuck = true;
                watched.allowance = 0;
                return if used + memory <= capacity { Ok(()) } else { Err(QueueFull) };
            }
            network.sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            now = network.now();
        }
    }

    /// Reads the queue. Returns whether the socket has dropped anything since the last reading.
    fn read_queue(&mut self, now: Instant) -> bool {
        let Some(state) = self.queue.as_mut().and_then(|queue| queue.read()) else {
            self.watched = None;
            return false;
        };
        let dropped = match self.last_reading.replace(state) {
            Some(last) if last.socket == state.socket => state.drops.wrapping_sub(last.drops),
            // All drops of a restarted agent's socket are new.
            Some(_) => state.drops,
            // Drops before the first reading do not count.
            None => 0,
        };
        self.drops = Some(self.drops.unwrap_or_default().saturating_add(dropped.into()));
        let is_same = |watched: &&mut Watched| {
            (watched.state.socket, watched.state.capacity) == (state.socket, state.capacity)
        };
        match self.watched.as_mut().filter(is_same) {
            Some(watched) => (watched.state, watched.last_read) = (state, now),
            None => {
                self.watched = Some(Watched {
                    state,
                    rate: watched_rate(state.capacity, self.config.burst_bytes),
                    last_read: now,
                    allowance: 0,
                    is_stuck: false,
                });
            }
        }
        dropped > 0
    }

    /// Returns the credit of a datagram that was admitted but not sent.
    pub(super) fn not_sent(&mut self, bytes: usize) {
        self.fallback_rate.refund(bytes);
        if let Some(watched) = &mut self.watched {
            watched.rate.refund(bytes);
        }
    }

    /// Slows down, as this host has no room for datagrams. Where the receiver's queue is read,
    /// there is no network between that would have to be spared.
    pub(super) fn host_is_full(&mut self) {
        self.fallback_rate.halve();
    }

    /// Returns how many datagrams of all senders the agent's socket has dropped since the first one
    /// was sent to it, or `None` if that cannot be read.
    pub(super) fn drops(&mut self, now: Instant) -> Option<u64> {
        self.read_queue(now);
        self.drops
    }
}

fn fallback_rate(config: PacingConfig) -> Rate {
    if config.bytes_per_second == 0 {
        return Rate::unlimited();
    }
    let max = config.bytes_per_second as f64;
    let min = (max / 16.0).max(MIN_RATE);
    let burst = config.burst_bytes as f64;
    Rate::new(Bounds { min, slow: max / 2.0, initial: max, max, burst })
}

/// Returns the rate that limits datagrams even where the socket's queue is read, to protect the
/// agent's internal queues: a real agent reads its socket fast, and puts what it reads into queues that
/// cannot be seen. It is assumed to handle as much as the system's default receive buffer every 25 ms,
/// every 50 ms after it was slow, and more the longer it keeps up. An agent with a larger receive buffer
/// is assumed to be faster in proportion.
fn watched_rate(capacity: usize, burst_bytes: usize) -> Rate {
    let buffer = capacity.max(USUAL_BUFFER) as f64;
    let slow = buffer / 0.050;
    Rate::new(Bounds {
        min: slow / 16.0,
        slow,
        initial: buffer / 0.025,
        max: f64::INFINITY,
        burst: burst_bytes as f64,
    })
}

/// The minimum rate: one of the largest datagrams per second.
const MIN_RATE: f64 = MAX_PACKET_BYTES as f64;

/// How long a datagram waits for room.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The first delay between readings of a long queue.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// A receiver that delays a datagram for so long does not keep up.
const SLOW: Duration = Duration::from_micros(300);
/// The age from which on a reading is out of date: other senders may fill the queue.
const MAX_READING_AGE: Duration = Duration::from_millis(10);
/// The maximum memory that is used between readings: others send too.
const MAX_ALLOWANCE: usize = 4 << 20;

#[cfg(test)]
mod tests;
