//! The state of a trace, shared by its spans in this process: its flags.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use triomphe::Arc;

use crate::tail::TailState;

/// The trace is recorded.
pub(crate) const SAMPLED: u8 = 1;
/// The trace is recorded because debugging was requested.
pub(crate) const DEBUG: u8 = 2;
/// The trace is not to be indexed.
pub(crate) const FIREHOSE: u8 = 8;

/// The sampler will be called again. Not one of the flags that leave the process.
const DEFERRED: u32 = 0x100;

/// Spans of the trace take the slow path: observers are notified, or the sampler is called, on each change.
const SLOW_PATH: u32 = 0x200;

/// Spans of the trace are buffered when they are finished: it is not sampled, but may be retained.
const BUFFERED: u32 = 0x400;

/// Open spans of the trace are counted, and spans that join it otherwise find it by the trace's id.
/// From when it was first buffered until the state begins anew.
const TRACKED: u32 = 0x800;

/// The tracked trace began in this process, and is found by its id while spans are open.
const BEGAN_HERE: u32 = 0x2000;

/// Observers of finished spans are to be notified of spans of the trace.
const OBSERVED: u32 = 0x1000;

/// Tags and logs are recorded if any of these bits is set.
const RECORDING: u32 = SAMPLED as u32 | DEFERRED | BUFFERED;

/// Calls on its spans may yet decide on the trace.
const MAY_BE_SAMPLED_LATER: u32 = DEFERRED | BUFFERED;

/// Spans of the trace do not start, change and end on the fast path.
const ON_SLOW_PATH: u32 = MAY_BE_SAMPLED_LATER | SLOW_PATH | TRACKED;

/// Spans of the trace do not end on the fast path.
const SLOW_END: u32 = ON_SLOW_PATH | OBSERVED;

/// Flags that nobody defines, but that a caller may set: the short form of a span has no room for them.
const UNUSUAL_FLAGS: u32 = 0xc0;

/// Returns the bits with `flags` added. Tags of an observed trace that is recorded from here on are
/// stored for observers as they were before: its spans take the slow path.
const fn with_added(bits: u32, flags: u8) -> u32 {
    let is_newly_sampled = bits & SAMPLED as u32 == 0 && flags & SAMPLED != 0;
    let path = if is_newly_sampled && bits & OBSERVED != 0 { SLOW_PATH } else { 0 };
    bits | flags as u32 | path
}

/// The state of a trace that its spans and contexts share. There are no weak handles, whose count would
/// take another 8 bytes for each trace.
pub(crate) type SharedState = Arc<TraceState>;

/// The flags of a trace's local part. Changing them on one span changes them for all, so that
/// `sampling.priority` on a late span also records the spans above.
///
/// # Source
///
/// `samplingState` in jaeger-client-go, `span_context.go`.
#[derive(Debug, Default)]
pub(crate) struct TraceState {
    bits: AtomicU32,
    /// The time at which recording was forced on a trace that had begun unrecorded; 0 if it was
    /// not.
    forced_at: AtomicU64,
    /// The bits that samplers store for the trace.
    memory: AtomicU64,
    /// What tail sampling knows of the trace.
    pub(crate) tail_state: TailState,
}

impl TraceState {
    /// Begins a new trace.
    #[inline]
    pub(crate) fn reset(&self, flags: u8) {
        self.bits.store(u32::from(flags), Ordering::Relaxed);
        self.forced_at.store(0, Ordering::Relaxed);
    }

    pub(crate) fn with_flags(flags: u8) -> Self {
        Self { bits: AtomicU32::new(u32::from(flags)), ..Self::default() }
    }

    #[inline]
    fn bits(&self) -> u32 {
        self.bits.load(Ordering::Relaxed)
    }

