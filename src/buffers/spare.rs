//! The memory of buffers that were sent, kept for the next ones.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::buffer::Buffer;

/// Takes the memory of buffers back.
#[derive(Clone, Debug)]
pub(crate) struct SpareMemory {
    keep: Sender<Vec<u8>>,
    /// One that grew for a large span must not stay as large for ever.
    largest: usize,
}

impl SpareMemory {
    /// Keeps memory of up to `largest` bytes a buffer.
    pub(crate) fn new(keep: Sender<Vec<u8>>, largest: usize) -> Self {
        Self { keep, largest }
    }

    pub(crate) fn give_back(&self, buffer: Buffer) {
        if buffer.bytes.len() <= self.largest {
            let _ = self.keep.try_send(buffer.bytes);
        }
    }

    /// Takes back a buffer that several threads read, from the last of them.
    pub(crate) fn give_back_shared(&self, shared: Arc<Buffer>) {
        if let Some(buffer) = Arc::into_inner(shared) {
            self.give_back(buffer);
        }
    }
}
