//! An answer, and the two tags that say whose it is.

use super::{SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG};
use crate::encoding::{ShortTags, TagBuffer, ValueView};

/// What a sampler decided.
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
    /// Whether to record.
    pub sample: bool,
    /// Whether to ask again when the span gets another name or a tag, or is finished. What was once
    /// to be recorded stays recorded.
    pub retryable: bool,
    /// Whether to keep the trace out of the index.
    pub firehose: bool,
}

impl Decision {
    /// A decision that stands.
    #[must_use]
    pub const fn new(sample: bool) -> Self {
        Self { sample, retryable: false, firehose: false }
    }

    /// A decision after which the sampler is asked again, if it says that it
    /// [may defer](super::Sampler::may_defer).
    #[must_use]
    pub const fn retryable(sample: bool) -> Self {
        Self { sample, retryable: true, firehose: false }
    }

    /// The same decision, and the trace is to be kept out of the index.
    #[must_use]
    pub const fn with_firehose(self) -> Self {
        Self { firehose: true, ..self }
    }
}

/// What others decided about a trace that goes on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentDecision {
    /// Whether it is recorded.
    pub is_sampled: bool,
    /// Whether it is recorded because somebody asked for it.
    pub is_debug: bool,
}

impl ParentDecision {
    /// For tests of samplers.
    #[must_use]
    pub const fn new(is_sampled: bool, is_debug: bool) -> Self {
        Self { is_sampled, is_debug }
    }
}

/// What a sampler decided by a trace's id.
#[derive(Clone, Copy, Debug)]
pub struct DecisionById<'a>(ById<'a>);

/// The decisions there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ById<'a> {
    /// More counts than the id.
    Ask,
    No,
    /// With the two tags of the sampler.
    Yes(&'a ShortTags),
}

/// How many tags a sampler has that decides by the id.
pub(crate) const SAMPLER_TAGS: usize = 2;

impl<'a> DecisionById<'a> {
    pub(crate) const ASK: Self = Self(ById::Ask);

    #[cfg(feature = "remote-sampler")]
    pub(super) const NO: Self = Self(ById::No);

    #[inline]
    pub(super) fn new(sample: bool, tags: &'a SamplerTags) -> Self {
        match &tags.short {
            _ if !sample => Self(ById::No),
            Some(short) => Self(ById::Yes(short)),
            None => Self::ASK,
        }
    }

    #[inline]
    pub(crate) fn answer(self) -> ById<'a> {
        self.0
    }
}

/// The two tags of a sampler, encoded once so that a decision copies them in one piece.
#[derive(Clone, Debug)]
pub(super) struct SamplerTags {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The same where they are short, as those of all samplers so far are.
    pub(super) short: Option<ShortTags>,
    pub(super) param_at: usize,
}

impl SamplerTags {
    pub(super) fn new(kind: &'static str, param: ValueView<'_>) -> Self {
        let mut tags = TagBuffer::default();
        tags.tag(SAMPLER_TYPE_TAG.as_bytes(), ValueView::Str(kind.as_bytes()));
        let param_at = tags.bytes().len();
        tags.tag(SAMPLER_PARAM_TAG.as_bytes(), param);
        Self { kind, short: ShortTags::new(tags.bytes()), bytes: tags.into_vec(), param_at }
    }
}
