//! When a datagram may leave, so that the agent's socket has room for it.
//!
//! The kernel drops what a socket has no room for, and neither end is told. So the queue of the
//! agent's socket is looked at where it can be seen, and a datagram waits while that is long. A rate
//! holds back what the queue does not tell: elsewhere it is all there is.

use std::time::{Duration, Instant};

use super::queue_state::{QueueState, ReceiveQueue, USUAL_BUFFER};
use super::rate::{Bounds, Rate};
use super::receive_queue::memory_of;
use super::socket::Network;
use crate::non_exhaustive::NonExhaustive;
use crate::transport::MAX_PACKET_BYTES;

/// How fast datagrams are sent to an agent.
///
/// An agent's socket takes what its receive buffer holds, three of the largest datagrams by default;
/// what is sent faster than the agent reads is lost there. What waits in the tracer meanwhile is
/// bounded by [`TracerBuilder::queue_bytes`](crate::TracerBuilder::queue_bytes). Transports that the
/// receiver answers, HTTP and Unix sockets, need no pace and have none.
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
    /// Watches the receive queue of the agent's socket where the operating system shows it: on
    /// Linux, in the same network namespace. Default true.
    ///
    /// Datagrams are sent while the queue is short, and wait while it is long, for up to 1 s. What has
    /// no room then is lost, and counted as `send_failed`. A reader that keeps up, or has a large
    /// receive buffer, gets all the tracer can send; a slow one what it reads.
    ///
    /// Switch it off where what listens here hands datagrams on, like a proxy of a container: it
    /// reads fast, and the agent behind it cannot be seen.
    pub watch_receive_queue: bool,
    /// How many bytes a second are sent to an agent whose queue cannot be seen: on another host, in
    /// another container, on another system. 0 is any number, and else at least 65,000. Default
    /// 4,000,000, about 35,000 spans, which an agent takes that shares two cores with other work.
    ///
    /// It is halved, and grows back, where this host has no room for datagrams.
    pub bytes_per_second: u64,
    /// How many bytes may be sent at once after a pause. Default 65,000, the largest datagram.
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
    /// Sends everything at once, whether the agent can take it or not.
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

/// The receive queue has been too long for as long as a datagram may wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// Lets datagrams leave at the right time.
#[derive(Debug)]
pub(super) struct Pacer {
    config: PacingConfig,
    /// The pace where no queue is seen.
    unseen: Rate,
    queue: Option<Box<dyn ReceiveQueue>>,
    /// The socket that was seen at the last look.
    watched: Option<Watched>,
    /// What was seen last, also where nothing is seen now.
    seen: Option<QueueState>,
    /// What the agent's sockets have dropped, since the first look; none as long as none was seen.
    drops: Option<u64>,
}

#[derive(Debug)]
struct Watched {
    state: QueueState,
    rate: Rate,
    looked: Instant,
    /// The memory that datagrams may take before the next look.
    allowance: usize,
    /// Whether the queue stayed full for as long as a datagram may wait.
    is_stuck: bool,
}

impl Pacer {
    pub(super) fn new(config: PacingConfig) -> Self {
        Self {
            config,
            unseen: unseen_rate(config),
            queue: None,
            watched: None,
            seen: None,
            drops: None,
        }
    }

    pub(super) const fn watches_queue(&self) -> bool {
        self.config.watch_receive_queue
    }

    /// Datagrams go to another socket from here on.
    pub(super) fn connected(&mut self, queue: Option<Box<dyn ReceiveQueue>>) {
        self.queue = queue;
        (self.watched, self.seen) = (None, None);
    }

    /// Waits until a datagram of so many bytes may leave.
    pub(super) fn admit(&mut self, bytes: usize, network: &dyn Network) -> Result<(), QueueFull> {
        let rate = self.watched.as_mut().map_or(&mut self.unseen, |watched| &mut watched.rate);
        let mut held_back = Duration::ZERO;
        while let Some(wait) = rate.take(bytes, network.now()) {
            network.sleep(wait);
            held_back += wait;
        }
        if self.queue.is_none() {
            self.unseen.grow(held_back);
            return Ok(());
        }
        self.wait_for_room(bytes, !held_back.is_zero(), network)
    }

