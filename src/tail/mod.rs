//! Tail sampling: buffers finished spans of unsampled traces until it is known whether the trace is
//! retained.
//!
//! The module is below the spans and knows nothing of them: [`crate::span`] decides what is
//! buffered and flushed.

mod buffer;
mod buffers;
mod config;
mod state;

pub(crate) use self::buffer::TraceBuffer;
pub(crate) use self::buffers::{LockedTraceBuffers, TraceBuffers};
pub use self::config::TailSamplingConfig;
pub(crate) use self::state::TailState;
