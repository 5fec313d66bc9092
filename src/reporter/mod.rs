//! Where finished spans go.
//!
//! Walk steps 6 and 7. The remote reporter collects spans in datagram-sized buffers ([`shards`])
//! and sends them from a thread of its own ([`worker`]); the others take spans where they are
//! finished. All of them read the same canonical bytes.

mod memory;
mod null;
mod remote;
mod shards;
mod trim;
mod worker;

pub(crate) use self::memory::MemorySink;
pub use self::memory::{FinishedSpan, InMemoryReporter};
pub(crate) use self::null::NullSink;
pub(crate) use self::remote::{MAX_WAIT, Remote, RemoteOptions, timed};
#[cfg(feature = "tokio")]
pub(crate) use self::worker::wait_aside;
