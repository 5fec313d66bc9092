//! The configuration of tail sampling.

use std::time::Duration;

use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;

/// Decides which unsampled traces are retained all the same, and how much is buffered until that is
/// known.
///
/// The spans of an unsampled trace in this process are recorded, and buffered when they are
/// finished. If one of them has an error, is slow, or [is retained](crate::Span::retain_trace), all
/// of them are sent, with the tags and logs from before, and the trace is sampled from then on. The
/// span that was the reason has the tags `sampler.type` = `tail`, and `sampler.param` = `error`,
/// `slow` or `forced`. A trace that is forced by `sampling.priority`, or by a sampler that had
/// deferred its decision, is complete likewise, and tagged as usual.
///
/// Otherwise the spans are discarded when the last span of the trace in this process is finished,
/// or when the tracer is closed, and counted as not sampled.
///
/// All spans of a trace that began in this process belong together while at least one is open:
/// child spans, self-references, and spans that continue the trace through headers that this
/// process wrote. Of a trace that came from elsewhere, each request that is served is buffered, and
/// retained, by itself.
///
/// Only spans of this process can be retained. Services called before the trace was retained
/// received the decision that it is not sampled, and so did the calling service; services called
/// later receive the new decision.
///
/// # Cost
///
/// None without tail sampling. With it, spans of unsampled traces cost as much as sampled ones,
/// plus a lock when they are finished, which is seldom contended. Nothing is allocated in steady
/// state. A trace is flushed on the thread that was the reason.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::sampler::ProbabilisticSampler;
/// use jaeger_client::{InMemoryReporter, TailSamplingConfig, Tracer};
///
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("checkout")
///     .sampler(ProbabilisticSampler::new(0.0)?)
///     .tail_sampling(TailSamplingConfig {
///         slower_than: Some(Duration::from_secs(2)),
///         ..TailSamplingConfig::default()
///     })
///     .in_memory(&reporter)
///     .build()?;
///
/// let span = tracer.start_span("charge");
/// tracer.span("look up").child_of(&span).tag("customer", 4711).start().finish();
/// assert!(!span.is_sampled() && reporter.is_empty());
///
/// span.set_tag("error", true);
/// assert!(span.is_sampled());
/// span.finish();
/// let names: Vec<_> = reporter.spans().iter().map(|s| s.view().operation_name().into_owned()).collect();
/// assert_eq!(names, ["look up", "charge"]);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct TailSamplingConfig {
    /// The maximum memory of buffered spans, in bytes, of all traces together, at least 4,096. When
    /// it is used up, the trace that has been buffered longest is evicted. As many traces as there
    /// are shards, see [`TracerBuilder::shards`](crate::TracerBuilder::shards), may be buffered
    /// side by side, each up to its share, which is at least 256 KiB. Default 4 MiB.
    pub max_bytes: usize,
    /// The longest duration of a span that is no reason to retain its trace. Default none: no span
    /// is too slow.
    pub slower_than: Option<Duration>,
    /// Whether the tag `error`, if it is true or the text `true`, is a reason to retain the trace.
    /// Default true.
    pub on_error_tag: bool,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for TailSamplingConfig {
    fn default() -> Self {
        Self {
            max_bytes: 4 * 1024 * 1024,
            slower_than: None,
            on_error_tag: true,
            __non_exhaustive: NonExhaustive,
        }
    }
}

impl TailSamplingConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.max_bytes < MIN_BYTES {
            return Err(ConfigError::invalid(
                "tail_sampling.max_bytes",
                self.max_bytes.to_string(),
                "at least 4096",
            ));
        }
        Ok(())
    }

    /// Returns the longest duration that is no reason, in nanoseconds.
    pub(crate) fn longest_nanos(&self) -> u64 {
        let nanos = self.slower_than.map(|limit| u64::try_from(limit.as_nanos()));
        nanos.and_then(Result::ok).unwrap_or(u64::MAX)
    }
}

const MIN_BYTES: usize = 4096;
