//! The span that a sampler decides on.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Decision, SAMPLER_TYPE_TAG, Sampler, SamplerTags, SpanTags};
use crate::clock::Clock;
use crate::diag::Brief;
use crate::encoding::{List, TagBuffer, TagView, tags_of, truncate};
use crate::id::TraceId;

/// The span that a sampler decides on: the first of a trace, or a later one of a trace without a
/// final decision.
pub struct SamplingParameters<'a> {
    trace_id: TraceId,
    operation_name: &'a str,
    tags: &'a mut SpanTags,
    max_value_bytes: usize,
    clock: &'a dyn Clock,
    /// The bits that samplers store for the trace; none where no sampler is called twice.
    memory: Option<&'a AtomicU64>,
    /// The first of the bits that belong to this sampler.
    first_bit: u32,
    below_root: bool,
}

impl fmt::Debug for SamplingParameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplingParameters")
            .field("trace_id", &format_args!("{}", self.trace_id))
            .field("operation_name", &Brief(self.operation_name))
            .finish_non_exhaustive()
    }
}

impl<'a> SamplingParameters<'a> {
    /// Calls a sampler for the first span of a trace that another tracing library records, and
    /// returns the decision and the sampler's tags. For bridges to other tracers.
    ///
    /// # Cost
    ///
    /// That of the sampler's decision; nothing is allocated for a trace that is not recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::sampler::{ProbabilisticSampler, SamplingParameters};
    /// use jaeger_client::{SystemClock, TraceId};
    /// let (sampler, clock) = (ProbabilisticSampler::new(1.0)?, SystemClock::new());
    /// let mut keys = Vec::new();
    /// let decision =
    ///     SamplingParameters::decide(&sampler, TraceId::new(0, 1), "op", &clock, |tag| keys.push(tag.key.to_vec()));
    /// assert!(decision.sample);
    /// assert_eq!(keys, [b"sampler.type".to_vec(), b"sampler.param".to_vec()]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn decide(
        sampler: &(impl Sampler + ?Sized),
        trace_id: TraceId,
        operation_name: &str,
        clock: &dyn Clock,
        visit: impl FnMut(TagView<'_>),
    ) -> Decision {
        let mut sampler_tags = SpanTags::default();
        let mut span = SamplingParameters::new(
            trace_id,
            operation_name,
            &mut sampler_tags,
            DEFAULT_MAX_VALUE_BYTES,
            clock,
        );
        let decision = sampler.on_create_span(&mut span);
        if decision.sample {
            let mut tags = TagBuffer::default();
            let count = sampler_tags.append_to(&mut tags);
            tags_of(Some(List::new(count, tags.bytes()))).for_each(visit);
        }
        decision
    }

    /// Returns the first span of a trace, for a tracer whose sampler may not defer.
    #[inline]
    pub(crate) fn new(
        trace_id: TraceId,
        operation_name: &'a str,
        tags: &'a mut SpanTags,
        max_value_bytes: usize,
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            trace_id,
            operation_name,
            tags,
            max_value_bytes,
            clock,
            memory: None,
            first_bit: 0,
            below_root: false,
        }
    }

    /// Adds the bits that samplers store for the trace: 64 bits that all its local spans share, all
    /// 0 when the trace begins here.
    #[inline]
    pub(crate) fn with_memory(self, memory: &'a AtomicU64) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Marks the span as a later one: its trace has begun in another span of this process.
    #[inline]
    pub(crate) fn below_root(self) -> Self {
        Self { below_root: true, ..self }
    }

    /// Returns the trace id, whose low 63 bits are random.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the operation name of the span.
    #[must_use]
    pub fn operation_name(&self) -> &str {
        self.operation_name
    }

    /// Returns whether the trace began in this process with this very span.
    #[must_use]
    pub fn is_local_root(&self) -> bool {
        !self.below_root
    }

    /// Reads the tracer's monotonic clock, in nanoseconds since some fixed moment.
    ///
    /// # Cost
    ///
    /// One reading of the clock.
    #[must_use]
    pub fn monotonic_nanos(&self) -> u64 {
        self.clock.monotonic_nanos()
    }

    /// Returns whether [`remember`](Self::remember) was called with `bit` on any local span of the
    /// trace.
    ///
    /// # Shape and units
    ///
    /// `bit` counts from 0 and is below what the sampler's
    /// [`memory_bits`](super::Sampler::memory_bits) says.
    #[must_use]
    pub fn remembers(&self, bit: u32) -> bool {
        let word = self.memory.map_or(0, |memory| memory.load(Ordering::Relaxed));
        word & self.mask(bit) != 0
    }

    /// Stores one bit for as long as the trace lives in this process. Nothing is stored in a tracer
    /// whose sampler [may not defer](super::Sampler::may_defer), as it is called only once.
    pub fn remember(&self, bit: u32) {
        if let Some(memory) = self.memory {
            memory.fetch_or(self.mask(bit), Ordering::Relaxed);
        }
    }

    /// Returns the mask of a bit, or 0 beyond the 64 bits that there are.
    fn mask(&self, bit: u32) -> u64 {
        1_u64.checked_shl(self.first_bit.saturating_add(bit)).unwrap_or(0)
    }

    /// Gives a nested sampler the bits from `first` on as its own.
    pub(super) fn with_bits_from<T>(&mut self, first: u32, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.first_bit;
        self.first_bit = before.saturating_add(first);
        let result = work(self);
        self.first_bit = before;
        result
    }

    /// Adds a tag to the span, which is recorded only if the decision is to sample.
    pub fn set_tag(&mut self, key: &str, value: &str) {
        self.tags.set(key, truncate(value, self.max_value_bytes));
    }

    /// Adds `sampler.type` and `sampler.param`, encoded beforehand.
    #[inline]
    pub(super) fn set_sampler_tags(&mut self, tags: &SamplerTags) {
        if tags.kind.len() > self.max_value_bytes {
            self.set_tag(SAMPLER_TYPE_TAG, tags.kind);
            self.tags.extend(&tags.bytes[tags.param_at..], 1);
        } else if let Some(short) = &tags.short {
            self.tags.extend_short(short, 2);
        } else {
            self.tags.extend(&tags.bytes, 2);
        }
    }
}

/// The default limit of a tag's value, in bytes.
pub(super) const DEFAULT_MAX_VALUE_BYTES: usize = 256;
