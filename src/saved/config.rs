//! The configuration of the file of saved batches.

use std::path::PathBuf;

/// Where a tracer saves what it could not send, or what nobody acknowledged, before it was closed.
///
/// The file is written when the tracer is closed, and only then: what is lost while it lives, because
/// a queue is full or a server was away for too long, is not in it. Several tracers and processes may
/// share one: they add to it. Only its owner may read it. It holds spans, and names of destinations;
/// addresses, headers and passwords are not in it. `replay` sends it again, and so
/// does the program `jaeger-client-replay`.
///
/// # Cost
///
/// Messages are copied once more, to a thread that sends them, so that one that hangs can be given
/// up in time. Of the time that a close may take, the last quarter, a second at most, is for the file.
///
/// # Examples
///
/// ```
/// # #[cfg(all(feature = "saved-batches", feature = "collector-http"))] {
/// use jaeger_client::{HttpConfig, SavedBatchesConfig, Tracer};
/// let file = SavedBatchesConfig::new(std::env::temp_dir().join("checkout.batches"));
/// let (tracer, closer) = Tracer::builder("checkout")
///     .collector(HttpConfig::new("http://127.0.0.1:14268/api/traces"))
///     .save_unacknowledged(file)
///     .build()?;
/// # drop(closer);
/// # }
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedBatchesConfig {
    /// The file. Its folder must exist.
    pub path: PathBuf,
    /// The maximum size of the file, in bytes. Spans without room are counted as `send_failed`.
    pub max_bytes: u64,
}

impl SavedBatchesConfig {
    /// A file of up to 64 MiB.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_bytes: DEFAULT_MAX_BYTES }
    }

    /// Sets the maximum size of the file, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

const DEFAULT_MAX_BYTES: u64 = 64 << 20;
