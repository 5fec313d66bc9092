//! A buffer of finished spans.

/// Finished spans in one piece of memory, with room for the header and trailer of the message.
// The fields are in this order because the compiler would update the two numbers, side by side,
// with one instruction that takes five to prepare.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Buffer {
    /// The end of the spans.
    pub(crate) end: usize,
    /// `headroom` bytes for the header, then the spans, then free room. Empty until the first span
    /// is written.
    pub(crate) bytes: Vec<u8>,
    /// The number of spans.
    pub(crate) spans: usize,
}

impl Buffer {
    /// Copies the spans of another buffer into this one's memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&other.bytes[..other.end]);
        (self.end, self.spans) = (other.end, other.spans);
    }

    pub(super) fn empty(headroom: usize) -> Self {
        Self { bytes: Vec::new(), end: headroom, spans: 0 }
    }
}
