//! Whether a new trace is recorded.
//!
//! Walk step 2. Asked once for each new trace, by the application's thread; a child inherits. A
//! sampler must not block, and allocates nothing where it can be helped.
//!
//! To add a kind: write `src/sampler/<kind>.rs` with its type and tests, and add one row to
//! [`MEMBERS`]. Configuration, the table in the docs and the conformance test read that row.

mod constant;
mod probabilistic;

use std::fmt;

use crate::encoding::{Scratch, ValueView};
use crate::error::ConfigError;
use crate::id::TraceId;

pub use self::constant::ConstSampler;
pub use self::probabilistic::ProbabilisticSampler;

/// Decides whether a new trace is recorded.
///
/// # Cost
///
/// Called on the application's thread for each new trace. It must not block; what it holds must be
/// bounded.
///
/// # Source
///
/// `SamplerV2` in jaeger-client-go, `sampler_v2.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::{Decision, NewSpan, Sampler};
///
/// #[derive(Debug)]
/// struct Checkout;
///
/// impl Sampler for Checkout {
///     fn on_create_span(&self, span: &mut NewSpan<'_>) -> Decision {
///         let sample = span.operation_name().starts_with("checkout");
///         if sample {
///             span.set_tag("sampler.type", "checkout");
///         }
///         Decision::new(sample)
///     }
/// }
/// ```
pub trait Sampler: fmt::Debug + Send + Sync {
    /// Decides on the first span of a trace.
    fn on_create_span(&self, span: &mut NewSpan<'_>) -> Decision;
}

impl<S: Sampler + ?Sized> Sampler for std::sync::Arc<S> {
    fn on_create_span(&self, span: &mut NewSpan<'_>) -> Decision {
        (**self).on_create_span(span)
    }
}

impl<S: Sampler + ?Sized> Sampler for Box<S> {
    fn on_create_span(&self, span: &mut NewSpan<'_>) -> Decision {
        (**self).on_create_span(span)
    }
}

/// What a sampler decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether to record.
    pub sample: bool,
}

impl Decision {
    /// A decision that stands.
    #[must_use]
    pub const fn new(sample: bool) -> Self {
        Self { sample }
    }
}

/// The span that a sampler is asked about.
#[derive(Debug)]
pub struct NewSpan<'a> {
    trace_id: TraceId,
    operation_name: &'a str,
    tags: &'a mut Scratch,
    count: &'a mut usize,
    max_value_bytes: usize,
}

impl<'a> NewSpan<'a> {
    pub(crate) fn new(
        trace_id: TraceId,
        operation_name: &'a str,
        (tags, count): (&'a mut Scratch, &'a mut usize),
        max_value_bytes: usize,
    ) -> Self {
        Self { trace_id, operation_name, tags, count, max_value_bytes }
    }

    /// The trace's id, whose low 63 bits are random.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The name of the operation that begins the trace.
    #[must_use]
    pub fn operation_name(&self) -> &str {
        self.operation_name
    }

    /// Adds a tag to the span, which is kept only if the decision is to sample.
    pub fn set_tag(&mut self, key: &str, value: &str) {
        let value = crate::encoding::cut(value, self.max_value_bytes);
        self.tags.tag(key.as_bytes(), ValueView::Str(value.as_bytes()));
        *self.count += 1;
    }

    /// Adds `sampler.type` and `sampler.param`, encoded beforehand.
    #[inline]
    fn set_sampler_tags(&mut self, tags: &SamplerTags) {
        if tags.kind.len() > self.max_value_bytes {
            self.set_tag(SAMPLER_TYPE_TAG, tags.kind);
            self.tags.extend(&tags.bytes[tags.param_at..]);
            *self.count += 1;
        } else {
            self.tags.extend(&tags.bytes);
            *self.count += 2;
        }
    }
}

/// The tag that names the sampler which decided for a trace.
pub const SAMPLER_TYPE_TAG: &str = "sampler.type";

/// The tag with that sampler's parameter.
pub const SAMPLER_PARAM_TAG: &str = "sampler.param";

/// The two tags of a sampler, encoded once so that a decision copies them in one piece.
#[derive(Clone, Debug)]
struct SamplerTags {
    kind: &'static str,
    bytes: Vec<u8>,
    param_at: usize,
}

impl SamplerTags {
    fn new(kind: &'static str, param: ValueView<'_>) -> Self {
        let mut tags = Scratch::default();
        tags.tag(SAMPLER_TYPE_TAG.as_bytes(), ValueView::Str(kind.as_bytes()));
        let param_at = tags.bytes().len();
        tags.tag(SAMPLER_PARAM_TAG.as_bytes(), param);
        Self { kind, bytes: tags.into_vec(), param_at }
    }
}

/// One kind of sampler that configuration can name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Member {
    /// The name in configuration, as Jaeger has it.
    pub name: &'static str,
    /// The file of this folder that holds it.
    pub file: &'static str,
    /// Makes one from the configured parameter.
    pub build: fn(param: f64) -> Result<Box<dyn Sampler>, ConfigError>,
}

/// The kinds, one row each.
pub const MEMBERS: &[Member] = &[
    Member { name: "const", file: "constant", build: constant::build },
    Member { name: "probabilistic", file: "probabilistic", build: probabilistic::build },
];

/// Makes the sampler of that name.
pub(crate) fn from_name(kind: &str, param: f64) -> Result<Box<dyn Sampler>, ConfigError> {
    let member = MEMBERS.iter().find(|member| member.name.eq_ignore_ascii_case(kind));
    let member = member.ok_or_else(|| ConfigError::Unknown {
        field: "sampler.kind",
        value: kind.to_owned(),
        allowed: MEMBERS.iter().map(|member| member.name).collect::<Vec<_>>().join(", "),
    })?;
    (member.build)(param)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_builds_and_decides_the_same_twice() {
        for member in MEMBERS {
            let sampler = (member.build)(1.0).unwrap();
            let mut decisions = (0..2).map(|_| {
                let (mut tags, mut count) = (Scratch::default(), 0);
                let mut span = NewSpan::new(TraceId::new(0, 7), "op", (&mut tags, &mut count), 256);
                let decision = sampler.on_create_span(&mut span);
                assert_eq!(count, 2, "{} names itself", member.name);
                decision.sample
            });
            assert_eq!(decisions.next(), decisions.next());
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_known_ones() {
        let error = from_name("sometimes", 1.0).unwrap_err().to_string();
        assert!(error.contains("sometimes") && error.contains("const, probabilistic"), "{error}");
    }

    #[test]
    fn a_short_limit_cuts_the_type_but_not_the_parameter() {
        let sampler = ProbabilisticSampler::new(1.0).unwrap();
        let (mut tags, mut count) = (Scratch::default(), 0);
        let mut span = NewSpan::new(TraceId::new(0, 7), "op", (&mut tags, &mut count), 5);
        sampler.on_create_span(&mut span);
        let list = crate::encoding::List::new(count, tags.bytes());
        let values: Vec<_> = crate::encoding::tags_of(Some(list)).map(|tag| tag.value).collect();
        assert_eq!(values, [ValueView::Str(b"proba"), ValueView::Double(1.0)]);
    }
}
