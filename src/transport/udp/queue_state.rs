//! What can be seen of a receive queue, whichever way.

use std::fmt;

/// A look at a receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueState {
    /// Tells the socket from one that has its port later.
    pub(super) socket: u64,
    /// The memory that its datagrams take, which is more than their length.
    pub(super) used: usize,
    /// The memory that they may take.
    pub(super) capacity: usize,
    /// How many datagrams it had no room for, those of all senders; it wraps.
    pub(super) drops: u32,
}

/// Reads the queue that datagrams from one address to another come into.
pub(super) trait ReceiveQueue: fmt::Debug + Send {
    /// None where there is no such socket now.
    fn read(&mut self) -> Option<QueueState>;
}

/// What Linux gives a socket that asks for nothing else.
pub(super) const USUAL_BUFFER: usize = 212_992;
