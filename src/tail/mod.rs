//! Tail sampling: finished spans of traces that are not sampled, buffered in case they are wanted.
//!
//! It lies below the spans and knows nothing of them: [`crate::span`] says what comes in and what
//! leaves.

mod buffer;
mod buffers;
mod config;
mod state;

pub(crate) use self::buffer::TraceBuffer;
pub(crate) use self::buffers::{LockedTraceBuffers, TraceBuffers};
pub use self::config::TailSamplingConfig;
pub(crate) use self::state::TailState;
