//! A sampler's decision, and the two tags that name the sampler.

use super::{SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG, Sampler};
use crate::encoding::{ShortTags, TagBuffer, ValueView};

/// The decision of a sampler.
///
/// # Source
///
/// `SamplingDecision` in jaeger-client-go, `sampler_v2.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::Decision;
/// let no_opinion = Decision::retryable(false);
/// assert!(!no_opinion.sample && no_opinion.retryable);
/// assert!(!Decision::new(true).retryable);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether to record the trace.
    pub sample: bool,
    /// Whether to call the sampler again when the span is renamed, tagged or finished. A decision
    /// to record is never taken back.
    pub retryable: bool,
    /// Whether to keep the trace out of the server's index.
    pub firehose: bool,
}

impl Decision {
    /// Returns a decision that is final.
    #[must_use]
    pub const fn new(sample: bool) -> Self {
        Self { sample, retryable: false, firehose: false }
    }

    /// Returns a decision after which the sampler is called again, if the sampler [may
    /// defer](super::Sampler::may_defer).
    #[must_use]
    pub const fn retryable(sample: bool) -> Self {
        Self { sample, retryable: true, firehose: false }
    }

    /// Returns the same decision with the firehose flag: the trace is kept out of the index.
    #[must_use]
    pub const fn with_firehose(self) -> Self {
        Self { firehose: true, ..self }
    }
}

/// The caller's decision on a trace that continues in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentDecision {
    /// Whether it is recorded.
    pub is_sampled: bool,
    /// Whether the trace is recorded because debugging was requested.
    pub is_debug: bool,
}

impl ParentDecision {
    /// For tests of samplers.
    #[must_use]
    pub const fn new(is_sampled: bool, is_debug: bool) -> Self {
        Self { is_sampled, is_debug }
    }
}

/// A decision that depends on the trace id alone, with its tags.
#[derive(Clone, Copy, Debug)]
pub struct DecisionById<'a>(ById<'a>);

/// A decision that depends on the trace id alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ById<'a> {
    /// The id alone does not decide: the sampler is to be called.
    CallSampler,
    No,
    /// The trace is sampled, with the two tags of the sampler.
    Yes(&'a ShortTags),
}

/// A decision that is the same for every trace, as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConstantDecision {
    /// There is none: each trace has its own.
    None,
    No,
    Yes(ShortTags),
}

impl ConstantDecision {
    /// Returns the constant decision of a sampler.
    pub(crate) fn of(sampler: &dyn Sampler) -> Self {
        let constant = sampler.built_in().and_then(|built_in| built_in.constant);
        match constant.map(DecisionById::outcome) {
            None | Some(ById::CallSampler) => Self::None,
            Some(ById::No) => Self::No,
            Some(ById::Yes(tags)) => Self::Yes(*tags),
        }
    }
}

/// The number of tags of a sampler that decides by the trace id.
pub(crate) const SAMPLER_TAGS: usize = 2;

impl<'a> DecisionById<'a> {
    pub(crate) const CALL_SAMPLER: Self = Self(ById::CallSampler);

    #[cfg(feature = "remote-sampler")]
    pub(super) const NO: Self = Self(ById::No);

    #[inline]
    pub(super) fn new(sample: bool, tags: &'a SamplerTags) -> Self {
        match &tags.short {
            _ if !sample => Self(ById::No),
            Some(short) => Self(ById::Yes(short)),
            None => Self::CALL_SAMPLER,
        }
    }

    #[inline]
    pub(crate) fn outcome(self) -> ById<'a> {
        self.0
    }
}

/// The two tags of a sampler, encoded once so that a decision copies them in one piece.
#[derive(Clone, Debug)]
pub(super) struct SamplerTags {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The tags in short form, which those of all built-in samplers have.
    pub(super) short: Option<ShortTags>,
    pub(super) param_at: usize,
}

impl SamplerTags {
    pub(super) fn new(kind: &'static str, param: ValueView<'_>) -> Self {
        let mut tags = TagBuffer::default();
        tags.tag(SAMPLER_TYPE_TAG.as_bytes(), ValueView::Str(kind.as_bytes()));
        let param_at = tags.bytes().len();
        tags.tag(SAMPLER_PARAM_TAG.as_bytes(), param);
        Self { kind, short: ShortTags::new(tags.bytes()), bytes: tags.bytes().to_vec(), param_at }
    }
}
