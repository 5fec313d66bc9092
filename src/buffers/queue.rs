//! The queue of full buffers to the reporter's thread, bounded in bytes and in spans.
//!
//! The queue is part of [`ShardedBuffers`](super::ShardedBuffers), behind the lock of the counts: a
//! buffer is pushed and counted in one step.

use std::collections::VecDeque;

use crossbeam_channel::{Sender, TrySendError};

use super::buffer::Buffer;

/// The bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// The memory of all buffers together. A larger buffer may be queued alone.
    pub(crate) bytes: usize,
    /// The number of spans from which on no buffer is accepted.
    pub(crate) spans: usize,
}

#[derive(Debug)]
pub(super) struct Queue {
    buffers: VecDeque<Buffer>,
    bytes: usize,
    spans: usize,
    limits: QueueLimits,
    /// Wakes the reporter's thread; has room for one message, which stands for any number.
    wake: Sender<()>,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits, wake: Sender<()>) -> Self {
        Self { buffers: VecDeque::new(), bytes: 0, spans: 0, limits, wake }
    }

    pub(super) fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Pushes a buffer, or returns it if there is no room, or no thread to send it.
    pub(super) fn push(&mut self, buffer: Buffer) -> Result<(), Buffer> {
        let bytes = self.bytes.saturating_add(buffer.bytes.capacity());
        let fits = self.spans < self.limits.spans && bytes <= self.limits.bytes;
        let fits = fits || self.buffers.is_empty();
        if !fits || matches!(self.wake.try_send(()), Err(TrySendError::Disconnected(()))) {
            return Err(buffer);
        }
        self.bytes = bytes;
        self.spans += buffer.spans;
        self.buffers.push_back(buffer);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Buffer> {
        let buffer = self.buffers.pop_front()?;
        self.bytes -= buffer.bytes.capacity();
        self.spans -= buffer.spans;
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    fn buffer(bytes: usize, spans: usize) -> Buffer {
        Buffer { end: 0, bytes: vec![0; bytes], spans }
    }

    fn queue(bytes: usize, spans: usize) -> (Queue, Receiver<()>) {
        let (wake, woken) = bounded(1);
        (Queue::new(QueueLimits { bytes, spans }, wake), woken)
    }

    #[test]
    fn the_memory_of_all_buffers_stays_within_the_bytes() {
        let (mut queue, _woken) = queue(1_000, usize::MAX);
        assert!(queue.push(buffer(400, 1)).is_ok());
        assert!(queue.push(buffer(600, 1)).is_ok());
        assert_eq!(queue.push(buffer(1, 7)).unwrap_err().spans, 7, "it is given back");
        assert_eq!(queue.pop().unwrap().bytes.len(), 400, "the oldest comes first");
        assert!(queue.push(buffer(401, 1)).is_err());
        assert!(queue.push(buffer(400, 1)).is_ok());
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn no_buffer_comes_in_once_the_spans_are_there() {
        let (mut queue, _woken) = queue(usize::MAX, 10);
        assert!(queue.push(buffer(1, 9)).is_ok());
        assert!(queue.push(buffer(1, 9)).is_ok(), "there were fewer than ten");
        assert!(queue.push(buffer(1, 1)).is_err());
        queue.pop();
        assert!(queue.push(buffer(1, 1)).is_ok());
    }

    #[test]
    fn a_buffer_larger_than_all_of_it_waits_alone() {
        let (mut queue, _woken) = queue(10, 1);
        assert!(queue.push(buffer(5_000, 500)).is_ok());
        assert!(queue.push(buffer(1, 1)).is_err());
        queue.pop();
        assert!(queue.push(buffer(1, 1)).is_ok());
    }

    #[test]
    fn the_reporters_thread_is_woken_and_without_it_nothing_is_taken() {
        let (mut queue, woken) = queue(1_000, 1_000);
        assert!(queue.push(buffer(1, 1)).is_ok() && queue.push(buffer(1, 1)).is_ok());
        assert!(woken.try_recv().is_ok());
        drop(woken);
        assert!(queue.push(buffer(1, 1)).is_err());
    }
}
