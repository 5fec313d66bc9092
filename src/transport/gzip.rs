//! Compression of messages by gzip.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::TransportError;

/// Compresses messages, one after the other, into reused memory.
#[derive(Default)]
pub(super) struct Gzip {
    compressed: Vec<u8>,
}

impl Gzip {
    /// Returns the compressed message.
    ///
    /// # Errors
    ///
    /// No known ones: the output is in memory.
    pub(super) fn compress(&mut self, message: &[u8]) -> Result<&[u8], TransportError> {
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        let mut encoder = GzEncoder::new(compressed, Compression::new(LEVEL));
        let written = encoder.write_all(message).and_then(|()| encoder.finish());
        self.compressed = written.map_err(|source| TransportError::Io { source })?;
        Ok(&self.compressed)
    }
}

/// The compression level, of 1 to 9.
const LEVEL: u32 = 1;