    /// Returns the flags that leave the process.
    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        let [flags, ..] = self.bits().to_le_bytes();
        flags
    }

    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.bits() & u32::from(SAMPLED) != 0
    }

    /// Returns whether tags and logs are recorded: the trace is sampled, or may yet be.
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.bits() & RECORDING != 0
    }

    /// Returns whether it is sampled, and calls on its spans take the fast path: nobody is to be notified
    /// or asked about them.
    #[inline]
    pub(crate) fn is_on_fast_path(&self) -> bool {
        self.bits() & (u32::from(SAMPLED) | ON_SLOW_PATH) == u32::from(SAMPLED)
    }

    /// Returns whether a tag is kept, or somebody is to be notified of it.
    #[inline]
    pub(crate) fn wants_tags(&self) -> bool {
        self.bits() & (RECORDING | SLOW_PATH | OBSERVED) != 0
    }

    /// Has the trace's spans take the slow path.
    pub(crate) fn require_slow_path(&self) {
        self.bits.fetch_or(SLOW_PATH, Ordering::Relaxed);
    }

    /// Has observers notified of the trace's spans when these are finished.
    pub(crate) fn observe(&self) {
        if !self.is_observed() {
            self.bits.fetch_or(OBSERVED, Ordering::Relaxed);
        }
    }

    /// Does the same in a trace that no other thread can change.
    #[inline]
    pub(crate) fn observe_new(&self) {
        self.bits.store(self.bits() | OBSERVED, Ordering::Relaxed);
    }

    /// Returns whether observers may be notified of finished spans of the trace.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.bits() & OBSERVED != 0
    }

    /// Returns whether it is surely not sampled, and observed, and nothing else is done to its spans.
    #[inline]
    pub(crate) fn is_only_observed(&self) -> bool {
        self.bits() & (u32::from(SAMPLED) | SLOW_END) == OBSERVED
    }

    /// Returns whether the time of an end is needed: the trace is recorded, observed, or measured by a tail
    /// sampler.
    #[inline]
    pub(crate) fn has_timed_end(&self) -> bool {
        self.bits() & (RECORDING | OBSERVED | TRACKED) != 0
    }

    /// Returns whether an end needs more than the fast path.
    #[inline]
    pub(crate) fn has_slow_end(&self) -> bool {
        self.bits() & SLOW_END != 0
    }

    /// Returns the flags that leave the process, if a span that ends is sent, and nothing else is done, and the flags
    /// are usual.
    #[inline]
    pub(crate) fn flags_of_only_sent(&self) -> Option<u8> {
        let bits = self.bits();
        let others = SLOW_END | UNUSUAL_FLAGS;
        // The mask gives the compiler a limit.
        let [flags, ..] = (bits & !UNUSUAL_FLAGS).to_le_bytes();
        (bits & (u32::from(SAMPLED) | others) == u32::from(SAMPLED)).then_some(flags)
    }

    /// Returns whether observers are notified of a span that ends, and else the end is on the fast path.
    #[inline]
    pub(crate) fn has_observed_end(&self) -> bool {
        self.bits() & SLOW_END == OBSERVED
    }

    /// Returns whether a span that ends is counted as not sampled, and nothing else is done.
    #[inline]
    pub(crate) fn is_only_counted(&self) -> bool {
        self.bits() & (u32::from(SAMPLED) | SLOW_END) == 0
    }

    /// Returns whether the sampler is to be called again.
    #[inline]
    pub(crate) fn is_deferred(&self) -> bool {
        self.bits() & DEFERRED != 0
    }

    /// Returns whether calls on its spans need more than the fast path: the sampler is to be called
    /// again, they may be buffered, or there are callbacks.
    #[inline]
    pub(crate) fn is_on_slow_path(&self) -> bool {
        self.bits() & ON_SLOW_PATH != 0
    }

    /// Returns whether it is surely not sampled, without a callback to notify or a sampler to call. One look at all
    /// of it: in between, what may yet decide could become what was decided.
    #[inline]
    pub(crate) fn is_surely_unsampled(&self) -> bool {
        self.bits() & (u32::from(SAMPLED) | ON_SLOW_PATH) == 0
    }

    /// Returns whether calls on its spans may yet decide on the trace.
    #[inline]
    pub(crate) fn may_be_sampled_later(&self) -> bool {
        self.bits() & MAY_BE_SAMPLED_LATER != 0
    }

    /// Returns whether its spans are buffered when they are finished, unless they are sampled.
    #[inline]
    pub(crate) fn is_buffered(&self) -> bool {
        self.bits() & BUFFERED != 0
    }

    /// Has the open spans counted from here on, and buffered when they are finished unless it is sampled.
    pub(crate) fn track(&self, began_here: bool) {
        let buffered = |bits| if bits & u32::from(SAMPLED) == 0 { BUFFERED } else { 0 };
        let began_here = if began_here { BEGAN_HERE } else { 0 };
        let tracked = |bits: u32| Some(bits & !BEGAN_HERE | TRACKED | began_here | buffered(bits));
        let _ = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, tracked);
    }

    /// Returns whether its open spans are counted.
    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.bits() & TRACKED != 0
    }

    /// Returns whether it is tracked and began in this process.
    #[inline]
    pub(crate) fn began_here(&self) -> bool {
        self.bits() & BEGAN_HERE != 0
    }

    /// Has no spans buffered any more, as it is sampled now, whatever a sampler would say. False if they
    /// were not buffered.
    pub(crate) fn release(&self) -> bool {
        let sampled = |bits| {
            (bits & BUFFERED != 0).then_some(with_added(bits & !MAY_BE_SAMPLED_LATER, SAMPLED))
        };
        self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sampled).is_ok()
    }

    /// Has no spans buffered any more, because they are not wanted.
    pub(crate) fn stop_buffering(&self) {
        self.bits.fetch_and(!BUFFERED, Ordering::Relaxed);
    }

    /// Returns whether the trace is sampled, as far as that is decided.
    pub(crate) fn sampled(&self) -> Sampled {
        match self.bits() {
            bits if bits & DEFERRED != 0 => Sampled::Deferred,
            bits if bits & u32::from(SAMPLED) != 0 => Sampled::Yes,
            _ => Sampled::No,
        }
    }

    /// Returns a copy that does not change with later decisions.
    pub(crate) fn frozen(&self) -> Self {
        Self {
            bits: AtomicU32::new(self.bits()),
            forced_at: AtomicU64::new(self.forced_at()),
            ..Self::default()
        }
    }

    /// Sets whether the sampler is to be called again.
    pub(crate) fn set_deferred(&self, deferred: bool) {
        if deferred {
            self.bits.fetch_or(DEFERRED, Ordering::Relaxed);
        } else {
            self.bits.fetch_and(!DEFERRED, Ordering::Relaxed);
        }
    }

    /// Applies a decision of the sampler, which is final or not. Returns false if there was another one, of
    /// those that are final, since the sampler was called.
    pub(crate) fn decide(&self, flags: u8, is_final: bool) -> bool {
        let decided = |bits: u32| {
            let left = if is_final { bits & !DEFERRED } else { bits };
            (bits & DEFERRED != 0).then_some(with_added(left, flags))
        };
        self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decided).is_ok()
    }

    pub(crate) fn add(&self, flags: u8) {
        let added = |bits| Some(with_added(bits, flags));
        let _ = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    pub(crate) fn remove(&self, flags: u8) {
        self.bits.fetch_and(!u32::from(flags), Ordering::Relaxed);
    }

    /// Starts recording at the monotonic time `now`.
    pub(crate) fn force(&self, flags: u8, now: u64) {
        let _ = self.forced_at.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        // A thread that sees the flags sees the time too.
        let added = |bits| Some(with_added(bits, flags));
        let _ = self.bits.fetch_update(Ordering::Release, Ordering::Relaxed, added);
    }

    /// Returns when recording was forced, if it was.
    pub(crate) fn forced_at(&self) -> u64 {
        fence(Ordering::Acquire);
        self.forced_at.load(Ordering::Relaxed)
    }

    /// Returns the bits that samplers store.
    pub(crate) fn memory(&self) -> &AtomicU64 {
        &self.memory
    }
}

/// The sampling decision of a span, as far as it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampled {
    Yes,
    No,
    /// The sampler has deferred the decision.
    Deferred,
}
