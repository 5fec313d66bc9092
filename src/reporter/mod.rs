//! Where finished spans go.
//!
//! Walk steps 6 and 7. Spans are collected in datagram-sized buffers ([`shards`]), which a thread of
//! its own ([`worker`]) gives to the destination ([`destination`]), or to the thread of each where there are
//! several ([`destination`]). The null reporter and the one in
//! memory, if they are alone, take spans where they are finished. All of them read the same
//! canonical bytes.

mod counts;
mod destination;
mod exporter;
mod guarded;
mod memory;
mod null;
mod service;
mod worker;

pub(crate) use self::destination::DestinationContext;
pub use self::destination::{Destination, Reporter};
pub(crate) use self::exporter::MIN_SPAN_ROOM;
pub(crate) use self::memory::MemorySink;
pub use self::memory::{FinishedSpan, InMemoryReporter};
pub(crate) use self::null::NullSink;
pub(crate) use self::service::{
    MAX_WAIT, ReporterService, ServiceOptions, UnstartedService, timed,
};
#[cfg(feature = "tokio")]
pub(crate) use self::worker::wait_aside;
pub(crate) use crate::buffers::QueueLimits;
