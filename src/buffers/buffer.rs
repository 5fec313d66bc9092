//! One buffer of finished spans.

/// Finished spans in one piece of memory, with room for what surrounds them on the wire.
// In this order: side by side, the two numbers would be changed by one instruction for both, and five
// that prepare it.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Buffer {
    /// Where the spans end.
    pub(crate) end: usize,
    /// `headroom` bytes that the header will take, then the spans, then room for more. Empty until
    /// the first span comes.
    pub(crate) bytes: Vec<u8>,
    /// How many spans.
    pub(crate) spans: usize,
}

impl Buffer {
    /// Takes over the spans of another, in its own memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&other.bytes[..other.end]);
        (self.end, self.spans) = (other.end, other.spans);
    }

    pub(super) fn empty(headroom: usize) -> Self {
        Self { bytes: Vec::new(), end: headroom, spans: 0 }
    }
}
