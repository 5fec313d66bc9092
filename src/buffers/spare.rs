//! The memory of sent buffers, for reuse.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::buffer::Buffer;

/// Collects the memory of sent buffers.
#[derive(Clone, Debug)]
pub(crate) struct SpareMemory {
    keep: Sender<Vec<u8>>,
    /// The largest memory that is reused: a buffer that grew for a large span must not keep its
    /// size.
    largest: usize,
}

impl SpareMemory {
    /// Makes a collector for memory of up to `largest` bytes a buffer.
    pub(crate) fn new(keep: Sender<Vec<u8>>, largest: usize) -> Self {
        Self { keep, largest }
    }

    pub(crate) fn recycle(&self, buffer: Buffer) {
        self.recycle_bytes(buffer.bytes);
    }

    pub(crate) fn recycle_bytes(&self, bytes: Vec<u8>) {
        if bytes.len() <= self.largest {
            let _ = self.keep.try_send(bytes);
        }
    }

    /// Takes the memory of a buffer that several threads read, from the last of them.
    pub(crate) fn recycle_shared(&self, shared: Arc<Buffer>) {
        if let Some(buffer) = Arc::into_inner(shared) {
            self.recycle(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_buffer_that_grew_is_not_reused() {
        let (keep, spare) = crossbeam_channel::bounded(9);
        let memory = SpareMemory::new(keep, 100);
        let buffer = |bytes: usize| Buffer { end: 0, bytes: vec![0; bytes], spans: 0 };
        for bytes in [100, 101] {
            memory.recycle(buffer(bytes));
            memory.recycle_shared(Arc::new(buffer(bytes)));
        }
        let reused: Vec<_> = spare.try_iter().map(|bytes| bytes.len()).collect();
        assert_eq!(reused, [100, 100]);
    }
}
