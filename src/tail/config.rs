//! What is held, and why it is kept, as data.

use std::time::Duration;

use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;

/// Which traces that are not sampled are kept all the same, and how much is held until that is known.
///
/// The spans of an unsampled trace in this process are recorded and held when they are finished. If
/// one of them errs, is slow, or is [asked for](crate::Span::retain_trace), all of them are sent, with
/// the tags and logs from before, and the trace is sampled from then on. The span that was the reason
/// says so: `sampler.type` is `tail`, and `sampler.param` is `error`, `slow` or `forced`. A trace that
/// is forced by `sampling.priority`, or by a sampler that had put its decision off, is complete
/// likewise, and marked as ever.
///
/// If nothing happens, they are forgotten when the last span of the trace in this process is
/// finished, or when the tracer is closed, and counted as not sampled.
///
/// A span belongs to a trace that began in this process by whatever way it came into it while others
/// are open: as a child, by a self-reference, or through headers that this process wrote itself. Of a
/// trace that came from elsewhere, each request that is served is held, and kept, by itself.
///
/// Only what this process holds can be kept. Services called before the trace was kept were told
/// that it is not sampled, and so was the service that called; one that is called later is told that
/// it is.
///
/// # Cost
///
/// Without it, nothing. With it, spans of unsampled traces cost what sampled ones do, and a lock more
/// when they are finished, which those of other traces seldom want. Nothing is allocated in steady
/// state. A release writes all that is held of the trace on the thread that was the reason.
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
/// let names: Vec<_> = reporter.spans().iter().map(|s| s.view().operation().into_owned()).collect();
/// assert_eq!(names, ["look up", "charge"]);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct TailSamplingConfig {
    /// The most bytes that are held, of all traces together, at least 4,096. Where they are used up,
    /// the trace that has held spans the longest loses them. As many traces as there are shards, see
    /// [`TracerBuilder::shards`](crate::TracerBuilder::shards), may be held side by side, each up to
    /// its share, which is not made smaller than 256 KiB. Default 4 MiB.
    pub max_bytes: usize,
    /// The longest duration of a span that is no reason to keep its trace. Default none: no span is
    /// too slow.
    pub slower_than: Option<Duration>,
    /// Whether the tag `error`, if it is true or the text `true`, is a reason to keep the trace.
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

    /// The longest duration that is no reason, in nanoseconds.
    pub(crate) fn longest_nanos(&self) -> u64 {
        let nanos = self.slower_than.map(|limit| u64::try_from(limit.as_nanos()));
        nanos.and_then(Result::ok).unwrap_or(u64::MAX)
    }
}

const MIN_BYTES: usize = 4096;
