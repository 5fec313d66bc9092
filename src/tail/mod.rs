//! Tail sampling: buffers finished spans of unsampled traces until it is known whether the trace is
//! retained.
//!
//! The module is below the spans and knows nothing of them: [`crate::span`] decides what is
//! buffered and flushed.

mod buffer;
mod buffers;
mod config;
mod sampler;
mod state;

pub(crate) use self::buffer::TraceBuffer;
pub use self::config::TailSamplingConfig;
pub(crate) use self::sampler::TailSampler;
pub(crate) use self::state::TailState;
