//! The tail sampler of a tracer: its buffers, and why traces are retained.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::lock::MutexGuard;

use super::buffer::TraceBuffer;
use super::buffers::{LockedTraceBuffers, TraceBuffers};
use super::config::TailSamplingConfig;
use crate::error::ConfigError;
use crate::fork::ProcessOrigin;
use crate::id::TraceId;

/// The buffers of a tracer, in which each trace has a state `S`, and why traces are retained.
#[derive(Debug)]
pub(crate) struct TailSampler<S> {
    /// Which of the process's tracers it is: a trace's state may come to another one's spans.
    pub(crate) id: u32,
    /// The longest duration that is no reason to retain a trace.
    pub(crate) longest_nanos: u64,
    pub(crate) on_error_tag: bool,
    buffers: TraceBuffers<S>,
}

impl<S> TailSampler<S> {
    /// Makes the buffers of the configuration, with as many locks as there are shards.
    pub(crate) fn new(
        config: &TailSamplingConfig,
        shards: usize,
        origin: &ProcessOrigin,
    ) -> Result<Self, ConfigError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        config.check()?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            longest_nanos: config.longest_nanos(),
            on_error_tag: config.on_error_tag,
            buffers: TraceBuffers::new(config.max_bytes, shards.next_power_of_two(), origin),
        })
    }

    /// The buffer of a trace. None in a forked process if a thread that was left behind may have it.
    pub(crate) fn buffer(&self, trace_id: TraceId) -> Option<MutexGuard<'_, TraceBuffer<S>>> {
        self.buffers.buffer(trace_id)
    }

    /// Keeps whatever is buffered where it is, until what this gives is dropped.
    pub(crate) fn lock(&self) -> LockedTraceBuffers<'_, S> {
        self.buffers.lock()
    }

    /// Discards what is buffered, one buffer after the other, and buffers nothing any more. Gives how
    /// many spans each had to `count` while it is locked.
    pub(crate) fn close(&self, count: impl Fn(u64)) {
        self.buffers.each().for_each(|mut buffer| count(buffer.close()));
    }
}