    fn wait_for_room(
        &mut self,
        bytes: usize,
        is_held_back: bool,
        network: &dyn Network,
    ) -> Result<(), QueueFull> {
        let (memory, began) = (memory_of(bytes), network.now());
        if let Some(watched) = &mut self.watched
            && let Some(left) = watched.allowance.checked_sub(memory)
            && began.saturating_duration_since(watched.looked) < LOOK_INTERVAL
        {
            watched.allowance = left;
            return Ok(());
        }
        let before = self.watched.as_ref().map(|watched| watched.looked);
        let (mut now, mut pause, mut dropped) = (began, FIRST_PAUSE, false);
        loop {
            dropped |= self.look(now);
            // Nobody listens, which the datagram itself will tell.
            let Some(watched) = &mut self.watched else { return Ok(()) };
            let QueueState { used, capacity, .. } = watched.state;
            let room = (capacity / 2).saturating_sub(used);
            let waited = now.saturating_duration_since(began);
            if memory <= room || used == 0 {
                watched.is_stuck = false;
                if before.is_none() {
                    // It was admitted by the other rate.
                    watched.rate.take(bytes, now);
                }
                watched.allowance = room.saturating_sub(memory).min(MOST_UNSEEN);
                if dropped {
                    watched.rate.halve();
                } else if waited >= SLOW {
                    watched.rate.slow_down();
                } else if let Some(before) = before.filter(|_| is_held_back) {
                    watched.rate.grow(now.saturating_duration_since(before));
                }
                return Ok(());
            }
            if watched.is_stuck || waited >= MAX_WAIT {
                // Others may fill the queue as fast as it is read: then what fits is sent at once.
                watched.is_stuck = true;
                watched.allowance = 0;
                return if used + memory <= capacity { Ok(()) } else { Err(QueueFull) };
            }
            network.sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            now = network.now();
        }
    }

    /// Looks at the queue. Whether the socket has dropped anything since the last look.
    fn look(&mut self, now: Instant) -> bool {
        let Some(state) = self.queue.as_mut().and_then(|queue| queue.read()) else {
            self.watched = None;
            return false;
        };
        let dropped = match self.seen.replace(state) {
            Some(seen) if seen.socket == state.socket => state.drops.wrapping_sub(seen.drops),
            // An agent that was started anew has dropped all that its socket says.
            Some(_) => state.drops,
            // What was dropped before the first look is not ours.
            None => 0,
        };
        self.drops = Some(self.drops.unwrap_or_default().saturating_add(dropped.into()));
        let is_same = |watched: &&mut Watched| {
            (watched.state.socket, watched.state.capacity) == (state.socket, state.capacity)
        };
        match self.watched.as_mut().filter(is_same) {
            Some(watched) => (watched.state, watched.looked) = (state, now),
            None => {
                self.watched = Some(Watched {
                    state,
                    rate: watched_rate(state.capacity, self.config.burst_bytes),
                    looked: now,
                    allowance: 0,
                    is_stuck: false,
                });
            }
        }
        dropped > 0
    }

    /// A datagram that was admitted was not sent.
    pub(super) fn not_sent(&mut self, bytes: usize) {
        self.unseen.give_back(bytes);
        if let Some(watched) = &mut self.watched {
            watched.rate.give_back(bytes);
        }
    }

    /// This host has no room for datagrams. Where the receiver's queue is seen, there is no network
    /// between that would have to be spared.
    pub(super) fn host_is_full(&mut self) {
        self.unseen.halve();
    }

    /// How many datagrams the agent's socket has dropped since the first one was sent to it, those of
    /// all senders; none where that cannot be seen.
    pub(super) fn drops(&mut self, now: Instant) -> Option<u64> {
        self.look(now);
        self.drops
    }
}

fn unseen_rate(config: PacingConfig) -> Rate {
    if config.bytes_per_second == 0 {
        return Rate::unlimited();
    }
    let usual = config.bytes_per_second as f64;
    let least = (usual / 16.0).max(LEAST_RATE);
    let burst = config.burst_bytes as f64;
    Rate::new(Bounds { least, slow: usual / 2.0, usual, most: usual, burst })
}

/// The rate beside a queue that is seen, which is for what is not: a real agent reads fast, and puts
/// what it reads into queues of its own. As nothing is known of them, an agent is taken to need its
/// turn for a buffer as large as the usual one every 25 ms, every 50 ms after it was seen to be slow,
/// and more often the longer it keeps up. Where the buffer is larger, it was made for more.
fn watched_rate(capacity: usize, burst_bytes: usize) -> Rate {
    let buffer = capacity.max(USUAL_BUFFER) as f64;
    let slow = buffer / 0.050;
    Rate::new(Bounds {
        least: slow / 16.0,
        slow,
        usual: buffer / 0.025,
        most: f64::INFINITY,
        burst: burst_bytes as f64,
    })
}
/// One of the largest datagrams a second.
const LEAST_RATE: f64 = MAX_PACKET_BYTES as f64;

/// How long a datagram waits for room.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Between looks at a long queue.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// A receiver that lets a datagram wait for so long does not keep up.
const SLOW: Duration = Duration::from_micros(300);
/// Other senders may have filled the queue since a look that is older.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The most memory that is taken without a look: others send too.
const MOST_UNSEEN: usize = 4 << 20;

#[cfg(test)]
mod tests;
