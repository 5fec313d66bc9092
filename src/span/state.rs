//! What the spans of one trace share within this process: its flags.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Recorded.
pub(crate) const SAMPLED: u8 = 1;
/// Recorded because somebody asked for it.
pub(crate) const DEBUG: u8 = 2;
/// Not to be indexed.
pub(crate) const FIREHOSE: u8 = 8;

/// The flags of a trace's local part. Changing them on one span changes them for all, so that
/// `sampling.priority` set deep down also saves the spans above.
///
/// # Source
///
/// `samplingState` in jaeger-client-go, `span_context.go`.
#[derive(Debug, Default)]
pub(crate) struct TraceState {
    flags: AtomicU8,
    /// When recording was forced on a trace that had begun unrecorded; 0 if it was not.
    forced_at: AtomicU64,
}

impl TraceState {
    /// Begins anew.
    #[inline]
    pub(crate) fn reset(&self, flags: u8) {
        self.flags.store(flags, Ordering::Relaxed);
        self.forced_at.store(0, Ordering::Relaxed);
    }

    pub(crate) fn with_flags(flags: u8) -> Self {
        Self { flags: AtomicU8::new(flags), ..Self::default() }
    }

    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        self.flags.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    pub(crate) fn add(&self, flags: u8) {
        self.flags.fetch_or(flags, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, flags: u8) {
        self.flags.fetch_and(!flags, Ordering::Relaxed);
    }

    /// Starts recording at the monotonic time `now`.
    pub(crate) fn force(&self, flags: u8, now: u64) {
        let _ = self.forced_at.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        self.add(flags);
    }

    /// When recording was forced, if it was.
    pub(crate) fn forced_at(&self) -> u64 {
        self.forced_at.load(Ordering::Relaxed)
    }
}
