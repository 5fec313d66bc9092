//! The state of a receive queue, however it is read.

use std::fmt;

/// A reading of a receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueState {
    /// Identifies the socket, to detect another one at the same port.
    pub(super) socket: u64,
    /// The memory of the queued datagrams, which is more than their length.
    pub(super) used: usize,
    /// The maximum of that memory.
    pub(super) capacity: usize,
    /// How many datagrams of all senders were dropped for want of room; wraps around.
    pub(super) drops: u32,
}

/// Reads the queue that receives datagrams from one address to another.
pub(super) trait ReceiveQueue: fmt::Debug + Send {
    /// Returns the state, or `None` if there is no such socket now.
    fn read(&mut self) -> Option<QueueState>;
}

/// The default receive buffer of Linux.
pub(super) const USUAL_BUFFER: usize = 212_992;
